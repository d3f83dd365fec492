//! What the engine is measured on: private servers, orchestration and the playbook service as processes of their own, and
//! in this process whatever they talk to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::client::{OrchestrationClient, Peer, PeerError, http_client};
use common::{
    DecisionId, Digest, ExecutePlaybook, PlaybookRef, Service, Subject, TenantId, TicketSnapshot, UserId,
    Values,
};
use launcher::{NO_TRIPWIRES, Processes, SettingsMap};
use simulators::halo::{NewTicket, WebhookMode};
use simulators::{World, WorldSettings};
use uuid::Uuid;

use super::caller::Caller;
use super::ends::{Awaited, Ends, GIVEN_UP_AFTER};
use super::ground::Ground;
use super::steps::{NAME, Steps};

/// What the step service offers.
const ACTIONS: &str = include_str!("actions.yml");
const THREE: &str = include_str!("three.yml");
const APPROVAL: &str = include_str!("approval.yml");

/// When a busy orchestration is asked again that did not say when.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A playbook to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Three steps, answered at once.
    Three,
    /// A manager is asked, who takes their time.
    Approval,
}

impl Work {
    const ALL: [Self; 2] = [Self::Three, Self::Approval];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Three => "bench_three",
            Self::Approval => "bench_approval",
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::Three => THREE,
            Self::Approval => APPROVAL,
        }
    }

    fn reference(self) -> PlaybookRef {
        PlaybookRef {
            name: self.name().parse().expect("a literal"),
            version: "1.0".parse().expect("a literal"),
            digest: Digest::of(self.source()),
        }
    }
}

/// All of it. Dropped, it is gone.
pub(super) struct Rig {
    // In the order in which they must go.
    pub(super) processes: Processes,
    pub(super) client: Client,
    /// Verification's hand.
    pub(super) verification: OrchestrationClient,
    pub(super) steps: Steps,
    pub(super) ground: Ground,
}

impl Rig {
    /// Set it up.
    pub(super) async fn new() -> anyhow::Result<Self> {
        let ground = Ground::new().await?;
        let (steps, step_service) = Steps::start(&ground.keys()).await?;
        let world = Arc::new(World::start(WorldSettings::default()).await?);
        // Nobody is to be told of new tickets: executions are begun here.
        world.halo().webhooks(WebhookMode {
            silent: true,
            ..WebhookMode::default()
        });
        let playbooks = write_playbooks(ground.directory())?;
        let settings = settings(
            &world,
            step_service.as_str(),
            &ground.directory().join("actions.yml"),
        );
        let mut processes = ground.processes(settings, overrides(step_service.as_str()), playbooks)?;
        processes.start(Service::Playbook)?;
        processes.wait_until_ready(Service::Playbook).await?;
        let ends = Ends::default();
        let orchestration = |caller: Service| {
            let http = http_client(GIVEN_UP_AFTER)?;
            let caller = Arc::new(Caller::new(caller, &ground.keys())?);
            let url = processes.url(Service::Orchestration);
            let peer = Peer::new(Service::Orchestration.name(), url, http, caller);
            anyhow::Ok(OrchestrationClient(peer))
        };
        let client = Client {
            orchestration: orchestration(Service::Classifier)?,
            ends,
            world,
        };
        let verification = orchestration(Service::Verification)?;
        let mut rig = Self {
            processes,
            client,
            verification,
            steps,
            ground,
        };
        rig.start_orchestration()?;
        rig.processes.wait_until_ready(Service::Orchestration).await?;
        Ok(rig)
    }

    /// Start orchestration, which is not ready yet.
    pub(super) fn start_orchestration(&mut self) -> anyhow::Result<()> {
        let log = self.processes.start_listening(Service::Orchestration)?;
        self.client
            .ends
            .follow(log, &self.ground.directory().join("orchestration.log"))?;
        Ok(())
    }
}

/// Begins executions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    orchestration: OrchestrationClient,
    ends: Ends,
    world: Arc<World>,
}

impl Client {
    /// A fresh ticket in the help desk, and what its playbook is asked for with.
    pub(super) fn ticket(&self, work: Work) -> ExecutePlaybook {
        let person = "adele@contoso.example";
        let ticket = self.world.halo().file_ticket(NewTicket::new(person, "Measured"));
        let tenant: TenantId = "default".parse().expect("a literal");
        ExecutePlaybook {
            tenant_id: tenant.clone(),
            ticket_id: ticket.to_string().parse().expect("a number is a ticket id"),
            decision_id: DecisionId::fresh(),
            playbook: work.reference(),
            subject: Subject {
                tenant_id: tenant,
                user_id: subject(),
            },
            requester_name: "Adele Vance".to_owned(),
            requester_mail: Some(person.to_owned()),
            manager: None,
            ticket: TicketSnapshot {
                summary: "Measured".to_owned(),
                ..TicketSnapshot::default()
            },
            inputs: Values::new(),
        }
    }

    /// Have it executed; asked again where orchestration is busy.
    pub(super) async fn begin(&self, asked: &ExecutePlaybook) -> anyhow::Result<Awaited> {
        let end = self.ends.of(asked.ticket_id.as_str());
        let deadline = Instant::now() + GIVEN_UP_AFTER;
        loop {
            match self.orchestration.execute(asked).await {
                Ok(accepted) => {
                    return Ok(Awaited {
                        name: format!("execution {}", accepted.execution_id),
                        end,
                    });
                }
                Err(PeerError::Busy { retry_after, .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(retry_after.unwrap_or(ASK_AGAIN)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// From the request to the end.
    pub(super) async fn execute(&self, work: Work) -> anyhow::Result<Instant> {
        self.begin(&self.ticket(work)).await?.resolved().await
    }
}

/// Some person of the directory, in which nobody looks.
pub(super) const SUBJECT: Uuid = Uuid::from_u128(0x1111_1111_2222_4333_8444_5555_5555_5555);

fn subject() -> UserId {
    SUBJECT.to_string().parse().expect("a UUID is an object id")
}

fn write_playbooks(directory: &Path) -> anyhow::Result<PathBuf> {
    let playbooks = directory.join("playbooks");
    std::fs::create_dir(&playbooks)?;
    for work in Work::ALL {
        std::fs::write(playbooks.join(format!("{}.yml", work.name())), work.source())?;
    }
    std::fs::write(directory.join("actions.yml"), ACTIONS)?;
    Ok(playbooks)
}

fn settings(world: &World, step_service: &str, actions: &Path) -> SettingsMap {
    let mut settings = world.settings_map();
    let ours = [
        ("STEP_SERVICES", format!("{NAME}={step_service}")),
        ("STEP_ACTIONS_FILE", actions.display().to_string()),
        // The simulated help desk has no limit, and one of ours would measure that.
        ("HALOPSA_RATE_PER_5MIN", "0".to_owned()),
        ("DEFAULT_MODE", "auto".to_owned()),
        // Nobody answers before all are asked.
        ("APPROVAL_TIMEOUT_S", "3600".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    settings.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    settings.extend(NO_TRIPWIRES.map(|(name, value)| (name.to_owned(), value.to_owned())));
    settings
}

/// Steps go to the step service, whoever would perform them in a fleet.
fn overrides(step_service: &str) -> BTreeMap<Service, SettingsMap> {
    let performers = [Service::Verification, Service::Executor, Service::Delivery];
    let theirs = performers.map(|service| {
        (
            format!("{}_URL", service.name().to_uppercase()),
            step_service.to_owned(),
        )
    });
    [(Service::Orchestration, theirs.into())].into()
}
