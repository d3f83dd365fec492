//! A playbook service on a real database, its callers' keys, and a login that gives people their roles.

use std::path::PathBuf;
use std::time::Duration;

use chassis::SettingsErrors;
use common::client::http_client;
use common::{Problem, Service};
use http::Method;
use launcher::testing::{Running, TestDatabase, TestKeys, database, seen_within};
use playbook::PlaybookSettings;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use simulators::{World, WorldSettings};
use sqlx::PgPool;

pub(crate) const SHIPPED: &str = include_str!("../../../../playbooks/password_reset.yml");

/// Longest wait for anything to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything around the service. Keep it to the end of the test.
pub(crate) struct House {
    pub(crate) owner: PgPool,
    pub(crate) database: TestDatabase,
    world: World,
    keys: TestKeys,
    client: reqwest::Client,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    Nobody,
    Fleet(Service),
    Person(&'static [&'static str]),
}

pub(crate) const ADMIN: Who = Who::Person(&["admin"]);

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
        let house = Self {
            owner: database.owner().await,
            world: World::start(WorldSettings::default()).await.unwrap(),
            database,
            keys: TestKeys::fresh(),
            client: http_client(PATIENCE).unwrap(),
        };
        std::fs::create_dir(house.playbooks()).unwrap();
        house
    }

    /// The folder that `PLAYBOOKS_DIR` names, beside the keys.
    pub(crate) fn playbooks(&self) -> PathBuf {
        self.keys.file("playbooks")
    }

    pub(crate) fn ship(&self, file: &str, source: &str) {
        std::fs::write(self.playbooks().join(file), source).unwrap();
    }

    pub(crate) fn settings(&self) -> PlaybookSettings {
        self.settings_with(&[]).unwrap()
    }

    pub(crate) fn settings_with(&self, more: &[(&str, &str)]) -> Result<PlaybookSettings, SettingsErrors> {
        let mut map = self.world.settings_map();
        map.retain(|name, _| name.starts_with("OIDC_"));
        map.extend(self.keys.settings(Service::Playbook, &self.database));
        let playbooks = self.playbooks().display().to_string();
        map.insert("PLAYBOOKS_DIR".to_owned(), playbooks);
        map.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        chassis::from_map(&map)
    }

    /// Start it and wait until it is ready.
    pub(crate) async fn run(&self) -> Running {
        let running = Running::start(Service::Playbook, self.settings(), playbook::serve);
        self.ready(&running).await;
        running
    }

    pub(crate) async fn ready(&self, running: &Running) {
        let readyz = running.base.join("readyz").unwrap();
        let ready = seen_within(PATIENCE, async || {
            let answer = self.client.get(readyz.clone()).send().await.ok()?;
            answer.status().is_success().then_some(())
        });
        ready.await.expect("ready within 30 s");
    }

    fn token(&self, who: &Who, body: &[u8]) -> Option<String> {
        match who {
            Who::Nobody => None,
            Who::Person(roles) => Some(self.world.token_for("adele@contoso.example", roles)),
            Who::Fleet(service) => Some(self.keys.stamp(*service).token("playbook", body)),
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
        let mut request = self
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
