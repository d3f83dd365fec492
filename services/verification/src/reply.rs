//! Answers by text message: whose they are, what they change, what is replied.
//!
//! The number is not proof of identity: the code is, which went to that number and is good for one request.

use connectors::twilio::webhook::InboundSms as Received;
use serde_json::json;
use time::OffsetDateTime;

use crate::Verifier;
use crate::operation::{Answer, Channel, Ending, Event, Operation, Verdict};
use crate::sms::{self, Said};
use crate::store::{InboundSms, Recognised, StoreError};
use crate::words;

const UNKNOWN: &str = "Thank you for your message. There is no open request for this number and code.";
const UNREADABLE: &str = "We could not read your answer. Please reply YES or NO and the code of our message, for example: YES 1234";
const WRONG_CODE: &str =
    "That code is not valid. Please reply YES or NO and the code of our newest message to you.";

impl Verifier {
    /// Take a text message; answers what to reply. The same message again gets the same reply and changes nothing.
    pub async fn take_sms(&self, received: &Received, now: OffsetDateTime) -> Result<String, StoreError> {
        if let Some(reply) = self.store.reply_to(&received.sid).await? {
            return Ok(reply);
        }
        let message = InboundSms {
            id: received.sid.clone(),
            sender: received.from.to_string(),
            received_at: now,
        };
        let said = sms::read(&received.body);
        let answer_hash = match &said {
            Said::Answer { code, .. } => Some(self.hasher.answer(&received.from, code)),
            Said::Unreadable => None,
        };
        let number_hash = self.hasher.number(&received.from);
        let recognised = self.store.recognise(&number_hash, answer_hash.as_deref()).await?;
        match (recognised, said) {
            (Recognised::Answer(id), Said::Answer { verdict, .. }) => {
                let Some(operation) = self.store.find(id).await? else {
                    return self
                        .store
                        .take_message(&message, None, |_| ("unknown", UNKNOWN.to_owned()))
                        .await;
                };
                let events = match answer(&operation, verdict, &received.sid) {
                    Some(event) => Some((id, self.with_standing(&operation, event).await)),
                    None => None,
                };
                self.store.take_message(&message, events, answered).await
            }
            (Recognised::Number(id), Said::Answer { .. }) => {
                let event = Some((id, vec![Event::WrongCode]));
                self.store
                    .take_message(&message, event, |_| ("wrong_code", WRONG_CODE.to_owned()))
                    .await
            }
            (Recognised::Number(_), Said::Unreadable) => {
                self.store
                    .take_message(&message, None, |_| ("unreadable", UNREADABLE.to_owned()))
                    .await
            }
            (Recognised::Nobody | Recognised::Answer(_), _) => {
                self.store
                    .take_message(&message, None, |_| ("unknown", UNKNOWN.to_owned()))
                    .await
            }
        }
    }
}

/// The answer of the manager who was asked; nobody else has the code.
fn answer(operation: &Operation, verdict: Verdict, message: &str) -> Option<Event> {
    let request = operation.state.request()?;
    Some(Event::Answered(Answer {
        verdict,
        by: request.approver.id.clone(),
        channel: Channel::Sms,
        card: None,
        provenance: json!({"message": message}),
    }))
}

/// What was made of an answer: it counted, or it came too late.
fn answered(change: Option<(&Operation, &Operation)>) -> (&'static str, String) {
    let Some((before, after)) = change else {
        return ("unknown", UNKNOWN.to_owned());
    };
    let ticket = &after.facts.ticket;
    let Some(ended) = after.state.ended() else {
        let taken = "Your answer was taken. It counts once the directory can be asked whether you are still the one to give it.";
        return ("kept", format!("Thank you. Ticket {ticket}: {taken}"));
    };
    let at = words::clock(ended.at);
    let counted = before.state.ended().is_none();
    match &ended.ending {
        Ending::Approved { .. } if counted => (
            "counted",
            format!("Thank you. Your approval for ticket {ticket} is recorded."),
        ),
        Ending::Denied { .. } if counted => (
            "counted",
            format!("Thank you. Your refusal for ticket {ticket} is recorded."),
        ),
        Ending::Impossible(_) if counted => (
            "lapsed",
            format!(
                "Your answer for ticket {ticket} does not count: the directory does not name you as the one to give it any more."
            ),
        ),
        Ending::Approved { .. } => (
            "late",
            format!("The request of ticket {ticket} was approved already, {at}. Nothing changes."),
        ),
        Ending::Denied { .. } => (
            "late",
            format!("The request of ticket {ticket} was denied already, {at}. Nothing changes."),
        ),
        Ending::Answered { .. } | Ending::TimedOut(_) | Ending::Impossible(_) => (
            "late",
            format!("The request of ticket {ticket} ended, {at}. Your answer came too late to count."),
        ),
    }
}
