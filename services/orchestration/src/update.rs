//! What the help desk is told: facts, in order per ticket. How they read is `story`'s affair, how they travel
//! `outbox`'s.

use common::execution::ExecutionStatus;
use common::operate::SwitchedOff;
use common::{ActionName, AutomationStatus, ExecutionId, Outcome, StepCall, Switch, Values};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One fact for the help desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Update {
    /// The custom field `automation_status`.
    Status {
        /// Its new value.
        status: AutomationStatus,
    },
    /// Somebody was asked, or the work is parked: why nothing moves.
    Asked(Asked),
    /// A call of a step ended.
    Progress(Progress),
    /// Calls of steps ended, one soon after the other.
    Steps {
        /// In their order.
        steps: Vec<Progress>,
    },
    /// The execution ended well: a public note and the ticket's status.
    Resolved,
    /// The execution ended with a person: who takes over must know why.
    Escalated,
    /// The complete record, for whoever audits.
    Story,
    /// What a playbook wants said.
    Note(PlaybookNote),
    /// What a playbook wants custom fields to be.
    Fields(SetFields),
    /// An operator did something.
    Operated(Operated),
    /// A switch has been off for long.
    Held(Held),
}

/// What operators do to one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// No step begins.
    Pause,
    /// Steps begin again.
    Resume,
    /// It ends, and what was done is taken back.
    Cancel,
    /// The step that failed is tried again.
    Retry,
}

impl Verb {
    /// As the record calls it.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::Pause => "execution.paused",
            Self::Resume => "execution.resumed",
            Self::Cancel => "execution.cancelled",
            Self::Retry => "execution.retried",
        }
    }
}

/// An operator did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operated {
    /// What.
    pub(crate) verb: Verb,
    /// Their name.
    pub(crate) name: String,
    /// Why, where they said so.
    pub(crate) reason: Option<String>,
}

/// A switch holds the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Which.
    pub(crate) switch: Switch,
    /// Who switched it off, when and why.
    pub(crate) off: SwitchedOff,
}

/// Somebody was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Which call.
    pub(crate) call: StepCall,
    /// The step's name for people.
    pub(crate) name: String,
    /// One sentence: who was asked what, by which channel.
    pub(crate) asked: String,
}

/// A note of a playbook's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaybookNote {
    /// Which call.
    pub(crate) call: StepCall,
    /// The step's name for people.
    pub(crate) name: String,
    /// What it says; may hold words of the ticket.
    pub(crate) text: String,
    /// For the requester too.
    pub(crate) public: bool,
}

/// Custom fields with their new values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetFields {
    /// Which call.
    pub(crate) call: StepCall,
    /// The step's name for people.
    pub(crate) name: String,
    /// By the fields' names.
    pub(crate) fields: Values,
}

/// A call of a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Which call.
    pub(crate) call: StepCall,
    /// The step's name for people.
    pub(crate) name: String,
    /// Whom the step was asked of; none for steps that call nobody.
    pub(crate) action: Option<ActionName>,
    /// One sentence: who was asked what, by which channel; none where the service answered at once.
    pub(crate) asked: Option<String>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// One sentence: what came back.
    pub(crate) explanation: String,
    /// The name of the step that comes next, or that the same is tried again.
    pub(crate) next: Option<String>,
}

impl Update {
    /// The column `kind`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Asked(_) => "asked",
            Self::Progress(_) => "progress",
            Self::Steps { .. } => "steps",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
            Self::Story => "story",
            Self::Note(_) => "note",
            Self::Fields(_) => "fields",
            Self::Operated(_) => "operated",
            Self::Held(_) => "held",
        }
    }

    /// Nobody waits for it: it may linger a moment so that quick steps share one call of the help desk.
    pub(crate) const fn may_linger(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::Asked(_)
                | Self::Progress(_)
                | Self::Steps { .. }
                | Self::Note(_)
                | Self::Fields(_)
        )
    }
}

/// An update that is due, as the outbox holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    /// Its place in the ticket's order.
    pub(crate) position: i64,
    /// What it belongs to.
    pub(crate) execution: ExecutionId,
    /// Stands in the note.
    pub(crate) marker: Marker,
    /// What is to be told.
    pub(crate) update: Update,
}

/// `fl-` and 16 hex digits: stands in every note, so that a repeated sending recognises what already arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker(String);

impl Marker {
    /// From random bits; 64 of them never meet twice on one ticket.
    pub(crate) fn fresh() -> Self {
        let (_, low) = Uuid::new_v4().as_u64_pair();
        Self(format!("fl-{low:016x}"))
    }

    /// As the database holds it.
    pub(crate) const fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it stands in the note.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the custom field says while an execution is in `status`.
pub(crate) const fn automation_status(status: ExecutionStatus) -> AutomationStatus {
    match status {
        ExecutionStatus::Queued => AutomationStatus::Queued,
        ExecutionStatus::Running => AutomationStatus::Running,
        ExecutionStatus::Waiting => AutomationStatus::Waiting,
        ExecutionStatus::Resolved => AutomationStatus::Resolved,
        ExecutionStatus::Escalated => AutomationStatus::Escalated,
    }
}
