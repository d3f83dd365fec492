//! A vendor's limit of calls that several processes share.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// What came of counting a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is within the limit, and counts.
    Counted,
    /// The window is full; it does not count.
    Full {
        /// How long until there is room.
        wait: Duration,
    },
}

/// A rolling window that all replicas count in. The vendor counts so, too: so many calls in any five minutes.
pub trait RollingWindow: fmt::Debug + Send + Sync {
    /// Count one call. `None`: nobody can tell at the moment, and the caller counts for itself.
    fn take(&self) -> Pin<Box<dyn Future<Output = Option<Taken>> + Send + '_>>;
}
