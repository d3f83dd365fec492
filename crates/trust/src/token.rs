//! Service tokens: who calls whom, with exactly which body, within this minute.

use common::{Digest, Service};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::jws::{self, JwsError};
use crate::keys::{Identity, SigningFailed, TrustedKeys};

/// How long a token is good: one call, not a session.
pub const LIFETIME: Duration = Duration::seconds(60);
/// How far the clocks of two machines may differ.
pub const SKEW: Duration = Duration::seconds(5);

const TYP: &str = "firstline-token+jwt";
/// Ours are some 500 bytes.
const LONGEST_BYTES: usize = 2048;

/// A token that was checked: a call by this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceToken {
    /// Who calls.
    pub caller: Service,
    /// The token's own id (`jti`).
    pub id: Uuid,
}

/// Why a token proves nothing. All of them are a 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours.
    #[error("the service token is malformed")]
    Malformed,
    /// Signed otherwise than by EdDSA.
    #[error("the service token is signed with another algorithm than EdDSA")]
    WrongAlgorithm,
    /// Signed with a key that nobody listed.
    #[error("the service token is signed with an unknown key")]
    UnknownKey,
    /// Not signed by that key.
    #[error("the service token's signature is wrong")]
    BadSignature,
    /// Signed by one service in the name of another.
    #[error("the service token is issued in the name of another service")]
    WrongIssuer,
    /// Meant for another callee.
    #[error("the service token is meant for another service")]
    WrongAudience,
    /// Made for another body.
    #[error("the service token belongs to another request body")]
    WrongBody,
    /// Its minute is over.
    #[error("the service token has expired")]
    Expired,
    /// From the future, or longer-lived than any of ours.
    #[error("the service token is not valid yet, or for longer than a minute")]
    NotYetValid,
}

impl TokenError {
    /// Stable, for problems and for the audit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::WrongAlgorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::BadSignature => "token_signature",
            Self::WrongIssuer => "token_issuer",
            Self::WrongAudience => "token_audience",
            Self::WrongBody => "token_body",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
        }
    }
}

impl From<JwsError> for TokenError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLong | JwsError::Malformed | JwsError::WrongType => Self::Malformed,
            JwsError::WrongAlgorithm => Self::WrongAlgorithm,
            JwsError::UnknownKey => Self::UnknownKey,
            JwsError::BadSignature => Self::BadSignature,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    /// Whole seconds since 1970.
    iat: i64,
    exp: i64,
    jti: Uuid,
    /// SHA-256 of the request body.
    body: Digest,
}

/// A token for one call of `audience` (the callee's [`Service::name`]) with exactly this `body`.
pub fn issue(
    identity: &Identity,
    audience: &str,
    body: &[u8],
    now: OffsetDateTime,
    jti: Uuid,
) -> Result<String, SigningFailed> {
    let claims = Claims {
        iss: identity.service().name().to_owned(),
        aud: audience.to_owned(),
        iat: now.unix_timestamp(),
        exp: (now + LIFETIME).unix_timestamp(),
        jti,
        body: Digest::of(body),
    };
    let payload = serde_json::to_vec(&claims).map_err(|_| SigningFailed)?;
    jws::sign(identity.signing_key(), TYP, &payload)
}

