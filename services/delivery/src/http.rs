//! Delivery's doors: the step, its operation, and Twilio's status callback.

use ::http::{HeaderMap, StatusCode};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::{ApiError, Json, Path, Refusal, Refusals, SentBy};
use common::{OperationId, OperationView, Pending, Problem, StepAnswer, StepRequest, StepResult};
use connectors::twilio::webhook::{Form, StatusUpdate, verify_form};
use secrecy::SecretString;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::follow::Follow;
use crate::refusal::ViewError;
use crate::send::Sender;
use crate::settings::DeliverySettings;
use crate::store::Store;

pub(crate) fn routes(send: Sender, store: Store) -> OpenApiRouter {
    let step = OpenApiRouter::new().routes(routes!(sms)).with_state(send);
    let operation = OpenApiRouter::new().routes(routes!(operation)).with_state(store);
    step.merge(operation)
}

pub(crate) fn webhooks(statuses: Statuses) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(sms_status))
        .with_state(statuses)
}

/// Send a sealed credential by text message to the destination inside it.
#[utoipa::path(
    post,
    path = "/api/v1/delivery/sms",
    request_body = StepRequest,
    responses(
        (status = 200, body = StepResult, description = "ended"),
        (status = 202, body = Pending, description = "sent; the receipt is awaited"),
        (status = 403, body = Problem, description = "the credential is not for here"),
        (status = 409, body = Problem, description = "the credential has been opened before"),
        (status = 503, body = Problem, description = "the SMS gateway is away, the same delivery is under way, or a switch is off"),
    )
)]
async fn sms(State(send): State<Sender>, Json(request): Json<StepRequest>) -> Result<Response, ApiError> {
    Ok(match send.perform(&request).await? {
        StepAnswer::Done(result) => Json(result).into_response(),
        StepAnswer::Pending(pending) => (StatusCode::ACCEPTED, Json(pending)).into_response(),
    })
}

/// How a delivery stands.
#[utoipa::path(
    get,
    path = "/api/v1/delivery/{id}",
    params(("id" = OperationId, Path)),
    responses((status = 200, body = OperationView), (status = 404, body = Problem))
)]
async fn operation(
    State(store): State<Store>,
    Path(id): Path<OperationId>,
) -> Result<Json<OperationView>, ApiError> {
    let view = store.view(id).await.map_err(ViewError::from)?;
    Ok(Json(view.ok_or(ViewError::NotFound(id))?))
}

/// What the status callback needs: whose signature, over which address.
#[derive(Clone)]
pub(crate) struct Statuses(Arc<Inner>);

struct Inner {
    follow: Follow,
    auth_token: SecretString,
    account_sid: String,
    /// As Twilio was given it, whatever a proxy made of it since.
    callback: String,
    refusals: Refusals,
}

impl Inner {
    fn refuse(&self, sender: SentBy, reason: &'static str, status: StatusCode) -> Response {
        tracing::warn!(callback = self.callback, reason, "refused a status callback");
        self.refusals.note(Refusal::Webhook {
            vendor: "twilio",
            sender,
            reason,
        });
        status.into_response()
    }
}

impl Statuses {
    pub(crate) fn new(follow: Follow, settings: &DeliverySettings, refusals: Refusals) -> Self {
        Self(Arc::new(Inner {
            follow,
            auth_token: settings.twilio.auth_token.clone(),
            account_sid: settings.twilio.account_sid.clone(),
            callback: settings.status_callback(),
            refusals,
        }))
    }
}

/// Twilio tells that a message got further. A hint: the message is read back.
#[utoipa::path(
    post,
    path = "/webhooks/twilio/sms_status",
    responses((status = 204, description = "noted"), (status = 403, description = "not from Twilio"))
)]
async fn sms_status(
    State(Statuses(inner)): State<Statuses>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Response> {
    let form = Form::parse(&body);
    let signature = headers
        .get("x-twilio-signature")
        .and_then(|value| value.to_str().ok());
    if let Err(refused) = verify_form(&inner.auth_token, &inner.callback, &form, signature) {
        return Err(inner.refuse(SentBy::Stranger, refused.code(), StatusCode::FORBIDDEN));
    }
    let update = StatusUpdate::try_from(&form)
        .map_err(|_| inner.refuse(SentBy::Vendor, "no_status", StatusCode::BAD_REQUEST))?;
    if update.account_sid != inner.account_sid {
        return Err(inner.refuse(SentBy::Vendor, "another_account", StatusCode::FORBIDDEN));
    }
    let hinted = inner.follow.hinted(&update.sid).await;
    hinted.map_err(|error| ApiError::internal(&error).into_response())?;
    Ok(StatusCode::NO_CONTENT)
}
