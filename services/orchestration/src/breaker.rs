//! Circuit breakers: while something outside is away, one call at a time finds out when it is back, and the rest waits.
//!
//! Each action has a breaker of its own, because each has an outside system behind it. A step service says that the outside
//! is away and that nothing was done; from then on calls of the action are parked without being made, all but one probe now
//! and then. When a probe gets an answer, whatever it is, what was parked goes on at once. Every replica has its own
//! breakers: they only save calls, and nothing depends on their memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::ActionName;
use playbook_lang::Event;

/// A probe that has not come back for so long was lost; the next call is one.
const LONGEST_PROBE: Duration = Duration::from_secs(35);
/// What is parked without having been asked looks again by itself after about this long, should nobody wake it.
const BY_ITSELF: Duration = Duration::from_mins(1);

/// The breaker of one action, while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    /// Until then no call goes out; whoever comes after it is the probe.
    until: Instant,
    /// What the service said, for the ticket.
    explanation: String,
}

/// Whether a call may go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may.
    Go,
    /// It would be in vain.
    Blocked {
        /// For about this long, unless somebody wakes it.
        wait: Duration,
        /// Why, for the ticket.
        explanation: String,
    },
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that others wait for.
    None,
    /// The outside is back: wake whoever was parked.
    Closed,
}

/// The breakers of all actions.
#[derive(Debug)]
pub(crate) struct Breakers {
    open: Mutex<HashMap<ActionName, Open>>,
    /// How long the outside is left alone after it was found away, unless it asks for longer.
    probe: Duration,
}

impl Breakers {
    /// All closed.
    pub(crate) fn new(probe: Duration) -> Self {
        Self {
            open: Mutex::default(),
            probe,
        }
    }

    /// Whether a call of `action` may go out now. `chance` (0 to 1) spreads those that may not.
    pub(crate) fn gate(&self, action: &ActionName, now: Instant, chance: f64) -> Gate {
        let mut all = self.lock();
        let Some(open) = all.get_mut(action) else {
            return Gate::Go;
        };
        // A row's timer and this clock agree only roughly: who was told to come back then is not sent away for a moment.
        let almost = self.probe / 4;
        if now + almost >= open.until {
            open.until = now + LONGEST_PROBE;
            return Gate::Go;
        }
        Gate::Blocked {
            wait: open.until.saturating_duration_since(now) + BY_ITSELF.mul_f64(0.5 + chance.clamp(0.0, 1.0)),
            explanation: open.explanation.clone(),
        }
    }

    /// A call of `action` came to this.
    pub(crate) fn saw(&self, action: &ActionName, event: &Event, now: Instant) -> Change {
        let mut all = self.lock();
        match event {
            Event::OutsideAway {
                retry_after,
                explanation,
                ..
            } => {
                let until = now + retry_after.unwrap_or_default().max(self.probe);
                let explanation = explanation.clone();
                if all.insert(action.clone(), Open { until, explanation }).is_none() {
                    tracing::warn!(%action, "the outside is away: calls are parked, and one at a time finds out when it is back");
                    metrics::gauge!("firstline_circuits_open", "action" => action.to_string()).set(1.0);
                }
                Change::None
            }
            // The service itself is away, or its answer was lost: says nothing about the outside.
            Event::Unreached { .. } | Event::Unanswered { .. } => {
                if let Some(open) = all.get_mut(action) {
                    open.until = open.until.min(now + self.probe);
                }
                Change::None
            }
            _ => {
                if all.remove(action).is_none() {
                    return Change::None;
                }
                tracing::info!(%action, "the outside is back");
                metrics::gauge!("firstline_circuits_open", "action" => action.to_string()).set(0.0);
                Change::Closed
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ActionName, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use common::{Outcome, StepCall, StepResult};

    use super::*;

    const PROBE: Duration = Duration::from_secs(10);

    fn call() -> StepCall {
        StepCall {
            id: "reset_password".parse().unwrap(),
            visit: 1,
            attempt: 1,
        }
    }

    fn away(retry_after: Option<Duration>) -> Event {
        Event::OutsideAway {
            call: call(),
            retry_after,
            explanation: "The directory does not answer.".to_owned(),
        }
    }

    fn done() -> Event {
        Event::Answered {
            call: call(),
            result: StepResult::new(Outcome::Failure, "The account is disabled."),
        }
    }

    #[test]
    fn while_the_outside_is_away_one_call_at_a_time_goes_out() {
        let (breakers, begun) = (Breakers::new(PROBE), Instant::now());
        let (reset, other) = (
            "executor.reset_password".parse().unwrap(),
            "delivery.sms".parse().unwrap(),
        );
        assert_eq!(breakers.gate(&reset, begun, 0.5), Gate::Go);
        assert_eq!(breakers.saw(&reset, &away(None), begun), Change::None);
        let blocked = Gate::Blocked {
            wait: Duration::from_secs(9) + BY_ITSELF,
            explanation: "The directory does not answer.".to_owned(),
        };
        assert_eq!(
            breakers.gate(&reset, begun + Duration::from_secs(1), 0.5),
            blocked
        );
        assert_eq!(
            breakers.gate(&other, begun, 0.5),
            Gate::Go,
            "others have nothing to do with it"
        );
        let later = begun + PROBE;
        assert_eq!(breakers.gate(&reset, later, 0.5), Gate::Go, "the probe");
        assert!(
            matches!(breakers.gate(&reset, later, 0.5), Gate::Blocked { .. }),
            "one at a time"
        );
        assert_eq!(breakers.saw(&reset, &away(None), later), Change::None);
        assert!(matches!(breakers.gate(&reset, later, 0.5), Gate::Blocked { .. }));
    }

    #[test]
    fn any_answer_of_the_outside_closes_it_and_is_told_once() {
        let (breakers, now) = (Breakers::new(PROBE), Instant::now());
        let reset = "executor.reset_password".parse().unwrap();
        assert_eq!(
            breakers.saw(&reset, &done(), now),
            Change::None,
            "it was never open"
        );
        breakers.saw(&reset, &away(None), now);
        assert_eq!(breakers.saw(&reset, &done(), now), Change::Closed);
        assert_eq!(breakers.saw(&reset, &done(), now), Change::None);
        assert_eq!(breakers.gate(&reset, now, 0.5), Gate::Go);
    }

    #[test]
    fn it_is_left_alone_for_as_long_as_it_asks() {
        let (breakers, now) = (Breakers::new(PROBE), Instant::now());
        let reset = "executor.reset_password".parse().unwrap();
        breakers.saw(&reset, &away(Some(Duration::from_mins(2))), now);
        assert!(matches!(
            breakers.gate(&reset, now + PROBE, 0.5),
            Gate::Blocked { .. }
        ));
        assert_eq!(breakers.gate(&reset, now + Duration::from_mins(2), 0.5), Gate::Go);
    }

    #[test]
    fn a_probe_that_is_lost_is_followed_by_another() {
        let (breakers, now) = (Breakers::new(PROBE), Instant::now());
        let reset = "executor.reset_password".parse().unwrap();
        breakers.saw(&reset, &away(None), now);
        let probed = now + PROBE;
        assert_eq!(breakers.gate(&reset, probed, 0.5), Gate::Go);
        breakers.saw(&reset, &Event::Unanswered { call: call() }, probed);
        assert_eq!(
            breakers.gate(&reset, probed + PROBE, 0.5),
            Gate::Go,
            "its answer was lost"
        );
        // This one is never heard of at all.
        assert_eq!(
            breakers.gate(&reset, probed + PROBE + LONGEST_PROBE, 0.5),
            Gate::Go
        );
    }
}
