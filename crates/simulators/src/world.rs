//! A running world: five servers on their ports, one journal, and the hands to script them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use crate::System;
use crate::company::Person;
use crate::control;
use crate::core::{Core, CoreParts, Seed, Tasks};
use crate::entra::EntraSim;
use crate::faults::Faults;
use crate::gateway::{Gateway, Targets};
use crate::halo::HaloSim;
use crate::journal::Journal;
use crate::keys::{KeyError, Keyring, Signer, SigningKey};
use crate::openai::OpenAiSim;
use crate::settings::{self, Secrets, Urls, WorldSettings};
use crate::teams::TeamsSim;
use crate::twilio::TwilioSim;
use crate::wire::{Door, LoggedRequest, serve};

/// Why a world cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken, or not ours.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The advertised host makes no address.
    #[error("cannot advertise the host `{host}`")]
    Host {
        /// As given.
        host: String,
        /// Why not.
        #[source]
        source: url::ParseError,
    },
    /// No signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No client for webhooks.
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// The five systems, running. End it with [`World::shutdown`].
#[derive(Debug)]
pub struct World {
    core: Arc<Core>,
    public_url: Url,
    halo: HaloSim,
    entra: EntraSim,
    openai: OpenAiSim,
    teams: TeamsSim,
    twilio: TwilioSim,
    doors: BTreeMap<System, Arc<Door>>,
}

async fn bind(address: SocketAddr, host: &str) -> Result<(TcpListener, Url), StartError> {
    let listen = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let port = listener.local_addr().map_err(listen)?.port();
    let url = format!("http://{host}:{port}/").parse();
    let url = url.map_err(|source| StartError::Host {
        host: host.to_owned(),
        source,
    })?;
    Ok((listener, url))
}

async fn key(signer: Signer, kid: String) -> Result<Keyring, KeyError> {
    let key = tokio::task::spawn_blocking(move || SigningKey::first(signer, kid))
        .await
        .map_err(|_| KeyError)??;
    Ok(Keyring::new(key))
}

impl World {
    /// Start all five systems. Their ports are open when this returns.
    pub async fn start(settings: WorldSettings) -> Result<Self, StartError> {
        let host = settings.advertise_host.as_str();
        let listen = settings.listen;
        let (halo_listener, halo) = bind(listen.halo, host).await?;
        let (entra_listener, entra) = bind(listen.entra, host).await?;
        let (openai_listener, openai) = bind(listen.openai, host).await?;
        let (teams_listener, teams) = bind(listen.teams, host).await?;
        let (twilio_listener, twilio) = bind(listen.twilio, host).await?;
        let seed = Seed(settings.seed);
        let (entra_keys, bot_keys) = tokio::try_join!(
            key(Signer::Entra, seed.hex("entra/kid")),
            key(Signer::BotConnector, seed.hex("teams/kid"))
        )?;
        let core = Core::new(CoreParts {
            seed,
            further_people: settings.further_people,
            secrets: settings
                .secrets
                .clone()
                .unwrap_or_else(|| Secrets::derived(settings.seed)),
            urls: Urls {
                halo,
                entra,
                openai,
                teams,
                twilio,
            },
            think: settings.think,
            gateway: Gateway::new(&settings)?,
            tasks: Tasks::default(),
            bot_auto_install: settings.teams_auto_install,
            entra_keys,
            bot_keys,
        });
        let systems = [
            System::Halo,
            System::Entra,
            System::OpenAi,
            System::Teams,
            System::Twilio,
        ];
        let doors = systems.map(|system| (system, Door::new(system, core.journal.clone())));
        let world = Self {
            public_url: settings.public_url,
            halo: HaloSim::new(
                Arc::clone(&core),
                settings.halo_rate_per_5min,
                settings.first_ticket,
            ),
            entra: EntraSim::new(Arc::clone(&core)),
            openai: OpenAiSim::new(Arc::clone(&core)),
            teams: TeamsSim::new(Arc::clone(&core)),
            twilio: TwilioSim::new(Arc::clone(&core)),
            doors: doors.into_iter().collect(),
            core,
        };
        let listeners = [
            halo_listener,
            entra_listener,
            openai_listener,
            teams_listener,
            twilio_listener,
        ];
        for (system, listener) in systems.into_iter().zip(listeners) {
            world.serve(system, listener);
        }
        Ok(world)
    }

