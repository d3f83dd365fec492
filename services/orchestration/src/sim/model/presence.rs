//! As `store/presence.rs`.

use std::time::Duration;

use super::*;

impl Model {
    /// Become a runner whose lease lasts `lease`.
    pub(in super::super) fn register(&mut self, runner: RunnerId, lease: Duration) {
        let leased_until = self.now + lease;
        let row = Runner {
            leased_until,
            session: true,
        };
        self.runners.insert(runner.0, row);
    }

    /// Say that we live, and let go of what no task of ours drives any more. `false`: we were declared dead.
    pub(in super::super) fn heartbeat(
        &mut self,
        runner: RunnerId,
        driven: &[ExecutionId],
        lease: Duration,
    ) -> bool {
        let now = self.now;
        let alive = self.runners.get_mut(&runner.0).map(|row| {
            row.leased_until = now + lease;
            // One that broke is replaced.
            row.session = true;
        });
        if self.has(Guard::LetGoOfTheUndriven) {
            for (id, row) in &mut self.executions {
                if row.runner == Some(runner) && !driven.contains(id) {
                    (row.runner, row.wake_at) = (None, Some(now));
                }
            }
        }
        alive.is_some()
    }

    /// The session of a runner is gone, and its lock with it.
    pub(in super::super) fn lose_session(&mut self, runner: RunnerId) {
        if let Some(row) = self.runners.get_mut(&runner.0) {
            row.session = false;
        }
    }

    /// Declare dead whoever fell silent or is gone. How many they were.
    pub(in super::super) fn take_over(&mut self) -> usize {
        if !self.has(Guard::TakeOver) {
            return 0;
        }
        let now = self.now;
        let dead: Vec<Uuid> = self
            .runners
            .iter()
            .filter(|(_, row)| row.leased_until < now || !row.session)
            .map(|(id, _)| *id)
            .collect();
        for runner in &dead {
            self.leave(RunnerId(*runner));
        }
        dead.len()
    }

    /// Give back all we hold, at once.
    pub(in super::super) fn leave(&mut self, runner: RunnerId) {
        self.runners.remove(&runner.0);
        for row in self.executions.values_mut() {
            if row.runner == Some(runner) {
                row.runner = None;
            }
        }
    }
}
