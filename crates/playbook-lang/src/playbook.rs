//! A playbook that has passed every check: the graph that the machine walks.
//!
//! The fields are private and only `check` builds one: holding a [`Playbook`] means that its proof holds. What the
//! language offers for writing (`call`, `depends_on`, an `ask`) is compiled away: here are only steps and edges.

use std::time::Duration;

use common::{ActionName, Digest, Outcome, PlaybookName, PlaybookRef, PlaybookVersion, StepId, Values};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::condition::Condition;
use crate::kind::Kind;
use crate::registry::Action;
use crate::retry::Retry;

/// One checked document.
#[derive(Debug, Clone, PartialEq)]
pub struct Playbook {
    pub(crate) reference: PlaybookRef,
    pub(crate) enabled: bool,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) sub_category: Option<String>,
    pub(crate) examples: Vec<String>,
    pub(crate) budget: Duration,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) inputs: IndexMap<String, Input>,
    /// In the order of the document; a called playbook's stand where it is called.
    pub(crate) steps: IndexMap<StepId, Step>,
    /// What takes steps back, by its derived id (`reset_password.undo`).
    pub(crate) undos: IndexMap<StepId, Step>,
    pub(crate) start: StepId,
    pub(crate) calls: Vec<PlaybookRef>,
}

impl Playbook {
    /// Name, version and the digest of the document.
    pub fn reference(&self) -> &PlaybookRef {
        &self.reference
    }

    /// Its name, which is its id.
    pub fn name(&self) -> &PlaybookName {
        &self.reference.name
    }

    /// The author's label of this version.
    pub fn version(&self) -> &PlaybookVersion {
        &self.reference.version
    }

    /// SHA-256 over the document's bytes.
    pub fn digest(&self) -> &Digest {
        &self.reference.digest
    }

    /// Whether it is activated when it is loaded at first start.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// One line for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// `REQUEST`, ...
    pub fn category(&self) -> &str {
        &self.category
    }

    /// `PASSWORD_RESET`, ...
    pub fn sub_category(&self) -> Option<&str> {
        self.sub_category.as_deref()
    }

    /// Texts of tickets that it is for.
    pub fn examples(&self) -> &[String] {
        &self.examples
    }

    /// The longest an execution may take from its start, waits and outages included.
    pub fn budget(&self) -> Duration {
        self.budget
    }

    /// Which tickets may start it; all of its category where it says nothing.
    pub fn trigger(&self) -> Option<&Trigger> {
        self.trigger.as_ref()
    }

    /// What it wants to be told at its start.
    pub fn inputs(&self) -> &IndexMap<String, Input> {
        &self.inputs
    }

    /// The JSON Schema (2020-12) of its inputs.
    pub fn inputs_schema(&self) -> Value {
        let properties: serde_json::Map<String, Value> = self
            .inputs
            .iter()
            .map(|(name, input)| (name.clone(), input.schema()))
            .collect();
        let required: Vec<&String> = self
            .inputs
            .iter()
            .filter(|(_, input)| input.required())
            .map(|(name, _)| name)
            .collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// The given inputs with what was left out filled in; every complaint otherwise.
    pub fn admit_inputs(&self, given: &Values) -> Result<Values, Vec<String>> {
        let mut complaints: Vec<String> = given
            .keys()
            .filter(|name| !self.inputs.contains_key(*name))
            .map(|name| {
                format!(
                    "there is no input `{}`",
                    name.chars().take(60).collect::<String>()
                )
            })
            .collect();
        let mut admitted = Values::new();
        for (name, input) in &self.inputs {
            match given.get(name).or(input.default.as_ref()) {
                Some(value) if input.kind.admits(value) => {
                    admitted.insert(name.clone(), value.clone());
                }
                Some(_) => complaints.push(format!("the input `{name}` must be {}", input.kind)),
                None if input.required() => complaints.push(format!("the input `{name}` is missing")),
                None => {}
            }
        }
        if complaints.is_empty() {
            Ok(admitted)
        } else {
            Err(complaints)
        }
    }

    /// The playbooks that it calls, directly or not; their steps are among its own.
    pub fn calls(&self) -> &[PlaybookRef] {
        &self.calls
    }

    /// The actions it needs that no service offers yet. It may be published and not be activated while there are any.
    pub fn planned(&self) -> Vec<&ActionName> {
        let mut planned: Vec<&ActionName> = self
            .steps
            .values()
            .chain(self.undos.values())
            .filter_map(Step::action)
            .filter(|action| action.action.planned)
            .map(ActionStep::name)
            .collect();
        planned.sort();
        planned.dedup();
        planned
    }

    /// Whether any of its steps, those of called playbooks among them, acts where proof of identity is asked for.
    pub fn is_privileged(&self) -> bool {
        self.steps
            .values()
            .filter_map(Step::action)
            .any(|action| action.action.privileged())
    }

    /// The step that executions begin with.
    pub fn start(&self) -> Option<&Step> {
        self.steps.get(&self.start)
    }

    /// The step of this id, also one that takes another back.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.get(id).or_else(|| self.undos.get(id))
    }

