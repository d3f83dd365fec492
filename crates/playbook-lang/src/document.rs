//! A playbook as written: every part with its place, nothing proven yet.

use std::time::Duration;

use common::{ActionName, Outcome, PlaybookName, PlaybookVersion, StepId, Values};

use crate::retry::Retry;
use crate::yaml::{At, Position};

/// What could be read of a document. Parts that could not be read are findings already.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) name: Option<PlaybookName>,
    pub(crate) version: Option<PlaybookVersion>,
    pub(crate) enabled: bool,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) sub_category: Option<String>,
    pub(crate) examples: Vec<String>,
    pub(crate) budget: Option<Duration>,
    pub(crate) steps: Vec<StepDocument>,
}

/// One step as written.
#[derive(Debug)]
pub(crate) struct StepDocument {
    pub(crate) id: At<StepId>,
    pub(crate) name: Option<String>,
    pub(crate) kind: KindDocument,
}

/// What the step is written to do.
#[derive(Debug)]
pub(crate) enum KindDocument {
    Action(Box<ActionDocument>),
    Terminal,
    Escalation { reason: String },
}

/// A step that calls an action, as written.
#[derive(Debug)]
pub(crate) struct ActionDocument {
    /// `None` where it is missing or no name at all, which is a finding already.
    pub(crate) service: Option<At<ActionName>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) edges: Vec<EdgeDocument>,
    pub(crate) parameters: Vec<ParameterDocument>,
    pub(crate) values: Values,
    pub(crate) max_visits: Option<u32>,
}

/// The places of one parameter; its value is in `values`.
#[derive(Debug)]
pub(crate) struct ParameterDocument {
    pub(crate) name: At<String>,
    /// Where its value stands.
    pub(crate) at: Position,
}

/// One edge as written.
#[derive(Debug, Clone)]
pub(crate) struct EdgeDocument {
    pub(crate) outcome: Outcome,
    /// Where `on_success`, or the word in `outcomes`, stands.
    pub(crate) at: Position,
    pub(crate) target: At<StepId>,
}
