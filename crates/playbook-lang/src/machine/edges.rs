//! What follows a step: another attempt, or the edge of its outcome, to the next step or to the end.

use common::{Ending, Outcome, StepCall, StepId, StepResult, Values};

use super::calls::{following, later};
use super::state::{Attempt, HeldCredential, HeldPermit, Phase};
use super::turn::{Leads, Led, Turn, only_call};
use super::words::{Command, Record};
use crate::playbook::{ActionStep, Step, StepKind};
use crate::registry::Credential;

/// So many steps in one turn go round in a circle in which nothing happens and no time passes. The check finds such
/// circles; this ends them where it was not asked.
const MOST_AT_ONCE: usize = 10_000;

/// How an attempt ended.
pub(super) struct Verdict {
    result: StepResult,
    /// Another attempt would end the same way.
    certain: bool,
    /// The service says that it was done. It counts as a failure because what it must bring is not there.
    done: bool,
}

impl From<StepResult> for Verdict {
    fn from(result: StepResult) -> Self {
        Self {
            result,
            certain: false,
            done: false,
        }
    }
}

impl Verdict {
    pub(super) fn certain(explanation: impl Into<String>) -> Self {
        Self {
            result: StepResult::new(Outcome::Failure, explanation),
            certain: true,
            done: false,
        }
    }

    fn broken_promise(explanation: &str) -> Self {
        Self {
            done: true,
            ..Self::certain(explanation)
        }
    }

    pub(super) fn nobody_answered() -> Self {
        StepResult::new(Outcome::Timeout, "Nobody answered in time.").into()
    }
}

/// What became of arriving at a step.
pub(super) enum Arrival<'m> {
    /// It stays there, or the execution ends.
    Stays(Leads),
    /// The step is done already, and leads on.
    Passes(&'m StepId),
}

impl<'m> Turn<'m> {
    /// An attempt ended: try again, or follow the edge of its outcome.
    pub(super) fn conclude(&mut self, attempt: Attempt, verdict: Verdict) -> Led {
        let (step, action) = self.action_of(&attempt.call.id)?;
        let Verdict {
            result,
            certain,
            done,
        } = kept_promise(action, verdict);
        let again = !certain
            && !self.is_cancelled()
            && matches!(result.outcome, Outcome::Failure | Outcome::Timeout)
            && attempt.failures.saturating_add(1) < action.retry.max_attempts;
        Ok(if again {
            self.try_again(attempt, action, result)
        } else if self.state.closing.is_some() {
            self.undone(attempt.call, result)
        } else {
            match result.outcome {
                // What timed out may have happened all the same.
                Outcome::Success | Outcome::Timeout => self.was_done(step, attempt.call.visit),
                _ if done => self.may_have_happened(&attempt.call),
                _ if attempt.may_have_been_done(certain) => self.nobody_knows(&attempt.call),
                _ => {}
            }
            self.follow(attempt, step, action, result)
        })
    }

    fn try_again(&mut self, attempt: Attempt, action: &ActionStep, result: StepResult) -> Leads {
        let failures = attempt.failures.saturating_add(1);
        let in_doubt = attempt.in_doubt || result.outcome == Outcome::Timeout;
        let wait = action.retry.wait(failures, self.moment.chance);
        let until = later(self.moment.now, wait).min(self.bound());
        self.story.push(Record::Retrying {
            call: attempt.call.clone(),
            outcome: result.outcome,
            explanation: result.explanation,
            at: until,
        });
        self.commands.push(Command::WakeAt(until));
        Leads::To(Phase::Backoff {
            attempt: Attempt {
                call: following(attempt.call),
                failures,
                repeats: 0,
                unanswered: false,
                in_doubt,
            },
            until,
            deadline: None,
        })
    }

    /// Leave the step along the edge of its outcome, with what it brought.
    fn follow(
        &mut self,
        attempt: Attempt,
        step: &'m Step,
        action: &ActionStep,
        mut result: StepResult,
    ) -> Leads {
        let outcome = &result.outcome;
        self.note_failure(step, action, outcome);
        self.state.proof = self.state.proof.after(&action.action, outcome);
        // A permit is for one visit. What was not spent is not kept either.
        self.state.permits.retain(|held| held.allows != step.id);
        if let (Some(token), Some(allows)) = (result.permit.take(), action.authorizes.clone()) {
            self.state.permits.push(HeldPermit {
                from: step.id.clone(),
                allows,
                token,
            });
        }
        if let (Some(sealed), Credential::Yields) = (result.sealed.take(), action.action.credential) {
            self.state.credentials.retain(|held| held.from != step.id);
            self.state.credentials.push(HeldCredential {
                from: step.id.clone(),
                sealed,
            });
        }
        if matches!(outcome, Outcome::Success | Outcome::Word(_)) {
            self.keep(step, action, &result.output);
        }
        let arrival = self.leave(step, attempt.call, result);
        self.go_on(step, arrival)
    }

