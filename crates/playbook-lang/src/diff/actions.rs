//! Steps that call an action: what they may, how long and how often, with what, and what takes them back.

use common::StepId;

use super::kinds::{decides, sensitive_action};
use super::renames::Renames;
use super::steps::weight;
use super::words::{contrast, count, listed, span, value};
use super::{ChangeKind, Changes, Weight};
use crate::playbook::{ActionStep, Playbook, Step};
use crate::registry::{Action, Credential};
use crate::retry::{Backoff, Retry};

/// Both versions of an action.
type Both<'p> = (&'p ActionStep, &'p ActionStep);

pub(super) fn compare(
    id: &StepId,
    both: Both<'_>,
    playbooks: (&Playbook, &Playbook),
    renames: &Renames,
    changes: &mut Changes,
) {
    // Destructured on purpose: a new field does not compile until it is compared.
    let ActionStep {
        action: _,
        timeout: _,
        retry: _,
        parameters: _,
        credential_of: _,
        authorizes: _,
        undo: _,
    } = both.1;
    call(id, both, changes);
    credential(id, both, renames, changes);
    undone(id, both, playbooks, changes);
}

/// What takes a step back, where something does.
pub(super) fn undo<'p>(playbook: &'p Playbook, step: &ActionStep) -> Option<&'p ActionStep> {
    playbook.step(step.undo.as_ref()?).and_then(Step::action)
}

/// All that can be said of a call by itself.
fn call(id: &StepId, (was, is): Both<'_>, changes: &mut Changes) {
    if was.name() != is.name() {
        let matters = sensitive_action(&was.action) || sensitive_action(&is.action);
        let words = format!("`{id}` now calls `{}` instead of `{}`", is.name(), was.name());
        changes.about(id, ChangeKind::StepRetyped, weight(matters), words);
    }
    offered(id, &was.action, &is.action, changes);
    if was.timeout != is.timeout {
        let words = format!(
            "`{id}` may now take {} instead of {}",
            span(is.timeout),
            span(was.timeout)
        );
        changes.about(id, ChangeKind::Timeout, Weight::Behaviour, words);
    }
    if was.retry != is.retry {
        let words = format!(
            "`{id}` now makes {} instead of {}",
            tries(&is.retry),
            tries(&was.retry)
        );
        // The waits of a step that is tried once are never waited for.
        let once = was.retry.max_attempts == 1 && is.retry.max_attempts == 1;
        let weight = if once { Weight::Cosmetic } else { Weight::Behaviour };
        changes.about(id, ChangeKind::Retry, weight, words);
    }
    parameters(id, (was, is), changes);
}

/// What the registry says of it.
fn offered(id: &StepId, was: &Action, is: &Action, changes: &mut Changes) {
    // Destructured on purpose: a new field does not compile until it is compared.
    let Action {
        name: _,
        path: _,
        outcomes: _,
        parameters: _,
        requires: _,
        grants: _,
        outputs: _,
        credential: _,
        undoes: _,
        planned: _,
        timeout: _,
    } = is;
    let mut permission = |words: String| changes.about(id, ChangeKind::Permission, Weight::Security, words);
    match (was.requires, is.requires) {
        (was, is) if was == is => {}
        (Some(was), Some(is)) => permission(format!("`{id}` now needs {is} assurance instead of {was}")),
        (None, Some(is)) => permission(format!("`{id}` is now privileged and needs {is} assurance")),
        (Some(was), None) => {
            permission(format!(
                "`{id}` is no longer privileged; it needed {was} assurance"
            ));
        }
        (None, None) => {}
    }
    match (was.grants, is.grants) {
        (was, is) if was == is => {}
        (Some(was), Some(is)) => permission(format!("`{id}` now grants {is} assurance instead of {was}")),
        (None, Some(is)) => permission(format!("`{id}` is now a verification and grants {is} assurance")),
        (Some(was), None) => {
            permission(format!(
                "`{id}` is no longer a verification; it granted {was} assurance"
            ));
        }
        (None, None) => {}
    }
    if was.credential != is.credential {
        let said = |credential| match credential {
            Credential::None => "has nothing to do with credentials",
            Credential::Yields => "yields a credential",
            Credential::Needs => "delivers a credential",
        };
        let words = format!(
            "`{id}` now {}; before, it {}",
            said(is.credential),
            said(was.credential)
        );
        changes.about(id, ChangeKind::Credential, Weight::Security, words);
    }
    if was.planned != is.planned {
        let words = if is.planned {
            format!("`{id}` calls `{}`, which no service offers yet", is.name)
        } else {
            format!("`{id}` calls `{}`, which is now offered", is.name)
        };
        changes.about(id, ChangeKind::Planned, Weight::Behaviour, words);
    }
    if was.outcomes != is.outcomes {
        let words = format!(
            "`{id}` can now end in {} instead of {}",
            listed(&is.outcomes),
            listed(&was.outcomes)
        );
        changes.about(id, ChangeKind::Permission, Weight::Behaviour, words);
    }
    let rest = |action: &Action| {
        (
            action.path.clone(),
            action.parameters.clone(),
            action.outputs.clone(),
        )
    };
    if was.name == is.name && rest(was) != rest(is) {
        let words = format!("`{}`, which `{id}` calls, is offered in another way", is.name);
        changes.about(id, ChangeKind::Permission, weight(sensitive_action(is)), words);
    }
}

