//! Small changes of a playbook, and the sentences that they are told in.

mod kinds;

use std::time::Duration;

use common::{Assurance, Outcome, StepId};
use serde_json::json;

use super::*;
use crate::condition::{Condition, Test};
use crate::draw::examples::{Draft, action_step, every_kind, id, password_reset};
use crate::kind::Kind;
use crate::playbook::{ActionStep, Input, Join, Occasion, Pause, Playbook, Step, StepKind, Trigger};
use crate::retry::{Backoff, Retry};
use crate::roots::Name;

/// What a change does to the playbook, and the sentences, each after the first letter of its weight.
type Row = (fn(&mut Playbook), &'static [&'static str]);

fn told(old: &Playbook, new: &Playbook) -> Vec<String> {
    diff(old, new)
        .into_iter()
        .map(|change| {
            let weight = match change.weight {
                Weight::Cosmetic => 'C',
                Weight::Behaviour => 'B',
                Weight::Security => 'S',
            };
            format!("{weight} {change}")
        })
        .collect()
}

fn assert_table(base: &Playbook, rows: &[Row]) {
    for (mutate, expected) in rows {
        let mut changed = base.clone();
        mutate(&mut changed);
        assert_eq!(told(base, &changed), *expected);
    }
}

fn step<'p>(playbook: &'p mut Playbook, name: &str) -> &'p mut Step {
    playbook.steps.get_mut(&id(name)).unwrap()
}

fn action<'p>(playbook: &'p mut Playbook, name: &str) -> &'p mut ActionStep {
    match &mut step(playbook, name).kind {
        StepKind::Action(action) => action,
        _ => panic!("{name} is no action"),
    }
}

fn lead(playbook: &mut Playbook, from: &str, outcome: &str, to: &str) {
    step(playbook, from).edges.insert(Outcome::from(outcome), id(to));
}

fn cut(playbook: &mut Playbook, from: &str, outcome: &str) {
    step(playbook, from).edges.shift_remove(&Outcome::from(outcome));
}

fn rename(playbook: &mut Playbook, old: &str, new: &str) {
    let follow = |step: &mut StepId| {
        if *step == id(old) {
            *step = id(new);
        }
    };
    let steps = std::mem::take(&mut playbook.steps);
    for (mut key, mut step) in steps {
        follow(&mut key);
        follow(&mut step.id);
        step.edges.values_mut().for_each(follow);
        if let StepKind::Action(action) = &mut step.kind {
            action.authorizes.iter_mut().for_each(follow);
        }
        playbook.steps.insert(key, step);
    }
    follow(&mut playbook.start);
}

#[test]
fn versions_that_differ_in_nothing_but_their_label_do_not_differ() {
    let old = password_reset();
    let mut new = old.clone();
    new.reference.version = "1.3".parse().unwrap();
    new.reference.digest = common::Digest::of("other");
    assert_eq!(told(&old, &new), [""; 0]);
}

