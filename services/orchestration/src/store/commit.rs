//! One transaction per step: the step's rows, the new state, its audit and what the ticket is told, or none of it.

use chassis::audit::AuditEvent;
use common::execution::ExecutionStatus;
use common::{ActionName, ExecutionId, OperationId, Outcome, StepCall, TicketId, Values};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{RunnerId, Store, StoreError};
use crate::update::Update;

/// Everything that an event changes about an execution.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) execution: ExecutionId,
    pub(crate) ticket: &'a TicketId,
    pub(crate) runner: RunnerId,
    pub(crate) fence: i64,
    /// The machine's new state.
    pub(crate) state: &'a serde_json::Value,
    pub(crate) status: ExecutionStatus,
    /// Why a person must take over; only with `Escalated`.
    pub(crate) reason: Option<&'a str>,
    pub(crate) parked_since: Option<OffsetDateTime>,
    pub(crate) parked_told: bool,
    pub(crate) hold: Hold,
    /// How many signals we know of: more of them keep the execution in our hands.
    pub(crate) signals: i64,
    pub(crate) steps: &'a [StepRow],
    /// Open calls that go on under a new number.
    pub(crate) renumbered: &'a [StepCall],
    /// Why calls that are still open will never be answered.
    pub(crate) cut_off: Option<&'a str>,
    pub(crate) handled: &'a [Handled],
    pub(crate) audit: &'a [AuditEvent],
    pub(crate) updates: &'a [Update],
    pub(crate) now: OffsetDateTime,
}

/// Whether the execution stays with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// We go on at once.
    Keep,
    /// A row waits, nobody else: until then, or until a signal comes.
    Until(OffsetDateTime),
    /// Nothing more will happen.
    Ended,
}

/// A call of a step. Written again, it keeps what the new version leaves open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepRow {
    pub(crate) call: StepCall,
    pub(crate) name: String,
    pub(crate) action: Option<ActionName>,
    pub(crate) operation: Option<OperationId>,
    pub(crate) asked: Option<String>,
    /// None while it is under way.
    pub(crate) outcome: Option<Outcome>,
    /// One sentence: what came of it, or why nothing moves.
    pub(crate) explanation: Option<String>,
    pub(crate) output: Values,
}

/// A signal that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handled {
    pub(crate) operation: OperationId,
    /// It changed the execution; else it came too late, or belonged to nothing.
    pub(crate) applied: bool,
}

/// What the write found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many signals ever came.
    pub(crate) signals: i64,
    /// The execution is still ours.
    pub(crate) kept: bool,
}

impl Store {
    /// Commit one step of an execution.
    pub(crate) async fn write(&self, write: Write<'_>) -> Result<Written, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let written = self.write_execution(&mut transaction, &write).await?;
        for call in write.renumbered {
            self.renumber(&mut transaction, write.execution, call).await?;
        }
        self.write_steps(&mut transaction, &write).await?;
        if let Some(reason) = write.cut_off {
            self.cut_off(&mut transaction, &write, reason).await?;
        }
        self.settle_signals(&mut transaction, &write).await?;
        self.record(&mut transaction, write.audit).await?;
        self.enqueue(
            &mut transaction,
            write.ticket,
            write.execution,
            write.updates,
            write.now,
        )
        .await?;
        transaction.commit().await?;
        Ok(written)
    }

