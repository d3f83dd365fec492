//! How a step ended: the word that picks the next edge.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The outcome of a step. The first four have edges of their own in every playbook; any other word is one that the
/// action declares (`up`, `down`) and that `outcomes:` routes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Outcome {
    /// It was done, or proven.
    Success,
    /// It could not be done, or not proven.
    Failure,
    /// A person said no. An alarm: it never falls through to `on_failure`.
    Denied,
    /// Nobody answered in time.
    Timeout,
    /// A word of the action's own.
    Word(String),
}

impl Outcome {
    /// The word as playbooks and wires write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
            Self::Timeout => "timeout",
            Self::Word(word) => word,
        }
    }
}

impl From<&str> for Outcome {
    fn from(word: &str) -> Self {
        match word {
            "success" => Self::Success,
            "failure" => Self::Failure,
            "denied" => Self::Denied,
            "timeout" => Self::Timeout,
            other => Self::Word(other.to_owned()),
        }
    }
}

impl From<String> for Outcome {
    fn from(word: String) -> Self {
        Self::from(word.as_str())
    }
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        outcome.as_str().to_owned()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl utoipa::PartialSchema for Outcome {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        <String as utoipa::PartialSchema>::schema()
    }
}

impl utoipa::ToSchema for Outcome {}
