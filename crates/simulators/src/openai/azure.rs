//! Azure's addresses of the same model: another header for the key, another place for the model's name.
//!
//! Source: `contracts/openai.md`, section 6.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::OpenAiSim;
use super::error::ModelError;
use super::wire::completion;

/// Azure knows its callers by a header of its own; what asks for a Bearer token there is Entra's.
fn azure_key(headers: &HeaderMap) -> &str {
    headers
        .get("api-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default()
}

fn enter(sim: &OpenAiSim, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ModelError> {
    sim.known(azure_key(headers))?;
    sim.taken(headers, body)
}

/// Azure's address without a version: the model is named in the body.
pub(crate) async fn chat(State(sim): State<OpenAiSim>, headers: HeaderMap, body: Bytes) -> Response {
    let entered = enter(&sim, &headers, &body);
    completion(&sim, entered)
}

/// Azure's address of a deployment: that names the model, and the query which version of the protocol it is.
pub(crate) async fn deployment(
    State(sim): State<OpenAiSim>,
    Path(deployment): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let versioned = query.is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "api-version" && !value.is_empty())
    });
    if !versioned || deployment != sim.core.secrets.openai_model {
        let (code, message) = if versioned {
            (
                "DeploymentNotFound",
                "The API deployment for this resource does not exist.",
            )
        } else {
            ("404", "Resource not found")
        };
        return (
            StatusCode::NOT_FOUND,
            Json(json!({ "error": { "code": code, "message": message } })),
        )
            .into_response();
    }
    let entered = enter(&sim, &headers, &body);
    completion(&sim, entered)
}
