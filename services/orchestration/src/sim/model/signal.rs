//! As `store/signal.rs`.

use common::Signal;

use super::*;
use crate::store::{Claimed, Heard};

/// It was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum NotHeard {
    UnknownExecution,
    Foreign,
}

impl Model {
    /// Take a signal of `sender`. Where it may change something and nobody has the execution in hand, `runner` takes it.
    pub(in super::super) fn hear(
        &mut self,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
        runner: Option<RunnerId>,
    ) -> Result<(Heard, Option<Claimed>), NotHeard> {
        let ended = match self.executions.get(&execution) {
            Some(row) => row.ended_at.is_some() && self.has(Guard::LateAfterTheEnd),
            None => return Err(NotHeard::UnknownExecution),
        };
        if !self.belongs(execution, signal, sender) {
            return Err(NotHeard::Foreign);
        }
        let key = (execution, signal.operation);
        if self.signals.contains_key(&key) && self.has(Guard::SignalOnce) {
            return Ok((Heard::Repeated, None));
        }
        self.signals_ever += 1;
        let row = SignalRow {
            nth: self.signals_ever,
            step: signal.step.clone(),
            result: signal.result.clone(),
            applied: ended.then_some(false),
        };
        self.signals.insert(key, row);
        if ended {
            return Ok((Heard::Late, None));
        }
        let free = self
            .executions
            .get(&execution)
            .is_some_and(|row| row.runner.is_none());
        self.wake(execution);
        // One that was declared dead is refused, and the signal is taken without it.
        let runner = runner.filter(|runner| free && self.runners.contains_key(&runner.0));
        let claimed = runner.and_then(|runner| self.claim(execution, runner));
        Ok((Heard::Stored, claimed))
    }

    /// The execution has made this call of `sender`, and no other operation came of it.
    fn belongs(&self, execution: ExecutionId, signal: &Signal, sender: &str) -> bool {
        let belongs = |((of, step, visit, _), row): (&StepKey, &StepCallRow)| {
            (*of, step, *visit) == (execution, &signal.step.id, signal.step.visit)
                && row
                    .action
                    .as_ref()
                    .is_some_and(|action| action.service() == sender)
                && row
                    .operation
                    .is_none_or(|operation| operation == signal.operation)
        };
        self.steps.iter().any(belongs)
    }

    /// How `runner` would claim an execution for this signal; `None` where more is needed than to apply it.
    pub(in super::super) fn waiting(
        &self,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
        runner: RunnerId,
    ) -> Option<Claimed> {
        let row = self.executions.get(&execution)?;
        let looked_at = |((of, operation), known): (&(ExecutionId, OperationId), &SignalRow)| {
            *of != execution || *operation != signal.operation && known.applied.is_some()
        };
        let free = row.ended_at.is_none() && row.runner.is_none() && row.cancelled.is_none();
        let still = row.paused || row.held || row.insisted || self.stands(execution).is_still();
        if !free || still || !self.signals.iter().all(looked_at) || !self.belongs(execution, signal, sender) {
            return None;
        }
        // As it would be claimed, and nothing is changed.
        let mut would_be = self.clone();
        would_be.wake(execution);
        let claimed = would_be.claim(execution, runner)?;
        Some(claimed)
    }

    /// Something came for it: it is due, or whoever drives it finds more signals than it knows of.
    pub(super) fn wake(&mut self, execution: ExecutionId) {
        let now = self.now;
        if let Some(row) = self.executions.get_mut(&execution) {
            row.signals += 1;
            if row.runner.is_none() {
                row.wake_at = Some(now);
            }
        }
    }
}
