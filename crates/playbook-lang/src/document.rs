//! A playbook as written: every part with its place, nothing proven yet.

use std::time::Duration;

use common::{ActionName, Outcome, PlaybookName, PlaybookVersion, StepId, Values};
use indexmap::IndexMap;

use crate::condition::Condition;
use crate::playbook::{Input, Join, Occasion, Pause};
use crate::retry::Retry;
use crate::roots::Name;
use crate::yaml::{At, Position};

/// What could be read of a document. Parts that could not be read are findings already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    pub(crate) name: Option<At<PlaybookName>>,
    pub(crate) version: Option<PlaybookVersion>,
    pub(crate) enabled: bool,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) sub_category: Option<String>,
    pub(crate) examples: Vec<String>,
    pub(crate) budget: Option<At<Duration>>,
    pub(crate) trigger: Option<TriggerDocument>,
    pub(crate) inputs: IndexMap<String, Input>,
    /// In the order of the document; those of branches behind their parallel step.
    pub(crate) steps: Vec<StepDocument>,
}

/// `trigger:` as written.
#[derive(Debug, Clone)]
pub(crate) struct TriggerDocument {
    pub(crate) source: Option<String>,
    pub(crate) on: Vec<Occasion>,
    pub(crate) when: Option<ConditionDocument>,
}

/// A condition with the places of the names in it.
#[derive(Debug, Clone)]
pub(crate) struct ConditionDocument {
    pub(crate) condition: Condition,
    pub(crate) names: Vec<At<Name>>,
}

/// One step as written.
#[derive(Debug, Clone)]
pub(crate) struct StepDocument {
    pub(crate) id: At<StepId>,
    pub(crate) name: Option<String>,
    pub(crate) kind: KindDocument,
    pub(crate) edges: Vec<EdgeDocument>,
    pub(crate) max_visits: Option<u32>,
    pub(crate) depends_on: Vec<At<StepId>>,
    pub(crate) within: Option<Place>,
}

/// The branch of a parallel step that a step is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) parallel: StepId,
    pub(crate) branch: String,
}

/// What the step is written to do.
#[derive(Debug, Clone)]
pub(crate) enum KindDocument {
    Action(Box<ActionDocument>),
    Decision(Vec<CaseDocument>),
    Wait(Pause),
    Parallel(ParallelDocument),
    Call(CallDocument),
    Terminal,
    Escalation {
        reason: String,
    },
    /// Its type is not known, which is a finding already.
    Unknown,
}

/// A step that calls an action, as written; also an `ask`, which is a call of `verification.ask`.
#[derive(Debug, Clone)]
pub(crate) struct ActionDocument {
    /// `None` where it is missing or no name at all, which is a finding already.
    pub(crate) service: Option<At<ActionName>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) parameters: Vec<ParameterDocument>,
    pub(crate) values: Values,
    pub(crate) undo: Option<UndoDocument>,
    /// Of an `ask`: the words to choose from. Empty where the answer is typed.
    pub(crate) ask: Option<Vec<String>>,
}

/// `undo:` as written.
#[derive(Debug, Clone)]
pub(crate) struct UndoDocument {
    pub(crate) service: At<ActionName>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) parameters: Vec<ParameterDocument>,
    pub(crate) values: Values,
}

/// The places of one parameter; its value is in `values`.
#[derive(Debug, Clone)]
pub(crate) struct ParameterDocument {
    pub(crate) name: At<String>,
    /// Where its value stands.
    pub(crate) at: Position,
}

/// One case of a decision.
#[derive(Debug, Clone)]
pub(crate) struct CaseDocument {
    /// As written, or `case_1`, `case_2` ...
    pub(crate) name: String,
    /// `None` where it could not be read.
    pub(crate) when: Option<ConditionDocument>,
}

/// `branches:` and `join:`; the steps are among the document's own.
#[derive(Debug, Clone)]
pub(crate) struct ParallelDocument {
    pub(crate) join: Join,
    /// By name, with the id of the first step; `None` where there is none to be read.
    pub(crate) branches: Vec<(At<String>, Option<StepId>)>,
}

/// A step that calls another playbook.
#[derive(Debug, Clone)]
pub(crate) struct CallDocument {
    pub(crate) playbook: Option<At<PlaybookName>>,
    pub(crate) version: Option<PlaybookVersion>,
    pub(crate) parameters: Vec<ParameterDocument>,
    pub(crate) values: Values,
}

/// One edge as written.
#[derive(Debug, Clone)]
pub(crate) struct EdgeDocument {
    pub(crate) outcome: Outcome,
    /// Where `on_success`, or the word in `outcomes`, stands.
    pub(crate) at: Position,
    pub(crate) target: At<StepId>,
}

impl StepDocument {
    /// The step as a call of an action, also of one that nobody offers.
    pub(crate) fn action(&self) -> Option<&ActionDocument> {
        match &self.kind {
            KindDocument::Action(action) => Some(action),
            _ => None,
        }
    }

    /// Where `outcome` is written to lead.
    pub(crate) fn target(&self, outcome: &Outcome) -> Option<&At<StepId>> {
        self.edges
            .iter()
            .find(|edge| edge.outcome == *outcome)
            .map(|edge| &edge.target)
    }

    /// Whether it ends the playbook, or its branch.
    pub(crate) fn ends(&self) -> bool {
        matches!(
            self.kind,
            KindDocument::Terminal | KindDocument::Escalation { .. }
        )
    }
}
