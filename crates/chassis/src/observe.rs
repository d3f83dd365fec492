//! Around every request: its id, its span in the caller's trace, its metrics, a time limit, and no panic let through.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use common::{Problem, Service};
use futures::FutureExt;
use http::StatusCode;
use tracing::{Instrument, Span, field};

use crate::{ApiError, request_id, telemetry};

/// No handler of ours takes longer; what must wait for a person is an operation, not a request.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

pub(crate) async fn observe(State(service): State<Service>, request: Request, next: Next) -> Response {
    let id = request_id::of(request.headers());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().to_string();
    let span = span(service, &method, &route, &id, &request);
    let started = Instant::now();
    let work = request_id::scope(id.clone(), guarded(request, next).instrument(span.clone()));
    let mut response = work.await;
    let status = response.status();
    if let Some(id) = request_id::header_value(&id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    report(service, &span, &method, route, status, started.elapsed());
    response
}

fn span(service: Service, method: &str, route: &str, id: &str, request: &Request) -> Span {
    if matches!(route, "/healthz" | "/readyz" | "/metrics") {
        // Probes come every few seconds and would drown the story.
        return Span::none();
    }
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        service = service.name(),
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        request.id = id,
        trace.id = field::Empty,
    );
    telemetry::continue_remote(&span, request.headers());
    telemetry::name_trace(&span);
    span
}

/// The answer within the limit; a panic or silence becomes a problem.
async fn guarded(request: Request, next: Next) -> Response {
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(ANSWER_LIMIT, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            tracing::error!(panic = panic_text(panic.as_ref()), "a handler panicked");
            ApiError(Problem::internal()).into_response()
        }
        Err(_) => {
            tracing::error!(limit_s = ANSWER_LIMIT.as_secs(), "a handler took too long");
            // Not 503: that would promise that nothing happened.
            let detail = "it took too long; it may still happen: ask again with the same `Idempotency-Key`";
            ApiError(Problem::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", detail)).into_response()
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
}

fn report(service: Service, span: &Span, method: &str, route: String, status: StatusCode, took: Duration) {
    span.record("http.response.status_code", status.as_u16());
    span.in_scope(|| tracing::debug!(status = status.as_u16(), took_ms = took.as_millis(), "answered"));
    let labels = [("service", service.name().to_owned()), ("route", route)];
    metrics::histogram!("firstline_http_request_seconds", &labels).record(took.as_secs_f64());
    let [service, route] = labels;
    let labels = [
        service,
        route,
        ("method", method.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    metrics::counter!("firstline_http_requests_total", &labels).increment(1);
}