    /// Keep what the step answered for the steps after it: the declared values, where they are what was declared.
    fn keep(&mut self, step: &Step, action: &ActionStep, output: &Values) {
        let declared: Values = output
            .iter()
            .filter(|(name, value)| {
                let declared = action.action.outputs.get(*name);
                declared.is_some_and(|declared| declared.kind.admits(value))
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if declared.is_empty() {
            // What an earlier visit answered does not stand for this one.
            self.state.outputs.remove(&step.id);
        } else {
            self.state.outputs.insert(step.id.clone(), declared);
        }
    }

    /// Go from step to step until one acts, waits or ends. `place` is the parallel step that they stand in.
    pub(super) fn enter(&mut self, first: &'m StepId, place: Option<&'m StepId>) -> Leads {
        let mut next = first;
        loop {
            let Some(step) = self.playbook().step(next) else {
                let reason = "The playbook leads to a step that it does not have.".to_owned();
                return Leads::escalated(reason);
            };
            if self::place(step) != place {
                let reason = format!("The playbook leads into or out of a branch at step `{next}`.");
                return Leads::escalated(reason);
            }
            if self.entered.len() >= MOST_AT_ONCE {
                let reason = format!("The playbook goes round at step `{next}` without doing anything.");
                return Leads::escalated(reason);
            }
            self.entered.push(step.id.clone());
            match self.arrive(step) {
                Arrival::Stays(leads) => return leads,
                Arrival::Passes(to) => next = to,
            }
        }
    }

    /// Follow on from a step that was waited for.
    pub(super) fn go_on(&mut self, step: &'m Step, arrival: Arrival<'m>) -> Leads {
        match arrival {
            Arrival::Stays(leads) => leads,
            Arrival::Passes(next) => self.enter(next, place(step)),
        }
    }

    /// Count the visit, where the playbook allows one more. The end of an execution is no visit.
    pub(super) fn arrive(&mut self, step: &'m Step) -> Arrival<'m> {
        let ending = matches!(step.kind, StepKind::Terminal | StepKind::Escalation { .. });
        if ending && step.within.is_none() {
            return self.arrive_at(step, 1);
        }
        let visits = self.state.visits.entry(step.id.clone()).or_default();
        if step.max_visits.is_some_and(|most| *visits >= most) {
            let reason = format!(
                "Step `{}` was entered more often than the playbook allows ({visits}).",
                step.id
            );
            return Arrival::Stays(Leads::escalated(reason));
        }
        *visits = visits.saturating_add(1);
        let visit = *visits;
        self.arrive_at(step, visit)
    }

    /// What a step does first of all.
    pub(super) fn arrive_at(&mut self, step: &'m Step, visit: u32) -> Arrival<'m> {
        match &step.kind {
            StepKind::Action(_) => Arrival::Stays(Leads::To(Phase::Ready {
                step: step.id.clone(),
                visit,
            })),
            StepKind::Decision(cases) => self.decide(step, cases, visit),
            StepKind::Wait(pause) => self.pause(step, pause, visit),
            StepKind::Parallel(parallel) => self.split(step, parallel, visit),
            StepKind::Terminal => Arrival::Stays(self.reach(step, visit, Ending::Resolved)),
            StepKind::Escalation { reason } => {
                let reason = reason.clone();
                Arrival::Stays(self.reach(step, visit, Ending::Escalated { reason }))
            }
        }
    }

    /// An ending ends the execution; within a branch, the branch and nothing else.
    fn reach(&mut self, step: &Step, visit: u32, ending: Ending) -> Leads {
        let Some(within) = &step.within else {
            return Leads::End {
                step: Some(step.id.clone()),
                ending,
            };
        };
        let (outcome, explanation) = match ending {
            Ending::Resolved => (
                Outcome::Success,
                format!("The branch `{}` ended well.", within.branch),
            ),
            Ending::Escalated { reason } => (Outcome::Failure, reason),
        };
        self.story.push(Record::Finished {
            call: only_call(&step.id, visit),
            outcome: outcome.clone(),
            explanation,
            output: Values::new(),
            next: None,
        });
        Leads::To(Phase::Joined { outcome })
    }

    /// Leave a step that called nobody.
    pub(super) fn pass(
        &mut self,
        step: &'m Step,
        visit: u32,
        outcome: Outcome,
        explanation: String,
    ) -> Arrival<'m> {
        let result = StepResult::new(outcome, explanation);
        self.leave(step, only_call(&step.id, visit), result)
    }

    /// Put on record how a visit ended, and where that leads.
    fn leave(&mut self, step: &'m Step, call: StepCall, result: StepResult) -> Arrival<'m> {
        let next = step.edge(&result.outcome);
        let arrival = match next {
            Some(next) => Arrival::Passes(next),
            // Nobody wrote an edge for it: silence is a no.
            None => Arrival::Stays(Leads::escalated(format!(
                "Step `{}` ended in `{}`, for which the playbook has no edge.",
                step.id, result.outcome
            ))),
        };
        self.story.push(Record::Finished {
            call,
            outcome: result.outcome,
            explanation: result.explanation,
            output: result.output,
            next: next.cloned(),
        });
        arrival
    }
}

/// The parallel step that the step stands in.
fn place(step: &Step) -> Option<&StepId> {
    step.within.as_ref().map(|within| &within.parallel)
}

/// A success that lacks what it must bring is none.
fn kept_promise(action: &ActionStep, verdict: Verdict) -> Verdict {
    if verdict.result.outcome != Outcome::Success {
        return verdict;
    }
    if action.action.verifies() && action.authorizes.is_some() && verdict.result.permit.is_none() {
        return Verdict::broken_promise(
            "The verification reported success without a permit, so it does not count.",
        );
    }
    if action.action.credential == Credential::Yields && verdict.result.sealed.is_none() {
        return Verdict::broken_promise(
            "The action reported success without a sealed credential, so it does not count.",
        );
    }
    verdict
}
