//! An executor on a real database with the simulated directory, and a caller who has all keys of the fleet.

#![expect(clippy::unwrap_used, reason = "a house that cannot be built ends its test")]

use std::time::Duration;

use common::client::{PeerError, StepClient};
use common::{
    Assurance, PermitId, PermitToken, SealedCredential, Service, StepAnswer, StepRequest, StepResult,
};
use executor::ExecutorSettings;
use launcher::testing::{Running, TestDatabase, TestKeys, audit_of, database, step_request};
use secrecy::ExposeSecret as _;
use simulators::{World, WorldSettings};
use sqlx::PgPool;
use time::OffsetDateTime;
use trust::{
    Binding, Identity, Method, OpenedCredential, Permit, PermitClaims, Purpose, SealError, SealKey,
    parameters_digest,
};

pub(crate) const ADELE: &str = "adele@contoso.example";
const PATH: &str = "/api/v1/executor/reset_password";

/// Everything around the executor. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) owner: PgPool,
    database: TestDatabase,
    keys: TestKeys,
}

impl House {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let world = World::start(WorldSettings::default()).await.unwrap();
        Self {
            owner: database.owner().await,
            world,
            database,
            keys: TestKeys::fresh(),
        }
    }

    pub(crate) fn identity(&self, service: Service) -> Identity {
        self.keys.identity(service)
    }

    fn settings(&self) -> ExecutorSettings {
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
        chassis::from_map(&map).unwrap()
    }

    pub(crate) fn run(&self) -> Running {
        Running::start(Service::Executor, self.settings(), executor::serve)
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
        let user = self.world.person(email).id.to_string();
        step_request("reset_password", "executor.reset_password", &user)
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
        let key = SealKey::from_pem(&self.keys.read("seal.key")).unwrap();
        let binding = Binding {
            tenant: &request.tenant_id,
            execution: request.execution_id,
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

    /// Let the lease of whoever was killed run out.
    pub(crate) async fn let_leases_run_out(&self) {
        sqlx::query("UPDATE effects SET leased_until = now() - interval '1 second' WHERE state = 'INTENDED'")
            .execute(&self.owner)
            .await
            .unwrap();
    }
}
