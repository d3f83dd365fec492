//! A delivery service on a real database with the simulated SMS gateway, and an orchestration that only listens.

#![expect(clippy::unwrap_used, reason = "a house that cannot be built ends its test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use common::client::{Outbound, Peer, PeerError, StepClient, http_client};
use common::{
    ExecutionId, OperationId, OperationView, Service, Signal, StepAnswer, StepCall, StepRequest, Subject,
    TenantId, Values,
};
use delivery::DeliverySettings;
use http::header::{AUTHORIZATION, HeaderMap};
use launcher::testing::{TestDatabase, database};
use simulators::{Targets, World, WorldSettings};
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use trust::{Binding, Credential, FleetKeys, Identity, Purpose, SealPublicKey, SigningKey, TrustedKeys};
use url::Url;
use uuid::Uuid;

pub(crate) const PASS: &str = "Tc5?vA9k";
pub(crate) const NUMBER: &str = "+447700900123";
pub(crate) const PATH: &str = "/api/v1/delivery/sms";
/// Longest wait for anything to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything around delivery. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) owner: PgPool,
    pub(crate) signals: Mutex<mpsc::UnboundedReceiver<Signal>>,
    /// `503` while it is away.
    pub(crate) deaf: Arc<std::sync::atomic::AtomicBool>,
    orchestration: Url,
    database: TestDatabase,
    keys: tempfile::TempDir,
    trusted: TrustedKeys,
}

