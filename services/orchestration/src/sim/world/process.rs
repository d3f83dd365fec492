//! One replica: what it has in its hands, and how it loses it.

use std::collections::BTreeSet;

use common::ExecutionId;
use uuid::Uuid;

use super::drive::Drive;
use super::sender::Turn;
use super::{LEASE, World};
use crate::sim::invariants;
use crate::store::{Claimed, RunnerId};

/// Executions claimed at once.
const BATCH: usize = 2;

/// A replica of orchestration. What is in here is gone when it crashes.
#[derive(Default)]
pub(super) struct Process<'a> {
    pub(super) down: bool,
    pub(super) runner: Option<RunnerId>,
    pub(super) drives: Vec<Drive<'a>>,
    pub(super) turn: Option<Turn>,
}

impl World<'_> {
    /// Claim what is due; before the first time, become a runner.
    pub(super) fn claim(&mut self, process: usize) {
        let runner = match self.processes[process].runner {
            Some(runner) => runner,
            None => self.register(process),
        };
        let held: BTreeSet<ExecutionId> = self
            .model
            .executions
            .iter()
            .filter(|(_, row)| row.runner.is_some())
            .map(|(id, _)| *id)
            .collect();
        let Ok(claimed) = self.model.claim_due(runner, BATCH) else {
            self.say(|| format!("replica {process} learns that it was declared dead"));
            self.processes[process].runner = None;
            return;
        };
        if let Some(stolen) = claimed.iter().find(|claimed| held.contains(&claimed.id)) {
            let id = stolen.id;
            self.violated(invariants::HELD_BY_ONE, || {
                format!("{id} was taken from who held it")
            });
        }
        for claimed in &claimed {
            self.ghosts.known.insert(claimed.id, claimed.signals);
        }
        let lost = !claimed.is_empty() && self.pick_trouble(2) == 1;
        self.say(|| {
            let ids: Vec<_> = claimed.iter().map(|claimed| short(claimed.id)).collect();
            let lost = if lost { ", and the answer is lost" } else { "" };
            format!("replica {process} claims {ids:?}{lost}")
        });
        if !lost {
            for claimed in claimed {
                self.take(process, claimed);
            }
        }
    }

    fn register(&mut self, process: usize) -> RunnerId {
        let runner = RunnerId(Uuid::from_u128(self.fresh()));
        self.model.register(runner, LEASE);
        self.processes[process].runner = Some(runner);
        self.say(|| format!("replica {process} becomes runner {}", runner.0.as_u128()));
        runner
    }

    pub(super) fn take(&mut self, process: usize, claimed: Claimed) {
        let drive = self.drive(claimed);
        self.processes[process].drives.push(drive);
    }

    /// Keep the lease, and let go of what nobody drives.
    pub(super) fn beat(&mut self, process: usize) {
        let Some(runner) = self.processes[process].runner else {
            return;
        };
        let drives = &self.processes[process].drives;
        let driven: Vec<ExecutionId> = drives.iter().map(|drive| drive.claimed.id).collect();
        let alive = self.model.heartbeat(runner, &driven, LEASE);
        self.say(|| format!("replica {process} keeps its lease: {alive}"));
        if !alive {
            self.processes[process].runner = None;
        }
    }

    pub(super) fn look_after_others(&mut self) -> usize {
        let dead = self.model.take_over();
        self.say(|| format!("{dead} runners are declared dead"));
        dead
    }

    /// The process is gone. Its session goes at once, or when the network notices.
    pub(super) fn crash(&mut self, process: usize, silently: bool) {
        let gone = std::mem::take(&mut self.processes[process]);
        self.say(|| {
            format!(
                "replica {process} crashes{}",
                if silently { " silently" } else { "" }
            )
        });
        if let Some(runner) = gone.runner.filter(|_| !silently) {
            self.model.lose_session(runner);
        }
        self.processes[process].down = true;
    }

    pub(super) fn restart(&mut self, process: usize) {
        self.say(|| format!("replica {process} starts"));
        self.processes[process].down = false;
    }

    /// Its session breaks; it lives on and knows nothing of it.
    pub(super) fn break_session(&mut self, process: usize) {
        if let Some(runner) = self.processes[process].runner {
            self.say(|| format!("replica {process} loses its session"));
            self.model.lose_session(runner);
        }
    }

    /// It stops in order: it gives everything back.
    pub(super) fn stop(&mut self, process: usize) {
        let gone = std::mem::take(&mut self.processes[process]);
        self.say(|| format!("replica {process} stops"));
        if let Some(runner) = gone.runner {
            self.model.leave(runner);
        }
        self.processes[process].down = true;
    }
}

/// The number of an execution.
pub(super) fn short(id: ExecutionId) -> u128 {
    id.0.as_u128()
}
