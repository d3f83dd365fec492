//! A delivery service on a real database with the simulated SMS gateway, and an orchestration that only listens.

#![expect(clippy::unwrap_used, reason = "a house that cannot be built ends its test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use common::client::{PeerError, StepClient};
use common::{OperationId, OperationView, Service, Signal, StepAnswer, StepRequest};
use delivery::DeliverySettings;
use launcher::testing::{Running, TestDatabase, TestKeys, audit_of, database, step_request, until};
use simulators::{Targets, World, WorldSettings};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use trust::{Binding, Credential, Identity, Purpose, SealPublicKey};
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
    keys: TestKeys,
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
            signals: Mutex::new(signals),
            deaf,
            orchestration,
            world,
            database,
            keys: TestKeys::fresh(),
        }
    }

    pub(crate) fn identity(&self, service: Service) -> Identity {
        self.keys.identity(service)
    }

    /// All settings of delivery, by their names.
    pub(crate) fn settings_map(&self, changes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut map = self.world.settings_map();
        map.extend(self.keys.settings(Service::Delivery, &self.database));
        let own = [
            ("SEAL_KEY_FILE", self.keys.file("seal.key").display().to_string()),
            ("ORCHESTRATION_URL", self.orchestration.to_string()),
            ("HELP_DESK_NAME", "Contoso IT".to_owned()),
        ];
        map.extend(own.map(|(name, value)| (name.to_owned(), value)));
        map.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        map
    }

    fn settings(&self, changes: &[(&str, &str)]) -> DeliverySettings {
        chassis::from_map(&self.settings_map(changes)).unwrap()
    }

    /// The path of one of its key files.
    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        self.keys.file(name)
    }

    /// What one of them holds.
    pub(crate) fn read_key(&self, name: &str) -> Vec<u8> {
        self.keys.read(name)
    }

    /// Start it, and let Twilio's callbacks reach it.
    pub(crate) fn run(&self) -> Running {
        self.run_with(&[])
    }

    /// The same with settings changed.
    pub(crate) fn run_with(&self, changes: &[(&str, &str)]) -> Running {
        let running = Running::start(Service::Delivery, self.settings(changes), delivery::serve);
        let delivery = Some(running.base.clone());
        self.world.set_targets(Targets {
            delivery,
            ..Targets::default()
        });
        running
    }

    pub(crate) fn run_without_callbacks(&self) -> Running {
        Running::start(Service::Delivery, self.settings(&[]), delivery::serve)
    }

    pub(crate) fn client(&self, running: &Running, caller: Service) -> StepClient {
        StepClient(running.peer(self.keys.stamp(caller), Duration::from_mins(1)))
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
        let user = Uuid::now_v7().to_string();
        step_request("deliver_credentials", "delivery.sms", &user)
    }

    pub(crate) fn sealed(
        &self,
        request: &StepRequest,
        by: Service,
        expires: OffsetDateTime,
    ) -> common::SealedCredential {
        let to = SealPublicKey::from_pem(&self.keys.read("seal.pub")).unwrap();
        let credential = Credential {
            secret: PASS.into(),
            destination: NUMBER.into(),
            expires,
        };
        let binding = Binding {
            tenant: &request.tenant_id,
            execution: request.execution_id,
            ticket: &request.ticket_id,
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
        audit_of(&self.owner, request.execution_id).await
    }
}

/// The operation of an answer that is not the end.
pub(crate) fn pending(answer: Result<StepAnswer, PeerError>) -> OperationId {
    match answer {
        Ok(StepAnswer::Pending(pending)) => pending.operation,
        other => panic!("not pending: {other:?}"),
    }
}
