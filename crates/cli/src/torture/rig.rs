//! The fleet under torture: private servers that can crash, the services as processes of their own with two replicas of
//! orchestration, and in this process the simulated world.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use common::Service;
use launcher::stage::shipped_playbooks;
use launcher::{
    Database, FleetError, FleetSettings, NO_TRIPWIRES, Ports, Processes, Servers, SettingsMap, keys,
};
use simulators::{Targets, World, WorldSettings};
use tempfile::TempDir;
use trust::TrustedKeys;

use super::clocks::{Clocks, Faker, tidy_after};
use super::trouble::{Backing, Victim};
use crate::terminal;

/// Waits shortened so that what production learns in minutes is learnt within a storm; all in seconds.
const SHORT_WAITS: [(&str, &str); 7] = [
    ("MFA_TIMEOUT_S", "6"),
    ("APPROVAL_TIMEOUT_S", "12"),
    ("APPROVAL_SMS_AFTER_S", "4"),
    // Webhooks that never come are found out by it.
    ("HALOPSA_POLL_INTERVAL_S", "2"),
    ("CIRCUIT_PROBE_S", "1"),
    ("LEASE_S", "3"),
    ("GATE_PATIENCE_S", "30"),
];

/// Services that act on the directory, each with an app registration of its own.
const DIRECTORY_USERS: [Service; 3] = [Service::Classifier, Service::Verification, Service::Executor];

/// How long people take who were not told.
const THINK: Duration = Duration::from_millis(100);

/// All of it. Dropped, it is gone.
pub(super) struct Rig {
    // In the order in which they must go.
    first: Processes,
    /// Of these only orchestration runs: a second replica.
    second: Processes,
    /// The outside.
    pub(super) world: World,
    /// To look into, once all is calm.
    pub(super) database: Database,
    servers: Servers,
    keys: TempDir,
}

impl Rig {
    /// Whose signatures count.
    pub(super) fn trusted(&self) -> anyhow::Result<TrustedKeys> {
        let file = std::fs::read(self.keys.path().join("keys").join("trusted.json"))?;
        Ok(TrustedKeys::from_json(&file)?)
    }

    /// Set it up and wait until every service is ready. Their logs go to `logs`; `faker` puts their clocks wrong.
    pub(super) async fn set(
        seed: u64,
        clocks: &Clocks,
        faker: Option<&Faker>,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let servers = Servers::crashing(&|line| terminal::line(&format!("  {line}"))).await?;
        let database = Database::on(&servers).await?;
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        let keys = directory.path().join("keys");
        keys::init(&keys)?;
        let world = World::start(WorldSettings {
            seed,
            think: THINK,
            ..WorldSettings::default()
        })
        .await?;
        let mut settings = FleetSettings {
            ports: Ports::Any,
            databases: database.urls.clone(),
            redis: servers.redis_url(0),
            keys,
            playbooks: shipped_playbooks(),
            settings: settings(&world),
            overrides: overrides(&world),
        };
        let mut of_second = settings.clone();
        if let Some(faker) = faker {
            put_wrong(clocks, faker, &mut settings, &mut of_second);
        }
        let first = Processes::new(settings, logs.to_owned())?;
        let second = Processes::new(beside(&first, of_second), directory_in(logs, "second")?)?;
        world.set_targets(Targets {
            classifier: Some(first.url(Service::Classifier)),
            verification: Some(first.url(Service::Verification)),
            delivery: Some(first.url(Service::Delivery)),
        });
        let mut rig = Self {
            first,
            second,
            world,
            database,
            servers,
            keys: directory,
        };
        for victim in Self::all() {
            rig.start(victim)?;
        }
        rig.ready().await?;
        Ok(rig)
    }

