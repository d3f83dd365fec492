//! A verification service on a real database with the simulated world around it, and an orchestration that listens.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use common::client::{PeerError, StepClient};
use common::execution::{DROPPED, ExecutionStatus, StepView};
use common::{
    ActionName, AuthorizedAction, Digest, ExecutionId, ExecutionView, OperationView, Outcome, Pending,
    PlaybookRef, Service, Signal, StepAnswer, StepCall, StepRequest, StepResult, Values,
};
use launcher::NO_TRIPWIRES;
use launcher::testing::{Running, TestDatabase, TestKeys, database, seen_within, step_request};
use simulators::teams::CardView;
use simulators::{Targets, World, WorldSettings};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use trust::{Expected, Permit, PermitClaims, TrustedKeys};
use url::Url;
use verification::VerificationSettings;

pub(crate) const ADELE: &str = "adele@contoso.example";
pub(crate) const MEGAN: &str = "megan@contoso.example";
/// How long a test waits for anything: generous, as machines are slow; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Everything around the service. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) owner: PgPool,
    pub orchestration: Arc<Orchestration>,
    orchestration_url: Url,
    pub(crate) database: TestDatabase,
    keys: TestKeys,
}

/// What orchestration heard, and how it answers.
pub(crate) struct Orchestration {
    trusted: TrustedKeys,
    status: AtomicU16,
    signals: Mutex<Vec<Signal>>,
    executions: Mutex<Executions>,
}

/// What orchestration says of every execution, and how often it was asked.
#[derive(Default)]
struct Executions {
    stand: Stand,
    looks: usize,
}

/// How executions stand.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Stand {
    /// They wait for what they asked for.
    #[default]
    Wait,
    /// They go on, and have left the step that asked.
    LeftTheStep,
    /// They have ended.
    Ended,
    /// There are none any more.
    Gone,
    /// Nobody can say.
    Unknown,
}

impl Orchestration {
    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn heard(&self) -> Vec<Signal> {
        self.signals.lock().unwrap().clone()
    }

    pub(crate) fn executions(&self, stand: Stand) {
        self.executions.lock().unwrap().stand = stand;
    }

    /// How often it was asked whether an execution goes on.
    pub(crate) fn looks(&self) -> usize {
        self.executions.lock().unwrap().looks
    }

    fn knows(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let token = token.strip_prefix("Bearer ").unwrap_or_default();
        let now = OffsetDateTime::now_utc();
        let verified = trust::token::verify(token, "orchestration", body, &self.trusted, now);
        matches!(verified, Ok(token) if token.caller == Service::Verification)
    }
}

