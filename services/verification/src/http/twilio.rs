//! Answers by text message, signed by Twilio over the public address.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chassis::{Refusal, SentBy};
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
        return refused(&verifier, SentBy::Stranger, error.code(), StatusCode::FORBIDDEN);
    }
    let received = match InboundSms::try_from(&form) {
        Ok(received) => received,
        Err(error) => {
            tracing::warn!(%error, "a text message cannot be read");
            return refused(&verifier, SentBy::Vendor, "no_message", StatusCode::BAD_REQUEST);
        }
    };
    if received.account_sid != verifier.twilio_webhook.account {
        return refused(
            &verifier,
            SentBy::Vendor,
            "another_account",
            StatusCode::FORBIDDEN,
        );
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

fn refused(verifier: &Verifier, sender: SentBy, reason: &'static str, status: StatusCode) -> Response {
    tracing::warn!(reason, %status, "refused a webhook of Twilio");
    verifier.shell.refusals().note(Refusal::Webhook {
        vendor: "twilio",
        sender,
        reason,
    });
    status.into_response()
}
