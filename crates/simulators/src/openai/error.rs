//! The error body of OpenAI: a message, a type, and a code that may be null.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

/// The vendor's error body.
#[derive(Debug)]
pub(crate) struct ModelError {
    status: StatusCode,
    kind: &'static str,
    code: Option<String>,
    param: Option<&'static str>,
    message: String,
    retry_after: Option<u64>,
}

impl ModelError {
    pub(crate) fn new(status: StatusCode, kind: &'static str, code: Option<&str>, message: &str) -> Self {
        let code = code.map(str::to_owned);
        Self {
            status,
            kind,
            code,
            param: None,
            message: message.to_owned(),
            retry_after: None,
        }
    }

    pub(crate) fn invalid(message: &str, param: Option<&'static str>) -> Self {
        Self {
            param,
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message)
        }
    }

    /// The same with `Retry-After` in seconds.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    pub(crate) fn rate_limit() -> Self {
        let message = "Rate limit reached. Please try again in 1s.";
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "requests",
            Some("rate_limit_exceeded"),
            message,
        )
    }
}

impl IntoResponse for ModelError {
    fn into_response(self) -> Response {
        let body = json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        } });
        let mut answer = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        answer
    }
}
