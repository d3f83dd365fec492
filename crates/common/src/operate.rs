//! Contracts of operators: what they do to executions, and the switches that hold many at once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

use crate::ids::PlaybookName;

/// Why an operator does something, in their own words: 1 to 300 characters on one line. Stands on the ticket and in the
/// record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 300)]
pub struct Reason(String);

/// Why a text is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason takes 1 to {} characters on one line", Reason::LONGEST)]
pub struct InvalidReason;

impl Reason {
    /// One sentence or two.
    pub const LONGEST: usize = 300;

    /// As it was written, without space around it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = InvalidReason;

    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= Self::LONGEST;
        if !fits || text.chars().any(char::is_control) {
            return Err(InvalidReason);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `POST /api/v1/orchestration/executions/{id}/pause`, `/resume` and `/retry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperateExecution {
    /// Why; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// `POST /api/v1/orchestration/executions/{id}/cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelExecution {
    /// Why, for the person who takes over.
    pub reason: Reason,
}

/// Why an execution stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Standstill {
    /// An operator paused it.
    Operator {
        /// Their name.
        name: String,
        /// Why, where they said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Since when.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
    },
    /// A switch that concerns it is off.
    Switch {
        /// Which.
        switch: Switch,
        /// Who switched it off, when and why.
        off: SwitchedOff,
    },
}

/// A kill switch: while it is off, no call of a step goes out for the executions that it concerns, and none is lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Switch {
    /// Every execution of every tenant in this database.
    Global,
    /// Every execution of this tenant.
    Tenant,
    /// Every execution of one playbook, whatever its version.
    Playbook {
        /// Its name.
        name: PlaybookName,
    },
}

impl Switch {
    /// As the wire and the database write its scope.
    pub const fn scope(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Tenant => "tenant",
            Self::Playbook { .. } => "playbook",
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("the global switch"),
            Self::Tenant => f.write_str("the tenant's switch"),
            Self::Playbook { name } => write!(f, "the switch of playbook `{name}`"),
        }
    }
}

/// Who switched it off, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SwitchedOff {
    /// Their name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// `GET /api/v1/orchestration/switches`: the global one, the tenant's, and those of playbooks that are off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SwitchView {
    /// Which.
    #[serde(flatten)]
    pub switch: Switch,
    /// Absent while it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<SwitchedOff>,
}

/// Where a switch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Executions go on.
    On,
    /// They stand still.
    Off,
}

/// `PUT /api/v1/orchestration/switches`. Safe to repeat: a switch that stands so already is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetSwitch {
    /// Which.
    #[serde(flatten)]
    pub switch: Switch,
    /// How it is to stand.
    pub position: Position,
    /// Why.
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert_eq!(
            " wrong ticket ".parse::<Reason>().unwrap().as_str(),
            "wrong ticket"
        );
        for nothing in ["", "  ", "a\nb", "a\0b", &"x".repeat(301)] {
            assert_eq!(nothing.parse::<Reason>(), Err(InvalidReason), "{nothing:?}");
        }
        assert!(serde_json::from_str::<CancelExecution>("{\"reason\": \" \"}").is_err());
    }

    #[test]
    fn a_switch_is_named_by_its_scope_and_only_a_playbooks_has_a_name() {
        let put = r#"{"scope": "playbook", "name": "password_reset", "position": "off", "reason": "Look."}"#;
        let set: SetSwitch = serde_json::from_str(put).unwrap();
        let name = "password_reset".parse().unwrap();
        assert_eq!(
            (set.switch, set.position),
            (Switch::Playbook { name }, Position::Off)
        );
        let nameless = r#"{"scope": "playbook", "position": "off", "reason": "Look."}"#;
        assert!(serde_json::from_str::<SetSwitch>(nameless).is_err());
        let view = SwitchView {
            switch: Switch::Global,
            off: None,
        };
        assert_eq!(serde_json::to_string(&view).unwrap(), r#"{"scope":"global"}"#);
    }
}