fn tries(retry: &Retry) -> String {
    let attempts = count(retry.max_attempts, "attempt");
    if retry.max_attempts == 1 && *retry == Retry::default() {
        return attempts;
    }
    let (initial, max) = (span(retry.initial), span(retry.max));
    let jitter = match retry.jitter {
        jitter if jitter > 0.0 => format!(", give or take {:.0} %", jitter * 100.0),
        _ => String::new(),
    };
    match retry.backoff {
        Backoff::Fixed => format!("{attempts} (waits of {initial}, at most {max}{jitter})"),
        Backoff::Linear => {
            format!("{attempts} (waits growing evenly from {initial} to at most {max}{jitter})")
        }
        Backoff::Exponential => {
            format!("{attempts} (waits doubling from {initial} to at most {max}{jitter})")
        }
    }
}

fn parameters(id: &StepId, (was, is): Both<'_>, changes: &mut Changes) {
    let weigh = |name: &str| {
        let decides = decides(was.action.parameters.get(name)) || decides(is.action.parameters.get(name));
        weight(decides || sensitive_action(&was.action) || sensitive_action(&is.action))
    };
    for (name, given) in &is.parameters {
        let words = match was.parameters.get(name) {
            None => format!("`{id}` now passes `{name}`: {}", value(given)),
            Some(before) if before != given => {
                let (then, now) = contrast(&before.to_string(), &given.to_string());
                format!("`{id}` now passes {now} as `{name}` instead of {then}")
            }
            Some(_) => continue,
        };
        changes.about(id, ChangeKind::Parameter, weigh(name), words);
    }
    for (name, given) in &was.parameters {
        if !is.parameters.contains_key(name) {
            let words = format!("`{id}` no longer passes `{name}`; it was {}", value(given));
            changes.about(id, ChangeKind::Parameter, weigh(name), words);
        }
    }
}

fn credential(id: &StepId, (was, is): Both<'_>, renames: &Renames, changes: &mut Changes) {
    let then = was.credential_of.as_ref().map(|of| renames.now(of));
    if then != is.credential_of.as_ref() {
        let said = |of: Option<&StepId>| {
            of.map_or_else(
                || "the latest credential".to_owned(),
                |of| format!("the credential of `{of}`"),
            )
        };
        let words = format!(
            "`{id}` now delivers {} instead of {}",
            said(is.credential_of.as_ref()),
            said(then)
        );
        changes.about(id, ChangeKind::Credential, Weight::Security, words);
    }
    let then = was.authorizes.as_ref().map(|step| renames.now(step));
    let words = match (then, is.authorizes.as_ref()) {
        (then, now) if then == now => return,
        (Some(then), Some(now)) => format!("the permit of `{id}` is now for `{now}` instead of for `{then}`"),
        (None, Some(now)) => format!("`{id}` now gives a permit, for `{now}`"),
        (Some(then), None) => format!("`{id}` no longer gives a permit; it was for `{then}`"),
        (None, None) => return,
    };
    changes.about(id, ChangeKind::Permission, Weight::Security, words);
}

fn undone(id: &StepId, (was, is): Both<'_>, (old, new): (&Playbook, &Playbook), changes: &mut Changes) {
    let words = match (undo(old, was), undo(new, is)) {
        (None, None) => return,
        (None, Some(by)) => format!(
            "`{id}` is now taken back by `{}` if the execution escalates",
            by.name()
        ),
        (Some(by), None) => {
            format!(
                "`{id}` is no longer taken back if the execution escalates; `{}` did that",
                by.name()
            )
        }
        (Some(before), Some(by)) if before.name() != by.name() => {
            format!(
                "`{id}` is now taken back by `{}` instead of `{}`",
                by.name(),
                before.name()
            )
        }
        (Some(before), Some(by)) => {
            if let Some(undo) = &is.undo {
                call(undo, (before, by), changes);
            }
            return;
        }
    };
    changes.about(id, ChangeKind::Undo, Weight::Security, words);
}
