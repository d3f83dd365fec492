//! Playbooks for tests of pictures and differences, put together by hand: a test says what matters.

use std::time::Duration;

use common::{Digest, Outcome, PlaybookRef, StepId, Values};
use indexmap::IndexMap;

use crate::condition::{Condition, Test};
use crate::playbook::{ActionStep, Case, Join, Parallel, Pause, Playbook, Step, StepKind, Within};
use crate::registry::Registry;
use crate::retry::Retry;
use crate::roots::Name;

/// The playbook that is shipped.
pub(crate) fn password_reset() -> Playbook {
    let source = include_str!("../../../../playbooks/password_reset.yml");
    crate::check(source, &Registry::builtin())
        .playbook
        .expect("the shipped playbook is clean")
}

/// A playbook in the making; its first step is its start.
pub(crate) struct Draft(pub(crate) Playbook);

impl Draft {
    pub(crate) fn new(name: &str, description: &str) -> Self {
        Self(Playbook {
            reference: PlaybookRef {
                name: name.parse().unwrap(),
                version: "1".parse().unwrap(),
                digest: Digest::of(name),
            },
            enabled: true,
            description: description.to_owned(),
            category: "REQUEST".to_owned(),
            sub_category: None,
            examples: Vec::new(),
            budget: Duration::from_hours(24),
            trigger: None,
            inputs: IndexMap::new(),
            steps: IndexMap::new(),
            undos: IndexMap::new(),
            start: id("none"),
            calls: Vec::new(),
        })
    }

    pub(crate) fn step(mut self, name: &str, kind: StepKind, edges: &[(&str, &str)]) -> Self {
        let step = id(name);
        if self.0.steps.is_empty() {
            self.0.start = step.clone();
        }
        let mut title = name.replace('_', " ");
        if let Some(first) = title.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        self.0.steps.insert(
            step.clone(),
            Step {
                id: step,
                name: title,
                kind,
                edges: edges
                    .iter()
                    .map(|(word, to)| (Outcome::from(*word), id(to)))
                    .collect(),
                max_visits: None,
                within: None,
            },
        );
        self
    }

    pub(crate) fn action(self, name: &str, action: &str, edges: &[(&str, &str)]) -> Self {
        self.step(name, StepKind::Action(Box::new(action_step(action))), edges)
    }

    pub(crate) fn decision(self, name: &str, edges: &[(&str, &str)]) -> Self {
        let cases = edges
            .iter()
            .filter(|(case, _)| *case != crate::OTHERWISE)
            .map(|(case, _)| Case {
                name: (*case).to_owned(),
                when: Condition::Test {
                    field: Name::Input("x".to_owned()),
                    test: Test::Equals((*case).into()),
                },
            })
            .collect();
        self.step(name, StepKind::Decision(cases), edges)
    }

    pub(crate) fn wait(self, name: &str, seconds: u64, to: &str) -> Self {
        let pause = Pause::For(Duration::from_secs(seconds));
        self.step(name, StepKind::Wait(pause), &[("success", to)])
    }

    pub(crate) fn parallel(
        self,
        name: &str,
        branches: &[(&str, &str)],
        join: Join,
        edges: &[(&str, &str)],
    ) -> Self {
        let branches = branches
            .iter()
            .map(|(name, first)| ((*name).to_owned(), id(first)))
            .collect();
        self.step(name, StepKind::Parallel(Parallel { branches, join }), edges)
    }

    pub(crate) fn terminal(self, name: &str) -> Self {
        self.step(name, StepKind::Terminal, &[])
    }

    pub(crate) fn escalation(self, name: &str, reason: &str) -> Self {
        let reason = reason.to_owned();
        self.step(name, StepKind::Escalation { reason }, &[])
    }

    /// The step that was added last stands in a branch.
    pub(crate) fn within(mut self, parallel: &str, branch: &str) -> Self {
        self.last().within = Some(Within {
            parallel: id(parallel),
            branch: branch.to_owned(),
        });
        self
    }

    pub(crate) fn max_visits(mut self, visits: u32) -> Self {
        self.last().max_visits = Some(visits);
        self
    }

    /// The step that was added last is taken back by this action.
    pub(crate) fn undo(mut self, action: &str) -> Self {
        let undo = id(&format!("{}.undo", self.last().id));
        if let StepKind::Action(done) = &mut self.last().kind {
            done.undo = Some(undo.clone());
        }
        let step = Step {
            id: undo.clone(),
            name: undo.to_string(),
            kind: StepKind::Action(Box::new(action_step(action))),
            edges: IndexMap::new(),
            max_visits: None,
            within: None,
        };
        self.0.undos.insert(undo, step);
        self
    }

    fn last(&mut self) -> &mut Step {
        self.0.steps.last_mut().unwrap().1
    }
}

pub(crate) fn id(text: &str) -> StepId {
    text.parse().unwrap()
}

