//! One callee: what a call of it carries, and what its answer means to whoever called.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Outbound;
use crate::problem::{Problem, SYSTEM};

/// Longest body a peer may answer with; anything beyond is not read.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Why a peer did not do it, sorted by what the caller may do next.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The peer said no. The same request gets the same answer.
    #[error("`{callee}` refused: {problem}")]
    Refused {
        /// Who.
        callee: String,
        /// Its words.
        problem: Box<Problem>,
    },
    /// Nothing happened yet: not reachable, overloaded, or an outside system behind it is away. Repeat after the wait.
    #[error("`{callee}` is not ready: {detail}")]
    Busy {
        /// Who.
        callee: String,
        /// What it said, or why it could not be reached.
        detail: String,
        /// The problem's `code`, where there was one.
        code: Option<String>,
        /// What is away behind it, where it said so.
        system: Option<String>,
        /// How long to wait, where it said so.
        retry_after: Option<Duration>,
    },
    /// Sent, and no usable answer came. It may have happened: ask again with the same `Idempotency-Key`.
    #[error("no usable answer from `{callee}`: {detail}")]
    Unknown {
        /// Who.
        callee: String,
        /// What was seen instead.
        detail: String,
    },
}

impl PeerError {
    /// The peer does not know the thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.status == 404)
    }
}

/// One callee at one address.
#[derive(Clone)]
pub struct Peer {
    callee: String,
    base: Url,
    http: reqwest::Client,
    outbound: Arc<dyn Outbound>,
}

/// A call of a peer.
pub(super) struct Request<'a> {
    method: Method,
    path: &'a str,
    query: Option<(&'static str, &'a str)>,
    idempotency_key: Option<&'a str>,
    body: Option<Body>,
    accept: Option<&'static str>,
}

struct Body {
    content_type: &'static str,
    bytes: Vec<u8>,
}

impl<'a> Request<'a> {
    /// A call that says nothing more.
    pub(super) const fn bare(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: None,
            idempotency_key: None,
            body: None,
            accept: None,
        }
    }

    pub(super) const fn get(path: &'a str) -> Self {
        Self::bare(Method::GET, path)
    }

    pub(super) fn json(method: Method, path: &'a str, body: &impl Serialize) -> Self {
        // Our own contract types: string keys and no failing `Serialize`, so this cannot fail; an empty body would be
        // refused by the callee with a clear 400 all the same.
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        Self::bare(method, path).saying("application/json", bytes)
    }

    pub(super) fn yaml(method: Method, path: &'a str, source: &str) -> Self {
        Self::bare(method, path).saying("application/yaml", source.as_bytes().to_vec())
    }

    fn saying(mut self, content_type: &'static str, bytes: Vec<u8>) -> Self {
        self.body = Some(Body { content_type, bytes });
        self
    }

    pub(super) const fn keyed(mut self, idempotency_key: &'a str) -> Self {
        self.idempotency_key = Some(idempotency_key);
        self
    }

    /// Ask for this, where there is a value.
    pub(super) fn query(mut self, name: &'static str, value: Option<&'a str>) -> Self {
        self.query = value.map(|value| (name, value));
        self
    }

    pub(super) const fn accepting(mut self, media_type: &'static str) -> Self {
        self.accept = Some(media_type);
        self
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(body) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
        }
        if let Some(accepted) = self.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        }
        let key = self.idempotency_key.map(HeaderValue::from_str);
        if let Some(Ok(key)) = key {
            headers.insert("idempotency-key", key);
        }
        headers
    }
}

