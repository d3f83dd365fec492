//! The step protocol: ask, and look how it stands.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::{ApiError, Json, Path};
use common::clock;
use common::{
    OperationId, OperationView, Pending, Problem, RenewPermit, RenewedPermit, StepAnswer, StepRequest,
    StepResult,
};
use uuid::Uuid;

use crate::Verifier;
use crate::ask::status;

/// Ask the subject to approve a sign-in request on their phone.
#[utoipa::path(
    post, path = "/api/v1/verification/mfa", request_body = StepRequest,
    responses(
        (status = 200, body = StepResult, description = "It has ended, or nobody could be asked"),
        (status = 202, body = Pending, description = "They are being asked; the result comes as a signal"),
        (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem, description = "The directory is away, or a switch is off"),
    )
)]
pub async fn mfa(
    State(verifier): State<Verifier>,
    Json(request): Json<StepRequest>,
) -> Result<Response, ApiError> {
    let answer = verifier.ask_subject(request, clock::now()).await?;
    Ok(respond(answer))
}

/// Ask the subject's manager, by a card in Teams and then by text message.
#[utoipa::path(
    post, path = "/api/v1/verification/manager_approval", request_body = StepRequest,
    responses(
        (status = 200, body = StepResult, description = "It has ended, or nobody could be asked"),
        (status = 202, body = Pending, description = "They are being asked; the result comes as a signal"),
        (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem, description = "The directory is away, or a switch is off"),
    )
)]
pub async fn manager_approval(
    State(verifier): State<Verifier>,
    Json(request): Json<StepRequest>,
) -> Result<Response, ApiError> {
    let answer = verifier.ask_manager(request, clock::now()).await?;
    Ok(respond(answer))
}

/// Ask the subject a question, by a card in Teams. `choices` are answered by their words, a typed `answer` by `success`;
/// either is in the output `answer`.
#[utoipa::path(
    post, path = "/api/v1/verification/ask", request_body = StepRequest,
    responses(
        (status = 200, body = StepResult, description = "It has ended, or they could not be asked"),
        (status = 202, body = Pending, description = "They are being asked; the result comes as a signal"),
        (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem, description = "The directory is away, or a switch is off"),
    )
)]
pub async fn ask(
    State(verifier): State<Verifier>,
    Json(request): Json<StepRequest>,
) -> Result<Response, ApiError> {
    let answer = verifier.ask_question(request, clock::now()).await?;
    Ok(respond(answer))
}

/// How an operation stands, with its permit: only orchestration may ask.
#[utoipa::path(
    get, path = "/api/v1/verification/{id}", params(("id" = OperationId, Path)),
    responses(
        (status = 200, body = OperationView), (status = 404, body = Problem),
        (status = 503, body = Problem,
            description = "Its time is over, and it has been given more: the outside was away, so nobody could be asked or believed"),
    )
)]
pub async fn operation(
    State(verifier): State<Verifier>,
    Path(id): Path<OperationId>,
) -> Result<Json<OperationView>, ApiError> {
    let view = verifier.operation(id, clock::now()).await?;
    Ok(Json(view))
}

/// Give a permit more time that ran out while the work was parked: ten minutes, and none later than half an hour after the
/// person answered. It stays the same permit, good for once. `id` is the verification's, or the permit's own.
#[utoipa::path(
    post, path = "/api/v1/verification/{id}/permit", params(("id" = Uuid, Path)), request_body = RenewPermit,
    responses(
        (status = 200, body = RenewedPermit, description = "The permit; where it is still good, as it was"),
        (status = 404, body = Problem, description = "`permit_not_found`"),
        (status = 409, body = Problem, description = "`permit_not_renewable`: too late; `permit_not_given`: nothing was approved"),
    )
)]
pub async fn renew_permit(
    State(verifier): State<Verifier>,
    Path(id): Path<Uuid>,
    Json(request): Json<RenewPermit>,
) -> Result<Json<RenewedPermit>, ApiError> {
    let permit = verifier
        .renew_permit(id, request.execution_id, clock::now())
        .await?;
    Ok(Json(RenewedPermit { permit }))
}

fn respond(answer: StepAnswer) -> Response {
    let status = status(&answer);
    match answer {
        StepAnswer::Done(result) => (status, Json(result)).into_response(),
        StepAnswer::Pending(pending) => (status, Json(pending)).into_response(),
    }
}
