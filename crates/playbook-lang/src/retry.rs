//! When to try a step again.

use std::time::Duration;

/// How the waits between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backoff {
    /// `initial` each time.
    Fixed,
    /// `initial`, twice that, three times that, ...
    Linear,
    /// `initial`, doubled each time.
    Exponential,
}

impl Backoff {
    /// The word in playbooks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        }
    }
}

/// A step's `retry`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first one included; at least 1.
    pub max_attempts: u32,
    /// How the waits grow.
    pub backoff: Backoff,
    /// The first wait.
    pub initial: Duration,
    /// No wait is longer, jitter included.
    pub max: Duration,
    /// Up to this fraction (0 to 1) of the wait is taken off or added, so that a crowd spreads out.
    pub jitter: f64,
}

impl Default for Retry {
    /// What a step without `retry` does: one attempt. With `retry`, the fields left out have these values, too.
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff: Backoff::Exponential,
            initial: Duration::from_secs(2),
            max: Duration::from_mins(5),
            jitter: 0.1,
        }
    }
}

impl Retry {
    /// The wait after the `failures`th failure (1 for the first); `chance` is a random number from 0 to 1.
    pub fn wait(&self, failures: u32, chance: f64) -> Duration {
        let nth = failures.max(1);
        let factor = match self.backoff {
            Backoff::Fixed => 1.0,
            Backoff::Linear => f64::from(nth),
            Backoff::Exponential => 2_f64.powi(i32::try_from(nth - 1).unwrap_or(i32::MAX).min(64)),
        };
        let spread = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        let seconds = (self.initial.as_secs_f64() * factor * spread).min(self.max.as_secs_f64());
        // Again `min`: a float of so many seconds may have been rounded up.
        Duration::try_from_secs_f64(seconds).map_or(self.max, |wait| wait.min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retry(backoff: Backoff) -> Retry {
        Retry {
            max_attempts: 5,
            backoff,
            initial: Duration::from_secs(2),
            max: Duration::from_secs(10),
            jitter: 0.0,
        }
    }

    #[test]
    fn waits_grow_as_the_playbook_says_and_stop_at_its_maximum() {
        let waits = |backoff| {
            (1..=4)
                .map(|nth| retry(backoff).wait(nth, 0.3).as_secs())
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(Backoff::Fixed), [2, 2, 2, 2]);
        assert_eq!(waits(Backoff::Linear), [2, 4, 6, 8]);
        assert_eq!(waits(Backoff::Exponential), [2, 4, 8, 10]);
    }

    #[test]
    fn jitter_moves_a_wait_both_ways_by_at_most_its_fraction() {
        let retry = Retry {
            jitter: 0.5,
            ..retry(Backoff::Fixed)
        };
        assert_eq!(retry.wait(1, 0.0), Duration::from_secs(1));
        assert_eq!(retry.wait(1, 0.5), Duration::from_secs(2));
        assert_eq!(retry.wait(1, 1.0), Duration::from_secs(3));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_maximum(failures: u32, chance: f64, initial: u64, max: u64, jitter: f64) {
            for backoff in [Backoff::Fixed, Backoff::Linear, Backoff::Exponential] {
                let retry = Retry {
                    max_attempts: 3,
                    backoff,
                    initial: Duration::from_secs(initial),
                    max: Duration::from_secs(max),
                    jitter,
                };
                prop_assert!(retry.wait(failures, chance) <= Duration::from_secs(max));
            }
        }
    }
}
