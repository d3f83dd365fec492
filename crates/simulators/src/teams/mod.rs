//! Teams and the Bot Framework: conversations and cards, the keys that sign what comes from it, and the people
//! who press buttons.
//!
//! Source: `contracts/teams.md`. A press is a signed activity sent to the bot's messaging endpoint.

mod card;
mod connector;
mod input;
mod people;
mod press;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

pub use card::CardView;
pub use people::{CardReaction, Choice};
pub use press::{Form, Press, PressAnswer, Presser, TokenFlaw};

use crate::company::Person;
use crate::core::{Core, Shared};
use crate::settings::Urls;
use card::Card;

/// Where the bot hears of presses, relative to the public address.
const MESSAGING_ENDPOINT: &str = "/webhooks/teams/approval_action";

/// The base address that activities carry as `serviceUrl`.
pub(crate) fn service_url(urls: &Urls) -> String {
    format!("{}teams/", urls.teams)
}

/// The personal chat of a person with the bot; the same one each time.
pub(crate) fn conversation_of(core: &Core, person: &Person) -> String {
    format!(
        "a:1{}",
        core.seed.hex(&format!("teams/conversation/{}", person.email))
    )
}

/// The person's name in Teams: different for every bot, useless elsewhere.
pub(crate) fn teams_id(core: &Core, person: &Person) -> String {
    format!("29:1{}", core.seed.hex(&format!("teams/user/{}", person.email)))
}

/// Simulated Teams and the people in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TeamsSim {
    core: Arc<Core>,
    state: Arc<Shared<TeamsState>>,
}

#[derive(Debug, Default)]
struct TeamsState {
    /// Conversation id to the person in it.
    conversations: BTreeMap<String, Uuid>,
    cards: Vec<Card>,
    last_activity: u64,
    reaction_default: Option<CardReaction>,
    standing: BTreeMap<String, CardReaction>,
    queued: BTreeMap<String, VecDeque<CardReaction>>,
}

impl TeamsSim {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            state: Arc::default(),
        }
    }

    pub(crate) fn router(&self) -> Router {
        let connector = Router::new()
            .route("/v3/conversations", post(connector::create_conversation))
            .route(
                "/v3/conversations/{conversation}/activities",
                post(connector::send),
            )
            .route(
                "/v3/conversations/{conversation}/activities/{activity}",
                put(connector::update)
                    .delete(connector::delete)
                    .post(connector::reply),
            );
        Router::new()
            .nest("/teams", connector)
            .route("/v1/.well-known/openidconfiguration", get(connector::metadata))
            .route("/v1/.well-known/keys", get(connector::keys))
            .fallback(|| async { Self::complain(StatusCode::NOT_FOUND) })
            .with_state(self.clone())
    }

    /// The vendor's way to say 429 and 5xx.
    pub(crate) fn complain(status: StatusCode) -> Response {
        let (code, message) = match status {
            StatusCode::TOO_MANY_REQUESTS => ("Throttled", "Too many requests"),
            StatusCode::NOT_FOUND => ("NotFound", "Not found"),
            _ => ("ServiceError", "Unknown"),
        };
        (
            status,
            Json(json!({ "error": { "code": code, "message": message } })),
        )
            .into_response()
    }
}
