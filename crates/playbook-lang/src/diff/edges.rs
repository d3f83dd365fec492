//! Where the outcomes of a step lead.

use common::{Outcome, StepId};

use super::kinds::{privileged, sensitive};
use super::renames::Renames;
use super::words::listed;
use super::{ChangeKind, Changes, Weight};
use crate::playbook::{Playbook, Step};

/// Both versions of one step.
pub(super) struct Pair<'p> {
    pub(super) old: &'p Step,
    pub(super) new: &'p Step,
}

/// The edges of a step that is in both versions. Compared is where an outcome leads, whoever wrote it: a time-out that
/// is written and leads where it fell back to anyway is no change of what happens.
pub(super) fn compare(
    pair: &Pair<'_>,
    playbooks: (&Playbook, &Playbook),
    renames: &Renames,
    changes: &mut Changes,
) {
    let before = changes.0.len();
    for (outcomes, was, is) in moved(pair, renames) {
        let weight = weigh(pair, playbooks, &outcomes, was, is);
        let words = sentence(pair.new, &outcomes, was.map(|was| renames.now(was)), is);
        changes.about(&pair.new.id, ChangeKind::Edge, weight, words);
    }
    if changes.0.len() == before && rewritten(pair, renames) {
        let words = format!("the edges of `{}` are written in another way", pair.new.id);
        changes.about(&pair.new.id, ChangeKind::Edge, Weight::Cosmetic, words);
    }
}

type Move<'p> = (Vec<Outcome>, Option<&'p StepId>, Option<&'p StepId>);

/// Outcomes that lead elsewhere; those that moved together are told together.
fn moved<'p>(pair: &Pair<'p>, renames: &Renames) -> Vec<Move<'p>> {
    let mut outcomes: Vec<&Outcome> = pair.new.edges.keys().collect();
    outcomes.extend(
        pair.old
            .edges
            .keys()
            .filter(|outcome| !pair.new.edges.contains_key(*outcome)),
    );
    let acts = pair.old.action().is_some() || pair.new.action().is_some();
    if acts && !outcomes.contains(&&Outcome::Timeout) {
        outcomes.push(&Outcome::Timeout);
    }
    let mut moves: Vec<Move<'p>> = Vec::new();
    for outcome in outcomes {
        let (was, is) = (leads(pair.old, outcome), leads(pair.new, outcome));
        if was.map(|was| renames.now(was)) == is {
            continue;
        }
        match moves.iter_mut().find(|(_, from, to)| (*from, *to) == (was, is)) {
            Some((together, ..)) => together.push(outcome.clone()),
            None => moves.push((vec![outcome.clone()], was, is)),
        }
    }
    moves
}

/// A time-out falls back only where a call can take too long.
fn leads<'s>(step: &'s Step, outcome: &Outcome) -> Option<&'s StepId> {
    if step.action().is_some() {
        step.edge(outcome)
    } else {
        step.edges.get(outcome)
    }
}

fn rewritten(pair: &Pair<'_>, renames: &Renames) -> bool {
    let old = pair
        .old
        .edges
        .iter()
        .map(|(outcome, to)| (outcome, renames.now(to)));
    !old.eq(&pair.new.edges)
}

/// What a person's "No" leads to, what a verification leads to, and what leads to a privileged step.
fn weigh(
    pair: &Pair<'_>,
    (old, new): (&Playbook, &Playbook),
    outcomes: &[Outcome],
    was: Option<&StepId>,
    is: Option<&StepId>,
) -> Weight {
    let verifies = |step: &Step| step.action().is_some_and(|action| action.action.verifies());
    let guards = outcomes.contains(&Outcome::Denied)
        || (outcomes.contains(&Outcome::Success) && (verifies(pair.old) || verifies(pair.new)));
    let acts = was.is_some_and(|was| privileged(old, was)) || is.is_some_and(|is| privileged(new, is));
    if guards || acts || (sensitive(pair.new) && is.is_none()) {
        Weight::Security
    } else {
        Weight::Behaviour
    }
}

fn sentence(step: &Step, outcomes: &[Outcome], was: Option<&StepId>, is: Option<&StepId>) -> String {
    let id = &step.id;
    let named = listed(outcomes);
    let one = outcomes.len() == 1;
    let (lead, escalate) = if one {
        ("leads", "escalates")
    } else {
        ("lead", "escalate")
    };
    match (was, is) {
        (Some(was), Some(is)) => format!("after `{id}`, {named} now {lead} to `{is}` instead of `{was}`"),
        (Some(was), None) => {
            format!(
                "after `{id}`, {named} now {escalate} to a person by default instead of leading to `{was}`"
            )
        }
        (None, Some(is)) => format!(
            "after `{id}`, {named} now {lead} to `{is}`; before, no edge was written and a person would take over"
        ),
        (None, None) => format!("after `{id}`, nothing changes for {named}"),
    }
}