async fn execution(
    State(orchestration): State<Arc<Orchestration>>,
    Path(id): Path<ExecutionId>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<ExecutionView>, StatusCode> {
    if !orchestration.knows(&headers, &body) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let stand = {
        let mut executions = orchestration.executions.lock().unwrap();
        executions.looks += 1;
        executions.stand
    };
    let (status, outcome) = match stand {
        Stand::Gone => return Err(StatusCode::NOT_FOUND),
        Stand::Unknown => return Err(StatusCode::SERVICE_UNAVAILABLE),
        Stand::Wait => (ExecutionStatus::Waiting, None),
        Stand::LeftTheStep => (ExecutionStatus::Running, Some(Outcome::from(DROPPED))),
        Stand::Ended => (ExecutionStatus::Escalated, Some(Outcome::from(DROPPED))),
    };
    let call = StepCall {
        id: "verify".parse().unwrap(),
        visit: 1,
        attempt: 1,
    };
    let now = OffsetDateTime::now_utc();
    Ok(Json(ExecutionView {
        execution_id: id,
        tenant_id: "default".parse().unwrap(),
        ticket_id: "4242".parse().unwrap(),
        playbook: PlaybookRef {
            name: "password_reset".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            digest: Digest::of("a playbook"),
        },
        status,
        standstill: None,
        reason: None,
        current_step: outcome.is_none().then(|| call.clone()),
        steps: vec![StepView {
            call,
            name: "Verify".to_owned(),
            service: None,
            outcome,
            explanation: String::new(),
            output: Values::new(),
            started_at: now,
            ended_at: None,
        }],
        started_at: now,
        ended_at: None,
    }))
}

async fn hear(
    State(orchestration): State<Arc<Orchestration>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if !orchestration.knows(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let signal = serde_json::from_slice(&body).expect("a signal as agreed");
    orchestration.signals.lock().unwrap().push(signal);
    StatusCode::from_u16(orchestration.status.load(Ordering::SeqCst)).unwrap()
}

impl House {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let world = World::start(WorldSettings::default()).await.unwrap();
        let keys = TestKeys::fresh();
        let orchestration = Arc::new(Orchestration {
            trusted: keys.trusted().clone(),
            status: AtomicU16::new(202),
            signals: Mutex::default(),
            executions: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let orchestration_url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let app = Router::new()
            .route("/api/v1/orchestration/executions/{id}/signals", post(hear))
            .route("/api/v1/orchestration/executions/{id}", get(execution))
            .with_state(Arc::clone(&orchestration));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            owner: database.owner().await,
            world,
            orchestration,
            orchestration_url,
            database,
            keys,
        }
    }

    fn settings(&self, changes: &[(&str, &str)]) -> VerificationSettings {
        let mut map = self.world.settings_map();
        map.extend(self.world.entra_settings_for("verification"));
        map.extend(self.keys.settings(Service::Verification, &self.database));
        map.insert("ORCHESTRATION_URL".to_owned(), self.orchestration_url.to_string());
        map.extend(NO_TRIPWIRES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        map.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        chassis::from_map(&map).unwrap()
    }

    /// Start the service, with settings changed; the world pushes its webhooks to it.
    pub(crate) fn run(&self, changes: &[(&str, &str)]) -> Running {
        let settings = self.settings(changes);
        let running = Running::start(Service::Verification, settings, verification::serve);
        self.world.set_targets(Targets {
            verification: Some(running.base.clone()),
            ..Targets::default()
        });
        running
    }

    /// The service's client in the name of `caller`.
    pub(crate) fn client(&self, running: &Running, caller: Service) -> StepClient {
        StepClient(running.peer(self.keys.stamp(caller), Duration::from_secs(20)))
    }

    pub(crate) async fn ask(
        &self,
        running: &Running,
        request: &StepRequest,
    ) -> Result<StepAnswer, PeerError> {
        let path = match request.action.as_str() {
            "verification.mfa" => "/api/v1/verification/mfa",
            "verification.ask" => "/api/v1/verification/ask",
            _ => "/api/v1/verification/manager_approval",
        };
        self.client(running, Service::Orchestration)
            .perform(path, request)
            .await
    }

    /// Ask for what a person must answer.
    pub(crate) async fn begin(&self, running: &Running, request: &StepRequest) -> Pending {
        match self.ask(running, request).await.unwrap() {
            StepAnswer::Pending(pending) => pending,
            StepAnswer::Done(result) => panic!("somebody should be asked: {result:?}"),
        }
    }

    /// The same as orchestration does it: again, while the directory is away.
    pub(crate) async fn begin_once_it_is_back(&self, running: &Running, request: &StepRequest) -> Pending {
        let asked = seen_within(PATIENCE, async || match self.ask(running, request).await {
            Err(PeerError::Busy { .. }) => None,
            answer => Some(answer),
        });
        match asked.await.expect("an answer in time").unwrap() {
            StepAnswer::Pending(pending) => pending,
            StepAnswer::Done(result) => panic!("somebody should be asked: {result:?}"),
        }
    }

    /// Ask for what nobody can be asked for.
    pub(crate) async fn refused(&self, running: &Running, request: &StepRequest) -> StepResult {
        match self.ask(running, request).await.unwrap() {
            StepAnswer::Done(result) => result,
            StepAnswer::Pending(pending) => panic!("nobody should be asked: {pending:?}"),
        }
    }

    pub(crate) async fn look(&self, running: &Running, pending: &Pending) -> OperationView {
        let action: ActionName = "verification.any".parse().unwrap();
        let client = self.client(running, Service::Orchestration);
        client.operation(&action, pending.operation).await.unwrap()
    }

    /// A request about `email` that would allow a password reset.
    pub(crate) fn request(&self, action: &str, email: &str) -> StepRequest {
        let user = self.world.person(email).id.to_string();
        let mut request = step_request("verify", action, &user);
        request
            .parameters
            .insert("reason".to_owned(), "I can't log in".into());
        request.authorizes = Some(AuthorizedAction {
            action: "executor.reset_password".parse().unwrap(),
            step: "reset_password".parse().unwrap(),
            parameters: Values::new(),
        });
        request
    }

    /// The result that orchestration was told of this operation.
    pub(crate) async fn told(&self, pending: &Pending) -> StepResult {
        let of = |signal: &Signal| signal.operation == pending.operation;
        self.wait("a signal", || self.orchestration.heard().into_iter().find(of))
            .await
            .result
    }

    /// Check the permit of a result as the executor would.
    pub(crate) fn permit(&self, request: &StepRequest, result: &StepResult) -> PermitClaims {
        let authorized = request.authorizes.as_ref().unwrap();
        let expected = Expected {
            tenant: &request.tenant_id,
            execution: request.execution_id,
            ticket: &request.ticket_id,
            subject: &request.subject.user_id,
            action: &authorized.action,
            step: &authorized.step,
            parameters: &authorized.parameters,
            at_least: common::Assurance::Substantial,
        };
        let token = result.permit.as_ref().expect("a success comes with its permit");
        let permit =
            Permit::verify(token, &expected, self.keys.trusted(), OffsetDateTime::now_utc()).unwrap();
        permit.claims().clone()
    }

    /// Wait until `look` finds something; everything seen so far is in the panic.
    pub(crate) async fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        if let Some(found) = seen_within(PATIENCE, async || look()).await {
            return found;
        }
        panic!(
            "waited for {what} in vain.\nheard: {:#?}\naudit: {:#?}\nworld: {:#?}",
            self.orchestration.heard(),
            self.audit().await,
            self.world.journal().entries()
        );
    }

    pub(crate) async fn card_of(&self, email: &str) -> CardView {
        self.wait("a card", || {
            self.world
                .teams()
                .cards()
                .into_iter()
                .find(|card| card.email == email)
        })
        .await
    }

    /// Wait for a kind of audit event.
    pub(crate) async fn audited(&self, kind: &str) {
        let look = async || self.audit().await.iter().find(|seen| *seen == kind).cloned();
        let seen = seen_within(PATIENCE, look).await;
        assert!(seen.is_some(), "no {kind}: {:?}", self.audit().await);
    }

    /// Why steps were not taken, oldest first, and in the chain of which execution that stands.
    pub(crate) async fn refusals(&self) -> Vec<(String, Option<uuid::Uuid>)> {
        sqlx::query_as(
            "SELECT detail->>'code', execution_id FROM audit_events WHERE kind = 'verification.refused' ORDER BY id",
        )
        .fetch_all(&self.owner)
        .await
        .unwrap()
    }

    pub(crate) async fn audit(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT kind FROM audit_events ORDER BY id")
            .fetch_all(&self.owner)
            .await
            .unwrap()
    }
}
