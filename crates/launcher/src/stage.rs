//! What a demonstration and a fleet test have in common: the simulated world with a fleet in the middle of it, and
//! waiting until a ticket has ended, told and all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{AutomationStatus, Service};
use simulators::halo::TicketView;
use simulators::{StartError, Targets, World, WorldSettings};
use sqlx::PgPool;
use url::Url;

use crate::fleet::{Fleet, FleetError, FleetSettings, Ports, SettingsMap};

/// The custom field that says where a ticket stands, as `WorldSettings` and the services' defaults name it.
pub const STATUS_FIELD: &str = "CFautomation_status";

/// Between two looks at a ticket that has not ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Services that act on the directory, each with an app registration of its own.
const DIRECTORY_USERS: [Service; 3] = [Service::Classifier, Service::Verification, Service::Executor];

/// A world and the fleet that serves it.
pub struct Stage {
    /// The six services. Declared first, so that they end before what they talk to.
    pub fleet: Fleet,
    /// The outside.
    pub world: World,
}

/// What a stage is set up with.
pub struct StageSettings {
    /// The outside world.
    pub world: WorldSettings,
    /// Where the services listen.
    pub ports: Ports,
    /// Each service's `DATABASE_URL`.
    pub databases: BTreeMap<Service, Url>,
    /// `REDIS_URL`.
    pub redis: Url,
    /// A directory made by [`crate::keys::init`].
    pub keys: PathBuf,
    /// The library of playbooks.
    pub playbooks: PathBuf,
    /// For all services, beyond what world and stage say themselves.
    pub settings: SettingsMap,
    /// For one service, before all others.
    pub overrides: BTreeMap<Service, SettingsMap>,
}

/// Why the stage does not stand.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The world.
    #[error("the simulated world did not start")]
    World(#[from] StartError),
    /// The fleet.
    #[error("the fleet did not start")]
    Fleet(#[from] FleetError),
}

impl Stage {
    /// Start the world, then the fleet, and make them known to each other.
    pub async fn set(settings: StageSettings) -> Result<Self, StageError> {
        let world = World::start(settings.world).await?;
        let mut all = settings_in(&world);
        all.extend(settings.settings);
        let mut overrides = overrides_in(&world);
        for (service, theirs) in settings.overrides {
            overrides.entry(service).or_default().extend(theirs);
        }
        let fleet = Fleet::start(FleetSettings {
            ports: settings.ports,
            databases: settings.databases,
            redis: settings.redis,
            keys: settings.keys,
            playbooks: settings.playbooks,
            settings: all,
            overrides,
        })
        .await?;
        world.set_targets(Targets {
            classifier: Some(fleet.url(Service::Classifier)),
            verification: Some(fleet.url(Service::Verification)),
            delivery: Some(fleet.url(Service::Delivery)),
        });
        Ok(Self { fleet, world })
    }

    /// End fleet and world in good order.
    pub async fn strike(self) -> Result<(), FleetError> {
        let ended = self.fleet.shutdown().await;
        self.world.shutdown().await;
        ended
    }
}

/// What every service of a fleet in `world` is told.
pub fn settings_in(world: &World) -> SettingsMap {
    let mut all = world.settings_map();
    // Automation from the first ticket on: nobody's real tickets are at stake here.
    all.insert("DEFAULT_MODE".into(), "auto".into());
    // What an SMS begins with: the simulated company's name for its help desk.
    all.insert("HELP_DESK_NAME".into(), "Contoso IT help desk".into());
    all
}

/// What single services of it are told: app registrations of their own.
pub fn overrides_in(world: &World) -> BTreeMap<Service, SettingsMap> {
    DIRECTORY_USERS
        .into_iter()
        .map(|service| (service, world.entra_settings_for(service.name())))
        .collect()
}

/// The ticket did not end in time.
#[derive(Debug, thiserror::Error)]
#[error("ticket {ticket} did not end within {within:?}; last seen: {last_seen}")]
pub struct NotEnded {
    ticket: i64,
    within: Duration,
    last_seen: String,
}

/// Wait until `ticket` is manual, resolved or escalated and the help desk has been told everything about it. Answers
/// it as the help desk has it then. `owner` looks into the outbox.
pub async fn ended(
    world: &World,
    owner: &PgPool,
    ticket: i64,
    within: Duration,
) -> Result<TicketView, NotEnded> {
    let deadline = Instant::now() + within;
    loop {
        let seen = world.halo().ticket(ticket);
        let untold = untold(owner, ticket).await;
        if let Some(seen) = &seen
            && has_ended(seen)
            && matches!(untold, Ok(0))
        {
            return Ok(seen.clone());
        }
        if Instant::now() > deadline {
            let last_seen = format!("{seen:?}, updates not yet told: {untold:?}");
            return Err(NotEnded {
                ticket,
                within,
                last_seen,
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether its custom field says that nothing more will happen by itself.
pub fn has_ended(ticket: &TicketView) -> bool {
    let ends = [
        AutomationStatus::Manual,
        AutomationStatus::Resolved,
        AutomationStatus::Escalated,
    ];
    ticket
        .custom_fields
        .get(STATUS_FIELD)
        .is_some_and(|value| ends.iter().any(|end| end.as_str() == value))
}

async fn untold(owner: &PgPool, ticket: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM ticket_updates WHERE ticket_id = $1 AND settled IS NULL")
        .bind(ticket.to_string())
        .fetch_one(owner)
        .await
}

/// The playbooks that come with Firstline: those of the working directory, else those this program was built from.
pub fn shipped_playbooks() -> PathBuf {
    let here = Path::new("playbooks");
    if here.is_dir() {
        return here.to_owned();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks")
}