    /// All steps, in the order of the document, without those that take others back.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.values()
    }

    /// What takes steps back.
    pub fn undos(&self) -> impl Iterator<Item = &Step> {
        self.undos.values()
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique within the playbook. `verify.mfa` is step `mfa` of the playbook that step `verify` calls.
    pub id: StepId,
    /// What people see.
    pub name: String,
    /// What it does.
    pub kind: StepKind,
    /// The edges, by outcome: of an action as written, of a decision the names of its cases and `otherwise`, of a wait
    /// `success`, of a parallel step `success` and `failure`. An ending has none.
    pub edges: IndexMap<Outcome, StepId>,
    /// How often the step may be entered; `None` where it lies on no loop.
    pub max_visits: Option<u32>,
    /// The parallel step in one of whose branches it stands.
    pub within: Option<Within>,
}

/// A place in a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The parallel step.
    pub parallel: StepId,
    /// The name of the branch.
    pub branch: String,
}

impl Step {
    /// The step as a call of an action, where it is one.
    pub fn action(&self) -> Option<&ActionStep> {
        match &self.kind {
            StepKind::Action(action) => Some(action),
            _ => None,
        }
    }

    /// Where `outcome` leads. `None` is an escalation of its own: nobody wrote an edge for it, and silence is a no.
    ///
    /// A missing `on_timeout` means `on_failure`; a missing `on_denied` never does.
    pub fn edge(&self, outcome: &Outcome) -> Option<&StepId> {
        match (self.edges.get(outcome), outcome) {
            (Some(target), _) => Some(target),
            (None, Outcome::Timeout) => self.edges.get(&Outcome::Failure),
            (None, _) => None,
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Calls an action of a service.
    Action(Box<ActionStep>),
    /// Goes where the first case leads whose condition holds, else where `otherwise` leads.
    Decision(Vec<Case>),
    /// Lets time pass.
    Wait(Pause),
    /// Walks several branches at once.
    Parallel(Parallel),
    /// Ends well; within a branch, the branch.
    Terminal,
    /// Ends with a person; within a branch, the branch fails.
    Escalation {
        /// Why, for the person who takes over.
        reason: String,
    },
}

/// One case of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Names its edge: the outcome is the [`Outcome::Word`] of it.
    pub name: String,
    /// When it is taken.
    pub when: Condition,
}

/// The edge of a decision that is taken where no case holds.
pub const OTHERWISE: &str = "otherwise";

/// How long to wait.
#[derive(Debug, Clone, PartialEq)]
pub enum Pause {
    /// So long.
    For(Duration),
    /// Until this point in time: RFC 3339, or a template that gives one. What has passed is not waited for.
    Until(Value),
}

/// Branches that are walked at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Parallel {
    /// The first step of each, by its name.
    pub branches: IndexMap<String, StepId>,
    /// When the step is done.
    pub join: Join,
}

/// When a parallel step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Join {
    /// When every branch has ended: `success` where all ended well, else `failure`.
    All,
    /// When the first branch has ended well (`success`), or all have ended and none did (`failure`).
    Any,
}

impl Join {
    /// The word in playbooks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
        }
    }
}

/// A step that calls an action.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionStep {
    /// What the registry knows about it; of an `ask`, with the choices as its words.
    pub action: Action,
    /// Per attempt.
    pub timeout: Duration,
    /// When to try again.
    pub retry: Retry,
    /// As `with:` says; templates are not yet filled.
    pub parameters: Values,
    /// Of a delivery: the step whose credential it delivers; the latest one where it does not say.
    pub credential_of: Option<StepId>,
    /// For a verification: the first privileged step along success edges, which its permit will allow.
    pub authorizes: Option<StepId>,
    /// What takes it back, where the execution escalates after it succeeded.
    pub undo: Option<StepId>,
}

impl ActionStep {
    /// `service.action`.
    pub fn name(&self) -> &ActionName {
        &self.action.name
    }
}

/// Which tickets may start a playbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The help desk; any where it says nothing.
    pub source: Option<String>,
    /// What must have happened to the ticket; anything where it says nothing.
    pub on: Vec<Occasion>,
    /// What must hold of ticket, requester and tenant.
    pub when: Condition,
}

/// What happened to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// It is new.
    Created,
    /// It changed.
    Updated,
    /// Its status changed.
    StatusChanged,
}

impl Occasion {
    /// The word in playbooks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::StatusChanged => "status_changed",
        }
    }

    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::StatusChanged];
}

/// One input.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// What it holds.
    pub kind: Kind,
    /// What it is where nobody says.
    pub default: Option<Value>,
    /// It may be left out without a default.
    pub optional: bool,
    /// One line for people.
    pub description: String,
}

impl Input {
    /// Whether an execution cannot begin without it.
    pub fn required(&self) -> bool {
        !self.optional && self.default.is_none()
    }

    fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if let Some(fields) = schema.as_object_mut() {
            if !self.description.is_empty() {
                fields.insert("description".to_owned(), json!(self.description));
            }
            if let Some(default) = &self.default {
                fields.insert("default".to_owned(), default.clone());
            }
        }
        schema
    }
}
