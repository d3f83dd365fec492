//! Sign-in methods that changed a short while ago: whoever has just taken over an account adds a phone of their own,
//! and a proof by that phone proves nothing. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// A method by which a person proves who they are: a phone, an authenticator app, a key; no password and no pass of
/// ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInMethod {
    /// What it is.
    pub kind: MethodKind,
    /// Since when the directory has it, where it says so.
    pub created: Option<OffsetDateTime>,
}

/// What a method is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// A phone number.
    Phone,
    /// An authenticator app.
    App,
    /// Anything else: keys, tokens, what is new.
    Other,
}

/// A method that is too new to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentChange {
    kind: MethodKind,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
}

/// Fits behind a name: `Adele Vance has a phone number that was registered ...`.
impl fmt::Display for RecentChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            MethodKind::Phone => "a phone number",
            MethodKind::App => "an authenticator app",
            MethodKind::Other => "a sign-in method",
        };
        let created = self.created.to_offset(time::UtcOffset::UTC);
        let day = created
            .format(format_description!("[year]-[month]-[day]"))
            .unwrap_or_default();
        write!(f, "{what} that was registered only on {day}")
    }
}

/// The newest method that came within the last `days`; `0` is never. A method without a date is none that changed.
pub fn recent_change(methods: &[SignInMethod], days: u16, now: OffsetDateTime) -> Option<RecentChange> {
    let since = now - Duration::days(days.into());
    let dated = methods.iter().filter_map(|method| {
        let created = method.created.filter(|created| days > 0 && *created > since)?;
        Some(RecentChange {
            kind: method.kind,
            created,
        })
    });
    dated.max_by_key(|change| change.created)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    fn method(kind: MethodKind, age: Option<Duration>) -> SignInMethod {
        SignInMethod {
            kind,
            created: age.map(|age| NOW - age),
        }
    }

    #[test]
    fn the_newest_within_the_days_counts_and_an_unknown_date_does_not() {
        let methods = [
            method(MethodKind::App, None),
            method(MethodKind::Other, Some(Duration::days(6))),
            method(MethodKind::Phone, Some(Duration::days(2))),
        ];
        let found = recent_change(&methods, 7, NOW).unwrap();
        assert_eq!(
            found.to_string(),
            "a phone number that was registered only on 2026-11-26"
        );
        assert_eq!(recent_change(&methods, 0, NOW), None);
        assert_eq!(recent_change(&methods, 1, NOW), None);
        assert_eq!(recent_change(&methods[..1], 7, NOW), None);
        assert_eq!(recent_change(&[], 7, NOW), None);
    }

    #[test]
    fn the_edge_is_to_the_second_and_a_date_to_come_is_a_change() {
        let at = |age| recent_change(&[method(MethodKind::Phone, Some(age))], 7, NOW).is_some();
        assert!(at(Duration::days(7) - Duration::SECOND));
        assert!(!at(Duration::days(7)));
        assert!(at(-Duration::HOUR));
    }
}
