//! The fleet under torture: private servers that can crash, two replicas of each service as processes of their own behind
//! one address, and in this process the simulated world.

use std::collections::BTreeMap;
use std::net::SocketAddr;
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
use url::Url;

use super::clocks::{Clocks, Faker, tidy_after};
use super::doors::{Doors, OpenDoors};
use super::trouble::{Backing, Replica, Victim};
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
    replicas: BTreeMap<Replica, Processes>,
    /// What was wrong with processes that were asked to stop.
    stops: Vec<String>,
    /// The outside.
    pub(super) world: World,
    /// To look into, once all is calm.
    pub(super) database: Database,
    servers: Servers,
    keys: TempDir,
    _doors: OpenDoors,
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
        world.run_behind(clocks.vendors());
        let doors = Doors::new().await?;
        let urls = doors.urls()?;
        let settings = FleetSettings {
            ports: Ports::Any,
            databases: database.urls.clone(),
            redis: servers.redis_url(0),
            keys,
            playbooks: shipped_playbooks(),
            settings: settings(&world),
            overrides: overrides(&world, &urls),
        };
        let mut replicas = BTreeMap::new();
        for replica in Replica::BOTH {
            let mut settings = settings.clone();
            if let Some(faker) = faker {
                put_wrong(clocks, faker, replica, &mut settings);
            }
            let logs = directory_in(logs, &format!("{replica:?}").to_lowercase())?;
            replicas.insert(replica, Processes::new(settings, logs)?);
        }
        world.set_targets(Targets {
            classifier: urls.get(&Service::Classifier).cloned(),
            verification: urls.get(&Service::Verification).cloned(),
            delivery: urls.get(&Service::Delivery).cloned(),
        });
        let behind = |service| replicas.values().map(|one| address(one, service)).collect();
        let doors = doors.open(behind)?;
        let mut rig = Self {
            replicas,
            stops: vec![],
            world,
            database,
            servers,
            keys: directory,
            _doors: doors,
        };
        for victim in Self::all() {
            rig.start(victim)?;
        }
        rig.ready().await?;
        Ok(rig)
    }

    /// Every process.
    pub(super) fn all() -> impl Iterator<Item = Victim> {
        let of = |replica| Service::ALL.map(|service| Victim::One(replica, service));
        Replica::BOTH.into_iter().flat_map(of)
    }

    /// What was wrong with processes that were asked to stop, so far.
    pub(super) fn stops(&self) -> &[String] {
        &self.stops
    }

    fn processes_of(&mut self, victim: Victim) -> impl Iterator<Item = &mut Processes> {
        let replicas = self.replicas.iter_mut();
        replicas
            .filter(move |(replica, _)| victim.replicas().any(|one| one == **replica))
            .map(|(_, processes)| processes)
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, victim: Victim) {
        for processes in self.processes_of(victim) {
            if let Some(process) = processes.kill(victim.service()) {
                tidy_after(process);
            }
        }
    }

    /// Ask for an end in good order.
    pub(super) fn ask_to_stop(&mut self, victim: Victim) {
        for processes in self.processes_of(victim) {
            processes.ask_to_stop(victim.service());
        }
    }

    /// Wait until it has come; what is wrong with it is kept.
    pub(super) async fn stopped(&mut self, victim: Victim) {
        let mut wrong = Vec::new();
        for processes in self.processes_of(victim) {
            match processes.stopped(victim.service()).await {
                Ok(process) => process.into_iter().for_each(tidy_after),
                Err(error) => wrong.push(format!("{victim}, asked to stop: {error}")),
            }
        }
        self.stops.extend(wrong);
    }

    /// Start what has ended. It gets ready by itself.
    pub(super) fn start(&mut self, victim: Victim) -> Result<(), FleetError> {
        self.processes_of(victim)
            .try_for_each(|processes| processes.start(victim.service()))
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
        for processes in self.replicas.values_mut() {
            for service in Service::ALL {
                processes.wait_until_ready(service).await?;
            }
        }
        Ok(())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for victim in Self::all() {
            self.kill(victim);
        }
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

/// What single services get: their registrations, and the doors of their peers.
fn overrides(world: &World, doors: &BTreeMap<Service, Url>) -> BTreeMap<Service, SettingsMap> {
    let mut map: BTreeMap<Service, SettingsMap> = DIRECTORY_USERS
        .map(|service| (service, world.entra_settings_for(service.name())))
        .into();
    // So that the model can be away as well; the embedded classifier never is.
    map.entry(Service::Classifier)
        .or_default()
        .extend(world.openai_settings());
    for service in Service::ALL {
        let peers = doors
            .iter()
            .map(|(peer, door)| (format!("{}_URL", peer.name().to_uppercase()), door.to_string()));
        map.entry(service).or_default().extend(peers);
    }
    map
}

/// Give each process its clock.
fn put_wrong(clocks: &Clocks, faker: &Faker, replica: Replica, settings: &mut FleetSettings) {
    for (of, service, skew) in clocks.all() {
        if *of == replica {
            let environment = faker.environment(*skew);
            settings
                .overrides
                .entry(*service)
                .or_default()
                .extend(environment);
        }
    }
}

fn address(processes: &Processes, service: Service) -> anyhow::Result<SocketAddr> {
    let addresses = processes.url(service).socket_addrs(|| None)?;
    addresses.first().copied().context("a service has an address")
}

fn directory_in(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = parent.join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}
