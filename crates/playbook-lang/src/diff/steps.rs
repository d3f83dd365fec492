//! The steps: which ones there are, and what each does.

use common::StepId;

use super::actions::{self, undo};
use super::edges::{self, Pair};
use super::kinds::{doing, joining, privileged, sensitive, type_of, waiting};
use super::renames::Renames;
use super::words::{brief, contrast, count};
use super::{ChangeKind, Changes, Weight};
use crate::playbook::{Case, Parallel, Playbook, Step, StepKind};

pub(super) fn compare(old: &Playbook, new: &Playbook, renames: &Renames, changes: &mut Changes) {
    for step in new.steps() {
        match old.steps.get(renames.before(&step.id)) {
            Some(before) => compare_step(
                &Pair {
                    old: before,
                    new: step,
                },
                (old, new),
                renames,
                changes,
            ),
            None => added(new, step, changes),
        }
    }
    for step in old.steps() {
        if !new.steps.contains_key(renames.now(&step.id)) {
            let words = format!("step `{}` is gone: {}", step.id, doing(step, "called"));
            changes.about(&step.id, ChangeKind::StepRemoved, weight(sensitive(step)), words);
        }
    }
    if renames.now(&old.start) != &new.start {
        let words = format!(
            "executions now begin with `{}` instead of `{}`",
            new.start, old.start
        );
        changes.about(&new.start, ChangeKind::Order, Weight::Behaviour, words);
    }
    reordered(old, new, renames, changes);
}

pub(super) fn weight(matters: bool) -> Weight {
    if matters {
        Weight::Security
    } else {
        Weight::Behaviour
    }
}

fn added(new: &Playbook, step: &Step, changes: &mut Changes) {
    let mut words = format!("step `{}` is new: {}", step.id, doing(step, "calls"));
    let leads: Vec<String> = step
        .edges
        .iter()
        .map(|(outcome, to)| format!("`{outcome}` to `{to}`"))
        .collect();
    if !leads.is_empty() {
        words.push_str("; ");
        words.push_str(&leads.join(", "));
    }
    changes.about(&step.id, ChangeKind::StepAdded, weight(sensitive(step)), words);
    if let Some(taken_back) = step.action().and_then(|action| undo(new, action)) {
        let words = format!(
            "`{}` is taken back by `{}` if the execution escalates",
            step.id,
            taken_back.name()
        );
        changes.about(&step.id, ChangeKind::Undo, Weight::Security, words);
    }
}

fn reordered(old: &Playbook, new: &Playbook, renames: &Renames, changes: &mut Changes) {
    let was = old
        .steps
        .keys()
        .map(|id| renames.now(id))
        .filter(|id| new.steps.contains_key(*id));
    let is = new
        .steps
        .keys()
        .filter(|id| old.steps.contains_key(renames.before(id)));
    if was.ne(is) {
        let words = "the steps stand in another order in the document".to_owned();
        changes.add(ChangeKind::Order, Weight::Cosmetic, words);
    }
}

fn compare_step(
    pair: &Pair<'_>,
    playbooks: (&Playbook, &Playbook),
    renames: &Renames,
    changes: &mut Changes,
) {
    let (old, new) = (pair.old, pair.new);
    // Destructured on purpose: a new field does not compile until it is compared.
    let Step {
        id,
        name: _,
        kind: _,
        edges: _,
        max_visits: _,
        within: _,
    } = new;
    if old.id != new.id {
        let words = format!("step `{}` is now called `{id}`", old.id);
        changes.about(id, ChangeKind::StepRenamed, Weight::Cosmetic, words);
    }
    if old.name != new.name {
        let (was, is) = contrast(&old.name, &new.name);
        let words = format!("`{id}` is now named \"{is}\" instead of \"{was}\"");
        changes.about(id, ChangeKind::StepRenamed, Weight::Cosmetic, words);
    }
    match (&old.kind, &new.kind) {
        (StepKind::Action(was), StepKind::Action(is)) => {
            actions::compare(id, (was, is), playbooks, renames, changes);
        }
        (StepKind::Decision(was), StepKind::Decision(is)) => decision(pair, (was, is), playbooks, changes),
        (StepKind::Wait(was), StepKind::Wait(is)) if was != is => {
            let words = format!("`{id}` now waits {} instead of {}", waiting(is), waiting(was));
            changes.about(id, ChangeKind::Wait, Weight::Behaviour, words);
        }
        (StepKind::Parallel(was), StepKind::Parallel(is)) => parallel(id, (was, is), renames, changes),
        (StepKind::Escalation { reason: was }, StepKind::Escalation { reason: is }) if was != is => {
            let (was, is) = contrast(was, is);
            let words = format!("the reason of `{id}` is now \"{is}\" instead of \"{was}\"");
            changes.about(id, ChangeKind::Reason, Weight::Behaviour, words);
        }
        (was, is) if type_of(was) != type_of(is) => {
            let words = format!(
                "`{id}` is now {} instead of {}: {}",
                type_of(is),
                type_of(was),
                doing(new, "calls")
            );
            let matters = sensitive(old) || sensitive(new);
            changes.about(id, ChangeKind::StepRetyped, weight(matters), words);
        }
        _ => {}
    }
    edges::compare(pair, playbooks, renames, changes);
    visits(pair, changes);
    place(pair, renames, changes);
}

