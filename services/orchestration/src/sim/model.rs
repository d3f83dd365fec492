//! The tables of the service, in memory, under a clock that is told: every operation does at once what its transaction
//! does, under the same guards. `conformance` compares it with the SQL, so that it cannot drift away from it.

mod claim;
mod commit;
pub(super) mod operate;
pub(super) mod outbox;
mod presence;
pub(super) mod signal;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use common::execution::ExecutionStatus;
use common::{ActionName, ExecutionId, OperationId, Outcome, StepId, StepResult, Switch, TenantId, TicketId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::guard::Guard;
use crate::store::{FIRST_FENCE, NewExecution, RunnerId, Settled, Standing, StoredState};
use crate::update::{Marker, Update};

pub(super) use operate::Stopped;

/// The tables do not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The runner is none of the registered ones: the foreign key says so.
    DeclaredDead,
    /// It was cancelled, and would end well.
    Cancelled,
}

/// A row of `playbook_executions`.
#[expect(clippy::struct_excessive_bools, reason = "columns")]
#[derive(Debug, Clone)]
pub(super) struct Execution {
    /// As it was accepted.
    pub(super) new: NewExecution,
    pub(super) status: ExecutionStatus,
    pub(super) reason: Option<String>,
    pub(super) state: StoredState,
    pub(super) wake_at: Option<OffsetDateTime>,
    pub(super) signals: i64,
    pub(super) parked_since: Option<OffsetDateTime>,
    pub(super) parked_told: bool,
    pub(super) runner: Option<RunnerId>,
    pub(super) fence: i64,
    pub(super) ended_at: Option<OffsetDateTime>,
    pub(super) paused: bool,
    pub(super) cancelled: Option<String>,
    pub(super) held: bool,
    pub(super) insisted: bool,
}

/// A row of `playbook_step_executions`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StepCallRow {
    pub(super) action: Option<ActionName>,
    pub(super) operation: Option<OperationId>,
    pub(super) asked: Option<String>,
    pub(super) outcome: Option<Outcome>,
    pub(super) explanation: Option<String>,
}

/// The key of one: step, visit and attempt of an execution.
pub(super) type StepKey = (ExecutionId, StepId, u32, u32);

/// A row of `execution_signals`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SignalRow {
    /// Orders them.
    pub(super) nth: u64,
    pub(super) step: common::StepCall,
    pub(super) result: StepResult,
    /// Whether it was applied, once somebody has looked at it.
    pub(super) applied: Option<bool>,
}

/// A row of `execution_runners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Runner {
    pub(super) leased_until: OffsetDateTime,
    /// Its session stands, and with it its lock.
    pub(super) session: bool,
}

/// A row of `ticket_updates`; its position is its place among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UpdateRow {
    pub(super) ticket: TicketId,
    pub(super) execution: ExecutionId,
    pub(super) marker: Marker,
    pub(super) update: Update,
    pub(super) settled: Option<Settled>,
}

/// A row of `ticket_outboxes`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outbox {
    pub(super) wake_at: Option<OffsetDateTime>,
    pub(super) held: bool,
    pub(super) fence: i64,
    pub(super) enqueued: i64,
    pub(super) doubt: bool,
    pub(super) failures: i32,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// The database's time.
    pub(super) now: OffsetDateTime,
    pub(super) tenant: TenantId,
    /// The guard that is left out, to see that it is needed.
    without: Option<Guard>,
    pub(super) executions: BTreeMap<ExecutionId, Execution>,
    pub(super) steps: BTreeMap<StepKey, StepCallRow>,
    pub(super) signals: BTreeMap<(ExecutionId, OperationId), SignalRow>,
    pub(super) runners: BTreeMap<Uuid, Runner>,
    pub(super) off: BTreeSet<Position>,
    pub(super) updates: Vec<UpdateRow>,
    pub(super) outboxes: BTreeMap<TicketId, Outbox>,
    signals_ever: u64,
    /// How many events of the audit were written with the steps of each.
    pub(super) written: BTreeMap<ExecutionId, usize>,
}

/// The key of a switch that is off, widest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Position {
    Global,
    Tenant,
    Playbook(String),
}

impl From<&Switch> for Position {
    fn from(switch: &Switch) -> Self {
        match switch {
            Switch::Global => Self::Global,
            Switch::Tenant => Self::Tenant,
            Switch::Playbook { name } => Self::Playbook(name.to_string()),
        }
    }
}

impl Model {
    /// Empty tables.
    pub(super) fn new(now: OffsetDateTime, tenant: TenantId, without: Option<Guard>) -> Self {
        Self {
            now,
            tenant,
            without,
            executions: BTreeMap::new(),
            steps: BTreeMap::new(),
            signals: BTreeMap::new(),
            runners: BTreeMap::new(),
            off: BTreeSet::new(),
            updates: vec![],
            outboxes: BTreeMap::new(),
            signals_ever: 0,
            written: BTreeMap::new(),
        }
    }

    /// The guard stands.
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// Every time by which something is due.
    pub(super) fn times(&mut self) -> impl Iterator<Item = &mut OffsetDateTime> {
        let executions = self
            .executions
            .values_mut()
            .filter_map(|row| row.wake_at.as_mut());
        let runners = self.runners.values_mut().map(|row| &mut row.leased_until);
        let outboxes = self.outboxes.values_mut().filter_map(|row| row.wake_at.as_mut());
        executions.chain(runners).chain(outboxes)
    }

    /// Whether steps of an execution may begin.
    pub(super) fn standing(&self, execution: &Execution) -> Standing {
        let name = execution.new.request.playbook.name.to_string();
        let concerns = [Position::Global, Position::Tenant, Position::Playbook(name)];
        let off = concerns.iter().any(|switch| self.off.contains(switch));
        Standing::of(execution.paused, off)
    }

    /// As [`Self::standing`], for one that is there.
    pub(super) fn stands(&self, id: ExecutionId) -> Standing {
        self.executions
            .get(&id)
            .map_or(Standing::Free, |execution| self.standing(execution))
    }
}
