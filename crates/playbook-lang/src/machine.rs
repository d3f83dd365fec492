//! The machine: a pure function from a state and an event to the next state, commands, and a record of what happened.
//!
//! Production, simulation and the property tests drive the same one. Recovery is not a second code path: `Claimed` in any
//! phase says again what that phase is waiting for.

mod calls;
mod decide;
mod edges;
mod operate;
mod parallel;
mod pause;
mod phase;
#[cfg(test)]
pub(crate) mod properties;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
mod undo;
mod words;

use common::{OperationId, Outcome, StepCall, StepResult};
use time::OffsetDateTime;

use crate::playbook::Playbook;
use crate::roots::Facts;
use edges::Verdict;
pub use operate::NoRetry;
pub use state::{Attempt, Closing, Done, Failed, HeldCredential, HeldPermit, Phase, State, Strand};
pub(crate) use turn::Turn;
use turn::{Leads, Led};
pub use words::{Call, Command, Event, IllegalEvent, Moment, Record, Rules, Transition};

/// One playbook under one set of rules, for one ticket.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    pub(crate) playbook: &'a Playbook,
    pub(crate) rules: &'a Rules,
    pub(crate) facts: &'a Facts,
    /// No call goes out.
    pub(crate) held: bool,
}

impl<'a> Machine<'a> {
    /// The machine of `playbook`. The `facts` must be the same for the whole execution: a call that is repeated is filled
    /// with them again, and must come out the same.
    pub const fn new(playbook: &'a Playbook, rules: &'a Rules, facts: &'a Facts) -> Self {
        Self {
            playbook,
            rules,
            facts,
            held: false,
        }
    }

    /// The same while an operator has paused the execution, or a switch holds it: no call goes out, and whatever comes in
    /// is heard. Its time goes on.
    pub const fn standing_still(self) -> Self {
        Self { held: true, ..self }
    }

    /// As [`State::due_at`], and while standing still the end of the time that it has.
    pub fn due_at(&self, state: &State) -> Option<OffsetDateTime> {
        if self.held {
            return state
                .phase
                .due_standing_still(state.started_at, self.bound(state));
        }
        state.due_at()
    }

    /// What `event` does to `state` at this `moment`.
    ///
    /// Late and repeated events change nothing and command nothing. [`IllegalEvent`] means that the caller mixed up
    /// executions or playbooks: an answer to a call that was never made, a step that the playbook does not have.
    pub fn apply(&self, state: State, event: Event, moment: Moment) -> Result<Transition, IllegalEvent> {
        self.turn(state, event, moment).map(Transition::from)
    }

    /// As [`Self::apply`], with the steps that were entered on the way.
    pub(crate) fn turn(&self, state: State, event: Event, moment: Moment) -> Result<Turn<'a>, IllegalEvent> {
        self.belongs(&state, &event)?;
        let claimed = matches!(event, Event::Claimed);
        let taken_up = matches!(event, Event::Claimed | Event::LetGo);
        let (mut turn, phase) = Turn::begin(*self, state, event.name(), moment);
        let mut leads = turn.advance(phase, event)?;
        loop {
            let phase = match leads {
                Leads::To(phase) => phase,
                Leads::End { step, ending } => turn.end(step, ending),
            };
            // Once the call that is out was heard, and at once where there is none.
            if turn.is_cancelled() && (claimed || !phase.has_call_out()) {
                leads = Leads::To(turn.call_off(&phase));
                continue;
            }
            // Who takes an execution up, begins the step that it is at.
            if taken_up && turn.stands_until().is_none() && phase.has_ready() {
                leads = turn.take_up(phase)?;
                continue;
            }
            turn.state.phase = phase;
            return Ok(turn);
        }
    }

    /// The event belongs to this execution, and the execution to this playbook.
    fn belongs(&self, state: &State, event: &Event) -> Result<(), IllegalEvent> {
        let illegal = |reason: String| Err(IllegalEvent::new(state.phase.name(), event.name(), reason));
        if let Some(step) = self.stranger(&state.phase) {
            return illegal(format!("the playbook has no step `{step}`"));
        }
        let Some(call) = event.call() else {
            return Ok(());
        };
        if call.visit == 0 || call.visit > self.visits(state, call) {
            return illegal(format!("visit {} of step `{}` never began", call.visit, call.id));
        }
        Ok(())
    }
}

