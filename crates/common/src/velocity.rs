//! How much may happen in how much time: limits, the windows that they look through, and what is said where one is
//! full. Pure: the time comes in, and who keeps the windows decides where.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// So many uses in any window of this length; written `count/seconds`. `0` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    count: u32,
    per: Duration,
}

/// Why a text is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a limit like `3/86400` (at most {}, in 1 to {} seconds), nor `0` for none",
    Limit::MOST,
    Limit::LONGEST_S
)]
pub struct InvalidLimit;

impl Limit {
    /// Every use that may still count is kept, and written again with each further one. Who needs more takes a shorter
    /// window.
    pub const MOST: u32 = 1000;
    /// Thirty-one days.
    pub const LONGEST_S: u32 = 31 * 86_400;
    /// No limit.
    pub const OFF: Self = Self {
        count: 0,
        per: Duration::ZERO,
    };

    /// `count` uses in `seconds`.
    pub const fn new(count: u32, seconds: u32) -> Self {
        Self {
            count,
            per: Duration::seconds(seconds as i64),
        }
    }

    /// Nothing is counted.
    pub const fn is_off(self) -> bool {
        self.count == 0
    }

    fn places(self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        if text == "0" {
            return Ok(Self::OFF);
        }
        let (count, per) = text.split_once('/').ok_or(InvalidLimit)?;
        let digits = |text: &str| text.bytes().all(|sign| sign.is_ascii_digit());
        if !digits(count) || !digits(per) {
            return Err(InvalidLimit);
        }
        let count: u32 = count.parse().map_err(|_| InvalidLimit)?;
        let per: u32 = per.parse().map_err(|_| InvalidLimit)?;
        match (count, per) {
            (0, _) => Ok(Self::OFF),
            (1..=Self::MOST, 1..=Self::LONGEST_S) => Ok(Self::new(count, per)),
            _ => Err(InvalidLimit),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_off() {
            f.write_str("0")
        } else {
            write!(f, "{}/{}", self.count, self.per.whole_seconds())
        }
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limited {
    /// Tickets of one requester that are automated.
    Requester,
    /// What is proven or done for one person.
    Subject,
    /// Requests to one manager.
    Approver,
    /// Credentials to one phone number.
    Destination,
    /// What is automated or done in the whole tenant.
    Tenant,
    /// Tickets that start one playbook.
    Playbook,
    /// Sign-in requests on one person's phone.
    Pushes,
    /// People who said no: an alarm, and no limit.
    Denials,
    /// Proofs that do not hold: an alarm, and no limit.
    Refusals,
}

impl Limited {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Requester,
        Self::Subject,
        Self::Approver,
        Self::Destination,
        Self::Tenant,
        Self::Playbook,
        Self::Pushes,
        Self::Denials,
        Self::Refusals,
    ];

    /// As the database writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Subject => "subject",
            Self::Approver => "approver",
            Self::Destination => "destination",
            Self::Tenant => "tenant",
            Self::Playbook => "playbook",
            Self::Pushes => "pushes",
            Self::Denials => "denials",
            Self::Refusals => "refusals",
        }
    }

