//! An executor on a real database with the simulated directory, and a caller who has all keys of the fleet.

#![expect(clippy::unwrap_used, reason = "a house that cannot be built ends its test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::client::{Outbound, Peer, PeerError, StepClient, http_client};
use common::{
    ActionName, Assurance, ExecutionId, PermitId, PermitToken, SealedCredential, Service, StepAnswer,
    StepCall, StepRequest, StepResult, Subject, Values,
};
use executor::ExecutorSettings;
use http::header::{AUTHORIZATION, HeaderMap};
use launcher::testing::{TestDatabase, database};
use secrecy::ExposeSecret as _;
use simulators::{World, WorldSettings};
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use trust::{
    Binding, FleetKeys, Identity, Method, OpenedCredential, Permit, PermitClaims, Purpose, SealError,
    SealKey, SigningKey, TrustedKeys, parameters_digest,
};
use url::Url;
use uuid::Uuid;

pub(crate) const ADELE: &str = "adele@contoso.example";
const PATH: &str = "/api/v1/executor/reset_password";

/// Everything around the executor. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) owner: PgPool,
    database: TestDatabase,
    keys: tempfile::TempDir,
    trusted: TrustedKeys,
}

/// A running executor, on a runtime of its own: dropped, everything of it is gone in the middle of what it did.
pub(crate) struct Running {
    base: Url,
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

impl House {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let world = World::start(WorldSettings::default()).await.unwrap();
        let keys = tempfile::tempdir().unwrap();
        let fleet = FleetKeys::generate(&mut rand::rng()).unwrap();
        for file in fleet.files().unwrap() {
            std::fs::write(keys.path().join(&file.name), file.contents.as_bytes()).unwrap();
        }
        Self {
            owner: database.owner().await,
            trusted: fleet.trusted().unwrap(),
            world,
            database,
            keys,
        }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.keys.path()).join(name)
    }

    pub(crate) fn identity(&self, service: Service) -> Identity {
        let pem = std::fs::read(self.file(&format!("{service}.key"))).unwrap();
        Identity::new(service, SigningKey::from_pem(&pem).unwrap(), self.trusted.clone()).unwrap()
    }

    fn settings(&self) -> ExecutorSettings {
        let mut map: BTreeMap<String, String> = self.world.entra_settings_for("executor");
        map.extend(
            self.world
                .settings_map()
                .into_iter()
                .filter(|(name, _)| name.ends_with("_URL")),
        );
        for (name, value) in [
            ("DATABASE_URL", self.database.url(Service::Executor).to_string()),
            ("REDIS_URL", self.database.redis_url().to_string()),
            (
                "SERVICE_KEY_FILE",
                self.file("executor.key").display().to_string(),
            ),
            (
                "TRUSTED_KEYS_FILE",
                self.file("trusted.json").display().to_string(),
            ),
            (
                "SEAL_PUBLIC_KEY_FILE",
                self.file("seal.pub").display().to_string(),
            ),
        ] {
            map.insert(name.to_owned(), value);
        }
        let tenant = self.world.settings_map();
        let tenant = tenant.get("ENTRA_TENANT_ID").cloned().unwrap_or_default();
        map.entry("ENTRA_TENANT_ID".to_owned()).or_insert(tenant);
        chassis::from_map(&map).unwrap()
    }

    pub(crate) async fn run(&self) -> Running {
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
            executor::serve(settings, listener, CancellationToken::new())
                .await
                .unwrap();
        });
        Running {
            base,
            runtime: Some(runtime),
        }
    }

    /// The executor's client in the name of `caller`.
    pub(crate) fn client(&self, running: &Running, caller: Service) -> StepClient {
        let http = http_client(Duration::from_mins(1)).unwrap();
        let outbound = Arc::new(Stamp(self.identity(caller)));
        StepClient(Peer::new("executor", running.base.clone(), http, outbound))
    }

    pub(crate) async fn ask(
        &self,
        running: &Running,
        request: &StepRequest,
    ) -> Result<StepResult, PeerError> {
        match self
            .client(running, Service::Orchestration)
            .perform(PATH, request)
            .await?
        {
            StepAnswer::Done(result) => Ok(result),
            StepAnswer::Pending(pending) => panic!("the executor never waits for people: {pending:?}"),
        }
    }

    /// Ask as orchestration does: again, while the directory is away.
    pub(crate) async fn ask_until_answered(&self, running: &Running, request: &StepRequest) -> StepResult {
        let asking = async {
            loop {
                match self.ask(running, request).await {
                    Ok(result) => return result,
                    Err(PeerError::Busy { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("not to be asked again: {error}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asking)
            .await
            .expect("an answer in time")
    }

    /// A well-formed request for `email`, with a permit for exactly it.
    pub(crate) fn request(&self, email: &str) -> StepRequest {
        let mut request = self.unproven(email);
        request.permit = Some(self.permit(&request, |_| {}));
        request
    }

    pub(crate) fn unproven(&self, email: &str) -> StepRequest {
        let tenant = "default".parse::<common::TenantId>().unwrap();
        let user = self.world.person(email).id.to_string();
        StepRequest {
            tenant_id: tenant.clone(),
            execution_id: ExecutionId::fresh(),
            ticket_id: "4242".parse().unwrap(),
            step: StepCall {
                id: "reset_password".parse().unwrap(),
                visit: 1,
                attempt: 1,
            },
            action: "executor.reset_password".parse::<ActionName>().unwrap(),
            subject: Subject {
                tenant_id: tenant,
                user_id: user.parse().unwrap(),
            },
            parameters: Values::new(),
            deadline: OffsetDateTime::now_utc() + time::Duration::MINUTE,
            authorizes: None,
            permit: None,
            sealed: None,
        }
    }

    /// A permit for `request`, after `change`, signed by verification.
    pub(crate) fn permit(
        &self,
        request: &StepRequest,
        change: impl FnOnce(&mut PermitClaims),
    ) -> PermitToken {
        let now = OffsetDateTime::now_utc();
        let mut claims = PermitClaims {
            id: PermitId::fresh(),
            tenant: request.tenant_id.clone(),
            execution: request.execution_id,
            ticket: request.ticket_id.clone(),
            subject: request.subject.user_id.clone(),
            action: request.action.clone(),
            step: request.step.id.clone(),
            parameters: parameters_digest(&request.parameters),
            assurance: Assurance::Substantial,
            method: Method::MfaPush,
            approver: None,
            shown: None,
            issued: now,
            expires: now + trust::permit::LIFETIME,
        };
        change(&mut claims);
        Permit::issue(&claims, &self.identity(Service::Verification)).unwrap()
    }

    /// Open what the executor sealed, as delivery would.
    pub(crate) fn open(
        &self,
        request: &StepRequest,
        sealed: &SealedCredential,
    ) -> Result<OpenedCredential, SealError> {
        let key = SealKey::from_pem(&std::fs::read(self.file("seal.key")).unwrap()).unwrap();
        let binding = Binding {
            tenant: &request.tenant_id,
            execution: request.execution_id,
            subject: &request.subject.user_id,
            purpose: Purpose::TemporaryAccessPass,
        };
        trust::seal::open(sealed, &binding, &key, &self.trusted, OffsetDateTime::now_utc())
    }

    /// The pass inside, and that it is the only one that lets its owner in.
    pub(crate) fn assert_delivers_the_one_live_pass(
        &self,
        email: &str,
        request: &StepRequest,
        result: &StepResult,
    ) {
        let opened = self.open(request, result.sealed.as_ref().unwrap()).ok().unwrap();
        let live: Vec<_> = self
            .world
            .entra()
            .live_passes(email)
            .into_iter()
            .map(|pass| pass.value)
            .collect();
        assert_eq!(live, [opened.secret().expose_secret()]);
    }

    /// The database as the role of `service` sees it.
    pub(crate) async fn pool(&self, service: Service) -> PgPool {
        self.database.pool(service).await
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

    /// The ledger says that the directory was asked, and has no answer.
    pub(crate) async fn is_asking(&self, request: &StepRequest) -> bool {
        sqlx::query("SELECT FROM effects WHERE execution_id = $1 AND asked_at IS NOT NULL AND result IS NULL")
            .bind(request.execution_id.0)
            .fetch_optional(&self.owner)
            .await
            .unwrap()
            .is_some()
    }

    /// Let the lease of whoever was killed run out.
    pub(crate) async fn let_leases_run_out(&self) {
        sqlx::query("UPDATE effects SET leased_until = now() - interval '1 second' WHERE state = 'INTENDED'")
            .execute(&self.owner)
            .await
            .unwrap();
    }
}

/// The code of a refusal.
pub(crate) fn code(answer: Result<StepResult, PeerError>) -> String {
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
