//! A permit that ran out while the work was parked gets more time, for as long as the person's answer is fresh.

use chassis::ApiError;
use common::{ExecutionId, PermitToken, Problem};
use time::OffsetDateTime;
use trust::permit::PermitError;
use uuid::Uuid;

use crate::Verifier;
use crate::permit;
use crate::store::{Renewing, StoreError};

/// Why a permit gets no more time.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// No verification, and no permit, has this id in this execution.
    #[error("no permit `{0}` was given in this execution")]
    NotFound(Uuid),
    /// It was not approved, or allows nothing.
    #[error("this verification gave no permit")]
    NoPermit,
    /// The person answered too long ago.
    #[error("the proof has run out: it was given more than half an hour ago")]
    TooLate,
    /// The database.
    #[error("cannot record the renewal")]
    Store(#[from] StoreError),
    /// The permit could not be signed.
    #[error("cannot sign the permit")]
    Permit(#[from] PermitError),
}

impl From<RenewError> for ApiError {
    fn from(error: RenewError) -> Self {
        match &error {
            RenewError::NotFound(_) => Problem::not_found("permit_not_found", &error).into(),
            RenewError::NoPermit => Problem::conflict("permit_not_given", &error).into(),
            RenewError::TooLate => Problem::conflict("permit_not_renewable", &error).into(),
            RenewError::Store(_) | RenewError::Permit(_) => Self::internal(&error),
        }
    }
}

impl Verifier {
    /// The permit of the verification `id`, or the one whose own id that is, with the time that it may have at `now`.
    pub async fn renew_permit(
        &self,
        id: Uuid,
        execution: ExecutionId,
        now: OffsetDateTime,
    ) -> Result<PermitToken, RenewError> {
        let operation = match self.store.renew_permit(id, execution, now).await? {
            Renewing::Good(operation) => operation,
            Renewing::Unknown => return Err(RenewError::NotFound(id)),
            Renewing::NotGiven => return Err(RenewError::NoPermit),
            Renewing::TooLate => return Err(RenewError::TooLate),
        };
        permit::token(&operation, &self.keys.now())?.ok_or(RenewError::NoPermit)
    }
}
