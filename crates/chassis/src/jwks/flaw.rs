//! What can be wrong with a token.

use jsonwebtoken::errors::{Error, ErrorKind};

/// Why a token is not believed. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each is said in its message")]
pub enum Flaw {
    #[error("it is longer than any token")]
    TooLong,
    #[error("it is no signed token")]
    Malformed,
    #[error("its algorithm is not allowed, only RS256")]
    Algorithm,
    #[error("it asks for extensions (`crit`)")]
    Extensions,
    #[error("it names no key (`kid`)")]
    NoKey,
    #[error("it is signed by a key that the issuer does not publish")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is by another issuer (`iss`)")]
    Issuer,
    #[error("it is for another audience (`aud`)")]
    Audience,
    #[error("it has expired (`exp`)")]
    Expired,
    #[error("it is not valid yet (`nbf`)")]
    NotYetValid,
    #[error("it comes from the future (`iat`)")]
    FromTheFuture,
    #[error("its claims are not what we need: {0}")]
    Claims(String),
}

impl Flaw {
    /// Stable: of the audit.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Extensions => "token_extensions",
            Self::NoKey => "token_names_no_key",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::FromTheFuture => "token_from_the_future",
            Self::Claims(_) => "token_claims",
        }
    }

    /// Of a token whose head could be read.
    pub(super) fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAlgorithm | ErrorKind::MissingAlgorithm => Self::Algorithm,
            ErrorKind::MissingRequiredClaim(claim) => Self::Claims(format!("it has no `{claim}`")),
            ErrorKind::Json(error) => Self::Claims(error.to_string()),
            _ => Self::Malformed,
        }
    }
}
