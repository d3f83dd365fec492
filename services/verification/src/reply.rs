//! Answers by text message: whose they are, what they change, what is replied.
//!
//! The number is not proof of identity: the code is, which went to that number and is good for one request.

use common::{OperationId, clock};
use connectors::twilio::webhook::InboundSms as Received;
use serde_json::json;
use time::OffsetDateTime;

use crate::Verifier;
use crate::operation::{Answer, Channel, Ending, Event, Operation, State, Verdict};
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
            (Recognised::Answer(id), Said::Answer { verdict, code }) => {
                let hash = self.hasher.answer(&received.from, &code);
                let answer = |operation: &Operation| heard(operation, verdict, &hash, &received.sid);
                self.take_answer(id, &hash, answer, &message).await
            }
            (Recognised::Number(id), Said::Answer { .. }) => {
                let wrong_code = |_: &Operation| Some(Event::WrongCode);
                let words = |_: &Operation, _: &Operation| ("wrong_code", WRONG_CODE.to_owned());
                self.store
                    .take_message(&message, id, wrong_code, words, now)
                    .await
            }
            (Recognised::Number(_), Said::Unreadable) => {
                self.store.take_stray(&message, "unreadable", UNREADABLE).await
            }
            (Recognised::Nobody | Recognised::Answer(_), _) => {
                self.store.take_stray(&message, "unknown", UNKNOWN).await
            }
        }
    }

    /// An answer with its code. A yes is in its row before the directory is asked, as long as that may take; the message
    /// and its reply follow.
    async fn take_answer(
        &self,
        id: OperationId,
        hash: &str,
        answer: impl Fn(&Operation) -> Option<Event>,
        message: &InboundSms,
    ) -> Result<String, StoreError> {
        let yes = |operation: &Operation| answer(operation).filter(|event| is_yes(operation, event));
        let kept = self.store.answer_as(id, yes, message.received_at).await?;
        let standing = self.prompt_standing(&kept).await;
        let (was_kept, now) = match &standing {
            Some(_) => (true, clock::now()),
            None => (false, message.received_at),
        };
        let event = |operation: &Operation| standing.or_else(|| answer(operation));
        let words = |before: &Operation, after: &Operation| match sent_code(before) {
            // A yes that is kept had its code.
            _ if was_kept => answered(before, after, was_kept),
            Some(code) if code == hash => answered(before, after, was_kept),
            Some(_) if before.state.ended().is_none() => ("wrong_code", WRONG_CODE.to_owned()),
            Some(_) | None => ("unknown", UNKNOWN.to_owned()),
        };
        self.store.take_message(message, id, event, words, now).await
    }
}

/// What an answer must carry, as hash; none where none was sent, or where wrong ones closed the channel.
fn sent_code(operation: &Operation) -> Option<&str> {
    let code = match &operation.state {
        State::Approval(approval) => approval.sms.code(),
        State::Ended(ended) => ended.code.as_ref(),
        State::Mfa(_) | State::Question(_) => None,
    };
    code.map(|code| code.answer_hash.as_str())
}

/// What a message with the code of `hash` is to the operation as it stands: the answer of the manager who was asked, for
/// nobody else has the code; or a wrong code, where another one has gone out since it was recognised.
fn heard(operation: &Operation, verdict: Verdict, hash: &str, message: &str) -> Option<Event> {
    let request = operation.state.request()?;
    // INVARIANT: looked at under the lock of the row: only the newest code counts, and none once the guesses are used up.
    if sent_code(operation)? != hash {
        return operation.state.ended().is_none().then_some(Event::WrongCode);
    }
    Some(Event::Answered(Answer {
        verdict,
        by: request.approver.id.clone(),
        channel: Channel::Sms,
        card: None,
        provenance: json!({"message": message}),
    }))
}

/// A yes to what is still open: it waits for the directory.
fn is_yes(operation: &Operation, event: &Event) -> bool {
    let yes = matches!(event, Event::Answered(answer) if answer.verdict == Verdict::Approve);
    yes && operation.state.ended().is_none()
}

/// What was made of an answer: it counted, or it came too late. `was_kept`: it is a yes that was taken a moment ago.
fn answered(before: &Operation, after: &Operation, was_kept: bool) -> (&'static str, String) {
    let ticket = &after.facts.ticket;
    let Some(ended) = after.state.ended() else {
        let taken = "Your answer was taken. It counts once the directory can be asked whether you are still the one to give it.";
        return ("kept", format!("Thank you. Ticket {ticket}: {taken}"));
    };
    let at = words::clock(ended.at);
    let was_open = before.state.ended().is_none();
    // A worker may have been quicker with what the directory says of a yes that was kept.
    let counted = was_open || was_kept;
    match &ended.ending {
        Ending::Approved { .. } if counted => (
            "counted",
            format!("Thank you. Your approval for ticket {ticket} is recorded."),
        ),
        Ending::Denied { .. } if was_open => (
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
