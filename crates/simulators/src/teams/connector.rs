//! The Bot Connector's REST API: conversations and activities, and the metadata by which its tokens are checked.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::card::{Card, checked, readable};
use super::{TeamsSim, conversation_of, teams_id};
use crate::journal::Event;
use crate::text::{bearer, media_type};
use crate::tokens::Audience;

/// The connector's error envelope.
#[derive(Debug)]
pub(crate) struct ConnectorError(StatusCode, &'static str, String);

impl ConnectorError {
    fn bad(message: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, "BadSyntax", message.to_owned())
    }

    fn no_conversation() -> Self {
        Self(
            StatusCode::NOT_FOUND,
            "ConversationNotFound",
            "Conversation not found.".into(),
        )
    }

    fn no_activity() -> Self {
        Self(
            StatusCode::NOT_FOUND,
            "ActivityNotFoundInConversation",
            "Activity not found.".into(),
        )
    }

    fn not_installed() -> Self {
        let message = "The bot is not part of the conversation roster.";
        Self(
            StatusCode::FORBIDDEN,
            "BotNotInConversationRoster",
            message.into(),
        )
    }
}

impl IntoResponse for ConnectorError {
    fn into_response(self) -> Response {
        (
            self.0,
            Json(json!({ "error": { "code": self.1, "message": self.2 } })),
        )
            .into_response()
    }
}

/// The bot, with a live token for the connector.
pub(crate) struct Bot;

impl FromRequestParts<TeamsSim> for Bot {
    type Rejection = ConnectorError;

    async fn from_request_parts(parts: &mut Parts, teams: &TeamsSim) -> Result<Self, ConnectorError> {
        let grant = teams
            .core
            .tokens
            .check(bearer(&parts.headers), Audience::BotConnector);
        let message = "Authorization has been denied for this request.";
        grant.map(|_| Self).ok_or(ConnectorError(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            message.into(),
        ))
    }
}

fn object(headers: &HeaderMap, body: &[u8]) -> Result<Value, ConnectorError> {
    if media_type(headers) != "application/json" {
        return Err(ConnectorError(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "BadSyntax",
            "JSON is expected.".into(),
        ));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| ConnectorError::bad("Invalid JSON."))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(ConnectorError::bad("An object is expected."))
    }
}

