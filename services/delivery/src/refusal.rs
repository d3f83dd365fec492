//! Why nothing was sent, and how that is answered. Certain refusals are 4xx: asking again would change nothing.

use ::http::StatusCode;
use chassis::ApiError;
use chassis::switches::{Off, SWITCHED_OFF};
use common::{OperationId, Problem};
use connectors::CallError;
use trust::SealError;

use crate::store::StoreError;

/// Why [`crate::send::Sender`] did not answer with a result or an operation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The request is for another tenant or another action than this endpoint's.
    #[error("the request names another {0} than this endpoint serves")]
    Misdirected(&'static str),
    /// The action takes none.
    #[error("`delivery.sms` takes no parameters")]
    Parameters,
    /// There is nothing to deliver.
    #[error("The step came without a sealed credential, so nothing was sent.")]
    Missing,
    /// It stays shut.
    #[error("Nothing was sent: {0}.")]
    Shut(#[from] SealError),
    /// It has been delivered, or is being, by another visit of a step.
    #[error("Nothing was sent: the sealed credential has already been opened.")]
    OpenedBefore,
    /// The visit of the step is known, for something else.
    #[error("this visit of the step already stands for another delivery")]
    OtherDelivery,
    /// Another request is at it.
    #[error("the same delivery is under way")]
    UnderWay,
    /// Nothing is sent at the moment.
    #[error("nothing was sent: {0}")]
    SwitchedOff(Off),
    /// The gateway is away, or its answer was lost; the intent stays open.
    #[error("the SMS gateway does not answer")]
    Away(#[source] CallError),
    /// The ledger failed.
    #[error("cannot keep the deliveries")]
    Store(#[from] StoreError),
}

impl SendError {
    /// The code of a refusal that belongs into the audit.
    pub(crate) fn audited(&self) -> Option<&'static str> {
        match self {
            Self::Misdirected(_) => Some("misdirected"),
            Self::Parameters => Some("parameters_invalid"),
            Self::Missing => Some("sealed_missing"),
            Self::Shut(error) => Some(error.code()),
            Self::OpenedBefore => Some("sealed_opened_before"),
            Self::OtherDelivery => Some("delivery_mismatch"),
            Self::SwitchedOff(_) => Some(SWITCHED_OFF),
            Self::UnderWay | Self::Away(_) | Self::Store(_) => None,
        }
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        let code = error.audited().unwrap_or_default();
        let problem = match &error {
            SendError::Misdirected(_) | SendError::Parameters | SendError::Missing => {
                Problem::unprocessable(code, &error)
            }
            SendError::Shut(SealError::Expired) => Problem::unprocessable(code, &error),
            SendError::Shut(_) => Problem::forbidden(code, &error),
            SendError::OpenedBefore | SendError::OtherDelivery => Problem::conflict(code, &error),
            // Not a 409: those are kept for replay, and this answer is different in a moment.
            SendError::UnderWay => {
                let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "delivery_in_flight", &error);
                problem.retry_after_s = Some(1);
                problem
            }
            SendError::SwitchedOff(off) => off.problem(),
            SendError::Away(cause) => {
                tracing::warn!(error = %chassis::chain(cause), "the SMS gateway is away");
                let wait = cause.retry_after().map(|wait| wait.as_secs().max(1));
                Problem::outside_unavailable("the SMS gateway", wait)
            }
            SendError::Store(_) => return Self::internal(&error),
        };
        problem.into()
    }
}

/// No delivery has this number.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewError {
    #[error("delivery `{0}` not found")]
    NotFound(OperationId),
    #[error("cannot read the deliveries")]
    Store(#[from] StoreError),
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> Self {
        match &error {
            ViewError::NotFound(_) => Problem::not_found("delivery_not_found", &error).into(),
            ViewError::Store(_) => Self::internal(&error),
        }
    }
}
