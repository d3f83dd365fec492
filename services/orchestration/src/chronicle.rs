//! From what the machine says happened to what is written down: step rows, audit events, ticket updates. Pure.

use std::collections::HashMap;
use std::time::Duration;

use chassis::audit::AuditEvent;
use common::execution::{DROPPED, ExecutionStatus};
use common::{ActionName, Ending, ExecutionId, OperationId, Outcome, StepCall, StepId, TicketId, Values};
use playbook_lang::{Phase, Playbook, Record, State};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::store::{Claimed, StepRow};
use crate::story;
use crate::update::{Asked, Progress, Update, automation_status};

/// Whose chronicle it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) playbook: &'a Playbook,
    pub(crate) execution: ExecutionId,
    pub(crate) ticket: &'a TicketId,
    /// An outage that lasts this long is told on the ticket.
    pub(crate) note_after: Duration,
}

/// What outlives one event of an execution beside the machine's state, because people are told of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Memory {
    /// What open visits of steps asked of whom; several where several branches are under way.
    asked: HashMap<(StepId, u32), String>,
    /// Something outside has been away since then.
    pub(crate) parked_since: Option<OffsetDateTime>,
    /// And the ticket says so.
    pub(crate) parked_told: bool,
    /// The step that misses it; any where we do not know.
    parked_step: Option<StepId>,
}

impl Memory {
    /// As an execution was left.
    pub(crate) fn of(claimed: &Claimed, state: &State) -> Self {
        let asked = claimed.asked.iter();
        Self {
            asked: asked
                .map(|open| ((open.step.clone(), open.visit), open.asked.clone()))
                .collect(),
            parked_since: claimed.parked_since,
            parked_told: claimed.parked_told,
            parked_step: parked(state.phase()).cloned(),
        }
    }

    /// What the step missed is there again; what other branches miss may not be.
    fn going_on(&mut self, step: &StepId) {
        if self.parked_step.as_ref().is_none_or(|parked| parked == step) {
            (self.parked_since, self.parked_told, self.parked_step) = (None, false, None);
        }
    }

    /// No switch holds it any more. What it misses otherwise it misses still, and where it was `held` the ticket's last word is
    /// another one.
    pub(crate) fn let_go(&mut self, held: bool) {
        if self.parked_step.is_none() {
            (self.parked_since, self.parked_told) = (None, false);
        } else if held {
            self.parked_told = false;
        }
    }

    fn take_asked(&mut self, call: &StepCall) -> Option<String> {
        self.asked.remove(&(call.id.clone(), call.visit))
    }
}

/// The step that waits for something outside, the first of several.
pub(crate) fn parked(phase: &Phase) -> Option<&StepId> {
    match phase {
        Phase::Parked { attempt, .. } => Some(&attempt.call.id),
        Phase::Parallel { strands, .. } => strands.iter().find_map(|strand| parked(&strand.phase)),
        _ => None,
    }
}

/// What is to be written down.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    pub(crate) steps: Vec<StepRow>,
    pub(crate) audit: Vec<AuditEvent>,
    pub(crate) updates: Vec<Update>,
    /// Open calls that go on under a new number.
    pub(crate) renumbered: Vec<StepCall>,
    /// Why calls that are still open will never be answered.
    pub(crate) cut_off: Option<String>,
    /// How it ended.
    pub(crate) ending: Option<Ending>,
}

