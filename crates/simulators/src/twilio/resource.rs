//! Access, errors, and what one may do with a message that exists: read, list, redact, cancel, delete.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, RawPathParams, RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::TwilioSim;
use super::messages::Message;
use crate::journal::Event;
use crate::text::{is_form, pairs, value};

/// Twilio's error body.
#[derive(Debug)]
pub(crate) struct TwilioError {
    status: StatusCode,
    code: u32,
    message: String,
}

impl TwilioError {
    pub(crate) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn bad(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn missing() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            20404,
            "The requested resource was not found",
        )
    }
}

impl IntoResponse for TwilioError {
    fn into_response(self) -> Response {
        let Self {
            status,
            code,
            message,
        } = self;
        let info = format!("https://www.twilio.com/docs/errors/{code}");
        let body = json!({ "code": code, "message": message, "more_info": info, "status": status.as_u16() });
        (status, Json(body)).into_response()
    }
}

pub(crate) fn complaint(status: StatusCode) -> Response {
    match status {
        StatusCode::TOO_MANY_REQUESTS => TwilioError::new(status, 20429, "Too Many Requests").into_response(),
        status => TwilioError::new(status, 20500, "Internal server error").into_response(),
    }
}

/// The account's owner: Basic authentication with the account's id and token, on the account's own path.
pub(crate) struct Owner;

fn basic(headers: &HeaderMap) -> Option<String> {
    let encoded = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

impl FromRequestParts<TwilioSim> for Owner {
    type Rejection = TwilioError;

    async fn from_request_parts(parts: &mut Parts, twilio: &TwilioSim) -> Result<Self, TwilioError> {
        let secrets = &twilio.core.secrets;
        let known = format!("{}:{}", secrets.twilio_account_sid, secrets.twilio_auth_token);
        let given = basic(&parts.headers).unwrap_or_default();
        if !bool::from(given.as_bytes().ct_eq(known.as_bytes())) {
            return Err(TwilioError::new(StatusCode::UNAUTHORIZED, 20003, "Authenticate"));
        }
        let params = RawPathParams::from_request_parts(parts, twilio)
            .await
            .map_err(|_| TwilioError::missing())?;
        let account = params
            .iter()
            .find(|(name, _)| *name == "account")
            .map(|(_, account)| account);
        if account == Some(secrets.twilio_account_sid.as_str()) {
            Ok(Self)
        } else {
            Err(TwilioError::missing())
        }
    }
}

/// The message that a path such as `SM....json` names; without `.json` the answer would be XML, which nobody wants.
fn index(messages: &[Message], segment: &str) -> Result<usize, TwilioError> {
    let sid = segment.strip_suffix(".json").unwrap_or(segment);
    messages
        .iter()
        .rposition(|message| message.sid == sid)
        .ok_or_else(TwilioError::missing)
}

pub(crate) async fn read(
    State(twilio): State<TwilioSim>,
    _: Owner,
    Path((_, segment)): Path<(String, String)>,
) -> Result<Json<Value>, TwilioError> {
    let state = twilio.state.lock();
    let at = index(&state.messages, &segment)?;
    Ok(Json(
        state.messages[at].json(&twilio.core.secrets.twilio_account_sid),
    ))
}

pub(crate) async fn list(
    State(twilio): State<TwilioSim>,
    _: Owner,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, TwilioError> {
    let query = pairs(query.unwrap_or_default().as_bytes());
    let size: usize = value(&query, "PageSize")
        .and_then(|size| size.parse().ok())
        .unwrap_or(50)
        .clamp(1, 1000);
    let page: usize = value(&query, "Page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(0);
    let account = &twilio.core.secrets.twilio_account_sid;
    let state = twilio.state.lock();
    let found: Vec<Value> = state
        .messages
        .iter()
        .rev()
        .filter(|message| value(&query, "To").is_none_or(|to| message.to == to))
        .filter(|message| value(&query, "From").is_none_or(|from| message.from == from))
        .skip(page * size)
        .take(size)
        .map(|message| message.json(account))
        .collect();
    let uri = format!("/2010-04-01/Accounts/{account}/Messages.json?PageSize={size}&Page={page}");
    Ok(Json(json!({
        "page": page, "page_size": size, "start": page * size, "end": page * size + found.len().saturating_sub(1),
        "first_page_uri": uri, "uri": uri, "next_page_uri": null, "previous_page_uri": null, "messages": found,
    })))
}

pub(crate) async fn update(
    State(twilio): State<TwilioSim>,
    _: Owner,
    Path((_, segment)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, TwilioError> {
    if !is_form(&headers) {
        return Err(TwilioError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            20415,
            "Unsupported media type",
        ));
    }
    let form = pairs(&body);
    let (shown, redacted) = {
        let mut state = twilio.state.lock();
        let at = index(&state.messages, &segment)?;
        let message = &mut state.messages[at];
        match (value(&form, "Body"), value(&form, "Status")) {
            (Some(""), _) if !message.finished() => {
                return Err(TwilioError::bad(20009, "Message is not in a final state"));
            }
            (Some(""), _) => message.body.clear(),
            (Some(_), _) => return Err(TwilioError::bad(20001, "Body can only be redacted")),
            (None, Some("canceled")) if message.finished() => {
                return Err(TwilioError::bad(30409, "Message can no longer be cancelled"));
            }
            (None, Some("canceled")) => message.status = "canceled",
            _ => return Err(TwilioError::bad(20001, "Nothing to update")),
        }
        let redacted = message.body.is_empty().then(|| message.sid.clone());
        (message.json(&twilio.core.secrets.twilio_account_sid), redacted)
    };
    if let Some(sid) = redacted {
        twilio.core.journal.record(Event::SmsRedacted { sid });
    }
    Ok(Json(shown))
}

pub(crate) async fn delete(
    State(twilio): State<TwilioSim>,
    _: Owner,
    Path((_, segment)): Path<(String, String)>,
) -> Result<StatusCode, TwilioError> {
    let sid = {
        let mut state = twilio.state.lock();
        let at = index(&state.messages, &segment)?;
        if !state.messages[at].finished() {
            return Err(TwilioError::bad(20009, "Message is not in a final state"));
        }
        state.messages.remove(at).sid
    };
    twilio.core.journal.record(Event::SmsDeleted { sid });
    Ok(StatusCode::NO_CONTENT)
}
