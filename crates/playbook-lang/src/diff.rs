//! What changed between two versions of a playbook, in words, for whoever approves the new one.

use std::time::Duration;

use common::{Outcome, StepId};

use crate::playbook::{ActionStep, Playbook, Step, StepKind};
use crate::retry::Retry;

/// How much a change matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Who is proven, what acts with privilege, what is taken back, where denials lead.
    Security,
    /// What an execution does otherwise.
    Behaviour,
    /// What people read.
    Cosmetic,
}

/// One change, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How much it matters.
    pub weight: Weight,
    /// The step that it is about; none where it is about the playbook.
    pub step: Option<StepId>,
    /// The sentence.
    pub words: String,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

/// Every change from `old` to `new`; what matters for security comes first. Nothing where an execution and its reader
/// would notice none.
pub fn diff(old: &Playbook, new: &Playbook) -> Vec<Change> {
    let mut changes = Changes::default();
    changes.opening(old, new);
    for step in old.steps() {
        match new.steps.get(&step.id) {
            Some(now) => changes.step(old, new, step, now),
            None => changes.removed(step),
        }
    }
    for step in new.steps().filter(|step| !old.steps.contains_key(&step.id)) {
        changes.added(step);
    }
    let mut found = changes.0;
    found.sort_by_key(|change| change.weight);
    found
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn say(&mut self, weight: Weight, step: Option<&Step>, words: String) {
        self.0.push(Change {
            weight,
            step: step.map(|step| step.id.clone()),
            words,
        });
    }

    fn opening(&mut self, old: &Playbook, new: &Playbook) {
        if old.start != new.start {
            let words = format!("executions begin with `{}` instead of `{}`", new.start, old.start);
            self.say(Weight::Behaviour, None, words);
        }
        if old.budget != new.budget {
            let words = format!(
                "the budget is {} instead of {}",
                told(new.budget),
                told(old.budget)
            );
            self.say(Weight::Behaviour, None, words);
        }
        let trigger = |playbook: &Playbook| {
            playbook.trigger.as_ref().map_or_else(
                || "every ticket of its category".to_owned(),
                |trigger| {
                    let on: Vec<&str> = trigger.on.iter().map(|on| on.as_str()).collect();
                    format!("tickets {} where {}", on.join(" or "), trigger.when)
                },
            )
        };
        if old.trigger != new.trigger {
            let words = format!("it is for {} instead of {}", trigger(new), trigger(old));
            self.say(Weight::Behaviour, None, words);
        }
        let category = |playbook: &Playbook| {
            format!(
                "{}/{}",
                playbook.category,
                playbook.sub_category.as_deref().unwrap_or("any")
            )
        };
        if category(old) != category(new) {
            let words = format!(
                "its category is `{}` instead of `{}`",
                category(new),
                category(old)
            );
            self.say(Weight::Behaviour, None, words);
        }
        for (name, input) in &new.inputs {
            match old.inputs.get(name) {
                None => self.say(
                    Weight::Behaviour,
                    None,
                    format!("it takes the input `{name}`, {}", input.kind),
                ),
                Some(before) if before != input => {
                    self.say(
                        Weight::Behaviour,
                        None,
                        format!("the input `{name}` is another: now {}", input.kind),
                    );
                }
                Some(_) => {}
            }
        }
        for name in old.inputs.keys().filter(|name| !new.inputs.contains_key(*name)) {
            self.say(
                Weight::Behaviour,
                None,
                format!("it takes the input `{name}` no more"),
            );
        }
        if old.enabled != new.enabled {
            let words = if new.enabled {
                "it is activated at first start"
            } else {
                "it is not activated at first start any more"
            };
            self.say(Weight::Behaviour, None, words.to_owned());
        }
        if old.description != new.description || old.examples != new.examples {
            self.say(
                Weight::Cosmetic,
                None,
                "its description or examples read otherwise".to_owned(),
            );
        }
    }

    fn added(&mut self, step: &Step) {
        let words = format!("new step `{}`: {}", step.id, what(step));
        self.say(weight(step), Some(step), words);
        for (outcome, to) in &step.edges {
            let weight = edge_weight(step, outcome);
            self.say(
                weight,
                Some(step),
                format!("after `{}`, `{outcome}` leads to `{to}`", step.id),
            );
        }
    }

    fn removed(&mut self, step: &Step) {
        let words = format!("step `{}` is gone: {}", step.id, what(step));
        self.say(weight(step), Some(step), words);
    }

    fn step(&mut self, old: &Playbook, new: &Playbook, before: &Step, now: &Step) {
        let id = &now.id;
        if before.name != now.name {
            let words = format!(
                "step `{id}` is called \"{}\" instead of \"{}\"",
                now.name, before.name
            );
            self.say(Weight::Cosmetic, Some(now), words);
        }
        if before.max_visits != now.max_visits {
            let bound =
                |most: Option<u32>| most.map_or("once a path".to_owned(), |most| format!("{most} times"));
            let words = format!(
                "step `{id}` may be entered {} instead of {}",
                bound(now.max_visits),
                bound(before.max_visits)
            );
            self.say(Weight::Behaviour, Some(now), words);
        }
        match (&before.kind, &now.kind) {
            (StepKind::Action(was), StepKind::Action(is)) => self.action(old, new, now, was, is),
            (StepKind::Escalation { reason: was }, StepKind::Escalation { reason: is }) if was != is => {
                self.say(
                    Weight::Cosmetic,
                    Some(now),
                    format!("`{id}` gives another reason: \"{is}\""),
                );
            }
            (was, is) if was != is => {
                let weight = weight(before).min(weight(now));
                let words = format!("step `{id}` is {} instead of {}", what(now), what(before));
                self.say(weight, Some(now), words);
            }
            _ => {}
        }
        self.edges(before, now);
    }

    fn edges(&mut self, before: &Step, now: &Step) {
        let id = &now.id;
        for (outcome, to) in &now.edges {
            let words = match before.edges.get(outcome) {
                Some(was) if was == to => continue,
                Some(was) => format!("after `{id}`, `{outcome}` leads to `{to}` instead of `{was}`"),
                None => format!("after `{id}`, `{outcome}` leads to `{to}`"),
            };
            self.say(edge_weight(now, outcome), Some(now), words);
        }
        for (outcome, was) in before
            .edges
            .iter()
            .filter(|(outcome, _)| !now.edges.contains_key(*outcome))
        {
            let words = format!("after `{id}`, `{outcome}` leads to `{was}` no more");
            self.say(edge_weight(before, outcome), Some(now), words);
        }
    }

    fn action(&mut self, old: &Playbook, new: &Playbook, now: &Step, was: &ActionStep, is: &ActionStep) {
        let id = &now.id;
        let privileged = was.action.privileged() || is.action.privileged();
        if was.name() != is.name() {
            let weight = if privileged || was.action.verifies() || is.action.verifies() {
                Weight::Security
            } else {
                Weight::Behaviour
            };
            let words = format!("step `{id}` calls `{}` instead of `{}`", is.name(), was.name());
            self.say(weight, Some(now), words);
        }
        if was.action.requires != is.action.requires {
            let level = |step: &ActionStep| step.action.requires.map_or("no", |level| level.as_str());
            let words = format!(
                "step `{id}` asks for {} assurance instead of {}",
                level(is),
                level(was)
            );
            self.say(Weight::Security, Some(now), words);
        }
        if was.parameters != is.parameters {
            let weight = if privileged {
                Weight::Security
            } else {
                Weight::Behaviour
            };
            let shown = |step: &ActionStep| serde_json::Value::Object(step.parameters.clone()).to_string();
            let words = format!("step `{id}` is told {} instead of {}", shown(is), shown(was));
            self.say(weight, Some(now), words);
        }
        if was.authorizes != is.authorizes {
            let what = |step: &ActionStep| {
                step.authorizes
                    .as_ref()
                    .map_or("nothing".to_owned(), |step| format!("`{step}`"))
            };
            let words = format!("the proof of `{id}` allows {} instead of {}", what(is), what(was));
            self.say(Weight::Security, Some(now), words);
        }
        if was.credential_of != is.credential_of {
            let whose = |step: &ActionStep| {
                step.credential_of
                    .as_ref()
                    .map_or("the latest credential".to_owned(), |step| {
                        format!("the credential of `{step}`")
                    })
            };
            let words = format!("step `{id}` delivers {} instead of {}", whose(is), whose(was));
            self.say(Weight::Security, Some(now), words);
        }
        let undo = |playbook: &Playbook, step: &ActionStep| {
            step.undo.as_ref().and_then(|undo| {
                playbook
                    .step(undo)?
                    .action()
                    .map(|action| action.name().to_string())
            })
        };
        match (undo(old, was), undo(new, is)) {
            (was, is) if was == is => {}
            (_, Some(is)) => self.say(
                Weight::Security,
                Some(now),
                format!("step `{id}` is taken back by `{is}`"),
            ),
            (Some(was), None) => {
                let words = format!("step `{id}` is not taken back any more (it was, by `{was}`)");
                self.say(Weight::Security, Some(now), words);
            }
            (None, None) => {}
        }
        if was.timeout != is.timeout {
            let words = format!(
                "step `{id}` waits {} instead of {}",
                told(is.timeout),
                told(was.timeout)
            );
            self.say(Weight::Behaviour, Some(now), words);
        }
        if was.retry != is.retry {
            let words = format!(
                "step `{id}` is tried {} instead of {}",
                tried(&is.retry),
                tried(&was.retry)
            );
            self.say(Weight::Behaviour, Some(now), words);
        }
    }
}

