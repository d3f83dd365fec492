//! A fleet of real processes that tell all they can: logs at `trace`, traces to a collector of ours, in a world of its own.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use common::Service;
use launcher::fleet::{FleetSettings, Ports};
use launcher::processes::Processes;
use launcher::stage::{ended, overrides_in, settings_in, shipped_playbooks};
use launcher::testing::{TestDatabase, TestKeys};
use simulators::{System, Targets, World, WorldSettings};
use sqlx::PgPool;

use crate::SOON;
use crate::places::{Kind, Place, columns, holds, keys};

/// A secret that the services were given, and the vendor to whom it is shown, if any.
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) of: Option<System>,
    pub(crate) value: String,
}

pub(crate) struct House {
    processes: Processes,
    /// Of the classifier that asks a model, once it has taken the other one's place.
    with_model: Option<Processes>,
    /// What `processes` were started with.
    settings: FleetSettings,
    pub(crate) world: World,
    owner: PgPool,
    database: TestDatabase,
    keys: TestKeys,
    logs: tempfile::TempDir,
    traces: Arc<Mutex<Vec<Bytes>>>,
    http: reqwest::Client,
    answers: Mutex<Vec<Place>>,
}

impl House {
    /// All six are ready.
    pub(crate) async fn open() -> Self {
        let world = World::start(WorldSettings {
            teams_auto_install: true,
            think: std::time::Duration::from_millis(20),
            ..WorldSettings::default()
        })
        .await
        .unwrap();
        let (database, keys, logs) = (
            launcher::testing::database().await,
            TestKeys::fresh(),
            tempfile::tempdir().unwrap(),
        );
        let traces = Arc::<Mutex<Vec<Bytes>>>::default();
        let mut settings = settings_in(&world);
        let short = launcher::testing::SHORT_WAITS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        settings.extend(short);
        settings.extend(
            [
                ("APPROVAL_SMS_AFTER_S", "1"),
                ("RUST_LOG", "trace"),
                ("LOG_FORMAT", "json"),
                // The exporter's own setting: how long it collects before it sends, in milliseconds.
                ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        settings.insert(
            "OTEL_EXPORTER_OTLP_ENDPOINT".into(),
            collect(Arc::clone(&traces)).await,
        );
        let settings = FleetSettings {
            ports: Ports::Any,
            databases: Service::ALL
                .map(|service| (service, database.url(service)))
                .into(),
            redis: database.redis_url(),
            keys: keys.directory().to_owned(),
            playbooks: shipped_playbooks(),
            settings,
            overrides: overrides_in(&world),
        };
        let mut processes = Processes::of(program(), settings.clone(), logs.path().to_owned()).unwrap();
        for service in Service::ALL {
            processes.start(service).unwrap();
        }
        for service in Service::ALL {
            processes.wait_until_ready(service).await.unwrap();
        }
        world.set_targets(Targets {
            classifier: Some(processes.url(Service::Classifier)),
            verification: Some(processes.url(Service::Verification)),
            delivery: Some(processes.url(Service::Delivery)),
        });
        Self {
            processes,
            with_model: None,
            settings,
            owner: database.owner().await,
            world,
            database,
            keys,
            logs,
            traces,
            http: common::client::http_client(SOON).unwrap(),
            answers: Mutex::default(),
        }
    }

    /// From now on a language model reads the tickets: another classifier takes the place of the first.
    pub(crate) async fn ask_the_model(&mut self) {
        let mut settings = self.settings.clone();
        let own = settings.overrides.entry(Service::Classifier).or_default();
        own.extend(self.world.openai_settings());
        for peer in [Service::Orchestration, Service::Playbook] {
            own.insert(
                format!("{}_URL", peer.name().to_uppercase()),
                self.processes.url(peer).to_string(),
            );
        }
        let mut with_model = Processes::of(program(), settings, self.logs.path().to_owned()).unwrap();
        self.processes.kill(Service::Classifier);
        with_model.start(Service::Classifier).unwrap();
        with_model.wait_until_ready(Service::Classifier).await.unwrap();
        let url = with_model.url(Service::Classifier);
        self.with_model = Some(with_model);
        self.world.set_targets(Targets {
            classifier: Some(url),
            verification: Some(self.url(Service::Verification)),
            delivery: Some(self.url(Service::Delivery)),
        });
    }

    fn url(&self, service: Service) -> url::Url {
        match &self.with_model {
            Some(with_model) if service == Service::Classifier => with_model.url(service),
            _ => self.processes.url(service),
        }
    }

    /// Wait until the ticket has ended, told and all.
    pub(crate) async fn ended(&self, ticket: i64) {
        ended(&self.world, &self.owner, ticket, SOON).await.unwrap();
    }

    /// As texts are sent to it.
    pub(crate) fn number_of(&self, email: &str) -> String {
        let mobile = self.world.person(email).mobile.expect("this person has a phone");
        mobile.replace(' ', "")
    }

    /// The passes that were in texts, delivered or not: the line below the words that announce it.
    pub(crate) fn passes(&self) -> Vec<String> {
        let sent = self.world.requests(System::Twilio);
        let bodies = sent.iter().flat_map(|request| {
            url::form_urlencoded::parse(request.body.as_bytes())
                .filter(|(name, _)| name == "Body")
                .map(|(_, text)| text.into_owned())
                .collect::<Vec<_>>()
        });
        bodies
            .filter(|text| text.contains("sign-in pass is\n"))
            .filter_map(|text| text.lines().nth(1).map(str::to_owned))
            .collect()
    }

    /// What the services were given in confidence.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let given = self.world.secrets();
        let mut secrets = vec![];
        let mut of =
            |name: String, of: Option<System>, value: String| secrets.push(Secret { name, of, value });
        for (name, vendor, value) in [
            (
                "the help desk's client secret",
                Some(System::Halo),
                &given.halo_client_secret,
            ),
            // The help desk shows it to us.
            ("the help desk's webhook secret", None, &given.halo_webhook_secret),
            // The directory's login gives the bot its tokens.
            ("the bot's secret", Some(System::Entra), &given.teams_app_secret),
            (
                "the gateway's token",
                Some(System::Twilio),
                &given.twilio_auth_token,
            ),
            ("the model's key", Some(System::OpenAi), &given.openai_api_key),
        ] {
            of(name.to_owned(), vendor, value.clone());
        }
        for (service, settings) in overrides_in(&self.world) {
            let secret = settings["ENTRA_CLIENT_SECRET"].clone();
            of(
                format!("the directory's secret of {service}"),
                Some(System::Entra),
                secret,
            );
        }
        for service in Service::ALL {
            if let Some(password) = self.database.url(service).password() {
                of(
                    format!("the database's password of {service}"),
                    None,
                    password.to_owned(),
                );
            }
            let key = self.key(&format!("{service}.key"));
            of(format!("the key of {service}"), None, key);
        }
        of("the key of seals".to_owned(), None, self.key("seal.key"));
        secrets
    }

    /// The middle of a key file: its longest line.
    fn key(&self, file: &str) -> String {
        let text = String::from_utf8(self.keys.read(file)).expect("key files are text");
        let longest = text.lines().max_by_key(|line| line.len());
        longest.expect("a key has a line").to_owned()
    }

    /// Knock at every door in a way that is refused, and look at what people may see; all answers are kept.
    pub(crate) async fn be_refused(&self, tickets: &[i64]) {
        let operator = self.world.token_for("grady@contoso.example", &["operator"]);
        for service in Service::ALL {
            for path in [
                "api/v1/classify_ticket",
                "api/v1/orchestration/execute_playbook",
                "api/v1/verification/mfa",
                "api/v1/verification/manager_approval",
                "api/v1/executor/reset_password",
                "api/v1/delivery/sms",
                "webhooks/halopsa/ticket_created",
                "webhooks/teams/approval_action",
                "webhooks/twilio/sms_response",
                "webhooks/twilio/sms_status",
            ] {
                for token in [None, Some("e30.e30.e30"), Some(operator.as_str())] {
                    self.ask("a refusal", service, reqwest::Method::POST, path, token)
                        .await;
                }
            }
        }
        for ticket in tickets {
            let seen = [
                (Service::Classifier, format!("api/v1/decisions/{ticket}")),
                (
                    Service::Orchestration,
                    format!("api/v1/orchestration/execution/{ticket}"),
                ),
            ];
            for (service, path) in seen {
                self.ask("an answer", service, reqwest::Method::GET, &path, Some(&operator))
                    .await;
            }
        }
    }

    async fn ask(
        &self,
        what: &str,
        service: Service,
        method: reqwest::Method,
        path: &str,
        token: Option<&str>,
    ) {
        let url = self.url(service).join(path).unwrap();
        let mut request = self.http.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request
            .header("content-type", "application/json")
            .body("{\"what\": \"is this\"}")
            .send()
            .await
            .unwrap();
        let text = format!("{:?}\n{}", answer.headers().clone(), answer.text().await.unwrap());
        let place = Place::new(Kind::Told, format!("{what} of {service} at {path}"), text);
        self.answers.lock().unwrap().push(place);
    }

    /// Everything that is left anywhere, when the last that was done is in the traces.
    pub(crate) async fn places(mut self, tickets: &[i64]) -> Vec<Place> {
        let last = tickets.last().expect("something happened").to_string();
        launcher::testing::until("the last ticket in the traces", async || {
            let traces = self.traces.lock().unwrap();
            let told = |batch: &Bytes| ["tell", &last].iter().all(|text| holds(batch, text));
            traces.iter().any(told)
        })
        .await;
        let mut places = std::mem::take(self.answers.get_mut().unwrap());
        for service in Service::ALL {
            let url = self.url(service).join("metrics").unwrap();
            let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
            places.push(Place::new(Kind::Told, format!("metrics of {service}"), text));
        }
        let with_model = self.with_model.iter().flat_map(Processes::ids);
        for id in self.processes.ids().into_iter().chain(with_model) {
            let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap();
            let name = String::from_utf8_lossy(&arguments).replace('\0', " ");
            let service = name.trim().trim_start_matches("firstline-").to_owned();
            places.push(Place::new(Kind::Told, format!("process {service}"), name));
        }
        places.extend(tables(&self.owner).await);
        places.extend(remembered(&self.database).await);
        places.extend(self.written(tickets));
        places.extend(self.sent());
        places
    }

    /// Logs, traces, and what the help desk was told.
    fn written(&self, tickets: &[i64]) -> Vec<Place> {
        let mut places = vec![];
        for service in Service::ALL {
            let log = std::fs::read(self.logs.path().join(format!("{service}.log"))).unwrap();
            places.push(Place::new(Kind::Told, format!("log of {service}"), log));
        }
        let traces = self.traces.lock().unwrap();
        places.extend(
            traces
                .iter()
                .map(|batch| Place::new(Kind::Told, "traces".to_owned(), batch.to_vec())),
        );
        for ticket in tickets {
            let ticket = self.world.halo().ticket(*ticket).unwrap();
            let notes: Vec<String> = ticket.notes.iter().map(|note| format!("{note:?}")).collect();
            let text = format!("{:?}\n{}", ticket.custom_fields, notes.join("\n"));
            places.push(Place::new(Kind::Told, "the help desk's ticket".to_owned(), text));
        }
        places
    }

    /// What vendors were sent.
    fn sent(&self) -> Vec<Place> {
        let systems = [
            System::Halo,
            System::Entra,
            System::OpenAi,
            System::Teams,
            System::Twilio,
        ];
        let requests = systems.into_iter().flat_map(|system| {
            self.world
                .requests(system)
                .into_iter()
                .map(move |request| (system, request))
        });
        requests
            .flat_map(|(system, mut request)| {
                let content = request.headers.get("content-type");
                let is_form = content.is_some_and(|kind| kind.starts_with(FORM));
                let mut credentials = format!("{:?}\n", request.headers.remove("authorization"));
                if is_form {
                    let form = std::mem::take(&mut request.body);
                    writeln!(credentials, "{form}").unwrap();
                    for (name, value) in url::form_urlencoded::parse(form.as_bytes()) {
                        writeln!(credentials, "{name}={value}").unwrap();
                    }
                }
                let sent = format!(
                    "{} {}?{}\n{:?}\n{}\n",
                    request.method, request.path, request.query, request.headers, request.body
                );
                [
                    Place::new(Kind::Sent(system), format!("a request to {system:?}"), sent),
                    Place::new(
                        Kind::Credentials(system),
                        format!("the credentials and form of a request to {system:?}"),
                        credentials,
                    ),
                ]
            })
            .collect()
    }
}

/// How credentials are posted to a login, and messages to the gateway.
const FORM: &str = "application/x-www-form-urlencoded";

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_firstline"))
}

/// Every table, a place for each.
async fn tables(owner: &PgPool) -> Vec<Place> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            .fetch_all(owner)
            .await
            .unwrap();
    let mut places = vec![];
    for name in names {
        let rows = columns(owner, &name).await;
        places.push(Place::new(Kind::Table, format!("table {name}"), rows));
    }
    places
}

/// Every key of Redis with what it holds.
async fn remembered(database: &TestDatabase) -> Vec<Place> {
    let held = keys(database.redis_url()).await;
    vec![Place::new(Kind::Told, "Redis".to_owned(), held)]
}

/// A collector that keeps what it is sent, as bytes. Answers its address.
async fn collect(kept: Arc<Mutex<Vec<Bytes>>>) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let keep = async |State(kept): State<Arc<Mutex<Vec<Bytes>>>>, batch: Bytes| {
        kept.lock().unwrap().push(batch);
    };
    let app = Router::new().fallback(keep).with_state(kept);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}
