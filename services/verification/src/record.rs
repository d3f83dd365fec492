//! What the audit trail says of an operation: ids, words and digests; never ticket text, what a requester typed, numbers
//! or codes. Pure.

use chassis::AuditEvent;
use common::{Digest, ExecutionId, StepRequest};
use serde_json::json;
use uuid::Uuid;

use crate::inquiry::Given;
use crate::operation::{Answer, Channel, Ending, Facts, Note, Obstacle, Operation, Reply, Verdict};

fn event(kind: &'static str, facts: &Facts, mut detail: serde_json::Value) -> AuditEvent {
    if let Some(detail) = detail.as_object_mut() {
        detail.insert("verification".to_owned(), facts.id.to_string().into());
        detail.insert("method".to_owned(), facts.method.as_str().into());
    }
    AuditEvent::new(kind, detail)
        .ticket(&facts.ticket)
        .execution(facts.execution)
}

/// An operation was begun, and perhaps ended at once.
pub fn begun(operation: &Operation) -> Vec<AuditEvent> {
    let facts = &operation.facts;
    let request = operation.state.request();
    let approval = request.map(|request| request.shown.digest());
    let question = operation.state.inquiry().map(|inquiry| inquiry.asked.digest());
    let asked = event(
        "verification.asked",
        facts,
        json!({
            "subject": facts.subject.id,
            "step": facts.call.id,
            "visit": facts.call.visit,
            "authorizes": facts.authorizes.as_ref().map(|authorized| authorized.action.as_str()),
            "approver": request.map(|request| request.approver.id.as_str()),
            "shown": approval.or(question),
        }),
    );
    let ended = operation.state.ended();
    std::iter::once(asked)
        .chain(ended.map(|ended| ended_event(facts, &ended.ending)))
        .collect()
}

/// Nobody was asked, and the same request may come again.
pub fn not_begun(facts: &Facts, code: &str) -> AuditEvent {
    event(
        "verification.refused",
        facts,
        json!({"code": code, "subject": facts.subject.id}),
    )
}

/// A transition.
pub fn noted(before: &Operation, after: &Operation, notes: &[Note]) -> Vec<AuditEvent> {
    let facts = &after.facts;
    let shown = after.state.request().map(|request| request.shown.digest());
    let mut events: Vec<AuditEvent> = notes
        .iter()
        .map(|note| of_note(facts, note, shown.as_ref()))
        .collect();
    if let (None, Some(permit)) = (&before.permit, &after.permit) {
        let detail = json!({"permit": permit.id, "subject": facts.subject.id,
            "action": facts.authorizes.as_ref().map(|authorized| authorized.action.as_str())});
        events.push(event("permit.issued", facts, detail));
    }
    events
}

/// A permit got more time.
pub fn renewed(operation: &Operation) -> AuditEvent {
    let permit = operation.permit.as_ref();
    let expires = permit.map(|permit| permit.expires_at.unix_timestamp());
    let detail = json!({"permit": permit.map(|permit| permit.id), "expires": expires});
    event("permit.renewed", &operation.facts, detail)
}

/// A permit got none.
pub fn not_renewed(operation: &Operation, code: &str) -> AuditEvent {
    let detail = json!({
        "permit": operation.permit.as_ref().map(|permit| permit.id), "code": code,
    });
    event("permit.refused", &operation.facts, detail)
}

/// Time was asked for a permit that is none of this execution: which one it is in the words of whoever asked, and may be
/// nobody's.
pub fn no_permit(id: Uuid, execution: ExecutionId) -> AuditEvent {
    let detail = json!({"id": id, "execution": execution, "code": "permit_not_found"});
    AuditEvent::new("permit.refused", detail)
}

/// A step was asked for that we do not take.
pub fn not_taken(request: &StepRequest, ours: bool, code: &str) -> AuditEvent {
    let mut detail = json!({
        "code": code, "action": request.action, "subject": request.subject.user_id, "step": request.step,
    });
    if ours {
        return AuditEvent::new("verification.refused", detail)
            .ticket(&request.ticket_id)
            .execution(request.execution_id);
    }
    // Another tenant's numbers are told of, and not linked to ours.
    if let Some(detail) = detail.as_object_mut() {
        detail.insert("tenant".to_owned(), json!(request.tenant_id));
        detail.insert("ticket".to_owned(), json!(request.ticket_id));
        detail.insert("execution".to_owned(), json!(request.execution_id));
    }
    AuditEvent::new("verification.refused", detail)
}

