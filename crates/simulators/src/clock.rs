//! What time it is outside. Vendors keep their own time, and ours may be minutes off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use time::OffsetDateTime;
use time::macros::format_description;

/// The clock of the vendors. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    behind_s: Arc<AtomicU64>,
}

impl Clock {
    /// What it says.
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() - Duration::from_secs(self.behind_s.load(Ordering::Relaxed))
    }

    /// The same as servers say it (RFC 9110, section 5.6.7).
    pub(crate) fn date(&self) -> HeaderValue {
        let format = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let date = self.now().format(&format).expect("every moment has a date");
        HeaderValue::try_from(date).expect("a date is ASCII")
    }

    /// From now on it is so far behind ours, in whole seconds.
    pub(crate) fn run_behind(&self, by: Duration) {
        self.behind_s.store(by.as_secs(), Ordering::Relaxed);
    }
}
