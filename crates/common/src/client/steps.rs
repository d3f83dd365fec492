//! Whoever performs steps.

use http::{Method, StatusCode};

use super::peer::{Peer, PeerError, Request};
use crate::digest::Digest;
use crate::ids::{ActionName, ExecutionId, OperationId, PermitId};
use crate::step::{
    OperationView, Pending, PermitToken, RenewPermit, RenewedPermit, StepAnswer, StepRequest, StepResult,
};

/// Any service that performs steps: verification, executor, delivery, or a customer's own.
#[derive(Clone)]
pub struct StepClient(pub Peer);

impl StepClient {
    /// Ask for a step at `path` (from the action registry). Safe to repeat: the call is its idempotency key.
    pub async fn perform(&self, path: &str, request: &StepRequest) -> Result<StepAnswer, PeerError> {
        let key = request.step.idempotency_key(request.execution_id);
        self.perform_as(path, request, &key).await
    }

    async fn perform_as(
        &self,
        path: &str,
        request: &StepRequest,
        key: &str,
    ) -> Result<StepAnswer, PeerError> {
        let (status, body) = self
            .0
            .send(Request::json(Method::POST, path, request).keyed(key))
            .await?;
        if status == StatusCode::ACCEPTED {
            self.0.parse::<Pending>(&body).map(StepAnswer::Pending)
        } else {
            self.0.parse::<StepResult>(&body).map(StepAnswer::Done)
        }
    }

    /// Ask once more, with a renewed permit. Another request than the one that was refused, so it has a key of its own,
    /// which is the same for the same permit.
    pub async fn perform_renewed(&self, path: &str, request: &StepRequest) -> Result<StepAnswer, PeerError> {
        let permit = request.permit.as_ref().map_or("", PermitToken::as_text);
        let call = request.step.idempotency_key(request.execution_id);
        self.perform_as(path, request, &format!("{call}/{}", Digest::of(permit)))
            .await
    }

    /// The permit of this service with more time. Safe to repeat, without a key: the answer depends on the time.
    pub async fn renew_permit(
        &self,
        permit: PermitId,
        execution: ExecutionId,
    ) -> Result<RenewedPermit, PeerError> {
        let path = format!("/api/v1/verification/{permit}/permit");
        let body = RenewPermit {
            execution_id: execution,
        };
        self.0.read(Request::json(Method::POST, &path, &body)).await
    }

    /// How an operation stands: `GET /api/v1/{service}/{operation}`.
    pub async fn operation(
        &self,
        action: &ActionName,
        operation: OperationId,
    ) -> Result<OperationView, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/{}/{operation}", action.service())))
            .await
    }
}
