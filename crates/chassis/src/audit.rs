//! The append-only record of who did what: one insert, in the transaction of what it tells of.
//!
//! Never secrets, ticket text or phone numbers: `detail` is for ids, codes and digests.

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

    /// Insert `event` as part of the caller's transaction.
    ///
    /// # Errors
    /// The database refused or is away; the caller's transaction is lost with it, on purpose.
    pub async fn record(&self, connection: &mut PgConnection, event: &AuditEvent) -> Result<(), sqlx::Error> {
        self.record_all(connection, [event]).await
    }

    /// Insert `events`, in their order, as part of the caller's transaction: one statement, however many there are.
    ///
    /// # Errors
    /// As [`AuditLog::record`].
    pub async fn record_all<'e>(
        &self,
        connection: &mut PgConnection,
        events: impl IntoIterator<Item = &'e AuditEvent>,
    ) -> Result<(), sqlx::Error> {
        let rows = AuditRows::of(self.service, events);
        if rows.ids.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            r#"INSERT INTO audit_events (tenant_id, id, service, ticket_id, execution_id, kind, actor, detail, at)
             SELECT $1, event.id, $2, event.ticket_id, event.execution_id, event.kind, event.actor, event.detail, $9
             FROM UNNEST($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::jsonb[])
                  AS event (id, ticket_id, execution_id, kind, actor, detail)"#,
            self.tenant.as_str(),
            rows.service,
            &rows.ids,
            &rows.tickets as &[Option<&str>],
            &rows.executions as &[Option<Uuid>],
            &rows.kinds as &[&str],
            &rows.actors,
            &rows.details as &[&serde_json::Value],
            rows.at,
        )
        .execute(connection)
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
}

impl<'e> AuditRows<'e> {
    /// `events` of `service`, in their order.
    pub fn of(service: Service, events: impl IntoIterator<Item = &'e AuditEvent>) -> Self {
        let mut rows = Self {
            service: service.name(),
            at: clock::now(),
            ids: vec![],
            tickets: vec![],
            executions: vec![],
            kinds: vec![],
            actors: vec![],
            details: vec![],
        };
        for event in events {
            rows.push(event);
        }
        rows
    }

    fn push(&mut self, event: &'e AuditEvent) {
        self.ids.push(clock::fresh_id());
        self.tickets.push(event.ticket.as_ref().map(TicketId::as_str));
        self.executions.push(event.execution.map(|execution| execution.0));
        self.kinds.push(event.kind);
        let actor = event.actor.clone();
        self.actors
            .push(actor.unwrap_or_else(|| format!("service:{}", self.service)));
        self.details.push(&event.detail);
    }
}
