//! As `store/standing.rs`.

use super::*;

impl Model {
    /// How many signals ever came for an execution, and whether its steps may begin.
    pub(in super::super) fn news(&self, execution: ExecutionId) -> (i64, Standing) {
        let row = &self.executions[&execution];
        (row.signals, self.standing(row))
    }

    /// Why an operator wants an execution to end.
    pub(in super::super) fn cancelled(&self, execution: ExecutionId) -> Option<String> {
        self.executions[&execution].cancelled.clone()
    }

    /// Wake whatever was let go of while it stood still and is held by nothing any more: how many.
    pub(in super::super) fn wake_free(&mut self) -> usize {
        let free: Vec<ExecutionId> = self
            .executions
            .iter()
            .filter(|(_, row)| row.held && row.ended_at.is_none() && row.runner.is_none())
            .filter(|(_, row)| !self.standing(row).is_still())
            .map(|(id, _)| *id)
            .collect();
        for id in &free {
            if let Some(row) = self.executions.get_mut(id) {
                (row.held, row.parked_told, row.wake_at) = (false, false, Some(self.now));
            }
        }
        free.len()
    }

    /// Put a switch in a position.
    pub(in super::super) fn set_switch(&mut self, switch: &Switch, off: bool) {
        if off {
            self.off.insert(Position::from(switch));
        } else {
            self.off.remove(&Position::from(switch));
        }
    }
}
