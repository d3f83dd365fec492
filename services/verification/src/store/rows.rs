//! Operations to rows of `verifications`, by one exhaustive match; `read` is the way back.

use time::OffsetDateTime;

use super::StoreError;
use crate::approval::{Approval, Code, Kept, Sms};
use crate::mfa::{Mfa, Push};
use crate::operation::{CardMessage, Channel, Duty, Ended, Ending, Operation, PermitFacts, State};
use crate::patience::Patience;
use crate::posting::{Card, Posting};
use crate::question::Question;

/// What never changes: written once.
pub(super) struct Fixed {
    pub(super) authorizes: Option<serde_json::Value>,
    pub(super) approver_id: Option<String>,
    pub(super) approver_name: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) shown: Option<serde_json::Value>,
    pub(super) question: Option<serde_json::Value>,
    pub(super) user_principal_name: Option<String>,
}

/// What moves. `Default` is: nothing is known of it.
#[derive(Default)]
pub(super) struct Moving {
    pub(super) state: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) answer: Option<String>,
    pub(super) answered_by: Option<String>,
    pub(super) channel: Option<&'static str>,
    pub(super) ended_at: Option<OffsetDateTime>,
    pub(super) pushes: Option<i16>,
    pub(super) push_attempts: Option<i16>,
    pub(super) push_at: Option<OffsetDateTime>,
    pub(super) push_open: bool,
    pub(super) card: Option<&'static str>,
    pub(super) card_attempts: Option<i16>,
    pub(super) card_at: Option<OffsetDateTime>,
    pub(super) card_message: Option<CardMessage>,
    pub(super) cards_unconfirmed: i16,
    pub(super) sms: Option<&'static str>,
    pub(super) sms_attempts: Option<i16>,
    pub(super) sms_at: Option<OffsetDateTime>,
    pub(super) sms_count: i16,
    pub(super) code: Option<Code>,
    pub(super) permit: Option<PermitFacts>,
    pub(super) signal: Option<Duty>,
    pub(super) wake_at: Option<OffsetDateTime>,
    /// Where it is another than at first.
    pub(super) moved_deadline: Option<OffsetDateTime>,
    /// What is shown, where that moved with the deadline.
    pub(super) shown: Option<serde_json::Value>,
    pub(super) kept: Option<Kept>,
}

pub(super) fn small(count: u16) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

fn moved(patience: &Patience) -> Option<OffsetDateTime> {
    patience.is_postponed().then_some(patience.deadline)
}

impl Fixed {
    pub(super) fn of(operation: &Operation) -> Result<Self, StoreError> {
        let facts = &operation.facts;
        let request = operation.state.request();
        let inquiry = operation.state.inquiry();
        let json = |result: Result<serde_json::Value, _>| {
            result.map_err(|_| StoreError::Corrupt {
                id: facts.id,
                what: "it cannot be written as JSON",
            })
        };
        Ok(Self {
            authorizes: facts
                .authorizes
                .as_ref()
                .map(|authorized| json(serde_json::to_value(authorized)))
                .transpose()?,
            approver_id: request.map(|request| request.approver.id.to_string()),
            approver_name: request.map(|request| request.approver.name.clone()),
            reference: request
                .map(|request| &request.reference)
                .or(inquiry.map(|inquiry| &inquiry.reference))
                .cloned(),
            shown: request
                .map(|request| json(serde_json::to_value(&request.shown)))
                .transpose()?,
            question: inquiry
                .map(|inquiry| json(serde_json::to_value(&inquiry.asked)))
                .transpose()?,
            user_principal_name: match &operation.state {
                State::Mfa(mfa) => Some(mfa.user_principal_name.clone()),
                State::Approval(_) | State::Question(_) | State::Ended(_) => None,
            },
        })
    }
}

impl Moving {
    pub(super) fn of(operation: &Operation) -> Self {
        let moving = match &operation.state {
            State::Mfa(mfa) => Self::mfa(mfa),
            State::Approval(approval) => Self::approval(approval),
            State::Question(question) => Self::question(question),
            State::Ended(ended) => Self::ended(ended),
        };
        Self {
            permit: operation.permit.clone(),
            wake_at: operation.state.wake_at(),
            ..moving
        }
    }