/// A step in a few words.
fn what(step: &Step) -> String {
    match &step.kind {
        StepKind::Action(action) => {
            let part = if action.action.privileged() {
                ", which acts with privilege"
            } else if action.action.verifies() {
                ", which proves who is asking"
            } else {
                ""
            };
            format!("a call of `{}`{part}", action.name())
        }
        StepKind::Decision(cases) => format!("a decision between {} cases", cases.len().saturating_add(1)),
        StepKind::Wait(_) => "a wait".to_owned(),
        StepKind::Parallel(parallel) => format!("{} branches at once", parallel.branches.len()),
        StepKind::Terminal => "a good end".to_owned(),
        StepKind::Escalation { reason } => format!("an escalation (\"{reason}\")"),
    }
}

fn weight(step: &Step) -> Weight {
    match step.action() {
        Some(action) if action.action.privileged() || action.action.verifies() => Weight::Security,
        _ => Weight::Behaviour,
    }
}

/// Where a proof and a denial lead decides about who may act.
fn edge_weight(step: &Step, outcome: &Outcome) -> Weight {
    let verifies = step.action().is_some_and(|action| action.action.verifies());
    if verifies || *outcome == Outcome::Denied {
        Weight::Security
    } else {
        Weight::Behaviour
    }
}

fn tried(retry: &Retry) -> String {
    match retry.max_attempts {
        1 => "once".to_owned(),
        most => format!(
            "{most} times ({}, from {})",
            retry.backoff.as_str(),
            told(retry.initial)
        ),
    }
}

