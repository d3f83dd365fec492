//! What tickets are to be told, by column; and queueing it where no step of an execution says it.

use std::time::Duration;

use common::clock;
use common::{ExecutionId, TicketId};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::down::Down;
use super::{Store, StoreError};
use crate::update::{Marker, Update};

/// Updates that may linger wait this long for company; long enough for quick steps, too short to be missed.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// What a ticket is to be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling<'t> {
    pub(crate) ticket: &'t TicketId,
    pub(crate) execution: ExecutionId,
    pub(crate) updates: &'t [Update],
    pub(crate) now: OffsetDateTime,
}

impl Telling<'_> {
    /// Nobody waits for it.
    pub(crate) fn may_linger(&self) -> bool {
        self.updates.iter().all(Update::may_linger)
    }
}

/// What tickets are told by column of `ticket_updates`, in its order.
#[derive(Default)]
pub(super) struct TellingColumns<'t> {
    pub(super) tickets: Vec<&'t str>,
    pub(super) executions: Vec<Uuid>,
    pub(super) markers: Vec<String>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) bodies: Vec<Json<&'t Update>>,
    pub(super) at: Vec<OffsetDateTime>,
    pub(super) linger_s: Vec<f64>,
}

impl<'t> TellingColumns<'t> {
    pub(super) fn of(tellings: &[Telling<'t>]) -> Self {
        let mut columns = Self::default();
        for telling in tellings {
            columns.push(telling);
        }
        columns
    }

    fn push(&mut self, telling: &Telling<'t>) {
        let linger_s = if telling.may_linger() {
            LINGER.as_secs_f64()
        } else {
            0.0
        };
        for update in telling.updates {
            self.tickets.push(telling.ticket.as_str());
            self.executions.push(telling.execution.0);
            self.markers.push(Marker::fresh().as_str().to_owned());
            self.kinds.push(update.kind());
            self.bodies.push(Json(update));
            self.at.push(telling.now);
            self.linger_s.push(linger_s);
        }
    }
}

impl Store {
    /// Queue something to be told that no step of an execution says.
    pub(crate) async fn tell(
        &self,
        ticket: &TicketId,
        execution: ExecutionId,
        updates: &[Update],
    ) -> Result<(), StoreError> {
        let now = clock::now();
        let telling = Telling {
            ticket,
            execution,
            updates,
            now,
        };
        let mut connection = self.pool.acquire().await?;
        self.enqueue(&mut connection, &[telling]).await
    }

    /// Queue what tickets are told, in its order. Whoever commits it wakes the senders.
    pub(super) async fn enqueue(
        &self,
        connection: &mut PgConnection,
        tellings: &[Telling<'_>],
    ) -> Result<(), StoreError> {
        let down = Down {
            known: tellings.iter().map(|telling| telling.execution).collect(),
            tellings: tellings.to_vec(),
            ..Down::default()
        };
        self.put_down(connection, &down).await?;
        Ok(())
    }
}
