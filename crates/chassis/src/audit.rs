//! The append-only record of who did what: in the transaction of what it tells of, as the last of it. The database links
//! each event to the one before it (`audit_append`) and so locks the end of its chain until the transaction ends: whoever
//! still wanted another lock then could wait for somebody who waits for that end.
//!
//! Never secrets, ticket text or phone numbers: `detail` is for ids, codes and digests.

pub(crate) mod seal;

use std::borrow::Cow;

use common::clock;
use common::{ExecutionId, Service, TenantId, TicketId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::rows;

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
        if rows.entries.is_empty() {
            return Ok(());
        }
        sqlx::query_scalar!(
            "SELECT audit_append($1, $2, $3, $4)",
            self.tenant.as_str(),
            rows.service,
            &rows.entries as &[AuditEntry<'_>],
            rows.at,
        )
        .fetch_one(connection)
        .await?;
        Ok(())
    }
}

/// Events of one service as rows, for a statement that adds them beside something else.
#[derive(Debug)]
pub struct AuditRows<'e> {
    /// Whose they are.
    pub service: &'static str,
    /// When they are written down.
    pub at: OffsetDateTime,
    /// The events.
    pub entries: Vec<AuditEntry<'e>>,
}

/// An event with what its link is made of: a row of `audit_entry`.
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "audit_entry")]
pub struct AuditEntry<'e> {
    /// Version 7: they sort in the order in which they were made.
    id: Uuid,
    ticket_id: Option<&'e str>,
    execution_id: Option<Uuid>,
    kind: &'e str,
    actor: Cow<'e, str>,
    detail: &'e serde_json::Value,
    /// See `trust::audit`.
    digest: [u8; 32],
}

rows!(AuditEntry, "audit_entry");

impl<'e> AuditRows<'e> {
    /// `events` of `service`, in their order.
    pub fn of(service: Service, tenant: &TenantId, events: impl IntoIterator<Item = &'e AuditEvent>) -> Self {
        let now = clock::now();
        let mut rows = Self {
            service: service.name(),
            // As the column holds it: the digest is over it.
            at: now - time::Duration::nanoseconds(i64::from(now.nanosecond() % 1000)),
            entries: vec![],
        };
        for event in events {
            rows.push(tenant, event);
        }
        rows
    }

    fn push(&mut self, tenant: &TenantId, event: &'e AuditEvent) {
        let id = clock::fresh_id();
        let actor = match &event.actor {
            Some(actor) => Cow::Borrowed(actor.as_str()),
            None => Cow::Owned(format!("service:{}", self.service)),
        };
        let ticket_id = event.ticket.as_ref().map(TicketId::as_str);
        let execution_id = event.execution.map(|execution| execution.0);
        let digest = trust::audit::digest(&trust::audit::EventRef {
            tenant: tenant.as_str(),
            service: self.service,
            id,
            ticket: ticket_id,
            execution: execution_id,
            kind: event.kind,
            actor: &actor,
            detail: &event.detail,
            at: self.at,
        });
        self.entries.push(AuditEntry {
            id,
            ticket_id,
            execution_id,
            kind: event.kind,
            actor,
            detail: &event.detail,
            // There is always one: dates of this age of the world can be written.
            digest: digest.unwrap_or(trust::audit::Hash::NONE).0,
        });
    }
}
