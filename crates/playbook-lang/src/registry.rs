//! The action registry: what each service offers to playbooks, and what it needs and grants.
//!
//! The fleet's own actions are built in, planned ones beside them; those of a customer's service are declared in a file
//! and checked alike.

pub(crate) mod file;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use common::{ActionName, Assurance, Finding, Outcome};

use crate::kind::Kind;
use crate::trust::{Role, Trust};

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
    /// What it answers beside its outcome, on `success` and on its own words.
    pub outputs: BTreeMap<String, Output>,
    /// Its part in carrying a credential to its owner.
    pub credential: Credential,
    /// What it takes back. Such an action may stand in `undo:` only, and needs no proof there: it can only take back
    /// what the same execution did.
    pub undoes: Option<ActionName>,
    /// No service offers it yet: playbooks with it may be written and checked, not activated.
    pub planned: bool,
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

impl Credential {
    /// The word in the declarations of actions.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Yields => "yields",
            Self::Needs => "needs",
        }
    }
}

/// One parameter of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What it holds.
    pub kind: Kind,
    /// Whether `with:` must set it.
    pub required: bool,
    /// What it decides about the world: an untrusted value may be none but [`Role::Plain`].
    pub role: Role,
    /// One line for people.
    pub meaning: String,
}

/// One output of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What it holds.
    pub kind: Kind,
    /// What it may be used for.
    pub trust: Trust,
    /// One line for people.
    pub meaning: String,
}

/// The output by which playbooks name the credential that a step yields.
pub(crate) const CREDENTIAL: &str = "credential";
/// The action behind steps of type `ask`.
pub(crate) const ASK: &str = "verification.ask";
/// The service that no process of its own offers: orchestration does these itself.
const HOUSE_SERVICE: &str = "ticket";

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
    /// Proof and credentials stay in the house.
    #[error("`{0}` grants assurance or carries a credential, which only the fleet's own services may")]
    NotYours(ActionName),
}

/// Everything that a playbook may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Registry {
    actions: BTreeMap<ActionName, Action>,
}

impl Registry {
    /// What the fleet itself offers, and what it plans to.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }

    /// What the fleet offers, and the actions of a file beside it; otherwise all that is wrong with the file, each as
    /// `line:column: what [code]`.
    pub fn declaring(source: &str) -> Result<Self, Vec<String>> {
        let mut registry = Self::builtin();
        let said = |finding: Finding| {
            let Finding {
                code,
                line,
                column,
                message,
                ..
            } = finding;
            format!("{line}:{column}: {message} [{code}]")
        };
        registry
            .declare_file(source)
            .map_err(|findings| findings.into_iter().map(said).collect::<Vec<_>>())?;
        Ok(registry)
    }

    /// Add the actions of a file (see `docs/playbooks.md`). All of them, or none and what is wrong with it.
    pub fn declare_file(&mut self, source: &str) -> Result<(), Vec<Finding>> {
        let declared = file::read(source)?;
        let mut extended = self.clone();
        let mut wrong = Vec::new();
        for (action, at) in declared {
            if let Err(error) = extended.declare(action) {
                wrong.push(crate::findings::finding(
                    crate::findings::code::BAD_VALUE,
                    common::Severity::Error,
                    at,
                    error.to_string(),
                ));
            }
        }
        if wrong.is_empty() {
            *self = extended;
            Ok(())
        } else {
            Err(wrong)
        }
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
        if name.service().parse::<common::Service>().is_ok() || name.service() == HOUSE_SERVICE {
            return Err(RegistryError::BuiltIn(name.clone()));
        }
        // Proof and credentials stay in the house: nobody else may hand out either.
        if action.grants.is_some() || action.credential != Credential::None {
            return Err(RegistryError::NotYours(name.clone()));
        }
        if self.actions.contains_key(name) {
            return Err(RegistryError::Twice(name.clone()));
        }
        self.actions.insert(name.clone(), action);
        Ok(())
    }

    /// With one action more, whatever it is: tests want verifications of every assurance.
    #[cfg(test)]
    pub(crate) fn with(mut self, action: Action) -> Self {
        self.actions.insert(action.name.clone(), action);
        self
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

static BUILTIN: LazyLock<Registry> = LazyLock::new(|| {
    let planned = file::read(include_str!("registry/planned.yml")).unwrap_or_default();
    let actions = builtin_actions()
        .into_iter()
        .chain(planned.into_iter().map(|(action, _)| action))
        .map(|action| (action.name.clone(), action))
        .collect();
    Registry { actions }
});

fn builtin_actions() -> Vec<Action> {
    verifications()
        .into_iter()
        .chain([question()])
        .chain(effects())
        .chain(house())
        .flatten()
        .collect()
}

fn verifications() -> [Option<Action>; 2] {
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
            parameters: parameters([(
                "reason",
                Kind::Text,
                false,
                "why the requester asks, as the manager reads it",
            )]),
            ..action
        }),
    ]
}

