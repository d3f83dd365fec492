//! Who may press a button, and which: the checks of an authenticated activity, in the order of the contract. Pure.
//!
//! The token proves that Teams speaks, not who pressed; a card proves nothing at all.

use common::UserId;
use connectors::teams::inbound::{Activity, Press, Verb};
use serde_json::json;

use crate::approval::Card;
use crate::operation::{Answer, CardMessage, Channel, Operation, State, Verdict};

/// Why a press does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No request of ours carries this reference.
    Unknown,
    /// The conversation belongs to another tenant, or says two.
    WrongTenant,
    /// Teams does not say who pressed.
    Nobody,
    /// Somebody else than the manager who was asked.
    WrongPerson,
    /// The requester themselves.
    IsRequester,
    /// Not the card that was sent.
    WrongCard,
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
        }
    }

    /// For the person who pressed. Says nothing that they could not know.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Unknown | Self::WrongTenant | Self::WrongCard => "This request is not known here.",
            Self::Nobody | Self::WrongPerson | Self::IsRequester => {
                "Only the manager who was asked can answer this request."
            }
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
    let tenant = activity.tenant_id.as_deref().ok_or(Refusal::WrongTenant)?;
    if !tenant.eq_ignore_ascii_case(directory) {
        return Err(Refusal::WrongTenant);
    }
    let person = activity.person.as_ref().ok_or(Refusal::Nobody)?;
    let request = operation.state.request().ok_or(Refusal::Unknown)?;
    if same(person, &operation.facts.subject.id) {
        return Err(Refusal::IsRequester);
    }
    if !same(person, &request.approver.id) {
        return Err(Refusal::WrongPerson);
    }
    let card = pressed_card(activity);
    if !is_ours(operation, card.as_ref()) {
        return Err(Refusal::WrongCard);
    }
    let verdict = match press.verb {
        Verb::Approve => Verdict::Approve,
        Verb::Deny => Verdict::Deny,
    };
    Ok(Answer {
        verdict,
        by: request.approver.id.clone(),
        channel: Channel::Teams,
        card,
        provenance: json!({"activity": activity.id, "aud": proof.audience, "kid": proof.key, "person": person}),
    })
}

/// Object ids are GUIDs, which compare without case.
fn same(one: &UserId, other: &UserId) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

fn pressed_card(activity: &Activity) -> Option<CardMessage> {
    Some(CardMessage {
        service_url: activity.service_url.as_ref()?.to_string(),
        conversation: activity.conversation_id.clone()?,
        activity: activity.reply_to_id.clone()?,
    })
}

/// Where we know the card, it must be that one. A card whose sending was never confirmed may have a twin.
fn is_ours(operation: &Operation, pressed: Option<&CardMessage>) -> bool {
    let Some(pressed) = pressed else { return false };
    match &operation.state {
        State::Mfa(_) => false,
        State::Approval(approval) => {
            let twins = approval.unconfirmed_cards > 0;
            match &approval.card {
                Card::Sent(known) => {
                    known.conversation == pressed.conversation
                        && (twins || known.activity == pressed.activity)
                }
                Card::Sending(_) => true,
                Card::Due(_) | Card::Off => twins,
            }
        }
        // Nothing can change any more; the presser only learns how it ended.
        State::Ended(ended) => ended
            .open_card
            .as_ref()
            .is_none_or(|(known, _)| known.conversation == pressed.conversation),
    }
}
