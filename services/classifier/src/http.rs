//! The classifier's doors: webhooks of the help desk, decisions for services and people.

mod modes;

use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chassis::{Api, ApiError, Json, Path, Shell};
use common::client::PlaybookClient;
use common::explain::ExplainedDecision;
use common::{ClassifyTicket, Decision, Problem, TicketId};
use http::{HeaderMap, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::explain::explain;
use crate::gate::{Gate, NoDecision};
use crate::intake::{Intake, IntakeError};
use crate::modes::Modes;
use crate::modes::approver::Approvers;
use crate::store::{Source, Store, StoreError};

#[derive(Clone, FromRef)]
struct Rooms {
    gate: Gate,
    intake: Intake,
    store: Store,
    modes: Modes,
    playbooks: PlaybookClient,
    approvers: Approvers,
}

/// Every route behind its door.
pub(crate) fn api(
    shell: &Shell,
    gate: Gate,
    intake: Intake,
    store: Store,
    modes: Modes,
    playbooks: PlaybookClient,
    approvers: Approvers,
) -> Api {
    let rooms = Rooms {
        gate,
        intake,
        store,
        modes,
        playbooks,
        approvers,
    };
    let decisions = OpenApiRouter::new()
        .routes(routes!(classify_ticket))
        .routes(routes!(decision))
        .routes(routes!(modes::review))
        .routes(routes!(modes::standing))
        .routes(routes!(modes::gate_report))
        .with_state(rooms.clone());
    let webhooks = OpenApiRouter::new()
        .routes(routes!(ticket_created))
        .routes(routes!(ticket_updated))
        .with_state(rooms.clone());
    let suggestions = OpenApiRouter::new()
        .routes(routes!(modes::suggestion, modes::approve))
        .with_state(rooms);
    Api::new(shell)
        .guarded(decisions)
        .webhooks(webhooks)
        .links(suggestions)
}

/// Decide on a ticket now, or answer the decision that was made.
#[utoipa::path(
    post, path = "/api/v1/classify_ticket", request_body = ClassifyTicket,
    responses(
        (status = 200, body = Decision),
        (status = 404, body = Problem, description = "the help desk does not know the ticket"),
        (status = 503, body = Problem, description = "something it takes is away, or it is being decided on: ask again")
    )
)]
async fn classify_ticket(
    State(gate): State<Gate>,
    Json(request): Json<ClassifyTicket>,
) -> Result<Json<Decision>, ApiError> {
    Ok(Json(gate.decide_now(&request.ticket_id).await?))
}

/// The decision on a ticket, with everything that was considered and why.
#[utoipa::path(
    get, path = "/api/v1/decisions/{ticket_id}", params(("ticket_id" = String, Path, description = "as the help desk numbers it")),
    responses((status = 200, body = ExplainedDecision), (status = 404, body = Problem))
)]
async fn decision(
    State(store): State<Store>,
    Path(ticket): Path<TicketId>,
) -> Result<Json<ExplainedDecision>, ApiError> {
    let missing = || {
        Problem::not_found(
            "decision_not_found",
            format!("ticket `{ticket}` has not been decided on"),
        )
    };
    let decision = store.decision(&ticket).await?.ok_or_else(missing)?;
    let considered = store.considered(decision.decision_id).await?;
    Ok(Json(explain(
        decision,
        considered.map(|considered| considered.view),
    )))
}

/// Take in that a ticket was logged. One event or a list of them.
#[utoipa::path(
    post, path = "/webhooks/halopsa/ticket_created", request_body(content = String, content_type = "application/json"),
    responses((status = 202), (status = 400), (status = 401))
)]
async fn ticket_created(
    State(intake): State<Intake>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, IntakeError> {
    intake.take(Source::Created, &headers, &body).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Take in that a ticket changed. One event or a list of them.
#[utoipa::path(
    post, path = "/webhooks/halopsa/ticket_updated", request_body(content = String, content_type = "application/json"),
    responses((status = 202), (status = 400), (status = 401))
)]
async fn ticket_updated(
    State(intake): State<Intake>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, IntakeError> {
    intake.take(Source::Updated, &headers, &body).await?;
    Ok(StatusCode::ACCEPTED)
}

impl IntoResponse for IntakeError {
    /// The bare status: whoever cannot prove themselves learns nothing.
    fn into_response(self) -> Response {
        match self {
            Self::Unproven(why) => {
                tracing::warn!(%why, "refused a webhook");
                StatusCode::UNAUTHORIZED.into_response()
            }
            Self::Unreadable(why) => {
                tracing::warn!(%why, "refused a webhook");
                StatusCode::BAD_REQUEST.into_response()
            }
            Self::Store(error) => ApiError::from(error).into_response(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<NoDecision> for ApiError {
    fn from(error: NoDecision) -> Self {
        match &error {
            NoDecision::UnknownTicket(_) => Problem::not_found("ticket_not_found", &error).into(),
            NoDecision::UnderWay(_) => unavailable("decision_under_way", &error, 1),
            NoDecision::Away { retry_after, .. } => unavailable(
                common::problem::OUTSIDE_UNAVAILABLE,
                &error,
                retry_after.as_secs().max(1),
            ),
            NoDecision::Store(error) => Self::internal(error),
        }
    }
}

fn unavailable(code: &str, error: &NoDecision, retry_after_s: u64) -> ApiError {
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error);
    problem.retry_after_s = Some(retry_after_s);
    ApiError(problem)
}
