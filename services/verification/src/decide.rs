//! A pressed button: judged, recorded, answered.

use common::{UserId, clock};
use connectors::teams::Card;
use connectors::teams::inbound::{Activity, Press, Reply};
use time::OffsetDateTime;

use crate::operation::{Ending, Event, Operation};
use crate::press::{Proof, Refusal, judge, judge_reply};
use crate::store::StoreError;
use crate::{Verifier, card, record};

/// What the person who pressed is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Pressed {
    /// How it ended, without buttons.
    Card(Card),
    /// That their answer was taken, and counts once the directory can be asked.
    Kept(&'static str),
    /// That it was not theirs to press, or that their answer does not fit.
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
        self.take(judged.map(Event::Answered), operation, activity, now)
            .await
    }

    /// Take an answer to a question. One that does not fit leaves the question open, and its writer is told what would.
    pub async fn take_reply(
        &self,
        reply: &Reply,
        activity: &Activity,
        proof: &Proof,
        now: OffsetDateTime,
    ) -> Result<Pressed, StoreError> {
        let operation = self.store.of_reference(&reply.question_id).await?;
        let judged = operation
            .as_ref()
            .ok_or(Refusal::Unknown)
            .and_then(|operation| judge_reply(reply, activity, proof, &self.bot.directory, operation));
        self.take(judged.map(Event::Replied), operation, activity, now)
            .await
    }

    async fn take(
        &self,
        judged: Result<Event, Refusal>,
        operation: Option<Operation>,
        activity: &Activity,
        now: OffsetDateTime,
    ) -> Result<Pressed, StoreError> {
        match (judged, operation) {
            (Ok(event), Some(operation)) => {
                let was_open = operation.state.ended().is_none();
                let answered = self.store.answer(operation.facts.id, event, now).await?;
                let after = self.judged_promptly(answered).await;
                Ok(shown(&after, was_open))
            }
            (Err(refusal), operation) => {
                let refused = self.refuse(refusal, operation.as_ref(), activity).await?;
                // Once it is over, a better answer would not help either.
                let over = operation.filter(|operation| operation.state.ended().is_some());
                match (refusal, over) {
                    (Refusal::Unfit(_), Some(over)) => Ok(shown(&over, false)),
                    _ => Ok(refused),
                }
            }
            (Ok(_), None) => self.refuse(Refusal::Unknown, None, activity).await,
        }
    }

    /// The operation with what the directory says of the yes that it keeps, where it can be asked at once.
    async fn judged_promptly(&self, operation: Operation) -> Operation {
        let Some(standing) = self.prompt_standing(&operation).await else {
            return operation;
        };
        match self
            .store
            .answer(operation.facts.id, standing, clock::now())
            .await
        {
            Ok(judged) => judged,
            // The yes is kept, so that a worker asks again.
            Err(error) => {
                tracing::warn!(error = %chassis::chain(&error), "what the directory said could not be recorded");
                operation
            }
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

/// What to tell somebody whose yes waits for the directory.
const KEPT: &str = "Your answer was taken. It counts once the directory can be asked whether you are still the one to give it.";

fn shown(after: &Operation, was_open: bool) -> Pressed {
    if after.state.ended().is_none() && after.state.request().is_some() {
        return Pressed::Kept(KEPT);
    }
    let card = after.state.ended().and_then(|ended| {
        let was_theirs = ended.counts() || matches!(ended.ending, Ending::Impossible(_));
        if was_open && was_theirs {
            card::closed(&after.facts, ended)
        } else {
            card::too_late(&after.facts, ended)
        }
    });
    card.map_or(Pressed::Refused(Refusal::Unknown.in_words()), Pressed::Card)
}
