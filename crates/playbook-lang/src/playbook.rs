//! A playbook that has passed every check: the graph that the machine walks.
//!
//! The fields are private and only `check` builds one: holding a [`Playbook`] means that its proof holds.

use std::time::Duration;

use common::{ActionName, Digest, Outcome, PlaybookName, PlaybookRef, PlaybookVersion, StepId, Values};
use indexmap::IndexMap;

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
    /// In the order of the document: the first one is the start.
    pub(crate) steps: IndexMap<StepId, Step>,
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

    /// The step that executions begin with.
    pub fn start(&self) -> Option<&Step> {
        self.steps.first().map(|(_, step)| step)
    }

    /// The step of this id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.get(id)
    }

    /// All steps, in the order of the document.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.values()
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique within the playbook.
    pub id: StepId,
    /// What people see.
    pub name: String,
    /// What it does.
    pub kind: StepKind,
}

impl Step {
    /// The step as a call of an action, where it is one.
    pub fn action(&self) -> Option<&ActionStep> {
        match &self.kind {
            StepKind::Action(action) => Some(action),
            StepKind::Terminal | StepKind::Escalation { .. } => None,
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Calls an action of a service.
    Action(Box<ActionStep>),
    /// Ends well.
    Terminal,
    /// Ends with a person.
    Escalation {
        /// Why, for the person who takes over.
        reason: String,
    },
}

/// A step that calls an action.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionStep {
    /// What the registry knows about it.
    pub action: Action,
    /// Per attempt.
    pub timeout: Duration,
    /// When to try again.
    pub retry: Retry,
    /// As `with:` says.
    pub parameters: Values,
    /// How often the step may be entered; `None` where it lies on no loop.
    pub max_visits: Option<u32>,
    /// The written edges, by outcome.
    pub edges: IndexMap<Outcome, StepId>,
    /// For a verification: the first privileged step along success edges, which its permit will allow.
    pub authorizes: Option<StepId>,
}

impl ActionStep {
    /// `service.action`.
    pub fn name(&self) -> &ActionName {
        &self.action.name
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
