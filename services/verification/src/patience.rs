//! Until when an answer is waited for. Time in which nobody could be asked, because the outside was away, does not count
//! against a step's time-out. Pure.

use axum::http::StatusCode;
use common::Problem;
use time::{Duration, OffsetDateTime};

/// How long people have to answer, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// When we stop waiting, as it stands.
    pub deadline: OffsetDateTime,
    /// When the time-out of the step is over.
    pub timeout: OffsetDateTime,
    /// How long people have from when they can be asked.
    pub time: Duration,
    /// When we stop at the latest.
    pub latest: OffsetDateTime,
}

impl Patience {
    /// Nobody was asked, and nobody can be before `next`: all their time is still to come. Whether that is the first time.
    pub fn postpone(&mut self, next: OffsetDateTime) -> bool {
        let first = !self.is_postponed();
        self.deadline = (next + self.time).min(self.latest).max(self.deadline);
        first && self.is_postponed()
    }

    /// The least of it that is worth asking for: `usual`, and half of their time where that is shorter.
    pub fn least(&self, usual: Duration) -> Duration {
        usual.min(self.time / 2)
    }

    /// There is more time than the step says.
    pub fn is_postponed(&self) -> bool {
        self.deadline > self.timeout
    }
}

/// Why nobody may be declared silent although the time of their step is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postponed {
    /// This does not answer, and nobody could be asked.
    Away(&'static str),
    /// They could not be asked for a while, and now have the time that they were to have.
    Asked,
}

impl Postponed {
    /// What whoever asks how it stands is told: 503, ask again.
    pub fn problem(self) -> Problem {
        match self {
            Self::Away(system) => Problem::outside_unavailable(system, None),
            Self::Asked => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "operation_postponed",
                "they could not be asked for a while and have been given that time; ask again later",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::at;

    #[test]
    fn people_have_all_their_time_from_when_they_can_be_asked_and_nobody_waits_for_ever() {
        let mut patience = Patience {
            deadline: at(300),
            timeout: at(300),
            time: Duration::seconds(300),
            latest: at(3600),
        };
        assert!(!patience.is_postponed());
        assert!(patience.postpone(at(200)), "the first time");
        assert_eq!(patience.deadline, at(500));
        for next in [3500, 3590, 10] {
            assert!(!patience.postpone(at(next)), "not the first time");
            assert_eq!(
                patience.deadline,
                at(3600),
                "the latest, and nothing makes it shorter"
            );
        }
        assert!(patience.is_postponed());
    }
}
