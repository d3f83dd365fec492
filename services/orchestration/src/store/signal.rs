//! Signals: stored before they are acknowledged, each operation once; what they change is the runner's affair.

use chassis::audit::AuditEvent;
use common::{ActionName, ExecutionId, OperationId, Signal};
use serde_json::json;
use time::OffsetDateTime;

use super::commit::ordinal;
use super::{EXECUTIONS, Store, StoreError, notify};

/// What became of a signal that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Stored; a runner will look at it.
    Stored,
    /// It was here before.
    Repeated,
    /// The execution has ended.
    Late,
}

/// Why a signal was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignalRefused {
    /// No such execution.
    #[error("execution `{0}` not found")]
    UnknownExecution(ExecutionId),
    /// The execution never made this call, or of somebody else, or it began another operation.
    #[error("operation `{0}` does not belong to this call of the execution")]
    Foreign(OperationId),
    /// The database did not take it.
    #[error("cannot store the signal")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SignalRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Take a signal of `sender`, and wake a runner where it may change something.
    pub(crate) async fn hear(
        &self,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
        now: OffsetDateTime,
    ) -> Result<Heard, SignalRefused> {
        let result =
            serde_json::to_value(&signal.result).map_err(StoreError::corrupt("execution_signals"))?;
        let mut transaction = self.pool.begin().await?;
        // Locked, so that a runner letting go either sees the count below or has let go before.
        let row = sqlx::query!(
            "SELECT ticket_id, ended_at
             FROM playbook_executions
             WHERE tenant_id = $1 AND id = $2
             FOR NO KEY UPDATE",
            self.tenant_id(),
            execution.0,
        )
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(SignalRefused::UnknownExecution(execution))?;
        self.must_belong(&mut transaction, execution, signal, sender)
            .await?;
        let ended = row.ended_at.is_some();
        let inserted = sqlx::query!(
            "INSERT INTO execution_signals
                 (tenant_id, execution_id, operation_id, step_id, visit, attempt, result, sender, received_at,
                  effect, handled_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz,
                     CASE WHEN $10 THEN 'late' END, CASE WHEN $10 THEN $9 END)
             ON CONFLICT DO NOTHING",
            self.tenant_id(),
            execution.0,
            signal.operation.0,
            signal.step.id.as_str(),
            ordinal(signal.step.visit),
            ordinal(signal.step.attempt),
            result,
            sender,
            now,
            ended,
        )
        .execute(&mut *transaction)
        .await?;
        let heard = match (inserted.rows_affected(), ended) {
            (0, _) => Heard::Repeated,
            (_, true) => Heard::Late,
            (_, false) => Heard::Stored,
        };
        let kind = match heard {
            Heard::Stored => "signal.received",
            Heard::Repeated => "signal.repeated",
            Heard::Late => "signal.late",
        };
        let detail =
            json!({"operation": signal.operation, "step": signal.step, "outcome": signal.result.outcome});
        let ticket = row
            .ticket_id
            .parse()
            .map_err(StoreError::corrupt("playbook_executions"))?;
        let event = AuditEvent::new(kind, detail)
            .ticket(&ticket)
            .execution(execution)
            .actor(format!("service:{sender}"));
        self.record(&mut transaction, &[event]).await?;
        if heard == Heard::Stored {
            self.wake(&mut transaction, execution).await?;
        }
        transaction.commit().await?;
        Ok(heard)
    }

    /// The execution has made this call (or an earlier attempt of the visit) of `sender`, and no other operation came of it.
    async fn must_belong(
        &self,
        connection: &mut sqlx::PgConnection,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
    ) -> Result<(), SignalRefused> {
        let calls = sqlx::query!(
            "SELECT action, operation_id
             FROM playbook_step_executions
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4",
            self.tenant_id(),
            execution.0,
            signal.step.id.as_str(),
            ordinal(signal.step.visit),
        )
        .fetch_all(connection)
        .await?;
        let belongs = calls.iter().any(|call| {
            let action = call
                .action
                .as_deref()
                .and_then(|action| action.parse::<ActionName>().ok());
            action.is_some_and(|action| action.service() == sender)
                && call
                    .operation_id
                    .is_none_or(|operation| operation == signal.operation.0)
        });
        if belongs {
            Ok(())
        } else {
            Err(SignalRefused::Foreign(signal.operation))
        }
    }

    async fn wake(
        &self,
        connection: &mut sqlx::PgConnection,
        execution: ExecutionId,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE playbook_executions
             SET signals = signals + 1, wake_at = CASE WHEN runner IS NULL THEN now() ELSE wake_at END
             WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            execution.0,
        )
        .execute(&mut *connection)
        .await?;
        notify(connection, EXECUTIONS).await?;
        Ok(())
    }
}
