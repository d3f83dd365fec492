//! Permits: verification's signed word that one privileged action may be done once, and the executor's check of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{
    ActionName, Assurance, Digest, ExecutionId, PermitId, PermitToken, Service, StepId, TenantId, TicketId,
    UserId, Values,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::jws::{self, JwsError};
use crate::keys::{Identity, TrustedKeys};

/// The longest a permit may be good for.
pub const LIFETIME: Duration = Duration::minutes(10);
/// How long after the person answered a permit may be renewed.
pub const RENEWABLE: Duration = Duration::minutes(30);
/// How far the clocks of verification and executor may differ.
pub const SKEW: Duration = Duration::seconds(5);

const TYP: &str = "firstline-permit+jwt";
/// Ours are some 1,000 bytes; the ids that the outside hands us may be long.
const LONGEST_BYTES: usize = 8192;

/// How the person proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// They approved a push on their enrolled phone.
    MfaPush,
    /// Their manager approved the card in Teams.
    ManagerTeams,
    /// Their manager answered the SMS.
    ManagerSms,
}

impl Method {
    /// The word in the claims.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MfaPush => "mfa_push",
            Self::ManagerTeams => "manager_teams",
            Self::ManagerSms => "manager_sms",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything that a permit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitClaims {
    /// Single use: the executor burns it.
    pub id: PermitId,
    /// Whose fleet.
    pub tenant: TenantId,
    /// In which execution.
    pub execution: ExecutionId,
    /// For which ticket.
    pub ticket: TicketId,
    /// On whom.
    pub subject: UserId,
    /// What may be done.
    pub action: ActionName,
    /// By which step.
    pub step: StepId,
    /// With exactly which parameters: [`parameters_digest`].
    pub parameters: Digest,
    /// How strongly it was proven.
    pub assurance: Assurance,
    /// By what.
    pub method: Method,
    /// The other person who answered for it, where there was one.
    pub approver: Option<UserId>,
    /// What that person was shown, as a digest of the text.
    pub shown: Option<Digest>,
    /// When it was proven; whole seconds count.
    pub issued: OffsetDateTime,
    /// Until when it may be spent; at most [`LIFETIME`] after `issued`.
    pub expires: OffsetDateTime,
}

/// The id that a permit says it has, unchecked: for asking verification about it, and for nothing else.
pub fn claimed_id(token: &PermitToken) -> Option<PermitId> {
    #[derive(Deserialize)]
    struct Named {
        jti: PermitId,
    }
    let text = token.as_text();
    if text.len() > LONGEST_BYTES {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Named>(&payload)
        .ok()
        .map(|named| named.jti)
}

/// What a permit's renewal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It has more than a minute left and stays as it is.
    StillGood,
    /// The same permit, from now on.
    Renewed {
        /// Now, in whole seconds.
        issued: OffsetDateTime,
        /// At most [`LIFETIME`] later, and never later than [`RENEWABLE`] after the person answered.
        expires: OffsetDateTime,
    },
    /// The person answered too long ago.
    TooLate,
}

/// A permit that runs out within this is renewed: it must reach the executor, and clocks differ.
const NEARLY_OVER: Duration = Duration::MINUTE;

/// Whether a permit that ends at `expires` may get more time at `now`, where its person answered at `answered`.
///
/// It keeps its id: whichever of its tokens is used, it is used up.
pub fn renew(answered: OffsetDateTime, expires: OffsetDateTime, now: OffsetDateTime) -> Renewal {
    let whole = |at: OffsetDateTime| at.replace_nanosecond(0).unwrap_or(at);
    let (issued, last) = (whole(now), whole(answered + RENEWABLE));
    let longer = (issued + LIFETIME).min(last);
    if expires > now + NEARLY_OVER || (expires > now && longer <= expires) {
        Renewal::StillGood
    } else if longer <= now {
        Renewal::TooLate
    } else {
        Renewal::Renewed {
            issued,
            expires: longer,
        }
    }
}

/// The digest of a step's parameters, which a permit binds. Keys sort, so equal parameters have equal digests.
pub fn parameters_digest(parameters: &Values) -> Digest {
    Digest::of_json(&serde_json::Value::Object(parameters.clone()))
}

/// What the executor is about to do: every binding that the permit must match. There is no default for any.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The executor's own tenant.
    pub tenant: &'a TenantId,
    /// From the request.
    pub execution: ExecutionId,
    /// From the request.
    pub ticket: &'a TicketId,
    /// From the request: who will be acted on.
    pub subject: &'a UserId,
    /// What the endpoint does, not what the request calls it.
    pub action: &'a ActionName,
    /// From the request.
    pub step: &'a StepId,
    /// From the request.
    pub parameters: &'a Values,
    /// The least that the action accepts.
    pub at_least: Assurance,
}

