//! The catch-up poll: tickets whose webhook never came. HaloPSA does not promise to send one again.

use std::time::Duration;

use chassis::{Did, telemetry};
use connectors::halopsa::{Changes, Halo, TicketStub};
use time::OffsetDateTime;

use crate::store::{Look, NewEvent, Source, Store, StoreError, Told};

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
        let Some(Look { seen_until, begun }) = self.store.claim_poll(self.every).await? else {
            return Ok(Did::NothingUntil(self.store.poll_due().await?));
        };
        match self.halo.updated_since(seen_until - OVERLAP).await {
            Ok(changes) => {
                let until = seen_until_after(&changes, begun);
                for ticket in changes.tickets {
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
                self.store.polled(until).await?;
            }
            // The next poll looks from the same moment on.
            Err(error) => {
                tracing::warn!(error = %chassis::chain(&error), "could not catch up with the help desk");
            }
        }
        Ok(Did::NothingUntil(self.store.poll_due().await?))
    }
}

/// Until when everything has been seen, once the changes are on record.
fn seen_until_after(changes: &Changes, begun: OffsetDateTime) -> OffsetDateTime {
    let Some(unseen_from) = changes.unseen_from else {
        return begun;
    };
    tracing::warn!(%unseen_from, "more tickets changed than one look reads; the next one goes on from there");
    // Exactly from there: with an overlap, more changes than that in two minutes would hold the poll up for ever.
    unseen_from + OVERLAP
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

    const BEGUN: OffsetDateTime = datetime!(2026-02-10 12:00 UTC);

    fn changes(unseen_from: Option<OffsetDateTime>) -> Changes {
        Changes {
            tickets: vec![],
            unseen_from,
        }
    }

    #[test]
    fn a_look_that_saw_everything_counts_from_its_beginning() {
        assert_eq!(seen_until_after(&changes(None), BEGUN), BEGUN);
    }

    #[test]
    fn a_look_cut_short_is_gone_on_with_where_it_ended() {
        let ended = datetime!(2026-02-10 09:15 UTC);
        let next = seen_until_after(&changes(Some(ended)), BEGUN) - OVERLAP;
        assert_eq!(next, ended);
    }
}
