//! The catch-up poll: tickets whose webhook never came. HaloPSA does not promise to send one again.

use std::time::Duration;

use chassis::{Did, telemetry};
use connectors::halopsa::{Changes, Halo, Seen, TicketStub};
use time::OffsetDateTime;

use crate::store::{NewEvent, Source, Store, StoreError, Told};

/// Looked at again each time: a ticket's change shows a little late, and the help desk has more than one clock.
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
        let Some(look) = self.store.claim_poll(self.every).await? else {
            return Ok(Did::NothingUntil(self.store.poll_due().await?));
        };
        match self.halo.updated_since(look.seen_until - OVERLAP).await {
            Ok(Changes { tickets, seen }) => {
                for ticket in tickets {
                    // Each ticket's story begins here, and is a trace of its own.
                    let span =
                        tracing::info_span!("catch up", service = "classifier", ticket.id = %ticket.id);
                    let traceparent = span.in_scope(telemetry::trace_context);
                    let told = Told {
                        events: vec![hint(ticket)],
                        traceparent,
                        ours: false,
                    };
                    self.store.keep(told).await?;
                }
                if let Some(until) = seen.map(seen_until) {
                    self.store.polled(look, until).await?;
                }
            }
            // The next poll looks from the same moment on.
            Err(error) => {
                tracing::warn!(error = %chassis::chain(&error), "could not catch up with the help desk");
            }
        }
        Ok(Did::NothingUntil(self.store.poll_due().await?))
    }
}

/// Until when everything has been seen, once the changes are on record: the next look begins [`OVERLAP`] before.
fn seen_until(seen: Seen) -> OffsetDateTime {
    match seen {
        Seen::AllUntil(asked_at) => asked_at,
        Seen::NotFrom(unseen) => {
            tracing::warn!(%unseen, "more tickets changed than one look reads; the next one goes on from there");
            // Exactly from there: with an overlap, more changes than that in two minutes would hold the poll up for ever.
            unseen + OVERLAP
        }
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

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NINE: OffsetDateTime = datetime!(2026-02-10 09:00 UTC);

    #[test]
    fn a_look_that_saw_everything_counts_from_its_beginning() {
        assert_eq!(seen_until(Seen::AllUntil(NINE)), NINE);
    }

    #[test]
    fn a_look_cut_short_is_gone_on_with_where_it_ended() {
        assert_eq!(seen_until(Seen::NotFrom(NINE)) - OVERLAP, NINE);
    }
}