impl Turn<'_> {
    /// The table of transitions. What an arm does is in the file of its topic.
    #[expect(
        clippy::too_many_lines,
        clippy::match_same_arms,
        reason = "the table of transitions stays in one place, in the order in which it is told"
    )]
    fn advance(&mut self, phase: Phase, event: Event) -> Led {
        match (phase, event) {
            // Over is over; a branch that has ended waits for the others.
            (phase @ (Phase::Ended { .. } | Phase::Joined { .. }), _) => Ok(Leads::To(phase)),

            // For the whole execution, whatever it does.
            (phase, Event::Cancelled { reason }) => Ok(self.cancel(phase, reason)),

            // Whatever it is, it is for the branches.
            (Phase::Parallel { step, visit, strands }, event) => self.route(&step, visit, strands, event),

            // Whoever misses nothing has nothing of it.
            (Phase::Parked { attempt, until }, Event::OutsideBack) => match self.stands_until() {
                Some(wake_at) => Ok(self.wait(Phase::Parked { attempt, until }, wake_at)),
                None => self.attempt(attempt),
            },
            (phase, Event::OutsideBack) => Ok(Leads::To(phase)),

            // Taking it up, for the first time or after a crash.
            (Phase::Ready { step, visit }, Event::Claimed | Event::LetGo) => self.begin_step(step, visit),
            (Phase::Calling { attempt, deadline }, Event::Claimed) => {
                // Whoever called has gone, and with them what they may have heard.
                let in_doubt = true;
                self.resume(Attempt { in_doubt, ..attempt }, deadline)
            }
            (
                Phase::Asking {
                    attempt,
                    operation,
                    deadline,
                },
                Event::Claimed,
            ) => self.ask(attempt, operation, deadline),

            // Timers, and taking up what waits for one.
            (
                Phase::Waiting {
                    attempt,
                    operation,
                    deadline,
                    ask_at,
                },
                Event::Claimed | Event::TimerFired | Event::LetGo,
            ) => {
                if self.moment.now >= ask_at {
                    return self.ask(attempt, operation, deadline);
                }
                let waiting = Phase::Waiting {
                    attempt,
                    operation,
                    deadline,
                    ask_at,
                };
                Ok(self.wait(waiting, ask_at))
            }
            (
                Phase::Backoff {
                    attempt,
                    until,
                    deadline,
                },
                Event::Claimed | Event::TimerFired | Event::LetGo,
            ) => match (self.wait_for(until), deadline) {
                (Some(wake_at), deadline) => {
                    let backoff = Phase::Backoff {
                        attempt,
                        until,
                        deadline,
                    };
                    Ok(self.wait(backoff, wake_at))
                }
                (None, Some(deadline)) => self.resume(attempt, deadline),
                (None, None) => self.attempt(attempt),
            },
            (Phase::Parked { attempt, until }, Event::Claimed | Event::TimerFired | Event::LetGo) => {
                match self.wait_for(until) {
                    Some(wake_at) => Ok(self.wait(Phase::Parked { attempt, until }, wake_at)),
                    None => self.attempt(attempt),
                }
            }
            (Phase::Pausing { step, visit, until }, Event::Claimed | Event::TimerFired | Event::LetGo) => {
                if self.moment.now >= until {
                    return self.pause_over(&step, visit, until);
                }
                Ok(self.wait(Phase::Pausing { step, visit, until }, until))
            }
            // Somebody holds the lease and is at it.
            (phase @ (Phase::Calling { .. } | Phase::Asking { .. }), Event::TimerFired | Event::LetGo) => {
                Ok(Leads::To(phase))
            }
            // Standing still, its time may have run out.
            (Phase::Ready { step, visit }, Event::TimerFired) if self.is_held() => {
                self.begin_step(step, visit)
            }
            (phase @ Phase::Ready { .. }, Event::TimerFired) => Ok(Leads::To(phase)),

            // Answers to the call that is out.
            (Phase::Calling { attempt, .. }, Event::Answered { call, result }) if attempt.call == call => {
                self.conclude(attempt, Verdict::from(result))
            }
            (Phase::Calling { attempt, deadline }, Event::Accepted { call, pending })
                if attempt.call == call =>
            {
                Ok(self.accepted(attempt, deadline, pending))
            }
            (Phase::Calling { attempt, .. }, Event::Refused { call, explanation })
                if attempt.call == call =>
            {
                self.conclude(attempt, Verdict::certain(explanation))
            }
            (Phase::Calling { attempt, deadline }, Event::Unreached { call, retry_after })
                if attempt.call == call =>
            {
                Ok(self.unreached(attempt, deadline, retry_after))
            }
            (Phase::Calling { attempt, deadline }, Event::Unanswered { call }) if attempt.call == call => {
                self.unanswered(attempt, deadline)
            }
            (Phase::Calling { attempt, deadline }, Event::HeldBack { call }) if attempt.call == call => {
                Ok(self.held_back(attempt, deadline))
            }
            (
                Phase::Calling { attempt, .. },
                Event::OutsideAway {
                    call,
                    retry_after,
                    explanation,
                },
            ) if attempt.call == call => Ok(self.park(attempt, retry_after, explanation)),

            // The service's own word on the operation, pushed or asked for.
            (
                phase,
                Event::Signalled {
                    call,
                    operation,
                    result,
                },
            ) => self.signalled(phase, &call, operation, result),
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
            ) if operation == seen => self.conclude(attempt, Verdict::from(result)),
            (
                Phase::Asking {
                    attempt, operation, ..
                },
                Event::OperationSeen {
                    operation: seen,
                    result: None,
                },
            ) if operation == seen => self.conclude(attempt, Verdict::nobody_answered()),

            // The question how it stands was not answered: a time-out may only be declared once it was.
            (
                Phase::Asking {
                    attempt,
                    operation,
                    deadline,
                },
                Event::Unreached { call, .. } | Event::Unanswered { call } | Event::OutsideAway { call, .. },
            ) if attempt.call == call => self.ask_later(attempt, operation, deadline),
            (Phase::Asking { attempt, .. }, Event::Refused { call, .. }) if attempt.call == call => {
                // The service knows of no such operation, so nobody will ever answer it.
                self.conclude(attempt, Verdict::nobody_answered())
            }

            // Late or repeated: the record already says what became of that call.
            (
                phase,
                Event::Answered { .. }
                | Event::Accepted { .. }
                | Event::OperationSeen { .. }
                | Event::Refused { .. }
                | Event::Unreached { .. }
                | Event::Unanswered { .. }
                | Event::OutsideAway { .. }
                | Event::HeldBack { .. },
            ) => Ok(Leads::To(phase)),
        }
    }

    /// A signal may overtake the `202` that announces its operation, and may still come while the next attempt of the
    /// same visit is due: attempts of a visit share one operation.
    fn signalled(
        &mut self,
        phase: Phase,
        call: &StepCall,
        operation: OperationId,
        result: StepResult,
    ) -> Led {
        let counts = phase.is_about(call)
            && match &phase {
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
                Phase::Ready { .. }
                | Phase::Pausing { .. }
                | Phase::Parallel { .. }
                | Phase::Joined { .. }
                | Phase::Ended { .. } => false,
            };
        match phase {
            Phase::Calling { attempt, .. }
            | Phase::Waiting { attempt, .. }
            | Phase::Asking { attempt, .. }
            | Phase::Backoff { attempt, .. }
            | Phase::Parked { attempt, .. }
                if counts =>
            {
                self.conclude(attempt, Verdict::from(result))
            }
            phase => Ok(Leads::To(phase)),
        }
    }
}
