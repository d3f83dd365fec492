//! The rows of step calls, by column.

use common::{ActionName, Outcome, Values};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::commit::{StepRow, Write, ordinal};

/// Rows by column of `playbook_step_executions`, in their order.
#[derive(Default)]
pub(super) struct StepColumns<'w> {
    pub(super) executions: Vec<Uuid>,
    pub(super) steps: Vec<&'w str>,
    pub(super) visits: Vec<i32>,
    pub(super) attempts: Vec<i32>,
    pub(super) names: Vec<&'w str>,
    pub(super) actions: Vec<Option<&'w str>>,
    pub(super) operations: Vec<Option<Uuid>>,
    pub(super) asked: Vec<Option<&'w str>>,
    pub(super) outcomes: Vec<Option<&'w str>>,
    pub(super) explanations: Vec<Option<&'w str>>,
    pub(super) outputs: Vec<Json<&'w Values>>,
    pub(super) at: Vec<OffsetDateTime>,
}

impl<'w> StepColumns<'w> {
    pub(super) fn of(writes: &[&'w Write]) -> Self {
        let mut columns = Self::default();
        for write in writes {
            for step in &write.steps {
                columns.push(write, step);
            }
        }
        columns
    }

    fn push(&mut self, write: &Write, step: &'w StepRow) {
        self.executions.push(write.execution.0);
        self.steps.push(step.call.id.as_str());
        self.visits.push(ordinal(step.call.visit));
        self.attempts.push(ordinal(step.call.attempt));
        self.names.push(&step.name);
        self.actions.push(step.action.as_ref().map(ActionName::as_str));
        self.operations.push(step.operation.map(|operation| operation.0));
        self.asked.push(step.asked.as_deref());
        self.outcomes.push(step.outcome.as_ref().map(Outcome::as_str));
        self.explanations.push(step.explanation.as_deref());
        self.outputs.push(Json(&step.output));
        self.at.push(write.now);
    }
}
