//! Scripting people: their pushes, their cards, their texts, their tokens.

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{delay, found};
use crate::entra::{EntraSim, PassView, Push, PushAnswer};
use crate::teams::{CardReaction, CardView, Choice, Form, Press, PressAnswer, TeamsSim, TokenFlaw};
use crate::twilio::{MessageView, Reply, Sms, TwilioSim};

pub(crate) fn entra(entra: &EntraSim) -> Router {
    Router::new()
        .route("/_sim/pushes/{email}", put(push).get(pushes))
        .route("/_sim/passes/{email}", get(passes))
        .route("/_sim/people/{email}", put(person))
        .route("/_sim/token", post(token))
        .route("/_sim/expire_tokens", post(expire_tokens))
        .with_state(entra.clone())
}

pub(crate) fn teams(teams: &TeamsSim) -> Router {
    Router::new()
        .route("/_sim/managers/{email}", put(react))
        .route("/_sim/managers/{email}/bot", put(install).delete(uninstall))
        .route("/_sim/cards", get(cards))
        .route("/_sim/press", post(press))
        .route("/_sim/rotate_keys", post(rotate_keys))
        .with_state(teams.clone())
}

pub(crate) fn twilio(twilio: &TwilioSim) -> Router {
    Router::new()
        .route("/_sim/inbox/{number}", get(inbox))
        .route("/_sim/messages", get(messages))
        .route("/_sim/replies/{number}", put(reply))
        .route("/_sim/sms", post(sms))
        .with_state(twilio.clone())
}

#[derive(Debug, Deserialize)]
struct PushScript {
    answer: PushAnswer,
    after_ms: Option<u64>,
    /// For one coming request only.
    #[serde(default)]
    once: bool,
}

async fn push(
    State(entra): State<EntraSim>,
    Path(email): Path<String>,
    Json(script): Json<PushScript>,
) -> StatusCode {
    let mut push = Push::new(script.answer);
    push.after = delay(script.after_ms);
    if script.once {
        entra.push_next(&email, push);
    } else {
        entra.push(&email, push);
    }
    StatusCode::NO_CONTENT
}

async fn pushes(State(entra): State<EntraSim>, Path(email): Path<String>) -> Json<Value> {
    Json(json!({ "pushes": entra.pushes(&email) }))
}

async fn passes(State(entra): State<EntraSim>, Path(email): Path<String>) -> Json<Vec<PassView>> {
    Json(entra.live_passes(&email))
}

#[derive(Debug, Deserialize)]
struct PersonChange {
    enabled: Option<bool>,
    /// An empty string removes the manager.
    manager: Option<String>,
    /// An empty string removes the phone method.
    mobile: Option<String>,
    /// Since when they have their phone, RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option")]
    mobile_since: Option<OffsetDateTime>,
    /// Since when they have their authenticator app, RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option")]
    authenticator_since: Option<OffsetDateTime>,
    /// In a restricted management administrative unit.
    management_restricted: Option<bool>,
}

async fn person(
    State(entra): State<EntraSim>,
    Path(email): Path<String>,
    Json(change): Json<PersonChange>,
) -> StatusCode {
    let given = |value: String| Some(value).filter(|value| !value.is_empty());
    let mut known = true;
    if let Some(enabled) = change.enabled {
        known &= entra.set_enabled(&email, enabled);
    }
    if let Some(manager) = change.manager {
        known &= entra.set_manager(&email, given(manager).as_deref());
    }
    if let Some(mobile) = change.mobile {
        known &= entra.set_mobile(&email, given(mobile).as_deref());
    }
    if change.mobile_since.is_some() {
        known &= entra.set_mobile_since(&email, change.mobile_since);
    }
    if change.authenticator_since.is_some() {
        known &= entra.set_authenticator_since(&email, change.authenticator_since);
    }
    if let Some(restricted) = change.management_restricted {
        known &= entra.set_restricted(&email, restricted);
    }
    found(known)
}

#[derive(Debug, Deserialize)]
struct TokenRequest {
    email: String,
    #[serde(default)]
    roles: Vec<String>,
}

