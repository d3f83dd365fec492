//! The append-only record of who did what: one insert, in the transaction of what it tells of.
//!
//! Never secrets, ticket text or phone numbers: `detail` is for ids, codes and digests.

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

    /// Insert `event` as part of the caller's transaction.
    ///
    /// # Errors
    /// The database refused or is away; the caller's transaction is lost with it, on purpose.
    pub async fn record(&self, connection: &mut PgConnection, event: &AuditEvent) -> Result<(), sqlx::Error> {
        let service = self.service.name();
        let actor = event
            .actor
            .clone()
            .unwrap_or_else(|| format!("service:{service}"));
        sqlx::query!(
            "INSERT INTO audit_events (tenant_id, id, service, ticket_id, execution_id, kind, actor, detail, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.tenant.as_str(),
            Uuid::now_v7(),
            service,
            event.ticket.as_ref().map(TicketId::as_str),
            event.execution.map(|execution| execution.0),
            event.kind,
            actor,
            event.detail,
            OffsetDateTime::now_utc(),
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}
