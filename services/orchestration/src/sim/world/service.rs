//! The step service: does a call once under its key and a visit's work once, answers late, twice or not at all, and asks
//! people.

use std::collections::BTreeMap;
use std::time::Duration;

use common::{ExecutionId, OperationId, Outcome, Pending, Signal, StepAnswer, StepCall, StepId, StepResult};
use playbook_lang::{Call, Event};
use uuid::Uuid;

use super::World;
use super::drive::{At, key_of};
use super::process::{Process, short};
use crate::drive::Question;
use crate::sim::guard::Guard;
use crate::sim::invariants;
use crate::store::Heard;

/// Who signals.
pub(super) const SERVICE: &str = "cmdb";
/// What is asked of a person, and answered later.
const ASKS: &str = "cmdb.ask";

/// A question under way, or its answer.
#[derive(Debug)]
pub(super) struct Flight {
    process: usize,
    execution: ExecutionId,
    /// Of whoever asked.
    fence: i64,
    question: Question,
    /// Once the service has answered.
    answer: Option<Event>,
    /// Whoever asked waits no longer.
    given_up: bool,
}

impl Flight {
    pub(super) const fn new(process: usize, execution: ExecutionId, fence: i64, question: Question) -> Self {
        Self {
            process,
            execution,
            fence,
            question,
            answer: None,
            given_up: false,
        }
    }

    pub(super) const fn is_answered(&self) -> bool {
        self.answer.is_some()
    }
}

/// Somebody was asked.
#[derive(Debug)]
pub(in super::super) struct Operation {
    execution: ExecutionId,
    call: StepCall,
    pub(super) result: Option<StepResult>,
    /// How often orchestration was told.
    pub(super) told: u32,
}

/// What the service knows.
#[derive(Debug, Default)]
pub(in super::super) struct StepService {
    /// What each call was answered, by its key.
    answers: BTreeMap<(ExecutionId, String), (Call, StepAnswer)>,
    /// How often a visit's work was done.
    pub(in super::super) performed: BTreeMap<(ExecutionId, StepId, u32), u32>,
    pub(super) operations: BTreeMap<OperationId, Operation>,
    /// The operation of a visit: attempts share one.
    of_visit: BTreeMap<(ExecutionId, StepId, u32), OperationId>,
}