/// `shown`: what a manager is asked, word for word; the time until which it counts may have moved since they were first to be
/// asked.
fn of_note(facts: &Facts, note: &Note, shown: Option<&Digest>) -> AuditEvent {
    match note {
        Note::Pushed(number) => event("verification.push_sent", facts, json!({"number": number})),
        Note::CardSent(message) => event(
            "verification.card_sent",
            facts,
            json!({"conversation": message.conversation, "activity": message.activity, "shown": shown}),
        ),
        Note::SmsIntended(code) => event(
            "verification.sms_intended",
            facts,
            json!({"to": code.masked, "shown": shown}),
        ),
        Note::SmsSent { message } => event("verification.sms_sent", facts, json!({"message": message})),
        Note::SmsWithheld => event(
            "verification.sms_withheld",
            facts,
            json!({"why": Obstacle::ManagerNumberShared.as_str()}),
        ),
        Note::SmsLocked => event("verification.sms_locked", facts, json!({})),
        Note::Answered(answer) => answered("verification.answered", facts, answer, None),
        Note::Kept(answer) => answered("verification.answer_kept", facts, answer, Some("directory_away")),
        Note::Lapsed(answer, obstacle) => answered(
            "verification.attempt_refused",
            facts,
            answer,
            Some(obstacle.as_str()),
        ),
        Note::AnsweredLate(answer) => answered("verification.answered_late", facts, answer, None),
        Note::Replied(reply) => replied("verification.answered", facts, reply),
        Note::RepliedLate(reply) => replied("verification.answered_late", facts, reply),
        Note::Postponed(latest) => event(
            "verification.postponed",
            facts,
            json!({"why": "outside_away", "latest": latest.unix_timestamp()}),
        ),
        Note::Ended(ending) => ended_event(facts, ending),
    }
}

/// `why` it does not count, or not yet.
fn answered(kind: &'static str, facts: &Facts, answer: &Answer, why: Option<&str>) -> AuditEvent {
    let verdict = match answer.verdict {
        Verdict::Approve => "approve",
        Verdict::Deny => "deny",
    };
    let mut detail =
        json!({"verdict": verdict, "channel": answer.channel.as_str(), "provenance": answer.provenance});
    if let Some(why) = why {
        detail["why"] = why.into();
    }
    event(kind, facts, detail).actor(format!("person:{}", answer.by))
}

/// Which choice; of a typed answer only how long it is, in characters.
fn replied(kind: &'static str, facts: &Facts, reply: &Reply) -> AuditEvent {
    let (choice, typed) = match &reply.given {
        Given::Chosen(word) => (Some(word), None),
        Given::Typed(text) => (None, Some(text.chars().count())),
    };
    let detail = json!({"choice": choice, "typed": typed, "channel": Channel::Teams.as_str(),
        "provenance": reply.provenance});
    event(kind, facts, detail).actor(format!("person:{}", reply.by))
}

fn ended_event(facts: &Facts, ending: &Ending) -> AuditEvent {
    let (outcome, reason) = match ending {
        Ending::Approved { .. } => ("approved", None),
        Ending::Denied { fraud, .. } => ("denied", fraud.then_some("fraud")),
        Ending::Answered { .. } => ("answered", None),
        Ending::TimedOut(silence) => ("timed_out", Some(silence.as_str())),
        Ending::Impossible(obstacle) => ("impossible", Some(obstacle.as_str())),
    };
    event(
        "verification.ended",
        facts,
        json!({"outcome": outcome, "reason": reason}),
    )
}

/// A text message came in.
pub fn message(id: &str, verdict: &str, facts: Option<&Facts>) -> AuditEvent {
    let detail = json!({"message": id, "verdict": verdict});
    let kind = "verification.sms_received";
    facts
        .map_or_else(
            || AuditEvent::new(kind, detail.clone()),
            |facts| event(kind, facts, detail.clone()),
        )
        .actor("vendor:twilio")
}

/// Somebody pressed a button that was not theirs to press.
pub fn refused_press(
    facts: Option<&Facts>,
    person: Option<&str>,
    why: &str,
    activity: Option<&str>,
) -> AuditEvent {
    let detail = json!({"why": why, "activity": activity});
    let kind = "verification.attempt_refused";
    facts
        .map_or_else(
            || AuditEvent::new(kind, detail.clone()),
            |facts| event(kind, facts, detail.clone()),
        )
        .actor(person.map_or_else(|| "vendor:teams".to_owned(), |person| format!("person:{person}")))
}
