//! Activities of the bot: who pressed which button. Authenticated by the Bot Framework's token.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chassis::jwks::{Expected, Flaw, TokenError};
use chassis::{Refusal, SentBy};
use common::clock;
use connectors::teams::inbound::{
    self, Activity, Claims, Form, ISSUER, Kind, Unauthentic, authenticate, invoke_card, invoke_failure,
    invoke_message,
};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::Verifier;
use crate::decide::Pressed;
use crate::press::Proof;
use crate::store::StoreError;

/// Clocks may differ from Microsoft's by this much (contract, section 6).
const SKEW: Duration = Duration::from_mins(5);

/// Take an activity.
#[utoipa::path(
    post, path = "/webhooks/teams/approval_action",
    responses((status = 200), (status = 400), (status = 401), (status = 403), (status = 501), (status = 503))
)]
pub async fn approval_action(State(verifier): State<Verifier>, headers: HeaderMap, body: Bytes) -> Response {
    let now = clock::now();
    let (activity, proof) = match authentic(&verifier, &headers, &body, now).await {
        Ok(authentic) => authentic,
        Err(refused) => return refused.answer(&verifier),
    };
    match &activity.kind {
        Kind::Other => StatusCode::OK.into_response(),
        Kind::UnknownInvoke => unknown_invoke(&body),
        Kind::Press(press) => {
            let pressed = verifier.take_press(press, &activity, &proof, now).await;
            respond(press.form, pressed)
        }
        Kind::Reply(reply) => {
            let pressed = verifier.take_reply(reply, &activity, &proof, now).await;
            respond(reply.form, pressed)
        }
    }
}

fn respond(form: Form, pressed: Result<Pressed, StoreError>) -> Response {
    match pressed {
        Ok(pressed) => answer(form, &pressed),
        Err(error) => {
            tracing::error!(error = %chassis::chain(&error), "a press could not be recorded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An invoke is answered in its body, an old client's submit by nothing; its card is updated for everybody anyway.
fn answer(form: Form, pressed: &Pressed) -> Response {
    match (form, pressed) {
        (Form::Submit, _) => StatusCode::OK.into_response(),
        (Form::Execute, Pressed::Card(card)) => Json(invoke_card(card)).into_response(),
        (Form::Execute, Pressed::Kept(words)) => Json(invoke_message(words)).into_response(),
        (Form::Execute, Pressed::Refused(words)) => Json(invoke_failure(words)).into_response(),
    }
}

/// Another invoke than of a card is not ours at all; of a card it is a verb or a refresh that decides nothing.
fn unknown_invoke(body: &[u8]) -> Response {
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
    }
    let name = serde_json::from_slice::<Named>(body)
        .ok()
        .and_then(|named| named.name);
    if name.as_deref() == Some("adaptiveCard/action") {
        Json(invoke_failure("This action decides nothing.")).into_response()
    } else {
        StatusCode::NOT_IMPLEMENTED.into_response()
    }
}

/// Why an activity is not taken.
enum Refused {
    /// No token in the scheme of the contract.
    NoToken,
    Token(Flaw),
    /// Microsoft's keys cannot be asked for: nobody's fault, and the Connector comes again.
    KeysAway(String),
    NoActivity,
    Unauthentic(Unauthentic),
    /// The token vouches for an address that is not Teams'.
    ForeignService,
}

impl Refused {
    /// 401 where the token is not good for us, 403 where it is and the activity is not (contract, section 6).
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken
            | Self::Token(_)
            | Self::Unauthentic(Unauthentic::Issuer | Unauthentic::Audience | Unauthentic::Time) => {
                StatusCode::UNAUTHORIZED
            }
            Self::Unauthentic(Unauthentic::ServiceUrl | Unauthentic::Endorsement | Unauthentic::Channel)
            | Self::ForeignService => StatusCode::FORBIDDEN,
            Self::NoActivity => StatusCode::BAD_REQUEST,
            Self::KeysAway(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoToken => "token_missing",
            Self::Token(flaw) => flaw.code(),
            Self::KeysAway(_) => "keys_away",
            Self::NoActivity => "no_activity",
            Self::Unauthentic(unauthentic) => unauthentic.code(),
            Self::ForeignService => "foreign_service_url",
        }
    }

    /// The bare status: whoever cannot show who they are learns nothing.
    fn answer(self, verifier: &Verifier) -> Response {
        if let Self::KeysAway(detail) = &self {
            tracing::warn!(detail, "an activity could not be checked");
        } else {
            let reason = self.code();
            tracing::warn!(reason, "refused an activity");
            let sender = match self {
                Self::NoActivity => SentBy::Vendor,
                _ => SentBy::Stranger,
            };
            verifier.shell.refusals().note(Refusal::Webhook {
                vendor: "teams",
                sender,
                reason,
            });
        }
        self.status().into_response()
    }
}

/// The activity, once its token is good.
async fn authentic(
    verifier: &Verifier,
    headers: &HeaderMap,
    body: &[u8],
    now: OffsetDateTime,
) -> Result<(Activity, Proof), Refused> {
    let token = bearer(headers).ok_or(Refused::NoToken)?;
    let expected = Expected {
        issuers: &[ISSUER],
        audience: &verifier.bot.app_id,
        leeway: SKEW,
    };
    let token = verifier
        .bot
        .keys
        .verify::<Claims>(token, &expected)
        .await
        .map_err(|error| match error {
            TokenError::Invalid(flaw) => Refused::Token(flaw),
            TokenError::IssuerAway(detail) => Refused::KeysAway(detail),
        })?;
    let activity = inbound::parse(body).map_err(|_| Refused::NoActivity)?;
    let endorsements = (!token.endorsements.is_empty()).then_some(token.endorsements.as_slice());
    authenticate(&token.claims, endorsements, &activity, &verifier.bot.app_id, now)
        .map_err(Refused::Unauthentic)?;
    // INVARIANT: our bot's token goes to this address when the card is closed.
    let foreign = |url| !verifier.teams.trusts(url);
    if activity.service_url.as_ref().is_some_and(foreign) {
        return Err(Refused::ForeignService);
    }
    let proof = Proof {
        audience: token.claims.aud,
        key: token.kid,
    };
    Ok((activity, proof))
}

/// The scheme must be exactly `Bearer` (contract, section 6).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
