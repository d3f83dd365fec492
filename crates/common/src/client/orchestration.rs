//! Orchestration: executions, and what operators do to them.

use http::Method;
use serde::Serialize;

use super::peer::{Peer, PeerError, Request};
use crate::execution::{ExecutePlaybook, ExecutionAccepted, ExecutionView};
use crate::ids::{ExecutionId, TicketId};
use crate::operate::{CancelExecution, OperateExecution, SetSwitch, SwitchView};
use crate::step::Signal;

/// The orchestration service.
#[derive(Clone)]
pub struct OrchestrationClient(pub Peer);

impl OrchestrationClient {
    /// Start an execution. The decision id is the idempotency key.
    pub async fn execute(&self, request: &ExecutePlaybook) -> Result<ExecutionAccepted, PeerError> {
        let key = format!("decision/{}", request.decision_id);
        let path = "/api/v1/orchestration/execute_playbook";
        self.0
            .read(Request::json(Method::POST, path, request).keyed(&key))
            .await
    }

    /// Bring the result of an operation. Safe to repeat.
    pub async fn signal(&self, execution: ExecutionId, signal: &Signal) -> Result<(), PeerError> {
        let key = format!("signal/{}", signal.operation);
        let path = format!("/api/v1/orchestration/executions/{execution}/signals");
        self.0
            .send(Request::json(Method::POST, &path, signal).keyed(&key))
            .await
            .map(|_| ())
    }

    /// The newest execution of a ticket.
    pub async fn of_ticket(&self, ticket: &TicketId) -> Result<ExecutionView, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/orchestration/execution/{ticket}")))
            .await
    }

    /// One execution.
    pub async fn execution(&self, id: ExecutionId) -> Result<ExecutionView, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/orchestration/executions/{id}")))
            .await
    }

    /// Let no further step of it begin.
    pub async fn pause(&self, id: ExecutionId, why: &OperateExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "pause", why).await
    }

    /// Let it go on.
    pub async fn resume(&self, id: ExecutionId, why: &OperateExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "resume", why).await
    }

    /// End it, taking back what it did.
    pub async fn cancel(&self, id: ExecutionId, why: &CancelExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "cancel", why).await
    }

    /// Try the step that failed again.
    pub async fn retry(&self, id: ExecutionId, why: &OperateExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "retry", why).await
    }

    async fn operate(
        &self,
        id: ExecutionId,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<ExecutionView, PeerError> {
        let path = format!("/api/v1/orchestration/executions/{id}/{verb}");
        self.0.read(Request::json(Method::POST, &path, body)).await
    }

    /// The switches of this tenant, and the global one.
    pub async fn switches(&self) -> Result<Vec<SwitchView>, PeerError> {
        self.0.read(Request::get("/api/v1/orchestration/switches")).await
    }

    /// Switch executions off, or on again.
    pub async fn switch(&self, set: &SetSwitch) -> Result<SwitchView, PeerError> {
        let path = "/api/v1/orchestration/switches";
        self.0.read(Request::json(Method::PUT, path, set)).await
    }

    /// The newest executions, at most 100, newest first, without steps.
    pub async fn recent(&self) -> Result<Vec<ExecutionView>, PeerError> {
        self.0
            .read(Request::get("/api/v1/orchestration/executions"))
            .await
    }
}
