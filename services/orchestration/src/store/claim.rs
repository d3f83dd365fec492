//! Who drives what: runners, their leases, and the executions they hold.

use std::time::Duration;

use common::execution::ExecutionStatus;
use common::{Digest, ExecutionId, OperationId, Signal, StepCall, Subject, TicketId, TicketSnapshot};
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};

/// One process that drives executions, from its registration until its lease runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RunnerId(pub(crate) Uuid);

/// An execution in our hands.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) id: ExecutionId,
    pub(crate) ticket: TicketId,
    pub(crate) digest: Digest,
    pub(crate) subject: Subject,
    pub(crate) requester_name: String,
    /// What templates may show of the ticket.
    pub(crate) snapshot: TicketSnapshot,
    pub(crate) traceparent: Option<String>,
    pub(crate) status: ExecutionStatus,
    /// The machine's state, not yet read.
    pub(crate) state: serde_json::Value,
    /// How many signals ever came.
    pub(crate) signals: i64,
    /// Something outside has been away since then.
    pub(crate) parked_since: Option<OffsetDateTime>,
    /// And the ticket says so.
    pub(crate) parked_told: bool,
    /// What the open step asked of whom.
    pub(crate) asked: Option<String>,
    /// The runner that holds it.
    pub(crate) runner: RunnerId,
    /// Every write names it.
    pub(crate) fence: i64,
    /// The database's time of the claim: replicas' own clocks may be minutes apart.
    pub(crate) now: OffsetDateTime,
}

impl Store {
    /// Become a runner whose lease lasts `lease`.
    pub(crate) async fn register(&self, lease: Duration) -> Result<RunnerId, StoreError> {
        let runner = RunnerId(Uuid::now_v7());
        sqlx::query!(
            "INSERT INTO execution_runners (tenant_id, id, leased_until)
             VALUES ($1, $2, now() + $3)",
            self.tenant_id(),
            runner.0,
            interval(lease),
        )
        .execute(&self.pool)
        .await?;
        Ok(runner)
    }

    /// Say that we live, let go of what no task of ours drives any more, and declare dead whoever fell silent: what
    /// they held is due at once. `false`: we were declared dead ourselves and must register anew.
    pub(crate) async fn heartbeat(
        &self,
        runner: RunnerId,
        driven: &[ExecutionId],
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let driven: Vec<Uuid> = driven.iter().map(|id| id.0).collect();
        let mut transaction = self.pool.begin().await?;
        let alive = sqlx::query!(
            "UPDATE execution_runners
             SET leased_until = now() + $3
             WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            runner.0,
            interval(lease),
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "UPDATE playbook_executions
             SET runner = NULL, wake_at = now()
             WHERE tenant_id = $1 AND runner = $2 AND NOT (id = ANY($3))",
            self.tenant_id(),
            runner.0,
            &driven,
        )
        .execute(&mut *transaction)
        .await?;
        // The foreign key lets go of what they held.
        let dead = sqlx::query!(
            "DELETE FROM execution_runners
             WHERE tenant_id = $1
               AND id IN (
                   SELECT id FROM execution_runners
                   WHERE tenant_id = $1 AND leased_until < now()
                   FOR UPDATE SKIP LOCKED
               )",
            self.tenant_id(),
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if dead.rows_affected() > 0 {
            tracing::warn!(
                runners = dead.rows_affected(),
                "took over from runners that fell silent"
            );
        }
        Ok(alive.rows_affected() == 1)
    }

    /// Give back all we hold, at once.
    pub(crate) async fn leave(&self, runner: RunnerId) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "DELETE FROM execution_runners WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            runner.0,
        )
        .execute(&mut *transaction)
        .await?;
        super::notify(&mut transaction, super::EXECUTIONS).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Take up to `most` executions that are due, longest overdue first.
    pub(crate) async fn claim_due(&self, runner: RunnerId, most: i64) -> Result<Vec<Claimed>, StoreError> {
        let rows = sqlx::query!(
            r#"WITH due AS (
                 SELECT id
                 FROM playbook_executions
                 WHERE tenant_id = $1 AND ended_at IS NULL AND runner IS NULL AND wake_at <= now()
                 ORDER BY wake_at
                 LIMIT $3
                 FOR UPDATE SKIP LOCKED
             )
             UPDATE playbook_executions execution
             SET runner = $2, fence = fence + 1
             FROM due
             WHERE execution.tenant_id = $1 AND execution.id = due.id
             RETURNING
                 execution.id, ticket_id, playbook_digest, subject_id, requester_name, ticket, traceparent, status, state, signals,
                 parked_since, parked_told, fence, now() AS "now!",
                 (
                     SELECT step.asked
                     FROM playbook_step_executions step
                     WHERE step.tenant_id = $1 AND step.execution_id = execution.id AND step.outcome IS NULL
                     ORDER BY step.ordinal DESC
                     LIMIT 1
                 ) AS asked"#,
            self.tenant_id(),
            runner.0,
            most,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let user_id = row
                    .subject_id
                    .parse()
                    .map_err(StoreError::corrupt("playbook_executions"))?;
                Ok(Claimed {
                    id: ExecutionId(row.id),
                    ticket: row
                        .ticket_id
                        .parse()
                        .map_err(StoreError::corrupt("playbook_executions"))?,
                    digest: row
                        .playbook_digest
                        .parse()
                        .map_err(StoreError::corrupt("playbook_executions"))?,
                    subject: Subject {
                        tenant_id: self.tenant.clone(),
                        user_id,
                    },
                    requester_name: row.requester_name,
                    snapshot: serde_json::from_value(row.ticket)
                        .map_err(StoreError::corrupt("playbook_executions"))?,
                    traceparent: row.traceparent,
                    status: super::view::status(&row.status)?,
                    state: row.state,
                    signals: row.signals,
                    parked_since: row.parked_since,
                    parked_told: row.parked_told,
                    asked: row.asked,
                    runner,
                    fence: row.fence,
                    now: row.now,
                })
            })
            .collect()
    }

    /// How long until the next execution is due; `None` while nothing waits.
    pub(crate) async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let seconds = sqlx::query_scalar!(
            r#"SELECT EXTRACT(EPOCH FROM MIN(wake_at) - now())::float8 AS seconds
             FROM playbook_executions
             WHERE tenant_id = $1 AND ended_at IS NULL AND runner IS NULL"#,
            self.tenant_id(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }

    /// Signals of an execution that nobody has looked at, oldest first.
    pub(crate) async fn unheard(&self, execution: ExecutionId) -> Result<Vec<Signal>, StoreError> {
        let rows = sqlx::query!(
            "SELECT operation_id, step_id, visit, attempt, result
             FROM execution_signals
             WHERE tenant_id = $1 AND execution_id = $2 AND handled_at IS NULL
             ORDER BY received_at, operation_id",
            self.tenant_id(),
            execution.0,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Signal {
                    tenant_id: self.tenant.clone(),
                    operation: OperationId(row.operation_id),
                    step: StepCall {
                        id: row
                            .step_id
                            .parse()
                            .map_err(StoreError::corrupt("execution_signals"))?,
                        visit: u32::try_from(row.visit).map_err(StoreError::corrupt("execution_signals"))?,
                        attempt: u32::try_from(row.attempt)
                            .map_err(StoreError::corrupt("execution_signals"))?,
                    },
                    result: serde_json::from_value(row.result)
                        .map_err(StoreError::corrupt("execution_signals"))?,
                })
            })
            .collect()
    }
}

/// As Postgres writes a span of time; microseconds are exact.
pub(super) fn interval(span: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(span.as_micros()).unwrap_or(i64::MAX),
    }
}
