//! All SQL of the service, one file per promise. What must happen together commits together; no transaction stays open
//! across a call to the outside.

mod accept;
mod claim;
mod commit;
mod outbox;
mod signal;
#[cfg(test)]
pub(crate) mod stored;
mod view;

use chassis::audit::{AuditEvent, AuditLog};
use common::{Service, TenantId, TicketId};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

pub(crate) use accept::{Accepted, NewExecution};
pub(crate) use claim::{Claimed, RunnerId};
pub(crate) use commit::{Handled, Hold, StepRow, Write, Written};
pub(crate) use outbox::{ClaimedTicket, Settled};
pub(crate) use signal::SignalRefused;

use crate::update::{Marker, Update};

/// Wakes runners: an execution is due.
pub(crate) const EXECUTIONS: &str = "orchestration_executions";
/// Wakes senders: a ticket has something to be told.
pub(crate) const UPDATES: &str = "orchestration_updates";

/// Updates that may linger wait this long for company; long enough for quick steps, too short to be missed.
const LINGER_S: f64 = 2.0;

/// The database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It refused or is away.
    #[error("the database did not answer as it should")]
    Database(#[from] sqlx::Error),
    /// Somebody else has taken over: what was to be written belongs to the past.
    #[error("the lease was lost")]
    Fenced,
    /// A row says what cannot be true.
    #[error("a row of `{table}` makes no sense")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// What does not fit.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    fn corrupt<E>(table: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Corrupt {
            table,
            source: source.into(),
        }
    }
}

/// The tables of the service, for one tenant.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: PgPool,
    tenant: TenantId,
    audit: AuditLog,
}

impl Store {
    /// Over `pool`, for `tenant`.
    pub(crate) fn new(pool: PgPool, tenant: TenantId) -> Self {
        let audit = AuditLog::new(Service::Orchestration, tenant.clone());
        Self { pool, tenant, audit }
    }

    /// The tenant whose rows these are.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn tenant_id(&self) -> &str {
        self.tenant.as_str()
    }

    /// Add `events` to the record, in their order.
    async fn record(&self, connection: &mut PgConnection, events: &[AuditEvent]) -> Result<(), sqlx::Error> {
        for event in events {
            self.audit.record(connection, event).await?;
        }
        Ok(())
    }

    /// Queue `updates` for `ticket`, in their order.
    async fn enqueue(
        &self,
        connection: &mut PgConnection,
        ticket: &TicketId,
        execution: common::ExecutionId,
        updates: &[Update],
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        if updates.is_empty() {
            return Ok(());
        }
        let linger_s = if updates.iter().all(Update::may_linger) {
            LINGER_S
        } else {
            0.0
        };
        let markers: Vec<String> = updates
            .iter()
            .map(|_| Marker::fresh().as_str().to_owned())
            .collect();
        let kinds: Vec<String> = updates.iter().map(|update| update.kind().to_owned()).collect();
        let bodies: Result<Vec<_>, _> = updates.iter().map(serde_json::to_value).collect();
        let bodies = bodies.map_err(StoreError::corrupt("ticket_updates"))?;
        sqlx::query!(
            "INSERT INTO ticket_updates (tenant_id, ticket_id, execution_id, marker, kind, body, created_at)
             SELECT $1, $2, $3, update.marker, update.kind, update.body, $7
             FROM UNNEST($4::text[], $5::text[], $6::jsonb[]) WITH ORDINALITY AS update (marker, kind, body, nth)
             ORDER BY update.nth",
            self.tenant_id(),
            ticket.as_str(),
            execution.0,
            &markers,
            &kinds,
            &bodies,
            now,
        )
        .execute(&mut *connection)
        .await?;
        // A sender at work sees the count when it lets go; one that waits for the help desk to come back goes on waiting.
        sqlx::query!(
            "INSERT INTO ticket_outboxes AS outbox (tenant_id, ticket_id, wake_at, enqueued)
             VALUES ($1, $2, now() + make_interval(secs => $3), 1)
             ON CONFLICT (tenant_id, ticket_id) DO UPDATE
             SET enqueued = outbox.enqueued + 1,
                 wake_at = CASE
                     WHEN outbox.held OR outbox.failures > 0 THEN outbox.wake_at
                     ELSE LEAST(outbox.wake_at, EXCLUDED.wake_at)
                 END",
            self.tenant_id(),
            ticket.as_str(),
            linger_s,
        )
        .execute(&mut *connection)
        .await?;
        notify(connection, UPDATES).await?;
        Ok(())
    }
}

/// Wake whoever listens, once this transaction has committed.
async fn notify(connection: &mut PgConnection, channel: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify($1, '')", channel)
        .execute(connection)
        .await?;
    Ok(())
}
