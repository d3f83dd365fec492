//! Typed clients of the six services: how they talk to each other, and how the command line talks to them.
//!
//! What every outgoing call must carry (service token, `traceparent`, request id) comes from an [`Outbound`], which
//! `chassis` implements; this module knows only shapes.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::decision::Decision;
use crate::digest::Digest;
use crate::execution::{ExecutePlaybook, ExecutionAccepted, ExecutionView};
use crate::explain::ExplainedDecision;
use crate::ids::{ActionName, ExecutionId, OperationId, PermitId, PlaybookName, PlaybookVersion, TicketId};
use crate::modes::{Bar, GateReport, ReviewDecision, Reviewed, Standing};
use crate::operate::{CancelExecution, OperateExecution, SetSwitch, SwitchView};
use crate::playbook::{ActivatePlaybook, CheckAnswer, PlaybookRef, PlaybookView};
use crate::problem::{Problem, SYSTEM};
use crate::service::Service;
use crate::step::{
    OperationView, Pending, PermitToken, RenewPermit, RenewedPermit, Signal, StepAnswer, StepRequest,
    StepResult,
};

/// Longest body a peer may answer with; anything beyond is not read.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Puts on every outgoing internal call what the callee asks for.
pub trait Outbound: Send + Sync {
    /// Add headers for a call of `callee` with exactly this `body`: `Authorization`, `traceparent`, `x-request-id`.
    fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap);
}

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

/// How long a connection between services rests before whoever made it lets go. Shorter than the time after which a
/// service closes it: a request that meets the closing half way gets no answer, and nobody knows whether it was read.
pub const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// An HTTP client for internal calls: time-outs, no redirects, `TCP_NODELAY` on.
///
/// # Errors
/// The platform's TLS set-up is broken.
pub fn http_client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(2))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE_LIMIT)
        .build()
}

/// One callee at one address.
#[derive(Clone)]
pub struct Peer {
    callee: String,
    base: Url,
    http: reqwest::Client,
    outbound: Arc<dyn Outbound>,
}

struct Request<'a> {
    method: Method,
    path: &'a str,
    query: Option<(&'a str, &'a str)>,
    idempotency_key: Option<&'a str>,
    body: Vec<u8>,
    content_type: &'static str,
    accept: Option<&'static str>,
}

