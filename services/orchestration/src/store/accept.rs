//! Accepting an execution: once per decision, one open per ticket, with the document pinned. Where there is room to drive
//! it, its first step begins in the same transaction.

use chassis::audit::AuditEvent;
use common::execution::{ExecutionAccepted, ExecutionStatus};
use common::{DecisionId, Digest, ExecutePlaybook, ExecutionId, TicketId, TicketSnapshot};
use serde_json::json;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::commit::Write;
use super::{Store, StoreError, StoredState};
use crate::facts::Given;
use crate::library::{Document, Pin};
use crate::manners;

/// An execution about to be accepted.
#[derive(Debug, Clone)]
pub(crate) struct NewExecution {
    pub(crate) id: ExecutionId,
    /// As it was asked for.
    pub(crate) request: ExecutePlaybook,
    /// The document and what it calls; none where they are known to be pinned.
    pub(crate) pins: Vec<Pin>,
    /// What templates may show beside the ticket.
    pub(crate) given: Given,
    /// The machine's first state.
    pub(crate) state: StoredState,
    /// The trace of the ticket.
    pub(crate) traceparent: Option<String>,
    pub(crate) now: OffsetDateTime,
    /// Its first call, where whoever accepts it drives it; else it is due for anybody.
    pub(crate) begun: Option<Write>,
}

/// The fence of whoever drives an execution from its acceptance.
pub(crate) const FIRST_FENCE: i64 = 1;

impl NewExecution {
    /// Nothing has to be written before it or after it, and nobody to be woken: whoever accepts it drives it.
    pub(super) fn is_plain(&self) -> bool {
        self.pins.is_empty() && self.begun.as_ref().is_some_and(Write::is_plain)
    }

    /// For the record.
    pub(super) fn accepted(&self) -> AuditEvent {
        let ExecutePlaybook {
            playbook,
            decision_id,
            subject,
            ticket_id,
            ..
        } = &self.request;
        let detail = json!({
            "decision": decision_id,
            "playbook": playbook.name,
            "version": playbook.version,
            "digest": playbook.digest,
            "subject": subject.user_id,
        });
        AuditEvent::new("execution.accepted", detail)
            .ticket(ticket_id)
            .execution(self.id)
            .actor("service:classifier")
    }
}

/// A row of `execution_entry`.
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "execution_entry")]
pub(super) struct ExecutionEntry<'n> {
    id: Uuid,
    ticket_id: &'n str,
    decision_id: Uuid,
    playbook_name: &'n str,
    playbook_version: &'n str,
    playbook_digest: &'n str,
    subject_id: &'n str,
    requester_name: String,
    ticket: Json<TicketSnapshot>,
    facts: Json<&'n Given>,
    traceparent: Option<&'n str>,
    status: &'static str,
    state: &'n StoredState,
    /// As it is where a switch is off: not begun.
    untouched: &'n StoredState,
    runner: Option<Uuid>,
    fence: i64,
    started_at: OffsetDateTime,
}

chassis::rows!(ExecutionEntry, "execution_entry");

impl<'n> ExecutionEntry<'n> {
    pub(super) fn of(new: &'n NewExecution) -> Self {
        let NewExecution { request, begun, .. } = new;
        let begun = begun.as_ref();
        Self {
            id: new.id.0,
            ticket_id: request.ticket_id.as_str(),
            decision_id: request.decision_id.0,
            playbook_name: request.playbook.name.as_str(),
            playbook_version: request.playbook.version.as_str(),
            playbook_digest: request.playbook.digest.as_str(),
            subject_id: request.subject.user_id.as_str(),
            requester_name: manners::sentence(&request.requester_name),
            ticket: Json(manners::ticket(&request.ticket)),
            facts: Json(&new.given),
            traceparent: new.traceparent.as_deref(),
            status: begun
                .map_or(ExecutionStatus::Queued, |begun| begun.status)
                .as_str(),
            state: begun.map_or(&new.state, |begun| &begun.state),
            untouched: &new.state,
            runner: begun.map(|begun| begun.runner.0),
            fence: begun.map_or(0, |begun| begun.fence),
            started_at: new.now,
        }
    }
}

impl Store {
    /// The execution that this decision started, if it did.
    pub(crate) async fn of_decision(
        &self,
        decision: DecisionId,
    ) -> Result<Option<ExecutionAccepted>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT id AS "id!", status AS "status!"
             FROM playbook_executions
             WHERE tenant_id = $1 AND decision_id = $2
             UNION ALL
             SELECT id, record -> 'execution' ->> 'status'
             FROM archived_executions
             WHERE tenant_id = $1 AND decision_id = $2"#,
            self.tenant_id(),
            decision.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(ExecutionAccepted {
                execution_id: ExecutionId(row.id),
                status: super::view::status(&row.status)?,
            })
        })
        .transpose()
    }

    /// The execution that is open on `ticket`.
    pub(crate) async fn open_on(&self, ticket: &TicketId) -> Result<Option<ExecutionId>, StoreError> {
        let open = sqlx::query_scalar!(
            "SELECT id
             FROM playbook_executions
             WHERE tenant_id = $1 AND ticket_id = $2 AND ended_at IS NULL",
            self.tenant_id(),
            ticket.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(open.map(ExecutionId))
    }

    /// The document with this digest and what it calls, if it was pinned before.
    pub(crate) async fn pinned(&self, digest: &Digest) -> Result<Option<Document>, StoreError> {
        let document = sqlx::query_as!(
            Document,
            r#"SELECT
                 pinned.source,
                 ARRAY(
                     SELECT called.source
                     FROM pinned_playbooks called
                     WHERE called.tenant_id = $1 AND called.digest = ANY(pinned.calls)
                 ) AS "calls!"
             FROM pinned_playbooks pinned
             WHERE pinned.tenant_id = $1 AND pinned.digest = $2"#,
            self.tenant_id(),
            digest.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(document)
    }

    /// Keep the documents, for as long as any execution runs them and longer.
    pub(super) async fn pin(
        &self,
        connection: &mut PgConnection,
        pins: &[Pin],
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        for Pin {
            playbook,
            source,
            calls,
        } in pins
        {
            sqlx::query!(
                "INSERT INTO pinned_playbooks (tenant_id, digest, name, version, source, calls, pinned_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT DO NOTHING",
                self.tenant_id(),
                playbook.digest.as_str(),
                playbook.name.as_str(),
                playbook.version.as_str(),
                source,
                calls,
                now,
            )
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}
