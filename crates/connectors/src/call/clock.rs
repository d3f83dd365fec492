//! How far a vendor's clock and the fleet's are apart. One of the two is wrong then, and it is hardly the vendor's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::clock;
use http::HeaderMap;
use time::{Duration, OffsetDateTime};

use super::System;
use super::wire::date;

/// Their clocks say seconds, and answers take some. Beyond this, tokens of Microsoft's begin to look expired or not yet valid.
const APART: Duration = Duration::minutes(1);

/// What one system's clock says beside ours. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Clocks {
    apart: Arc<AtomicBool>,
}

impl Clocks {
    /// Compare them, where the answer says what time it is there.
    pub(super) fn compare(&self, system: System, headers: &HeaderMap) {
        if let Some(there) = date(headers) {
            self.heard(system, there, clock::now());
        }
    }

    /// Whether that was the first time that showed them apart.
    fn heard(&self, system: System, there: OffsetDateTime, here: OffsetDateTime) -> bool {
        let ahead = there - here;
        metrics::gauge!("firstline_outside_clock_ahead_seconds", "system" => system.label())
            .set(ahead.as_seconds_f64());
        let apart = ahead.abs() > APART;
        let before = self.apart.swap(apart, Ordering::Relaxed);
        let first = apart && !before;
        if first {
            tracing::warn!(
                outside.system = system.label(),
                ahead_s = ahead.whole_seconds(),
                "a vendor's clock and the database's, which all of the fleet goes by, are apart: look at NTP on the database's machine"
            );
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_apart_are_told_of_once_and_again_when_they_had_met() {
        let clocks = Clocks::default();
        let now = OffsetDateTime::UNIX_EPOCH;
        let hear = |ahead_s| clocks.heard(System::Entra, now + Duration::seconds(ahead_s), now);
        assert!(!hear(59));
        assert!(hear(-61));
        assert!(!hear(-600));
        assert!(!hear(-3));
        assert!(hear(90));
    }
}