    /// Read back what [`Self::as_str`] wrote.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// The setting that says how much.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Requester => "VELOCITY_PER_REQUESTER",
            Self::Subject => "VELOCITY_PER_SUBJECT",
            Self::Approver => "VELOCITY_PER_APPROVER",
            Self::Destination => "VELOCITY_PER_DESTINATION",
            Self::Tenant => "VELOCITY_PER_TENANT",
            Self::Playbook => "VELOCITY_PER_PLAYBOOK",
            Self::Pushes => "PUSHES_PER_USER",
            Self::Denials => "ANOMALY_DENIALS",
            Self::Refusals => "ANOMALY_REFUSALS",
        }
    }

    /// Stable: of blockers, problems and the audit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Requester => "velocity_requester",
            Self::Subject => "velocity_subject",
            Self::Approver => "velocity_approver",
            Self::Destination => "velocity_destination",
            Self::Tenant => "velocity_tenant",
            Self::Playbook => "velocity_playbook",
            Self::Pushes => "velocity_pushes",
            Self::Denials => "anomaly_denials",
            Self::Refusals => "anomaly_refusals",
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Requester => "automated requests of this person",
            Self::Subject => "automated changes for this person",
            Self::Approver => "requests to this manager",
            Self::Destination => "credentials to this phone number",
            Self::Tenant => "automated requests in the whole company",
            Self::Playbook => "tickets for this playbook",
            Self::Pushes => "sign-in requests on this person's phone",
            Self::Denials => "denials in the whole company",
            Self::Refusals => "refused proofs in the whole company",
        }
    }
}

/// A window that something counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What is limited.
    pub limited: Limited,
    /// Of whom or what: an object id, a name, a digest; never a phone number.
    pub key: String,
    /// How much.
    pub limit: Limit,
}

impl Place {
    /// The window of `key`; `None` where nothing is limited.
    pub fn of(limited: Limited, key: &str, limit: Limit) -> Option<Self> {
        // Ids are compared without case, as the directory does.
        let key = key.to_ascii_lowercase();
        (!limit.is_off()).then_some(Self { limited, key, limit })
    }
}

/// One use of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// By what: the same thing counts once.
    pub of: Uuid,
}

/// A window is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub limited: Limited,
    /// How much it takes.
    pub limit: Limit,
    /// When the next one has a place, if nothing else takes it.
    pub free_at: OffsetDateTime,
}

impl Exceeded {
    /// Stable: of blockers, problems and the audit.
    pub const fn code(&self) -> &'static str {
        self.limited.code()
    }
}

/// `there were already 3 automated requests of this person in 24 hours, which is the limit; the next is possible from
/// ...`
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there were already {} {} in {}, which is the limit; the next is possible from {}",
            self.limit.count,
            self.limited.in_words(),
            span(self.limit.per),
            moment(self.free_at),
        )
    }
}

/// `24 hours`, `90 seconds`.
fn span(length: Duration) -> String {
    let seconds = length.whole_seconds();
    let (count, unit) = match seconds {
        _ if seconds % 3600 == 0 => (seconds / 3600, "hour"),
        _ if seconds % 60 == 0 => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// `2026-11-29 09:50 UTC`; rounded up, so that it is true.
fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC) + Duration::nanoseconds(59_999_999_999);
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
        .unwrap_or_default()
}

/// Windows as they stand, in somebody's hands who holds them against others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    uses: BTreeMap<(Limited, String), Vec<Use>>,
    changed: Vec<(Limited, String)>,
}

impl Windows {
    /// Put a window in, as it was kept.
    pub fn insert(&mut self, limited: Limited, key: String, uses: Vec<Use>) {
        self.uses.insert((limited, key), uses);
    }

    /// Take a place in every one of these windows, or in none of them. What has a place already keeps it.
    ///
    /// # Errors
    /// The first that is full. A window that was not put in counts as empty.
    pub fn take(&mut self, places: &[Place], of: Uuid, now: OffsetDateTime) -> Result<(), Exceeded> {
        for place in places {
            let live = self.live(place, now);
            let has_one = live.iter().any(|earlier| earlier.of == of);
            let spare = live.len().checked_sub(place.limit.places());
            if let (false, Some(spare)) = (has_one, spare) {
                let frees = live.get(spare).map_or(now, |earlier| earlier.at);
                return Err(Exceeded {
                    limited: place.limited,
                    limit: place.limit,
                    free_at: frees + place.limit.per,
                });
            }
        }
        for place in places {
            self.add(place, of, now);
        }
        Ok(())
    }

