//! A verification service on a real database with the simulated world around it, and an orchestration that listens.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use common::client::{Outbound, Peer, PeerError, StepClient, http_client};
use common::{
    ActionName, AuthorizedAction, ExecutionId, OperationView, Pending, Service, Signal, StepAnswer, StepCall,
    StepRequest, StepResult, Subject, Values,
};
use launcher::testing::{TestDatabase, database};
use simulators::teams::CardView;
use simulators::{Targets, World, WorldSettings};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::{Expected, FleetKeys, Identity, Permit, PermitClaims, SigningKey, TrustedKeys};
use url::Url;
use uuid::Uuid;
use verification::VerificationSettings;

pub(crate) const ADELE: &str = "adele@contoso.example";
pub(crate) const MEGAN: &str = "megan@contoso.example";
/// How long a test waits for anything: generous, as machines are slow; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything around the service. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) owner: PgPool,
    pub orchestration: Arc<Orchestration>,
    orchestration_url: Url,
    database: TestDatabase,
    keys: tempfile::TempDir,
    trusted: TrustedKeys,
}

/// What orchestration heard, and how it answers.
pub(crate) struct Orchestration {
    trusted: TrustedKeys,
    status: AtomicU16,
    signals: Mutex<Vec<Signal>>,
}

impl Orchestration {
    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn heard(&self) -> Vec<Signal> {
        self.signals.lock().unwrap().clone()
    }
}

async fn hear(
    State(orchestration): State<Arc<Orchestration>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let token = token.strip_prefix("Bearer ").unwrap_or_default();
    let now = OffsetDateTime::now_utc();
    match trust::token::verify(token, "orchestration", &body, &orchestration.trusted, now) {
        Ok(token) if token.caller == Service::Verification => {}
        _ => return StatusCode::UNAUTHORIZED,
    }
    let signal = serde_json::from_slice(&body).expect("a signal as agreed");
    orchestration.signals.lock().unwrap().push(signal);
    StatusCode::from_u16(orchestration.status.load(Ordering::SeqCst)).unwrap()
}

/// A running service on a runtime of its own; dropped, it is gone as if killed.
pub(crate) struct Running {
    pub(crate) base: Url,
    runtime: Option<tokio::runtime::Runtime>,
    stop: CancellationToken,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Running {
    /// Stop it as a deployment does.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.served.take().unwrap().await.unwrap();
    }
}

struct Stamp(Identity);

impl Outbound for Stamp {
    fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap) {
        let now = OffsetDateTime::now_utc();
        let token = trust::token::issue(&self.0, callee, body, now, Uuid::now_v7()).unwrap();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let world = World::start(WorldSettings::default()).await.unwrap();
        let keys = tempfile::tempdir().unwrap();
        let fleet = FleetKeys::generate(&mut rand::rng()).unwrap();
        for file in fleet.files().unwrap() {
            let path = keys.path().join(&file.name);
            std::fs::write(&path, file.contents.as_bytes()).unwrap();
        }
        let trusted = fleet.trusted().unwrap();
        let orchestration = Arc::new(Orchestration {
            trusted: trusted.clone(),
            status: AtomicU16::new(202),
            signals: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let orchestration_url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let app = Router::new()
            .route("/api/v1/orchestration/executions/{id}/signals", post(hear))
            .with_state(Arc::clone(&orchestration));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            owner: database.owner().await,
            world,
            orchestration,
            orchestration_url,
            database,
            keys,
            trusted,
        }
    }

    fn file(&self, name: &str) -> String {
        Path::new(self.keys.path()).join(name).display().to_string()
    }

    fn identity(&self, service: Service) -> Identity {
        let pem = std::fs::read(self.file(&format!("{service}.key"))).unwrap();
        Identity::new(service, SigningKey::from_pem(&pem).unwrap(), self.trusted.clone()).unwrap()
    }

    fn settings(&self, changes: &[(&str, &str)]) -> VerificationSettings {
        let mut map: BTreeMap<String, String> = self.world.settings_map();
        map.extend(self.world.entra_settings_for("verification"));
        let own = [
            (
                "DATABASE_URL",
                self.database.url(Service::Verification).to_string(),
            ),
            ("REDIS_URL", self.database.redis_url().to_string()),
            ("SERVICE_KEY_FILE", self.file("verification.key")),
            ("TRUSTED_KEYS_FILE", self.file("trusted.json")),
            ("ORCHESTRATION_URL", self.orchestration_url.to_string()),
        ];
        map.extend(own.map(|(name, value)| (name.to_owned(), value)));
        map.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        chassis::from_map(&map).unwrap()
    }

    /// Start the service, with settings changed; the world pushes its webhooks to it.
    pub(crate) fn run(&self, changes: &[(&str, &str)]) -> Running {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base: Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let settings = self.settings(changes);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let served = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            verification::serve(settings, listener, stopping).await.unwrap();
        });
        self.world.set_targets(Targets {
            verification: Some(base.clone()),
            ..Targets::default()
        });
        Running {
            base,
            runtime: Some(runtime),
            stop,
            served: Some(served),
        }
    }

    /// The service's client in the name of `caller`.
    pub(crate) fn client(&self, running: &Running, caller: Service) -> StepClient {
        let http = http_client(Duration::from_secs(20)).unwrap();
        let outbound = Arc::new(Stamp(self.identity(caller)));
        StepClient(Peer::new("verification", running.base.clone(), http, outbound))
    }

    pub(crate) async fn ask(
        &self,
        running: &Running,
        request: &StepRequest,
    ) -> Result<StepAnswer, PeerError> {
        let path = match request.action.as_str() {
            "verification.mfa" => "/api/v1/verification/mfa",
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
        let tenant: common::TenantId = "default".parse().unwrap();
        let mut parameters = Values::new();
        parameters.insert("reason".to_owned(), "I can't log in".into());
        StepRequest {
            tenant_id: tenant.clone(),
            execution_id: ExecutionId::fresh(),
            ticket_id: "4242".parse().unwrap(),
            step: StepCall {
                id: "verify".parse().unwrap(),
                visit: 1,
                attempt: 1,
            },
            action: action.parse().unwrap(),
            subject: Subject {
                tenant_id: tenant,
                user_id: self.world.person(email).id.to_string().parse().unwrap(),
            },
            parameters,
            deadline: OffsetDateTime::now_utc() + time::Duration::MINUTE,
            authorizes: Some(AuthorizedAction {
                action: "executor.reset_password".parse().unwrap(),
                step: "reset_password".parse().unwrap(),
                parameters: Values::new(),
            }),
            permit: None,
            sealed: None,
        }
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
        let permit = Permit::verify(token, &expected, &self.trusted, OffsetDateTime::now_utc()).unwrap();
        permit.claims().clone()
    }

    /// Wait until `look` finds something; everything seen so far is in the panic.
    pub(crate) async fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                tokio::time::Instant::now() <= deadline,
                "waited for {what} in vain.\nheard: {:#?}\naudit: {:#?}\nworld: {:#?}",
                self.orchestration.heard(),
                self.audit().await,
                self.world.journal().entries()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.audit().await.iter().any(|seen| seen == kind) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "no {kind}: {:?}",
                self.audit().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn audit(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT kind FROM audit_events ORDER BY id")
            .fetch_all(&self.owner)
            .await
            .unwrap()
    }
}
