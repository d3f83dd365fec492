//! What a step is, in words.

use super::words::{listed, quoted, span, value};
use crate::playbook::{ActionStep, Join, Pause, Playbook, Step, StepKind};
use crate::registry::{Action, Credential, Parameter};
use crate::trust::Role;

/// Whether changes of it are changes of what is safe.
pub(super) fn sensitive(step: &Step) -> bool {
    step.action().is_some_and(|step| sensitive_action(&step.action))
}

pub(super) fn sensitive_action(action: &Action) -> bool {
    action.privileged()
        || action.verifies()
        || action.credential != Credential::None
        || action.undoes.is_some()
}

/// Whether a parameter decides who or what is acted on.
pub(super) fn decides(parameter: Option<&Parameter>) -> bool {
    parameter.is_some_and(|parameter| parameter.role != Role::Plain)
}

/// Whether a step of this playbook acts with privilege.
pub(super) fn privileged(playbook: &Playbook, step: &common::StepId) -> bool {
    playbook
        .step(step)
        .and_then(Step::action)
        .is_some_and(|action| action.action.privileged())
}

/// `it calls ...`, `a decision ...`: what a new step does, or one that is gone did.
pub(super) fn doing(step: &Step, calls: &str) -> String {
    match &step.kind {
        StepKind::Action(action) => format!("it {calls} `{}`{}", action.name(), nature(action)),
        StepKind::Decision(cases) if cases.is_empty() => "a decision without cases".to_owned(),
        StepKind::Decision(cases) => {
            format!("a decision with {}", listed(cases.iter().map(|case| &case.name)))
        }
        StepKind::Wait(pause) => format!("it waits {}", waiting(pause)),
        StepKind::Parallel(parallel) => format!(
            "the branches {} at once, {}",
            listed(parallel.branches.keys()),
            joining(parallel.join)
        ),
        StepKind::Terminal => "a good ending".to_owned(),
        StepKind::Escalation { reason } => format!("an escalation, {}", quoted(reason)),
    }
}

fn nature(step: &ActionStep) -> String {
    let mut facts = Vec::new();
    if let Some(needed) = step.action.requires {
        facts.push(format!("privileged, needs {needed} assurance"));
    }
    if let Some(granted) = step.action.grants {
        facts.push(format!("a verification, grants {granted} assurance"));
    }
    match step.action.credential {
        Credential::None => {}
        Credential::Yields => facts.push("yields a credential".to_owned()),
        Credential::Needs => facts.push("delivers a credential".to_owned()),
    }
    if step.action.planned {
        facts.push("no service offers it yet".to_owned());
    }
    let mut words = if facts.is_empty() {
        String::new()
    } else {
        format!(" ({})", facts.join("; "))
    };
    let parameters: Vec<String> = step
        .parameters
        .iter()
        .map(|(name, given)| format!("`{name}` = {}", value(given)))
        .collect();
    if !parameters.is_empty() {
        words.push_str(" with ");
        words.push_str(&parameters.join(", "));
    }
    words
}

/// `an action`, `a decision`, ...
pub(super) const fn type_of(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Action(_) => "an action",
        StepKind::Decision(_) => "a decision",
        StepKind::Wait(_) => "a wait",
        StepKind::Parallel(_) => "a parallel step",
        StepKind::Terminal => "a good ending",
        StepKind::Escalation { .. } => "an escalation",
    }
}

/// `5 min`, `until "..."`.
pub(super) fn waiting(pause: &Pause) -> String {
    match pause {
        Pause::For(time) => span(*time),
        Pause::Until(moment) => format!("until {}", value(moment)),
    }
}

pub(super) const fn joining(join: Join) -> &'static str {
    match join {
        Join::All => "done when every branch has ended",
        Join::Any => "done when the first branch has ended well",
    }
}
