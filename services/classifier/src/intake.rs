//! Webhooks of the help desk: proof over the raw bytes first, then parse, then keep; answered once that is committed.
//!
//! What a webhook says is a hint that something happened, and nothing of it is believed beyond the ticket's number.

use std::sync::Arc;

use chassis::{Refusal, Refusals, SentBy, telemetry};
use common::TicketId;
use common::clock;
use connectors::halopsa::webhook::{self, BadBody, Refused, TicketEvent, WebhookAuth};
use http::HeaderMap;

use crate::gate::Gate;
use crate::store::{NewEvent, Source, Store, StoreError, Told};

/// A webhook that is not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// It does not prove who sent it.
    #[error(transparent)]
    Unproven(#[from] Refused),
    /// It is no event.
    #[error(transparent)]
    Unreadable(#[from] BadBody),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone)]
pub(crate) struct Intake {
    store: Store,
    gate: Gate,
    auth: Arc<WebhookAuth>,
    refusals: Refusals,
    own_agent: i64,
}

impl Intake {
    pub(crate) fn new(
        store: Store,
        gate: Gate,
        auth: WebhookAuth,
        refusals: Refusals,
        own_agent: i64,
    ) -> Self {
        Self {
            store,
            gate,
            auth: Arc::new(auth),
            refusals,
            own_agent,
        }
    }

    /// Keep what a webhook tells; a ticket that is to be judged is begun at once, where there is a place for it.
    pub(crate) async fn take(
        &self,
        source: Source,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), IntakeError> {
        let proven = self.auth.verify(headers, body);
        proven.inspect_err(|why| self.refuse(SentBy::Stranger, why.code()))?;
        let events = webhook::parse(body).inspect_err(|_| self.refuse(SentBy::Vendor, "no_event"))?;
        let events: Vec<NewEvent> = events.into_iter().map(|event| self.hint(source, event)).collect();
        let count = events.len();
        // The help desk tells of one at a time; where it tells of several, they wait for workers.
        let place = match events.as_slice() {
            [event] if !event.own => self.gate.place(),
            _ => None,
        };
        let told = Told {
            events,
            traceparent: telemetry::trace_context(),
            ours: place.is_some(),
        };
        let claim = self.store.keep(told).await?;
        tracing::info!(events = count, ?source, "took in what the help desk told");
        if let (Some(claim), Some(place)) = (claim, place) {
            self.gate.begin(claim, place);
        }
        Ok(())
    }

    fn refuse(&self, sender: SentBy, reason: &'static str) {
        self.refusals.note(Refusal::Webhook {
            vendor: "halopsa",
            sender,
            reason,
        });
    }

    fn hint(&self, source: Source, event: TicketEvent) -> NewEvent {
        NewEvent {
            deduplication_key: deduplication_key(&event),
            own: event.agent_id == Some(self.own_agent),
            ticket: event.ticket,
            source,
            delivery: event.delivery,
            event: event.event,
            agent: event.agent_id,
            occurred_at: event.at,
        }
    }
}

/// Without a time and a delivery id, two hints cannot be told apart: then each is news, and the ticket is read anyway.
fn deduplication_key(event: &TicketEvent) -> String {
    if event.at.is_none() && event.delivery.is_none() {
        return format!("{}/{}/{}", event.ticket, event.event, clock::fresh_id());
    }
    event.deduplication_key()
}

/// Somebody asks for a decision on a ticket that we may not have heard of.
pub(crate) fn asked(ticket: &TicketId) -> NewEvent {
    NewEvent {
        ticket: ticket.clone(),
        source: Source::Asked,
        delivery: None,
        deduplication_key: format!("{ticket}/asked/{}", clock::fresh_id()),
        event: String::new(),
        agent: None,
        occurred_at: None,
        own: false,
    }
}
