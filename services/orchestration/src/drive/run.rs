//! One execution in our hands: what happened and is not yet written, and what is to be done next.

use std::time::{Duration, Instant};

use common::execution::ExecutionStatus;
use common::{ActionName, Ending, OperationId, Signal, StepCall};
use playbook_lang::{
    Call, Command, Event, Facts, IllegalEvent, Machine, Moment, Phase, Playbook, Record, State, Transition,
};
use serde_json::json;
use time::OffsetDateTime;

use super::{Driver, Stopped};
use crate::ask::OnBehalf;
use crate::chronicle::{Chronicle, Memory, Subject};
use crate::store::{Claimed, Handled, Hold, Write, Written};

/// What to do once the state is stored.
#[derive(Debug)]
pub(super) enum Next {
    Call(Box<Call>),
    Ask(StepCall, ActionName, OperationId),
    Wait(OffsetDateTime),
    End,
}

impl Next {
    /// Whether the execution stays with us for it.
    pub(super) const fn hold(&self) -> Hold {
        match self {
            Self::Call(_) | Self::Ask(..) => Hold::Keep,
            Self::Wait(at) => Hold::Until(*at),
            Self::End => Hold::Ended,
        }
    }
}

/// One execution in our hands.
pub(super) struct Run<'a> {
    driver: &'a Driver,
    claimed: &'a Claimed,
    playbook: &'a Playbook,
    whose: OnBehalf,
    /// The same at every claim: the same call again is the same to the byte.
    facts: Facts,
    state: State,
    status: ExecutionStatus,
    memory: Memory,
    /// How many signals we know of.
    pub(super) signals: i64,
    /// What is not yet written.
    chronicle: Chronicle,
    handled: Vec<Handled>,
    since_claim: Instant,
}

impl<'a> Run<'a> {
    /// Nothing has happened yet.
    pub(super) fn new(
        driver: &'a Driver,
        claimed: &'a Claimed,
        playbook: &'a Playbook,
        state: State,
    ) -> Self {
        Self {
            driver,
            claimed,
            playbook,
            whose: OnBehalf {
                execution: claimed.id,
                ticket: claimed.ticket.clone(),
                subject: claimed.subject.clone(),
            },
            facts: claimed.facts(),
            state,
            status: claimed.status,
            memory: Memory {
                asked: claimed.asked.clone(),
                parked_since: claimed.parked_since,
                parked_told: claimed.parked_told,
            },
            signals: claimed.signals,
            chronicle: Chronicle::default(),
            handled: vec![],
            since_claim: Instant::now(),
        }
    }

    /// The database's time, whatever our own clock says.
    fn now(&self) -> OffsetDateTime {
        self.claimed.now + self.since_claim.elapsed()
    }

