//! The action registry: what each service offers to playbooks, and what it needs and grants.
//!
//! The fleet's own actions are built in; those of a customer's service are declared beside them and checked alike.

use std::collections::BTreeMap;
use std::time::Duration;

use common::{ActionName, Assurance, Outcome};
use serde_json::Value;

/// One action of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// `service.action`.
    pub name: ActionName,
    /// Where its step requests go, for instance `/api/v1/executor/reset_password`.
    pub path: String,
    /// How it can end. Every action can also end in `failure` and `timeout`: a call can always fail or take too long.
    pub outcomes: Vec<Outcome>,
    /// What `with:` may set.
    pub parameters: BTreeMap<String, Parameter>,
    /// Privileged, and this much assurance is asked for. `None`: harmless.
    pub requires: Option<Assurance>,
    /// A verification, and its success grants this much.
    pub grants: Option<Assurance>,
    /// Its part in carrying a credential to its owner.
    pub credential: Credential,
    /// The time-out of a step that names none.
    pub timeout: Duration,
}

impl Action {
    /// Whether it acts on the directory or anything else that asks for proof.
    pub const fn privileged(&self) -> bool {
        self.requires.is_some()
    }

    /// Whether it proves who is asking.
    pub const fn verifies(&self) -> bool {
        self.grants.is_some()
    }

    /// The words of its own, beside the four that every playbook has edges for.
    pub fn words(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Word(_)))
    }

    /// Whether it declares that it can end so. `failure` and `timeout` always can.
    pub fn answers(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Failure | Outcome::Timeout) || self.outcomes.contains(outcome)
    }
}

/// An action's part in carrying a credential to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Credential {
    /// It has nothing to do with credentials.
    #[default]
    None,
    /// Its success yields a sealed one.
    Yields,
    /// It delivers one, and can do nothing without.
    Needs,
}

/// One parameter of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What it holds.
    pub kind: Kind,
    /// Whether `with:` must set it.
    pub required: bool,
    /// One line for people.
    pub meaning: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number within these bounds, both included.
    Whole {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(Vec<String>),
}

impl Kind {
    /// Whether `value` is one.
    pub fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Whole { least, most } => value.as_i64().is_some_and(|n| (*least..=*most).contains(&n)),
            Self::Flag => value.is_boolean(),
            Self::OneOf(words) => value
                .as_str()
                .is_some_and(|text| words.iter().any(|word| word == text)),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Whole { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Flag => f.write_str("`true` or `false`"),
            Self::OneOf(words) => write!(f, "one of `{}`", words.join("`, `")),
        }
    }
}

/// Why an action cannot be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The name has no dot, or nothing before or after it.
    #[error("`{0}` is not `service.action`")]
    Name(ActionName),
    /// The path must be absolute.
    #[error("the path of `{0}` does not begin with `/`")]
    Path(ActionName),
    /// The service or the action is there already.
    #[error("`{0}` is declared twice")]
    Twice(ActionName),
    /// Only the fleet's own services verify, act with privilege or carry credentials.
    #[error("`{0}` belongs to a built-in service, which declares its actions itself")]
    BuiltIn(ActionName),
}

/// Everything that a playbook may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Registry {
    actions: BTreeMap<ActionName, Action>,
}

impl Registry {
    /// What the fleet itself offers.
    pub fn builtin() -> Self {
        let actions = builtin_actions()
            .into_iter()
            .map(|action| (action.name.clone(), action))
            .collect();
        Self { actions }
    }

    /// Add an action of another service. A declared action cannot pose as one of the fleet's own: their services are
    /// closed.
    pub fn declare(&mut self, action: Action) -> Result<(), RegistryError> {
        let name = &action.name;
        if name.service().is_empty() || name.action().is_empty() {
            return Err(RegistryError::Name(name.clone()));
        }
        if !action.path.starts_with('/') {
            return Err(RegistryError::Path(name.clone()));
        }
        if name.service().parse::<common::Service>().is_ok() {
            return Err(RegistryError::BuiltIn(name.clone()));
        }
        if self.actions.contains_key(name) {
            return Err(RegistryError::Twice(name.clone()));
        }
        self.actions.insert(name.clone(), action);
        Ok(())
    }

    /// The action of this name.
    pub fn action(&self, name: &ActionName) -> Option<&Action> {
        self.actions.get(name)
    }

    /// All of them, by name.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.values()
    }
}

fn builtin_actions() -> Vec<Action> {
    let verified = || vec![Outcome::Success, Outcome::Denied];
    [
        action("verification.mfa", "/api/v1/verification/mfa", 300).map(|action| Action {
            outcomes: verified(),
            grants: Some(Assurance::Substantial),
            ..action
        }),
        action(
            "verification.manager",
            "/api/v1/verification/manager_approval",
            600,
        )
        .map(|action| Action {
            outcomes: verified(),
            grants: Some(Assurance::Substantial),
            parameters: BTreeMap::from([(
                "reason".to_owned(),
                Parameter {
                    kind: Kind::Text,
                    required: false,
                    meaning: "why the requester asks, as the manager reads it".to_owned(),
                },
            )]),
            ..action
        }),
        action("executor.reset_password", "/api/v1/executor/reset_password", 60).map(|action| Action {
            requires: Some(Assurance::Substantial),
            credential: Credential::Yields,
            parameters: BTreeMap::from([(
                "lifetime_minutes".to_owned(),
                Parameter {
                    // Microsoft Graph's own bounds of a Temporary Access Pass; the tenant's policy narrows them.
                    kind: Kind::Whole {
                        least: 10,
                        most: 43_200,
                    },
                    required: false,
                    meaning: "how long the pass lives; clamped to the tenant's policy".to_owned(),
                },
            )]),
            ..action
        }),
        action("delivery.sms", "/api/v1/delivery/sms", 60).map(|action| Action {
            credential: Credential::Needs,
            ..action
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A harmless action that succeeds, fails or times out. `None` only where `name` is no name, which the test below excludes.
fn action(name: &str, path: &str, timeout_s: u64) -> Option<Action> {
    Some(Action {
        name: name.parse().ok()?,
        path: path.to_owned(),
        outcomes: vec![Outcome::Success],
        parameters: BTreeMap::new(),
        requires: None,
        grants: None,
        credential: Credential::None,
        timeout: Duration::from_secs(timeout_s),
    })
}
