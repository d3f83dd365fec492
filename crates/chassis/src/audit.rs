//! The append-only record of who did what: in the transaction of what it tells of, as the last of it. The database links
//! each event to the one before it (`audit_append`) and so locks the end of its chain until the transaction ends: whoever
//! still wanted another lock then could wait for somebody who waits for that end.
//!
//! Never secrets, ticket text or phone numbers: `detail` is for ids, codes and digests.

pub(crate) mod seal;

use common::clock;
use common::{ExecutionId, Service, TenantId, TicketId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Dotted and stable: `decision.recorded`, `permit.issued`.
    pub kind: &'static str,
    /// The ticket it belongs to.
    pub ticket: Option<TicketId>,
    /// The execution it belongs to.
    pub execution: Option<ExecutionId>,
    /// Who did it, where it was not the service itself: `person:{object id}`, `vendor:teams`, `service:orchestration`.
    pub actor: Option<String>,
    /// Ids, codes, digests.
    pub detail: serde_json::Value,
}

impl AuditEvent {
    /// An event of the service itself that belongs to nothing yet.
    pub fn new(kind: &'static str, detail: serde_json::Value) -> Self {
        Self {
            kind,
            ticket: None,
            execution: None,
            actor: None,
            detail,
        }
    }

    /// It belongs to this ticket.
    pub fn ticket(mut self, ticket: &TicketId) -> Self {
        self.ticket = Some(ticket.clone());
        self
    }

    /// It belongs to this execution.
    pub fn execution(mut self, execution: ExecutionId) -> Self {
        self.execution = Some(execution);
        self
    }

    /// Somebody else did it.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }
}

/// Writes events in the name of one service and tenant. Cheap to clone; stores hold one.
#[derive(Debug, Clone)]
pub struct AuditLog {
    tenant: TenantId,
    service: Service,
}

impl AuditLog {
    /// The log of `service` in `tenant`.
    pub fn new(service: Service, tenant: TenantId) -> Self {
        Self { tenant, service }
    }

    /// Whose log it is.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Add `event` to its chain, as the last of the caller's transaction.
    ///
    /// # Errors
    /// The database refused or is away; the caller's transaction is lost with it, on purpose.
    pub async fn record(&self, connection: &mut PgConnection, event: &AuditEvent) -> Result<(), sqlx::Error> {
        self.record_all(connection, [event]).await
    }

    /// Add `events` to their chains, in their order, as the last of the caller's transaction: one statement, however many
    /// there are.
    ///
    /// # Errors
    /// As [`AuditLog::record`].
    pub async fn record_all<'e>(
        &self,
        connection: &mut PgConnection,
        events: impl IntoIterator<Item = &'e AuditEvent>,
    ) -> Result<(), sqlx::Error> {
        let mut events: Vec<&AuditEvent> = events.into_iter().collect();
        // Chain by chain, as `audit_append` wants them; within each in the order in which they happened.
        events.sort_by_key(|event| event.execution);
        let rows = AuditRows::of(self.service, &self.tenant, events);
        if rows.ids.is_empty() {
            return Ok(());
        }
        sqlx::query_scalar!(
            "SELECT audit_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            self.tenant.as_str(),
            rows.service,
            &rows.ids,
            &rows.tickets as &[Option<&str>],
            &rows.executions as &[Option<Uuid>],
            &rows.kinds as &[&str],
            &rows.actors,
            &rows.details as &[&serde_json::Value],
            &rows.digests,
            rows.at,
        )
        .fetch_one(connection)
        .await?;
        Ok(())
    }
}

/// Events of one service by column of `audit_events`, for a statement that inserts them beside
/// something else. All columns are of one length.
#[derive(Debug)]
pub struct AuditRows<'e> {
    /// Whose they are.
    pub service: &'static str,
    /// When they are written down.
    pub at: OffsetDateTime,
    /// Version 7: they sort in the order in which they were made.
    pub ids: Vec<Uuid>,
    /// What they belong to.
    pub tickets: Vec<Option<&'e str>>,
    /// What they belong to.
    pub executions: Vec<Option<Uuid>>,
    /// What happened.
    pub kinds: Vec<&'e str>,
    /// Who did it.
    pub actors: Vec<String>,
    /// Ids, codes, digests.
    pub details: Vec<&'e serde_json::Value>,
    /// What their links are made of (`trust::audit`), 32 bytes each.
    pub digests: Vec<Vec<u8>>,
}

impl<'e> AuditRows<'e> {
    /// `events` of `service`, in their order.
    pub fn of(service: Service, tenant: &TenantId, events: impl IntoIterator<Item = &'e AuditEvent>) -> Self {
        let now = clock::now();
        let mut rows = Self {
            service: service.name(),
            // As the column holds it: the digest is over it.
            at: now - time::Duration::nanoseconds(i64::from(now.nanosecond() % 1000)),
            ids: vec![],
            tickets: vec![],
            executions: vec![],
            kinds: vec![],
            actors: vec![],
            details: vec![],
            digests: vec![],
        };
        for event in events {
            rows.push(tenant, event);
        }
        rows
    }

    fn push(&mut self, tenant: &TenantId, event: &'e AuditEvent) {
        let id = clock::fresh_id();
        let actor = event.actor.clone();
        let actor = actor.unwrap_or_else(|| format!("service:{}", self.service));
        let digest = trust::audit::digest(&trust::audit::EventRef {
            tenant: tenant.as_str(),
            service: self.service,
            id,
            ticket: event.ticket.as_ref().map(TicketId::as_str),
            execution: event.execution.map(|execution| execution.0),
            kind: event.kind,
            actor: &actor,
            detail: &event.detail,
            at: self.at,
        });
        // There is always one: dates of this age of the world can be written.
        self.digests
            .push(digest.unwrap_or(trust::audit::Hash::NONE).0.to_vec());
        self.ids.push(id);
        self.tickets.push(event.ticket.as_ref().map(TicketId::as_str));
        self.executions.push(event.execution.map(|execution| execution.0));
        self.kinds.push(event.kind);
        self.actors.push(actor);
        self.details.push(&event.detail);
    }
}