impl Chronicle {
    /// Nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.audit.is_empty() && self.updates.is_empty()
    }

    /// Write down `record`.
    pub(crate) fn add(
        &mut self,
        about: Subject<'_>,
        memory: &mut Memory,
        record: Record,
        now: OffsetDateTime,
    ) {
        match record {
            Record::Began { call, deadline } => {
                let detail = json!({"step": call, "deadline": moment(deadline)});
                self.audit.push(about.event("step.begun", detail));
                self.step(about.row(&call));
            }
            Record::Asked {
                call,
                operation,
                explanation,
            } => self.asked(about, memory, call, operation, explanation),
            Record::Parked {
                call,
                explanation,
                until,
            } => self.parked(about, memory, call, explanation, until, now),
            Record::Renewed { call } => self.renewed(about, call),
            Record::Pausing { call, until } => self.pausing(about, call, until),
            Record::Dropped { call } => {
                let explanation = "It is no longer needed.".to_owned();
                self.audit
                    .push(about.event("step.dropped", json!({"step": call})));
                let outcome = Outcome::Word(DROPPED.to_owned());
                self.over(about, memory, call, outcome, explanation, Values::new(), None);
            }
            Record::Unanswered { call } => {
                self.audit
                    .push(about.event("step.unanswered", json!({"step": call})));
            }
            Record::Retrying {
                call,
                outcome,
                explanation,
                at,
            } => {
                let detail = json!({"step": call, "outcome": outcome, "explanation": explanation, "again_at": moment(at)});
                self.audit.push(about.event("step.failed", detail));
                let next = format!(
                    "{}, attempt {}",
                    about.step_name(&call.id),
                    call.attempt.saturating_add(1)
                );
                self.over(
                    about,
                    memory,
                    call,
                    outcome,
                    explanation,
                    Values::new(),
                    Some(next),
                );
            }
            Record::Finished {
                call,
                outcome,
                explanation,
                output,
                next,
            } => {
                // With whose action it was: who has the audit alone misses that service's part by it.
                let detail = json!({
                    "step": call, "action": about.action(&call), "outcome": outcome, "explanation": explanation,
                    "next": next,
                });
                self.audit.push(about.event("step.ended", detail));
                let next = next.map(|next| about.step_name(&next));
                self.over(about, memory, call, outcome, explanation, output, next);
            }
            Record::Reached { step, ending } => self.ended(about, memory, step, ending),
        }
    }

    /// Somebody was asked.
    fn asked(
        &mut self,
        about: Subject<'_>,
        memory: &mut Memory,
        call: StepCall,
        operation: OperationId,
        explanation: String,
    ) {
        memory.going_on(&call.id);
        let visit = (call.id.clone(), call.visit);
        memory.asked.insert(visit, explanation.clone());
        let detail = json!({
            "step": call, "action": about.action(&call), "operation": operation, "explanation": explanation,
        });
        self.audit.push(about.event("step.asked", detail));
        let name = about.step_name(&call.id);
        self.step(StepRow {
            operation: Some(operation),
            asked: Some(explanation.clone()),
            ..about.row(&call)
        });
        self.updates.push(Update::Asked(Asked {
            call,
            name,
            asked: explanation,
        }));
    }

    /// The ticket's custom field, where it changed.
    pub(crate) fn status(&mut self, before: ExecutionStatus, after: ExecutionStatus) {
        if automation_status(before) != automation_status(after) {
            self.updates.push(Update::Status {
                status: automation_status(after),
            });
        }
    }

    /// An attempt is over.
    #[expect(clippy::too_many_arguments, reason = "the fields of one record, taken apart")]
    fn over(
        &mut self,
        about: Subject<'_>,
        memory: &mut Memory,
        call: StepCall,
        outcome: Outcome,
        explanation: String,
        output: Values,
        next: Option<String>,
    ) {
        memory.going_on(&call.id);
        let row = about.row(&call);
        self.updates.push(Update::Progress(Progress {
            name: row.name.clone(),
            action: row.action.clone(),
            asked: memory.take_asked(&call),
            outcome: outcome.clone(),
            explanation: explanation.clone(),
            next,
            call,
        }));
        self.step(StepRow {
            outcome: Some(outcome),
            explanation: Some(explanation),
            output,
            ..row
        });
    }

    /// The row of the last call becomes that of the further attempt: left open, the complete record would tell of a step
    /// that never ended.
    fn renewed(&mut self, about: Subject<'_>, call: StepCall) {
        let detail = json!({"step": call});
        self.audit.push(about.event("step.renewed", detail));
        self.renumbered.push(call);
    }

    /// A step lets time pass: the ticket says until when.
    fn pausing(&mut self, about: Subject<'_>, call: StepCall, until: OffsetDateTime) {
        let detail = json!({"step": call, "until": moment(until)});
        self.audit.push(about.event("step.waiting", detail));
        let words = format!("Nothing happens until {} (UTC).", story::moment(until));
        self.step(StepRow {
            explanation: Some(words.clone()),
            ..about.row(&call)
        });
        self.updates.push(Update::Asked(Asked {
            name: about.step_name(&call.id),
            asked: format!("nobody. {words}"),
            call,
        }));
    }

    fn parked(
        &mut self,
        about: Subject<'_>,
        memory: &mut Memory,
        call: StepCall,
        explanation: String,
        until: OffsetDateTime,
        now: OffsetDateTime,
    ) {
        let first = memory.parked_since.is_none();
        memory.parked_step.get_or_insert_with(|| call.id.clone());
        let since = *memory.parked_since.get_or_insert(now);
        if first {
            let detail = json!({"step": call, "explanation": explanation, "again_at": moment(until)});
            self.audit.push(about.event("step.parked", detail));
        }
        if now - since >= about.note_after && !memory.parked_told {
            memory.parked_told = true;
            let name = about.step_name(&call.id);
            let asked = format!("{explanation} It is tried again until the playbook's time is up.");
            self.updates.push(Update::Asked(Asked {
                call: call.clone(),
                name,
                asked,
            }));
        }
        self.step(StepRow {
            explanation: Some(explanation),
            ..about.row(&call)
        });
        self.renumbered.push(call);
    }

    fn ended(&mut self, about: Subject<'_>, memory: &mut Memory, step: Option<StepId>, ending: Ending) {
        *memory = Memory::default();
        self.audit
            .push(about.event("execution.ended", json!({"step": step, "ending": ending})));
        let (words, update) = match &ending {
            Ending::Resolved => ("The playbook ended well.", Update::Resolved),
            Ending::Escalated { reason } => (reason.as_str(), Update::Escalated),
        };
        match step {
            Some(id) => {
                let call = StepCall {
                    id,
                    visit: 1,
                    attempt: 1,
                };
                let row = about.row(&call);
                self.step(StepRow {
                    outcome: Some(Outcome::Success),
                    explanation: Some(words.to_owned()),
                    ..row
                });
            }
            None => self.cut_off = Some(words.to_owned()),
        }
        self.updates.push(update);
        self.updates.push(Update::Story);
        self.ending = Some(ending);
    }

    /// One row per call: what is said later of the same call is added to it.
    fn step(&mut self, row: StepRow) {
        match self.steps.iter_mut().find(|known| known.call == row.call) {
            Some(known) => {
                let operation = row.operation.or(known.operation);
                let asked = row.asked.clone().or_else(|| known.asked.take());
                *known = StepRow {
                    operation,
                    asked,
                    ..row
                };
            }
            None => self.steps.push(row),
        }
    }
}

