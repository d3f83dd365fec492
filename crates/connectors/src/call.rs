//! What all clients share: the error that says what to do next, and the HTTP client they send with.

mod clock;
mod send;
mod token;
mod window;
mod wire;

use std::fmt;
use std::time::Duration;

pub(crate) use send::{Answer, Call, Caller, Repeat, TOO_LARGE};
pub(crate) use token::{Authorized, Grant, TokenCache, grant};
pub use window::LENGTH as WINDOW;
pub(crate) use wire::{BoxError, join, malformed, one_line, unreadable};

/// An outside system, for messages and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum System {
    /// The help desk.
    HaloPsa,
    /// The directory: Entra's login and Microsoft Graph.
    Entra,
    /// The connector that sends MFA pushes.
    Mfa,
    /// The language model's endpoint.
    OpenAi,
    /// The Bot Connector.
    Teams,
    /// The SMS gateway.
    Twilio,
}

impl System {
    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::HaloPsa => "halopsa",
            Self::Entra => "entra",
            Self::Mfa => "mfa",
            Self::OpenAi => "openai",
            Self::Teams => "teams",
            Self::Twilio => "twilio",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HaloPsa => "HaloPSA",
            Self::Entra => "the directory",
            Self::Mfa => "the MFA service",
            Self::OpenAi => "the language model",
            Self::Teams => "Teams",
            Self::Twilio => "Twilio",
        })
    }
}

/// Why an outside system did not do it, sorted by what the caller may do next. Carries no secret, no ticket text, no
/// phone number and no address of a person.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The vendor said no, or we are set up wrongly. The same request gets the same answer.
    #[error("{system} refused ({code}): {detail}")]
    Refused {
        /// Who.
        system: System,
        /// Stable: one of the codes that the method documents, else the vendor's own or `http_{status}`.
        code: String,
        /// What it means, for people.
        detail: String,
    },
    /// Nothing happened: not reachable, throttled or, for calls that change nothing, failing. Safe to repeat after the wait.
    #[error("{system} is not available: {detail}")]
    Busy {
        /// Who.
        system: System,
        /// What was seen.
        detail: String,
        /// How long to wait, where the vendor said so; never more than [`LONGEST_WAIT`].
        retry_after: Option<Duration>,
    },
    /// Sent, and no usable answer came. It may have happened: look before repeating.
    #[error("no usable answer from {system}")]
    Unknown {
        /// Who.
        system: System,
        /// What was seen instead.
        #[source]
        source: BoxError,
    },
}

/// No vendor may park us for longer, whatever its `Retry-After` says.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);

impl CallError {
    pub(crate) fn refused(system: System, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Refused {
            system,
            code: code.into(),
            detail: detail.into(),
        }
    }

    pub(crate) fn unknown(system: System, source: impl Into<BoxError>) -> Self {
        Self::Unknown {
            system,
            source: source.into(),
        }
    }

    /// Which system it was.
    pub const fn system(&self) -> System {
        match self {
            Self::Refused { system, .. } | Self::Busy { system, .. } | Self::Unknown { system, .. } => {
                *system
            }
        }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Busy { .. } | Self::Unknown { .. } => None,
        }
    }

    /// It was refused with exactly this code.
    pub fn is_refused(&self, expected: &str) -> bool {
        self.code() == Some(expected)
    }

    /// Nothing happened, so that the same call may simply be made again.
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// How long the vendor asked us to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Refused { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// The HTTP client that all clients of this crate share: no redirects, 5 s to connect, `TCP_NODELAY`. The time limit of
/// the whole call is set per request, because a push waits for a person and a look-up for nobody.
///
/// # Errors
/// The platform's TLS set-up is broken.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(50))
        .user_agent(concat!("firstline/", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests;
