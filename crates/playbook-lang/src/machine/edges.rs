//! What follows a call: another attempt, or the edge of its outcome, to the next step or to the end.

use common::{Ending, Outcome, StepId, StepResult};

use super::Machine;
use super::calls::{following, later};
use super::state::{Attempt, HeldCredential, HeldPermit, Phase, State};
use super::words::{Command, IllegalEvent, Moment, Record, Transition};
use crate::playbook::{ActionStep, StepKind};
use crate::registry::Credential;

/// How an attempt ended.
pub(super) struct Verdict {
    result: StepResult,
    /// Another attempt would end the same way.
    certain: bool,
}

impl From<StepResult> for Verdict {
    fn from(result: StepResult) -> Self {
        Self {
            result,
            certain: false,
        }
    }
}

impl Verdict {
    pub(super) fn certain(explanation: impl Into<String>) -> Self {
        Self {
            result: StepResult::new(Outcome::Failure, explanation),
            certain: true,
        }
    }

    pub(super) fn nobody_answered() -> Self {
        StepResult::new(Outcome::Timeout, "Nobody answered in time.").into()
    }
}

impl Machine<'_> {
    /// An attempt ended: try again, or follow the edge of its outcome.
    pub(super) fn conclude(
        &self,
        state: State,
        attempt: Attempt,
        verdict: Verdict,
        moment: Moment,
    ) -> Result<Transition, IllegalEvent> {
        let action = self.action_of(&state, &attempt.call.id)?;
        let Verdict { result, certain } = kept_promise(action, verdict);
        let again = !certain
            && matches!(result.outcome, Outcome::Failure | Outcome::Timeout)
            && attempt.failures.saturating_add(1) < action.retry.max_attempts;
        if again {
            Ok(self.try_again(state, attempt, action, result, moment))
        } else {
            Ok(self.follow(state, attempt, action, result, moment))
        }
    }

    fn try_again(
        &self,
        state: State,
        attempt: Attempt,
        action: &ActionStep,
        result: StepResult,
        moment: Moment,
    ) -> Transition {
        let failures = attempt.failures.saturating_add(1);
        let wait = action.retry.wait(failures, moment.chance);
        let until = later(moment.now, wait).min(self.budget_end(&state));
        let call = attempt.call.clone();
        let next = Attempt {
            call: following(attempt.call),
            failures,
            repeats: 0,
        };
        Transition {
            state: state.with(Phase::Backoff {
                attempt: next,
                until,
                deadline: None,
            }),
            commands: vec![Command::WakeAt(until)],
            story: vec![Record::Retrying {
                call,
                outcome: result.outcome,
                explanation: result.explanation,
                at: until,
            }],
        }
    }

    /// Leave the step along the edge of its outcome, with what it brought.
    fn follow(
        &self,
        mut state: State,
        attempt: Attempt,
        action: &ActionStep,
        result: StepResult,
        moment: Moment,
    ) -> Transition {
        let step = attempt.call.id.clone();
        state.proof = state.proof.after(&action.action, &result.outcome);
        // A permit is for one visit. What was not spent is not kept either.
        state.permits.retain(|held| held.allows != step);
        if let (Some(token), Some(allows)) = (result.permit, action.authorizes.clone()) {
            state.permits.push(HeldPermit {
                from: step.clone(),
                allows,
                token,
            });
        }
        if let (Some(sealed), Credential::Yields) = (result.sealed, action.action.credential) {
            state.credentials.retain(|held| held.from != step);
            state.credentials.push(HeldCredential {
                from: step.clone(),
                sealed,
            });
        }
        let next = self
            .playbook
            .step(&step)
            .and_then(|step| step.edge(&result.outcome))
            .cloned();
        let finished = Record::Finished {
            call: attempt.call,
            outcome: result.outcome.clone(),
            explanation: result.explanation,
            output: result.output,
            next: next.clone(),
        };
        if let Some(next) = next {
            self.enter(state, vec![finished], Some(next), moment)
        } else {
            let reason = format!(
                "Step `{step}` ended in `{}`, for which the playbook has no edge.",
                result.outcome
            );
            Self::end(state, vec![finished], None, escalated(reason), moment)
        }
    }

    /// Arrive at a step: an ending ends, anything else is ready to begin.
    pub(super) fn enter(
        &self,
        mut state: State,
        story: Vec<Record>,
        step: Option<StepId>,
        moment: Moment,
    ) -> Transition {
        let Some((id, target)) = step.and_then(|id| {
            let target = self.playbook.step(&id)?;
            Some((id, target))
        }) else {
            let reason = "The playbook leads to a step that it does not have.".to_owned();
            return Self::end(state, story, None, escalated(reason), moment);
        };
        match &target.kind {
            StepKind::Terminal => Self::end(state, story, Some(id), Ending::Resolved, moment),
            StepKind::Escalation { reason } => {
                let ending = escalated(reason.clone());
                Self::end(state, story, Some(id), ending, moment)
            }
            _ => {
                let visits = state.visits.entry(id.clone()).or_default();
                if target.max_visits.is_some_and(|most| *visits >= most) {
                    let reason =
                        format!("Step `{id}` was entered more often than the playbook allows ({visits}).");
                    return Self::end(state, story, None, escalated(reason), moment);
                }
                *visits = visits.saturating_add(1);
                let visit = *visits;
                Transition {
                    state: state.with(Phase::Ready { step: id, visit }),
                    commands: Vec::new(),
                    story,
                }
            }
        }
    }

    /// The end. What was at hand is dropped: an ended execution holds no permit and no credential.
    pub(super) fn end(
        mut state: State,
        mut story: Vec<Record>,
        step: Option<StepId>,
        ending: Ending,
        moment: Moment,
    ) -> Transition {
        state.permits.clear();
        state.credentials.clear();
        story.push(Record::Reached {
            step: step.clone(),
            ending: ending.clone(),
        });
        Transition {
            state: state.with(Phase::Ended {
                step,
                ending: ending.clone(),
                at: moment.now,
            }),
            commands: vec![Command::Ended(ending)],
            story,
        }
    }
}

pub(super) fn escalated(reason: String) -> Ending {
    Ending::Escalated { reason }
}

/// A success that lacks what it must bring is none.
fn kept_promise(action: &ActionStep, verdict: Verdict) -> Verdict {
    if verdict.result.outcome != Outcome::Success {
        return verdict;
    }
    if action.action.verifies() && action.authorizes.is_some() && verdict.result.permit.is_none() {
        return Verdict::certain("The verification reported success without a permit, so it does not count.");
    }
    if action.action.credential == Credential::Yields && verdict.result.sealed.is_none() {
        return Verdict::certain(
            "The action reported success without a sealed credential, so it does not count.",
        );
    }
    verdict
}
