//! Calling: begin a step, make its call, repeat it, wait for its operation, ask after it, park.

use std::time::Duration;

use common::{AuthorizedAction, OperationId, Outcome, Pending, StepCall, StepId, StepResult, Values};
use time::OffsetDateTime;

use super::edges::Verdict;
use super::pause::out_of_budget;
use super::state::{Attempt, HeldCredential, HeldPermit, Phase};
use super::turn::{Leads, Led, Turn};
use super::words::{Call, Command, Record};
use crate::playbook::{ActionStep, Step};
use crate::registry::{CREDENTIAL, Credential};
use crate::template;

/// The pause before the same call, or the same question, is repeated because no answer came and nobody said how long that
/// takes. Short: the service is most likely being restarted, and the answer lies ready.
const REPEAT_AFTER: Duration = Duration::from_secs(2);
/// After a deadline the service's own verdict gets this long to arrive before it is asked for.
const GRACE: Duration = Duration::from_secs(1);
/// However long an outside system wants to be left alone, it is tried again this often.
const LONGEST_PARK: Duration = Duration::from_mins(15);

impl<'m> Turn<'m> {
    /// A step that was entered, and that somebody now takes up.
    pub(super) fn begin_step(&mut self, id: StepId, visit: u32) -> Led {
        let Some(step) = self.playbook().step(&id) else {
            return Err(self.illegal(format!("the playbook has no step `{id}`")));
        };
        let Some(action) = step.action() else {
            // A playbook may begin with a decision, and even with its end.
            let arrival = self.arrive_at(step, visit);
            return Ok(self.go_on(step, arrival));
        };
        if let Some(wake_at) = self.stands_until() {
            return Ok(self.wait(Phase::Ready { step: id, visit }, wake_at));
        }
        if self.state.closing.is_some() && !self.is_held() {
            self.begin_undo();
        }
        let call = StepCall {
            id,
            visit,
            attempt: 1,
        };
        let first = Attempt {
            call,
            failures: 0,
            repeats: 0,
            unanswered: false,
            in_doubt: false,
        };
        Ok(self.attempt_at(step, action, first))
    }

    /// Another attempt.
    pub(super) fn attempt(&mut self, attempt: Attempt) -> Led {
        let (step, action) = self.action_of(&attempt.call.id)?;
        Ok(self.attempt_at(step, action, attempt))
    }

    /// A fresh attempt with a fresh deadline, where time and proof allow it.
    fn attempt_at(&mut self, step: &'m Step, action: &'m ActionStep, attempt: Attempt) -> Leads {
        let bound = self.bound();
        if self.moment.now >= bound {
            return self.out_of_time(step, attempt);
        }
        if let Err(reason) = self.entitled(step, action) {
            return self.give_up(&attempt, reason);
        }
        let longest = self.machine.rules.longest.get(action.name()).copied();
        let timeout = longest.map_or(action.timeout, |longest| longest.min(action.timeout));
        let deadline = later(self.moment.now, timeout).min(bound);
        self.story.push(Record::Began {
            call: attempt.call.clone(),
            deadline,
        });
        self.call(step, action, attempt, deadline)
    }

    fn out_of_time(&mut self, step: &Step, attempt: Attempt) -> Leads {
        if self.state.closing.is_some() {
            let late = StepResult::new(Outcome::Timeout, "It could not be done within an hour.");
            return self.undone(attempt.call, late);
        }
        self.give_up(&attempt, out_of_budget(&step.id))
    }

    /// The execution ends, and an earlier attempt of the step may have done what it should.
    fn give_up(&mut self, attempt: &Attempt, reason: String) -> Leads {
        if attempt.call.attempt > 1 {
            self.may_have_happened(&attempt.call);
        }
        Leads::escalated(reason)
    }

    /// Ask again for a call whose answer was lost. Within its deadline it is the same call, key and body, and the answer
    /// lies ready. After it, the service would rightly refuse to begin, so a further attempt asks with a fresh deadline:
    /// it belongs to the same visit, so what was done is not done again. No attempt is spent by our own absence.
    pub(super) fn resume(&mut self, attempt: Attempt, deadline: OffsetDateTime) -> Led {
        if self.moment.now >= deadline && self.stands_until().is_none() {
            let call = following(attempt.call);
            self.story.push(Record::Renewed { call: call.clone() });
            return self.attempt(Attempt {
                call,
                unanswered: false,
                ..attempt
            });
        }
        if let Some(wake_at) = self.stands_until() {
            return Ok(self.wait(Phase::Calling { attempt, deadline }, wake_at));
        }
        let (step, action) = self.action_of(&attempt.call.id)?;
        // Another branch may have heard a "No" since the call went out.
        if let Err(reason) = self.entitled(step, action) {
            self.may_have_happened(&attempt.call);
            return Ok(Leads::escalated(reason));
        }
        Ok(self.call(step, action, attempt, deadline))
    }

