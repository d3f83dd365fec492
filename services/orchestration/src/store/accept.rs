//! Accepting an execution: once per decision, one open per ticket, with the document pinned. Where there is room to drive
//! it, its first step begins in the same transaction.

use std::collections::HashMap;

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

/// New executions by column of `playbook_executions`.
#[derive(Default)]
struct Columns<'n> {
    ids: Vec<Uuid>,
    tickets: Vec<&'n str>,
    decisions: Vec<Uuid>,
    names: Vec<&'n str>,
    versions: Vec<&'n str>,
    digests: Vec<&'n str>,
    subjects: Vec<&'n str>,
    requesters: Vec<String>,
    snapshots: Vec<Json<TicketSnapshot>>,
    facts: Vec<Json<&'n Given>>,
    traces: Vec<Option<&'n str>>,
    statuses: Vec<&'static str>,
    states: Vec<&'n StoredState>,
    /// As it is where a switch is off: not begun.
    untouched: Vec<&'n StoredState>,
    runners: Vec<Option<Uuid>>,
    fences: Vec<i64>,
    started_at: Vec<OffsetDateTime>,
}

impl<'n> Columns<'n> {
    fn push(&mut self, new: &'n NewExecution) {
        let NewExecution { request, begun, .. } = new;
        self.ids.push(new.id.0);
        self.tickets.push(request.ticket_id.as_str());
        self.decisions.push(request.decision_id.0);
        self.names.push(request.playbook.name.as_str());
        self.versions.push(request.playbook.version.as_str());
        self.digests.push(request.playbook.digest.as_str());
        self.subjects.push(request.subject.user_id.as_str());
        self.requesters.push(manners::sentence(&request.requester_name));
        self.snapshots.push(Json(manners::ticket(&request.ticket)));
        self.facts.push(Json(&new.given));
        self.traces.push(new.traceparent.as_deref());
        self.started_at.push(new.now);
        let begun = begun.as_ref();
        self.statuses.push(
            begun
                .map_or(ExecutionStatus::Queued, |begun| begun.status)
                .as_str(),
        );
        self.states.push(begun.map_or(&new.state, |begun| &begun.state));
        self.untouched.push(&new.state);
        self.runners.push(begun.map(|begun| begun.runner.0));
        self.fences.push(begun.map_or(0, |begun| begun.fence));
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

    /// Insert new executions with their documents: which of them are there now, and whether they have
    /// begun: where a switch is off they wait for it, whoever would have driven them. The others met an execution of the
    /// same decision, or an open one on the same ticket.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        new: &[&NewExecution],
    ) -> Result<HashMap<ExecutionId, bool>, StoreError> {
        let mut column = Columns::default();
        for new in new {
            self.pin(connection, &new.pins, new.now).await?;
            column.push(new);
        }
        if column.ids.is_empty() {
            return Ok(HashMap::new());
        }
        // In one order everywhere, so that two who accept the same tickets never wait for each other.
        let inserted = sqlx::query!(
            r#"INSERT INTO playbook_executions
                 (tenant_id, id, ticket_id, decision_id, playbook_name, playbook_version, playbook_digest,
                  subject_id, requester_name, ticket, facts, traceparent, status, state, runner, fence, started_at, wake_at)
             SELECT $1, new.id, new.ticket_id, new.decision_id, new.playbook_name, new.playbook_version,
                    new.playbook_digest, new.subject_id, new.requester_name, new.ticket, new.facts, new.traceparent,
                    CASE WHEN switch.off THEN 'QUEUED' ELSE new.status END,
                    CASE WHEN switch.off THEN new.untouched ELSE new.state END,
                    CASE WHEN NOT switch.off THEN new.runner END,
                    CASE WHEN switch.off THEN 0 ELSE new.fence END,
                    new.started_at, now()
             FROM UNNEST(
                 $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                 $10::jsonb[], $11::jsonb[], $12::text[], $13::text[], $14::jsonb[], $15::uuid[], $16::bigint[],
                 $17::timestamptz[], $18::jsonb[]
             ) AS new (
                 id, ticket_id, decision_id, playbook_name, playbook_version, playbook_digest, subject_id, requester_name,
                 ticket, facts, traceparent, status, state, runner, fence, started_at, untouched
             )
             CROSS JOIN LATERAL (
                 SELECT EXISTS (
                     SELECT FROM switches
                     WHERE switches.tenant_id IN ($1, '') AND switches.name IN ('', new.playbook_name)
                 ) AS off
             ) AS switch
             WHERE NOT EXISTS (
                 SELECT FROM archived_executions archived
                 WHERE archived.tenant_id = $1 AND archived.decision_id = new.decision_id
             )
             ORDER BY new.ticket_id
             ON CONFLICT DO NOTHING
             RETURNING id, runner IS NOT NULL AS "begun!""#,
            self.tenant_id(),
            &column.ids,
            &column.tickets as &[&str],
            &column.decisions,
            &column.names as &[&str],
            &column.versions as &[&str],
            &column.digests as &[&str],
            &column.subjects as &[&str],
            &column.requesters,
            &column.snapshots as &[Json<TicketSnapshot>],
            &column.facts as &[Json<&Given>],
            &column.traces as &[Option<&str>],
            &column.statuses as &[&str],
            &column.states as &[&StoredState],
            &column.runners as &[Option<Uuid>],
            &column.fences,
            &column.started_at,
            &column.untouched as &[&StoredState],
        )
        .fetch_all(&mut *connection)
        .await?;
        let inserted = inserted.into_iter().map(|row| (ExecutionId(row.id), row.begun));
        Ok(inserted.collect())
    }

    /// Keep the documents, for as long as any execution runs them and longer.
    async fn pin(
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
