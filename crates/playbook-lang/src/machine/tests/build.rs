//! Playbooks built by hand, also such as the check would refuse.

use std::time::Duration;

use common::{Digest, Outcome, PlaybookRef, StepId};
use indexmap::IndexMap;
use serde_json::json;

use crate::condition::{Condition, Test};
use crate::kind::Kind;
use crate::playbook::*;
use crate::registry::{Action, Output, Registry};
use crate::retry::Retry;
use crate::roots::Name;
use crate::trust::Trust;

pub(crate) fn id(text: &str) -> StepId {
    text.parse().unwrap()
}

/// A playbook of these steps, the first one first.
pub(crate) fn playbook(steps: impl IntoIterator<Item = Step>) -> Playbook {
    let (undos, steps): (Vec<Step>, Vec<Step>) = steps
        .into_iter()
        .partition(|step| step.id.as_str().strip_suffix(".undo").is_some());
    let by_id = |steps: Vec<Step>| -> IndexMap<StepId, Step> {
        steps.into_iter().map(|step| (step.id.clone(), step)).collect()
    };
    let steps = by_id(steps);
    Playbook {
        reference: PlaybookRef {
            name: "built".parse().unwrap(),
            version: "1".parse().unwrap(),
            digest: Digest::of("built"),
        },
        enabled: true,
        description: String::new(),
        category: String::new(),
        sub_category: None,
        examples: Vec::new(),
        budget: Duration::from_hours(24),
        trigger: None,
        inputs: IndexMap::new(),
        undos: by_id(undos),
        start: steps.first().unwrap().0.clone(),
        calls: Vec::new(),
        steps,
    }
}

fn step(id: &str, kind: StepKind) -> Step {
    Step {
        id: self::id(id),
        name: format!("Step {id}"),
        kind,
        edges: IndexMap::new(),
        max_visits: None,
        within: None,
    }
}

/// A step that calls `action`. `house.look` answers `up`, `down` and a `colour`.
pub(crate) fn action(id: &str, action: &str) -> Step {
    let name = action.parse().unwrap();
    let looks = |timeout| Action {
        name: "house.look".parse().unwrap(),
        path: "/look".to_owned(),
        outcomes: vec![Outcome::Success, "up".into(), "down".into()],
        outputs: [(
            "colour".to_owned(),
            Output {
                kind: Kind::Text,
                trust: Trust::Directory,
                meaning: String::new(),
            },
        )]
        .into(),
        timeout,
        ..Registry::builtin()
            .action(&"ticket.note".parse().unwrap())
            .unwrap()
            .clone()
    };
    let action = Registry::builtin()
        .action(&name)
        .cloned()
        .unwrap_or_else(|| looks(Duration::from_mins(1)));
    step(
        id,
        StepKind::Action(Box::new(ActionStep {
            timeout: action.timeout,
            action,
            retry: Retry::default(),
            parameters: common::Values::new(),
            credential_of: None,
            authorizes: None,
            undo: None,
        })),
    )
}

pub(crate) fn decision(id: &str, cases: &[(&str, Condition)]) -> Step {
    let cases = cases
        .iter()
        .map(|(name, when)| Case {
            name: (*name).to_owned(),
            when: when.clone(),
        })
        .collect();
    step(id, StepKind::Decision(cases))
}

/// `field` equals `value`.
pub(crate) fn is(field: &str, value: serde_json::Value) -> Condition {
    Condition::Test {
        field: Name::read(field).unwrap(),
        test: Test::Equals(value),
    }
}

pub(crate) fn wait_for(id: &str, time: Duration) -> Step {
    step(id, StepKind::Wait(Pause::For(time)))
}

pub(crate) fn wait_until(id: &str, text: &str) -> Step {
    step(id, StepKind::Wait(Pause::Until(json!(text))))
}

pub(crate) fn parallel(id: &str, join: Join, branches: &[(&str, &str)]) -> Step {
    let branches = branches
        .iter()
        .map(|(branch, first)| ((*branch).to_owned(), self::id(first)))
        .collect();
    step(id, StepKind::Parallel(Parallel { branches, join }))
}

pub(crate) fn terminal(id: &str) -> Step {
    step(id, StepKind::Terminal)
}

pub(crate) fn escalation(id: &str) -> Step {
    let reason = format!("Because of {id}.");
    step(id, StepKind::Escalation { reason })
}

impl Step {
    /// With this edge.
    pub(crate) fn on(mut self, outcome: &str, to: &str) -> Self {
        let outcome = match self.kind {
            StepKind::Decision(_) => Outcome::Word(outcome.to_owned()),
            _ => outcome.into(),
        };
        self.edges.insert(outcome, id(to));
        self
    }

    pub(crate) fn within(mut self, parallel: &str, branch: &str) -> Self {
        self.within = Some(Within {
            parallel: id(parallel),
            branch: branch.to_owned(),
        });
        self
    }

    pub(crate) fn at_most(mut self, visits: u32) -> Self {
        self.max_visits = Some(visits);
        self
    }

    fn change(mut self, change: impl FnOnce(&mut ActionStep)) -> Self {
        match &mut self.kind {
            StepKind::Action(action) => change(action),
            other => panic!("{other:?}"),
        }
        self
    }

    pub(crate) fn with(self, parameters: &serde_json::Value) -> Self {
        self.change(|action| action.parameters = parameters.as_object().unwrap().clone())
    }

    pub(crate) fn authorizing(self, step: &str) -> Self {
        self.change(|action| action.authorizes = Some(id(step)))
    }

    pub(crate) fn delivering(self, from: &str) -> Self {
        self.change(|action| action.credential_of = Some(id(from)))
    }

    pub(crate) fn undone_by(self, undo: &str) -> Self {
        self.change(|action| action.undo = Some(id(undo)))
    }

    pub(crate) fn trying(self, attempts: u32) -> Self {
        self.change(|action| {
            action.retry = Retry {
                max_attempts: attempts,
                ..Retry::default()
            };
        })
    }
}
