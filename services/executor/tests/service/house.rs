//! An executor on a real database with the simulated directory, and a caller who has all keys of the fleet.

#![expect(clippy::unwrap_used, reason = "a house that cannot be built ends its test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::client::{PeerError, StepClient};
use common::{
    Assurance, PermitId, PermitToken, SealedCredential, Service, StepAnswer, StepCall, StepRequest,
    StepResult, Values,
};
use executor::ExecutorSettings;
use hmac::{Hmac, KeyInit as _, Mac as _};
use launcher::NO_TRIPWIRES;
use launcher::testing::{Running, TestDatabase, TestKeys, audit_of, database, step_request};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::Sha256;
use simulators::journal::Event;
use simulators::{World, WorldSettings};
use sqlx::PgPool;
use time::OffsetDateTime;
use trust::{
    Binding, Identity, Method, OpenedCredential, Permit, PermitClaims, Purpose, SealError, SealKey,
    parameters_digest,
};

pub(crate) const ADELE: &str = "adele@contoso.example";
pub(crate) const ALEX: &str = "alex@contoso.example";

/// Everything around the executor. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) owner: PgPool,
    database: TestDatabase,
    keys: TestKeys,
    settings: Vec<(&'static str, String)>,
}

impl House {
    /// Without limits.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these settings.
    pub(crate) async fn with(settings: &[(&'static str, &str)]) -> Self {
        let database = database().await;
        let world = World::start(WorldSettings::default()).await.unwrap();
        Self {
            owner: database.owner().await,
            world,
            database,
            keys: TestKeys::fresh(),
            settings: settings
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        }
    }

    /// Set this for executors that are started from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.push((name, value.into()));
    }

    /// Lose everything that Redis holds.
    pub(crate) async fn wipe_redis(&self) {
        self.database.flush_redis().await;
    }

    pub(crate) fn identity(&self, service: Service) -> Identity {
        self.keys.identity(service)
    }

    /// All settings of the executor, by their names.
    pub(crate) fn settings_map(&self) -> BTreeMap<String, String> {
        let mut map = self.world.entra_settings_for("executor");
        map.extend(
            self.world
                .settings_map()
                .into_iter()
                .filter(|(name, _)| name.ends_with("_URL")),
        );
        map.extend(self.keys.settings(Service::Executor, &self.database));
        let seal_to = self.keys.file("seal.pub").display().to_string();
        map.insert("SEAL_PUBLIC_KEY_FILE".to_owned(), seal_to);
        let tenant = self.world.settings_map();
        let tenant = tenant.get("ENTRA_TENANT_ID").cloned().unwrap_or_default();
        map.entry("ENTRA_TENANT_ID".to_owned()).or_insert(tenant);
        let none = NO_TRIPWIRES.map(|(name, value)| (name, value.to_owned()));
        map.extend(
            none.into_iter()
                .chain(self.settings.clone())
                .map(|(name, value)| (name.to_owned(), value)),
        );
        map
    }

    pub(crate) fn run(&self) -> Running {
        let settings: ExecutorSettings = chassis::from_map(&self.settings_map()).unwrap();
        Running::start(Service::Executor, settings, executor::serve)
    }

    /// The path of one of its key files.
    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        self.keys.file(name)
    }

    /// What one of them holds.
    pub(crate) fn read_key(&self, name: &str) -> Vec<u8> {
        self.keys.read(name)
    }

    /// The executor's client in the name of `caller`.
    pub(crate) fn client(&self, running: &Running, caller: Service) -> StepClient {
        StepClient(running.peer(self.keys.stamp(caller), Duration::from_mins(1)))
    }

    pub(crate) async fn ask(
        &self,
        running: &Running,
        request: &StepRequest,
    ) -> Result<StepResult, PeerError> {
        match self
            .client(running, Service::Orchestration)
            .perform(&path(request), request)
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
        let user = self.world.person(email).id.to_string();
        step_request("reset_password", "executor.reset_password", &user)
    }

    /// Take back what `request` did: as orchestration asks for it, without a permit.
    pub(crate) fn undo_of(request: &StepRequest) -> StepRequest {
        let step = &request.step;
        let mut undo = request.clone();
        undo.action = "executor.delete_pass".parse().unwrap();
        undo.parameters = Values::from_iter([
            ("step".to_owned(), step.id.as_str().into()),
            ("visit".to_owned(), step.visit.into()),
        ]);
        undo.step = StepCall {
            id: format!("{}.undo", step.id).parse().unwrap(),
            visit: 1,
            attempt: 1,
        };
        undo.permit = None;
        undo
    }

