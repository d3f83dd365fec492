//! Scripting the help desk and the model.

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::found;
use crate::halo::{Delivery, HUMAN_AGENT, HaloSim, NewTicket, TicketView, WebhookMode};
use crate::openai::{OpenAiSim, Scripted};

pub(crate) fn halo(halo: &HaloSim) -> Router {
    Router::new()
        .route("/_sim/tickets", get(tickets).post(file))
        .route("/_sim/tickets/{id}", get(ticket))
        .route("/_sim/tickets/{id}/notes", post(note))
        .route("/_sim/tickets/{id}/assign", post(assign))
        .route("/_sim/tickets/{id}/status", put(status))
        .route("/_sim/webhooks", put(webhooks).get(deliveries))
        .route("/_sim/webhooks/{delivery}/resend", post(resend))
        .route("/_sim/expire_tokens", post(expire_tokens))
        .with_state(halo.clone())
}

pub(crate) fn openai(openai: &OpenAiSim) -> Router {
    Router::new()
        .route("/_sim/answers", post(answer))
        .with_state(openai.clone())
}

async fn file(State(halo): State<HaloSim>, Json(new): Json<NewTicket>) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({ "id": halo.file_ticket(new) })))
}

async fn tickets(State(halo): State<HaloSim>) -> Json<Vec<TicketView>> {
    Json(halo.tickets())
}

async fn ticket(State(halo): State<HaloSim>, Path(id): Path<i64>) -> Result<Json<TicketView>, StatusCode> {
    halo.ticket(id).map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[derive(Debug, Deserialize)]
struct Words {
    text: String,
    /// The user writes rather than an agent.
    #[serde(default)]
    by_user: bool,
}

async fn note(State(halo): State<HaloSim>, Path(id): Path<i64>, Json(words): Json<Words>) -> StatusCode {
    found(if words.by_user {
        halo.user_note(id, &words.text)
    } else {
        halo.agent_note(id, &words.text)
    })
}

#[derive(Debug, Deserialize)]
struct Assignment {
    #[serde(default = "human")]
    agent_id: i64,
}

fn human() -> i64 {
    HUMAN_AGENT
}

async fn assign(State(halo): State<HaloSim>, Path(id): Path<i64>, Json(to): Json<Assignment>) -> StatusCode {
    found(halo.assign(id, to.agent_id))
}

#[derive(Debug, Deserialize)]
struct Status {
    status: String,
}

async fn status(State(halo): State<HaloSim>, Path(id): Path<i64>, Json(to): Json<Status>) -> StatusCode {
    found(halo.set_status(id, &to.status))
}

async fn webhooks(State(halo): State<HaloSim>, Json(mode): Json<WebhookMode>) -> StatusCode {
    halo.webhooks(mode);
    StatusCode::NO_CONTENT
}

async fn deliveries(State(halo): State<HaloSim>) -> Json<Vec<Delivery>> {
    Json(halo.deliveries())
}

async fn resend(State(halo): State<HaloSim>, Path(delivery): Path<String>) -> Json<Value> {
    Json(json!({ "status": halo.resend(&delivery).await }))
}

async fn expire_tokens(State(halo): State<HaloSim>) -> StatusCode {
    halo.expire_tokens();
    StatusCode::NO_CONTENT
}

async fn answer(State(openai): State<OpenAiSim>, Json(answer): Json<Scripted>) -> StatusCode {
    openai.script(answer);
    StatusCode::NO_CONTENT
}
