//! A classifier with everything around it: its own database, a world of its own, and peers that answer as told.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::from_map;
use classifier::ClassifierSettings;
use common::explain::ExplainedDecision;
use common::{Decision, Digest, Service};
use http::{HeaderMap, Method, StatusCode};
use launcher::NO_TRIPWIRES;
use launcher::testing::{Running, TestDatabase, TestKeys, seen_within};
use serde_json::{Value, json};
use simulators::halo::{NewTicket, TicketView};
use simulators::{Targets, World, WorldSettings};
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

const EXECUTE: &str = "/api/v1/orchestration/execute_playbook";
/// Long enough for a busy machine, short enough to fail within a coffee.
const REASON: Duration = Duration::from_secs(30);

pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) database: TestDatabase,
    pub(crate) peers: MockServer,
    keys: TestKeys,
    pub(crate) extra: BTreeMap<String, String>,
    running: Option<Running>,
}

impl Story {
    /// Everything but the classifier; `extra` settings on top of the world's.
    pub(crate) async fn prepare(extra: &[(&str, &str)]) -> Self {
        Self::prepare_in(WorldSettings::default(), extra).await
    }

    /// The same in another world.
    pub(crate) async fn prepare_in(world: WorldSettings, extra: &[(&str, &str)]) -> Self {
        let story = Self {
            world: World::start(world).await.unwrap(),
            database: launcher::testing::database().await,
            peers: MockServer::start().await,
            keys: TestKeys::fresh(),
            extra: extra
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            running: None,
        };
        story.offer(&[playbook("password_reset")]).await;
        story.nothing_is_running().await;
        story
    }

    /// The same, with orchestration accepting whatever is asked, and the classifier running.
    pub(crate) async fn begin(extra: &[(&str, &str)]) -> Self {
        Self::begin_in(WorldSettings::default(), extra).await
    }

    /// The same in another world.
    pub(crate) async fn begin_in(world: WorldSettings, extra: &[(&str, &str)]) -> Self {
        let mut story = Self::prepare_in(world, extra).await;
        story.accept_executions().await;
        story.start();
        story
    }

    pub(crate) async fn offer(&self, playbooks: &[Value]) {
        Mock::given(method("GET"))
            .and(path("/api/v1/playbooks"))
            .respond_with(ResponseTemplate::new(200).set_body_json(playbooks))
            .mount(&self.peers)
            .await;
    }

    async fn nothing_is_running(&self) {
        let unknown = common::Problem::not_found("execution_not_found", "none");
        Mock::given(method("GET"))
            .and(path_regex("^/api/v1/orchestration/execution/"))
            .respond_with(ResponseTemplate::new(404).set_body_json(unknown))
            .with_priority(9)
            .mount(&self.peers)
            .await;
    }

    /// Forget what the other services were to answer.
    pub(crate) async fn peers_forget(&self) {
        self.peers.reset().await;
        self.nothing_is_running().await;
    }

    pub(crate) async fn accept_executions(&self) {
        let accepted = json!({"execution_id": uuid::Uuid::now_v7(), "status": "QUEUED"});
        Mock::given(method("POST"))
            .and(path(EXECUTE))
            .respond_with(ResponseTemplate::new(202).set_body_json(accepted))
            .with_priority(9)
            .mount(&self.peers)
            .await;
    }