    /// Every process.
    pub(super) fn all() -> impl Iterator<Item = Victim> {
        Service::ALL
            .into_iter()
            .map(Victim::Service)
            .chain([Victim::SecondOrchestration])
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Service(service) => kill(&mut self.first, service),
            Victim::SecondOrchestration => kill(&mut self.second, Service::Orchestration),
            Victim::EveryOrchestration => {
                kill(&mut self.first, Service::Orchestration);
                kill(&mut self.second, Service::Orchestration);
            }
        }
    }

    /// Start what was killed. It gets ready by itself.
    pub(super) fn start(&mut self, victim: Victim) -> Result<(), FleetError> {
        match victim {
            Victim::Service(service) => self.first.start(service),
            Victim::SecondOrchestration => self.second.start(Service::Orchestration),
            Victim::EveryOrchestration => {
                self.first.start(Service::Orchestration)?;
                self.second.start(Service::Orchestration)
            }
        }
    }

    /// Crash a server.
    pub(super) async fn crash(&mut self, backing: Backing) -> anyhow::Result<()> {
        match backing {
            Backing::Postgres => self.servers.crash_postgres().await?,
            Backing::Redis => self.servers.crash_redis().await?,
        }
        Ok(())
    }

    /// Start a crashed server, and wait until it answers.
    pub(super) async fn restore(&mut self, backing: Backing) -> anyhow::Result<()> {
        match backing {
            Backing::Postgres => self.servers.start_postgres_again().await?,
            Backing::Redis => self.servers.start_redis_again().await?,
        }
        Ok(())
    }

    /// Wait until every process is ready.
    ///
    /// # Errors
    /// One that nobody killed has ended, or one does not become ready.
    pub(super) async fn ready(&mut self) -> Result<(), FleetError> {
        for service in Service::ALL {
            self.first.wait_until_ready(service).await?;
        }
        self.second.wait_until_ready(Service::Orchestration).await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for victim in Self::all() {
            self.kill(victim);
        }
    }
}

fn kill(processes: &mut Processes, service: Service) {
    if let Some(process) = processes.kill(service) {
        tidy_after(process);
    }
}

/// What every service gets.
fn settings(world: &World) -> SettingsMap {
    let mut map = world.settings_map();
    map.extend(NO_TRIPWIRES.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let ours = [
        ("DEFAULT_MODE", "auto"),
        ("HELP_DESK_NAME", "Contoso IT help desk"),
        // A storm asks more often than any help desk would allow; how the limit is kept is tested elsewhere.
        ("HALOPSA_RATE_PER_5MIN", "0"),
    ];
    let all = ours.into_iter().chain(SHORT_WAITS);
    map.extend(all.map(|(name, value)| (name.to_owned(), value.to_owned())));
    map
}

fn overrides(world: &World) -> BTreeMap<Service, SettingsMap> {
    let mut map: BTreeMap<Service, SettingsMap> = DIRECTORY_USERS
        .map(|service| (service, world.entra_settings_for(service.name())))
        .into();
    // So that the model can be away as well; the embedded classifier never is.
    map.entry(Service::Classifier)
        .or_default()
        .extend(world.openai_settings());
    map
}

/// Give each process its clock.
fn put_wrong(clocks: &Clocks, faker: &Faker, first: &mut FleetSettings, second: &mut FleetSettings) {
    for (process, skew) in clocks.all() {
        let (replicas, service) = match process {
            Victim::Service(service) => (&mut *first, *service),
            Victim::SecondOrchestration | Victim::EveryOrchestration => {
                (&mut *second, Service::Orchestration)
            }
        };
        let environment = faker.environment(*skew);
        replicas.overrides.entry(service).or_default().extend(environment);
    }
}

/// Settings of a second replica: its peers are those of the first.
fn beside(first: &Processes, mut settings: FleetSettings) -> FleetSettings {
    let peers = Service::ALL.map(|peer| {
        let name = format!("{}_URL", peer.name().to_uppercase());
        (name, first.url(peer).to_string())
    });
    settings
        .overrides
        .entry(Service::Orchestration)
        .or_default()
        .extend(peers);
    settings
}

fn directory_in(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = parent.join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}
