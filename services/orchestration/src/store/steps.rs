//! The rows of step calls.

use common::{ActionName, ExecutionId, Outcome};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::commit::{StepRow, Write, ordinal};
use super::{Store, StoreError};

/// Rows by column of `playbook_step_executions`.
#[derive(Default)]
struct Columns<'s> {
    executions: Vec<Uuid>,
    steps: Vec<&'s str>,
    visits: Vec<i32>,
    attempts: Vec<i32>,
    names: Vec<&'s str>,
    actions: Vec<Option<&'s str>>,
    operations: Vec<Option<Uuid>>,
    asked: Vec<Option<&'s str>>,
    outcomes: Vec<Option<&'s str>>,
    explanations: Vec<Option<&'s str>>,
    outputs: Vec<serde_json::Value>,
    at: Vec<OffsetDateTime>,
}

impl<'s> Columns<'s> {
    fn push(&mut self, execution: ExecutionId, at: OffsetDateTime, step: &'s StepRow) {
        self.executions.push(execution.0);
        self.steps.push(step.call.id.as_str());
        self.visits.push(ordinal(step.call.visit));
        self.attempts.push(ordinal(step.call.attempt));
        self.names.push(&step.name);
        self.actions.push(step.action.as_ref().map(ActionName::as_str));
        self.operations.push(step.operation.map(|operation| operation.0));
        self.asked.push(step.asked.as_deref());
        self.outcomes.push(step.outcome.as_ref().map(Outcome::as_str));
        self.explanations.push(step.explanation.as_deref());
        self.outputs.push(serde_json::Value::Object(step.output.clone()));
        self.at.push(at);
    }
}

impl Store {
    /// Write the calls of steps, in their order.
    pub(super) async fn write_steps(
        &self,
        connection: &mut PgConnection,
        writes: &[&Write],
    ) -> Result<(), StoreError> {
        let mut column = Columns::default();
        for write in writes {
            for step in &write.steps {
                column.push(write.execution, write.now, step);
            }
        }
        if column.executions.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO playbook_step_executions AS step
                 (tenant_id, execution_id, step_id, visit, attempt, name, action, operation_id, asked,
                  outcome, explanation, output, started_at, ended_at)
             SELECT $1, new.execution_id, new.step_id, new.visit, new.attempt, new.name, new.action, new.operation_id,
                    new.asked, new.outcome, new.explanation, new.output, new.at,
                    CASE WHEN new.outcome IS NOT NULL THEN new.at END
             FROM UNNEST(
                 $2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::text[], $7::text[], $8::uuid[], $9::text[],
                 $10::text[], $11::text[], $12::jsonb[], $13::timestamptz[]
             ) WITH ORDINALITY AS new (
                 execution_id, step_id, visit, attempt, name, action, operation_id, asked,
                 outcome, explanation, output, at, nth
             )
             ORDER BY new.nth
             ON CONFLICT (tenant_id, execution_id, step_id, visit, attempt) DO UPDATE
             SET operation_id = COALESCE(EXCLUDED.operation_id, step.operation_id),
                 asked = COALESCE(EXCLUDED.asked, step.asked),
                 outcome = EXCLUDED.outcome,
                 explanation = EXCLUDED.explanation,
                 output = EXCLUDED.output,
                 ended_at = EXCLUDED.ended_at",
            self.tenant_id(),
            &column.executions,
            &column.steps as &[&str],
            &column.visits,
            &column.attempts,
            &column.names as &[&str],
            &column.actions as &[Option<&str>],
            &column.operations as &[Option<Uuid>],
            &column.asked as &[Option<&str>],
            &column.outcomes as &[Option<&str>],
            &column.explanations as &[Option<&str>],
            &column.outputs,
            &column.at,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}
