//! The REST API of operators: what they do to one execution, and the switches that hold many.

use axum::extract::State;
use chassis::{ApiError, Json, Path, PersonCaller};
use common::operate::{CancelExecution, OperateExecution, SetSwitch, SwitchView};
use common::{ExecutionId, ExecutionView, Problem, Reason};
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::not_found;
use crate::operators::Operators;
use crate::store::Operation;

/// The verbs and the switches.
pub(super) fn routes(operators: &Operators) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(switches, set_switch))
        .with_state(operators.clone())
}

/// Where the body says so.
fn reason(body: Option<&Json<OperateExecution>>) -> Option<&Reason> {
    body.and_then(|Json(body)| body.reason.as_ref())
}

/// 202 where it is wanted from now on, 200 where it was so already.
async fn answer(
    operators: &Operators,
    id: ExecutionId,
    operation: Operation,
) -> Result<(StatusCode, Json<ExecutionView>), ApiError> {
    let status = match operation {
        Operation::Done => StatusCode::ACCEPTED,
        Operation::Already => StatusCode::OK,
    };
    let view = operators.store.execution(id).await?;
    let view = view.ok_or_else(|| not_found(format!("execution `{id}` not found")))?;
    Ok((status, Json(view)))
}

/// Pause an execution: no step of it begins until it is resumed. A call under way is heard, and a person who was asked may
/// still answer. The time of its steps and of the playbook goes on. The body may be left out.
#[utoipa::path(post, path = "/api/v1/orchestration/executions/{id}/pause", request_body = Option<OperateExecution>,
    params(("id" = ExecutionId, Path, description = "the execution")), responses(
    (status = 202, body = ExecutionView, description = "it is paused"),
    (status = 200, body = ExecutionView, description = "it was paused already"),
    (status = 404, body = Problem, description = "`execution_not_found`"),
    (status = 409, body = Problem, description = "`execution_ended`, `execution_cancelled`"),
))]
async fn pause(
    State(operators): State<Operators>,
    operator: PersonCaller,
    Path(id): Path<ExecutionId>,
    body: Option<Json<OperateExecution>>,
) -> Result<(StatusCode, Json<ExecutionView>), ApiError> {
    let operation = operators.pause(id, &operator, reason(body.as_ref())).await?;
    answer(&operators, id, operation).await
}

/// Resume an execution that was paused: it goes on from where it stood. The body may be left out.
#[utoipa::path(post, path = "/api/v1/orchestration/executions/{id}/resume", request_body = Option<OperateExecution>,
    params(("id" = ExecutionId, Path, description = "the execution")), responses(
    (status = 202, body = ExecutionView, description = "it goes on"),
    (status = 200, body = ExecutionView, description = "it was not paused"),
    (status = 404, body = Problem, description = "`execution_not_found`"),
    (status = 409, body = Problem, description = "`execution_ended`"),
))]
async fn resume(
    State(operators): State<Operators>,
    operator: PersonCaller,
    Path(id): Path<ExecutionId>,
    body: Option<Json<OperateExecution>>,
) -> Result<(StatusCode, Json<ExecutionView>), ApiError> {
    let operation = operators.resume(id, &operator, reason(body.as_ref())).await?;
    answer(&operators, id, operation).await
}

/// Cancel an execution: no further step begins, a call under way is heard, what was done and can be taken back is taken
/// back, and a person takes over. Whoever was asked is waited for no longer.
#[utoipa::path(post, path = "/api/v1/orchestration/executions/{id}/cancel", request_body = CancelExecution,
    params(("id" = ExecutionId, Path, description = "the execution")), responses(
    (status = 202, body = ExecutionView, description = "it ends as `ESCALATED`, once what it did was taken back"),
    (status = 200, body = ExecutionView, description = "it was cancelled already"),
    (status = 404, body = Problem, description = "`execution_not_found`"),
    (status = 409, body = Problem, description = "`execution_ended`"),
))]
async fn cancel(
    State(operators): State<Operators>,
    operator: PersonCaller,
    Path(id): Path<ExecutionId>,
    Json(CancelExecution { reason }): Json<CancelExecution>,
) -> Result<(StatusCode, Json<ExecutionView>), ApiError> {
    let operation = operators.cancel(id, &operator, &reason).await?;
    answer(&operators, id, operation).await
}

/// Try again: the step because of which the execution escalated, in a further visit with attempts and keys of its own; or at
/// once what waits for its next attempt or for an outside system. Refused where something was taken back, where nobody knows
/// whether a privileged step was done, where its proof is spent, and where the ticket is not the automation's any more; and,
/// before it has ended, where somebody paused or cancelled it. The body may be left out.
#[utoipa::path(post, path = "/api/v1/orchestration/executions/{id}/retry", request_body = Option<OperateExecution>,
    params(("id" = ExecutionId, Path, description = "the execution")), responses(
    (status = 202, body = ExecutionView, description = "it goes on with the step that had failed"),
    (status = 404, body = Problem, description = "`execution_not_found`"),
    (status = 409, body = Problem, description = "`execution_not_retriable`, `retry_needs_new_proof`, `execution_paused`, \
        `execution_cancelled`"),
    (status = 503, body = Problem, description = "`outside_unavailable`: the help desk is away"),
))]
async fn retry(
    State(operators): State<Operators>,
    operator: PersonCaller,
    Path(id): Path<ExecutionId>,
    body: Option<Json<OperateExecution>>,
) -> Result<(StatusCode, Json<ExecutionView>), ApiError> {
    operators.retry(id, &operator, reason(body.as_ref())).await?;
    answer(&operators, id, Operation::Done).await
}

/// The global switch, the tenant's, and those of playbooks that are off.
#[utoipa::path(get, path = "/api/v1/orchestration/switches", responses((status = 200, body = Vec<SwitchView>)))]
async fn switches(State(operators): State<Operators>) -> Result<Json<Vec<SwitchView>>, ApiError> {
    Ok(Json(operators.store.switches().await?))
}

/// Switch executions off, or on again: globally, of the tenant, or of one playbook. While a switch is off no call of a step
/// goes out for the executions that it concerns, on any replica; tickets that come meanwhile go to a person. Whoever was asked
/// may still answer, and time goes on. While the global one or the tenant's is off, the executor, verification and delivery
/// refuse by themselves, too. What has stood so already is left as it was.
#[utoipa::path(put, path = "/api/v1/orchestration/switches", request_body = SetSwitch,
    responses((status = 200, body = SwitchView)))]
async fn set_switch(
    State(operators): State<Operators>,
    operator: PersonCaller,
    Json(set): Json<SetSwitch>,
) -> Result<Json<SwitchView>, ApiError> {
    operators.store.set_switch(&set, &operator).await?;
    Ok(Json(operators.store.switch(set.switch).await?))
}