    fn serve(&self, system: System, listener: TcpListener) {
        let (router, script, complain): (_, _, fn(_) -> _) = match system {
            System::Halo => (self.halo.router(), control::halo(&self.halo), HaloSim::complain),
            System::Entra => (
                self.entra.router(),
                control::entra(&self.entra),
                EntraSim::complain,
            ),
            System::OpenAi => (
                self.openai.router(),
                control::openai(&self.openai),
                OpenAiSim::complain,
            ),
            System::Teams => (
                self.teams.router(),
                control::teams(&self.teams),
                TeamsSim::complain,
            ),
            System::Twilio => (
                self.twilio.router(),
                control::twilio(&self.twilio),
                TwilioSim::complain,
            ),
        };
        let door = Arc::clone(self.door(system));
        let script = script.merge(control::common(&self.core, &door));
        serve(&self.core, listener, door, router, script, complain);
    }

    fn door(&self, system: System) -> &Arc<Door> {
        self.doors
            .get(&system)
            .expect("every system got a door at the start")
    }

    /// From now on the clock of the help desk, of passes and of texts is so far behind ours, in whole seconds.
    pub fn run_behind(&self, by: Duration) {
        self.core.clock.run_behind(by);
    }

    /// Base addresses of the five systems.
    pub fn urls(&self) -> &Urls {
        &self.core.urls
    }

    /// Every vendor setting of our services, by the names of DESIGN section 8.
    pub fn settings_map(&self) -> BTreeMap<String, String> {
        settings::settings_map(&self.core.urls, &self.core.secrets, &self.public_url)
    }

    /// The settings that make the classifier ask the simulated model instead of the embedded one.
    pub fn openai_settings(&self) -> BTreeMap<String, String> {
        let secrets = &self.core.secrets;
        let pairs = [
            ("OPENAI_BASE_URL", format!("{}v1", self.core.urls.openai)),
            ("OPENAI_API_KEY", secrets.openai_api_key.clone()),
            ("OPENAI_MODEL", secrets.openai_model.clone()),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// An app registration with no more Graph permissions than `service` (classifier, verification, executor) needs; or
    /// `reader`, which may read people and nothing else of them.
    pub fn entra_settings_for(&self, service: &str) -> BTreeMap<String, String> {
        let (id, secret) = self.core.secrets.entra_client_of(service);
        let pairs = [("ENTRA_CLIENT_ID", id), ("ENTRA_CLIENT_SECRET", secret)];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Ids and secrets of the simulated accounts.
    pub fn secrets(&self) -> &Secrets {
        &self.core.secrets
    }

    /// Where webhooks go from now on.
    pub fn set_targets(&self, targets: Targets) {
        self.core.gateway.set_targets(targets);
    }

    /// Whatever vendors push (webhooks, presses of cards, texts and their receipts) comes a second time, or no more.
    pub fn push_twice(&self, on: bool) {
        self.core.gateway.twice(on);
    }

    /// What happened so far, and what will.
    pub fn journal(&self) -> &Journal {
        &self.core.journal
    }

    /// Everybody, as they are now.
    pub fn company(&self) -> Vec<Person> {
        self.core.directory.all()
    }

    /// Somebody by mail address, or by its first part.
    ///
    /// # Panics
    /// Where there is nobody of that name: a mistake in the test.
    pub fn person(&self, email: &str) -> Person {
        let full = format!("{email}@{}", crate::company::DOMAIN);
        let found = self
            .core
            .directory
            .by_email(email)
            .or_else(|| self.core.directory.by_email(&full));
        found.unwrap_or_else(|| panic!("nobody called `{email}` works here"))
    }

    /// The faults of one system.
    pub fn faults(&self, system: System) -> &Faults {
        &self.door(system).faults
    }

    /// What one system was asked, oldest first.
    pub fn requests(&self, system: System) -> Vec<LoggedRequest> {
        self.door(system).requests()
    }

    /// How many requests all systems together were ever sent.
    pub fn calls(&self) -> u64 {
        self.doors.values().map(|door| door.calls()).sum()
    }

    /// An OpenID Connect token as `email` would get it at sign-in, with these app roles.
    ///
    /// # Panics
    /// Where there is nobody of that name.
    pub fn token_for(&self, email: &str, roles: &[&str]) -> String {
        let claims = self.entra.claims(&self.person(email), roles);
        self.entra.sign(&claims)
    }

    /// The help desk.
    pub fn halo(&self) -> &HaloSim {
        &self.halo
    }

    /// The directory and people's phones.
    pub fn entra(&self) -> &EntraSim {
        &self.entra
    }

    /// The model.
    pub fn openai(&self) -> &OpenAiSim {
        &self.openai
    }

    /// Teams.
    pub fn teams(&self) -> &TeamsSim {
        &self.teams
    }

    /// Text messages.
    pub fn twilio(&self) -> &TwilioSim {
        &self.twilio
    }

    /// End everything: open connections break, ports are free, no task is left.
    pub async fn shutdown(self) {
        self.core.tasks.shutdown().await;
    }
}
