//! A ticket as Firstline passes it around.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What others see of a ticket's automation: the custom field `automation_status` in the help desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutomationStatus {
    /// Left to a person.
    Manual,
    /// May be automated; the execution has not begun.
    Queued,
    /// A step is under way.
    Running,
    /// Somebody has been asked.
    Waiting,
    /// Done.
    Resolved,
    /// Handed to a person with the story so far.
    Escalated,
}

impl AutomationStatus {
    /// The word in the custom field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
        }
    }
}

impl fmt::Display for AutomationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an execution carries of its ticket: the values templates may show to people. Untrusted text throughout; none
/// of it is ever a target, a destination or an approver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TicketSnapshot {
    /// Subject line.
    pub summary: String,
    /// The customer's name at the help desk, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Opening text, plain; the beginning of it where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Path of the help desk's own category, levels joined with `>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The team it is assigned to, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Number of the channel it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<i64>,
    /// Number of its status when it was decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// Number of its type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub ticket_type: Option<i64>,
}