pub(crate) fn action_step(name: &str) -> ActionStep {
    let registry = Registry::builtin();
    let action = registry.action(&name.parse().unwrap()).expect(name).clone();
    ActionStep {
        timeout: action.timeout,
        action,
        retry: Retry::default(),
        parameters: Values::new(),
        credential_of: None,
        authorizes: None,
        undo: None,
    }
}

/// One of each kind of step.
pub(crate) fn every_kind() -> Playbook {
    let asked = Draft::new(
        "printer_and_vpn",
        "One of each kind of step: questions, decisions, branches, waits and loops",
    )
    .action(
        "ask_what",
        "verification.ask",
        &[("vpn", "look"), ("account", "state"), ("timeout", "escalate")],
    )
    .parallel(
        "look",
        &[("gateway", "check_gateway"), ("certificate", "check_certificate")],
        Join::All,
        &[("success", "verify"), ("failure", "wait_a_little")],
    );
    helped(branches(asked)).0
}

fn branches(draft: Draft) -> Draft {
    draft
        .action(
            "check_gateway",
            "vpn.check_gateway",
            &[
                ("up", "gateway_up"),
                ("down", "gateway_down"),
                ("failure", "gateway_down"),
            ],
        )
        .within("look", "gateway")
        .terminal("gateway_up")
        .within("look", "gateway")
        .escalation("gateway_down", "The gateway does not answer")
        .within("look", "gateway")
        .action(
            "check_certificate",
            "vpn.check_certificate",
            &[
                ("valid", "certificate_fine"),
                ("expired", "note_it"),
                ("missing", "note_it"),
                ("failure", "note_it"),
            ],
        )
        .within("look", "certificate")
        .action(
            "note_it",
            "ticket.note",
            &[("success", "certificate_fine"), ("failure", "certificate_fine")],
        )
        .within("look", "certificate")
        .terminal("certificate_fine")
        .within("look", "certificate")
}

fn helped(draft: Draft) -> Draft {
    draft
        .wait("wait_a_little", 600, "look")
        .max_visits(3)
        .decision(
            "state",
            &[
                ("locked", "verify"),
                ("disabled", "escalate"),
                ("otherwise", "tell"),
            ],
        )
        .action(
            "verify",
            "verification.mfa",
            &[("success", "reset"), ("failure", "escalate")],
        )
        .action(
            "reset",
            "executor.reset_password",
            &[("success", "deliver"), ("failure", "reset")],
        )
        .max_visits(2)
        .undo("executor.delete_pass")
        .action(
            "deliver",
            "delivery.sms",
            &[("success", "tell"), ("failure", "escalate")],
        )
        .action(
            "tell",
            "ticket.note",
            &[("success", "resolved"), ("failure", "resolved")],
        )
        .terminal("resolved")
        .escalation(
            "escalate",
            "A person should look at this: no automation fits, or one did not work out as it should have",
        )
}

/// A playbook of the size that people still draw.
pub(crate) fn thirty() -> Playbook {
    let mut draft = Draft::new(
        "onboarding",
        "Thirty steps: verification, three teams, and one place where failures end",
    )
    .action(
        "verify_mfa",
        "verification.mfa",
        &[
            ("success", "which"),
            ("failure", "verify_manager"),
            ("denied", "alarm"),
        ],
    )
    .action(
        "verify_manager",
        "verification.manager",
        &[("success", "which"), ("failure", "failed"), ("denied", "alarm")],
    )
    .decision(
        "which",
        &[
            ("office", "office_0"),
            ("sales", "sales_0"),
            ("engineering", "engineering_0"),
            ("otherwise", "ask"),
        ],
    )
    .action(
        "ask",
        "verification.ask",
        &[
            ("office", "office_0"),
            ("timeout", "failed"),
            ("failure", "failed"),
        ],
    );
    for team in ["office", "sales", "engineering"] {
        for nth in 0..7 {
            let name = format!("{team}_{nth}");
            let next = if nth == 6 {
                "tell".to_owned()
            } else {
                format!("{team}_{}", nth + 1)
            };
            let action = match nth % 3 {
                0 => "executor.add_to_group",
                1 => "executor.assign_licence",
                _ => "ticket.note",
            };
            let mut edges = vec![("success", next.as_str()), ("failure", "failed")];
            if nth % 3 == 1 {
                edges.push(("none_left", "no_licence"));
            }
            draft = draft.action(&name, action, &edges);
            if nth % 3 == 0 {
                draft = draft.undo("executor.remove_from_group");
            }
        }
    }
    draft
        .action(
            "no_licence",
            "ticket.note",
            &[("success", "failed"), ("failure", "failed")],
        )
        .action(
            "tell",
            "ticket.note",
            &[("success", "resolved"), ("failure", "resolved")],
        )
        .terminal("resolved")
        .escalation("alarm", "The request was denied: possible account takeover")
        .escalation(
            "failed",
            "Something could not be done; what was done so far is in the notes",
        )
        .0
}
