//! As `store/claim.rs`.

use common::{ActionName, Signal};

use super::*;
use crate::store::Claimed;

impl Model {
    /// Take up to `most` executions that are due, longest overdue first.
    pub(in super::super) fn claim_due(
        &mut self,
        runner: RunnerId,
        most: usize,
    ) -> Result<Vec<Claimed>, Refused> {
        let takes_held = !self.has(Guard::NobodyHoldsIt);
        let now = self.now;
        let mut due: Vec<(OffsetDateTime, ExecutionId)> = self
            .executions
            .iter()
            .filter(|(_, row)| row.ended_at.is_none() && (row.runner.is_none() || takes_held))
            .filter_map(|(id, row)| Some((row.wake_at.filter(|wake_at| *wake_at <= now)?, *id)))
            .collect();
        due.sort();
        due.truncate(most);
        if !due.is_empty() && !self.runners.contains_key(&runner.0) {
            return Err(Refused::DeclaredDead);
        }
        Ok(due.iter().filter_map(|(_, id)| self.claim(*id, runner)).collect())
    }

    pub(super) fn claim(&mut self, id: ExecutionId, runner: RunnerId) -> Option<Claimed> {
        let asked = self
            .steps
            .iter()
            .filter(|((of, ..), row)| *of == id && row.outcome.is_none())
            .filter_map(|((_, step, visit, _), row)| {
                let asked = row.asked.as_ref()?;
                serde_json::from_value(serde_json::json!({"step": step, "visit": visit, "asked": asked})).ok()
            })
            .collect();
        let standing = self.stands(id);
        let (now, tenant) = (self.now, self.tenant.clone());
        let counts = self.has(Guard::FenceGrows);
        let row = self.executions.get_mut(&id)?;
        row.runner = Some(runner);
        row.fence += i64::from(counts);
        let mut claimed = Claimed::new(&row.new, &tenant, runner);
        claimed.status = row.status;
        claimed.state = row.state.clone();
        claimed.signals = row.signals;
        claimed.standing = standing;
        claimed.held = row.held;
        claimed.cancelled.clone_from(&row.cancelled);
        claimed.insisted = std::mem::take(&mut row.insisted);
        (claimed.parked_since, claimed.parked_told) = (row.parked_since, row.parked_told);
        claimed.asked = asked;
        claimed.fence = row.fence;
        claimed.now = now;
        Some(claimed)
    }

    /// When the next execution is due; `None` while nothing waits.
    pub(in super::super) fn next_due(&self) -> Option<OffsetDateTime> {
        let waiting = self.executions.values().filter(|row| row.runner.is_none());
        waiting.filter_map(|row| row.wake_at).min()
    }

    /// What calls of these actions stand on is back.
    pub(in super::super) fn wake_parked(&mut self, actions: &BTreeSet<ActionName>) {
        let of_them = |step: &StepCallRow| {
            step.action
                .as_ref()
                .is_some_and(|action| actions.contains(action))
        };
        let missed: BTreeSet<ExecutionId> = self
            .steps
            .iter()
            .filter(|(_, step)| step.outcome.is_none() && of_them(step))
            .map(|((execution, ..), _)| *execution)
            .collect();
        for (id, row) in &mut self.executions {
            let parked = row.ended_at.is_none() && row.runner.is_none() && row.parked_since.is_some();
            if parked && missed.contains(id) {
                row.wake_at = Some(self.now);
            }
        }
    }

    /// Signals of an execution that nobody has looked at, oldest first.
    pub(in super::super) fn unheard(&self, execution: ExecutionId) -> Vec<Signal> {
        let mut unheard: Vec<(&OperationId, &SignalRow)> = self
            .signals
            .iter()
            .filter(|((of, _), row)| *of == execution && row.applied.is_none())
            .map(|((_, operation), row)| (operation, row))
            .collect();
        unheard.sort_by_key(|(_, row)| row.nth);
        unheard
            .into_iter()
            .map(|(operation, row)| Signal {
                tenant_id: self.tenant.clone(),
                operation: *operation,
                step: row.step.clone(),
                result: row.result.clone(),
            })
            .collect()
    }
}