fn told(period: Duration) -> String {
    match period.as_secs() {
        seconds if seconds > 0 && seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::properties::unchecked;
    use crate::{Registry, check};

    const SHIPPED: &str = include_str!("../../../playbooks/password_reset.yml");

    fn playbook(source: &str) -> Playbook {
        let report = check(source, &Registry::builtin());
        report
            .playbook
            .unwrap_or_else(|| panic!("{:#?}", report.findings))
    }

    fn changes(from: &str, to: &str) -> Vec<(Weight, String)> {
        assert!(SHIPPED.contains(from), "{from}");
        diff(&playbook(SHIPPED), &playbook(&SHIPPED.replacen(from, to, 1)))
            .into_iter()
            .map(|change| (change.weight, change.words))
            .collect()
    }

    #[test]
    fn no_change_says_nothing_and_neither_does_a_new_version_number() {
        assert_eq!(changes("version: \"1.3\"", "version: \"1.4\""), []);
    }

    #[test]
    fn each_change_is_one_sentence_with_its_weight() {
        use Weight::{Behaviour, Cosmetic, Security};
        for (from, to, weight, words) in [
            (
                "timeout: 300",
                "timeout: 10m",
                Behaviour,
                "step `verify_mfa` waits 10 min instead of 5 min",
            ),
            (
                "on_failure: verify_manager ",
                "on_failure: escalate_not_verified ",
                Security,
                "after `verify_mfa`, `failure` leads to `escalate_not_verified` instead of `verify_manager`",
            ),
            (
                "{max_attempts: 3, backoff: exponential}",
                "{max_attempts: 5, backoff: fixed}",
                Behaviour,
                "step `reset_password` is tried 5 times (fixed, from 2 s) instead of 3 times (exponential, from 2 s)",
            ),
            (
                "undo: executor.delete_pass ",
                "with: {lifetime_minutes: 60} ",
                Security,
                "step `reset_password` is not taken back any more (it was, by `executor.delete_pass`)",
            ),
            (
                "name: \"Reset Password\"",
                "name: \"Reset\"",
                Cosmetic,
                "step `reset_password` is called \"Reset\" instead of \"Reset Password\"",
            ),
            (
                "steps:",
                "budget: 2h\nsteps:",
                Behaviour,
                "the budget is 2 h instead of 1 d",
            ),
        ] {
            let source = SHIPPED.replacen(from, to, 1);
            let report = check(&source, &Registry::builtin());
            // An escalation that nobody leads to any more would be a finding; compare what can be compared.
            let Some(after) = report.playbook else {
                let changed = unchecked(&source).unwrap();
                let said = diff(&playbook(SHIPPED), &changed);
                assert!(
                    said.iter()
                        .any(|change| change.words == words && change.weight == weight),
                    "{said:#?}"
                );
                continue;
            };
            let said = diff(&playbook(SHIPPED), &after);
            assert!(
                said.iter()
                    .any(|change| change.words == words && change.weight == weight),
                "{said:#?}"
            );
        }
    }

    #[test]
    fn what_matters_for_security_comes_first() {
        let source = SHIPPED.replacen("timeout: 300", "timeout: 10m", 1).replacen(
            "on_denied: escalate_denied",
            "on_denied: escalate_not_verified",
            1,
        );
        let weights: Vec<Weight> = diff(&playbook(SHIPPED), &playbook(&source))
            .iter()
            .map(|change| change.weight)
            .collect();
        assert_eq!(weights, [Weight::Security, Weight::Behaviour]);
    }
}
