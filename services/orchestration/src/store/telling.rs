//! What tickets are to be told, by row; and queueing it where no step of an execution says it.

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

/// A row of `update_write`.
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "update_write")]
pub(super) struct UpdateWrite<'t> {
    ticket_id: &'t str,
    execution_id: Uuid,
    marker: String,
    kind: &'static str,
    body: Json<&'t Update>,
    at: OffsetDateTime,
    linger_s: f64,
}

chassis::rows!(UpdateWrite, "update_write");

impl<'t> UpdateWrite<'t> {
    /// What `telling` says, in its order.
    pub(super) fn all_of(telling: &Telling<'t>) -> impl Iterator<Item = Self> {
        let Telling {
            ticket,
            execution,
            updates,
            now,
        } = *telling;
        let linger_s = if telling.may_linger() {
            LINGER.as_secs_f64()
        } else {
            0.0
        };
        updates.iter().map(move |update| Self {
            ticket_id: ticket.as_str(),
            execution_id: execution.0,
            marker: Marker::fresh().as_str().to_owned(),
            kind: update.kind(),
            body: Json(update),
            at: now,
            linger_s,
        })
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
