//! A pressed button: judged, recorded, answered.

use common::UserId;
use connectors::teams::Card;
use connectors::teams::inbound::{Activity, Press};
use time::OffsetDateTime;

use crate::operation::{Event, Operation};
use crate::press::{Proof, Refusal, judge};
use crate::store::StoreError;
use crate::{Verifier, card, record};

/// What the person who pressed is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Pressed {
    /// How it ended, without buttons.
    Card(Card),
    /// That it was not theirs to press.
    Refused(&'static str),
}

impl Verifier {
    /// Take a press. Pressing twice, late or on another device changes nothing and shows how it ended.
    pub async fn take_press(
        &self,
        press: &Press,
        activity: &Activity,
        proof: &Proof,
        now: OffsetDateTime,
    ) -> Result<Pressed, StoreError> {
        let operation = self.store.of_reference(&press.approval_id).await?;
        let judged = operation
            .as_ref()
            .ok_or(Refusal::Unknown)
            .and_then(|operation| judge(press, activity, proof, &self.bot.directory, operation));
        match (judged, operation) {
            (Ok(answer), Some(operation)) => {
                let was_open = operation.state.ended().is_none();
                let after = self
                    .store
                    .answer(operation.facts.id, Event::Answered(answer), now)
                    .await?;
                Ok(shown(&after, was_open))
            }
            (Err(refusal), operation) => self.refuse(refusal, operation.as_ref(), activity).await,
            (Ok(_), None) => self.refuse(Refusal::Unknown, None, activity).await,
        }
    }

    async fn refuse(
        &self,
        refusal: Refusal,
        operation: Option<&Operation>,
        activity: &Activity,
    ) -> Result<Pressed, StoreError> {
        let why = refusal.as_str();
        tracing::warn!(why, "refused a press");
        let person = activity.person.as_ref().map(UserId::as_str);
        let facts = operation.map(|operation| &operation.facts);
        let event = record::refused_press(facts, person, why, activity.id.as_deref());
        self.store.refused(&event).await?;
        Ok(Pressed::Refused(refusal.in_words()))
    }
}

fn shown(after: &Operation, was_open: bool) -> Pressed {
    match after.state.ended() {
        Some(ended) => match &ended.request {
            Some(request) if was_open && ended.counts() => Pressed::Card(card::closed(request, ended)),
            Some(request) => Pressed::Card(card::too_late(request, ended)),
            None => Pressed::Refused(Refusal::Unknown.in_words()),
        },
        None => Pressed::Refused(Refusal::Unknown.in_words()),
    }
}