fn visits(pair: &Pair<'_>, changes: &mut Changes) {
    let id = &pair.new.id;
    let words = match (pair.old.max_visits, pair.new.max_visits) {
        (was, is) if was == is => return,
        (Some(was), Some(is)) => format!("`{id}` may now be entered {} instead of {was}", count(is, "time")),
        (None, Some(is)) => format!(
            "`{id}` now lies on a loop and may be entered {}",
            count(is, "time")
        ),
        (Some(was), None) => format!(
            "`{id}` may now be entered once; it could be {}",
            count(was, "time")
        ),
        (None, None) => return,
    };
    changes.about(id, ChangeKind::Visits, weight(sensitive(pair.new)), words);
}

fn place(pair: &Pair<'_>, renames: &Renames, changes: &mut Changes) {
    let id = &pair.new.id;
    let was = pair
        .old
        .within
        .as_ref()
        .map(|within| (renames.now(&within.parallel), &within.branch));
    let is = pair
        .new
        .within
        .as_ref()
        .map(|within| (&within.parallel, &within.branch));
    let words = match (was, is) {
        (was, is) if was == is => return,
        (_, Some((parallel, branch))) => {
            format!("`{id}` now stands in the branch `{branch}` of `{parallel}`")
        }
        (Some((parallel, _)), None) => format!("`{id}` no longer stands in a branch of `{parallel}`"),
        (None, None) => return,
    };
    changes.about(id, ChangeKind::Branch, Weight::Behaviour, words);
}

fn decision(
    pair: &Pair<'_>,
    (was, is): (&[Case], &[Case]),
    playbooks: (&Playbook, &Playbook),
    changes: &mut Changes,
) {
    let id = &pair.new.id;
    let acts = |name: &str| {
        let outcome = common::Outcome::from(name);
        let led = pair
            .old
            .edges
            .get(&outcome)
            .is_some_and(|to| privileged(playbooks.0, to));
        led || pair
            .new
            .edges
            .get(&outcome)
            .is_some_and(|to| privileged(playbooks.1, to))
    };
    for case in is {
        let name = &case.name;
        match was.iter().find(|before| before.name == case.name) {
            Some(before) if before.when != case.when => {
                let (then, now) = contrast(&before.when.to_string(), &case.when.to_string());
                let words =
                    format!("at `{id}`, the case `{name}` is now taken where {now}, instead of where {then}");
                changes.about(id, ChangeKind::Condition, weight(acts(name)), words);
            }
            Some(_) => {}
            None => {
                let words = format!(
                    "`{id}` has a new case `{name}`, taken where {}",
                    brief(&case.when)
                );
                changes.about(id, ChangeKind::Condition, weight(acts(name)), words);
            }
        }
    }
    for case in was
        .iter()
        .filter(|case| !is.iter().any(|now| now.name == case.name))
    {
        let words = format!("`{id}` no longer has the case `{}`", case.name);
        changes.about(id, ChangeKind::Condition, weight(acts(&case.name)), words);
    }
    let then = was
        .iter()
        .map(|case| &case.name)
        .filter(|name| is.iter().any(|case| case.name == **name));
    let now = is
        .iter()
        .map(|case| &case.name)
        .filter(|name| was.iter().any(|case| case.name == **name));
    if then.ne(now) {
        // The first case that holds is taken, so the order decides where an execution goes.
        let matters = is.iter().any(|case| acts(&case.name));
        let words = format!("the cases of `{id}` are now tried in another order");
        changes.about(id, ChangeKind::Condition, weight(matters), words);
    }
}

fn parallel(id: &StepId, (was, is): (&Parallel, &Parallel), renames: &Renames, changes: &mut Changes) {
    for (name, first) in &is.branches {
        let words = match was.branches.get(name) {
            None => format!("`{id}` has a new branch `{name}`, which begins with `{first}`"),
            Some(before) if renames.now(before) != first => {
                format!("the branch `{name}` of `{id}` now begins with `{first}` instead of `{before}`")
            }
            Some(_) => continue,
        };
        changes.about(id, ChangeKind::Branch, Weight::Behaviour, words);
    }
    for name in was
        .branches
        .keys()
        .filter(|name| !is.branches.contains_key(*name))
    {
        let words = format!("`{id}` no longer has the branch `{name}`");
        changes.about(id, ChangeKind::Branch, Weight::Behaviour, words);
    }
    if was.join != is.join {
        let words = format!("`{id}` is now {}, not {}", joining(is.join), joining(was.join));
        changes.about(id, ChangeKind::Branch, Weight::Behaviour, words);
    }
}
