//! A step service that answers at once, in the place of a customer's own and of verification; it proves callers as the
//! real ones do, and remembers what it did.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::{Path as Segment, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use common::{
    ExecutionId, OperationId, OperationView, Outcome, Pending, Service, Signal, StepCall, StepId,
    StepRequest, StepResult,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use trust::TrustedKeys;
use url::Url;

use super::caller::trusted;

/// The name under which playbooks call it.
pub(super) const NAME: &str = "bench";

/// One entry of a step by an execution: what must take effect once, whatever is repeated.
type Visit = (ExecutionId, StepId, u32);

/// Somebody who was asked.
#[derive(Debug, Clone)]
struct Asked {
    request: StepRequest,
    operation: OperationId,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub(super) struct Steps(Arc<Inner>);

struct Inner {
    trusted: TrustedKeys,
    /// Which attempts of a visit took effect. An attempt that is asked for again is answered again, and that is all.
    performed: Mutex<HashMap<Visit, BTreeSet<u32>>>,
    asked: Mutex<HashMap<Visit, Asked>>,
    /// Whether answers are given.
    answering: watch::Sender<bool>,
    calls: AtomicU64,
}

impl Steps {
    /// Listen on a free port of this machine. Callers are known by `keys`.
    pub(super) async fn start(keys: &Path) -> anyhow::Result<(Self, Url)> {
        let steps = Self(Arc::new(Inner {
            trusted: trusted(keys)?,
            performed: Mutex::default(),
            asked: Mutex::default(),
            answering: watch::Sender::new(true),
            calls: AtomicU64::new(0),
        }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/", listener.local_addr()?).parse()?;
        let listener = listener.tap_io(|stream| {
            // Where it fails, answers are slower and no less right.
            let _ = stream.set_nodelay(true);
        });
        let router = Router::new()
            .route("/api/v1/step", post(perform))
            .route("/api/v1/verification/manager_approval", post(ask))
            .route("/api/v1/verification/{operation}", get(look))
            .with_state(steps.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((steps, url))
    }

    /// Keep answers back from now on, or give them.
    pub(super) fn answer(&self, answering: bool) {
        self.0.answering.send_replace(answering);
    }

    /// Calls so far, of whatever kind.
    pub(super) fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Steps that took effect more than once.
    pub(super) fn repeated(&self) -> usize {
        let performed = lock(&self.0.performed);
        performed.values().filter(|attempts| attempts.len() > 1).count()
    }

    /// How many are asked and have not been answered.
    pub(super) fn pending(&self) -> usize {
        lock(&self.0.asked).len()
    }

    /// The answers of all who were asked: yes.
    pub(super) fn approvals(&self) -> Vec<(ExecutionId, Signal)> {
        let asked = std::mem::take(&mut *lock(&self.0.asked));
        let approval = |Asked { request, operation }: Asked| {
            let signal = Signal {
                tenant_id: request.tenant_id,
                operation,
                step: request.step,
                result: StepResult::new(Outcome::Success, "The manager approved."),
            };
            (request.execution_id, signal)
        };
        asked.into_values().map(approval).collect()
    }

    /// The call is by orchestration, to `callee`, with this body.
    fn admits(&self, callee: &str, headers: &HeaderMap, body: &[u8]) -> bool {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")) else {
            return false;
        };
        trust::token::verify(token, callee, body, &self.0.trusted, OffsetDateTime::now_utc())
            .is_ok_and(|token| token.caller == Service::Orchestration)
    }
}

fn visit(execution: ExecutionId, call: &StepCall) -> Visit {
    (execution, call.id.clone(), call.visit)
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn perform(State(steps): State<Steps>, headers: HeaderMap, body: Bytes) -> Response {
    if !steps.admits(NAME, &headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(request) = serde_json::from_slice::<StepRequest>(&body) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    lock(&steps.0.performed)
        .entry(visit(request.execution_id, &request.step))
        .or_default()
        .insert(request.step.attempt);
    let mut answering = steps.0.answering.subscribe();
    // The sender lives as long as we do.
    let _ = answering.wait_for(|answering| *answering).await;
    Json(StepResult::new(Outcome::Success, "The step was done.")).into_response()
}

async fn ask(State(steps): State<Steps>, headers: HeaderMap, body: Bytes) -> Response {
    if !steps.admits(Service::Verification.name(), &headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(request) = serde_json::from_slice::<StepRequest>(&body) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let operation = lock(&steps.0.asked)
        .entry(visit(request.execution_id, &request.step))
        .or_insert_with(|| Asked {
            request,
            operation: OperationId::fresh(),
        })
        .operation;
    let explanation = "The manager was asked.".to_owned();
    let pending = Pending {
        operation,
        explanation,
    };
    (StatusCode::ACCEPTED, Json(pending)).into_response()
}

async fn look(
    State(steps): State<Steps>,
    Segment(operation): Segment<OperationId>,
    headers: HeaderMap,
) -> Response {
    if !steps.admits(Service::Verification.name(), &headers, &[]) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let asked = lock(&steps.0.asked);
    match asked.values().find(|asked| asked.operation == operation) {
        Some(Asked { request, operation }) => Json(OperationView {
            operation: *operation,
            execution_id: request.execution_id,
            step: request.step.clone(),
            explanation: "The manager was asked.".to_owned(),
            deadline: request.deadline,
            result: None,
        })
        .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
