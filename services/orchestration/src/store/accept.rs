//! Accepting an execution: once per decision, one open per ticket, with the document pinned.

use chassis::audit::AuditEvent;
use common::execution::{ExecutionAccepted, ExecutionStatus};
use common::{DecisionId, Digest, ExecutePlaybook, ExecutionId};
use serde_json::json;
use time::OffsetDateTime;

use super::{EXECUTIONS, Store, StoreError, notify};
use crate::facts::Given;
use crate::library::{Document, Pin};
use crate::manners;

/// An execution about to be accepted.
#[derive(Debug)]
pub(crate) struct NewExecution<'a> {
    /// As it was asked for.
    pub(crate) request: &'a ExecutePlaybook,
    /// The document and what it calls.
    pub(crate) pins: &'a [Pin],
    /// What templates may show beside the ticket.
    pub(crate) given: Given,
    /// The machine's first state.
    pub(crate) state: serde_json::Value,
    /// The trace of the ticket.
    pub(crate) traceparent: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is there: new, or from the same decision.
    Here(ExecutionAccepted),
    /// Another decision's execution is open on this ticket.
    OtherOpen(ExecutionId),
}

impl Store {
    /// The execution that this decision started, if it did.
    pub(crate) async fn of_decision(
        &self,
        decision: DecisionId,
    ) -> Result<Option<ExecutionAccepted>, StoreError> {
        let row = sqlx::query!(
            "SELECT id, status
             FROM playbook_executions
             WHERE tenant_id = $1 AND decision_id = $2",
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

    /// Store the execution, its document and the audit of both, and wake a runner.
    pub(crate) async fn accept(
        &self,
        new: NewExecution<'_>,
        now: OffsetDateTime,
    ) -> Result<Accepted, StoreError> {
        loop {
            if let Some(id) = self.try_accept(&new, now).await? {
                return Ok(Accepted::Here(ExecutionAccepted {
                    execution_id: id,
                    status: ExecutionStatus::Queued,
                }));
            }
            if let Some(accepted) = self.of_decision(new.request.decision_id).await? {
                return Ok(Accepted::Here(accepted));
            }
            let open = sqlx::query_scalar!(
                "SELECT id
                 FROM playbook_executions
                 WHERE tenant_id = $1 AND ticket_id = $2 AND ended_at IS NULL",
                self.tenant_id(),
                new.request.ticket_id.as_str(),
            )
            .fetch_optional(&self.pool)
            .await?;
            if let Some(id) = open {
                return Ok(Accepted::OtherOpen(ExecutionId(id)));
            }
            // What stood in the way has ended in between: there is room now.
        }
    }

    /// `None` where the decision or the ticket has an execution already.
    async fn try_accept(
        &self,
        NewExecution {
            request,
            pins,
            given,
            state,
            traceparent,
        }: &NewExecution<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<ExecutionId>, StoreError> {
        let id = ExecutionId::fresh();
        let ticket = serde_json::to_value(manners::ticket(&request.ticket))
            .map_err(StoreError::corrupt("playbook_executions"))?;
        let facts = serde_json::to_value(given).map_err(StoreError::corrupt("playbook_executions"))?;
        let playbook = &request.playbook;
        let mut transaction = self.pool.begin().await?;
        self.pin(&mut transaction, pins, now).await?;
        let inserted = sqlx::query!(
            "INSERT INTO playbook_executions
                 (tenant_id, id, ticket_id, decision_id, playbook_name, playbook_version, playbook_digest,
                  subject_id, requester_name, ticket, facts, traceparent, status, state, wake_at, started_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'QUEUED', $13, now(), $14)
             ON CONFLICT DO NOTHING",
            self.tenant_id(),
            id.0,
            request.ticket_id.as_str(),
            request.decision_id.0,
            playbook.name.as_str(),
            playbook.version.as_str(),
            playbook.digest.as_str(),
            request.subject.user_id.as_str(),
            manners::sentence(&request.requester_name),
            ticket,
            facts,
            traceparent.as_deref(),
            state,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(None);
        }
        let detail = json!({
            "decision": request.decision_id,
            "playbook": playbook.name,
            "version": playbook.version,
            "digest": playbook.digest,
            "subject": request.subject.user_id,
        });
        let event = AuditEvent::new("execution.accepted", detail)
            .ticket(&request.ticket_id)
            .execution(id)
            .actor("service:classifier");
        self.record(&mut transaction, &[event]).await?;
        notify(&mut transaction, EXECUTIONS).await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// Keep the documents, for as long as any execution runs them and longer.
    async fn pin(
        &self,
        connection: &mut sqlx::PgConnection,
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