    /// The call of this attempt: the first time and each time it must be repeated, the same.
    fn call(
        &mut self,
        step: &'m Step,
        action: &'m ActionStep,
        attempt: Attempt,
        deadline: OffsetDateTime,
    ) -> Leads {
        let mut parameters = self.filled(step, action);
        if self.state.closing.is_some() {
            self.name_the_undone(&mut parameters);
        }
        let call = Call {
            call: attempt.call.clone(),
            action: action.name().clone(),
            path: action.action.path.clone(),
            parameters,
            deadline,
            authorizes: self.authorized(action),
            permit: match action.action.requires {
                Some(_) => self.permit_for(&step.id).map(|held| held.token.clone()),
                None => None,
            },
            sealed: match action.action.credential {
                Credential::Needs => self.credential_for(step, action).map(|held| held.sealed.clone()),
                Credential::None | Credential::Yields => None,
            },
        };
        self.commands.push(Command::Call(Box::new(call)));
        Leads::To(Phase::Calling { attempt, deadline })
    }

    /// The parameters of a step, with facts and outputs in place of its templates. Which credential a delivery is about is
    /// no parameter: it gets the credential itself.
    fn filled(&self, step: &Step, action: &ActionStep) -> Values {
        let mut parameters = template::fill(&action.parameters, &|name| self.value(step, name));
        if action.action.credential == Credential::Needs {
            parameters.remove(CREDENTIAL);
        }
        parameters
    }

    /// What a verification's success will allow, as the privileged step will ask for it.
    fn authorized(&self, action: &ActionStep) -> Option<AuthorizedAction> {
        let step = self.playbook().step(action.authorizes.as_ref()?)?;
        let privileged = step.action()?;
        Some(AuthorizedAction {
            action: privileged.name().clone(),
            step: step.id.clone(),
            parameters: self.filled(step, privileged),
        })
    }

    /// The permit at hand for this step; the latest counts.
    fn permit_for(&self, step: &StepId) -> Option<&HeldPermit> {
        self.state.permits.iter().rev().find(|held| held.allows == *step)
    }

    /// The credential that this step delivers: of the step that it names, else the latest.
    fn credential_for(&self, step: &Step, action: &ActionStep) -> Option<&HeldCredential> {
        self.state
            .credentials
            .iter()
            .rev()
            .find(|held| match &action.credential_of {
                Some(from) => held.from == *from,
                None => self.sees(step, &held.from),
            })
    }

    /// Whether the step may be entered with what is at hand. The check has proven it for the graph; this says it again
    /// for the world, in which a service may break its promise. To take back asks for nothing.
    fn entitled(&self, step: &Step, action: &ActionStep) -> Result<(), String> {
        if self.state.closing.is_some() {
            return Ok(());
        }
        let id = &step.id;
        if !self.state.proof.satisfies(action.action.requires) {
            return Err(format!(
                "Step `{id}` was reached without sufficient proof of who is asking."
            ));
        }
        if action.action.privileged() && self.permit_for(id).is_none() {
            return Err(format!("Step `{id}` was reached without a permit for it."));
        }
        if action.action.credential == Credential::Needs && self.credential_for(step, action).is_none() {
            return Err(format!(
                "Step `{id}` was reached without a credential to deliver."
            ));
        }
        Ok(())
    }

    /// The service took it on; somebody else will answer.
    pub(super) fn accepted(&mut self, attempt: Attempt, deadline: OffsetDateTime, pending: Pending) -> Leads {
        let ask_at = later(deadline, GRACE);
        let Pending {
            operation,
            explanation,
        } = pending;
        self.story.push(Record::Asked {
            call: attempt.call.clone(),
            operation,
            explanation,
        });
        self.commands.push(Command::WakeAt(ask_at));
        Leads::To(Phase::Waiting {
            attempt,
            operation,
            deadline,
            ask_at,
        })
    }

    /// Ask the service how the operation stands.
    pub(super) fn ask(&mut self, attempt: Attempt, operation: OperationId, deadline: OffsetDateTime) -> Led {
        let (_, action) = self.action_of(&attempt.call.id)?;
        self.commands.push(Command::AskOperation {
            call: attempt.call.clone(),
            action: action.name().clone(),
            operation,
        });
        Ok(Leads::To(Phase::Asking {
            attempt,
            operation,
            deadline,
        }))
    }

