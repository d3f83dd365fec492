//! Webhooks of the help desk: proof over the raw bytes first, then parse, then keep; answered once that is committed.
//!
//! What a webhook says is a hint that something happened, and nothing of it is believed beyond the ticket's number.

use std::sync::Arc;

use chassis::telemetry;
use common::TicketId;
use connectors::halopsa::webhook::{self, BadBody, Refused, TicketEvent, WebhookAuth};
use http::HeaderMap;
use uuid::Uuid;

use crate::store::{NewEvent, Source, Store, StoreError};

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
    auth: Arc<WebhookAuth>,
    own_agent: i64,
}

impl Intake {
    pub(crate) fn new(store: Store, auth: WebhookAuth, own_agent: i64) -> Self {
        Self {
            store,
            auth: Arc::new(auth),
            own_agent,
        }
    }

    /// Keep what a webhook tells.
    pub(crate) async fn take(
        &self,
        source: Source,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), IntakeError> {
        self.auth.verify(headers, body)?;
        let events: Vec<NewEvent> = webhook::parse(body)?
            .into_iter()
            .map(|event| self.hint(source, event))
            .collect();
        self.store
            .keep(&events, telemetry::trace_context().as_deref())
            .await?;
        tracing::info!(events = events.len(), ?source, "took in what the help desk told");
        Ok(())
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
        return format!("{}/{}/{}", event.ticket, event.event, Uuid::now_v7());
    }
    event.deduplication_key()
}

/// Somebody asks for a decision on a ticket that we may not have heard of.
pub(crate) fn asked(ticket: &TicketId) -> NewEvent {
    NewEvent {
        ticket: ticket.clone(),
        source: Source::Asked,
        delivery: None,
        deduplication_key: format!("{ticket}/asked/{}", Uuid::now_v7()),
        event: String::new(),
        agent: None,
        occurred_at: None,
        own: false,
    }
}
