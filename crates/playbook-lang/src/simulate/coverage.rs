//! Which edges there are to follow, and which were.

use std::collections::HashSet;

use common::{Outcome, StepId};

use super::Run;
use crate::playbook::{ActionStep, OTHERWISE, Playbook, Step, StepKind};

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
    /// Edges that were followed.
    pub covered: usize,
    /// Edges that there are.
    pub total: usize,
    /// The others, in the order of the playbook.
    pub missing: Vec<Edge>,
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

/// Which edges `runs` followed, together.
pub fn coverage(playbook: &Playbook, runs: &[Run]) -> Coverage {
    let followed: HashSet<(&StepId, &Outcome)> = runs
        .iter()
        .flat_map(|run| &run.edges)
        .map(|edge| (&edge.from, &edge.outcome))
        .collect();
    let all = edges(playbook);
    let total = all.len();
    let missing: Vec<Edge> = all
        .into_iter()
        .filter(|edge| !followed.contains(&(&edge.from, &edge.outcome)))
        .collect();
    Coverage {
        covered: total - missing.len(),
        total,
        missing,
    }
}
