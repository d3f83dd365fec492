//! A playbook service on a real database, its callers' keys, and a login that gives people their roles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::client::http_client;
use common::{Problem, Service};
use http::Method;
use launcher::testing::{TestDatabase, database};
use playbook::PlaybookSettings;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use simulators::{World, WorldSettings};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust::{FleetKeys, Identity, SigningKey};
use url::Url;
use uuid::Uuid;

pub(crate) const SHIPPED: &str = include_str!("../../../../playbooks/password_reset.yml");

/// Everything around the service. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) owner: PgPool,
    pub(crate) database: TestDatabase,
    world: World,
    fleet: FleetKeys,
    folder: tempfile::TempDir,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    Nobody,
    Fleet(Service),
    Person(&'static [&'static str]),
}

pub(crate) const ADMIN: Who = Who::Person(&["admin"]);

/// A running service; dropped, it is gone as if killed.
pub(crate) struct Running {
    pub(crate) base: Url,
    client: reqwest::Client,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "{error} in {} {}",
                self.status,
                String::from_utf8_lossy(&self.body)
            );
        })
    }

    /// The body, where the status is the expected one.
    pub(crate) fn expect<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self.json()
    }

    pub(crate) fn code(&self) -> (u16, String) {
        (self.status.as_u16(), self.json::<Problem>().code)
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let fleet = FleetKeys::generate(&mut rand::rng()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for file in fleet.files().unwrap() {
            std::fs::write(folder.path().join(&file.name), file.contents.as_bytes()).unwrap();
        }
        let house = Self {
            owner: database.owner().await,
            world: World::start(WorldSettings::default()).await.unwrap(),
            database,
            fleet,
            folder,
        };
        std::fs::create_dir(house.playbooks()).unwrap();
        house
    }

    /// The folder that `PLAYBOOKS_DIR` names.
    pub(crate) fn playbooks(&self) -> PathBuf {
        self.folder.path().join("playbooks")
    }

    pub(crate) fn ship(&self, file: &str, source: &str) {
        std::fs::write(self.playbooks().join(file), source).unwrap();
    }

    fn file(&self, name: &str) -> String {
        Path::new(self.folder.path()).join(name).display().to_string()
    }

    pub(crate) fn settings(&self) -> PlaybookSettings {
        let mut map: BTreeMap<String, String> = self.world.settings_map();
        map.retain(|name, _| name.starts_with("OIDC_"));
        map.extend([
            (
                "DATABASE_URL".to_owned(),
                self.database.url(Service::Playbook).to_string(),
            ),
            ("REDIS_URL".to_owned(), self.database.redis_url().to_string()),
            ("SERVICE_KEY_FILE".to_owned(), self.file("playbook.key")),
            ("TRUSTED_KEYS_FILE".to_owned(), self.file("trusted.json")),
            ("PLAYBOOKS_DIR".to_owned(), self.playbooks().display().to_string()),
        ]);
        chassis::from_map(&map).unwrap()
    }

    /// Start it and wait until it is ready.
    pub(crate) async fn run(&self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base: Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let settings = self.settings();
        let task = tokio::spawn(async move {
            playbook::serve(settings, listener, CancellationToken::new())
                .await
                .unwrap();
        });
        let client = http_client(Duration::from_secs(30)).unwrap();
        let running = Running { base, client, task };
        let ready = async {
            loop {
                let ready = running
                    .client
                    .get(running.base.join("readyz").unwrap())
                    .send()
                    .await;
                if ready.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ready)
            .await
            .expect("ready within 30 s");
        running
    }

    fn token(&self, who: &Who, body: &[u8]) -> Option<String> {
        match who {
            Who::Nobody => None,
            Who::Person(roles) => Some(self.world.token_for("adele@contoso.example", roles)),
            Who::Fleet(service) => {
                let pem = self.fleet.signing_key(*service).unwrap().to_pem().unwrap();
                let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
                let identity = Identity::new(*service, key, self.fleet.trusted().unwrap()).unwrap();
                let now = OffsetDateTime::now_utc();
                Some(trust::token::issue(&identity, "playbook", body, now, Uuid::now_v7()).unwrap())
            }
        }
    }

    pub(crate) async fn get(&self, running: &Running, who: &Who, path: &str) -> Answer {
        self.send(running, who, Method::GET, path, "", Vec::new()).await
    }

    pub(crate) async fn publish(&self, running: &Running, who: &Who, source: &str) -> Answer {
        let yaml = source.as_bytes().to_vec();
        self.send(
            running,
            who,
            Method::POST,
            "api/v1/playbooks",
            "application/yaml",
            yaml,
        )
        .await
    }

    pub(crate) async fn activate(&self, running: &Running, who: &Who, version: &str) -> Answer {
        let path = "api/v1/playbooks/password_reset/activate";
        let body = serde_json::json!({ "version": version }).to_string().into_bytes();
        self.send(running, who, Method::PUT, path, "application/json", body)
            .await
    }

    pub(crate) async fn send(
        &self,
        running: &Running,
        who: &Who,
        method: Method,
        path: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Answer {
        let mut request = running
            .client
            .request(method, running.base.join(path).unwrap())
            .header("content-type", media_type);
        if let Some(token) = self.token(who, &body) {
            request = request.bearer_auth(token);
        }
        let answer = request.body(body).send().await.unwrap();
        Answer {
            status: answer.status(),
            body: answer.bytes().await.unwrap().to_vec(),
        }
    }
}