pub(crate) async fn create_conversation(
    State(teams): State<TeamsSim>,
    _: Bot,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ConnectorError> {
    let core = &teams.core;
    let asked = object(&headers, &body)?;
    let bot = asked["bot"]["id"].as_str().unwrap_or_default();
    let app = &core.secrets.teams_app_id;
    if bot.strip_prefix("28:").unwrap_or(bot) != app {
        return Err(ConnectorError::bad("Unknown bot."));
    }
    if asked["isGroup"] == true {
        return Err(ConnectorError::bad("Group conversations are not supported."));
    }
    let tenant = asked["channelData"]["tenant"]["id"]
        .as_str()
        .or_else(|| asked["tenantId"].as_str());
    if tenant != Some(core.secrets.entra_tenant_id.as_str()) {
        return Err(ConnectorError::bad("Invalid tenant."));
    }
    let members = asked["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [member] = members else {
        return Err(ConnectorError::bad("One member is expected."));
    };
    let key = member["id"].as_str().unwrap_or_default();
    // The object id or the `29:` id; Teams knows no mail addresses.
    let person = core
        .directory
        .find(|person| person.id.to_string() == key || teams_id(core, person) == key);
    let person = person.ok_or_else(|| ConnectorError::bad("Invalid user identity in provided tenant."))?;
    if !core.bot_auto_install && !core.installed.lock().contains(&person.email) {
        return Err(ConnectorError::not_installed());
    }
    let id = conversation_of(core, &person);
    teams.state.lock().conversations.insert(id.clone(), person.id);
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

impl TeamsSim {
    /// Whose conversation this is, while the bot is installed.
    fn member(&self, conversation: &str) -> Result<crate::company::Person, ConnectorError> {
        let known: Option<Uuid> = self.state.lock().conversations.get(conversation).copied();
        // The chat that Graph told of exists too, without having been created here.
        let person = self
            .core
            .directory
            .find(|person| known == Some(person.id) || conversation_of(&self.core, person) == conversation);
        let person = person.ok_or_else(ConnectorError::no_conversation)?;
        if self.core.bot_auto_install || self.core.installed.lock().contains(&person.email) {
            Ok(person)
        } else {
            Err(ConnectorError::not_installed())
        }
    }
}

fn accepted(activity: &Value) -> Result<Value, ConnectorError> {
    checked(activity).map_err(|(code, message)| {
        let large = code == "MessageSizeTooBig";
        let status = if large {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        ConnectorError(status, code, message)
    })
}

pub(crate) async fn send(
    State(teams): State<TeamsSim>,
    _: Bot,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ConnectorError> {
    let person = teams.member(&conversation)?;
    let content = accepted(&object(&headers, &body)?)?;
    let card = {
        let mut state = teams.state.lock();
        state.last_activity += 1;
        let card = Card {
            conversation,
            // Milliseconds since 1970, and always one more than the last.
            activity: (1_772_443_412_345 + state.last_activity).to_string(),
            email: person.email.clone(),
            original: content.clone(),
            current: content,
            updates: 0,
            deleted: false,
        };
        state.cards.push(card.clone());
        card
    };
    teams.core.journal.record(Event::CardShown {
        email: person.email,
        conversation: card.conversation.clone(),
        activity: card.activity.clone(),
        text: readable(&card.current),
    });
    let answer = (StatusCode::CREATED, Json(json!({ "id": card.activity }))).into_response();
    teams.react_to(&card);
    Ok(answer)
}

pub(crate) async fn reply(
    state: State<TeamsSim>,
    bot: Bot,
    Path((conversation, _)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ConnectorError> {
    send(state, bot, Path(conversation), headers, body).await
}

pub(crate) async fn update(
    State(teams): State<TeamsSim>,
    _: Bot,
    Path((conversation, activity)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ConnectorError> {
    let person = teams.member(&conversation)?;
    let content = accepted(&object(&headers, &body)?)?;
    {
        let mut state = teams.state.lock();
        let card = state
            .cards
            .iter_mut()
            .find(|card| card.conversation == conversation && card.activity == activity && !card.deleted)
            .ok_or_else(ConnectorError::no_activity)?;
        card.current.clone_from(&content);
        card.updates += 1;
    }
    teams.core.journal.record(Event::CardUpdated {
        email: person.email,
        conversation,
        activity: activity.clone(),
        text: readable(&content),
    });
    Ok(Json(json!({ "id": activity })))
}

pub(crate) async fn delete(
    State(teams): State<TeamsSim>,
    _: Bot,
    Path((conversation, activity)): Path<(String, String)>,
) -> Result<StatusCode, ConnectorError> {
    let person = teams.member(&conversation)?;
    {
        let mut state = teams.state.lock();
        let card = state
            .cards
            .iter_mut()
            .find(|card| card.conversation == conversation && card.activity == activity && !card.deleted)
            .ok_or_else(ConnectorError::no_activity)?;
        card.deleted = true;
    }
    teams.core.journal.record(Event::CardDeleted {
        email: person.email,
        conversation,
        activity,
    });
    Ok(StatusCode::OK)
}

pub(crate) async fn metadata(State(teams): State<TeamsSim>) -> Json<Value> {
    Json(json!({
        "issuer": "https://api.botframework.com",
        "authorization_endpoint": "https://invalid.botframework.com",
        "jwks_uri": format!("{}v1/.well-known/keys", teams.core.urls.teams),
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    }))
}

pub(crate) async fn keys(State(teams): State<TeamsSim>) -> Json<Value> {
    Json(
        teams
            .core
            .bot_keys
            .jwks(&json!({ "endorsements": ["msteams", "webchat"] })),
    )
}