/// Why a permit allows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PermitError {
    /// Not a permit of ours.
    #[error("the permit is malformed")]
    Malformed,
    /// Signed otherwise than by EdDSA.
    #[error("the permit is signed with another algorithm than EdDSA")]
    WrongAlgorithm,
    /// Signed by nobody we know, or by a service that proves nothing.
    #[error("the permit is not signed by the verification service")]
    WrongIssuer,
    /// Altered.
    #[error("the permit's signature is wrong")]
    BadSignature,
    /// Too late.
    #[error("the permit has expired")]
    Expired,
    /// From the future, or good for longer than any of ours.
    #[error("the permit is not valid yet, or for longer than ten minutes")]
    NotYetValid,
    /// Good for something else. Names the binding that differs.
    #[error("the permit is for another {0}")]
    Mismatch(&'static str),
    /// Proven, but not strongly enough.
    #[error("the permit proves less than the action asks for")]
    TooWeak,
    /// The library could not sign, or the claims are longer than any reader would take.
    #[error("the permit could not be signed")]
    NotSigned,
}

impl PermitError {
    /// Stable, for problems and for the audit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "permit_malformed",
            Self::WrongAlgorithm => "permit_algorithm",
            Self::WrongIssuer => "permit_issuer",
            Self::BadSignature => "permit_signature",
            Self::Expired => "permit_expired",
            Self::NotYetValid => "permit_not_yet_valid",
            Self::Mismatch(_) => "permit_mismatch",
            Self::TooWeak => "permit_too_weak",
            Self::NotSigned => "permit_not_signed",
        }
    }
}

impl From<JwsError> for PermitError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLong | JwsError::Malformed | JwsError::WrongType => Self::Malformed,
            JwsError::WrongAlgorithm => Self::WrongAlgorithm,
            JwsError::UnknownKey => Self::WrongIssuer,
            JwsError::BadSignature => Self::BadSignature,
        }
    }
}

/// The claims as JSON. Order and names are part of the format.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: PermitId,
    tenant: TenantId,
    execution: ExecutionId,
    ticket: TicketId,
    subject: UserId,
    action: ActionName,
    step: StepId,
    parameters: Digest,
    assurance: Assurance,
    method: Method,
    approver: Option<UserId>,
    shown: Option<Digest>,
}

/// A permit that was checked against what is about to be done. Holding one means that it allows exactly that.
#[derive(Debug)]
pub struct Permit {
    claims: PermitClaims,
}

impl Permit {
    /// Sign `claims`.
    ///
    /// # Errors
    /// [`PermitError::WrongIssuer`] where `identity` is not verification's, [`PermitError::NotYetValid`] for a lifetime
    /// that is negative or beyond [`LIFETIME`]: nobody would accept either.
    pub fn issue(claims: &PermitClaims, identity: &Identity) -> Result<PermitToken, PermitError> {
        if identity.service() != Service::Verification {
            return Err(PermitError::WrongIssuer);
        }
        lifetime(claims.issued.unix_timestamp(), claims.expires.unix_timestamp())?;
        let claims = claims.clone();
        let wire = Wire {
            iss: Service::Verification.name().to_owned(),
            aud: claims.action.service().to_owned(),
            iat: claims.issued.unix_timestamp(),
            exp: claims.expires.unix_timestamp(),
            jti: claims.id,
            tenant: claims.tenant,
            execution: claims.execution,
            ticket: claims.ticket,
            subject: claims.subject,
            action: claims.action,
            step: claims.step,
            parameters: claims.parameters,
            assurance: claims.assurance,
            method: claims.method,
            approver: claims.approver,
            shown: claims.shown,
        };
        let payload = serde_json::to_vec(&wire).map_err(|_| PermitError::NotSigned)?;
        let text = jws::sign(identity.signing_key(), TYP, &payload).map_err(|_| PermitError::NotSigned)?;
        if text.len() > LONGEST_BYTES {
            return Err(PermitError::NotSigned);
        }
        Ok(PermitToken::from_text(text))
    }

