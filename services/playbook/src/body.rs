//! A playbook as a request body: `application/yaml`, UTF-8, not larger than a playbook may be.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use chassis::ApiError;
use common::Problem;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use playbook_lang::MAX_BYTES;

/// What people and tools call YAML.
const YAML: &[&str] = &[
    "application/yaml",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
];

/// The document, not yet looked into.
pub(crate) struct YamlBody(pub(crate) String);

/// Why a body is not even looked into.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("send the playbook itself as `application/yaml`")]
    MediaType,
    #[error("the body ended before its end")]
    Unreadable,
    #[error("a playbook has at most {MAX_BYTES} bytes, this one {0}")]
    TooLarge(usize),
    #[error("a playbook is UTF-8 text, and the byte at offset {0} is not")]
    NotUtf8(usize),
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let (status, code) = match &error {
            BodyError::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "yaml_expected"),
            BodyError::Unreadable => (StatusCode::BAD_REQUEST, "body_unreadable"),
            BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "playbook_too_large"),
            BodyError::NotUtf8(_) => (StatusCode::BAD_REQUEST, "yaml_not_utf8"),
        };
        Self(Problem::new(status, code, error))
    }
}

impl<S: Send + Sync> FromRequest<S> for YamlBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_yaml(request.headers()) {
            return Err(BodyError::MediaType.into());
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| BodyError::Unreadable)?;
        Ok(Self(text(&bytes)?))
    }
}

fn is_yaml(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| {
            YAML.iter()
                .any(|yaml| media_type.trim().eq_ignore_ascii_case(yaml))
        })
}

fn text(bytes: &[u8]) -> Result<String, BodyError> {
    if bytes.len() > MAX_BYTES {
        return Err(BodyError::TooLarge(bytes.len()));
    }
    std::str::from_utf8(bytes)
        .map(ToOwned::to_owned)
        .map_err(|error| BodyError::NotUtf8(error.valid_up_to()))
}
