//! The world of one schedule: replicas of orchestration, the step service, the help desk, an operator, and a clock that
//! jumps. Every action is atomic as its transaction is, and anybody may be stopped between any two of them.

mod accepting;
mod acting;
mod calm;
mod desk;
mod drive;
mod operator;
mod process;
mod sender;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::execution::ExecutionStatus;
use common::{ExecutionId, TenantId};
use time::OffsetDateTime;

use super::arena::Arena;
use super::cast::{BEGINNING, Cast, Filing};
use super::choices::Choices;
use super::guard::Guard;
use super::invariants::Violation;
use super::model::Model;
use crate::store::{Claimed, StoredState};
use desk::Desk;

use process::Process;
use service::{Flight, StepService};

/// The lease of a runner.
pub(super) const LEASE: Duration = Duration::from_mins(1);

/// What a schedule is about, and how much goes wrong in it.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// Replicas of orchestration.
    pub(super) replicas: usize,
    pub(super) filings: Vec<Filing>,
    /// How many actions are chosen before everything is left to itself.
    pub(super) storm: usize,
    /// How often something may fail, or somebody may be stopped.
    pub(super) troubles: usize,
    /// How often an operator does something.
    pub(super) operations: usize,
    /// How often the clock jumps.
    pub(super) jumps: usize,
    /// The guard that is left out.
    pub(super) without: Option<Guard>,
}

/// How an execution ended, as it was first seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) status: ExecutionStatus,
    pub(super) reason: Option<String>,
    pub(super) at: Option<OffsetDateTime>,
    pub(super) state: StoredState,
}

/// What the invariants know beside the tables.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    /// How often the state of an execution was written.
    pub(super) versions: BTreeMap<ExecutionId, u64>,
    /// What has ended.
    pub(super) ended: BTreeMap<ExecutionId, Ended>,
    /// Signals that whoever let go of an execution last knew of.
    pub(super) known: BTreeMap<ExecutionId, i64>,
    /// How many notes had arrived when they were last looked at.
    pub(super) notes: usize,
    /// What an action did that it must not.
    pub(super) violation: Option<Violation>,
}

/// All of it.
pub(super) struct World<'a> {
    pub(super) model: Model,
    pub(super) cast: &'a Cast,
    arena: &'a Arena<Claimed>,
    pub(super) scene: &'a Scene,
    pub(super) choices: Choices,
    /// Nothing goes wrong any more, and nothing is chosen.
    pub(super) calm: bool,
    processes: Vec<Process<'a>>,
    pub(super) service: StepService,
    flights: Vec<Flight>,
    pub(super) desk: Desk,
    /// What became of each filing.
    pub(super) answered: Vec<Answered>,
    troubles: usize,
    operations: usize,
    jumps: usize,
    /// What an operator saw, and is about to try again.
    retrying: Option<operator::Seen>,
    /// What an operator cancelled, and was told that it is.
    pub(super) cancelled: BTreeSet<ExecutionId>,
    ids: u128,
    pub(super) ghosts: Ghosts,
    /// What happened, in words, where somebody wants to read it.
    pub(super) trace: Option<Vec<String>>,
}

/// What the classifier heard of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nothing yet: it asks again.
    Nothing,
    /// It was accepted.
    Accepted(ExecutionId),
    /// Another execution is open on the ticket.
    Open,
}

impl<'a> World<'a> {
    pub(super) fn new(
        cast: &'a Cast,
        arena: &'a Arena<Claimed>,
        scene: &'a Scene,
        choices: Choices,
        told: bool,
    ) -> Self {
        let tenant: TenantId = "default".parse().expect("a name");
        Self {
            model: Model::new(BEGINNING, tenant, scene.without),
            cast,
            arena,
            scene,
            choices,
            calm: false,
            processes: (0..scene.replicas).map(|_| Process::default()).collect(),
            service: StepService::default(),
            flights: vec![],
            desk: Desk::default(),
            answered: vec![Answered::Nothing; scene.filings.len()],
            troubles: scene.troubles,
            operations: scene.operations,
            jumps: scene.jumps,
            retrying: None,
            cancelled: BTreeSet::new(),
            ids: 0,
            ghosts: Ghosts::default(),
            trace: told.then(Vec::new),
        }
    }

    /// The next id.
    fn fresh(&mut self) -> u128 {
        self.ids += 1;
        self.ids
    }

    /// One of `of`; in the calm the ordinary one.
    fn pick(&mut self, of: usize) -> usize {
        if self.calm { 0 } else { self.choices.pick(of) }
    }

    /// One of `of`, where all but the first are trouble; each costs one.
    fn pick_trouble(&mut self, of: usize) -> usize {
        if self.calm || self.troubles == 0 {
            return 0;
        }
        let picked = self.choices.pick(of);
        if picked > 0 {
            self.troubles -= 1;
        }
        picked
    }

    /// Put down for whoever reads the trace.
    fn say(&mut self, words: impl FnOnce() -> String) {
        let now = self.model.now;
        if let Some(trace) = &mut self.trace {
            let at = (now - BEGINNING).as_seconds_f64();
            trace.push(format!("{at:>10.3} s  {}", words()));
        }
    }

    /// This must not have happened. The first one counts.
    fn violated(&mut self, invariant: &'static str, how: impl FnOnce() -> String) {
        if self.ghosts.violation.is_none() {
            let how = how();
            self.say(|| format!("*** {invariant}: {how}"));
            self.ghosts.violation = Some(Violation { invariant, how });
        }
    }

    fn guards(&self, guard: Guard) -> bool {
        self.scene.without != Some(guard)
    }
}
