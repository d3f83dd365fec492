//! The executor's doors.

use axum::extract::State;
use chassis::{ApiError, Json};
use common::{Problem, StepRequest, StepResult};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::reset::Reset;
use crate::undo::PassDeletion;

/// One route per action.
pub(crate) fn routes(reset: Reset, deletion: PassDeletion) -> OpenApiRouter {
    let undoing = OpenApiRouter::new()
        .routes(routes!(delete_pass))
        .with_state(deletion);
    OpenApiRouter::new()
        .routes(routes!(reset_password))
        .with_state(reset)
        .merge(undoing)
}

/// Give the subject a one-time Temporary Access Pass, sealed to delivery. Asks for a permit.
#[utoipa::path(
    post,
    path = "/api/v1/executor/reset_password",
    request_body = StepRequest,
    responses(
        (status = 200, body = StepResult, description = "done, or certain not to be possible"),
        (status = 403, body = Problem, description = "no permit, or not one for this"),
        (status = 409, body = Problem, description = "the visit stands for another effect, or was undone"),
        (status = 422, body = Problem, description = "a person must see to it: who it is for, or how often"),
        (status = 503, body = Problem, description = "the directory is away, the same effect is under way, or a switch is off"),
    )
)]
async fn reset_password(
    State(reset): State<Reset>,
    Json(request): Json<StepRequest>,
) -> Result<Json<StepResult>, ApiError> {
    Ok(Json(reset.perform(&request).await?))
}

/// Take back what one visit of `reset_password` did for this execution: delete its pass, or withdraw it where nobody
/// knows what came of it. `parameters` are `{"step": "reset_password", "visit": 1}`, and the request's own step is that
/// one with `.undo` behind. Asks for no permit: nothing but what this execution made for this subject can be deleted.
#[utoipa::path(
    post,
    path = "/api/v1/executor/delete_pass",
    request_body = StepRequest,
    responses(
        (status = 200, body = StepResult, description = "undone, or there was nothing to undo"),
        (status = 403, body = Problem, description = "the effect belongs to another person, ticket or action"),
        (status = 422, body = Problem, description = "not a request to undo a reset, or the directory refuses"),
        (status = 503, body = Problem, description = "the directory is away, or the effect or its undo is under way"),
    )
)]
async fn delete_pass(
    State(deletion): State<PassDeletion>,
    Json(request): Json<StepRequest>,
) -> Result<Json<StepResult>, ApiError> {
    Ok(Json(deletion.perform(&request).await?))
}