/// A running delivery service, on a runtime of its own: dropped, everything of it is gone in the middle of what it did.
pub(crate) struct Running {
    pub(crate) base: Url,
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
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

#[derive(Clone)]
struct Ear {
    heard: mpsc::UnboundedSender<Signal>,
    deaf: Arc<std::sync::atomic::AtomicBool>,
}

async fn hear(State(ear): State<Ear>, Json(signal): Json<Signal>) -> StatusCode {
    if ear.deaf.load(std::sync::atomic::Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    ear.heard.send(signal).unwrap();
    StatusCode::NO_CONTENT
}

impl House {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let world = World::start(WorldSettings::default()).await.unwrap();
        world.twilio().pace(Duration::from_millis(50));
        let keys = tempfile::tempdir().unwrap();
        let fleet = FleetKeys::generate(&mut rand::rng()).unwrap();
        for file in fleet.files().unwrap() {
            std::fs::write(keys.path().join(&file.name), file.contents.as_bytes()).unwrap();
        }
        let (heard, signals) = mpsc::unbounded_channel();
        let deaf = Arc::default();
        let ear = Ear {
            heard,
            deaf: Arc::clone(&deaf),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let orchestration = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let path = "/api/v1/orchestration/executions/{id}/signals";
        let app = Router::new().route(path, post(hear)).with_state(ear);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            owner: database.owner().await,
            trusted: fleet.trusted().unwrap(),
            signals: Mutex::new(signals),
            deaf,
            orchestration,
            world,
            database,
            keys,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    pub(crate) fn identity(&self, service: Service) -> Identity {
        let pem = std::fs::read(self.file(&format!("{service}.key"))).unwrap();
        Identity::new(service, SigningKey::from_pem(&pem).unwrap(), self.trusted.clone()).unwrap()
    }

    fn settings(&self) -> DeliverySettings {
        let mut map = self.world.settings_map();
        for (name, value) in [
            ("DATABASE_URL", self.database.url(Service::Delivery).to_string()),
            ("REDIS_URL", self.database.redis_url().to_string()),
            (
                "SERVICE_KEY_FILE",
                self.file("delivery.key").display().to_string(),
            ),
            (
                "TRUSTED_KEYS_FILE",
                self.file("trusted.json").display().to_string(),
            ),
            ("SEAL_KEY_FILE", self.file("seal.key").display().to_string()),
            ("ORCHESTRATION_URL", self.orchestration.to_string()),
            ("HELP_DESK_NAME", "Contoso IT".to_owned()),
        ] {
            map.insert(name.to_owned(), value);
        }
        chassis::from_map(&map).unwrap()
    }

    /// Start it, and let Twilio's callbacks reach it.
    pub(crate) async fn run(&self) -> Running {
        let running = self.run_without_callbacks().await;
        let delivery = Some(running.base.clone());
        self.world.set_targets(Targets {
            delivery,
            ..Targets::default()
        });
        running
    }

    pub(crate) async fn run_without_callbacks(&self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let listener = listener.into_std().unwrap();
        let settings = self.settings();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            delivery::serve(settings, listener, CancellationToken::new())
                .await
                .unwrap();
        });
        Running {
            base,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn client(&self, running: &Running, caller: Service) -> StepClient {
        let http = http_client(Duration::from_mins(1)).unwrap();
        let outbound = Arc::new(Stamp(self.identity(caller)));
        StepClient(Peer::new("delivery", running.base.clone(), http, outbound))
    }

    pub(crate) async fn ask(
        &self,
        running: &Running,
        request: &StepRequest,
    ) -> Result<StepAnswer, PeerError> {
        self.client(running, Service::Orchestration)
            .perform(PATH, request)
            .await
    }

    pub(crate) async fn view(
        &self,
        running: &Running,
        operation: OperationId,
    ) -> Result<OperationView, PeerError> {
        let action = "delivery.sms".parse().unwrap();
        self.client(running, Service::Orchestration)
            .operation(&action, operation)
            .await
    }

    /// A request with a pass for [`NUMBER`], sealed by the executor for exactly it.
    pub(crate) fn request(&self) -> StepRequest {
        let mut request = Self::unsealed();
        let life = time::Duration::HOUR;
        request.sealed = Some(self.sealed(&request, Service::Executor, OffsetDateTime::now_utc() + life));
        request
    }

    fn unsealed() -> StepRequest {
        let tenant: TenantId = "default".parse().unwrap();
        StepRequest {
            tenant_id: tenant.clone(),
            execution_id: ExecutionId::fresh(),
            ticket_id: "4242".parse().unwrap(),
            step: StepCall {
                id: "deliver_credentials".parse().unwrap(),
                visit: 1,
                attempt: 1,
            },
            action: "delivery.sms".parse().unwrap(),
            subject: Subject {
                tenant_id: tenant,
                user_id: Uuid::now_v7().to_string().parse().unwrap(),
            },
            parameters: Values::new(),
            deadline: OffsetDateTime::now_utc() + time::Duration::MINUTE,
            authorizes: None,
            permit: None,
            sealed: None,
        }
    }

    pub(crate) fn sealed(
        &self,
        request: &StepRequest,
        by: Service,
        expires: OffsetDateTime,
    ) -> common::SealedCredential {
        let to = SealPublicKey::from_pem(&std::fs::read(self.file("seal.pub")).unwrap()).unwrap();
        let credential = Credential {
            secret: PASS.into(),
            destination: NUMBER.into(),
            expires,
        };
        let binding = Binding {
            tenant: &request.tenant_id,
            execution: request.execution_id,
            subject: &request.subject.user_id,
            purpose: Purpose::TemporaryAccessPass,
        };
        trust::seal::seal(&credential, &binding, &to, &self.identity(by), &mut rand::rng()).unwrap()
    }

    /// The next signal that orchestration hears.
    pub(crate) async fn signal(&self) -> Signal {
        let mut signals = self.signals.lock().await;
        tokio::time::timeout(PATIENCE, signals.recv())
            .await
            .expect("a signal in time")
            .unwrap()
    }

    /// The one text that arrives: `sent` is a success, and the phone rings a little later. Another would be with the
    /// gateway by then.
    pub(crate) async fn only_text(&self) -> String {
        let twilio = self.world.twilio();
        until("a text arrives", || async { !twilio.inbox(NUMBER).is_empty() }).await;
        assert_eq!(twilio.messages().len(), 1);
        twilio.inbox(NUMBER).remove(0).body
    }

    /// The kinds of the audit events of an execution, oldest first.
    pub(crate) async fn audit(&self, request: &StepRequest) -> Vec<String> {
        sqlx::query("SELECT kind FROM audit_events WHERE execution_id = $1 ORDER BY id")
            .bind(request.execution_id.0)
            .fetch_all(&self.owner)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.get(0))
            .collect()
    }
}

/// The operation of an answer that is not the end.
pub(crate) fn pending(answer: Result<StepAnswer, PeerError>) -> OperationId {
    match answer {
        Ok(StepAnswer::Pending(pending)) => pending.operation,
        other => panic!("not pending: {other:?}"),
    }
}

/// The code of a refusal.
pub(crate) fn code(answer: Result<StepAnswer, PeerError>) -> String {
    match answer {
        Err(PeerError::Refused { problem, .. }) => problem.code,
        Err(PeerError::Busy { code, detail, .. }) => code.unwrap_or(detail),
        other => panic!("not refused: {other:?}"),
    }
}

/// Wait until `what` holds, and say what was waited for where it never does.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let looking = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, looking)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
