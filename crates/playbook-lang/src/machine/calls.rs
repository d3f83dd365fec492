//! Calling: begin a step, make its call, repeat it, wait for its operation, ask after it, park.

use std::time::Duration;

use common::{AuthorizedAction, OperationId, Outcome, Pending, StepCall, StepId, StepResult};
use time::OffsetDateTime;

use super::Machine;
use super::edges::{Verdict, escalated};
use super::state::{Attempt, HeldPermit, Phase, State};
use super::words::{Call, Command, IllegalEvent, Moment, Record, Transition};
use crate::playbook::{ActionStep, Step};
use crate::registry::Credential;

/// The pause before the same call, or the same question, is repeated because no answer came. Short: the service is most
/// likely being restarted, and the answer lies ready.
const REPEAT_AFTER: Duration = Duration::from_secs(2);
/// After a deadline the service's own verdict gets this long to arrive before it is asked for.
const GRACE: Duration = Duration::from_secs(1);
/// However long an outside system wants to be left alone, it is tried again this often.
const LONGEST_PARK: Duration = Duration::from_mins(15);

impl Machine<'_> {
    /// The first attempt of a visit.
    pub(super) fn begin(
        &self,
        state: State,
        step: StepId,
        visit: u32,
        moment: Moment,
    ) -> Result<Transition, IllegalEvent> {
        let attempt = Attempt {
            call: StepCall {
                id: step,
                visit,
                attempt: 1,
            },
            failures: 0,
            repeats: 0,
        };
        self.attempt(state, attempt, moment)
    }

    /// A fresh attempt with a fresh deadline, where the budget and the proof allow it.
    pub(super) fn attempt(
        &self,
        state: State,
        attempt: Attempt,
        moment: Moment,
    ) -> Result<Transition, IllegalEvent> {
        let step = attempt.call.id.clone();
        let Some(action) = self.playbook.step(&step).and_then(|step| step.action()) else {
            // A playbook may begin with its end.
            return Ok(self.enter(state, Vec::new(), Some(step), moment));
        };
        let end = self.budget_end(&state);
        if moment.now >= end {
            let reason = format!("The playbook's time budget ran out before step `{step}` was done.");
            return Ok(Self::end(state, Vec::new(), None, escalated(reason), moment));
        }
        if let Err(reason) = entitled(&state, &step, action) {
            return Ok(Self::end(state, Vec::new(), None, escalated(reason), moment));
        }
        let longest = self.rules.longest.get(action.name()).copied();
        let timeout = longest.map_or(action.timeout, |longest| longest.min(action.timeout));
        let deadline = later(moment.now, timeout).min(end);
        let call = attempt.call.clone();
        let calling = state.with(Phase::Calling {
            attempt: attempt.clone(),
            deadline,
        });
        let mut transition = self.repeat(calling, attempt, deadline)?;
        transition.story.push(Record::Began { call, deadline });
        Ok(transition)
    }

    /// Ask again for a call whose answer was lost. Within its deadline it is the same call, key and body, and the answer
    /// lies ready. After it, the service would rightly refuse to begin, so a further attempt asks with a fresh deadline:
    /// it belongs to the same visit, so what was done is not done again. No attempt is spent by our own absence.
    pub(super) fn resume(
        &self,
        state: State,
        attempt: Attempt,
        deadline: OffsetDateTime,
        moment: Moment,
    ) -> Result<Transition, IllegalEvent> {
        if moment.now < deadline {
            let calling = Phase::Calling {
                attempt: attempt.clone(),
                deadline,
            };
            return self.repeat(state.with(calling), attempt, deadline);
        }
        let next = Attempt {
            call: following(attempt.call),
            ..attempt
        };
        self.attempt(state, next, moment)
    }

    /// The call of this attempt: the first time and each time it must be repeated, the same.
    pub(super) fn repeat(
        &self,
        state: State,
        attempt: Attempt,
        deadline: OffsetDateTime,
    ) -> Result<Transition, IllegalEvent> {
        let step = &attempt.call.id;
        let action = self.action_of(&state, step)?;
        let call = Call {
            action: action.name().clone(),
            path: action.action.path.clone(),
            parameters: crate::template::fill(&action.parameters, &|name| self.facts.named(name)),
            deadline,
            authorizes: self.authorized(action),
            permit: permit_for(&state, step).map(|held| held.token.clone()),
            sealed: match action.action.credential {
                Credential::Needs => state.credentials.last().map(|held| held.sealed.clone()),
                Credential::None | Credential::Yields => None,
            },
            call: attempt.call,
        };
        Ok(Transition {
            state,
            commands: vec![Command::Call(Box::new(call))],
            story: Vec::new(),
        })
    }

    /// What a verification's success will allow.
    fn authorized(&self, action: &ActionStep) -> Option<AuthorizedAction> {
        let step = action.authorizes.as_ref()?;
        let privileged = self.playbook.step(step)?.action()?;
        Some(AuthorizedAction {
            action: privileged.name().clone(),
            step: step.clone(),
            parameters: privileged.parameters.clone(),
        })
    }

    /// The service took it on; somebody else will answer.
    pub(super) fn accepted(
        state: State,
        attempt: Attempt,
        deadline: OffsetDateTime,
        pending: Pending,
    ) -> Transition {
        let ask_at = later(deadline, GRACE);
        let call = attempt.call.clone();
        let Pending {
            operation,
            explanation,
        } = pending;
        Transition {
            state: state.with(Phase::Waiting {
                attempt,
                operation,
                deadline,
                ask_at,
            }),
            commands: vec![Command::WakeAt(ask_at)],
            story: vec![Record::Asked {
                call,
                operation,
                explanation,
            }],
        }
    }

    /// Ask the service how the operation stands.
    pub(super) fn ask(
        &self,
        state: State,
        attempt: &Attempt,
        operation: OperationId,
    ) -> Result<Transition, IllegalEvent> {
        let action = self.action_of(&state, &attempt.call.id)?;
        let command = Command::AskOperation {
            call: attempt.call.clone(),
            action: action.name().clone(),
            operation,
        };
        Ok(Transition {
            state,
            commands: vec![command],
            story: Vec::new(),
        })
    }

    /// The question went unanswered. Ask again until the budget ends: nobody may be declared silent who was not asked.
    pub(super) fn ask_later(
        &self,
        state: State,
        attempt: Attempt,
        operation: OperationId,
        deadline: OffsetDateTime,
        moment: Moment,
    ) -> Result<Transition, IllegalEvent> {
        if moment.now >= self.budget_end(&state) {
            return self.conclude(state, attempt, Verdict::nobody_answered(), moment);
        }
        let ask_at = later(moment.now, self.rules.probe);
        let waiting = Phase::Waiting {
            attempt,
            operation,
            deadline,
            ask_at,
        };
        Ok(super::waiting(state.with(waiting), ask_at))
    }

    /// The call did not arrive. Before the deadline the same call is repeated; after it, patience: a service of the fleet
    /// that is away costs budget, not attempts.
    pub(super) fn unreached(
        &self,
        state: State,
        attempt: Attempt,
        deadline: OffsetDateTime,
        moment: Moment,
    ) -> Transition {
        if moment.now < deadline {
            return repeat_soon(state, attempt, deadline, moment);
        }
        let explanation = format!(
            "The service behind step `{}` could not be reached.",
            attempt.call.id
        );
        self.park(state, attempt, None, explanation, moment)
    }

    /// Sent, and no answer: it may have happened, so it is asked for again. Where the very first answer failed to come
    /// until the deadline, it is asked for once more; else the attempt counts as timed out.
    pub(super) fn unanswered(
        &self,
        state: State,
        attempt: Attempt,
        deadline: OffsetDateTime,
        moment: Moment,
    ) -> Result<Transition, IllegalEvent> {
        if moment.now < deadline || attempt.repeats == 0 {
            return Ok(repeat_soon(state, attempt, deadline, moment));
        }
        let explanation = "The service did not answer in time.";
        let result = StepResult::new(Outcome::Timeout, explanation);
        self.conclude(state, attempt, result.into(), moment)
    }

    /// Wait until the outside is back. The fresh deadline then is another body and needs another key; no attempt of the
    /// retry budget is spent, and for the service it is still the same visit.
    pub(super) fn park(
        &self,
        state: State,
        attempt: Attempt,
        retry_after: Option<Duration>,
        explanation: String,
        moment: Moment,
    ) -> Transition {
        let wait = retry_after
            .unwrap_or(self.rules.probe)
            .clamp(Duration::from_secs(1), LONGEST_PARK);
        let until = later(moment.now, wait).min(self.budget_end(&state));
        let attempt = Attempt {
            call: following(attempt.call),
            repeats: 0,
            ..attempt
        };
        let call = attempt.call.clone();
        Transition {
            state: state.with(Phase::Parked { attempt, until }),
            commands: vec![Command::WakeAt(until)],
            story: vec![Record::Parked {
                call,
                explanation,
                until,
            }],
        }
    }

    /// The step as a call; what stands at a step that calls nothing is no state of this playbook.
    pub(super) fn action_of(&self, state: &State, step: &StepId) -> Result<&ActionStep, IllegalEvent> {
        self.playbook.step(step).and_then(Step::action).ok_or_else(|| {
            let reason = format!("step `{step}` of the playbook calls nothing");
            IllegalEvent::new(&state.phase, "event", reason)
        })
    }

    pub(super) fn budget_end(&self, state: &State) -> OffsetDateTime {
        later(state.started_at, self.playbook.budget())
    }
}

