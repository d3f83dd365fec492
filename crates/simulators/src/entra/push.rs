//! What people do when a sign-in request appears on their phone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a sign-in request ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushAnswer {
    /// "Approve".
    Approve,
    /// "Deny".
    Deny,
    /// "Deny and report fraud".
    Fraud,
    /// The phone stays in the pocket until the service gives up.
    NoAnswer,
    /// The person has no default method: nothing is shown.
    NoMethod,
    /// The service wants a code instead.
    Challenge,
    /// `Success`, but without `true`: a method without proactive approval. Not an approval.
    SuccessWithoutTrue,
    /// An answer that is no XML.
    Malformed,
    /// Another `Result/Value`, with `false`.
    Other(String),
}

/// An answer and its delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    pub(crate) answer: PushAnswer,
    pub(crate) after: Option<Duration>,
}

impl Push {
    /// Answer so, after the usual time: the world's `think`, or a minute for no answer.
    pub fn new(answer: PushAnswer) -> Self {
        Self { answer, after: None }
    }

    /// The person approves.
    pub fn approve() -> Self {
        Self::new(PushAnswer::Approve)
    }

    /// The person denies.
    pub fn deny() -> Self {
        Self::new(PushAnswer::Deny)
    }

    /// The person denies and reports fraud.
    pub fn fraud() -> Self {
        Self::new(PushAnswer::Fraud)
    }

    /// The person does nothing.
    pub fn no_answer() -> Self {
        Self::new(PushAnswer::NoAnswer)
    }

    /// The person cannot be asked.
    pub fn no_method() -> Self {
        Self::new(PushAnswer::NoMethod)
    }

    /// A code is wanted.
    pub fn challenge() -> Self {
        Self::new(PushAnswer::Challenge)
    }

    /// The trap for careless clients.
    pub fn success_without_true() -> Self {
        Self::new(PushAnswer::SuccessWithoutTrue)
    }

    /// Broken XML.
    pub fn malformed() -> Self {
        Self::new(PushAnswer::Malformed)
    }

    /// The same after `delay`.
    pub fn after(self, delay: Duration) -> Self {
        Self {
            after: Some(delay),
            ..self
        }
    }
}

impl PushAnswer {
    /// `Result/Value` and `AuthenticationResult`; `None` is nil.
    pub(crate) fn wire(&self) -> (&str, Option<&'static str>) {
        match self {
            // A malformed answer never gets so far as to say anything.
            Self::Approve | Self::Malformed => ("Success", Some("true")),
            Self::Deny => ("PhoneAppDenied", Some("false")),
            Self::Fraud => ("PhoneAppFraud", Some("false")),
            Self::NoAnswer => ("PhoneAppNoResponse", Some("false")),
            Self::NoMethod => ("NoDefaultAuthenticationMethodIsConfigured", Some("false")),
            Self::Challenge => ("Success", Some("challenge")),
            Self::SuccessWithoutTrue => ("Success", None),
            Self::Other(value) => (value, Some("false")),
        }
    }
}