/// The question behind steps of type `ask`. Nothing is proven by an answer, and nothing is allowed by it.
fn question() -> Option<Action> {
    // A day: people answer when they next look.
    action(ASK, "/api/v1/verification/ask", 86_400).map(|action| Action {
        parameters: parameters([
            ("question", Kind::Text, true, "what the requester reads"),
            (
                "choices",
                Kind::Fields,
                false,
                "the answers to choose from, and how each reads",
            ),
            (
                "answer",
                Kind::Text,
                false,
                "what a typed answer must be: `text`, `number` or `date`",
            ),
        ]),
        outputs: BTreeMap::from([(
            "answer".to_owned(),
            Output {
                kind: Kind::Text,
                trust: Trust::Untrusted,
                meaning: "what the requester answered: the word of a choice, or what they typed".to_owned(),
            },
        )]),
        ..action
    })
}

fn effects() -> [Option<Action>; 3] {
    // Microsoft Graph's own bounds of a Temporary Access Pass; the tenant's policy narrows them.
    let lifetime = Kind::Whole {
        least: 10,
        most: 43_200,
    };
    [
        action("executor.reset_password", "/api/v1/executor/reset_password", 60).map(|action| Action {
            requires: Some(Assurance::Substantial),
            credential: Credential::Yields,
            parameters: parameters([(
                "lifetime_minutes",
                lifetime,
                false,
                "how long the pass lives; clamped to the tenant's policy",
            )]),
            outputs: BTreeMap::from([(
                CREDENTIAL.to_owned(),
                Output {
                    kind: Kind::Credential,
                    trust: Trust::Secret,
                    meaning: "the pass, sealed to delivery".to_owned(),
                },
            )]),
            ..action
        }),
        action("executor.delete_pass", "/api/v1/executor/delete_pass", 60).map(|action| Action {
            undoes: "executor.reset_password".parse().ok(),
            ..action
        }),
        action("delivery.sms", "/api/v1/delivery/sms", 60).map(|action| Action {
            credential: Credential::Needs,
            parameters: parameters([(
                CREDENTIAL,
                Kind::Credential,
                false,
                "which credential; the latest one where left out",
            )]),
            ..action
        }),
    ]
}

/// Orchestration does these itself: they change the ticket and nothing else.
fn house() -> [Option<Action>; 2] {
    let visibility = Kind::OneOf(vec!["internal".to_owned(), "public".to_owned()]);
    [
        action("ticket.note", "", 60).map(|action| Action {
            parameters: parameters([
                ("text", Kind::Text, true, "what the note says"),
                (
                    "visibility",
                    visibility,
                    false,
                    "`internal` (the default) for agents, `public` for the requester too",
                ),
            ]),
            ..action
        }),
        action("ticket.set_fields", "", 60).map(|action| Action {
            parameters: parameters([(
                "fields",
                Kind::Fields,
                true,
                "the ticket's custom fields by name, with their new values",
            )]),
            ..action
        }),
    ]
}

fn parameters<const N: usize>(declared: [(&str, Kind, bool, &str); N]) -> BTreeMap<String, Parameter> {
    declared
        .into_iter()
        .map(|(name, kind, required, meaning)| {
            let parameter = Parameter {
                kind,
                required,
                role: Role::Plain,
                meaning: meaning.to_owned(),
            };
            (name.to_owned(), parameter)
        })
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
        outputs: BTreeMap::new(),
        credential: Credential::None,
        undoes: None,
        planned: false,
        timeout: Duration::from_secs(timeout_s),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_built_in_and_planned_is_there() {
        let registry = Registry::builtin();
        for name in [
            "verification.mfa",
            "verification.manager",
            ASK,
            "executor.reset_password",
            "executor.delete_pass",
            "delivery.sms",
            "ticket.note",
            "ticket.set_fields",
        ] {
            let action = registry.action(&name.parse().unwrap()).unwrap();
            assert!(!action.planned, "{name}");
        }
        if let Err(findings) = file::read(include_str!("registry/planned.yml")) {
            panic!("{findings:#?}");
        }
    }

    #[test]
    fn an_answer_proves_and_allows_nothing_and_stays_untrusted() {
        let registry = Registry::builtin();
        let ask = registry.action(&ASK.parse().unwrap()).unwrap();
        assert!(!ask.privileged() && !ask.verifies());
        assert_eq!(ask.outputs["answer"].trust, Trust::Untrusted);
    }

    #[test]
    fn what_an_action_takes_back_is_declared_too() {
        let registry = Registry::builtin();
        for action in registry.actions() {
            if let Some(undone) = &action.undoes {
                assert!(
                    registry.action(undone).is_some(),
                    "{} undoes {undone}",
                    action.name
                );
            }
        }
    }
}
