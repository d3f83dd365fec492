//! Halo's many ways to say no. There is no standard error format: callers must cope with all of these.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

#[derive(Debug)]
pub(crate) enum Refusal {
    /// No token, or one that no longer counts.
    Unauthorised,
    /// A scope or role is missing: an empty 403 that says nothing.
    Forbidden,
    /// Nothing there.
    Missing,
    /// A JSON string with the validation's words (400).
    Invalid(String),
    /// A value that does not bind to its type; the key is a path into the posted array.
    Unbindable { path: String, value: String },
    /// A bare object or a broken body where an array is asked for.
    NotAnArray,
    /// Not JSON by its content type.
    NotJson,
    /// More requests than the window allows.
    Throttled { retry_after: Option<u64> },
}

impl Refusal {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Halo looks records up by more than their id.
    pub(crate) fn record_not_found() -> Self {
        Self::invalid("Record not found")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorised => (
                StatusCode::UNAUTHORIZED,
                [(header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#)],
            )
                .into_response(),
            Self::Forbidden => StatusCode::FORBIDDEN.into_response(),
            Self::Missing => StatusCode::NOT_FOUND.into_response(),
            Self::Invalid(text) => (StatusCode::BAD_REQUEST, Json(json!(text))).into_response(),
            Self::Unbindable { path, value } => {
                let body = json!({ path: [format!("The value '{value}' is invalid.")] });
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
            Self::NotAnArray => {
                let text = "Cannot deserialize the current JSON object because the type requires a JSON array \
                            (e.g. [1,2,3]) to deserialize correctly.";
                (StatusCode::BAD_REQUEST, Json(json!({ "Message": text }))).into_response()
            }
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
            Self::Throttled { retry_after } => {
                let mut answer = super::HaloSim::complain(StatusCode::TOO_MANY_REQUESTS);
                if let Some(seconds) = retry_after {
                    answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                }
                answer
            }
        }
    }
}