impl World<'_> {
    /// A question reaches the service, or does not.
    pub(super) fn serve(&mut self, nth: usize) {
        let flight = &self.flights[nth];
        let (execution, question) = (flight.execution, flight.question.clone());
        let call = question.call().clone();
        let trouble = self.pick_trouble(4);
        let event = match trouble {
            1 => Event::Unreached {
                call,
                retry_after: None,
            },
            2 => Event::OutsideAway {
                call,
                retry_after: Some(Duration::from_secs(20)),
                explanation: "The directory is away.".to_owned(),
            },
            lost => {
                let answer = match question {
                    Question::Call(call) => self.answer(execution, &call),
                    Question::Operation(call, _, operation) => self.how_it_stands(&call, operation),
                };
                if lost == 3 {
                    Event::Unanswered { call }
                } else {
                    answer
                }
            }
        };
        self.say(|| format!("the service is asked for {}: {}", short(execution), event.name()));
        if self.flights[nth].given_up {
            self.flights.remove(nth);
        } else {
            self.flights[nth].answer = Some(event);
        }
    }

    fn answer(&mut self, execution: ExecutionId, call: &Call) -> Event {
        let key = (execution, key_of(&call.call));
        let known = self.service.answers.get(&key).cloned();
        if let Some((first, _)) = &known
            && first != call
        {
            self.violated(invariants::ASKED_ALIKE, || {
                format!("{} was asked with two bodies", key.1)
            });
        }
        let answer = match known {
            Some((_, answer)) if self.guards(Guard::IdempotencyKey) => answer,
            _ => self.begin(execution, call),
        };
        self.service.answers.insert(key, (call.clone(), answer.clone()));
        let call = call.call.clone();
        match answer {
            StepAnswer::Done(result) => Event::Answered { call, result },
            StepAnswer::Pending(pending) => Event::Accepted { call, pending },
        }
    }

    fn begin(&mut self, execution: ExecutionId, call: &Call) -> StepAnswer {
        let StepCall { id, visit, .. } = call.call.clone();
        let visit = (execution, id, visit);
        if call.action.as_str() == ASKS {
            let fresh = OperationId(Uuid::from_u128(self.fresh()));
            let operation = *self.service.of_visit.entry(visit).or_insert(fresh);
            self.service
                .operations
                .entry(operation)
                .or_insert_with(|| Operation {
                    execution,
                    call: call.call.clone(),
                    result: None,
                    told: 0,
                });
            return StepAnswer::Pending(Pending {
                operation,
                explanation: "Adele was asked.".to_owned(),
            });
        }
        let done = self.service.performed.contains_key(&visit);
        if done && self.guards(Guard::IdempotencyKey) {
            return StepAnswer::Done(StepResult::new(Outcome::Success, "It was done before."));
        }
        if self.pick_trouble(2) == 1 {
            return StepAnswer::Done(StepResult::new(Outcome::Failure, "It could not be done."));
        }
        *self.service.performed.entry(visit).or_default() += 1;
        StepAnswer::Done(StepResult::new(Outcome::Success, "It was done."))
    }

    fn how_it_stands(&self, call: &StepCall, operation: OperationId) -> Event {
        match self.service.operations.get(&operation) {
            Some(known) => Event::OperationSeen {
                operation,
                result: known.result.clone(),
            },
            None => Event::Refused {
                call: call.clone(),
                explanation: "There is no such operation.".to_owned(),
            },
        }
    }

    /// The answer reaches whoever asked, if they still wait for it.
    pub(super) fn land(&mut self, nth: usize) {
        let flight = self.flights.remove(nth);
        let call = flight.question.call();
        if let (Some(event), Some(drive)) = (flight.answer.clone(), self.asker(&flight)) {
            self.happens(flight.process, drive, event, Some(call));
        }
    }

    /// Whoever asked waits no longer; the question may still arrive.
    pub(super) fn give_up(&mut self, nth: usize) {
        let flight = &mut self.flights[nth];
        flight.given_up = true;
        let flight = &self.flights[nth];
        let call = flight.question.call().clone();
        if let Some(drive) = self.asker(flight) {
            let process = flight.process;
            let unanswered = Event::Unanswered { call: call.clone() };
            self.happens(process, drive, unanswered, Some(&call));
        }
    }

    /// Whoever asked still waits for it.
    pub(super) fn is_awaited(&self, flight: &Flight) -> bool {
        !flight.given_up && self.asker(flight).is_some()
    }

    fn asker(&self, flight: &Flight) -> Option<usize> {
        let drives = &self.processes[flight.process].drives;
        drives.iter().position(|drive| {
            (drive.claimed.id, drive.claimed.fence) == (flight.execution, flight.fence)
                && matches!(drive.at, At::Answering)
                && drive.course.out().contains(flight.question.call())
        })
    }

    /// Whether an answer can be brought now: whoever asked waits for it, or is gone.
    pub(super) fn can_land(&self, flight: &Flight) -> bool {
        let drives = &self.processes[flight.process].drives;
        let busy = drives.iter().any(|drive| {
            (drive.claimed.id, drive.claimed.fence) == (flight.execution, flight.fence)
                && !matches!(drive.at, At::Answering)
        });
        flight.is_answered() && !busy
    }

    /// A person answers.
    pub(super) fn decide(&mut self, operation: OperationId) {
        let outcome = [Outcome::Success, Outcome::Failure, Outcome::Denied][self.pick(3)].clone();
        self.say(|| format!("a person answers operation {}: {outcome}", operation.0.as_u128()));
        if let Some(known) = self.service.operations.get_mut(&operation) {
            known.result = Some(StepResult::new(outcome, "Adele answered."));
        }
    }

    /// The replica that hears a signal and has a place for its execution, where there is one.
    fn hearer(&mut self, execution: ExecutionId) -> Option<usize> {
        let has_place = |process: &Process<'_>| {
            !process.down
                && process.runner.is_some()
                && process.drives.iter().all(|drive| drive.claimed.id != execution)
        };
        let first = self.processes.iter().position(has_place)?;
        (self.pick(2) == 1).then_some(first)
    }

    /// The service tells how an operation ended, once or again.
    pub(super) fn signal(&mut self, operation: OperationId) {
        let Some(known) = self.service.operations.get_mut(&operation) else {
            return;
        };
        let Some(result) = known.result.clone() else {
            return;
        };
        known.told += 1;
        let execution = known.execution;
        let signal = Signal {
            tenant_id: self.model.tenant.clone(),
            operation,
            step: known.call.clone(),
            result,
        };
        let before = self.model.executions.get(&execution).cloned();
        let again = self.model.signals.contains_key(&(execution, operation));
        let hearer = self.hearer(execution);
        if let Some(process) = hearer
            && self.pick(2) == 1
            && self.hears(process, execution, &signal)
        {
            self.say(|| {
                format!(
                    "operation {} is signalled to replica {process}, which works it out",
                    operation.0.as_u128()
                )
            });
            return;
        }
        let runner = hearer.and_then(|process| self.processes[process].runner);
        let heard = self.model.hear(execution, &signal, SERVICE, runner);
        self.say(|| {
            let heard = heard.as_ref().map(|(heard, claimed)| (heard, claimed.is_some()));
            format!(
                "operation {} is signalled to replica {hearer:?}: {heard:?}",
                operation.0.as_u128()
            )
        });
        let Ok((heard, claimed)) = heard else {
            self.violated(invariants::HEARD, || {
                format!("a signal of {} was refused", short(execution))
            });
            return;
        };
        if let (Some(claimed), Some(process)) = (claimed, hearer) {
            self.ghosts.known.insert(claimed.id, claimed.signals);
            self.take(process, claimed);
        }
        let (before, after) = (before.as_ref(), self.model.executions.get(&execution));
        let ended = before.is_some_and(|row| row.ended_at.is_some());
        let changed = before.map(|row| (row.signals, row.wake_at, &row.state))
            != after.map(|row| (row.signals, row.wake_at, &row.state));
        if changed && (again || ended || heard != Heard::Stored) {
            self.violated(invariants::LATE_SIGNALS, || {
                format!(
                    "a signal of {} changed it: again {again}, ended {ended}",
                    short(execution)
                )
            });
        }
    }
}
