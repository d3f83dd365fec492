//! Temporary Access Passes.

use std::time::Duration;

use secrecy::SecretString;
use time::OffsetDateTime;

/// A pass just created: the only moment its value exists outside the directory.
#[derive(Debug)]
pub struct Pass {
    /// Number of the method, for deleting it.
    pub id: String,
    /// What the person types to sign in.
    pub secret: SecretString,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it becomes usable.
    pub start: OffsetDateTime,
    /// How long it is usable from `start`.
    pub lifetime: Duration,
    /// Usable now.
    pub usable: bool,
    /// Why, or why not: `EnabledByPolicy`, `NotYetValid`, ...
    pub usability: String,
}

impl Pass {
    /// When it expires: `start` plus `lifetime`.
    pub fn expires(&self) -> OffsetDateTime {
        self.start + self.lifetime
    }
}

/// A pass as a look-up shows it: without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassInfo {
    /// Number of the method.
    pub id: String,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it becomes usable.
    pub start: OffsetDateTime,
    /// How long it is usable from `start`.
    pub lifetime: Duration,
    /// Usable now.
    pub usable: bool,
}

/// What the tenant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassPolicy {
    /// Passes may be made at all.
    pub enabled: bool,
    /// Shortest lifetime.
    pub shortest: Duration,
    /// Longest lifetime.
    pub longest: Duration,
    /// Every pass must be for one use.
    pub one_time_only: bool,
}

impl PassPolicy {
    /// The lifetime nearest to `wanted` that the policy allows, in whole minutes.
    pub fn clamp(&self, wanted: Duration) -> Duration {
        let minutes = wanted.as_secs().div_ceil(60);
        Duration::from_secs(minutes * 60).clamp(self.shortest, self.longest.max(self.shortest))
    }
}
