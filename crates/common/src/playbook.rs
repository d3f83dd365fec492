//! Contracts of the playbook service.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::digest::Digest;
use crate::ids::{ActionName, PlaybookName, PlaybookVersion, StepId};
use crate::modes::{Activation, Bar, Mode};
use crate::operate::Reason;

/// Exactly one playbook document: the digest is over the YAML bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlaybookRef {
    /// Its name.
    pub name: PlaybookName,
    /// Its version.
    pub version: PlaybookVersion,
    /// SHA-256 of the document.
    pub digest: Digest,
}

/// One published version as `GET /api/v1/playbooks[/{id}[/versions]]` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlaybookView {
    /// Name, version and digest.
    #[serde(flatten)]
    pub playbook: PlaybookRef,
    /// Whether this version is the one that new executions get.
    pub active: bool,
    /// How it was made that; none where it is not, or was before activations were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// One line for people.
    pub description: String,
    /// `REQUEST`, ...
    pub category: String,
    /// `PASSWORD_RESET`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_category: Option<String>,
    /// Example texts of tickets that this playbook is for.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Which tickets may start it; all of its category where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerView>,
    /// JSON Schema (2020-12) of what it wants to be told at its start.
    #[schema(value_type = Object)]
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub inputs_schema: Value,
    /// Actions it needs that no service offers yet; it cannot be activated while there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<ActionName>,
    /// Whether it acts where proof of identity is asked for. Who does not say so, or cannot be read, is taken to.
    #[serde(default = "unsaid")]
    pub privileged: bool,
    /// The playbooks that it calls, directly or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<PlaybookRef>,
    /// When it was published.
    #[serde(with = "time::serde::rfc3339")]
    pub published_at: OffsetDateTime,
    /// The YAML itself; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What is not known to be harmless is not.
const fn unsaid() -> bool {
    true
}

/// Which tickets may start a playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TriggerView {
    /// The help desk; any where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What must have happened to the ticket: `created`, `updated`, `status_changed`; anything where it says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// What must hold of ticket, requester and tenant.
    pub when: ConditionView,
}

impl TriggerView {
    /// What nobody can read, and so never holds.
    pub fn unreadable() -> Self {
        Self {
            source: None,
            on: vec![],
            when: ConditionView::Test {
                field: String::new(),
                operator: String::new(),
                value: Value::Null,
            },
        }
    }
}

/// A condition, as playbooks write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum ConditionView {
    /// Every one holds.
    All {
        /// Which.
        #[schema(no_recursion)]
        all: Vec<ConditionView>,
    },
    /// At least one holds.
    Any {
        /// Of which.
        #[schema(no_recursion)]
        any: Vec<ConditionView>,
    },
    /// It does not hold.
    Not {
        /// What.
        #[schema(no_recursion)]
        not: Box<ConditionView>,
    },
    /// One comparison.
    Test {
        /// What is looked at, for instance `ticket.summary`.
        field: String,
        /// How: `equals`, `contains`, ...
        operator: String,
        /// With what.
        #[serde(default)]
        value: Value,
    },
}

/// `PUT /api/v1/playbooks/{id}/activate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivatePlaybook {
    /// The version that new executions shall get.
    pub version: PlaybookVersion,
    /// What is to become of tickets that it could answer; `DEFAULT_MODE` of the classifier where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The lower bound of precision that it must have shown to act by itself, and must go on showing; 0.95 where it is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar: Option<Bar>,
    /// Why it may act by itself without having shown that; with `"mode": "auto"` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<Reason>,
}

impl ActivatePlaybook {
    /// This version, with nothing said about its mode.
    pub fn version(version: PlaybookVersion) -> Self {
        Self {
            version,
            mode: None,
            bar: None,
            override_reason: None,
        }
    }
}

/// `POST /api/v1/playbooks/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckAnswer {
    /// No finding of severity `error`.
    pub ok: bool,
    /// All of them, in the order of the document.
    pub findings: Vec<Finding>,
}

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// May be published, but look.
    Warning,
    /// May not be published.
    Error,
}

/// Something wrong with a playbook: where, what, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// Stable, kebab-case: `undefined-step`, ...
    pub code: String,
    /// Whether it stops publication.
    pub severity: Severity,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// The step it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// What is wrong and how to mend it.
    pub message: String,
    /// For path findings: step and edge names from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
}
