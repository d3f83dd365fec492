//! MFA pushes through the connector that Microsoft made for RADIUS servers: it asks a person to approve on their phone
//! and blocks until they did.
//!
//! Undocumented for this use, hence careful: only an answer that fulfils every condition of the contract's section 7.2
//! is an approval.

use std::time::Duration;

use uuid::Uuid;

use super::{Entra, EntraSettings};
use crate::call::CallError;

/// One push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Whom to ask, by sign-in name (not mail address).
    pub user_principal_name: String,
    /// Fresh for each push.
    pub context: Uuid,
    /// How long to wait for the answer; the service itself gives up after about a minute, three at most.
    pub wait: Duration,
}

/// How a push ended. Only [`PushOutcome::Approved`] proves anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// Somebody with the person's phone approved.
    Approved,
    /// Somebody with the person's phone said no.
    Denied {
        /// And reported it as fraud.
        fraud: bool,
    },
    /// Nobody answered in time.
    NoAnswer,
    /// The person can't be asked this way: ask in another.
    NotPossible(NotPossible),
    /// Too many pushes, or one still open: ask later.
    Throttled,
    /// The service has a fault, by its own word (`InternalError`, ...).
    Fault {
        /// Its word.
        value: String,
        /// It invites a retry.
        retry: bool,
    },
}

/// Why a person can't be asked by push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPossible {
    /// No method for sign-in approval is registered, or none is the default.
    NoMethod,
    /// Their default method wants a code typed in.
    NeedsCode,
    /// They or all their devices are blocked.
    Blocked,
    /// The service does not know them in this tenant.
    UnknownUser,
    /// Anything else, by the service's word.
    Other(String),
}

/// Sends pushes. Cheap to clone; clones share secret and token.
#[derive(Clone)]
pub struct Mfa {}

impl Mfa {
    /// A client; nothing is sent yet. `entra` adds the connector's secret.
    pub fn new(settings: EntraSettings, entra: Entra, http: reqwest::Client) -> Self {
        todo!()
    }
    /// Get secret and token ahead of the first push; both are kept.
    pub async fn prepare(&self) -> Result<(), CallError> {
        todo!()
    }
    /// Ask, and wait for the answer: blocks up to [`Push::wait`]; run it off the request path.
    ///
    /// `Busy`: nobody was asked. `Unknown`: the person may have been asked, and their answer is lost.
    pub async fn push(&self, push: &Push) -> Result<PushOutcome, CallError> {
        todo!()
    }
    /// Remove our secret from the connector's service principal, for a clean shutdown.
    pub async fn retire(&self) -> Result<(), CallError> {
        todo!()
    }
}
