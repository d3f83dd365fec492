//! The machine: a pure function from a state and an event to the next state, commands, and a record of what happened.
//!
//! Production, simulation and the property tests drive the same one. Recovery is not a second code path: `Claimed` in any
//! phase says again what that phase is waiting for.

mod calls;
mod edges;
#[cfg(test)]
mod properties;
mod state;
#[cfg(test)]
mod tests;
mod words;

use common::{OperationId, Outcome, StepCall, StepResult};

use crate::playbook::Playbook;
use edges::Verdict;
pub use state::{Attempt, HeldCredential, HeldPermit, Phase, State};
pub use words::{Call, Command, Event, IllegalEvent, Moment, Record, Rules, Transition};

/// One playbook under one set of rules.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    pub(crate) playbook: &'a Playbook,
    pub(crate) rules: &'a Rules,
    pub(crate) facts: &'a crate::roots::Facts,
}

impl<'a> Machine<'a> {
    /// The machine of `playbook`.
    pub const fn new(playbook: &'a Playbook, rules: &'a Rules, facts: &'a crate::roots::Facts) -> Self {
        Self {
            playbook,
            rules,
            facts,
        }
    }

    /// What `event` does to `state` at this `moment`.
    ///
    /// Late and repeated events change nothing and command nothing. [`IllegalEvent`] means that the caller mixed up
    /// executions or playbooks: an answer to a call that was never made, a step that the playbook does not have.
    #[expect(
        clippy::too_many_lines,
        reason = "the table of transitions stays in one place"
    )]
    pub fn apply(&self, state: State, event: Event, moment: Moment) -> Result<Transition, IllegalEvent> {
        self.belongs(&state, &event)?;
        // The table of transitions. What an arm does is in `steps`.
        match (state.phase.clone(), event) {
            // Over is over.
            (Phase::Ended { .. }, _) => Ok(unchanged(state)),

            // Taking it up, for the first time or after a crash.
            (Phase::Ready { step, visit }, Event::Claimed) => self.begin(state, step, visit, moment),
            (Phase::Calling { attempt, deadline }, Event::Claimed) => {
                self.resume(state, attempt, deadline, moment)
            }
            (
                Phase::Asking {
                    attempt, operation, ..
                },
                Event::Claimed,
            ) => self.ask(state, &attempt, operation),

            // Timers, and taking up what waits for one.
            (
                Phase::Waiting {
                    attempt,
                    operation,
                    deadline,
                    ask_at,
                },
                Event::Claimed | Event::TimerFired,
            ) => {
                if moment.now < ask_at {
                    return Ok(waiting(state, ask_at));
                }
                let asking = Phase::Asking {
                    attempt: attempt.clone(),
                    operation,
                    deadline,
                };
                self.ask(state.with(asking), &attempt, operation)
            }
            (
                Phase::Backoff {
                    attempt,
                    until,
                    deadline,
                },
                Event::Claimed | Event::TimerFired,
            ) => match deadline {
                _ if moment.now < until => Ok(waiting(state, until)),
                Some(deadline) => self.resume(state, attempt, deadline, moment),
                None => self.attempt(state, attempt, moment),
            },
            (Phase::Parked { attempt, until }, Event::Claimed | Event::TimerFired) => {
                if moment.now < until {
                    return Ok(waiting(state, until));
                }
                self.attempt(state, attempt, moment)
            }
            // Somebody holds the lease and is at it.
            (Phase::Ready { .. } | Phase::Calling { .. } | Phase::Asking { .. }, Event::TimerFired) => {
                Ok(unchanged(state))
            }

            // Answers to the call that is out.
            (Phase::Calling { attempt, .. }, Event::Answered { call, result }) if attempt.call == call => {
                self.conclude(state, attempt, Verdict::from(result), moment)
            }
            (Phase::Calling { attempt, deadline }, Event::Accepted { call, pending })
                if attempt.call == call =>
            {
                Ok(Self::accepted(state, attempt, deadline, pending))
            }
            (Phase::Calling { attempt, .. }, Event::Refused { call, explanation })
                if attempt.call == call =>
            {
                self.conclude(state, attempt, Verdict::certain(explanation), moment)
            }
            (Phase::Calling { attempt, deadline }, Event::Unreached { call }) if attempt.call == call => {
                Ok(self.unreached(state, attempt, deadline, moment))
            }
            (Phase::Calling { attempt, deadline }, Event::Unanswered { call }) if attempt.call == call => {
                self.unanswered(state, attempt, deadline, moment)
            }
            (
                Phase::Calling { attempt, .. },
                Event::OutsideAway {
                    call,
                    retry_after,
                    explanation,
                },
            ) if attempt.call == call => Ok(self.park(state, attempt, retry_after, explanation, moment)),

            // The service's own word on the operation, pushed or asked for.
            (
                phase,
                Event::Signalled {
                    call,
                    operation,
                    result,
                },
            ) => self.signalled(state, &phase, &call, operation, result, moment),
            (
                Phase::Waiting {
                    attempt, operation, ..
                }
                | Phase::Asking {
                    attempt, operation, ..
                },
                Event::OperationSeen {
                    operation: seen,
                    result: Some(result),
                },
            ) if operation == seen => self.conclude(state, attempt, Verdict::from(result), moment),
            (
                Phase::Asking {
                    attempt, operation, ..
                },
                Event::OperationSeen {
                    operation: seen,
                    result: None,
                },
            ) if operation == seen => self.conclude(state, attempt, Verdict::nobody_answered(), moment),

            // The question how it stands was not answered: a time-out may only be declared once it was.
            (
                Phase::Asking {
                    attempt,
                    operation,
                    deadline,
                },
                Event::Unreached { call } | Event::Unanswered { call } | Event::OutsideAway { call, .. },
            ) if attempt.call == call => self.ask_later(state, attempt, operation, deadline, moment),
            (Phase::Asking { attempt, .. }, Event::Refused { call, .. }) if attempt.call == call => {
                // The service knows of no such operation, so nobody will ever answer it.
                self.conclude(state, attempt, Verdict::nobody_answered(), moment)
            }

            // Late or repeated: the record already says what became of that call.
            (
                _,
                Event::Answered { .. }
                | Event::Accepted { .. }
                | Event::OperationSeen { .. }
                | Event::Refused { .. }
                | Event::Unreached { .. }
                | Event::Unanswered { .. }
                | Event::OutsideAway { .. },
            ) => Ok(unchanged(state)),
        }
    }

    /// A signal may overtake the `202` that announces its operation, and may still come while the next attempt of the
    /// same visit is due: attempts of a visit share one operation.
    fn signalled(
        &self,
        state: State,
        phase: &Phase,
        call: &StepCall,
        operation: OperationId,
        result: StepResult,
        moment: Moment,
    ) -> Result<Transition, IllegalEvent> {
        let Some(attempt) = phase.attempt().cloned() else {
            return Ok(unchanged(state));
        };
        if (&attempt.call.id, attempt.call.visit) != (&call.id, call.visit) {
            return Ok(unchanged(state));
        }
        let counts = match phase {
            Phase::Calling { .. } => true,
            Phase::Waiting {
                operation: waited, ..
            }
            | Phase::Asking {
                operation: waited, ..
            } => *waited == operation,
            // That attempt has failed already; only news that ends the visit is news.
            Phase::Backoff { .. } | Phase::Parked { .. } => {
                !matches!(result.outcome, Outcome::Failure | Outcome::Timeout)
            }
            Phase::Ready { .. } | Phase::Ended { .. } => false,
        };
        if counts {
            self.conclude(state, attempt, Verdict::from(result), moment)
        } else {
            Ok(unchanged(state))
        }
    }

    /// The event belongs to this execution, and the execution to this playbook.
    fn belongs(&self, state: &State, event: &Event) -> Result<(), IllegalEvent> {
        let illegal = |reason: String| Err(IllegalEvent::new(&state.phase, event.name(), reason));
        if let Some(step) = state.step()
            && self.playbook.step(step).is_none()
        {
            return illegal(format!("the playbook has no step `{step}`"));
        }
        let Some(call) = event.call() else {
            return Ok(());
        };
        let visits = state.visits.get(&call.id).copied().unwrap_or_default();
        if call.visit == 0 || call.visit > visits {
            return illegal(format!("visit {} of step `{}` never began", call.visit, call.id));
        }
        Ok(())
    }
}

/// Nothing happened.
fn unchanged(state: State) -> Transition {
    Transition {
        state,
        commands: Vec::new(),
        story: Vec::new(),
    }
}

/// Nothing happened; it is still waiting.
fn waiting(state: State, until: time::OffsetDateTime) -> Transition {
    Transition {
        state,
        commands: vec![Command::WakeAt(until)],
        story: Vec::new(),
    }
}
