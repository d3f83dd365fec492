//! The whole way of a ticket, from the help desk's webhook to the last write-back, through all six services and a world in
//! which everybody answers at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::Service;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use launcher::stage::{self, STATUS_FIELD, shipped_playbooks};
use launcher::{NO_TRIPWIRES, Processes, SettingsMap};
use simulators::halo::NewTicket;
use simulators::{Event, Targets, World, WorldSettings};
use tokio::task::AbortHandle;

use super::ends::{Ends, GIVEN_UP_AFTER, resolved};
use super::figures::{Load, Pace, Recovery, Ticket, count};
use super::ground::Ground;
use super::load::{self, Clock};
use super::{AT_ONCE, MIDDLE, SETTLING, WARM_UP, half_of, say, wanted};
use crate::arguments::{Bench, Part};

/// People who write: more than have an open ticket at the same time, so that nobody has two.
const PEOPLE: u32 = 1100;
/// In flight when orchestration is killed.
const IN_FLIGHT: usize = 1000;
/// What they write.
const WORDS: &str = "I forgot my password";
/// The journal is followed for longer than any measurement takes.
const LONG: Duration = Duration::from_hours(24);

/// Measure what is wanted of it.
pub(super) async fn measure(command: &Bench) -> anyhow::Result<Ticket> {
    say("ticket: setting up a private Postgres, Redis, the six services and a simulated world ...");
    let mut house = House::new().await?;
    let window = Duration::from_secs(command.seconds);
    say("ticket: settling in ...");
    closed(&house, MIDDLE, SETTLING).await?;
    house.ground.analyse().await?;
    let mut ticket = Ticket::default();
    if wanted(command, Part::Closed) {
        for at_once in AT_ONCE {
            say(&format!("ticket: {at_once} at a time ..."));
            ticket.closed.push(closed(&house, at_once, window).await?);
        }
    }
    if wanted(command, Part::Open) {
        let rate = match (command.rate, half_of(&ticket.closed)) {
            (Some(rate), _) => f64::from(rate),
            (None, Some(half)) => half,
            (None, None) => closed(&house, MIDDLE, window).await?.per_second / 2.0,
        };
        say(&format!("ticket: {rate:.0} a second ..."));
        ticket.open = Some(open(&house, rate.max(1.0), window).await?);
    }
    if wanted(command, Part::Recovery) {
        say(&format!(
            "ticket: orchestration is killed with {IN_FLIGHT} in flight ..."
        ));
        ticket.recovery = Some(recovery(&mut house).await?);
    }
    Ok(ticket)
}

/// A fleet in a world. Dropped, it is gone.
struct House {
    // In the order in which they must go.
    processes: Processes,
    street: Street,
    following: AbortHandle,
    ground: Ground,
}

impl Drop for House {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl House {
    async fn new() -> anyhow::Result<Self> {
        let ground = Ground::new().await?;
        let world = WorldSettings {
            think: Duration::ZERO,
            further_people: PEOPLE,
            ..WorldSettings::default()
        };
        let world = Arc::new(World::start(world).await?);
        world.twilio().pace(Duration::ZERO);
        let mut settings: SettingsMap = stage::settings_in(&world);
        // The simulated help desk has no limit, and one of ours would measure that.
        settings.insert("HALOPSA_RATE_PER_5MIN".into(), "0".into());
        settings.extend(NO_TRIPWIRES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut processes = ground.processes(settings, stage::overrides_in(&world), shipped_playbooks())?;
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
struct Street {
    world: Arc<World>,
    ends: Ends,
    /// Those without an open ticket.
    idle: Arc<Mutex<VecDeque<String>>>,
}

impl Street {
    fn of(world: Arc<World>) -> Self {
        let people = world.company().into_iter().map(|person| person.email);
        let idle: VecDeque<String> = people.filter(|email| email.starts_with("employee")).collect();
        Self {
            world,
            ends: Ends::default(),
            idle: Arc::new(Mutex::new(idle)),
        }
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

    fn somebody(&self) -> anyhow::Result<String> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let somebody = idle.pop_front();
        somebody.ok_or_else(|| {
            anyhow::anyhow!("everybody has an open ticket: the rate is beyond what the fleet does")
        })
    }

    /// Somebody writes; the end of their ticket.
    async fn write(&self, email: &str) -> anyhow::Result<Instant> {
        let ticket = self.world.halo().file_ticket(NewTicket::new(email, WORDS));
        resolved(self.ends.of(&ticket.to_string())).await
    }

    /// One ticket, from the webhook to its end.
    async fn ticket(&self) -> anyhow::Result<Instant> {
        let email = self.somebody()?;
        let ended = self.write(&email).await;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(email);
        ended
    }
}

async fn closed(house: &House, at_once: u32, window: Duration) -> anyhow::Result<Load> {
    let street = house.street.clone();
    let one = move || {
        let street = street.clone();
        async move { street.ticket().await }
    };
    let loaded = || load::closed(at_once, Clock::new(WARM_UP, window, at_once), one);
    house
        .ground
        .measured(&house.processes, Pace::AtOnce(at_once), at_once, loaded)
        .await
}

async fn open(house: &House, per_second: f64, window: Duration) -> anyhow::Result<Load> {
    let one = || {
        let street = house.street.clone();
        async move { street.ticket().await }
    };
    let loaded = || load::open(per_second, window, one);
    house
        .ground
        .measured(&house.processes, Pace::PerSecond(per_second), MIDDLE, loaded)
        .await
}

/// 1,000 people write at once; orchestration is killed when a tenth of them has a pass.
async fn recovery(house: &mut House) -> anyhow::Result<Recovery> {
    let street = house.street.clone();
    let writers: Vec<String> = (0..IN_FLIGHT)
        .map(|_| street.somebody())
        .collect::<Result<_, _>>()?;
    let passes = |email: &String| street.world.entra().passes_created(email);
    let before: Vec<usize> = writers.iter().map(passes).collect();
    let position = street.world.journal().position();
    let mut tickets: FuturesUnordered<_> = writers
        .iter()
        .map(|email| {
            let (street, email) = (street.clone(), email.clone());
            tokio::spawn(async move { street.write(&email).await })
        })
        .collect();
    let mut made = 0;
    let a_tenth = |event: &Event| {
        made += usize::from(matches!(event, Event::PassCreated { .. }));
        made > IN_FLIGHT / 10
    };
    street
        .world
        .journal()
        .wait_from(position, GIVEN_UP_AFTER, a_tenth)
        .await?;
    house.processes.kill(Service::Orchestration);
    let began = Instant::now();
    house.processes.start(Service::Orchestration)?;
    let mut lost = 0;
    while let Some(ended) = tickets.next().await {
        if !matches!(ended, Ok(Ok(_))) {
            lost += 1;
        }
    }
    let finished_in = began.elapsed();
    house.ground.written_back().await?;
    let repeated = writers
        .iter()
        .zip(before)
        .filter(|(email, before)| passes(email) > before + 1);
    let repeated = count(repeated.count());
    let mut idle = street.idle.lock().unwrap_or_else(PoisonError::into_inner);
    idle.extend(writers.iter().cloned());
    Ok(Recovery {
        in_flight: count(IN_FLIGHT),
        finished_in_s: finished_in.as_secs_f64(),
        lost,
        repeated,
    })
}
