//! An OpenAI-compatible model: chat completions and responses with strict JSON schemas, answered by a plain
//! heuristic over the categories that the schema offers, or as scripted.
//!
//! Source: `contracts/openai.md`. It learns nothing and guesses by words; same question, same answer.

mod answer;
mod azure;
mod error;
mod schema;
mod script;
mod untaken;
mod wire;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;

pub use script::Scripted;
pub use untaken::Untaken;

use crate::core::{Core, Shared};
use error::ModelError;

/// The simulated model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OpenAiSim {
    core: Arc<Core>,
    state: Arc<Shared<OpenAiState>>,
}

#[derive(Debug, Default)]
struct OpenAiState {
    scripted: VecDeque<Scripted>,
    /// What it takes every ticket for, whatever the ticket says.
    bent: Option<String>,
    /// What of a request this model does not take.
    untaken: BTreeSet<Untaken>,
    calls: usize,
    refused: usize,
}

impl OpenAiSim {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            state: Arc::default(),
        }
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(wire::chat))
            .route("/openai/v1/chat/completions", post(azure::chat))
            .route(
                "/openai/deployments/{deployment}/chat/completions",
                post(azure::deployment),
            )
            .route("/v1/responses", post(wire::responses))
            .route("/v1/models", get(wire::models))
            .fallback(|| async {
                ModelError::new(
                    StatusCode::NOT_FOUND,
                    "invalid_request_error",
                    None,
                    "Invalid URL",
                )
                .into_response()
            })
            .with_state(self.clone())
    }

    /// The next call is answered so, after those already queued.
    pub fn script(&self, answer: Scripted) {
        self.state.lock().scripted.push_back(answer);
    }

    /// From now on it answers every question as if the ticket said this and nothing else: a model in the wrong hands.
    pub fn take_everything_for(&self, text: &str) {
        self.state.lock().bent = Some(text.to_owned());
    }

    /// From now on it is a model that refuses requests with this in them.
    pub fn refuse(&self, untaken: Untaken) {
        self.state.lock().untaken.insert(untaken);
    }

    /// How many requests were refused for what the model does not take.
    pub fn refused(&self) -> usize {
        self.state.lock().refused
    }

    /// How many questions the model got.
    pub fn calls(&self) -> usize {
        self.state.lock().calls
    }

    /// The vendor's way to say 429 and 5xx.
    pub(crate) fn complain(status: StatusCode) -> Response {
        match status {
            StatusCode::TOO_MANY_REQUESTS => ModelError::rate_limit().into_response(),
            StatusCode::SERVICE_UNAVAILABLE => ModelError::new(
                status,
                "service_unavailable_error",
                Some("server_is_overloaded"),
                "The server is overloaded.",
            )
            .into_response(),
            // What a proxy in between says is no JSON.
            StatusCode::BAD_GATEWAY => (status, "<html><body>502 Bad Gateway</body></html>").into_response(),
            status => {
                ModelError::new(status, "server_error", None, "The server had an error.").into_response()
            }
        }
    }
}