impl<'a> Request<'a> {
    fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            query: None,
            idempotency_key: None,
            body: vec![],
            content_type: "",
            accept: None,
        }
    }

    fn json(method: Method, path: &'a str, body: &impl Serialize) -> Self {
        // Our own contract types: string keys and no failing `Serialize`, so this cannot fail; an empty body would be
        // refused by the callee with a clear 400 all the same.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self {
            method,
            path,
            query: None,
            idempotency_key: None,
            body,
            content_type: "application/json",
            accept: None,
        }
    }

    fn keyed(mut self, idempotency_key: &'a str) -> Self {
        self.idempotency_key = Some(idempotency_key);
        self
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

    async fn send(&self, request: Request<'_>) -> Result<(StatusCode, Vec<u8>), PeerError> {
        let mut headers = HeaderMap::new();
        if !request.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
        }
        if let Some(accepted) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        }
        if let Some(key) = request
            .idempotency_key
            .and_then(|key| HeaderValue::from_str(key).ok())
        {
            headers.insert("idempotency-key", key);
        }
        self.outbound.decorate(&self.callee, &request.body, &mut headers);
        let mut url = self.url(request.path);
        if let Some((name, value)) = request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let sent = self
            .http
            .request(request.method, url)
            .headers(headers)
            .body(request.body)
            .send()
            .await;
        let mut response = sent.map_err(|error| self.not_answered(&error))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.not_answered(&error))?
        {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(self.unknown(format!("{status} with more than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            Ok((status, body))
        } else {
            Err(self.refusal(status, &body, retry_after))
        }
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

    fn unknown(&self, detail: String) -> PeerError {
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

    async fn read<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, PeerError> {
        let (_, body) = self.send(request).await?;
        self.parse(&body)
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, PeerError> {
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

/// The playbook service.
#[derive(Clone)]
pub struct PlaybookClient(pub Peer);

impl PlaybookClient {
    /// Every active playbook, without sources.
    pub async fn list(&self) -> Result<Vec<PlaybookView>, PeerError> {
        self.0.read(Request::get("/api/v1/playbooks")).await
    }

    /// One version with its source; the active one where `version` is `None`.
    pub async fn playbook(
        &self,
        name: &PlaybookName,
        version: Option<&PlaybookVersion>,
    ) -> Result<PlaybookView, PeerError> {
        let path = format!("/api/v1/playbooks/{name}");
        let mut request = Request::get(&path);
        request.query = version.map(|version| ("version", version.as_str()));
        self.0.read(request).await
    }

    /// Every version of one playbook, newest first, without sources.
    pub async fn versions(&self, name: &PlaybookName) -> Result<Vec<PlaybookView>, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/playbooks/{name}/versions")))
            .await
    }

    /// Check a document without publishing it.
    pub async fn check(&self, source: &str) -> Result<CheckAnswer, PeerError> {
        self.0
            .read(yaml(Method::POST, "/api/v1/playbooks/check", source))
            .await
    }

    /// Publish a document. Findings come as [`PeerError::Refused`] with `findings`.
    pub async fn publish(&self, source: &str, idempotency_key: &str) -> Result<PlaybookRef, PeerError> {
        self.0
            .read(yaml(Method::POST, "/api/v1/playbooks", source).keyed(idempotency_key))
            .await
    }

    /// Make `version` the one that new executions get.
    pub async fn activate(
        &self,
        name: &PlaybookName,
        version: &PlaybookVersion,
    ) -> Result<PlaybookView, PeerError> {
        self.activate_as(name, &ActivatePlaybook::version(version.clone()))
            .await
    }

    /// The same, in a mode. What has not been earned comes as [`PeerError::Refused`], `mode_not_earned`.
    pub async fn activate_as(
        &self,
        name: &PlaybookName,
        activation: &ActivatePlaybook,
    ) -> Result<PlaybookView, PeerError> {
        let path = format!("/api/v1/playbooks/{name}/activate");
        self.0.read(Request::json(Method::PUT, &path, activation)).await
    }

    /// Give new executions no version of it. Running ones go on with theirs.
    pub async fn deactivate(&self, name: &PlaybookName) -> Result<PlaybookView, PeerError> {
        let path = format!("/api/v1/playbooks/{name}/deactivate");
        let mut request = Request::get(&path);
        request.method = Method::PUT;
        self.0.read(request).await
    }
}

fn yaml<'a>(method: Method, path: &'a str, source: &str) -> Request<'a> {
    Request {
        method,
        path,
        query: None,
        idempotency_key: None,
        body: source.as_bytes().to_vec(),
        content_type: "application/yaml",
        accept: None,
    }
}

/// The classifier.
#[derive(Clone)]
pub struct ClassifierClient(pub Peer);

impl ClassifierClient {
    /// The decision on a ticket and how it came about; not found where it has not been decided on.
    pub async fn explained(&self, ticket: &TicketId) -> Result<ExplainedDecision, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/decisions/{ticket}")))
            .await
    }

    /// The decision on a ticket; not found where it has not been decided on.
    pub async fn decision(&self, ticket: &TicketId) -> Result<Decision, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/decisions/{ticket}")))
            .await
    }

    /// How far a playbook is from acting by itself.
    pub async fn standing(&self, playbook: &PlaybookName, bar: Bar) -> Result<Standing, PeerError> {
        let path = format!("/api/v1/gate/standing/{playbook}");
        let bar = bar.to_string();
        let mut request = Request::get(&path);
        request.query = Some(("bar", &bar));
        self.0.read(request).await
    }

    /// Say whether the decision on a ticket was right.
    pub async fn review(&self, ticket: &TicketId, review: &ReviewDecision) -> Result<Reviewed, PeerError> {
        let path = format!("/api/v1/decisions/{ticket}/review");
        self.0.read(Request::json(Method::PUT, &path, review)).await
    }

    /// How the gate does, from `since` on; a while back where it is `None`.
    pub async fn report(&self, since: Option<&str>) -> Result<GateReport, PeerError> {
        self.0.read(Self::report_since(since)).await
    }

    /// The same as a picture: an SVG document.
    pub async fn report_picture(&self, since: Option<&str>) -> Result<String, PeerError> {
        let mut request = Self::report_since(since);
        request.accept = Some("image/svg+xml");
        let (_, body) = self.0.send(request).await?;
        String::from_utf8(body).map_err(|_| self.0.unknown("the picture is no text".to_owned()))
    }

    fn report_since(since: Option<&str>) -> Request<'_> {
        let mut request = Request::get("/api/v1/gate/report");
        request.query = since.map(|since| ("since", since));
        request
    }
}

/// The orchestration service.
#[derive(Clone)]
pub struct OrchestrationClient(pub Peer);

impl OrchestrationClient {
    /// Start an execution. The decision id is the idempotency key.
    pub async fn execute(&self, request: &ExecutePlaybook) -> Result<ExecutionAccepted, PeerError> {
        let key = format!("decision/{}", request.decision_id);
        let path = "/api/v1/orchestration/execute_playbook";
        self.0
            .read(Request::json(Method::POST, path, request).keyed(&key))
            .await
    }

