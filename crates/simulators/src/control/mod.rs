//! The same scripting over HTTP, under `/_sim/` on each port, for people and programs outside this process.
//!
//! Open to whoever reaches the port: simulators belong on a loopback or a test network.

mod desk;
mod phones;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use desk::{halo, openai};
pub(crate) use phones::{entra, teams, twilio};

use crate::company::Person;
use crate::core::Core;
use crate::faults::{Fault, FaultId, FaultKind};
use crate::journal::Entry;
use crate::wire::{Door, LoggedRequest};

/// What is the same on each port: the journal, the company, this system's requests and faults.
pub(crate) fn common(core: &Arc<Core>, door: &Arc<Door>) -> Router {
    let journal = Router::new()
        .route("/_sim/journal", get(journal))
        .route("/_sim/company", get(company))
        .with_state(Arc::clone(core));
    let faults = Router::new()
        .route("/_sim/requests", get(requests))
        .route("/_sim/faults", axum::routing::post(inject).delete(lift_all))
        .route("/_sim/faults/{id}", delete(lift))
        .with_state(Arc::clone(door));
    journal.merge(faults)
}

/// Milliseconds, as the scripts give them.
fn delay(after_ms: Option<u64>) -> Option<Duration> {
    after_ms.map(Duration::from_millis)
}

/// 204, or 404 where nobody was found.
fn found(found: bool) -> StatusCode {
    if found {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    from: u64,
}

async fn journal(State(core): State<Arc<Core>>, Query(since): Query<Since>) -> Json<Vec<Entry>> {
    Json(core.journal.since(since.from))
}

async fn company(State(core): State<Arc<Core>>) -> Json<Vec<Person>> {
    Json(core.directory.all())
}

async fn requests(State(door): State<Arc<Door>>) -> Json<Vec<LoggedRequest>> {
    Json(door.requests())
}

/// A fault as JSON: one kind, and whom it strikes.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Latency {
        ms: u64,
    },
    TooManyRequests {
        retry_after: Option<u64>,
    },
    Status {
        status: u16,
    },
    DropBefore,
    DropAfter,
    CutBody,
    /// Everything breaks until it is lifted.
    Outage,
}

#[derive(Debug, Deserialize)]
struct Injection {
    #[serde(flatten)]
    kind: Kind,
    times: Option<u32>,
    path: Option<String>,
    method: Option<String>,
}

async fn inject(State(door): State<Arc<Door>>, Json(given): Json<Injection>) -> Json<Value> {
    let kind = match given.kind {
        Kind::Outage => {
            door.faults.outage(true);
            return Json(json!({ "outage": true }));
        }
        Kind::Latency { ms } => FaultKind::Latency(Duration::from_millis(ms)),
        Kind::TooManyRequests { retry_after } => FaultKind::TooManyRequests { retry_after },
        Kind::Status { status } => FaultKind::Status(status),
        Kind::DropBefore => FaultKind::DropBefore,
        Kind::DropAfter => FaultKind::DropAfter,
        Kind::CutBody => FaultKind::CutBody,
    };
    let mut fault = Fault::new(kind);
    if let Some(times) = given.times {
        fault = fault.times(times);
    }
    if let Some(path) = given.path {
        fault = fault.on(&path);
    }
    if let Some(method) = given.method {
        fault = fault.method(&method);
    }
    Json(json!({ "id": door.faults.inject(fault) }))
}

async fn lift(State(door): State<Arc<Door>>, Path(id): Path<FaultId>) -> StatusCode {
    door.faults.lift(id);
    StatusCode::NO_CONTENT
}

async fn lift_all(State(door): State<Arc<Door>>) -> StatusCode {
    door.faults.lift_all();
    StatusCode::NO_CONTENT
}