impl State {
    pub(super) fn with(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

/// `moment + by`, at the end of time at the latest.
pub(super) fn later(moment: OffsetDateTime, by: Duration) -> OffsetDateTime {
    time::Duration::try_from(by)
        .ok()
        .and_then(|by| moment.checked_add(by))
        .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc())
}

/// The permit at hand for this step; the latest counts.
fn permit_for<'s>(state: &'s State, step: &StepId) -> Option<&'s HeldPermit> {
    state.permits.iter().rev().find(|held| held.allows == *step)
}

/// Whether the step may be entered with what is at hand. The check has proven it for the graph; this says it again for
/// the world, in which a service may break its promise.
fn entitled(state: &State, step: &StepId, action: &ActionStep) -> Result<(), String> {
    if !state.proof.satisfies(action.action.requires) {
        return Err(format!(
            "Step `{step}` was reached without sufficient proof of who is asking."
        ));
    }
    if action.action.privileged() && permit_for(state, step).is_none() {
        return Err(format!("Step `{step}` was reached without a permit for it."));
    }
    if action.action.credential == Credential::Needs && state.credentials.is_empty() {
        return Err(format!(
            "Step `{step}` was reached without a credential to deliver."
        ));
    }
    Ok(())
}

/// The next attempt of the same visit.
pub(super) fn following(call: StepCall) -> StepCall {
    StepCall {
        attempt: call.attempt.saturating_add(1),
        ..call
    }
}

/// The same call once more, shortly: same key, same body, same deadline.
fn repeat_soon(state: State, attempt: Attempt, deadline: OffsetDateTime, moment: Moment) -> Transition {
    let until = later(moment.now, REPEAT_AFTER);
    let attempt = Attempt {
        repeats: attempt.repeats.saturating_add(1),
        ..attempt
    };
    super::waiting(
        state.with(Phase::Backoff {
            attempt,
            until,
            deadline: Some(deadline),
        }),
        until,
    )
}
