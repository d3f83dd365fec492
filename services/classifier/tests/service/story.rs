//! A classifier with everything around it: its own database, a world of its own, and peers that answer as told.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::from_map;
use classifier::ClassifierSettings;
use common::{Decision, Digest, Service};
use http::{HeaderMap, Method, StatusCode};
use launcher::testing::TestDatabase;
use serde_json::{Value, json};
use simulators::halo::{NewTicket, TicketView};
use simulators::{Targets, World, WorldSettings};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust::{FleetKeys, Identity, SigningKey};
use url::Url;
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

const EXECUTE: &str = "/api/v1/orchestration/execute_playbook";
/// Long enough for a busy machine, short enough to fail within a coffee.
const REASON: Duration = Duration::from_secs(30);

pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) database: TestDatabase,
    pub(crate) peers: MockServer,
    keys: FleetKeys,
    directory: TempDir,
    extra: BTreeMap<String, String>,
    running: Option<Running>,
}

/// On a runtime of its own, so that it can be cut off with all its workers.
struct Running {
    url: Url,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Story {
    /// Everything but the classifier; `extra` settings on top of the world's.
    pub(crate) async fn prepare(extra: &[(&str, &str)]) -> Self {
        let keys = FleetKeys::generate(&mut rand::rng()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        for file in keys.files().unwrap() {
            std::fs::write(directory.path().join(&file.name), file.contents.as_bytes()).unwrap();
        }
        let story = Self {
            world: World::start(WorldSettings::default()).await.unwrap(),
            database: launcher::testing::database().await,
            peers: MockServer::start().await,
            keys,
            directory,
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
        let mut story = Self::prepare(extra).await;
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

    pub(crate) async fn accept_executions(&self) {
        let accepted = json!({"execution_id": uuid::Uuid::now_v7(), "status": "QUEUED"});
        Mock::given(method("POST"))
            .and(path(EXECUTE))
            .respond_with(ResponseTemplate::new(202).set_body_json(accepted))
            .with_priority(9)
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
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut settings = self.world.settings_map();
        settings.extend(self.world.entra_settings_for("classifier"));
        let own = [
            ("DATABASE_URL", self.database.url(Service::Classifier).to_string()),
            ("REDIS_URL", self.database.redis_url().to_string()),
            ("SERVICE_KEY_FILE", file("classifier.key")),
            ("TRUSTED_KEYS_FILE", file("trusted.json")),
            ("PLAYBOOK_URL", self.peers.uri()),
            ("ORCHESTRATION_URL", self.peers.uri()),
            ("HALOPSA_RATE_PER_5MIN", "0".to_owned()),
        ];
        settings.extend(own.map(|(name, value)| (name.to_owned(), value)));
        settings.extend(self.extra.clone());
        settings
    }

    pub(crate) fn start(&mut self) {
        let settings: ClassifierSettings = from_map(&self.settings()).unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let serving = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            classifier::serve(settings, listener, stop).await.unwrap();
        });
        self.world.set_targets(Targets {
            classifier: Some(url.clone()),
            ..Targets::default()
        });
        self.running = Some(Running {
            url,
            shutdown,
            serving,
            runtime: Some(runtime),
        });
    }

    /// Stop it as an operator would; what is under way finishes.
    pub(crate) async fn stop(&mut self) {
        let mut running = self.running.take().unwrap();
        running.shutdown.cancel();
        (&mut running.serving).await.unwrap();
    }

    /// Stop it as a power cut would, wherever it is.
    pub(crate) fn kill(&mut self) {
        drop(self.running.take().unwrap());
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
        let pem = self.keys.signing_key(caller).unwrap().to_pem().unwrap();
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
        let identity = Identity::new(caller, key, self.keys.trusted().unwrap()).unwrap();
        let now = time::OffsetDateTime::now_utc();
        trust::token::issue(&identity, "classifier", body, now, uuid::Uuid::now_v7()).unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let http = common::client::http_client(REASON).unwrap();
        http.request(method, self.running.as_ref().unwrap().url.join(path).unwrap())
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

    async fn look(&self, ticket: i64) -> Option<Decision> {
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
    pub(crate) async fn until<T>(&self, what: &str, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
        let looking = async {
            let mut beat = tokio::time::interval(Duration::from_millis(25));
            loop {
                beat.tick().await;
                if let Some(found) = seen().await {
                    return found;
                }
            }
        };
        if let Ok(found) = tokio::time::timeout(REASON, looking).await {
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