    /// Check `token` against everything it must match.
    pub fn verify(
        token: &PermitToken,
        expected: &Expected<'_>,
        trusted: &TrustedKeys,
        now: OffsetDateTime,
    ) -> Result<Self, PermitError> {
        let signed = jws::verify(token.as_text(), TYP, trusted, LONGEST_BYTES)?;
        if signed.by != Service::Verification {
            return Err(PermitError::WrongIssuer);
        }
        let wire: Wire = serde_json::from_slice(&signed.payload).map_err(|_| PermitError::Malformed)?;
        if wire.iss != Service::Verification.name() {
            return Err(PermitError::WrongIssuer);
        }
        if wire.aud != expected.action.service() {
            return Err(PermitError::Mismatch("audience"));
        }
        lifetime(wire.iat, wire.exp)?;
        let (now, skew) = (now.unix_timestamp(), SKEW.whole_seconds());
        if wire.iat > now.saturating_add(skew) {
            return Err(PermitError::NotYetValid);
        }
        if wire.exp <= now {
            return Err(PermitError::Expired);
        }
        let claims = wire.claims()?;
        bind(&claims, expected)?;
        Ok(Self { claims })
    }

    /// What it says.
    pub fn claims(&self) -> &PermitClaims {
        &self.claims
    }

    /// Give it up. To be called by the store that has burnt the id, in the transaction that records the intent.
    pub fn spend(self) -> SpentPermit {
        SpentPermit { claims: self.claims }
    }
}

/// A permit whose id is burnt: what a privileged act asks for, by value, so that it can neither be forgotten nor used
/// twice.
#[derive(Debug)]
pub struct SpentPermit {
    claims: PermitClaims,
}

impl SpentPermit {
    /// What it allowed.
    pub fn claims(&self) -> &PermitClaims {
        &self.claims
    }
}

impl Wire {
    fn claims(self) -> Result<PermitClaims, PermitError> {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| PermitError::Malformed);
        Ok(PermitClaims {
            id: self.jti,
            tenant: self.tenant,
            execution: self.execution,
            ticket: self.ticket,
            subject: self.subject,
            action: self.action,
            step: self.step,
            parameters: self.parameters,
            assurance: self.assurance,
            method: self.method,
            approver: self.approver,
            shown: self.shown,
            issued: at(self.iat)?,
            expires: at(self.exp)?,
        })
    }
}

fn lifetime(issued: i64, expires: i64) -> Result<(), PermitError> {
    if (0..=LIFETIME.whole_seconds()).contains(&expires.saturating_sub(issued)) {
        Ok(())
    } else {
        Err(PermitError::NotYetValid)
    }
}

/// The table of bindings, readable aloud. Destructured on purpose: a new binding does not compile until it is compared.
fn bind(claims: &PermitClaims, expected: &Expected<'_>) -> Result<(), PermitError> {
    let Expected {
        tenant,
        execution,
        ticket,
        subject,
        action,
        step,
        parameters,
        at_least,
    } = *expected;
    let bindings = [
        ("tenant", claims.tenant == *tenant),
        ("execution", claims.execution == execution),
        ("ticket", claims.ticket == *ticket),
        ("subject", claims.subject == *subject),
        ("action", claims.action == *action),
        ("step", claims.step == *step),
        (
            "set of parameters",
            claims.parameters == parameters_digest(parameters),
        ),
        // Nobody vouches for themselves.
        (
            "approver than its subject",
            claims.approver.as_ref() != Some(subject),
        ),
    ];
    if let Some((name, _)) = bindings.into_iter().find(|(_, matches)| !matches) {
        return Err(PermitError::Mismatch(name));
    }
    if claims.assurance < at_least {
        return Err(PermitError::TooWeak);
    }
    Ok(())
}

#[cfg(test)]
#[path = "permit_tests.rs"]
mod tests;