/// Who calls, if the token is theirs, for us, for this body and of this minute.
pub fn verify(
    token: &str,
    audience: &str,
    body: &[u8],
    trusted: &TrustedKeys,
    now: OffsetDateTime,
) -> Result<ServiceToken, TokenError> {
    let signed = jws::verify(token, TYP, trusted, LONGEST_BYTES)?;
    let claims: Claims = serde_json::from_slice(&signed.payload).map_err(|_| TokenError::Malformed)?;
    if claims.iss != signed.by.name() {
        return Err(TokenError::WrongIssuer);
    }
    if claims.aud != audience {
        return Err(TokenError::WrongAudience);
    }
    let (now, skew) = (now.unix_timestamp(), SKEW.whole_seconds());
    let lifetime = claims.exp.saturating_sub(claims.iat);
    if claims.iat > now.saturating_add(skew) || !(0..=LIFETIME.whole_seconds()).contains(&lifetime) {
        return Err(TokenError::NotYetValid);
    }
    if claims.exp.saturating_add(skew) <= now {
        return Err(TokenError::Expired);
    }
    if claims.body != Digest::of(body) {
        return Err(TokenError::WrongBody);
    }
    Ok(ServiceToken {
        caller: signed.by,
        id: claims.jti,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::FleetKeys;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-03-02 09:15 UTC);

    fn fleet() -> FleetKeys {
        FleetKeys::generate(&mut rand::rng()).unwrap()
    }

    fn token(identity: &Identity) -> String {
        issue(identity, "executor", b"{}", NOW, Uuid::nil()).unwrap()
    }

    #[test]
    fn a_token_names_its_caller_within_its_minute_and_not_after() {
        let identity = fleet().into_identity(Service::Orchestration).unwrap();
        let token = token(&identity);
        let at = |now| verify(&token, "executor", b"{}", identity.trusted(), now);
        assert_eq!(
            at(NOW),
            Ok(ServiceToken {
                caller: Service::Orchestration,
                id: Uuid::nil()
            })
        );
        assert!(at(NOW + LIFETIME + Duration::seconds(4)).is_ok());
        assert_eq!(at(NOW + LIFETIME + SKEW), Err(TokenError::Expired));
        assert!(at(NOW - SKEW).is_ok());
        assert_eq!(at(NOW - Duration::seconds(6)), Err(TokenError::NotYetValid));
    }

    #[test]
    fn a_token_is_for_one_callee_and_one_body() {
        let identity = fleet().into_identity(Service::Orchestration).unwrap();
        let token = token(&identity);
        let check = |audience, body| verify(&token, audience, body, identity.trusted(), NOW);
        assert_eq!(check("delivery", b"{}"), Err(TokenError::WrongAudience));
        assert_eq!(check("", b"{}"), Err(TokenError::WrongAudience));
        assert_eq!(check("executor", b"{} "), Err(TokenError::WrongBody));
    }

    #[test]
    fn no_service_speaks_for_another() {
        let keys = fleet();
        let trusted = keys.trusted().unwrap();
        let claims = |exp: i64| Claims {
            iss: "orchestration".to_owned(),
            aud: "executor".to_owned(),
            iat: NOW.unix_timestamp(),
            exp,
            jti: Uuid::nil(),
            body: Digest::of(b"{}"),
        };
        let sign = |service, claims: &Claims| {
            let payload = serde_json::to_vec(claims).unwrap();
            jws::sign(keys.signing_key(service).unwrap(), TYP, &payload).unwrap()
        };
        let check = |token: &str| verify(token, "executor", b"{}", &trusted, NOW);
        let soon = NOW.unix_timestamp() + 60;
        assert!(check(&sign(Service::Orchestration, &claims(soon))).is_ok());
        assert_eq!(
            check(&sign(Service::Classifier, &claims(soon))),
            Err(TokenError::WrongIssuer)
        );
        let eternal = sign(Service::Orchestration, &claims(i64::MAX));
        assert_eq!(check(&eternal), Err(TokenError::NotYetValid));
        let reversed = sign(Service::Orchestration, &claims(soon - 61));
        assert_eq!(check(&reversed), Err(TokenError::NotYetValid));
    }

    #[test]
    fn duplicate_unknown_and_missing_claims_are_refused_even_when_signed() {
        let keys = fleet();
        let (trusted, iat) = (keys.trusted().unwrap(), NOW.unix_timestamp());
        let exp = iat + 60;
        let body = Digest::of(b"{}");
        let rest = format!(
            r#""iat":{iat},"exp":{exp},"jti":"{}","body":"{body}""#,
            Uuid::nil()
        );
        let verdict = |payload: String| {
            let key = keys.signing_key(Service::Orchestration).unwrap();
            let token = jws::sign(key, TYP, payload.as_bytes()).unwrap();
            verify(&token, "executor", b"{}", &trusted, NOW)
        };
        assert!(verdict(format!(r#"{{"iss":"orchestration","aud":"executor",{rest}}}"#)).is_ok());
        for payload in [
            format!(r#"{{"iss":"orchestration","aud":"delivery","aud":"executor",{rest}}}"#),
            format!(r#"{{"iss":"orchestration","aud":"executor","admin":true,{rest}}}"#),
            format!(r#"{{"iss":"orchestration","aud":["executor","delivery"],{rest}}}"#),
            format!(r#"{{"iss":"orchestration",{rest}}}"#),
            "{}".to_owned(),
            "null".to_owned(),
        ] {
            assert_eq!(verdict(payload.clone()), Err(TokenError::Malformed), "{payload}");
        }
    }

    #[test]
    fn a_huge_token_is_refused_unread() {
        let trusted = fleet().trusted().unwrap();
        let huge = format!(
            "{}.{}.{}",
            "A".repeat(100_000),
            "A".repeat(100_000),
            "A".repeat(100)
        );
        assert_eq!(
            verify(&huge, "executor", b"", &trusted, NOW),
            Err(TokenError::Malformed)
        );
        assert_eq!(
            verify("", "executor", b"", &trusted, NOW),
            Err(TokenError::Malformed)
        );
    }
}
