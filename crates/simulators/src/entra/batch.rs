//! `/$batch`: up to twenty requests in one, answered in an order of Graph's own.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, http::HeaderMap};
use http::header;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::graph::{GraphError, object};

const REQUESTS: usize = 20;
const ANSWER_BYTES: usize = 1 << 20;

pub(crate) async fn answer(graph: Router, headers: HeaderMap, body: Bytes) -> Response {
    let requests = match object(&headers, &body) {
        Ok(mut envelope) => envelope.remove("requests"),
        Err(error) => return error.into_response(),
    };
    let Some(requests) = requests
        .as_ref()
        .and_then(Value::as_array)
        .filter(|list| list.len() <= REQUESTS)
    else {
        return GraphError::bad_request("Invalid batch payload format.").into_response();
    };
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        answers.push(one(graph.clone(), &headers, request).await);
    }
    // Callers must match by id: the order is nobody's promise.
    answers.reverse();
    Json(json!({ "responses": answers })).into_response()
}

async fn one(graph: Router, outer: &HeaderMap, request: &Value) -> Value {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let url = format!("/v1.0/{}", text("url").trim_start_matches('/'));
    let body = request.get("body").map(Value::to_string).unwrap_or_default();
    let mut inner = Request::builder().method(text("method")).uri(url);
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        inner = inner.header(name, value.as_str().unwrap_or_default());
    }
    if let Some(token) = outer.get(header::AUTHORIZATION) {
        inner = inner.header(header::AUTHORIZATION, token);
    }
    let answer = match inner.body(Body::from(body)) {
        Ok(inner) => match graph.oneshot(inner).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        },
        Err(_) => GraphError::bad_request("Invalid request in batch.").into_response(),
    };
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), ANSWER_BYTES)
        .await
        .unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    json!({ "id": request["id"], "status": status, "headers": { "Content-Type": "application/json" }, "body": body })
}
