//! The six services of the fleet and the roles of the people who may call them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the six services.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Decides whether a ticket may be automated.
    Classifier,
    /// Keeps playbooks.
    Playbook,
    /// Drives executions.
    Orchestration,
    /// Proves who is asking.
    Verification,
    /// Acts on the directory.
    Executor,
    /// Brings a credential to its owner.
    Delivery,
}

impl Service {
    /// All six, in the order a ticket meets them.
    pub const ALL: [Self; 6] = [
        Self::Classifier,
        Self::Playbook,
        Self::Orchestration,
        Self::Verification,
        Self::Executor,
        Self::Delivery,
    ];

    /// The name in URLs, tokens (`iss`, `aud`), database roles and binaries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classifier => "classifier",
            Self::Playbook => "playbook",
            Self::Orchestration => "orchestration",
            Self::Verification => "verification",
            Self::Executor => "executor",
            Self::Delivery => "delivery",
        }
    }

    /// The port it listens on where nothing else is said.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Classifier => 8081,
            Self::Playbook => 8082,
            Self::Orchestration => 8083,
            Self::Verification => 8084,
            Self::Executor => 8085,
            Self::Delivery => 8086,
        }
    }

    /// Its database role, which holds grants on its own tables only.
    pub fn database_role(self) -> String {
        format!("firstline_{}", self.name())
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is not one of the six services.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a service of the fleet")]
pub struct UnknownService(String);

impl FromStr for Service {
    type Err = UnknownService;
    fn from_str(name: &str) -> Result<Self, UnknownService> {
        Self::ALL
            .into_iter()
            .find(|service| service.name() == name)
            .ok_or_else(|| UnknownService(name.to_owned()))
    }
}

/// What a person may do, from the claim `roles` of their OpenID Connect token.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Playbooks, and what an operator may.
    Admin,
    /// Executions: looks and acts.
    Operator,
    /// Executions and decisions: looks.
    Auditor,
    /// Playbooks: looks.
    User,
}