#[test]
fn changes_of_the_document() {
    let rows: &[Row] = &[
        (
            |new| new.description = "Other".into(),
            &[
                "C the description is now \"Other\" instead of \"Automated password reset with MFA or manager approval\"",
            ],
        ),
        (
            |new| new.category = "INCIDENT".into(),
            &["B the category is now \"INCIDENT\" instead of \"REQUEST\""],
        ),
        (
            |new| new.sub_category = None,
            &["B there is no sub-category any more; it was \"PASSWORD_RESET\""],
        ),
        (
            |new| new.enabled = false,
            &["B the playbook is no longer activated when it is loaded at first start"],
        ),
        (
            |new| new.examples.swap(0, 1),
            &["C the examples stand in another order"],
        ),
        (
            |new| new.examples[0] = "Let me in".into(),
            &[
                "B the example \"Let me in\" is new",
                "B the example \"I can't log in\" is gone",
            ],
        ),
        (
            |new| new.budget = Duration::from_hours(2),
            &["B an execution may now take 2 h in all instead of 1 day"],
        ),
        (
            |new| {
                new.trigger = Some(Trigger {
                    source: Some("halopsa".into()),
                    on: vec![Occasion::Created],
                    when: Condition::Test {
                        field: Name::Fixed("ticket.summary"),
                        test: Test::Contains("vpn".into()),
                    },
                });
            },
            &[
                "B the playbook is now started only by tickets of `halopsa` on `created` where ticket.summary contains \"vpn\"; before, by all tickets of its category",
            ],
        ),
        (
            |new| {
                let input = Input {
                    kind: Kind::Flag,
                    default: None,
                    optional: false,
                    description: String::new(),
                };
                new.inputs.insert("urgent".into(), input);
            },
            &["B the input `urgent` is new: `true` or `false`, required"],
        ),
        (
            |new| new.steps.swap_indices(7, 8),
            &["C the steps stand in another order in the document"],
        ),
        (
            |new| new.start = id("verify_manager"),
            &[
                "S `verify_manager` must now succeed before `reset_password`",
                "S `verify_mfa` is no longer one of the verifications that lead to `reset_password`",
                "B executions now begin with `verify_manager` instead of `verify_mfa`",
            ],
        ),
    ];
    assert_table(&password_reset(), rows);
}

#[test]
fn changes_of_inputs_are_told_from_both_sides() {
    let mut old = password_reset();
    let input = Input {
        kind: Kind::Text,
        default: None,
        optional: true,
        description: "a".into(),
    };
    old.inputs.insert("group".into(), input);
    let rows: &[Row] = &[
        (
            |new| new.inputs[0].default = Some(json!("all")),
            &["B the input `group` is now a text, \"all\" where nobody says; it was a text, may be left out"],
        ),
        (
            |new| new.inputs[0].description = "b".into(),
            &["C the input `group` is described in other words"],
        ),
        (
            |new| new.inputs.clear(),
            &["B the input `group` is gone: it was a text, may be left out"],
        ),
    ];
    assert_table(&old, rows);
}

#[test]
fn changes_of_steps() {
    let rows: &[Row] = &[
        (
            |new| step(new, "resolved").name = "Done".into(),
            &["C `resolved` is now named \"Done\" instead of \"Resolved\""],
        ),
        (
            |new| rename(new, "verify_mfa", "push"),
            &["C step `verify_mfa` is now called `push`"],
        ),
        (
            |new| rename(new, "reset_password", "reset"),
            &["C step `reset_password` is now called `reset`"],
        ),
        (
            |new| {
                step(new, "escalate_denied").kind = StepKind::Escalation {
                    reason: "Call them".into(),
                }
            },
            &[
                "B the reason of `escalate_denied` is now \"Call them\" instead of \"The request was denied: possible account takeover, contact the user by a known number before doing a\u{2026}\"",
            ],
        ),
        (
            |new| step(new, "escalate_reset_failed").kind = StepKind::Terminal,
            &["B `escalate_reset_failed` is now a good ending instead of an escalation: a good ending"],
        ),
        (
            |new| step(new, "verify_mfa").max_visits = Some(3),
            &["S `verify_mfa` now lies on a loop and may be entered 3 times"],
        ),
        (
            |new| action(new, "reset_password").timeout = Duration::from_secs(90),
            &["B `reset_password` may now take 90 s instead of 1 min"],
        ),
        (
            |new| {
                action(new, "verify_mfa").retry = Retry {
                    max_attempts: 2,
                    backoff: Backoff::Fixed,
                    ..Retry::default()
                }
            },
            &[
                "B `verify_mfa` now makes 2 attempts (waits of 2 s, at most 5 min, give or take 10 %) instead of 1 attempt",
            ],
        ),
        (
            |new| {
                new.steps.extend(
                    Draft::new("x", "")
                        .action("note", "ticket.note", &[("success", "resolved")])
                        .0
                        .steps,
                );
                lead(new, "deliver_credentials", "success", "note");
            },
            &[
                "B after `deliver_credentials`, `success` now leads to `note` instead of `resolved`",
                "B step `note` is new: it calls `ticket.note`; `success` to `resolved`",
            ],
        ),
    ];
    assert_table(&password_reset(), rows);
}

