//! The rows of step calls.

use common::{ActionName, Outcome, Values};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::commit::{StepRow, Write, ordinal};

/// A row of `step_write`.
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "step_write")]
pub(super) struct StepWrite<'w> {
    execution_id: Uuid,
    step_id: &'w str,
    visit: i32,
    attempt: i32,
    name: &'w str,
    action: Option<&'w str>,
    operation_id: Option<Uuid>,
    asked: Option<&'w str>,
    outcome: Option<&'w str>,
    explanation: Option<&'w str>,
    output: Json<&'w Values>,
    at: OffsetDateTime,
}

chassis::rows!(StepWrite, "step_write");

impl<'w> StepWrite<'w> {
    /// The calls of `write`, in their order.
    pub(super) fn all_of(write: &'w Write) -> impl Iterator<Item = Self> {
        write.steps.iter().map(|step| Self::of(write, step))
    }

    fn of(write: &'w Write, step: &'w StepRow) -> Self {
        Self {
            execution_id: write.execution.0,
            step_id: step.call.id.as_str(),
            visit: ordinal(step.call.visit),
            attempt: ordinal(step.call.attempt),
            name: &step.name,
            action: step.action.as_ref().map(ActionName::as_str),
            operation_id: step.operation.map(|operation| operation.0),
            asked: step.asked.as_deref(),
            outcome: step.outcome.as_ref().map(Outcome::as_str),
            explanation: step.explanation.as_deref(),
            output: Json(&step.output),
            at: write.now,
        }
    }
}