    /// The execution itself. A runner that overslept writes nothing; a signal that came meanwhile keeps the execution in
    /// our hands.
    async fn write_execution(
        &self,
        connection: &mut sqlx::PgConnection,
        write: &Write<'_>,
    ) -> Result<Written, StoreError> {
        let (until, ended) = match write.hold {
            Hold::Keep => (None, false),
            Hold::Until(at) => (Some(at), false),
            Hold::Ended => (None, true),
        };
        let row = sqlx::query!(
            r#"UPDATE playbook_executions
             SET state = $5,
                 status = $6,
                 reason = $7,
                 parked_since = $8,
                 parked_told = $9,
                 ended_at = CASE WHEN $10 THEN $13::timestamptz END,
                 runner = CASE WHEN $10 OR ($11::timestamptz IS NOT NULL AND signals = $12) THEN NULL ELSE runner END,
                 wake_at = CASE WHEN $10 THEN NULL WHEN signals = $12 THEN COALESCE($11, now()) ELSE now() END
             WHERE tenant_id = $1 AND id = $2 AND runner = $3 AND fence = $4
             RETURNING signals, runner IS NOT NULL AS "kept!""#,
            self.tenant_id(),
            write.execution.0,
            write.runner.0,
            write.fence,
            write.state,
            write.status.as_str(),
            write.reason,
            write.parked_since,
            write.parked_told,
            ended,
            until,
            write.signals,
            write.now,
        )
        .fetch_optional(connection)
        .await?
        .ok_or(StoreError::Fenced)?;
        Ok(Written {
            signals: row.signals,
            kept: row.kept,
        })
    }

    async fn renumber(
        &self,
        connection: &mut sqlx::PgConnection,
        execution: ExecutionId,
        call: &StepCall,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE playbook_step_executions
             SET attempt = $5
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4
               AND outcome IS NULL AND attempt < $5",
            self.tenant_id(),
            execution.0,
            call.id.as_str(),
            ordinal(call.visit),
            ordinal(call.attempt),
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn cut_off(
        &self,
        connection: &mut sqlx::PgConnection,
        write: &Write<'_>,
        reason: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE playbook_step_executions
             SET outcome = 'timeout', explanation = $4, ended_at = $3
             WHERE tenant_id = $1 AND execution_id = $2 AND outcome IS NULL",
            self.tenant_id(),
            write.execution.0,
            write.now,
            reason,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn write_steps(
        &self,
        connection: &mut sqlx::PgConnection,
        write: &Write<'_>,
    ) -> Result<(), StoreError> {
        for step in write.steps {
            sqlx::query!(
                "INSERT INTO playbook_step_executions AS step
                     (tenant_id, execution_id, step_id, visit, attempt, name, action, operation_id, asked,
                      outcome, explanation, output, started_at, ended_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::timestamptz,
                         CASE WHEN $10::text IS NULL THEN NULL ELSE $13 END)
                 ON CONFLICT (tenant_id, execution_id, step_id, visit, attempt) DO UPDATE
                 SET operation_id = COALESCE(EXCLUDED.operation_id, step.operation_id),
                     asked = COALESCE(EXCLUDED.asked, step.asked),
                     outcome = EXCLUDED.outcome,
                     explanation = EXCLUDED.explanation,
                     output = EXCLUDED.output,
                     ended_at = EXCLUDED.ended_at",
                self.tenant_id(),
                write.execution.0,
                step.call.id.as_str(),
                ordinal(step.call.visit),
                ordinal(step.call.attempt),
                step.name,
                step.action.as_ref().map(ActionName::as_str),
                step.operation.map(|operation| operation.0),
                step.asked.as_deref(),
                step.outcome.as_ref().map(Outcome::as_str),
                step.explanation.as_deref(),
                serde_json::Value::Object(step.output.clone()),
                write.now,
            )
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }

    async fn settle_signals(
        &self,
        connection: &mut sqlx::PgConnection,
        write: &Write<'_>,
    ) -> Result<(), StoreError> {
        if write.handled.is_empty() {
            return Ok(());
        }
        let operations: Vec<Uuid> = write.handled.iter().map(|handled| handled.operation.0).collect();
        let applied: Vec<bool> = write.handled.iter().map(|handled| handled.applied).collect();
        sqlx::query!(
            "UPDATE execution_signals signal
             SET effect = CASE WHEN handled.applied THEN 'applied' ELSE 'late' END, handled_at = $3
             FROM UNNEST($4::uuid[], $5::boolean[]) AS handled (operation_id, applied)
             WHERE signal.tenant_id = $1 AND signal.execution_id = $2
               AND signal.operation_id = handled.operation_id AND signal.handled_at IS NULL",
            self.tenant_id(),
            write.execution.0,
            write.now,
            &operations,
            &applied,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Visits and attempts are small; the column is an `integer`.
pub(super) fn ordinal(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