    /// Count one more alarm: whether there are as many now as the limit says. Then the count begins anew.
    pub fn alarm(&mut self, place: &Place, of: Uuid, now: OffsetDateTime) -> bool {
        self.add(place, of, now);
        let key = (place.limited, place.key.clone());
        let reached = self
            .uses
            .get(&key)
            .is_some_and(|uses| uses.len() >= place.limit.places());
        if reached {
            self.uses.insert(key, vec![]);
        }
        reached
    }

    fn add(&mut self, place: &Place, of: Uuid, now: OffsetDateTime) {
        let mut live = self.live(place, now);
        if live.iter().any(|earlier| earlier.of == of) {
            return;
        }
        live.push(Use { at: now, of });
        // Who was first to ask need not be first to be heard.
        live.sort_by_key(|used| used.at);
        let key = (place.limited, place.key.clone());
        self.changed.push(key.clone());
        self.uses.insert(key, live);
    }

    /// Uses that still count.
    fn live(&self, place: &Place, now: OffsetDateTime) -> Vec<Use> {
        let uses = self.uses.get(&(place.limited, place.key.clone()));
        let counts = |used: &&Use| used.at + place.limit.per > now;
        uses.into_iter().flatten().filter(counts).copied().collect()
    }

    /// The windows that are to be kept again, each once.
    pub fn changed(&self) -> BTreeMap<(Limited, &str), &[Use]> {
        let kept = |key: &(Limited, String)| self.uses.get(key).map(Vec::as_slice);
        self.changed
            .iter()
            .filter_map(|key| Some(((key.0, key.1.as_str()), kept(key)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    fn place(limited: Limited, limit: &str) -> Place {
        Place::of(limited, "A", limit.parse().unwrap()).unwrap()
    }

    fn take(windows: &mut Windows, places: &[Place], after: i64) -> Result<(), Exceeded> {
        windows.take(places, Uuid::new_v4(), NOON + Duration::seconds(after))
    }

    #[test]
    fn limits_are_read_as_they_are_written_and_nothing_else_is_one() {
        for good in ["3/86400", "1000/1", "1/2678400", "0"] {
            assert_eq!(good.parse::<Limit>().unwrap().to_string(), good);
        }
        assert!("0/3600".parse::<Limit>().unwrap().is_off());
        for bad in [
            "",
            "3",
            "/",
            "3/",
            "/60",
            "3/0",
            "-1/60",
            "+3/60",
            "3/60/1",
            "3 / 60",
            "1001/60",
            "1/2678401",
            "3/1h",
            "4294967296/60",
        ] {
            assert_eq!(bad.parse::<Limit>(), Err(InvalidLimit), "{bad:?}");
        }
    }

    #[test]
    fn the_fourth_is_told_when_it_would_have_had_a_place_and_has_one_then() {
        let mut windows = Windows::default();
        let places = [place(Limited::Requester, "3/86400")];
        for after in [0, 60, 120] {
            assert_eq!(take(&mut windows, &places, after), Ok(()));
        }
        let full = take(&mut windows, &places, 180).unwrap_err();
        assert_eq!(full.free_at, NOON + Duration::DAY);
        assert_eq!(
            full.to_string(),
            "there were already 3 automated requests of this person in 24 hours, which is the limit; the next is \
             possible from 2026-11-29 12:00 UTC"
        );
        assert!(take(&mut windows, &places, 86_399).is_err());
        assert_eq!(take(&mut windows, &places, 86_400), Ok(()));
        assert!(take(&mut windows, &places, 86_401).is_err());
    }

    #[test]
    fn the_same_thing_counts_once() {
        let mut windows = Windows::default();
        let places = [place(Limited::Subject, "1/60")];
        let of = Uuid::new_v4();
        assert_eq!(windows.take(&places, of, NOON), Ok(()));
        assert_eq!(windows.take(&places, of, NOON), Ok(()));
        assert!(take(&mut windows, &places, 1).is_err());
    }

    #[test]
    fn where_one_window_is_full_no_other_is_used_up() {
        let mut windows = Windows::default();
        let (wide, narrow) = (place(Limited::Tenant, "2/60"), place(Limited::Requester, "1/60"));
        assert_eq!(take(&mut windows, std::slice::from_ref(&narrow), 0), Ok(()));
        let refused = take(&mut windows, &[wide.clone(), narrow], 1).unwrap_err();
        assert_eq!(refused.code(), "velocity_requester");
        let both = [wide];
        assert_eq!(take(&mut windows, &both, 2), Ok(()));
        assert_eq!(take(&mut windows, &both, 2), Ok(()));
    }

    #[test]
    fn a_limit_that_was_lowered_waits_until_enough_of_the_old_uses_are_over() {
        let mut windows = Windows::default();
        for after in [0, 10, 20] {
            take(&mut windows, &[place(Limited::Subject, "3/60")], after).unwrap();
        }
        let full = take(&mut windows, &[place(Limited::Subject, "2/60")], 30).unwrap_err();
        assert_eq!(full.free_at, NOON + Duration::seconds(70));
    }

    #[test]
    fn an_alarm_goes_off_at_its_number_and_begins_anew() {
        let mut windows = Windows::default();
        let place = place(Limited::Denials, "3/60");
        let mut at = |after| windows.alarm(&place, Uuid::new_v4(), NOON + Duration::seconds(after));
        assert_eq!([at(0), at(1), at(2)], [false, false, true]);
        assert_eq!([at(3), at(4), at(70), at(71)], [false, false, false, false]);
        assert!(at(72));
    }

    #[test]
    fn what_is_kept_is_what_changed_each_window_once() {
        let mut windows = Windows::default();
        windows.insert(Limited::Tenant, "t".to_owned(), vec![]);
        let places = [place(Limited::Requester, "3/60")];
        take(&mut windows, &places, 0).unwrap();
        take(&mut windows, &places, 1).unwrap();
        let kept: Vec<_> = windows
            .changed()
            .into_iter()
            .map(|(key, uses)| (key, uses.len()))
            .collect();
        assert_eq!(kept, [((Limited::Requester, "a"), 2)]);
    }

    #[test]
    fn every_word_is_read_back_and_every_code_is_its_own() {
        for limited in Limited::ALL {
            assert_eq!(Limited::from_word(limited.as_str()), Some(limited));
        }
        let codes: std::collections::BTreeSet<_> = Limited::ALL.map(Limited::code).into();
        assert_eq!(codes.len(), Limited::ALL.len());
    }

    proptest! {
        /// Whatever comes when, also a little out of order: no window of the length ever holds more than the limit.
        #[test]
        fn no_window_ever_holds_more_than_its_limit(
            count in 1_u32..5,
            per in 1_u32..100,
            gaps in proptest::collection::vec(-3_i64..20, 1..80),
        ) {
            let limit = Limit::new(count, per);
            let places = [Place::of(Limited::Tenant, "t", limit).unwrap()];
            let mut windows = Windows::default();
            let mut now = NOON;
            let mut admitted: Vec<OffsetDateTime> = vec![];
            for gap in gaps {
                now += Duration::seconds(gap.max(0));
                match windows.take(&places, Uuid::new_v4(), now) {
                    Ok(()) => admitted.push(now),
                    Err(full) => {
                        prop_assert!(full.free_at > now);
                        // A moment before there is none, and at that moment there is one.
                        let mut early = windows.clone();
                        let before = full.free_at - Duration::nanoseconds(1);
                        prop_assert!(early.take(&places, Uuid::new_v4(), before).is_err());
                        prop_assert!(early.take(&places, Uuid::new_v4(), full.free_at).is_ok());
                    }
                }
            }
            for (index, first) in admitted.iter().enumerate() {
                let within = admitted[index..].iter().filter(|at| **at < *first + limit.per).count();
                prop_assert!(within <= limit.places());
            }
        }
    }
}
