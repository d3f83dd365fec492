//! Reads each request's body once, bounded in size and time, so that everybody behind sees the same exact bytes.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use common::Problem;
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::ApiError;

/// Webhook bodies may have up to this many bytes (design, section 3); ours are all far smaller.
pub(crate) const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// A body that trickles in slower than this is an attack or a broken line.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Of a body that is too large, so much is still taken off the line, in so much time. A client that is writing does not
/// read, and a connection closed under it (a reset, RFC 9112 section 9.6) would cost it the answer that says why.
const DISCARDED_BYTES: usize = 16 * 1024 * 1024;
const DISCARD_LIMIT: Duration = Duration::from_secs(5);

/// The exact bytes of the request's body, for signatures and digests.
#[derive(Debug, Clone)]
pub(crate) struct Buffered(pub(crate) Bytes);

pub(crate) async fn buffer(request: Request, next: Next) -> Response {
    let (mut parts, mut body) = request.into_parts();
    if announced(&parts).is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        discard(&parts, body).await;
        return too_large();
    }
    let reading = Limited::new(&mut body, MAX_BODY_BYTES).collect();
    let bytes = match tokio::time::timeout(READ_LIMIT, reading).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(&parts, body).await;
            return too_large();
        }
        Ok(Err(_)) => {
            return refuse(Problem::bad_request(
                "body_unreadable",
                "the body ended before its end",
            ));
        }
        Err(_) => {
            let problem = Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                "the body did not arrive in time",
            );
            return refuse(problem);
        }
    };
    parts.extensions.insert(Buffered(bytes.clone()));
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}

fn announced(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Take what the client still sends off the line, within the bounds above.
async fn discard(parts: &Parts, body: Body) {
    // Who asked first whether to send (RFC 9110 section 10.1.1) hears the answer instead; reading would say yes.
    let asked_first = parts.headers.contains_key(EXPECT);
    if asked_first || announced(parts).is_some_and(|length| length > DISCARDED_BYTES as u64) {
        return;
    }
    let mut rest = Limited::new(body, DISCARDED_BYTES);
    let discarding = async { while let Some(Ok(_)) = rest.frame().await {} };
    // Late or endless: the refusal goes out all the same, read or not.
    _ = tokio::time::timeout(DISCARD_LIMIT, discarding).await;
}

/// Refuse a request whose body was not read.
pub(crate) fn refuse(problem: Problem) -> Response {
    let mut response = ApiError(problem).into_response();
    // The rest of the body was not read: the connection cannot be used again.
    let close = http::HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

fn too_large() -> Response {
    let detail = format!("a body may have at most {MAX_BODY_BYTES} bytes");
    refuse(Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        detail,
    ))
}