    /// Give `email` a pass.
    pub(crate) async fn reset(&self, running: &Running, email: &str) -> (StepRequest, StepResult) {
        let request = self.request(email);
        let result = self.ask(running, &request).await.unwrap();
        assert!(self.is_live(email, &request, &result));
        (request, result)
    }

    /// A permit for `request`, after `change`, signed by verification.
    pub(crate) fn permit(
        &self,
        request: &StepRequest,
        change: impl FnOnce(&mut PermitClaims),
    ) -> PermitToken {
        Self::permit_by(&self.identity(Service::Verification), request, change)
    }

    /// As good as any, by a verification that nobody here knows.
    pub(crate) fn permit_of_another_fleet(request: &StepRequest) -> PermitToken {
        Self::permit_by(
            &TestKeys::fresh().identity(Service::Verification),
            request,
            |_| {},
        )
    }

    /// With the public key as the secret of a MAC: what a checker believes that lets the token choose its algorithm.
    pub(crate) fn permit_by_mac(&self, request: &StepRequest) -> PermitToken {
        let honest = self.permit(request, |_| {});
        let trusted: serde_json::Value = serde_json::from_slice(&self.keys.read("trusted.json")).unwrap();
        let key = &trusted["services"]["verification"][0];
        let header = json!({ "alg": "HS256", "typ": "firstline-permit+jwt", "kid": key["kid"] });
        let payload = honest.as_text().split('.').nth(1).unwrap();
        let message = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let public = URL_SAFE_NO_PAD
            .decode(key["public_key"].as_str().unwrap())
            .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&public).unwrap();
        mac.update(message.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        PermitToken::from_text(format!("{message}.{signature}"))
    }

    fn permit_by(
        verification: &Identity,
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
        Permit::issue(&claims, verification).unwrap()
    }

    /// Open what the executor sealed, as delivery would.
    pub(crate) fn open(
        &self,
        request: &StepRequest,
        sealed: &SealedCredential,
    ) -> Result<OpenedCredential, SealError> {
        let key = SealKey::from_pem(&self.keys.read("seal.key")).unwrap();
        let binding = Binding {
            tenant: &request.tenant_id,
            execution: request.execution_id,
            ticket: &request.ticket_id,
            subject: &request.subject.user_id,
            purpose: Purpose::TemporaryAccessPass,
        };
        trust::seal::open(
            sealed,
            &binding,
            &key,
            self.keys.trusted(),
            OffsetDateTime::now_utc(),
        )
    }

    /// What `result` carries lets its owner in.
    pub(crate) fn is_live(&self, email: &str, request: &StepRequest, result: &StepResult) -> bool {
        let opened = self.open(request, result.sealed.as_ref().unwrap()).ok().unwrap();
        let live = self.world.entra().live_passes(email);
        live.iter()
            .any(|pass| pass.value == opened.secret().expose_secret())
    }

    /// How many passes were deleted, by whomever.
    pub(crate) fn passes_deleted(&self) -> usize {
        let journal = self.world.journal();
        journal.count(|event| matches!(event, Event::PassDeleted { .. }))
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
        audit_of(&self.owner, request.execution_id).await
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

    /// The ledger says that the effect is being undone.
    pub(crate) async fn is_undoing(&self, request: &StepRequest) -> bool {
        sqlx::query("SELECT FROM effect_undos WHERE execution_id = $1 AND result IS NULL")
            .bind(request.execution_id.0)
            .fetch_optional(&self.owner)
            .await
            .unwrap()
            .is_some()
    }

    /// Let the lease of whoever was killed run out.
    pub(crate) async fn let_leases_run_out(&self) {
        for table in ["effects", "effect_undos"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "UPDATE {table} SET leased_until = now() - interval '1 second' WHERE state = 'INTENDED'"
            )))
            .execute(&self.owner)
            .await
            .unwrap();
        }
    }
}

/// The door of the request's action.
pub(crate) fn path(request: &StepRequest) -> String {
    format!("/api/v1/executor/{}", request.action.action())
}