impl Subject<'_> {
    /// An audit event of this execution.
    pub(crate) fn event(self, kind: &'static str, detail: serde_json::Value) -> AuditEvent {
        AuditEvent::new(kind, detail)
            .ticket(self.ticket)
            .execution(self.execution)
    }

    /// The name for people; its id where the playbook does not have it.
    pub(crate) fn step_name(self, id: &StepId) -> String {
        self.playbook
            .step(id)
            .map_or_else(|| id.to_string(), |step| step.name.clone())
    }

    /// What the step calls, where it calls anything.
    fn action(self, call: &StepCall) -> Option<ActionName> {
        let action = self.playbook.step(&call.id).and_then(|step| step.action());
        action.map(|action| action.name().clone())
    }

    /// A call that is under way and of which nothing else is known.
    fn row(self, call: &StepCall) -> StepRow {
        StepRow {
            call: call.clone(),
            name: self.step_name(&call.id),
            action: self.action(call),
            operation: None,
            asked: None,
            outcome: None,
            explanation: None,
            output: Values::new(),
        }
    }
}

/// As the record writes it (RFC 3339).
fn moment(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use playbook_lang::{Registry, check};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-22 02:30:00 UTC);

    fn playbook() -> Playbook {
        let source = r#"
name: password_reset
version: "1.2"
enabled: true
description: "Automated password reset"
category: REQUEST
sub_category: PASSWORD_RESET
steps:
  - id: verify_mfa
    name: "Verify User via MFA"
    service: verification.mfa
    timeout: 300
    on_success: reset_password
    on_failure: escalate
    on_denied: escalate
  - id: reset_password
    name: "Reset Password"
    service: executor.reset_password
    timeout: 60
    on_success: deliver
    on_failure: escalate
  - id: deliver
    name: "Deliver"
    service: delivery.sms
    timeout: 60
    on_success: resolved
    on_failure: escalate
  - id: resolved
    name: "Resolved"
    type: terminal
    status: RESOLVED
  - id: escalate
    name: "Hand over"
    type: escalation
    reason: "The automation could not finish"
"#;
        let report = check(source, &Registry::builtin());
        report.playbook.unwrap_or_else(|| panic!("{:?}", report.findings))
    }

    fn call(step: &str) -> StepCall {
        StepCall {
            id: step.parse().unwrap(),
            visit: 1,
            attempt: 1,
        }
    }

    fn told(memory: &mut Memory, records: Vec<(Record, OffsetDateTime)>) -> Chronicle {
        let playbook = playbook();
        let ticket = "4242".parse().unwrap();
        let about = Subject {
            playbook: &playbook,
            execution: ExecutionId::fresh(),
            ticket: &ticket,
            note_after: Duration::from_mins(1),
        };
        let mut chronicle = Chronicle::default();
        for (record, now) in records {
            chronicle.add(about, memory, record, now);
        }
        chronicle
    }

    fn kinds(chronicle: &Chronicle) -> Vec<&'static str> {
        chronicle.updates.iter().map(Update::kind).collect()
    }

    #[test]
    fn the_answer_is_told_with_the_question_and_the_next_step() {
        let mut memory = Memory::default();
        let operation = OperationId::fresh();
        let asked = Record::Asked {
            call: call("verify_mfa"),
            operation,
            explanation: "Adele was asked.".to_owned(),
        };
        let question = told(&mut memory, vec![(asked, NOW)]);
        assert_eq!(
            (kinds(&question), question.steps[0].operation),
            (vec!["asked"], Some(operation))
        );
        let finished = Record::Finished {
            call: call("verify_mfa"),
            outcome: Outcome::Success,
            explanation: "She approved.".to_owned(),
            output: Values::new(),
            next: Some("reset_password".parse().unwrap()),
        };
        let began = Record::Began {
            call: call("reset_password"),
            deadline: NOW,
        };
        let answer = told(&mut memory, vec![(finished, NOW), (began, NOW)]);
        let Some(Update::Progress(progress)) = answer.updates.first() else {
            panic!("{:?}", answer.updates)
        };
        assert_eq!(progress.asked.as_deref(), Some("Adele was asked."));
        assert_eq!(progress.next.as_deref(), Some("Reset Password"));
        assert_eq!(
            answer.steps.len(),
            2,
            "one commit ends one step and begins the next"
        );
        assert_eq!(memory, Memory::default());
    }

    #[test]
    fn an_outage_is_audited_once_and_told_once_it_is_long() {
        let mut memory = Memory::default();
        let parked = || Record::Parked {
            call: call("deliver"),
            explanation: "Twilio does not answer.".to_owned(),
            until: NOW,
        };
        let at = |seconds: i64| NOW + time::Duration::seconds(seconds);
        let short = told(&mut memory, vec![(parked(), at(0)), (parked(), at(59))]);
        assert_eq!((short.audit.len(), kinds(&short)), (1, vec![]));
        assert_eq!(short.steps.len(), 1);
        let long = told(&mut memory, vec![(parked(), at(60)), (parked(), at(600))]);
        assert_eq!((long.audit.len(), kinds(&long)), (0, vec!["asked"]));
    }

    #[test]
    fn a_call_that_nobody_heard_the_answer_of_goes_on_in_its_own_row() {
        let again = StepCall {
            attempt: 2,
            ..call("verify_mfa")
        };
        let renewed = Record::Renewed { call: again.clone() };
        let began = Record::Began {
            call: again.clone(),
            deadline: NOW,
        };
        let told = told(&mut Memory::default(), vec![(renewed, NOW), (began, NOW)]);
        assert_eq!(told.renumbered, [again]);
        assert_eq!(told.steps.len(), 1);
        let kinds: Vec<_> = told.audit.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["step.renewed", "step.begun"]);
    }

    #[test]
    fn an_end_is_told_with_its_reason_and_the_whole_story() {
        let ending = Ending::Escalated {
            reason: "The automation could not finish".to_owned(),
        };
        let reached = Record::Reached {
            step: Some("escalate".parse().unwrap()),
            ending: ending.clone(),
        };
        let end = told(&mut Memory::default(), vec![(reached, NOW)]);
        assert_eq!(kinds(&end), ["escalated", "story"]);
        assert_eq!(
            end.steps[0].explanation.as_deref(),
            Some("The automation could not finish")
        );
        assert_eq!((end.ending, end.cut_off), (Some(ending.clone()), None));
        let by_itself = told(
            &mut Memory::default(),
            vec![(Record::Reached { step: None, ending }, NOW)],
        );
        assert_eq!((by_itself.steps.len(), by_itself.cut_off.is_some()), (0, true));
    }

    #[test]
    fn the_custom_field_is_written_only_where_it_changes() {
        let mut chronicle = Chronicle::default();
        chronicle.status(ExecutionStatus::Running, ExecutionStatus::Running);
        chronicle.status(ExecutionStatus::Queued, ExecutionStatus::Running);
        assert_eq!(kinds(&chronicle), ["status"]);
    }
}