    /// Orchestration has this execution of `ticket`.
    pub(crate) async fn execution_is_under_way(&self, ticket: i64) {
        let view = json!({
            "execution_id": uuid::Uuid::now_v7(), "tenant_id": "default", "ticket_id": ticket.to_string(),
            "playbook": {"name": "password_reset", "version": "1.2", "digest": Digest::of("password_reset")},
            "status": "RUNNING", "steps": [], "started_at": "2026-11-22T00:00:00Z",
        });
        Mock::given(method("GET"))
            .and(path(format!("/api/v1/orchestration/execution/{ticket}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(view))
            .with_priority(1)
            .mount(&self.peers)
            .await;
    }

    /// For the next `times` requests, orchestration answers this instead.
    pub(crate) async fn executions_answer(&self, status: u16, problem: common::Problem, times: u64) {
        Mock::given(method("POST"))
            .and(path(EXECUTE))
            .respond_with(ResponseTemplate::new(status).set_body_json(problem))
            .up_to_n_times(times)
            .with_priority(1)
            .mount(&self.peers)
            .await;
    }

    /// What orchestration was asked, with its idempotency key.
    pub(crate) async fn executions(&self) -> Vec<(String, Value)> {
        let requests = self.peers.received_requests().await.unwrap();
        let asked = requests
            .iter()
            .filter(|request| request.method == Method::POST && request.url.path() == EXECUTE);
        asked
            .map(|request| {
                let key = request.headers["idempotency-key"].to_str().unwrap().to_owned();
                (key, serde_json::from_slice(&request.body).unwrap())
            })
            .collect()
    }

    /// Classify by the simulated model from the next start on.
    pub(crate) fn use_model(&mut self) {
        self.extra.extend(self.world.openai_settings());
    }

    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.world.settings_map();
        settings.extend(self.world.entra_settings_for("classifier"));
        settings.extend(self.keys.settings(Service::Classifier, &self.database));
        let own = [
            ("PLAYBOOK_URL", self.peers.uri()),
            ("ORCHESTRATION_URL", self.peers.uri()),
            ("HALOPSA_RATE_PER_5MIN", "0".to_owned()),
            ("DEFAULT_MODE", "auto".to_owned()),
            ("PUBLIC_URL", "https://desk.example".to_owned()),
        ];
        settings.extend(own.map(|(name, value)| (name.to_owned(), value)));
        settings.extend(NO_TRIPWIRES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        settings.extend(self.extra.clone());
        settings
    }

    /// What a further replica would be started with.
    pub(crate) fn settings_now(&self) -> ClassifierSettings {
        from_map(&self.settings()).unwrap()
    }

    pub(crate) fn start(&mut self) {
        let running = Running::start(Service::Classifier, self.settings_now(), classifier::serve);
        self.world.set_targets(Targets {
            classifier: Some(running.base.clone()),
            ..Targets::default()
        });
        self.running = Some(running);
    }

    /// Stop it as an operator would; what is under way finishes.
    pub(crate) async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Stop it as a power cut would, wherever it is.
    pub(crate) fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    pub(crate) fn file(&self, from: &str, summary: &str) -> i64 {
        self.world.halo().file_ticket(NewTicket::new(from, summary))
    }

    pub(crate) fn ticket(&self, id: i64) -> TicketView {
        self.world.halo().ticket(id).unwrap()
    }

    pub(crate) fn field(&self, id: i64, name: &str) -> Option<String> {
        self.ticket(id).custom_fields.get(name).cloned()
    }

    /// A service token for exactly this body.
    fn token(&self, caller: Service, body: &[u8]) -> String {
        self.keys.stamp(caller).token("classifier", body)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let http = common::client::http_client(REASON).unwrap();
        http.request(method, self.running.as_ref().unwrap().base.join(path).unwrap())
    }

    pub(crate) async fn push(
        &self,
        path: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let request = self.request(Method::POST, path).headers(headers);
        request
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn classify(&self, caller: Service, ticket: i64) -> reqwest::Response {
        let body = json!({ "ticket_id": ticket.to_string() }).to_string();
        let token = self.token(caller, body.as_bytes());
        let request = self
            .request(Method::POST, "/api/v1/classify_ticket")
            .bearer_auth(token);
        request
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn as_service(&self, caller: Service, path: &str) -> reqwest::Response {
        let token = self.token(caller, b"");
        let request = self.request(Method::GET, path).bearer_auth(token);
        request.send().await.unwrap()
    }

    async fn look(&self, ticket: i64) -> Option<ExplainedDecision> {
        let path = format!("/api/v1/decisions/{ticket}");
        let token = self.token(Service::Orchestration, b"");
        let answer = self
            .request(Method::GET, &path)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        match answer.status() {
            StatusCode::OK => Some(answer.json().await.unwrap()),
            StatusCode::NOT_FOUND => None,
            other => panic!("{other}"),
        }
    }

    pub(crate) async fn decision(&self, ticket: i64) -> Decision {
        self.explained(ticket).await.decision
    }

    /// The same, with how it came about.
    pub(crate) async fn explained(&self, ticket: i64) -> ExplainedDecision {
        self.until("a decision", async || self.look(ticket).await).await
    }

    /// The ticket's row once nothing more is to be done about it.
    pub(crate) async fn settled(&self, ticket: i64) -> String {
        self.until("an end", async || {
            let state = self.state(ticket).await?;
            ["DONE", "UNKNOWN"].contains(&state.as_str()).then_some(state)
        })
        .await
    }

    pub(crate) async fn state(&self, ticket: i64) -> Option<String> {
        sqlx::query_scalar("SELECT state FROM tickets WHERE ticket_id = $1")
            .bind(ticket.to_string())
            .fetch_optional(&self.database.owner().await)
            .await
            .unwrap()
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(query)
            .fetch_one(&self.database.owner().await)
            .await
            .unwrap()
    }

    pub(crate) async fn audit(&self, ticket: i64) -> Vec<String> {
        sqlx::query_scalar("SELECT kind FROM audit_events WHERE ticket_id = $1 ORDER BY id")
            .bind(ticket.to_string())
            .fetch_all(&self.database.owner().await)
            .await
            .unwrap()
    }

    /// Look until `seen` answers something.
    pub(crate) async fn until<T>(&self, what: &str, seen: impl AsyncFnMut() -> Option<T>) -> T {
        if let Some(found) = seen_within(REASON, seen).await {
            return found;
        }
        let tickets: Vec<(String, String, Option<String>)> =
            sqlx::query_as("SELECT ticket_id, state, waiting_for FROM tickets")
                .fetch_all(&self.database.owner().await)
                .await
                .unwrap();
        panic!("{what} was not seen in time; tickets: {tickets:?}")
    }
}

pub(crate) fn playbook(name: &str) -> Value {
    json!({
        "name": name, "version": "1.2", "digest": Digest::of(name), "active": true,
        "description": "Automated password reset with MFA or manager approval",
        "category": "REQUEST", "sub_category": "PASSWORD_RESET",
        "examples": ["I forgot my password", "I can't log in"],
        "published_at": "2026-11-22T00:00:00Z",
    })
}

pub(crate) fn codes(decision: &Decision) -> Vec<&str> {
    decision
        .blockers
        .iter()
        .map(|blocker| blocker.code.as_str())
        .collect()
}