async fn token(
    State(entra): State<EntraSim>,
    Json(asked): Json<TokenRequest>,
) -> Result<Json<Value>, StatusCode> {
    let roles: Vec<&str> = asked.roles.iter().map(String::as_str).collect();
    let token = entra
        .token_for(&asked.email, &roles)
        .ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({ "token": token })))
}

async fn expire_tokens(State(entra): State<EntraSim>) -> StatusCode {
    entra.expire_tokens();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
struct Reaction {
    choice: Choice,
    after_ms: Option<u64>,
    #[serde(default)]
    form: Form,
    times: Option<u32>,
    as_person: Option<String>,
    #[serde(default)]
    flaw: TokenFlaw,
    /// For one coming card only.
    #[serde(default)]
    once: bool,
}

async fn react(
    State(teams): State<TeamsSim>,
    Path(email): Path<String>,
    Json(given): Json<Reaction>,
) -> StatusCode {
    let mut reaction = CardReaction::of(given.choice)
        .with_flaw(given.flaw)
        .times(given.times.unwrap_or(1));
    if let Some(delay) = delay(given.after_ms) {
        reaction = reaction.after(delay);
    }
    if given.form == Form::Submit {
        reaction = reaction.by_submit();
    }
    if let Some(person) = given.as_person {
        reaction = reaction.as_person(&person);
    }
    if given.once {
        teams.react_next(&email, reaction);
    } else {
        teams.react(&email, reaction);
    }
    StatusCode::NO_CONTENT
}

async fn install(State(teams): State<TeamsSim>, Path(email): Path<String>) -> StatusCode {
    teams.install(&email);
    StatusCode::NO_CONTENT
}

async fn uninstall(State(teams): State<TeamsSim>, Path(email): Path<String>) -> StatusCode {
    teams.uninstall(&email);
    StatusCode::NO_CONTENT
}

async fn cards(State(teams): State<TeamsSim>) -> Json<Vec<CardView>> {
    Json(teams.cards())
}

#[derive(Debug, Deserialize)]
struct PressScript {
    activity: String,
    choice: Choice,
    #[serde(default)]
    form: Form,
    #[serde(default)]
    flaw: TokenFlaw,
}

async fn press(
    State(teams): State<TeamsSim>,
    Json(given): Json<PressScript>,
) -> Result<Json<PressAnswer>, StatusCode> {
    let card = teams
        .cards()
        .into_iter()
        .find(|card| card.activity == given.activity);
    let card = card.ok_or(StatusCode::NOT_FOUND)?;
    let press = Press {
        form: given.form,
        flaw: given.flaw,
        ..Press::new(given.choice)
    };
    Ok(Json(teams.press(&card, press).await))
}

async fn rotate_keys(State(teams): State<TeamsSim>) -> StatusCode {
    match teams.rotate_keys().await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn inbox(State(twilio): State<TwilioSim>, Path(number): Path<String>) -> Json<Vec<Sms>> {
    Json(twilio.inbox(&number))
}

async fn messages(State(twilio): State<TwilioSim>) -> Json<Vec<MessageView>> {
    Json(twilio.messages())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReplyScript {
    Yes,
    No,
    WrongCode,
    Ignore,
    Text(String),
}

#[derive(Debug, Deserialize)]
struct Answering {
    reply: ReplyScript,
    after_ms: Option<u64>,
}

async fn reply(
    State(twilio): State<TwilioSim>,
    Path(number): Path<String>,
    Json(given): Json<Answering>,
) -> StatusCode {
    let reply = match given.reply {
        ReplyScript::Yes => Reply::Yes,
        ReplyScript::No => Reply::No,
        ReplyScript::WrongCode => Reply::WrongCode,
        ReplyScript::Ignore => Reply::Ignore,
        ReplyScript::Text(words) => Reply::Text(words),
    };
    match delay(given.after_ms) {
        Some(delay) => twilio.reply_after(&number, reply, delay),
        None => twilio.reply(&number, reply),
    }
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
struct Text {
    from: String,
    body: String,
}

async fn sms(State(twilio): State<TwilioSim>, Json(text): Json<Text>) -> Json<Value> {
    Json(json!({ "status": twilio.receive(&text.from, &text.body).await }))
}
