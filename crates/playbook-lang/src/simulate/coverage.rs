//! Which edges there are to follow, and which were.

use std::collections::HashSet;

use common::{Outcome, StepId};

use super::Run;
use crate::playbook::{ActionStep, OTHERWISE, Playbook, Step, StepKind};
use crate::visits::ran_out;

/// A way from one step to the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The step.
    pub from: StepId,
    /// How it ends.
    pub outcome: Outcome,
    /// Where that leads; `None` where nobody wrote an edge and the execution escalates.
    pub to: Option<StepId>,
}

impl std::fmt::Display for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} --{}--> ", self.from, self.outcome)?;
        match &self.to {
            Some(to) => write!(f, "{to}"),
            None => write!(f, "(a person)"),
        }
    }
}

/// A step may be entered only so often (`max_visits`). Once more, and the execution escalates: an ending that nobody drew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The step.
    pub step: StepId,
    /// How often it may be entered.
    pub most: u32,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} --more than {} visits--> (a person)", self.step, self.most)
    }
}

impl Bound {
    /// Whether `run` came to it.
    pub(super) fn reached(&self, playbook: &Playbook, run: &Run) -> bool {
        let left = run.edges.iter().map(|edge| (&edge.from, &edge.outcome));
        playbook
            .step(&self.step)
            .is_some_and(|step| ran_out(playbook, step, &left))
    }
}

/// Every such step, in the order of the playbook.
pub fn bounds(playbook: &Playbook) -> Vec<Bound> {
    let bound = |step: &Step| {
        let step_id = step.id.clone();
        step.max_visits.map(|most| Bound { step: step_id, most })
    };
    playbook.steps().filter_map(bound).collect()
}

/// Every edge that an execution can follow, in the order of the playbook. A time-out is an edge of its own also where it
/// leads the way of a failure, and so is a "No" that nobody wrote an edge for.
pub fn edges(playbook: &Playbook) -> Vec<Edge> {
    playbook
        .steps()
        .flat_map(|step| {
            outcomes(playbook, step).into_iter().map(|outcome| Edge {
                from: step.id.clone(),
                to: step.edge(&outcome).cloned(),
                outcome,
            })
        })
        .collect()
}

/// How a step can end.
pub(super) fn outcomes(playbook: &Playbook, step: &Step) -> Vec<Outcome> {
    match &step.kind {
        StepKind::Action(action) => answers(action),
        StepKind::Decision(cases) => cases
            .iter()
            .map(|case| case.name.as_str())
            .chain([OTHERWISE])
            .map(|case| Outcome::Word(case.to_owned()))
            .collect(),
        StepKind::Wait(_) => vec![Outcome::Success],
        StepKind::Parallel(_) => {
            // Branches that cannot fail leave nothing to cover.
            let ends = |ending: fn(&StepKind) -> bool| {
                playbook.steps().any(|inner| {
                    ending(&inner.kind) && inner.within.as_ref().is_some_and(|w| w.parallel == step.id)
                })
            };
            [
                ends(|kind| matches!(kind, StepKind::Terminal)).then_some(Outcome::Success),
                ends(|kind| matches!(kind, StepKind::Escalation { .. })).then_some(Outcome::Failure),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        StepKind::Terminal | StepKind::Escalation { .. } => Vec::new(),
    }
}

fn answers(step: &ActionStep) -> Vec<Outcome> {
    let declared = |outcome: Outcome| step.action.outcomes.contains(&outcome).then_some(outcome);
    declared(Outcome::Success)
        .into_iter()
        .chain(step.action.words().cloned())
        .chain([Outcome::Failure, Outcome::Timeout])
        .chain(declared(Outcome::Denied))
        .collect()
}

/// How much of a playbook was walked.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Edges that were followed, and bounds that were reached.
    pub covered: usize,
    /// Edges and bounds that there are.
    pub total: usize,
    /// The other edges, in the order of the playbook.
    pub missing: Vec<Edge>,
    /// The other bounds.
    pub unreached: Vec<Bound>,
}

impl Coverage {
    /// From 0 to 100.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a playbook has thousands of edges at most"
    )]
    pub fn percent(&self) -> f64 {
        if self.total == 0 {
            return 100.0;
        }
        100.0 * self.covered as f64 / self.total as f64
    }
}

/// Which edges `runs` followed and which bounds they reached, together.
pub fn coverage(playbook: &Playbook, runs: &[Run]) -> Coverage {
    let followed: HashSet<(&StepId, &Outcome)> = runs
        .iter()
        .flat_map(|run| &run.edges)
        .map(|edge| (&edge.from, &edge.outcome))
        .collect();
    let (all, bounds) = (edges(playbook), bounds(playbook));
    let total = all.len() + bounds.len();
    let missing: Vec<Edge> = all
        .into_iter()
        .filter(|edge| !followed.contains(&(&edge.from, &edge.outcome)))
        .collect();
    let reached = |bound: &Bound| runs.iter().any(|run| bound.reached(playbook, run));
    let unreached: Vec<Bound> = bounds.into_iter().filter(|bound| !reached(bound)).collect();
    Coverage {
        covered: total - missing.len() - unreached.len(),
        total,
        missing,
        unreached,
    }
}
