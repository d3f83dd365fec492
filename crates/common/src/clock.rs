//! What time it is. Machines' clocks may be minutes apart; all of a fleet goes by that of its database.
//!
//! Each process knows how far the database's clock is ahead of its machine's, and adds that. It is one number for the whole
//! process, because it says something of the machine and not of a service. Whoever measures gives it to [`learn`]
//! (`chassis` does); until then, and where nobody measures, the machine is believed.

use std::sync::atomic::{AtomicI64, Ordering};

use time::{Duration, OffsetDateTime};
use uuid::{ContextV7, NoContext, Timestamp, Uuid};

/// A reading that took longer tells too little to whoever knows better.
pub const LONGEST: Duration = Duration::seconds(2);

/// In microseconds.
static AHEAD_US: AtomicI64 = AtomicI64::new(UNKNOWN);
const UNKNOWN: i64 = i64::MIN;

/// Keeps ids of one moment in order.
static IDS: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

/// The fleet's time. For whatever is written where others read it, or compared with what they wrote.
pub fn now() -> OffsetDateTime {
    machine() + ahead().unwrap_or_default()
}

/// This machine's own time, to measure with; it may be minutes off.
pub fn machine() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// How far the fleet's time is ahead of this machine's; `None` where nobody has measured it yet.
pub fn ahead() -> Option<Duration> {
    let ahead_us = AHEAD_US.load(Ordering::Relaxed);
    (ahead_us != UNKNOWN).then(|| Duration::microseconds(ahead_us))
}

/// A fresh id that sorts by the fleet's time (UUID version 7).
pub fn fresh_id() -> Uuid {
    let now = now();
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(&IDS, seconds, now.nanosecond()))
}

/// The first of all ids of a time: those made before it are below, so that the key of a table finds what is old without an
/// index of its own.
pub fn first_id_at(at: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(at.unix_timestamp()).unwrap_or_default();
    let stamp = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, at.nanosecond()));
    // Milliseconds are in the first 48 bits (RFC 9562, section 5.7).
    Uuid::from_u128(stamp.as_u128() >> 80 << 80)
}

/// Go by `reading` from now on. `None` where it tells too little, or nothing new.
pub fn learn(reading: Reading) -> Option<Change> {
    let before = ahead();
    let after = reading.ahead(before)?;
    if before == Some(after) {
        return None;
    }
    // Of two at once either may win: both are true.
    let after_us = i64::try_from(after.whole_microseconds()).ok()?;
    AHEAD_US.store(after_us, Ordering::Relaxed);
    let before = before.unwrap_or_default();
    Some(Change { before, after })
}

/// The database was asked what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When, by this machine's clock.
    pub asked: OffsetDateTime,
    /// What it said.
    pub there: OffsetDateTime,
    /// When the answer was here, by this machine's clock.
    pub answered: OffsetDateTime,
}

/// What is known of the clocks has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// How far the fleet's time was ahead of this machine's, as far as we knew; nothing where we knew nothing.
    pub before: Duration,
    /// How far it is.
    pub after: Duration,
}

impl Reading {
    /// How far the database's clock is ahead of ours, where we thought `known`. What fits the reading stays, or the time
    /// would tremble with the network's; else the middle of what can be true. `None` where it took longer than [`LONGEST`]
    /// (though to whoever knows nothing it is better than that), or our own clock was set back meanwhile.
    pub fn ahead(self, known: Option<Duration>) -> Option<Duration> {
        let took = self.answered - self.asked;
        if took.is_negative() || (took > LONGEST && known.is_some()) {
            return None;
        }
        let known = known.unwrap_or_default();
        // It was read there after it was asked for and before it was answered.
        let (least, most) = (self.there - self.answered, self.there - self.asked);
        let fits = (least..=most).contains(&known);
        Some(if fits { known } else { least + took / 2 })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2030-01-01 12:00 UTC);

    fn reading(ahead: Duration, took: Duration) -> Reading {
        Reading {
            asked: NOON,
            there: NOON + ahead + took / 2,
            answered: NOON + took,
        }
    }

    #[test]
    fn ids_made_before_a_time_are_below_the_first_one_of_it_and_no_other() {
        let now = machine();
        let id = |at: OffsetDateTime| {
            let seconds = u64::try_from(at.unix_timestamp()).unwrap();
            Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, at.nanosecond()))
        };
        assert!(id(now - Duration::MILLISECOND) < first_id_at(now));
        assert!(id(now) >= first_id_at(now));
        assert!(id(now + Duration::MILLISECOND) > first_id_at(now));
    }

    #[test]
    fn the_answer_was_read_half_way() {
        for ahead in [Duration::minutes(3), Duration::minutes(-3)] {
            let reading = reading(ahead, Duration::milliseconds(40));
            assert_eq!(reading.ahead(Some(Duration::ZERO)), Some(ahead));
        }
    }

    #[test]
    fn what_fits_the_reading_stays() {
        let reading = reading(Duration::milliseconds(15), Duration::milliseconds(40));
        assert_eq!(reading.ahead(Some(Duration::ZERO)), Some(Duration::ZERO));
        let off = Duration::milliseconds(-6);
        assert_eq!(reading.ahead(Some(off)), Some(Duration::milliseconds(15)));
    }

    #[test]
    fn a_slow_answer_tells_something_only_to_whoever_knows_nothing() {
        let slow = reading(Duration::minutes(3), LONGEST + Duration::MILLISECOND);
        assert_eq!(slow.ahead(Some(Duration::ZERO)), None);
        assert_eq!(slow.ahead(None), Some(Duration::minutes(3)));
    }

    #[test]
    fn a_clock_that_was_set_back_meanwhile_tells_nothing() {
        let back = reading(Duration::minutes(3), Duration::seconds(-1));
        assert_eq!(back.ahead(None), None);
    }

    #[test]
    fn fresh_ids_sort_in_the_order_in_which_they_were_made() {
        let ids: Vec<Uuid> = (0..1000).map(|_| fresh_id()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        let made = ids[0].get_timestamp().map(|made| made.to_unix().0);
        let now = u64::try_from(now().unix_timestamp()).unwrap();
        assert!(made.is_some_and(|made| now.abs_diff(made) <= 2), "{made:?}");
    }
}