    fn about(&self) -> Subject<'a> {
        Subject {
            playbook: self.playbook,
            execution: self.claimed.id,
            ticket: &self.claimed.ticket,
        }
    }

    /// Apply what came in from outside. A signal that means nothing is recorded and changes nothing.
    pub(super) fn hear(&mut self, signals: Vec<Signal>) {
        for Signal {
            operation,
            step,
            result,
            ..
        } in signals
        {
            let before = self.state.clone();
            let event = Event::Signalled {
                call: step.clone(),
                operation,
                result,
            };
            let applied = match self.turn(event) {
                Ok(_) => self.state != before,
                Err(error) => {
                    tracing::warn!(%error, "a signal belongs to nothing in this execution");
                    false
                }
            };
            if !applied {
                let detail = json!({"operation": operation, "step": step});
                self.chronicle
                    .audit
                    .push(self.about().event("signal.late", detail));
            }
            self.handled.push(Handled { operation, applied });
        }
    }

    /// Apply an event and go on to the next thing to do.
    pub(super) fn apply(&mut self, event: Event) -> Result<Next, Stopped> {
        match next(self.turn(event)?) {
            Some(next) => Ok(next),
            None => self.take_up(),
        }
    }

    /// What is to be done now, whether we were there before or not.
    pub(super) fn take_up(&mut self) -> Result<Next, Stopped> {
        if matches!(self.state.phase(), Phase::Ended { .. }) {
            return Ok(Next::End);
        }
        let commands = self.turn(Event::Claimed)?;
        next(commands)
            .ok_or_else(|| Stopped::Broken(format!("nothing to do while {}", self.state.phase().name())))
    }

    /// One transition of the machine.
    fn turn(&mut self, event: Event) -> Result<Vec<Command>, IllegalEvent> {
        self.note_promise(&event);
        let now = self.now();
        let moment = Moment {
            now,
            chance: rand::random(),
        };
        let machine = Machine::new(self.playbook, &self.driver.rules, &self.facts);
        let Transition {
            state,
            commands,
            story,
        } = machine.apply(self.state.clone(), event, moment)?;
        self.state = state;
        for record in story {
            count(&record);
            self.chronicle.add(self.about(), &mut self.memory, record, now);
        }
        Ok(commands)
    }

    /// An outcome that the action never declared is a failure to the machine; here it is put on record.
    fn note_promise(&mut self, event: &Event) {
        let (call, result) = match event {
            Event::Answered { call, result } | Event::Signalled { call, result, .. } => (Some(call), result),
            Event::OperationSeen {
                result: Some(result), ..
            } => (self.state.call(), result),
            _ => return,
        };
        let Some(call) = call.cloned() else { return };
        let action = self.playbook.step(&call.id).and_then(|step| step.action());
        if action.is_some_and(|action| !action.action.answers(&result.outcome)) {
            let detail = json!({"step": call, "outcome": result.outcome});
            self.chronicle
                .audit
                .push(self.about().event("step.outcome_undeclared", detail));
        }
    }

    /// Commit what happened since the last time, under the fence.
    pub(super) async fn write(&mut self, hold: Hold) -> Result<Written, Stopped> {
        let now = self.now();
        let status = self.state.status();
        let mut chronicle = std::mem::take(&mut self.chronicle);
        chronicle.status(self.status, status);
        if hold == Hold::Keep && chronicle.is_empty() && self.handled.is_empty() {
            // The same call again: what is stored already says so.
            return Ok(Written {
                signals: self.signals,
                kept: true,
            });
        }
        let state = serde_json::to_value(&self.state)
            .map_err(|error| Stopped::Broken(format!("the state cannot be stored: {error}")))?;
        let reason = match self.state.phase() {
            Phase::Ended {
                ending: Ending::Escalated { reason },
                ..
            } => Some(reason.as_str()),
            _ => None,
        };
        let written = self
            .driver
            .store
            .write(Write {
                execution: self.claimed.id,
                ticket: &self.claimed.ticket,
                runner: self.claimed.runner,
                fence: self.claimed.fence,
                state: &state,
                status,
                reason,
                parked_since: self.memory.parked_since,
                parked_told: self.memory.parked_told,
                hold,
                signals: self.signals,
                steps: &chronicle.steps,
                renumbered: chronicle.renumbered.as_ref(),
                cut_off: chronicle.cut_off.as_deref(),
                handled: &self.handled,
                audit: &chronicle.audit,
                updates: &chronicle.updates,
                now,
            })
            .await?;
        self.handled.clear();
        self.status = status;
        if let Some(ending) = &chronicle.ending {
            self.say_ended(ending, now);
        }
        Ok(written)
    }

    fn say_ended(&self, ending: &Ending, now: OffsetDateTime) {
        let word = match ending {
            Ending::Resolved => "resolved",
            Ending::Escalated { .. } => "escalated",
        };
        let playbook = self.playbook.name().to_string();
        metrics::counter!("firstline_executions_ended_total", "ending" => word, "playbook" => playbook)
            .increment(1);
        let took = now - self.state.started_at();
        tracing::info!(
            ending = word,
            took_s = took.as_seconds_f64(),
            "the execution ended"
        );
    }

    /// Do what is to be done and answer what came of it; `None` where there is nothing more to do for us.
    pub(super) async fn perform(&self, next: Next) -> Option<Event> {
        let asking = async {
            match next {
                Next::Call(call) => {
                    let left = Duration::try_from(call.deadline - self.now()).unwrap_or_default();
                    let (action, begun) = (call.action.to_string(), Instant::now());
                    let event = self.driver.services.call(&self.whose, *call, left).await;
                    metrics::histogram!("firstline_step_call_seconds", "action" => action)
                        .record(begun.elapsed().as_secs_f64());
                    Some(event)
                }
                Next::Ask(call, action, operation) => {
                    Some(self.driver.services.operation(&action, call, operation).await)
                }
                Next::Wait(_) | Next::End => None,
            }
        };
        // Given up at shutdown: the state says that the call is out, and the next runner makes the same one.
        self.driver.abandon.run_until_cancelled(asking).await.flatten()
    }
}

/// The one command that counts; the machine never gives two that need us.
fn next(commands: Vec<Command>) -> Option<Next> {
    commands.into_iter().next_back().map(|command| match command {
        Command::Call(call) => Next::Call(call),
        Command::AskOperation {
            call,
            action,
            operation,
        } => Next::Ask(call, action, operation),
        Command::WakeAt(at) => Next::Wait(at),
        Command::Ended(_) => Next::End,
    })
}

fn count(record: &Record) {
    let (event, outcome) = match record {
        Record::Began { .. } => ("begun", String::new()),
        Record::Asked { .. } => ("asked", String::new()),
        Record::Parked { .. } => ("parked", String::new()),
        Record::Retrying { outcome, .. } => ("failed", outcome.to_string()),
        Record::Finished { outcome, .. } => ("ended", outcome.to_string()),
        Record::Reached { .. } => return,
    };
    metrics::counter!("firstline_steps_total", "event" => event, "outcome" => outcome).increment(1);
}
