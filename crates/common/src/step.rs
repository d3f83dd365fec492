//! The step protocol: how orchestration asks a service for one step of a playbook (design, section 3).

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ids::{ActionName, ExecutionId, OperationId, StepId, TenantId, TicketId};
use crate::outcome::Outcome;
use crate::person::Subject;

/// Named values: parameters of a step, or its output. Keys sort, so equal values have equal JSON.
pub type Values = serde_json::Map<String, serde_json::Value>;

/// Which call of which step: the `n`th visit of the step (loops come back) and the `n`th attempt of that visit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepCall {
    /// The step.
    pub id: StepId,
    /// 1 for the first time the execution enters the step.
    pub visit: u32,
    /// 1 for the first try of this visit.
    pub attempt: u32,
}

impl StepCall {
    /// The value of `Idempotency-Key`: `{execution}/{step}/{visit}/{attempt}`.
    pub fn idempotency_key(&self, execution: ExecutionId) -> String {
        format!("{execution}/{}/{}/{}", self.id, self.visit, self.attempt)
    }
}

/// The privileged action that a verification is asked for: what its permit will allow, and what a manager is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuthorizedAction {
    /// For instance `executor.reset_password`.
    pub action: ActionName,
    /// The step that will perform it.
    pub step: StepId,
    /// Its parameters.
    #[schema(value_type = Object)]
    pub parameters: Values,
}

/// `POST {service}/api/v1/{service}/{action}`, with `Idempotency-Key: {execution}/{step}/{visit}/{attempt}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// The tenant; equal to the subject's.
    pub tenant_id: TenantId,
    /// The execution.
    pub execution_id: ExecutionId,
    /// The ticket it is for.
    pub ticket_id: TicketId,
    /// Which step, visit and attempt.
    pub step: StepCall,
    /// What is asked for.
    pub action: ActionName,
    /// Who is acted on: the only place that names them.
    pub subject: Subject,
    /// As the playbook's `with:` says.
    #[schema(value_type = Object)]
    #[serde(default)]
    pub parameters: Values,
    /// When orchestration will give up waiting: the service must have an answer by then.
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
    /// To a verification: what its success will allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizes: Option<AuthorizedAction>,
    /// To a privileged action: the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<PermitToken>,
    /// To a delivery: what to deliver, for its eyes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedCredential>,
}

/// `POST /api/v1/verification/{id}/permit`: the permit of the verification `id`, or the one whose own id that is, ran out
/// before it could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewPermit {
    /// The execution that it was given for.
    pub execution_id: ExecutionId,
}

/// The same permit with more time: still good for once, whichever of the two is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RenewedPermit {
    /// For the executor's eyes.
    pub permit: PermitToken,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepResult {
    /// Picks the edge.
    pub outcome: Outcome,
    /// One sentence for people, past tense, no secrets and no ticket text: it becomes a note on the ticket.
    pub explanation: String,
    /// Values under their declared names.
    #[schema(value_type = Object)]
    #[serde(default)]
    pub output: Values,
    /// From a successful verification that was told what it authorizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<PermitToken>,
    /// From an action that made a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedCredential>,
}

impl StepResult {
    /// A result of nothing but an outcome and its explanation.
    pub fn new(outcome: Outcome, explanation: impl Into<String>) -> Self {
        Self {
            outcome,
            explanation: explanation.into(),
            output: Values::new(),
            permit: None,
            sealed: None,
        }
    }
}

/// `202`: somebody must act first. The result comes as a [`Signal`]; `GET` on the operation shows it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pending {
    /// What was begun; `GET /api/v1/{service}/{operation}` answers an [`OperationView`].
    pub operation: OperationId,
    /// One sentence for people: who was asked what, by which channel.
    pub explanation: String,
}

/// A service's answer to a [`StepRequest`].
#[derive(Debug, Clone, PartialEq)]
pub enum StepAnswer {
    /// `200`.
    Done(StepResult),
    /// `202`.
    Pending(Pending),
}

/// `POST /api/v1/orchestration/executions/{id}/signals`: the result of an operation, whenever it comes. Repeating it is
/// harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// The tenant of the execution.
    pub tenant_id: TenantId,
    /// The operation that ended.
    pub operation: OperationId,
    /// The call that began it.
    pub step: StepCall,
    /// How it ended.
    pub result: StepResult,
}

/// `GET /api/v1/{service}/{operation}`: how an operation stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationView {
    /// The operation.
    pub operation: OperationId,
    /// The execution it belongs to.
    pub execution_id: ExecutionId,
    /// The call that began it.
    pub step: StepCall,
    /// One sentence for people: what is being waited for.
    pub explanation: String,
    /// When the service will give up by itself.
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
    /// Present once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<StepResult>,
}

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
        #[schema(value_type = String)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wrap the text; what it is worth, only `trust` can tell.
            pub fn from_text(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text, for the wire and for `trust`.
            pub fn as_text(&self) -> &str {
                &self.0
            }
        }

        // Neither is a secret in clear, but neither belongs into a log line either.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({} bytes)", stringify!($name), self.0.len())
            }
        }
    };
}

opaque!(
    /// A permit in its compact form (a signed JWT). Everybody may carry it; only `trust` reads it.
    PermitToken
);
opaque!(
    /// A credential and its destination, encrypted to delivery (HPKE, base64url). Everybody may carry it.
    SealedCredential
);