    fn mfa(mfa: &Mfa) -> Self {
        let (pushes, attempts, at, open) = match &mfa.push {
            Push::Due { sent, attempts, at } => (*sent, *attempts, *at, false),
            Push::Open {
                number,
                attempts,
                since,
            } => (*number, *attempts, *since, true),
        };
        Self {
            state: "open",
            pushes: Some(pushes.into()),
            push_attempts: Some(small(attempts)),
            push_at: Some(at),
            push_open: open,
            moved_deadline: moved(&mfa.patience),
            ..Self::default()
        }
    }

    /// Something that is asked by card.
    fn posted(posting: &Posting) -> Self {
        let (card, duty, message) = match &posting.card {
            Card::Due(duty) => ("due", Some(duty), None),
            Card::Sending(duty) => ("sending", Some(duty), None),
            Card::Sent(message) => ("sent", None, Some(message)),
            Card::Off => ("off", None, None),
        };
        Self {
            state: "open",
            card: Some(card),
            card_attempts: duty.map(|duty| small(duty.attempts)),
            card_at: duty.map(|duty| duty.at),
            card_message: message.cloned(),
            cards_unconfirmed: posting.unconfirmed.into(),
            ..Self::default()
        }
    }

    fn question(question: &Question) -> Self {
        Self {
            moved_deadline: moved(&question.patience),
            ..Self::posted(&question.posting)
        }
    }

    fn approval(approval: &Approval) -> Self {
        let mut moving = Self::posted(&approval.posting);
        moving.kept.clone_from(&approval.kept);
        moving.moved_deadline = moved(&approval.patience);
        if moving.moved_deadline.is_some() {
            moving.shown = serde_json::to_value(&approval.request.shown).ok();
        }
        let mut sms = |word, sent: u8, duty: Option<&Duty>| {
            moving.sms = Some(word);
            moving.sms_count = sent.into();
            moving.sms_attempts = duty.map(|duty| small(duty.attempts));
            moving.sms_at = duty.map(|duty| duty.at);
        };
        match &approval.sms {
            Sms::Due { sent, duty } => sms("due", *sent, Some(duty)),
            Sms::Sending { sent, duty, .. } => sms("sending", *sent, Some(duty)),
            Sms::Sent { .. } => sms("sent", 0, None),
            Sms::Off => sms("off", 0, None),
        }
        moving.code = approval.sms.code().cloned();
        moving
    }

    fn ended(ended: &Ended) -> Self {
        let (state, reason) = match &ended.ending {
            Ending::Approved { .. } => ("approved", None),
            Ending::Denied { fraud, .. } => ("denied", fraud.then_some("fraud")),
            Ending::Answered { .. } => ("answered", None),
            Ending::TimedOut(silence) => ("timed_out", Some(silence.as_str())),
            Ending::Impossible(obstacle) => ("impossible", Some(obstacle.as_str())),
        };
        let (person, given) = match &ended.ending {
            Ending::Approved { by, channel } | Ending::Denied { by, channel, .. } => {
                (Some((by, *channel)), None)
            }
            Ending::Answered { by, given } => (Some((by, Channel::Teams)), Some(given)),
            Ending::TimedOut(_) | Ending::Impossible(_) => (None, None),
        };
        let card = ended.open_card.as_ref();
        Self {
            state,
            reason,
            answer: given.map(|given| given.as_str().to_owned()),
            answered_by: person.map(|(by, _)| by.to_string()),
            channel: person.map(|(_, channel)| channel.as_str()),
            ended_at: Some(ended.at),
            card: card.map(|_| "sent"),
            card_attempts: card.map(|(_, duty)| small(duty.attempts)),
            card_at: card.map(|(_, duty)| duty.at),
            card_message: card.map(|(message, _)| message.clone()),
            code: ended.code.clone(),
            signal: ended.signal.clone(),
            ..Self::default()
        }
    }
}
