//! What stands above the steps: descriptions, category, trigger, budget, inputs, calls.

use common::PlaybookRef;

use super::words::{brief, contrast, listed, quoted, span, value};
use super::{ChangeKind, Changes, Weight};
use crate::playbook::{Input, Occasion, Playbook, Trigger};

pub(super) fn compare(old: &Playbook, new: &Playbook, changes: &mut Changes) {
    // Destructured on purpose: a new field does not compile until it is compared, here or with the steps.
    let Playbook {
        reference: _,
        enabled: _,
        description: _,
        category: _,
        sub_category: _,
        examples: _,
        budget: _,
        trigger: _,
        inputs: _,
        steps: _,
        undos: _,
        start: _,
        calls: _,
    } = new;
    if old.name() != new.name() {
        let words = format!(
            "the playbook is now named `{}` instead of `{}`",
            new.name(),
            old.name()
        );
        changes.add(ChangeKind::Document, Weight::Behaviour, words);
    }
    text(
        "description",
        Weight::Cosmetic,
        &old.description,
        &new.description,
        changes,
    );
    text(
        "category",
        Weight::Behaviour,
        &old.category,
        &new.category,
        changes,
    );
    sub_category(old, new, changes);
    if old.enabled != new.enabled {
        let now = if new.enabled { "is now" } else { "is no longer" };
        let words = format!("the playbook {now} activated when it is loaded at first start");
        changes.add(ChangeKind::Document, Weight::Behaviour, words);
    }
    examples(old, new, changes);
    if old.budget != new.budget {
        let words = format!(
            "an execution may now take {} in all instead of {}",
            span(new.budget),
            span(old.budget)
        );
        changes.add(ChangeKind::Budget, Weight::Behaviour, words);
    }
    trigger(old.trigger.as_ref(), new.trigger.as_ref(), changes);
    inputs(old, new, changes);
    calls(&old.calls, &new.calls, changes);
}

fn text(what: &str, weight: Weight, old: &str, new: &str, changes: &mut Changes) {
    if old != new {
        let (old, new) = contrast(old, new);
        let words = format!("the {what} is now \"{new}\" instead of \"{old}\"");
        changes.add(ChangeKind::Document, weight, words);
    }
}

fn sub_category(old: &Playbook, new: &Playbook, changes: &mut Changes) {
    let words = match (old.sub_category(), new.sub_category()) {
        (old, new) if old == new => return,
        (Some(old), Some(new)) => return text("sub-category", Weight::Behaviour, old, new, changes),
        (None, Some(new)) => format!("the sub-category is now {}; before there was none", quoted(new)),
        (Some(old), None) => format!("there is no sub-category any more; it was {}", quoted(old)),
        (None, None) => return,
    };
    changes.add(ChangeKind::Document, Weight::Behaviour, words);
}

fn examples(old: &Playbook, new: &Playbook, changes: &mut Changes) {
    let before = changes.0.len();
    for example in new
        .examples
        .iter()
        .filter(|example| !old.examples.contains(example))
    {
        let words = format!("the example {} is new", quoted(example));
        changes.add(ChangeKind::Document, Weight::Behaviour, words);
    }
    for example in old
        .examples
        .iter()
        .filter(|example| !new.examples.contains(example))
    {
        let words = format!("the example {} is gone", quoted(example));
        changes.add(ChangeKind::Document, Weight::Behaviour, words);
    }
    if old.examples != new.examples && changes.0.len() == before {
        let words = "the examples stand in another order".to_owned();
        changes.add(ChangeKind::Document, Weight::Cosmetic, words);
    }
}

fn trigger(old: Option<&Trigger>, new: Option<&Trigger>, changes: &mut Changes) {
    if old == new {
        return;
    }
    let words = match (old, new) {
        (Some(old), Some(new)) => {
            let (old, new) = contrast(&said(old), &said(new));
            format!("the playbook is now started by {new} instead of by {old}")
        }
        (None, Some(new)) => format!(
            "the playbook is now started only by {}; before, by all tickets of its category",
            brief(&said(new))
        ),
        (Some(old), None) => format!(
            "the playbook is now started by all tickets of its category; before, only by {}",
            brief(&said(old))
        ),
        (None, None) => return,
    };
    changes.add(ChangeKind::Trigger, Weight::Behaviour, words);
}

fn said(trigger: &Trigger) -> String {
    let source = trigger.source.as_deref().map_or_else(
        || "tickets of any source".to_owned(),
        |source| format!("tickets of `{source}`"),
    );
    let on = match trigger.on.as_slice() {
        [] => String::new(),
        on => format!(
            " on {}",
            listed(on.iter().map(|occasion| Occasion::as_str(*occasion)))
        ),
    };
    match trigger.when.to_string() {
        when if when.is_empty() => format!("{source}{on}"),
        when => format!("{source}{on} where {when}"),
    }
}

fn inputs(old: &Playbook, new: &Playbook, changes: &mut Changes) {
    for (name, input) in &new.inputs {
        let Some(before) = old.inputs.get(name) else {
            let words = format!("the input `{name}` is new: {}", nature(input));
            changes.add(ChangeKind::Input, Weight::Behaviour, words);
            continue;
        };
        let (now, then) = (nature(input), nature(before));
        if now != then {
            let (then, now) = contrast(&then, &now);
            let words = format!("the input `{name}` is now {now}; it was {then}");
            changes.add(ChangeKind::Input, Weight::Behaviour, words);
        }
        if input.description != before.description {
            let words = format!("the input `{name}` is described in other words");
            changes.add(ChangeKind::Input, Weight::Cosmetic, words);
        }
    }
    for (name, input) in &old.inputs {
        if !new.inputs.contains_key(name) {
            let words = format!("the input `{name}` is gone: it was {}", nature(input));
            changes.add(ChangeKind::Input, Weight::Behaviour, words);
        }
    }
    if old.inputs != new.inputs && old.inputs.keys().ne(new.inputs.keys()) && same_keys(old, new) {
        let words = "the inputs stand in another order".to_owned();
        changes.add(ChangeKind::Input, Weight::Cosmetic, words);
    }
}

fn same_keys(old: &Playbook, new: &Playbook) -> bool {
    old.inputs.len() == new.inputs.len() && old.inputs.keys().all(|name| new.inputs.contains_key(name))
}

fn nature(input: &Input) -> String {
    match &input.default {
        Some(default) => format!("{}, {} where nobody says", input.kind, value(default)),
        None if input.optional => format!("{}, may be left out", input.kind),
        None => format!("{}, required", input.kind),
    }
}

fn calls(old: &[PlaybookRef], new: &[PlaybookRef], changes: &mut Changes) {
    for called in new {
        let words = match old.iter().find(|before| before.name == called.name) {
            None => format!("it now calls the playbook `{}` {}", called.name, called.version),
            Some(before) if before.version != called.version => format!(
                "it now calls version {} of the playbook `{}` instead of {}",
                called.version, called.name, before.version
            ),
            Some(before) if before.digest != called.digest => format!(
                "the playbook `{}` that it calls is another document of the same version",
                called.name
            ),
            Some(_) => continue,
        };
        changes.add(ChangeKind::Document, Weight::Behaviour, words);
    }
    for called in old {
        if !new.iter().any(|now| now.name == called.name) {
            let words = format!("it no longer calls the playbook `{}`", called.name);
            changes.add(ChangeKind::Document, Weight::Behaviour, words);
        }
    }
}
