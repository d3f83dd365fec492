//! HaloPSA: token endpoint, tickets, actions, users, look-ups, and the webhooks it pushes.
//!
//! Source: `contracts/halopsa.md`. Agents and end users act through [`HaloSim`]; programs through the REST API.

mod actions;
mod auth;
mod fields;
mod listing;
mod refusal;
mod script;
mod state;
mod tenant;
mod tickets;
mod users;
mod webhooks;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{StatusCode, Uri};
use serde_json::json;
use tokio::time::Instant;
use tower::ServiceExt as _;

pub use script::{HaloOptions, NewTicket};
pub use state::{NoteView, TicketView};
pub use webhooks::{Delivery, WebhookMode, WebhookPayload};

use crate::core::{Core, Shared};
use state::HaloState;
use webhooks::Sender;

/// The agent behind our API application: cannot be assigned tickets.
pub const API_AGENT: i64 = 2;
/// An agent of flesh and blood.
pub const HUMAN_AGENT: i64 = 3;
/// What "unassigned" is called in numbers.
pub const UNASSIGNED: i64 = 1;
/// The built-in outcome "Internal Note".
pub const INTERNAL_NOTE: i64 = 7;

/// The simulated help desk and the hands of the people in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HaloSim {
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    core: Arc<Core>,
    state: Shared<HaloState>,
    options: Shared<HaloOptions>,
    /// When the last five minutes' requests came.
    window: Shared<VecDeque<Instant>>,
    sender: Arc<Sender>,
}

impl HaloSim {
    pub(crate) fn new(core: Arc<Core>, rate_per_5min: Option<u32>, first_ticket: i64) -> Self {
        let sender = Sender::new(Arc::clone(&core));
        let options = HaloOptions {
            rate_per_5min,
            ..HaloOptions::default()
        };
        Self {
            desk: Arc::new(Desk {
                core,
                state: Shared::new(HaloState::starting_at(first_ticket)),
                options: Shared::new(options),
                window: Shared::default(),
                sender,
            }),
        }
    }

    pub(crate) fn router(&self) -> Router {
        let api = Router::new()
            .route("/auth/token", post(auth::token))
            .route("/api/authinfo", get(tenant::auth_info))
            .route("/api/tickets", get(listing::list).post(tickets::write))
            .route("/api/tickets/{id}", get(tickets::read))
            .route("/api/actions", get(actions::list).post(actions::write))
            .route("/api/users", get(users::list))
            .route("/api/users/{id}", get(users::read))
            .route("/api/status", get(tenant::statuses))
            .route("/api/tickettype", get(tenant::ticket_types))
            .route("/api/tickettype/{id}", get(tenant::ticket_type))
            .route("/api/outcome", get(tenant::outcomes))
            .route("/api/priority", get(tenant::priorities))
            .route("/api/team", get(tenant::teams))
            .route("/api/agent", get(tenant::agents))
            .route("/api/fieldinfo", get(tenant::field_info))
            .route("/api/client", get(tenant::clients))
            .route("/api/attachment", get(tenant::no_attachments))
            .route("/api/webhookevent", get(webhooks::list_deliveries))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .with_state(self.clone());
        // Halo does not care about the case of its paths; a router does.
        Router::new().fallback(move |request: Request| lower(api.clone(), request))
    }

    /// Halo's way to say 429 and 5xx.
    pub(crate) fn complain(status: StatusCode) -> Response {
        match status {
            StatusCode::TOO_MANY_REQUESTS => (
                status,
                "Rate Limit Reached - 300 Requests per rolling 5 minute window.",
            )
                .into_response(),
            status if status.is_server_error() => {
                let body = json!({
                    "ClassName": "System.Exception",
                    "Message": "An error has occurred.",
                    "StackTraceString": null,
                });
                (status, axum::Json(body)).into_response()
            }
            status => status.into_response(),
        }
    }
}

async fn lower(api: Router, mut request: Request) -> Response {
    let mut parts = request.uri().clone().into_parts();
    let path = request.uri().path().to_ascii_lowercase();
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    parts.path_and_query = format!("{path}{query}").parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    match api.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}
