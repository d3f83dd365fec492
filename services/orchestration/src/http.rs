//! The REST API: accept an execution, look at executions, take signals; and what operators do.

mod operate;

use axum::extract::State;
use chassis::{Api, ApiError, Caller, Json, Path, Shell, telemetry};
use common::execution::ExecutionAccepted;
use common::{ExecutePlaybook, ExecutionId, ExecutionView, Problem, Signal, TicketId};
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accept::Intake;
use crate::manners;
use crate::operators::Operators;
use crate::store::{SignalRefused, Store, StoreError};

/// All routes.
pub(crate) fn api(shell: &Shell, intake: Intake, operators: &Operators, store: Store) -> Api {
    let executions = OpenApiRouter::new()
        .routes(routes!(execute_playbook))
        .routes(routes!(signal))
        .with_state(intake);
    let look = OpenApiRouter::new()
        .routes(routes!(of_ticket))
        .routes(routes!(execution))
        .routes(routes!(recent))
        .with_state(store);
    Api::new(shell)
        .guarded(executions)
        .guarded(look)
        .guarded(operate::routes(operators))
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<SignalRefused> for ApiError {
    fn from(error: SignalRefused) -> Self {
        match &error {
            SignalRefused::WrongTenant(_) => Problem::forbidden("wrong_tenant", &error).into(),
            SignalRefused::UnknownExecution(_) => Problem::not_found("execution_not_found", &error).into(),
            SignalRefused::Foreign(_) => Problem::conflict("operation_foreign", &error).into(),
            SignalRefused::Store(_) => Self::internal(&error),
        }
    }
}

fn not_found(what: impl std::fmt::Display) -> ApiError {
    Problem::not_found("execution_not_found", what).into()
}

/// Start an execution. Repeating it for the same decision answers the same execution.
#[utoipa::path(post, path = "/api/v1/orchestration/execute_playbook", request_body = ExecutePlaybook, responses(
    (status = 202, body = ExecutionAccepted, description = "it is stored and will be driven to its end"),
    (status = 403, body = Problem, description = "`wrong_tenant`"),
    (status = 409, body = Problem, description = "`execution_open`: another decision's execution is open on this ticket"),
    (status = 422, body = Problem, description = "`playbook_unknown`, `playbook_digest`, `playbook_findings`"),
    (status = 503, body = Problem, description = "`outside_unavailable`: the playbook service is away"),
))]
async fn execute_playbook(
    State(intake): State<Intake>,
    Json(request): Json<ExecutePlaybook>,
) -> Result<(StatusCode, Json<ExecutionAccepted>), ApiError> {
    let accepted = intake.accept(request, telemetry::trace_context()).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Bring the result of an operation. Late, repeated and refused signals are recorded and change nothing.
#[utoipa::path(post, path = "/api/v1/orchestration/executions/{id}/signals", request_body = Signal,
    params(("id" = ExecutionId, Path, description = "the execution")), responses(
    (status = 202, description = "it is stored"),
    (status = 403, body = Problem, description = "`wrong_tenant`"),
    (status = 404, body = Problem, description = "`execution_not_found`"),
    (status = 409, body = Problem, description = "`operation_foreign`: not an operation of this call"),
))]
async fn signal(
    State(intake): State<Intake>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
    Json(mut signal): Json<Signal>,
) -> Result<StatusCode, ApiError> {
    let Caller::Service(sender) = caller else {
        return Err(Problem::forbidden("caller_not_allowed", "signals come from services").into());
    };
    signal.result = manners::result(signal.result);
    intake.hear(id, &signal, sender).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The newest execution of a ticket, with every call of every step.
#[utoipa::path(get, path = "/api/v1/orchestration/execution/{ticket_id}",
    params(("ticket_id" = String, Path, description = "the ticket")), responses(
    (status = 200, body = ExecutionView),
    (status = 404, body = Problem, description = "`execution_not_found`"),
))]
async fn of_ticket(
    State(store): State<Store>,
    Path(ticket): Path<TicketId>,
) -> Result<Json<ExecutionView>, ApiError> {
    let view = store.of_ticket(&ticket).await?;
    view.map(Json)
        .ok_or_else(|| not_found(format!("ticket `{ticket}` has no execution")))
}

/// One execution, with every call of every step.
#[utoipa::path(get, path = "/api/v1/orchestration/executions/{id}",
    params(("id" = ExecutionId, Path, description = "the execution")), responses(
    (status = 200, body = ExecutionView),
    (status = 404, body = Problem, description = "`execution_not_found`"),
))]
async fn execution(
    State(store): State<Store>,
    Path(id): Path<ExecutionId>,
) -> Result<Json<ExecutionView>, ApiError> {
    let view = store.execution(id).await?;
    view.map(Json)
        .ok_or_else(|| not_found(format!("execution `{id}` not found")))
}

/// The newest 100 executions, newest first, without steps.
#[utoipa::path(get, path = "/api/v1/orchestration/executions", responses((status = 200, body = Vec<ExecutionView>)))]
async fn recent(State(store): State<Store>) -> Result<Json<Vec<ExecutionView>>, ApiError> {
    Ok(Json(store.recent().await?))
}
