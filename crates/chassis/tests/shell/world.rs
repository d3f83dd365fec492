//! A fleet's keys, shells that stand on nothing, and a sample service.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use chassis::settings::{LogFormat, OidcSettings, TelemetrySettings};
use chassis::{Api, ApiError, BaseSettings, Caller, Json, Shell, StartError};
use common::doors::Door;
use common::{Problem, Role, Service};
use http::{Method, Request, StatusCode};
use launcher::testing::TestDatabase;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use trust::{FleetKeys, Identity};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Keys of one fleet, on disk as `firstline keys init` writes them.
pub(crate) struct World {
    keys: FleetKeys,
    directory: TempDir,
    pub(crate) shutdown: CancellationToken,
}

impl World {
    pub(crate) fn new() -> Self {
        let keys = FleetKeys::generate(&mut rand::rng()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        for file in keys.files(time::OffsetDateTime::now_utc()).unwrap() {
            let path = directory.path().join(&file.name);
            std::fs::write(&path, file.contents.as_bytes()).unwrap();
            let mode = if file.secret { 0o600 } else { 0o644 };
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        Self {
            keys,
            directory,
            shutdown: CancellationToken::new(),
        }
    }

    /// Postgres and Redis are addresses where nobody listens.
    pub(crate) async fn shell(&self, service: Service, oidc: Option<OidcSettings>) -> Shell {
        let nowhere = ("postgres://nobody@127.0.0.1:9/none", "redis://127.0.0.1:9");
        self.standing_on(service, oidc, nowhere).await
    }

    /// On a database and a cache of this test's own.
    pub(crate) async fn grounded(&self, service: Service, database: &TestDatabase) -> Shell {
        let (postgres, redis) = (database.url(service), database.redis_url());
        self.standing_on(service, None, (postgres.as_str(), redis.as_str()))
            .await
    }

    pub(crate) async fn standing_on(
        &self,
        service: Service,
        oidc: Option<OidcSettings>,
        (postgres, redis): (&str, &str),
    ) -> Shell {
        let base = self.base(service, oidc, (postgres, redis));
        Shell::start(service, &base, self.shutdown.clone()).await.unwrap()
    }

    /// A try to start.
    pub(crate) async fn try_shell(&self, service: Service) -> Result<Shell, StartError> {
        let nowhere = ("postgres://nobody@127.0.0.1:9/none", "redis://127.0.0.1:9");
        Shell::start(service, &self.base(service, None, nowhere), self.shutdown.clone()).await
    }

    /// One of the key files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The private key of a service, as it signs.
    pub(crate) fn key_pem(&self, service: Service) -> String {
        self.keys
            .signing_key(service)
            .unwrap()
            .to_pem()
            .unwrap()
            .to_string()
    }

    /// The name of that key.
    pub(crate) fn kid(&self, service: Service) -> String {
        self.keys.signing_key(service).unwrap().kid().to_string()
    }

    fn base(
        &self,
        service: Service,
        oidc: Option<OidcSettings>,
        (postgres, redis): (&str, &str),
    ) -> BaseSettings {
        BaseSettings {
            listen_addr: ([127, 0, 0, 1], 0).into(),
            database_url: postgres.to_owned().into(),
            redis_url: redis.to_owned().into(),
            service_key_file: self.directory.path().join(format!("{service}.key")),
            trusted_keys_file: self.directory.path().join("trusted.json"),
            tenant_id: "test".parse().unwrap(),
            telemetry: TelemetrySettings {
                filter: "off".to_owned(),
                format: LogFormat::Human,
                otlp_endpoint: None,
            },
            oidc,
        }
    }

    /// A service token as `caller` would send it, for exactly this body.
    pub(crate) fn token(&self, caller: Service, audience: &str, body: &[u8]) -> String {
        let key = trust::SigningKey::from_pem(
            self.keys
                .signing_key(caller)
                .unwrap()
                .to_pem()
                .unwrap()
                .as_bytes(),
        )
        .unwrap();
        let identity = Identity::new(caller, key, self.keys.trusted().unwrap()).unwrap();
        let now = time::OffsetDateTime::now_utc();
        trust::token::issue(&identity, audience, body, now, uuid::Uuid::now_v7()).unwrap()
    }
}

/// What the sample service was asked.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    pub(crate) done: Arc<AtomicUsize>,
    pub(crate) entered: Arc<Notify>,
    pub(crate) leave: Arc<Notify>,
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(crate) struct Order {
    what: String,
}

/// Do something.
#[utoipa::path(post, path = "/api/v1/sample/act", request_body = Order, responses((status = 200)))]
async fn act(
    State(sample): State<Sample>,
    caller: Caller,
    Json(order): Json<Order>,
) -> Json<serde_json::Value> {
    let nth = sample.done.fetch_add(1, Ordering::SeqCst) + 1;
    Json(serde_json::json!({
        "nth": nth,
        "what": order.what,
        "by": caller.actor(),
        "trace": chassis::telemetry::trace_context(),
        "request": chassis::request_id::current(),
    }))
}

/// Panic.
#[utoipa::path(post, path = "/api/v1/sample/panic", responses((status = 500)))]
async fn explode() -> StatusCode {
    panic!("the secret is 4711")
}

/// Fail inside.
#[utoipa::path(post, path = "/api/v1/sample/fail", responses((status = 500)))]
async fn fail() -> Result<StatusCode, ApiError> {
    Err(ApiError::internal(&std::io::Error::other("password=4711")))
}

/// Take until told to go on.
#[utoipa::path(get, path = "/api/v1/sample/slow", responses((status = 200)))]
async fn slow(State(sample): State<Sample>) -> &'static str {
    sample.entered.notify_one();
    sample.leave.notified().await;
    "finished"
}

/// The same as a POST, and count it.
#[utoipa::path(post, path = "/api/v1/sample/slow_act", responses((status = 200)))]
async fn slow_act(State(sample): State<Sample>) -> String {
    sample.entered.notify_one();
    sample.leave.notified().await;
    sample.done.fetch_add(1, Ordering::SeqCst).to_string()
}

/// Be away the first time.
#[utoipa::path(post, path = "/api/v1/sample/away_once", responses((status = 200)))]
async fn away_once(State(sample): State<Sample>) -> Result<&'static str, ApiError> {
    match sample.done.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Problem::outside_unavailable("the directory", Some(1)).into()),
        _ => Ok("here"),
    }
}

