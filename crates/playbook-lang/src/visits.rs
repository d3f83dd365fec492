//! Steps that may be entered only so often: where that leads is written nowhere, and must be seen all the same.

use common::{Outcome, StepId};

use crate::playbook::{Playbook, Step, StepKind};

/// Whether whoever left steps like this wanted to enter `step` once more than it may be entered: then the execution has
/// escalated by itself.
pub(crate) fn ran_out<'r, I>(playbook: &Playbook, step: &Step, left: &I) -> bool
where
    I: Iterator<Item = (&'r StepId, &'r Outcome)> + Clone,
{
    step.max_visits
        .is_some_and(|most| wanted(playbook, step, left) > most as usize)
}

/// How often the way led to `step`.
fn wanted<'r, I>(playbook: &Playbook, step: &Step, left: &I) -> usize
where
    I: Iterator<Item = (&'r StepId, &'r Outcome)> + Clone,
{
    let led = |(from, outcome): &(&StepId, &Outcome)| {
        let from = playbook.step(from);
        from.and_then(|from| from.edge(outcome)) == Some(&step.id)
    };
    let begun = usize::from(playbook.start == step.id);
    left.clone().filter(led).count() + begun + as_a_branch(playbook, step, left)
}

/// A branch begins whenever what it is a branch of is entered.
fn as_a_branch<'r, I>(playbook: &Playbook, step: &Step, left: &I) -> usize
where
    I: Iterator<Item = (&'r StepId, &'r Outcome)> + Clone,
{
    let outer = step
        .within
        .as_ref()
        .and_then(|within| playbook.step(&within.parallel));
    let Some(outer) = outer else { return 0 };
    let StepKind::Parallel(parallel) = &outer.kind else {
        return 0;
    };
    if !parallel.branches.values().any(|first| *first == step.id) {
        return 0;
    }
    let times = wanted(playbook, outer, left);
    outer.max_visits.map_or(times, |most| times.min(most as usize))
}
