//! `Idempotency-Key` on every POST behind a door: the same key and body replays the stored answer for 24 h.
//!
//! Redis keeps digests of requests and whole answers, never a request's body. When it is away the service goes on,
//! correct by its own unique keys in Postgres, and says so.

mod store;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use common::problem::{IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_MISMATCH};
use common::{Digest, Problem};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tracing::Instrument;

use crate::body::Buffered;
use crate::shell::Shell;
use crate::{ApiError, Caller, request_id};
pub(crate) use store::Store;
use store::{Claim, Stored, Ticket};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key; ours have up to 150 characters.
const MAX_KEY_LENGTH: usize = 255;
/// Longest answer that is stored; what is longer is answered and not stored.
const MAX_STORED_BYTES: usize = 4 * 1024 * 1024;

/// The layer: claim the key, run the handler to its end even if the caller goes away, store the answer.
pub(crate) async fn replay(State(shell): State<Shell>, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get(KEY) else {
        return next.run(request).await;
    };
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let Some(key) = valid(key) else {
        let detail = format!("`Idempotency-Key` takes 1 to {MAX_KEY_LENGTH} visible ASCII characters");
        return ApiError(Problem::bad_request("idempotency_key_invalid", detail)).into_response();
    };
    let (name, digest) = scope(&shell, &request, key);
    let claim = shell.idempotency().claim(&name, &digest).await;
    count(&shell, &claim);
    match claim {
        Claim::Skipped => next.run(request).await,
        Claim::Fresh(ticket) => perform(shell, ticket, request, next).await,
        Claim::Replay(stored) => stored.into_response(),
        Claim::InFlight => {
            let mut problem = Problem::conflict(
                IDEMPOTENCY_IN_FLIGHT,
                "the same request is still being worked on: ask again with the same key",
            );
            problem.retry_after_s = Some(1);
            ApiError(problem).into_response()
        }
        Claim::Mismatch => {
            let detail = "this key was used with another body: take a fresh key for a fresh request";
            ApiError(Problem::unprocessable(IDEMPOTENCY_MISMATCH, detail)).into_response()
        }
    }
}

fn valid(key: &HeaderValue) -> Option<&str> {
    key.to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= MAX_KEY_LENGTH && !key.contains(' '))
}

/// The entry's name in Redis, and the digest of what was asked. Callers cannot see each other's answers.
fn scope(shell: &Shell, request: &Request, key: &str) -> (String, Digest) {
    let caller = request
        .extensions()
        .get::<Caller>()
        .map_or_else(String::new, Caller::actor);
    let target = request
        .uri()
        .path_and_query()
        .map_or("", |target| target.as_str());
    let within = Digest::of([caller.as_str(), request.method().as_str(), target, key].join("\n"));
    let name = format!(
        "firstline:idempotency:{}:{}:{within}",
        shell.service(),
        shell.tenant()
    );
    let body = request.extensions().get::<Buffered>();
    let digest = Digest::of(body.map_or(&[][..], |body| &body.0));
    (name, digest)
}

async fn perform(shell: Shell, ticket: Ticket, request: Request, next: Next) -> Response {
    let tasks = shell.tasks().clone();
    let id = request_id::current().unwrap_or_else(request_id::fresh);
    let work = async move {
        let working = shell.idempotency().keep(ticket);
        let (response, stored) = split(next.run(request).await).await;
        match stored {
            Some(stored) => working.finish(&stored).await,
            None => working.release().await,
        }
        response
    };
    let spawned = tasks.spawn(request_id::scope(id, work).in_current_span());
    match spawned.await {
        Ok(response) => response,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Only at the very end of the process.
        Err(_) => ApiError(Problem::internal()).into_response(),
    }
}

/// The answer, and what of it is worth storing: not what may be different next time.
async fn split(response: Response) -> (Response, Option<Stored>) {
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_STORED_BYTES).await else {
        tracing::error!("an answer was longer than what we send");
        return (ApiError(Problem::internal()).into_response(), None);
    };
    let final_answer = !parts.status.is_server_error()
        && !matches!(
            parts.status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let content_type = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let stored = final_answer.then(|| Stored {
        status: parts.status.as_u16(),
        content_type,
        body: bytes.to_vec(),
    });
    (Response::from_parts(parts, Body::from(bytes)), stored)
}

impl IntoResponse for Stored {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        if let Some(value) = self
            .content_type
            .and_then(|text| HeaderValue::from_str(&text).ok())
        {
            headers.insert(CONTENT_TYPE, value);
        }
        response
    }
}

fn count(shell: &Shell, claim: &Claim) {
    let result = match claim {
        Claim::Skipped => "skipped",
        Claim::Fresh(_) => "fresh",
        Claim::Replay(_) => "replayed",
        Claim::InFlight => "in_flight",
        Claim::Mismatch => "mismatch",
    };
    let service = shell.service().name();
    metrics::counter!("firstline_idempotency_total", "service" => service, "result" => result).increment(1);
}
