//! Where the whole way of a ticket is gone: the six services in a world in which everybody answers at once, and people who
//! write tickets.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::Service;
use launcher::stage::{self, STATUS_FIELD, shipped_playbooks};
use launcher::{NO_TRIPWIRES, Processes, SettingsMap};
use simulators::halo::NewTicket;
use simulators::{Event, Targets, World, WorldSettings};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::ends::{Awaited, Ends};
use super::ground::Ground;

/// What they write.
const WORDS: &str = "I forgot my password";
/// The journal is followed for longer than any measurement takes.
pub(super) const LONG: Duration = Duration::from_hours(24);

/// A fleet in a world. Dropped, it is gone.
pub(super) struct House {
    // In the order in which they must go.
    pub(super) processes: Processes,
    pub(super) street: Street,
    following: AbortHandle,
    pub(super) ground: Ground,
}

impl Drop for House {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl House {
    /// As a company with so many `people` finds it that changed nothing.
    pub(super) async fn new(people: u32) -> anyhow::Result<Self> {
        let ground = Ground::new().await?;
        Self::on(ground, people, shipped_playbooks(), SettingsMap::new()).await
    }

    /// With `playbooks` and `settings` of its own.
    pub(super) async fn on(
        ground: Ground,
        people: u32,
        playbooks: PathBuf,
        further: SettingsMap,
    ) -> anyhow::Result<Self> {
        let world = WorldSettings {
            think: Duration::ZERO,
            further_people: people,
            ..WorldSettings::default()
        };
        let world = Arc::new(World::start(world).await?);
        world.twilio().pace(Duration::ZERO);
        let mut settings: SettingsMap = stage::settings_in(&world);
        // The simulated help desk has no limit, and one of ours would measure that.
        settings.insert("HALOPSA_RATE_PER_5MIN".into(), "0".into());
        settings.extend(NO_TRIPWIRES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        settings.extend(further);
        let mut processes = ground.processes(settings, stage::overrides_in(&world), playbooks)?;
        for service in Service::ALL {
            processes.start(service)?;
        }
        for service in Service::ALL {
            processes.wait_until_ready(service).await?;
        }
        world.set_targets(Targets {
            classifier: Some(processes.url(Service::Classifier)),
            verification: Some(processes.url(Service::Verification)),
            delivery: Some(processes.url(Service::Delivery)),
        });
        let street = Street::of(world);
        Ok(Self {
            following: street.follow(),
            street,
            processes,
            ground,
        })
    }
}

/// People who write tickets, and how they learn what became of them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Street {
    pub(super) world: Arc<World>,
    ends: Ends,
    /// Those without an open ticket.
    idle: Arc<Mutex<VecDeque<String>>>,
}

impl Street {
    fn of(world: Arc<World>) -> Self {
        let street = Self {
            world,
            ends: Ends::default(),
            idle: Arc::default(),
        };
        street.are_done(street.writers().map(|(_, email)| email));
        street
    }

    /// Everybody who ever writes: object id and mail address.
    pub(super) fn writers(&self) -> impl Iterator<Item = (Uuid, String)> {
        let people = self.world.company().into_iter();
        people
            .map(|person| (person.id, person.email))
            .filter(|(_, email)| email.starts_with("employee"))
    }

    /// A ticket ends when the help desk is told that it has: the custom field is the last thing that is written.
    fn follow(&self) -> AbortHandle {
        let (journal, ends) = (self.world.journal().clone(), self.ends.clone());
        let following = tokio::spawn(async move {
            let told = |event: &Event| {
                if let Event::CustomFieldChanged { ticket, field, value } = event
                    && field == STATUS_FIELD
                    && matches!(value.as_str(), "resolved" | "escalated" | "manual")
                {
                    ends.tell(&ticket.to_string(), value == "resolved");
                }
                false
            };
            // It never sees what it waits for; it sees everything.
            let _ = journal.wait_for(LONG, told).await;
        });
        following.abort_handle()
    }

    /// Somebody without an open ticket, until they [`Street::are_done`].
    pub(super) fn somebody(&self) -> anyhow::Result<String> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let somebody = idle.pop_front();
        somebody.ok_or_else(|| {
            anyhow::anyhow!("everybody has an open ticket: the rate is beyond what the fleet does")
        })
    }

    /// These have no open ticket any more.
    pub(super) fn are_done(&self, people: impl IntoIterator<Item = String>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(people);
    }

    /// Somebody writes.
    pub(super) fn write(&self, email: &str) -> Awaited {
        let ticket = self.world.halo().file_ticket(NewTicket::new(email, WORDS));
        Awaited {
            name: format!("ticket {ticket}"),
            end: self.ends.of(&ticket.to_string()),
        }
    }

    /// One ticket, from the webhook to its end.
    pub(super) async fn ticket(&self) -> anyhow::Result<Instant> {
        let email = self.somebody()?;
        let ended = self.write(&email).resolved().await;
        self.are_done([email]);
        ended
    }
}