    /// The question went unanswered. Ask again until time is up: nobody may be declared silent who was not asked.
    pub(super) fn ask_later(
        &mut self,
        attempt: Attempt,
        operation: OperationId,
        deadline: OffsetDateTime,
    ) -> Led {
        if self.moment.now >= self.bound() {
            return self.conclude(attempt, Verdict::nobody_answered());
        }
        let ask_at = later(self.moment.now, self.machine.rules.probe);
        let waiting = Phase::Waiting {
            attempt,
            operation,
            deadline,
            ask_at,
        };
        Ok(self.wait(waiting, ask_at))
    }

    /// The call did not arrive. Before the deadline the same call is repeated; after it, and where the service wants to be
    /// left alone for longer than that, patience: a service that is away costs budget, not attempts.
    pub(super) fn unreached(
        &mut self,
        attempt: Attempt,
        deadline: OffsetDateTime,
        retry_after: Option<Duration>,
    ) -> Leads {
        let wait = match retry_after {
            // Not sooner than it says, and not all at the same moment.
            Some(asked) => wanted(asked).mul_f64(1.0 + self.moment.chance / 4.0),
            None => self.shortly(),
        };
        let in_time = retry_after.is_none() || later(self.moment.now, wait) < deadline;
        if self.moment.now < deadline && in_time {
            return self.repeat_after(wait, attempt, deadline);
        }
        let explanation = format!(
            "The service behind step `{}` could not be reached.",
            attempt.call.id
        );
        self.park(attempt, retry_after, explanation)
    }

    /// Sent, and no answer: it may have happened, so it is asked for again. Where the very first answer failed to come
    /// until the deadline, it is asked for once more; else the attempt counts as timed out.
    pub(super) fn unanswered(&mut self, mut attempt: Attempt, deadline: OffsetDateTime) -> Led {
        if !std::mem::replace(&mut attempt.unanswered, true) {
            let call = attempt.call.clone();
            self.story.push(Record::Unanswered { call });
        }
        let wait = self.shortly();
        // Whoever answers rubbish at once would else be asked anew each time the deadline falls between two questions.
        if later(self.moment.now, wait) < deadline || attempt.repeats == 0 {
            return Ok(self.repeat_after(wait, attempt, deadline));
        }
        let explanation = "The service did not answer in time.";
        let result = StepResult::new(Outcome::Timeout, explanation);
        self.conclude(attempt, result.into())
    }

    /// Wait until the outside is back. The fresh deadline then is another body and needs another key; no attempt of the
    /// retry budget is spent, and for the service it is still the same visit.
    pub(super) fn park(
        &mut self,
        attempt: Attempt,
        retry_after: Option<Duration>,
        explanation: String,
    ) -> Leads {
        let wait = wanted(retry_after.unwrap_or(self.machine.rules.probe));
        let until = later(self.moment.now, wait).min(self.bound());
        let attempt = Attempt {
            call: following(attempt.call),
            repeats: 0,
            unanswered: false,
            ..attempt
        };
        self.story.push(Record::Parked {
            call: attempt.call.clone(),
            explanation,
            until,
        });
        self.commands.push(Command::WakeAt(until));
        Leads::To(Phase::Parked { attempt, until })
    }

    /// [`REPEAT_AFTER`], a quarter more or less, so that not all come back at the same moment.
    fn shortly(&self) -> Duration {
        REPEAT_AFTER.mul_f64(0.75 + self.moment.chance / 2.0)
    }

    /// The same call once more after `wait`: same key, same body, same deadline.
    fn repeat_after(&mut self, wait: Duration, attempt: Attempt, deadline: OffsetDateTime) -> Leads {
        let until = later(self.moment.now, wait);
        self.commands.push(Command::WakeAt(until));
        Leads::To(Phase::Backoff {
            attempt: Attempt {
                repeats: attempt.repeats.saturating_add(1),
                ..attempt
            },
            until,
            deadline: Some(deadline),
        })
    }
}

/// How long something is left alone that asks for this much: neither hammered nor forgotten.
fn wanted(asked: Duration) -> Duration {
    asked.clamp(Duration::from_secs(1), LONGEST_PARK)
}

/// `moment + by`, at the end of time at the latest.
pub(super) fn later(moment: OffsetDateTime, by: Duration) -> OffsetDateTime {
    time::Duration::try_from(by)
        .ok()
        .and_then(|by| moment.checked_add(by))
        .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc())
}

/// The next attempt of the same visit.
pub(super) fn following(call: StepCall) -> StepCall {
    StepCall {
        attempt: call.attempt.saturating_add(1),
        ..call
    }
}
