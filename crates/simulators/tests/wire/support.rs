//! A world, a client, and a receiver that stands in for our webhooks and remembers what came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;
use simulators::{Targets, World, WorldSettings};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A request that reached our side.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

type Answer = (StatusCode, [(&'static str, &'static str); 1], String);

#[derive(Debug, Clone)]
struct Inner {
    received: watch::Sender<Vec<Received>>,
    answer: Arc<Mutex<Answer>>,
}

/// Our webhooks, played.
#[derive(Debug)]
pub(crate) struct Receiver {
    inner: Inner,
    pub(crate) base: url::Url,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(inner): State<Inner>, _: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    inner
        .received
        .send_modify(|all| all.push(Received { path, headers, body }));
    let answer = inner.answer.lock().unwrap().clone();
    answer.into_response()
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let answer = (
            StatusCode::OK,
            [("content-type", "application/json")],
            "{}".to_owned(),
        );
        let inner = Inner {
            received: watch::Sender::new(Vec::new()),
            answer: Arc::new(Mutex::new(answer)),
        };
        let app = Router::new().fallback(take).with_state(inner.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { inner, base, server }
    }

    pub(crate) fn answers(&self, status: u16, content_type: &'static str, body: &str) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.inner.answer.lock().unwrap() = (status, [("content-type", content_type)], body.to_owned());
    }

    /// The first `count` requests, once they are there.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Received> {
        let mut received = self.inner.received.subscribe();
        let seen = tokio::time::timeout(SOON, received.wait_for(|all| all.len() >= count)).await;
        let all = seen
            .unwrap_or_else(|_| panic!("not {count} requests but {:?}", self.all()))
            .unwrap();
        all.clone()
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.inner.received.borrow().clone()
    }

    pub(crate) fn targets(&self) -> Targets {
        let base = Some(self.base.clone());
        Targets {
            classifier: base.clone(),
            verification: base.clone(),
            delivery: base,
        }
    }
}

/// A world whose people answer at once.
pub(crate) fn quick() -> WorldSettings {
    WorldSettings {
        think: Duration::ZERO,
        ..WorldSettings::default()
    }
}

pub(crate) async fn world() -> World {
    World::start(quick()).await.unwrap()
}

/// A world whose webhooks come to the receiver, signed over another address.
pub(crate) async fn heard() -> (World, Receiver) {
    let receiver = Receiver::start().await;
    let public_url = "https://firstline.contoso.example".parse().unwrap();
    let settings = WorldSettings {
        targets: receiver.targets(),
        public_url,
        ..quick()
    };
    (World::start(settings).await.unwrap(), receiver)
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Status and JSON of an answer; null where the body is none.
pub(crate) async fn read(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// A setting of the world by its name.
pub(crate) fn setting(world: &World, name: &str) -> String {
    world
        .settings_map()
        .remove(name)
        .unwrap_or_else(|| panic!("no setting `{name}`"))
}

/// A v2 token for `scope`.
pub(crate) async fn entra_token(world: &World, id: &str, secret: &str, scope: &str) -> (u16, Value) {
    let login = setting(world, "ENTRA_LOGIN_URL");
    let tenant = setting(world, "ENTRA_TENANT_ID");
    let form = [
        ("client_id", id),
        ("client_secret", secret),
        ("scope", scope),
        ("grant_type", "client_credentials"),
    ];
    read(
        client()
            .post(format!("{login}/{tenant}/oauth2/v2.0/token"))
            .form(&form)
            .send()
            .await
            .unwrap(),
    )
    .await
}

/// A token for Graph, of the executor's registration.
pub(crate) async fn graph_token(world: &World) -> String {
    graph_token_of(world, "ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET").await
}

/// A token for Graph, of the registration that these settings name.
pub(crate) async fn graph_token_of(world: &World, id: &str, secret: &str) -> String {
    let (id, secret) = (setting(world, id), setting(world, secret));
    let (status, body) = entra_token(world, &id, &secret, "https://graph.microsoft.com/.default").await;
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}