    /// Bring the result of an operation. Safe to repeat.
    pub async fn signal(&self, execution: ExecutionId, signal: &Signal) -> Result<(), PeerError> {
        let key = format!("signal/{}", signal.operation);
        let path = format!("/api/v1/orchestration/executions/{execution}/signals");
        self.0
            .send(Request::json(Method::POST, &path, signal).keyed(&key))
            .await
            .map(|_| ())
    }

    /// The newest execution of a ticket.
    pub async fn of_ticket(&self, ticket: &TicketId) -> Result<ExecutionView, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/orchestration/execution/{ticket}")))
            .await
    }

    /// One execution.
    pub async fn execution(&self, id: ExecutionId) -> Result<ExecutionView, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/orchestration/executions/{id}")))
            .await
    }

    /// Let no further step of it begin.
    pub async fn pause(&self, id: ExecutionId, why: &OperateExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "pause", why).await
    }

    /// Let it go on.
    pub async fn resume(&self, id: ExecutionId, why: &OperateExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "resume", why).await
    }

    /// End it, taking back what it did.
    pub async fn cancel(&self, id: ExecutionId, why: &CancelExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "cancel", why).await
    }

    /// Try the step that failed again.
    pub async fn retry(&self, id: ExecutionId, why: &OperateExecution) -> Result<ExecutionView, PeerError> {
        self.operate(id, "retry", why).await
    }

    async fn operate(
        &self,
        id: ExecutionId,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<ExecutionView, PeerError> {
        let path = format!("/api/v1/orchestration/executions/{id}/{verb}");
        self.0.read(Request::json(Method::POST, &path, body)).await
    }

    /// The switches of this tenant, and the global one.
    pub async fn switches(&self) -> Result<Vec<SwitchView>, PeerError> {
        self.0.read(Request::get("/api/v1/orchestration/switches")).await
    }

    /// Switch executions off, or on again.
    pub async fn switch(&self, set: &SetSwitch) -> Result<SwitchView, PeerError> {
        let path = "/api/v1/orchestration/switches";
        self.0.read(Request::json(Method::PUT, path, set)).await
    }

    /// The newest executions, at most 100, newest first, without steps.
    pub async fn recent(&self) -> Result<Vec<ExecutionView>, PeerError> {
        self.0
            .read(Request::get("/api/v1/orchestration/executions"))
            .await
    }
}

/// Any service that performs steps: verification, executor, delivery, or a customer's own.
#[derive(Clone)]
pub struct StepClient(pub Peer);

impl StepClient {
    /// Ask for a step at `path` (from the action registry). Safe to repeat: the call is its idempotency key.
    pub async fn perform(&self, path: &str, request: &StepRequest) -> Result<StepAnswer, PeerError> {
        let key = request.step.idempotency_key(request.execution_id);
        self.perform_as(path, request, &key).await
    }

    async fn perform_as(
        &self,
        path: &str,
        request: &StepRequest,
        key: &str,
    ) -> Result<StepAnswer, PeerError> {
        let (status, body) = self
            .0
            .send(Request::json(Method::POST, path, request).keyed(key))
            .await?;
        if status == StatusCode::ACCEPTED {
            self.0.parse::<Pending>(&body).map(StepAnswer::Pending)
        } else {
            self.0.parse::<StepResult>(&body).map(StepAnswer::Done)
        }
    }

    /// Ask once more, with a renewed permit. Another request than the one that was refused, so it has a key of its own,
    /// which is the same for the same permit.
    pub async fn perform_renewed(&self, path: &str, request: &StepRequest) -> Result<StepAnswer, PeerError> {
        let permit = request.permit.as_ref().map_or("", PermitToken::as_text);
        let call = request.step.idempotency_key(request.execution_id);
        self.perform_as(path, request, &format!("{call}/{}", Digest::of(permit)))
            .await
    }

    /// The permit of this service with more time. Safe to repeat, without a key: the answer depends on the time.
    pub async fn renew_permit(
        &self,
        permit: PermitId,
        execution: ExecutionId,
    ) -> Result<RenewedPermit, PeerError> {
        let path = format!("/api/v1/verification/{permit}/permit");
        let body = RenewPermit {
            execution_id: execution,
        };
        self.0.read(Request::json(Method::POST, &path, &body)).await
    }

    /// How an operation stands: `GET /api/v1/{service}/{operation}`.
    pub async fn operation(
        &self,
        action: &ActionName,
        operation: OperationId,
    ) -> Result<OperationView, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/{}/{operation}", action.service())))
            .await
    }
}

/// The name under which `service` is addressed in tokens.
pub fn audience(service: Service) -> &'static str {
    service.name()
}

#[cfg(test)]
mod tests {
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
