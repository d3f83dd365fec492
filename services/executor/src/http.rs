//! The executor's doors.

use axum::extract::State;
use chassis::{ApiError, Json};
use common::{Problem, StepRequest, StepResult};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::reset::Reset;

/// One route per action.
pub(crate) fn routes(reset: Reset) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(reset_password))
        .with_state(reset)
}

/// Give the subject a one-time Temporary Access Pass, sealed to delivery. Asks for a permit.
#[utoipa::path(
    post,
    path = "/api/v1/executor/reset_password",
    request_body = StepRequest,
    responses(
        (status = 200, body = StepResult, description = "done, or certain not to be possible"),
        (status = 403, body = Problem, description = "no permit, or not one for this"),
        (status = 422, body = Problem, description = "a person must see to it"),
        (status = 503, body = Problem, description = "the directory is away, or the same effect is under way"),
    )
)]
async fn reset_password(
    State(reset): State<Reset>,
    Json(request): Json<StepRequest>,
) -> Result<Json<StepResult>, ApiError> {
    Ok(Json(reset.perform(&request).await?))
}
