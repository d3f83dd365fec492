//! Answers by text message, signed by Twilio over the public address.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use common::clock;
use connectors::twilio::webhook::{Form, InboundSms, twiml, verify_form};

use crate::Verifier;

/// Where Twilio was told to send answers; its signature is over it.
pub const PATH: &str = "/webhooks/twilio/sms_response";

/// Take a text message of a manager.
#[utoipa::path(
    post, path = "/webhooks/twilio/sms_response",
    responses((status = 200, description = "TwiML with a reply"), (status = 400), (status = 403))
)]
pub async fn sms_response(State(verifier): State<Verifier>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let signature = headers
        .get("x-twilio-signature")
        .and_then(|value| value.to_str().ok());
    if let Err(error) = verify_form(
        &verifier.twilio_webhook.token,
        &verifier.twilio_webhook.url,
        &form,
        signature,
    ) {
        return refused(&error, StatusCode::FORBIDDEN);
    }
    let received = match InboundSms::try_from(&form) {
        Ok(received) => received,
        Err(error) => return refused(&error, StatusCode::BAD_REQUEST),
    };
    if received.account_sid != verifier.twilio_webhook.account {
        return refused(&"the message is for another account", StatusCode::FORBIDDEN);
    }
    // Twilio has answered the opt-out itself; a second message would be one too many.
    if form.first("OptOutType").is_some_and(|word| !word.is_empty()) {
        return reply(None);
    }
    match verifier.take_sms(&received, clock::now()).await {
        Ok(text) => reply(Some(&text)),
        Err(error) => {
            tracing::error!(error = %chassis::chain(&error), "a text message could not be recorded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn reply(text: Option<&str>) -> Response {
    ([(CONTENT_TYPE, "text/xml")], twiml(text)).into_response()
}

fn refused(why: &dyn std::fmt::Display, status: StatusCode) -> Response {
    tracing::warn!(%why, %status, "refused a webhook of Twilio");
    metrics::counter!("firstline_refused_webhooks_total", "service" => "verification", "vendor" => "twilio")
        .increment(1);
    status.into_response()
}
