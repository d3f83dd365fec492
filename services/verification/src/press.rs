//! Who may press a button, and which: the checks of an authenticated activity, in the order of the contract. Pure.
//!
//! The token proves that Teams speaks, not who pressed; a card proves nothing at all.

use common::UserId;
use connectors::teams::inbound::{self, Activity, Press, Verb};
use serde_json::json;

use crate::inquiry::Unfit;
use crate::operation::{Answer, CardMessage, Channel, Operation, Reply, State, Verdict};

/// Why a press does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No request of ours carries this reference.
    Unknown,
    /// The conversation belongs to another tenant, or says two.
    WrongTenant,
    /// Teams does not say who pressed.
    Nobody,
    /// Somebody else than the person who was asked.
    WrongPerson,
    /// The requester themselves.
    IsRequester,
    /// Not the card that was sent.
    WrongCard,
    /// An answer that does not fit its question, which stays open.
    Unfit(Unfit),
}

impl Refusal {
    /// For the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_approval",
            Self::WrongTenant => "wrong_tenant",
            Self::Nobody => "nobody",
            Self::WrongPerson => "wrong_person",
            Self::IsRequester => "is_requester",
            Self::WrongCard => "wrong_card",
            Self::Unfit(_) => "unfit_answer",
        }
    }

    /// For the person who pressed. Says nothing that they could not know.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Unknown | Self::WrongTenant | Self::WrongCard => "This request is not known here.",
            Self::Nobody | Self::WrongPerson | Self::IsRequester => {
                "Only the person who was asked can answer this request."
            }
            Self::Unfit(Unfit::Choice) => "Please choose one of the answers.",
            Self::Unfit(Unfit::Text) => "Please answer in a few words, up to 500 characters.",
            Self::Unfit(Unfit::Number) => "Please answer with a number, for example 12 or 0.5.",
            Self::Unfit(Unfit::Date) => "Please answer with a date, for example 2026-11-28.",
        }
    }
}

/// What was known of the token besides its being good; for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Its `aud`.
    pub audience: String,
    /// The `kid` that signed it.
    pub key: String,
}

/// Hold an activity against the request that its card names. What is good becomes an answer; whether it comes in time
/// is for the state machine to say.
pub fn judge(
    press: &Press,
    activity: &Activity,
    proof: &Proof,
    directory: &str,
    operation: &Operation,
) -> Result<Answer, Refusal> {
    let person = presser(activity, directory)?;
    let request = operation.state.request().ok_or(Refusal::Unknown)?;
    if same(person, &operation.facts.subject.id) {
        return Err(Refusal::IsRequester);
    }
    if !same(person, &request.approver.id) {
        return Err(Refusal::WrongPerson);
    }
    let card = pressed_card(activity, operation)?;
    let verdict = match press.verb {
        Verb::Approve => Verdict::Approve,
        Verb::Deny => Verdict::Deny,
    };
    Ok(Answer {
        verdict,
        by: request.approver.id.clone(),
        channel: Channel::Teams,
        card: Some(card),
        provenance: provenance(activity, proof),
    })
}

/// Hold an answer against the question that its card names. What is good is from the person who was asked, and fits;
/// whether it comes in time is for the state machine to say.
pub fn judge_reply(
    reply: &inbound::Reply,
    activity: &Activity,
    proof: &Proof,
    directory: &str,
    operation: &Operation,
) -> Result<Reply, Refusal> {
    let person = presser(activity, directory)?;
    let inquiry = operation.state.inquiry().ok_or(Refusal::Unknown)?;
    let subject = &operation.facts.subject.id;
    if !same(person, subject) {
        return Err(Refusal::WrongPerson);
    }
    let card = pressed_card(activity, operation)?;
    Ok(Reply {
        given: inquiry.asked.given(&reply.answer).map_err(Refusal::Unfit)?,
        by: subject.clone(),
        card,
        provenance: provenance(activity, proof),
    })
}

/// Who pressed, in our own tenant.
fn presser<'a>(activity: &'a Activity, directory: &str) -> Result<&'a UserId, Refusal> {
    let tenant = activity.tenant_id.as_deref().ok_or(Refusal::WrongTenant)?;
    if !tenant.eq_ignore_ascii_case(directory) {
        return Err(Refusal::WrongTenant);
    }
    activity.person.as_ref().ok_or(Refusal::Nobody)
}

fn provenance(activity: &Activity, proof: &Proof) -> serde_json::Value {
    json!({"activity": activity.id, "aud": proof.audience, "kid": proof.key, "person": activity.person})
}

/// Object ids are GUIDs, which compare without case.
fn same(one: &UserId, other: &UserId) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// The card that was pressed, where it can be the one that was sent.
fn pressed_card(activity: &Activity, operation: &Operation) -> Result<CardMessage, Refusal> {
    let named = || {
        Some(CardMessage {
            service_url: activity.service_url.as_ref()?.to_string(),
            conversation: activity.conversation_id.clone()?,
            activity: activity.reply_to_id.clone()?,
        })
    };
    let pressed = named().ok_or(Refusal::WrongCard)?;
    let ours = match &operation.state {
        State::Mfa(_) => false,
        State::Approval(approval) => approval.posting.may_be(&pressed),
        State::Question(question) => question.posting.may_be(&pressed),
        // Nothing can change any more; the presser only learns how it ended.
        State::Ended(ended) => ended
            .open_card
            .as_ref()
            .is_none_or(|(known, _)| known.conversation == pressed.conversation),
    };
    if ours {
        Ok(pressed)
    } else {
        Err(Refusal::WrongCard)
    }
}