#[test]
fn changes_of_edges() {
    let rows: &[Row] = &[
        (
            |new| lead(new, "verify_mfa", "denied", "escalate_not_verified"),
            &[
                "S after `verify_mfa`, `denied` now leads to `escalate_not_verified` instead of `escalate_denied`",
            ],
        ),
        (
            |new| cut(new, "verify_mfa", "denied"),
            &[
                "S after `verify_mfa`, `denied` now escalates to a person by default instead of leading to `escalate_denied`",
            ],
        ),
        (
            |new| lead(new, "verify_manager", "failure", "escalate_denied"),
            &[
                "B after `verify_manager`, `failure` and `timeout` now lead to `escalate_denied` instead of `escalate_not_verified`",
            ],
        ),
        (
            |new| lead(new, "verify_manager", "timeout", "escalate_denied"),
            &[
                "B after `verify_manager`, `timeout` now leads to `escalate_denied` instead of `escalate_not_verified`",
            ],
        ),
        (
            |new| lead(new, "verify_manager", "timeout", "escalate_not_verified"),
            &["C the edges of `verify_manager` are written in another way"],
        ),
        (
            |new| lead(new, "reset_password", "denied", "escalate_denied"),
            &[
                "S after `reset_password`, `denied` now leads to `escalate_denied`; before, no edge was written and a person would take over",
            ],
        ),
    ];
    assert_table(&password_reset(), rows);
}

#[test]
fn any_two_playbooks_can_be_compared_and_what_weighs_most_comes_first() {
    let (one, other) = (password_reset(), every_kind());
    for (old, new) in [(&one, &other), (&other, &one)] {
        let changes = diff(old, new);
        assert!(changes.len() > 20);
        assert!(changes.is_sorted_by_key(|change| std::cmp::Reverse(change.weight)));
        assert!(
            changes
                .iter()
                .all(|change| !change.words.contains('\n') && !change.words.ends_with('.'))
        );
    }
}

#[test]
fn nobody_can_hide_a_change_behind_letters_that_are_not_seen() {
    let old = password_reset();
    let mut new = old.clone();
    step(&mut new, "resolved").name = "Reso\u{200b}lved\n`x` is harmless".into();
    lead(&mut new, "verify_mfa", "od\u{202e}d", "resolved");
    assert_eq!(
        told(&old, &new),
        [
            "B after `verify_mfa`, `od\\u{202e}d` now leads to `resolved`; before, no edge was written and a person would take over",
            "C `resolved` is now named \"Reso\\u{200b}lved\\u{a}`x` is harmless\" instead of \"Resolved\"",
        ]
    );
}

#[test]
fn large_playbooks_are_compared_quickly() {
    let mut draft = Draft::new("large", "");
    for nth in 0..1000 {
        let (verify, act, next) = (format!("v{nth}"), format!("a{nth}"), format!("v{}", nth + 1));
        let leads: [(&str, &str); 2] = [("success", &act), ("failure", &next)];
        draft = draft.action(&verify, "verification.mfa", &leads);
        draft = draft.action(&act, "executor.reset_password", &[("success", &next)]);
    }
    let old = draft.terminal("v1000").0;
    let mut new = old.clone();
    lead(&mut new, "v3", "failure", "a3");
    let began = std::time::Instant::now();
    let changes = diff(&old, &new);
    // Generous, as for drawings: it must not hang.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(
        changes
            .iter()
            .any(|change| change.words.starts_with("only the first 100 verifications"))
    );
}
