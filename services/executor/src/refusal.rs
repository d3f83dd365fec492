//! Why nothing was done, and how that is answered. Certain refusals are 4xx: asking again would change nothing.

use ::http::StatusCode;
use chassis::ApiError;
use chassis::switches::{Off, SWITCHED_OFF};
use chassis::tripwires::Alarm;
use common::Problem;
use common::velocity::Exceeded;
use connectors::CallError;
use trust::PermitError;

use crate::eligibility::Ineligible;
use crate::leftovers::LeftoverError;
use crate::store::StoreError;

/// Why [`crate::reset::Reset`] did not answer with a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResetError {
    /// The request is for another tenant or another action than this endpoint's.
    #[error("the request names another {0} than this endpoint serves")]
    Misdirected(&'static str),
    /// The parameters are not those of this action.
    #[error("the parameters are not those of a password reset: {0}")]
    Parameters(String),
    /// Nothing was proven.
    #[error("The step came without a permit, so nothing was reset.")]
    PermitMissing,
    /// What was proven does not allow this.
    #[error("Nothing was reset: {0}.")]
    Permit(#[from] PermitError),
    /// What was proven has been used.
    #[error("Nothing was reset: the permit has already been used.")]
    PermitSpent,
    /// The visit of the step is known, for something else.
    #[error("this visit of the step already stands for another effect")]
    OtherEffect,
    /// The visit of the step is undone, or is about to be.
    #[error("Nothing was reset: the step had been withdrawn.")]
    Undone,
    /// Another request is at it.
    #[error("the same effect is under way")]
    UnderWay,
    /// A person must see to it.
    #[error(transparent)]
    Ineligible(#[from] Ineligible),
    /// Too much in too short a time: a person must see to it.
    #[error("Nothing was reset: {0}.")]
    Limited(Exceeded),
    /// This was one too many of those that no honest fleet asks for: nothing more is done for the tenant.
    #[error("{0} {words}", words = Alarm::on_ticket(&.1.to_string()))]
    Froze(Box<ResetError>, Alarm),
    /// Nothing is done at the moment.
    #[error("nothing was reset: {0}")]
    SwitchedOff(Off),
    /// The directory is away, or its answer was lost; the intent, where there is one, stays open.
    #[error("the directory does not answer")]
    Away(#[source] CallError),
    /// The directory refuses to be read.
    #[error("Nothing was reset: {0}.")]
    Refused(#[source] CallError),
    /// Sealing failed; the pass is deleted.
    #[error("cannot seal what was made")]
    Seal(#[source] trust::SealError),
    /// The ledger failed.
    #[error("cannot keep the ledger")]
    Store(#[from] StoreError),
}

impl ResetError {
    /// A refusal that belongs into the audit, with its code.
    pub(crate) fn audited(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Misdirected(_) => Some(("effect.refused", "misdirected")),
            Self::Parameters(_) => Some(("effect.refused", "parameters_invalid")),
            Self::PermitMissing => Some(("permit.refused", "permit_missing")),
            Self::Permit(error) => Some(("permit.refused", error.code())),
            Self::PermitSpent => Some(("permit.refused", "permit_spent")),
            Self::OtherEffect => Some(("effect.refused", "effect_mismatch")),
            Self::Undone => Some(("effect.refused", "effect_undone")),
            Self::Ineligible(why) => Some(("effect.refused", why.code())),
            Self::Limited(exceeded) => Some(("effect.refused", exceeded.code())),
            Self::SwitchedOff(_) => Some(("effect.refused", SWITCHED_OFF)),
            Self::Froze(why, _) => why.audited(),
            Self::Refused(_) => Some(("effect.refused", "directory_refused")),
            Self::UnderWay | Self::Away(_) | Self::Seal(_) | Self::Store(_) => None,
        }
    }

    /// No honest fleet asks for this: somebody goes around the gate, or plays with proofs. One that ran out while the work
    /// was parked is none of it.
    pub(crate) fn is_alarm(&self) -> bool {
        match self {
            Self::Permit(error) => !matches!(error, PermitError::Expired),
            Self::PermitMissing | Self::PermitSpent => true,
            Self::Ineligible(why) => matches!(why, Ineligible::Protected { .. }),
            // Counted already.
            Self::Froze(..)
            | Self::Misdirected(_)
            | Self::Parameters(_)
            | Self::OtherEffect
            | Self::Undone
            | Self::UnderWay
            | Self::Limited(_)
            | Self::SwitchedOff(_)
            | Self::Away(_)
            | Self::Refused(_)
            | Self::Seal(_)
            | Self::Store(_) => false,
        }
    }
}

impl From<ResetError> for ApiError {
    fn from(error: ResetError) -> Self {
        let code = error.audited().map_or("", |(_, code)| code);
        let problem = match &error {
            ResetError::Misdirected(_)
            | ResetError::Parameters(_)
            | ResetError::Ineligible(_)
            | ResetError::Limited(_) => Problem::unprocessable(code, &error),
            ResetError::SwitchedOff(off) => off.problem(),
            // Only what held no proof, and people who are protected, raise it.
            ResetError::Froze(why, _) if matches!(**why, ResetError::Ineligible(_)) => {
                Problem::unprocessable(code, &error)
            }
            ResetError::Froze(..) => Problem::forbidden(code, &error),
            ResetError::PermitMissing | ResetError::Permit(_) | ResetError::PermitSpent => {
                Problem::forbidden(code, &error)
            }
            ResetError::OtherEffect | ResetError::Undone => Problem::conflict(code, &error),
            ResetError::UnderWay => in_flight(&error),
            ResetError::Refused(cause) => {
                tracing::error!(error = %chassis::chain(cause), "the directory refused to be read");
                Problem::unprocessable(code, &error)
            }
            ResetError::Away(cause) => away(cause),
            ResetError::Seal(_) | ResetError::Store(_) => return Self::internal(&error),
        };
        problem.into()
    }
}

impl From<LeftoverError> for ResetError {
    fn from(error: LeftoverError) -> Self {
        match error {
            // Never a refusal: that "nothing was reset" would be a lie, so it is told otherwise (`leftovers::told_without`).
            LeftoverError::Directory(error) => Self::Away(error),
            LeftoverError::UnderWay => Self::UnderWay,
            LeftoverError::Store(error) => Self::Store(error),
        }
    }
}

/// Why [`crate::undo::PassDeletion`] did not answer with a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
    /// The request is for another tenant, action or step than this endpoint's.
    #[error("the request names another {0} than this endpoint serves")]
    Misdirected(&'static str),
    /// The parameters are not those of this action.
    #[error("the parameters do not name the visit of a step: {0}")]
    Parameters(String),
    /// What the visit did, it did for somebody else.
    #[error("Nothing was undone: the step had acted for another person, ticket or action.")]
    OtherEffect,
    /// Another request is at it: the effect itself, or its undo.
    #[error("the same effect is under way")]
    UnderWay,
    /// The directory is away, or its answer was lost; the undo stays open.
    #[error("the directory does not answer")]
    Away(#[source] CallError),
    /// The directory refuses; the undo stays open.
    #[error("Nothing was undone: {0}.")]
    Refused(#[source] CallError),
    /// The ledger failed.
    #[error("cannot keep the ledger")]
    Store(#[from] StoreError),
}

impl UndoError {
    /// The code of a refusal that belongs into the audit.
    pub(crate) fn audited(&self) -> Option<&'static str> {
        match self {
            Self::Misdirected(_) => Some("misdirected"),
            Self::Parameters(_) => Some("parameters_invalid"),
            Self::OtherEffect => Some("effect_mismatch"),
            Self::Refused(_) => Some("directory_refused"),
            Self::UnderWay | Self::Away(_) | Self::Store(_) => None,
        }
    }
}

impl From<CallError> for UndoError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { .. } => Self::Refused(error),
            CallError::Busy { .. } | CallError::Unknown { .. } => Self::Away(error),
        }
    }
}

impl From<LeftoverError> for UndoError {
    fn from(error: LeftoverError) -> Self {
        match error {
            LeftoverError::Directory(error) => error.into(),
            LeftoverError::UnderWay => Self::UnderWay,
            LeftoverError::Store(error) => Self::Store(error),
        }
    }
}

impl From<UndoError> for ApiError {
    fn from(error: UndoError) -> Self {
        let code = error.audited().unwrap_or_default();
        let problem = match &error {
            UndoError::Misdirected(_) | UndoError::Parameters(_) => Problem::unprocessable(code, &error),
            UndoError::OtherEffect => Problem::forbidden(code, &error),
            UndoError::UnderWay => in_flight(&error),
            UndoError::Refused(cause) => {
                tracing::error!(error = %chassis::chain(cause), "the directory refused to have a pass deleted");
                Problem::unprocessable(code, &error)
            }
            UndoError::Away(cause) => away(cause),
            UndoError::Store(_) => return Self::internal(&error),
        };
        problem.into()
    }
}

/// Not a 409: those are kept for replay, and this answer is different in a moment.
fn in_flight(error: impl std::fmt::Display) -> Problem {
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "effect_in_flight", error);
    problem.retry_after_s = Some(1);
    problem
}

fn away(cause: &CallError) -> Problem {
    tracing::warn!(error = %chassis::chain(cause), "the directory is away");
    let wait = cause.retry_after().map(|wait| wait.as_secs().max(1));
    Problem::outside_unavailable("the directory", wait)
}
