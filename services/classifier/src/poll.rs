//! The catch-up poll: tickets whose webhook never came. HaloPSA does not promise to send one again.

use std::time::Duration;

use chassis::{Did, telemetry};
use connectors::halopsa::{Halo, TicketStub};
use time::OffsetDateTime;

use crate::store::{NewEvent, Source, Store, StoreError};

/// Looked at again each time: clocks differ, and a ticket's change shows a little late.
const OVERLAP: Duration = Duration::from_mins(2);

#[derive(Clone)]
pub(crate) struct Poller {
    store: Store,
    halo: Halo,
    every: Duration,
}

impl Poller {
    pub(crate) fn new(store: Store, halo: Halo, every: Duration) -> Self {
        Self { store, halo, every }
    }

    /// Poll where it is due; whichever replica comes first does it for all.
    pub(crate) async fn step(&self) -> Result<Did, StoreError> {
        let begun = OffsetDateTime::now_utc();
        let Some(seen_until) = self.store.claim_poll(self.every).await? else {
            return Ok(Did::NothingUntil(self.store.poll_due().await?));
        };
        match self.halo.updated_since(seen_until - OVERLAP).await {
            Ok(tickets) => {
                for ticket in tickets {
                    // Each ticket's story begins here, and is a trace of its own.
                    let span =
                        tracing::info_span!("catch up", service = "classifier", ticket.id = %ticket.id);
                    let traceparent = span.in_scope(telemetry::trace_context);
                    self.store.keep(&[hint(ticket)], traceparent.as_deref()).await?;
                }
                self.store.polled(begun).await?;
            }
            // The next poll looks from the same moment on.
            Err(error) => {
                tracing::warn!(error = %chassis::chain(&error), "could not catch up with the help desk");
            }
        }
        Ok(Did::NothingUntil(self.store.poll_due().await?))
    }
}

fn hint(ticket: TicketStub) -> NewEvent {
    let moment = ticket.updated.map_or(0, OffsetDateTime::unix_timestamp_nanos);
    NewEvent {
        deduplication_key: format!("{}/poll/{moment}", ticket.id),
        ticket: ticket.id,
        source: Source::Poll,
        delivery: None,
        event: String::new(),
        agent: None,
        occurred_at: ticket.updated,
        own: false,
    }
}