/// Look at something, as a person.
#[utoipa::path(get, path = "/api/v1/sample/look", responses((status = 200), (status = 403, body = Problem)))]
async fn look(caller: Caller) -> String {
    caller.actor()
}

/// Take what a vendor pushes.
#[utoipa::path(post, path = "/webhooks/vendor/event", responses((status = 202)))]
async fn event(body: axum::body::Bytes) -> (StatusCode, String) {
    (StatusCode::ACCEPTED, body.len().to_string())
}

/// The sample's routes; orchestration may act, operators may look.
pub(crate) fn api(shell: &Shell, sample: &Sample) -> Api {
    let routes = OpenApiRouter::new()
        .routes(routes!(act))
        .routes(routes!(explode))
        .routes(routes!(fail))
        .routes(routes!(slow))
        .routes(routes!(slow_act))
        .routes(routes!(away_once))
        .routes(routes!(look));
    Api::with_doors(shell, DOORS)
        .guarded(routes.with_state(sample.clone()))
        .webhooks(OpenApiRouter::new().routes(routes!(event)))
}

const ACTORS: &[Service] = &[Service::Orchestration, Service::Classifier];

static DOORS: &[Door] = &[
    Door::new(Method::POST, "/api/v1/sample/act", ACTORS, &[]),
    Door::new(Method::POST, "/api/v1/sample/panic", ACTORS, &[]),
    Door::new(Method::POST, "/api/v1/sample/fail", ACTORS, &[]),
    Door::new(Method::GET, "/api/v1/sample/slow", ACTORS, &[]),
    Door::new(Method::POST, "/api/v1/sample/slow_act", ACTORS, &[]),
    Door::new(Method::POST, "/api/v1/sample/away_once", ACTORS, &[]),
    Door::new(
        Method::GET,
        "/api/v1/sample/look",
        &[Service::Playbook],
        &[Role::Operator, Role::Auditor],
    ),
];

/// Serve the sample on a free port.
pub(crate) async fn serve(shell: Shell, sample: &Sample) -> (url::Url, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let api = api(&shell, sample);
    let serving = tokio::spawn(async move { shell.serve(api, listener).await.unwrap() });
    (url, serving)
}

/// The answer of the sample to `request`, without a socket.
pub(crate) async fn ask(shell: &Shell, request: Request<Body>) -> Response {
    ask_of(shell, &Sample::default(), request).await
}

/// The same, of a sample that remembers.
pub(crate) async fn ask_of(shell: &Shell, sample: &Sample, request: Request<Body>) -> Response {
    shell.app(api(shell, sample)).oneshot(request).await.unwrap()
}

pub(crate) fn post(path: &str, token: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(body.into()).unwrap()
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub(crate) async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The problem, which must be a well-formed one.
pub(crate) async fn problem(response: Response) -> Problem {
    assert_eq!(response.headers()["content-type"], common::problem::PROBLEM_JSON);
    let status = response.status();
    let problem: Problem = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}
