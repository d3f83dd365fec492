//! What operators do to an execution: hold it, let it go, cancel it, and try again the step that failed.

use common::{Ending, Outcome, StepId};
use time::OffsetDateTime;

use super::Machine;
use super::calls::later;
use super::edges::Arrival;
use super::state::{Attempt, Failed, Phase, State};
use super::turn::{Leads, Turn};
use super::words::{Moment, Transition};
use crate::playbook::{ActionStep, Step};
use crate::registry::Credential;

/// Why an execution cannot be tried again from the step that failed. For people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRetry {
    /// It is under way by itself.
    #[error("it is under way, and nothing of it waits to be tried again")]
    UnderWay,
    /// No step failed.
    #[error("it did not end because a step failed")]
    NothingFailed,
    /// The world is no longer as the step would find it.
    #[error("what it had done was taken back")]
    TakenBack,
    /// Trying again could do it twice.
    #[error("nobody knows whether the privileged step `{0}` was done")]
    InDoubt(StepId),
    /// What had been proven was for that time.
    #[error("from step `{0}` on it needs a proof that was given up when it ended")]
    NeedsNewProof(StepId),
    /// As the playbook bounds it.
    #[error("the playbook allows no further visit of step `{0}`")]
    NoVisitLeft(StepId),
    /// It counts from the beginning, whatever happened in between.
    #[error("the playbook's time budget has run out")]
    OutOfBudget,
}

impl Machine<'_> {
    /// When the playbook's time is up.
    pub(super) fn budget_end(&self, state: &State) -> OffsetDateTime {
        later(state.started_at, self.playbook.budget())
    }

    /// When the call of a step must have ended: with the playbook's budget, or with the time that is left for taking back.
    pub(super) fn bound(&self, state: &State) -> OffsetDateTime {
        match &state.closing {
            Some(closing) => closing.until,
            None => self.budget_end(state),
        }
    }

    /// Try again, at an operator's word: at once what waits for the outside to come back or for its next attempt; and where
    /// the execution ended because a step failed, that step in a further visit, with attempts and keys of its own.
    ///
    /// # Errors
    /// Nothing is to be tried again, or it could do harm.
    pub fn retry(&self, state: State, moment: Moment) -> Result<Transition, NoRetry> {
        if matches!(state.phase, Phase::Ended { .. }) {
            return self.reopen(state, moment);
        }
        let mut state = state;
        if state.closing.is_some() || !hurry(&mut state.phase, moment.now) {
            return Err(NoRetry::UnderWay);
        }
        Ok(Transition {
            state,
            commands: Vec::new(),
            story: Vec::new(),
        })
    }

    fn reopen(&self, state: State, moment: Moment) -> Result<Transition, NoRetry> {
        let Some(Failed { step: id, bereft }) = state.failed.clone() else {
            return Err(NoRetry::NothingFailed);
        };
        let Some((step, action)) = self
            .playbook
            .step(&id)
            .and_then(|step| Some((step, step.action()?)))
        else {
            return Err(NoRetry::NothingFailed);
        };
        if state.taken_back {
            return Err(NoRetry::TakenBack);
        }
        if let Some(step) = state.in_doubt {
            return Err(NoRetry::InDoubt(step));
        }
        if bereft || action.action.privileged() || action.action.credential == Credential::Needs {
            return Err(NoRetry::NeedsNewProof(id));
        }
        if moment.now >= self.budget_end(&state) {
            return Err(NoRetry::OutOfBudget);
        }
        let visits = state.visits.get(&id).copied().unwrap_or_default();
        if step.max_visits.is_some_and(|most| visits >= most) {
            return Err(NoRetry::NoVisitLeft(id));
        }
        let (mut turn, _) = Turn::begin(*self, state, "retried", moment);
        turn.state.failed = None;
        let Arrival::Stays(Leads::To(phase)) = turn.arrive(step) else {
            return Err(NoRetry::NothingFailed);
        };
        turn.state.phase = phase;
        Ok(turn.into())
    }
}

/// What waits for its next attempt is due now; `false` where nothing does.
fn hurry(phase: &mut Phase, now: OffsetDateTime) -> bool {
    match phase {
        Phase::Backoff { until, .. } | Phase::Parked { until, .. } => {
            *until = now.min(*until);
            true
        }
        Phase::Parallel { strands, .. } => {
            let mut hurried = false;
            for strand in strands {
                hurried |= hurry(&mut strand.phase, now);
            }
            hurried
        }
        _ => false,
    }
}

impl Turn<'_> {
    /// No call goes out.
    pub(super) fn is_held(&self) -> bool {
        self.machine.held || self.is_cancelled()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.state.cancelled.is_some()
    }

    /// Until when what would begin stands still instead. Its time goes on: then it begins all the same, only to find that
    /// there is none left.
    pub(super) fn stands_until(&self) -> Option<OffsetDateTime> {
        let bound = self.bound();
        (self.is_held() && self.moment.now < bound).then_some(bound)
    }

    /// Until when an attempt that is due at `due` waits; `None` once it is to be made.
    pub(super) fn wait_for(&self, due: OffsetDateTime) -> Option<OffsetDateTime> {
        if self.moment.now < due {
            return Some(due);
        }
        self.stands_until()
    }

    /// The call never went out: it is due again as it is, and costs nothing.
    pub(super) fn held_back(&mut self, attempt: Attempt, deadline: OffsetDateTime) -> Leads {
        let until = self.moment.now;
        let wake_at = self.stands_until().unwrap_or(until);
        let backoff = Phase::Backoff {
            attempt,
            until,
            deadline: Some(deadline),
        };
        self.wait(backoff, wake_at)
    }

    /// No step goes out from now on. What is being taken back already ends by itself.
    pub(super) fn cancel(&mut self, phase: Phase, reason: String) -> Leads {
        if self.state.closing.is_none() {
            self.state.cancelled.get_or_insert(reason);
        }
        Leads::To(phase)
    }

    /// Drop everything, and end.
    pub(super) fn call_off(&mut self, phase: &Phase) -> Phase {
        self.drop_phase(phase);
        let reason = String::new();
        self.end(None, Ending::Escalated { reason })
    }

    /// An end that an operator asked for says so, and why it would have ended by itself.
    pub(super) fn as_cancelled(&mut self, step: Option<StepId>, ending: Ending) -> (Option<StepId>, Ending) {
        let Some(cancelled) = self.state.cancelled.take() else {
            return (step, ending);
        };
        self.state.failed = None;
        let reason = match ending {
            Ending::Escalated { reason } if !reason.is_empty() => format!("{cancelled} {reason}"),
            _ => cancelled,
        };
        (None, Ending::Escalated { reason })
    }

    /// What an operator may try again, and what stands against it. Branches are not taken up again one by one.
    pub(super) fn note_failure(&mut self, step: &Step, action: &ActionStep, outcome: &Outcome) {
        let failed = matches!(outcome, Outcome::Failure | Outcome::Timeout);
        self.state.failed = (failed && step.within.is_none()).then(|| Failed {
            step: step.id.clone(),
            bereft: false,
        });
        if action.action.privileged() && *outcome == Outcome::Timeout {
            self.doubt(step);
        }
    }

    /// It may have been done.
    pub(super) fn doubt(&mut self, step: &Step) {
        if step.action().is_some_and(|action| action.action.privileged()) {
            self.state.in_doubt.get_or_insert_with(|| step.id.clone());
        }
    }
}
