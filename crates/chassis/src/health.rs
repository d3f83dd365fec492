//! `/healthz`: alive. `/readyz`: whether the service can do its work, and what it does without at the moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::Json;
use crate::sessions::Sessions;
use crate::shell::Shell;

/// The newest migration that this code was written for; a test holds it against `migrations/`.
pub const SCHEMA: i64 = 20_261_201_000_011;
/// A database that takes longer than this to say hello is not there.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// How old the figures are that a scrape sees, at most.
const WATCH: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Blocked(String),
    Degraded(String),
}

/// What a service knows of its own readiness beside Postgres and Redis. Shared; `Shell::readiness` answers it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Standing>>>);

impl Readiness {
    /// Without `what` no work can be done: `/readyz` is 503 and says `why`.
    pub fn blocked(&self, what: &'static str, why: impl Into<String>) {
        self.set(what, Some(Standing::Blocked(why.into())));
    }

    /// Work goes on without `what`: `/readyz` stays 200 and names it.
    pub fn degraded(&self, what: &'static str, why: impl Into<String>) {
        self.set(what, Some(Standing::Degraded(why.into())));
    }

    /// `what` is there.
    pub fn ready(&self, what: &'static str) {
        self.set(what, None);
    }

    fn set(&self, what: &'static str, standing: Option<Standing>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match standing {
            Some(standing) => all.insert(what, standing),
            None => all.remove(what),
        };
    }

    fn snapshot(&self) -> BTreeMap<&'static str, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Body of `/readyz`.
#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    service: &'static str,
    /// What is missing and why, where not ready.
    waiting_for: BTreeMap<&'static str, String>,
    /// What the service does without.
    degraded: Vec<&'static str>,
    keys: Keys,
}

/// Which keys the service goes by, so that whoever replaces one sees when all know it. Names, not keys.
#[derive(Debug, Serialize)]
struct Keys {
    signs_with: String,
    /// The list of trusted keys, as `firstline keys show` names it.
    trusted: String,
}

pub(crate) async fn healthz() -> Response {
    Json(serde_json::json!({ "status": "alive" })).into_response()
}

pub(crate) async fn readyz(State(shell): State<Shell>) -> Response {
    let (postgres, redis) = tokio::join!(postgres(&shell), shell.idempotency().takes_keys());
    let mut waiting_for = BTreeMap::new();
    let mut degraded = vec![];
    if let Err(why) = postgres {
        waiting_for.insert("postgres", why);
    }
    if !redis {
        degraded.push("redis");
    }
    if shell.stopping().is_cancelled() {
        waiting_for.insert("shutdown", "the service is stopping".to_owned());
    }
    for (what, standing) in shell.readiness().snapshot() {
        match standing {
            Standing::Blocked(why) => {
                waiting_for.insert(what, why);
            }
            Standing::Degraded(_) => degraded.push(what),
        }
    }
    let ready = waiting_for.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let identity = shell.keys().now();
    let report = Report {
        keys: Keys {
            signs_with: identity.signing_key().kid().to_string(),
            trusted: identity.trusted().fingerprint(),
        },
        ready,
        service: shell.service().name(),
        waiting_for,
        degraded,
    };
    (status, Json(report)).into_response()
}

/// Keep true what the metrics say of Postgres and Redis, until the service stops: nobody may be asking whether it is ready.
pub(crate) async fn watch(shell: Shell) {
    let stopping = shell.stopping().clone();
    let watching = async {
        let mut beat = tokio::time::interval(WATCH);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let _ = tokio::join!(postgres(&shell), shell.idempotency().takes_keys());
        }
    };
    stopping.run_until_cancelled(watching).await;
}

async fn postgres(shell: &Shell) -> Result<(), String> {
    let answer = match tokio::time::timeout(CHECK_LIMIT, fit(shell.pool())).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", CHECK_LIMIT.as_secs())),
    };
    let up = metrics::gauge!("firstline_postgres_up", "service" => shell.service().name());
    up.set(if answer.is_ok() { 1.0 } else { 0.0 });
    answer
}

/// It is the one that this code was written for, or a newer one, and takes writes.
async fn fit(pool: &Sessions) -> Result<(), String> {
    let hello = sqlx::query_as::<_, (String, Option<i64>)>(
        "SELECT current_setting('transaction_read_only'), schema_version()",
    );
    match hello.fetch_one(pool).await {
        Ok((read_only, _)) if read_only == "on" => {
            Err("it takes no writes: see whether DATABASE_URL names a standby".to_owned())
        }
        Ok((_, schema)) if schema < Some(SCHEMA) => {
            Err(older(&format!("migration {}", schema.unwrap_or_default())))
        }
        Ok(_) => Ok(()),
        Err(error) if knows_no_version(&error) => Err(older("a schema from before it told its version")),
        Err(error) => Err(error.to_string()),
    }
}

fn older(at: &str) -> String {
    format!("it is at {at}, and this release needs {SCHEMA}: run `firstline migrate` of this release")
}

/// `42883` undefined_function.
fn knows_no_version(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("42883")
}
