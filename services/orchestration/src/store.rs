//! All SQL of the service, one file per promise. What must happen together commits together; no transaction stays open
//! across a call to the outside.

mod accept;
mod archive;
mod claim;
mod commit;
mod down;
mod operate;
mod outbox;
mod presence;
mod shape;
mod signal;
mod standing;
mod state;
mod steps;
#[cfg(test)]
pub(crate) mod stored;
mod telling;
mod view;

use chassis::Sessions;
use chassis::audit::{AuditEvent, AuditLog};
use common::{Service, TenantId};
use sqlx::PgConnection;

pub(crate) use accept::{FIRST_FENCE, NewExecution};
pub(crate) use claim::{Claimed, RunnerId};
pub(crate) use commit::{Arrival, Committed, Entry, Handled, Hold, StepRow, Take, Write, Written};
#[cfg(test)]
pub(crate) use operate::Stopped;
pub(crate) use operate::{OperateError, Operation, Reopened, Retried, Wish};
pub(crate) use outbox::{ClaimedTicket, Closing, Left, Settled, Then};
pub(crate) use presence::Presence;
#[cfg(test)]
pub(crate) use signal::Heard;
pub(crate) use signal::SignalRefused;
pub(crate) use standing::Standing;
pub(crate) use state::{Stand, StoredState};
pub(crate) use telling::{LINGER, Telling};

/// Wakes runners: an execution is due.
pub(crate) const EXECUTIONS: &str = "orchestration_executions";
/// Tells every replica that an operator did something: what is to stand still, or may go on.
pub(crate) const OPERATORS: &str = "orchestration_operators";
/// Wakes the senders of all replicas; whoever has something to be told wakes its own.
pub(crate) const UPDATES: &str = "orchestration_updates";

/// Wakes whoever archives; nobody does today but its own clock.
pub(crate) const ARCHIVE: &str = "orchestration_archive";

/// The database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It refused or is away.
    #[error("the database did not answer as it should")]
    Database(#[from] sqlx::Error),
    /// Somebody else has taken over: what was to be written belongs to the past.
    #[error("the lease was lost")]
    Fenced,
    /// This process is about to end and writes nothing more.
    #[error("nothing is written any more: the process is stopping")]
    Stopped,
    /// The connection broke at the wrong moment: it may have been written or not.
    #[error("whether it was written is not known")]
    Unclear,
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
    pool: Sessions,
    tenant: TenantId,
    audit: AuditLog,
}

impl Store {
    /// Over `pool`, for `tenant`.
    pub(crate) fn new(pool: Sessions, tenant: TenantId) -> Self {
        let audit = AuditLog::new(Service::Orchestration, tenant.clone());
        Self { pool, tenant, audit }
    }

    /// The same over a connection of its own, for whoever commits over and over.
    pub(crate) fn seated(&self) -> Self {
        Self {
            pool: self.pool.seat(),
            ..self.clone()
        }
    }

    /// The tenant whose rows these are.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn tenant_id(&self) -> &str {
        self.tenant.as_str()
    }

    /// Put on record what changed nothing.
    pub(crate) async fn note(&self, event: &AuditEvent) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        self.audit.record(&mut connection, event).await?;
        Ok(())
    }

    /// Add `events` to the record, in their order.
    async fn record(&self, connection: &mut PgConnection, events: &[AuditEvent]) -> Result<(), sqlx::Error> {
        self.audit.record_all(connection, events).await
    }
}

/// Give back what this transaction locked, with nothing written, and then answer. One that is only dropped is rolled back some
/// time later, and claims skip what it holds until then.
async fn let_go<T, E: From<sqlx::Error>>(
    transaction: chassis::Transaction,
    answer: Result<T, E>,
) -> Result<T, E> {
    transaction.rollback().await?;
    answer
}

/// Wake whoever listens, once this transaction has committed.
async fn notify(connection: &mut PgConnection, channel: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify($1, '')", channel)
        .execute(connection)
        .await?;
    Ok(())
}