impl Peer {
    /// A client of `callee` (the `aud` of its tokens) at `base`, for instance `http://127.0.0.1:8082`.
    pub fn new(
        callee: impl Into<String>,
        base: Url,
        http: reqwest::Client,
        outbound: Arc<dyn Outbound>,
    ) -> Self {
        Self {
            callee: callee.into(),
            base,
            http,
            outbound,
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let joined = format!(
            "{}/{}",
            url.path().trim_end_matches('/'),
            path.trim_start_matches('/')
        );
        url.set_path(&joined);
        url
    }

    /// The answer of a callee that did it.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<(StatusCode, Vec<u8>), PeerError> {
        let mut headers = request.headers();
        let mut url = self.url(request.path);
        if let Some((name, value)) = request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let body = request.body.map(|body| body.bytes).unwrap_or_default();
        self.outbound.decorate(&self.callee, &body, &mut headers);
        let sent = self
            .http
            .request(request.method, url)
            .headers(headers)
            .body(body)
            .send()
            .await;
        let mut response = sent.map_err(|error| self.not_answered(&error))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let answer = self.body(&mut response).await?;
        if status.is_success() {
            Ok((status, answer))
        } else {
            Err(self.refusal(status, &answer, retry_after))
        }
    }

    async fn body(&self, response: &mut reqwest::Response) -> Result<Vec<u8>, PeerError> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.not_answered(&error))?
        {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                let status = response.status();
                return Err(self.unknown(format!("{status} with more than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn not_answered(&self, error: &reqwest::Error) -> PeerError {
        let detail = root_cause(error);
        if error.is_connect() {
            PeerError::Busy {
                callee: self.callee.clone(),
                detail,
                code: None,
                system: None,
                retry_after: None,
            }
        } else {
            self.unknown(detail)
        }
    }

    /// It may have happened.
    pub(super) fn unknown(&self, detail: String) -> PeerError {
        PeerError::Unknown {
            callee: self.callee.clone(),
            detail,
        }
    }

    fn refusal(&self, status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> PeerError {
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let code = problem.as_ref().map(|problem| problem.code.clone());
        let callee = self.callee.clone();
        let repeatable = matches!(status.as_u16(), 408 | 425 | 429 | 503)
            || code.as_deref() == Some(crate::problem::IDEMPOTENCY_IN_FLIGHT);
        if repeatable {
            let detail = problem.as_ref().map_or_else(|| status.to_string(), traceable);
            let system = problem.and_then(|problem| Some(problem.extra.get(SYSTEM)?.as_str()?.to_owned()));
            return PeerError::Busy {
                callee,
                detail,
                code,
                system,
                retry_after,
            };
        }
        match problem {
            Some(problem) if status.is_server_error() => self.unknown(traceable(&problem)),
            None if status.is_server_error() => self.unknown(status.to_string()),
            Some(problem) => PeerError::Refused {
                callee,
                problem: Box::new(problem),
            },
            None => {
                let problem = Problem::new(status, "unexplained", "the answer was no problem document");
                PeerError::Refused {
                    callee,
                    problem: Box::new(problem),
                }
            }
        }
    }

    /// The same, read as what was agreed.
    pub(super) async fn read<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, PeerError> {
        let (_, body) = self.send(request).await?;
        self.parse(&body)
    }

    /// What was agreed.
    pub(super) fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, PeerError> {
        serde_json::from_slice(body)
            .map_err(|error| self.unknown(format!("the answer is not what was agreed: {error}")))
    }
}

/// The problem with the request id, by which the callee's log has it.
fn traceable(problem: &Problem) -> String {
    match &problem.instance {
        Some(request) => format!("{problem} ({request})"),
        None => problem.to_string(),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// `Retry-After` in whole seconds (RFC 9110; the date form is not used between our services).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::super::{PlaybookClient, http_client};
    use super::*;
    use wiremock::matchers::{any, header, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    struct Stamp;
    impl Outbound for Stamp {
        fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap) {
            headers.insert("x-callee", callee.parse().unwrap());
            headers.insert("x-length", body.len().into());
        }
    }

    fn peer(server: &MockServer) -> Peer {
        let http = http_client(Duration::from_secs(5)).unwrap();
        Peer::new("playbook", server.uri().parse().unwrap(), http, Arc::new(Stamp))
    }

    #[tokio::test]
    async fn a_call_is_decorated_with_the_callee_and_the_exact_body() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/api/v1/playbooks/check"))
            .and(header("x-callee", "playbook"))
            .and(header("x-length", "7"))
            .respond_with(
                ResponseTemplate::new(200).set_body_json(serde_json::json!({"ok": true, "findings": []})),
            )
            .expect(1)
            .mount(&server)
            .await;
        let answer = PlaybookClient(peer(&server)).check("name: x").await.unwrap();
        assert!(answer.ok);
    }

    #[tokio::test]
    async fn refusals_are_sorted_by_what_the_caller_may_do_next() {
        for (status, code, expected) in [
            (422, "bad", "refused"),
            (404, "missing", "refused"),
            (503, "outside_unavailable", "busy"),
            (409, "idempotency_in_flight", "busy"),
            (409, "execution_open", "refused"),
            (500, "internal_error", "unknown"),
        ] {
            let server = MockServer::start().await;
            let problem = Problem::new(StatusCode::from_u16(status).unwrap(), code, "why");
            let template = ResponseTemplate::new(status)
                .insert_header("retry-after", "7")
                .set_body_json(problem);
            Mock::given(method("GET"))
                .respond_with(template)
                .mount(&server)
                .await;
            let seen = match PlaybookClient(peer(&server)).list().await.unwrap_err() {
                PeerError::Refused { .. } => "refused",
                PeerError::Busy { retry_after, .. } => {
                    assert_eq!(retry_after, Some(Duration::from_secs(7)));
                    "busy"
                }
                PeerError::Unknown { .. } => "unknown",
            };
            assert_eq!(seen, expected, "{status} {code}");
        }
    }

    #[tokio::test]
    async fn what_is_away_behind_a_peer_is_known_by_its_name() {
        let server = MockServer::start().await;
        let away = Problem::outside_unavailable("the directory", None);
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(503).set_body_json(away))
            .mount(&server)
            .await;
        let error = PlaybookClient(peer(&server)).list().await.unwrap_err();
        assert!(
            matches!(&error, PeerError::Busy { system: Some(system), .. } if system == "the directory"),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_peer_sends_nobody_on_to_another_host() {
        for status in [301, 302, 303, 307, 308] {
            let (here, elsewhere) = (MockServer::start().await, MockServer::start().await);
            let location = format!("{}/api/v1/playbooks", elsewhere.uri());
            Mock::given(any())
                .respond_with(ResponseTemplate::new(status).insert_header("location", location.as_str()))
                .mount(&here)
                .await;
            let client = PlaybookClient(peer(&here));
            assert!(client.list().await.is_err(), "{status}");
            assert!(client.check("name: x").await.is_err(), "{status}");
            assert!(
                elsewhere.received_requests().await.unwrap().is_empty(),
                "{status}"
            );
        }
    }

    #[tokio::test]
    async fn a_fault_of_the_callee_names_its_code_and_the_request() {
        let server = MockServer::start().await;
        let mut problem = Problem::internal();
        problem.instance = Some("urn:request:7".to_owned());
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(500).set_body_json(problem))
            .mount(&server)
            .await;
        let error = PlaybookClient(peer(&server))
            .list()
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("internal_error"), "{error}");
        assert!(error.contains("urn:request:7"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_was_not_agreed_is_unknown_and_a_closed_port_is_busy() {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(200).set_body_string("<html>"))
            .mount(&server)
            .await;
        let client = PlaybookClient(peer(&server));
        assert!(matches!(client.list().await, Err(PeerError::Unknown { .. })));
        drop(server);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let http = http_client(Duration::from_secs(5)).unwrap();
        let closed = PlaybookClient(Peer::new(
            "playbook",
            base.parse().unwrap(),
            http,
            Arc::new(Stamp),
        ));
        assert!(matches!(closed.list().await, Err(PeerError::Busy { .. })));
    }
}
