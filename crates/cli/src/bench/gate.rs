//! The gate alone: from the moment when the help desk files a ticket to the committed decision on it. The classifier is the
//! real process with the embedded classifier; the playbook service and orchestration answer it as ever, and as every
//! playbook is in shadow mode, nothing else comes of a decision.

use std::path::Path;
use std::process::ChildStderr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use classifier::embedded::{Embedded, corpus};
use common::Service;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use launcher::stage::{self, shipped_playbooks};
use launcher::{NO_TRIPWIRES, Processes, SettingsMap};
use simulators::halo::NewTicket;
use simulators::{Targets, World, WorldSettings};
use tokio::sync::watch;

use super::ends::{self, Ends, GIVEN_UP_AFTER, resolved};
use super::figures::{Burst, Gate, Latency, Load, Memory, count};
use super::ground::{Ground, mib};
use super::hearing::{self, Heard};
use super::verdict::LEAST_DECISIONS;
use super::{MIDDLE, SETTLING, letters, say, usage, wanted};
use crate::arguments::{Bench, Part};

/// So many at a time, one after the other.
const AT_ONCE: [u32; 3] = [1, MIDDLE, 100];
/// That come at once.
const BURST: usize = 1000;
/// People who write.
const PEOPLE: u32 = 1100;
/// Of which the gate is made. Verification, executor and delivery have no part in a decision.
const SERVICES: [Service; 3] = [Service::Playbook, Service::Orchestration, Service::Classifier];

/// Measure what is wanted of it.
pub(super) async fn measure(command: &Bench) -> anyhow::Result<Gate> {
    say(
        "gate: setting up a private Postgres, Redis, the classifier with what it asks, and a simulated world ...",
    );
    let house = House::new().await?;
    let window = Duration::from_secs(command.seconds);
    let mut gate = Gate {
        model_loaded_in_s: house.model_loaded_in_s().await?,
        memory: Memory {
            started_mib: house.memory(usage::memory),
            ..Memory::default()
        },
        closed: vec![],
        open: None,
        burst: None,
    };
    say("gate: settling in ...");
    closed(&house, MIDDLE, SETTLING).await?;
    house.ground.analyse().await?;
    if wanted(command, Part::Closed) {
        for at_once in AT_ONCE {
            say(&format!("gate: {at_once} at a time ..."));
            gate.closed.push(closed(&house, at_once, window).await?);
        }
    }
    if wanted(command, Part::Open) {
        let rate = command.rate.map_or(LEAST_DECISIONS, f64::from);
        say(&format!("gate: {rate:.0} a second ..."));
        gate.open = Some(open(&house, rate, window).await?);
    }
    if wanted(command, Part::Burst) {
        say(&format!("gate: {BURST} at once ..."));
        gate.burst = Some(burst(&house).await?);
    }
    gate.memory.loaded_mib = house.memory(usage::memory);
    gate.memory.most_mib = house.memory(usage::most_memory);
    Ok(gate)
}

/// The gate in a world. Dropped, it is gone.
struct House {
    // In the order in which they must go.
    processes: Processes,
    street: Street,
    loaded: watch::Receiver<Option<f64>>,
    ground: Ground,
}

impl House {
    async fn new() -> anyhow::Result<Self> {
        let street = Street::new().await?;
        let ground = Ground::new().await?;
        let overrides = stage::overrides_in(&street.world);
        let mut processes = ground.processes(settings(&street.world), overrides, shipped_playbooks())?;
        for service in [Service::Playbook, Service::Orchestration] {
            processes.start(service)?;
        }
        let log = processes.start_listening(Service::Classifier)?;
        let loaded = street.listen(log, &ground.directory().join("classifier.log"))?;
        for service in SERVICES {
            processes.wait_until_ready(service).await?;
        }
        street.world.set_targets(Targets {
            classifier: Some(processes.url(Service::Classifier)),
            ..Targets::default()
        });
        Ok(Self {
            processes,
            street,
            loaded,
            ground,
        })
    }

    /// How long the classifier took to load the model, once it has.
    async fn model_loaded_in_s(&self) -> anyhow::Result<f64> {
        let mut loaded = self.loaded.clone();
        let known = loaded.wait_for(Option::is_some);
        let known = tokio::time::timeout(GIVEN_UP_AFTER, known).await;
        let known = known.context("the classifier never said that its model is loaded")?;
        known?.context("the classifier ended before its model was loaded")
    }

    /// Of the classifier.
    fn memory(&self, of: impl Fn(u32) -> u64) -> f64 {
        mib(self.processes.id(Service::Classifier).map_or(0, of))
    }
}

fn settings(world: &World) -> SettingsMap {
    let mut settings: SettingsMap = stage::settings_in(world);
    let ours = [
        // The simulated help desk has no limit, and one of ours would measure that.
        ("HALOPSA_RATE_PER_5MIN", "0"),
        ("DEFAULT_MODE", "shadow"),
        ("LOG_FORMAT", "json"),
    ];
    settings.extend(
        ours.into_iter()
            .chain(NO_TRIPWIRES)
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    settings
}

/// People who write tickets of many kinds, and how they learn that one is decided. Cheap to clone.
#[derive(Clone)]
struct Street {
    world: Arc<World>,
    decided: Ends,
    people: Arc<[String]>,
    letters: Arc<[(String, String)]>,
    written: Arc<AtomicUsize>,
}

impl Street {
    async fn new() -> anyhow::Result<Self> {
        let world = WorldSettings {
            further_people: PEOPLE,
            ..WorldSettings::default()
        };
        let world = Arc::new(World::start(world).await?);
        let people = world.company().into_iter().map(|person| person.email);
        let people = people.filter(|email| email.starts_with("employee")).collect();
        let letters = letters::letters(&corpus::held_out_as_written()?, leaves_doubt);
        anyhow::ensure!(
            !letters.is_empty(),
            "the head is in doubt about no text, or about all of them"
        );
        Ok(Self {
            world,
            decided: Ends::default(),
            people,
            letters: letters.into(),
            written: Arc::default(),
        })
    }

    /// Hear from the classifier's log of each decision, and how long its model took to load.
    fn listen(&self, log: ChildStderr, file: &Path) -> std::io::Result<watch::Receiver<Option<f64>>> {
        let (loaded, hears_loaded) = watch::channel(None);
        let decided = self.decided.clone();
        ends::follow(log, file, move |line| {
            let heard = hearing::heard(line);
            match &heard {
                Some(Heard::Decided(ticket)) => decided.tell(ticket, true),
                Some(Heard::Loaded(seconds)) => drop(loaded.send_replace(Some(*seconds))),
                None => {}
            }
            heard.is_some()
        })?;
        Ok(hears_loaded)
    }

    /// The next one writes: the ticket's number.
    fn write(&self) -> anyhow::Result<String> {
        let turn = self.written.fetch_add(1, Ordering::Relaxed);
        let from = self.people.get(turn % self.people.len().max(1));
        let letter = self.letters.get(turn % self.letters.len().max(1));
        let (from, (subject, body)) = from.zip(letter).context("there is nobody, or nothing to write")?;
        let ticket = NewTicket::new(from, subject).details(body);
        Ok(self.world.halo().file_ticket(ticket).to_string())
    }

    /// One ticket, until it is decided on.
    async fn ticket(&self) -> anyhow::Result<Instant> {
        let ticket = self.write()?;
        resolved(self.decided.of(&ticket)).await
    }
}

/// Whether the classifier will ask for the meaning of a text, for its words do not tell enough.
fn leaves_doubt(subject: &str, body: &str) -> bool {
    let letter = triage::letter::read(subject, body);
    let mut asked = false;
    let meaning = || {
        asked = true;
        None
    };
    Embedded::shipped()
        .head()
        .read(&letter.subject, &letter.text, meaning);
    asked
}

async fn closed(house: &House, at_once: u32, window: Duration) -> anyhow::Result<Load> {
    let street = house.street.clone();
    let one = move || {
        let street = street.clone();
        async move { street.ticket().await }
    };
    house.ground.closed(&house.processes, at_once, window, one).await
}

async fn open(house: &House, per_second: f64, window: Duration) -> anyhow::Result<Load> {
    let one = || {
        let street = house.street.clone();
        async move { street.ticket().await }
    };
    house.ground.open(&house.processes, per_second, window, one).await
}

/// All at once; how long until the last one is decided on.
async fn burst(house: &House) -> anyhow::Result<Burst> {
    let street = &house.street;
    let cpu = house.ground.cpu(&house.processes)?;
    let began = Instant::now();
    let written: Vec<String> = (0..BURST)
        .map(|_| street.write())
        .collect::<anyhow::Result<_>>()?;
    let mut decisions: FuturesUnordered<_> = written
        .iter()
        .map(|ticket| resolved(street.decided.of(ticket)))
        .collect();
    let (mut took, mut lost) = (vec![], 0);
    while let Some(decided) = decisions.next().await {
        match decided {
            Ok(at) => took.push(at.saturating_duration_since(began)),
            Err(_) => lost += 1,
        }
    }
    let last = took.iter().max().copied().unwrap_or_default();
    let memory = house.memory(usage::memory);
    house.ground.written_back().await?;
    let cpu = house.ground.cpu(&house.processes)?.since(cpu);
    Ok(Burst {
        tickets: count(BURST),
        decided_in_s: last.as_secs_f64(),
        per_second: f64::from(count(took.len())) / last.as_secs_f64().max(f64::MIN_POSITIVE),
        latency_ms: Latency::of(took),
        lost,
        stored: stored(house, &written).await?,
        cpu_s: cpu.for_1000_of(count(BURST)),
        memory_mib: memory,
    })
}

/// How many decisions the database holds on these tickets: what a log says is not yet proof.
async fn stored(house: &House, tickets: &[String]) -> anyhow::Result<u32> {
    let stored = sqlx::query_scalar("SELECT count(*) FROM classification_results WHERE ticket_id = ANY($1)");
    let stored: i64 = stored.bind(tickets).fetch_one(&house.ground.owner).await?;
    Ok(u32::try_from(stored).unwrap_or(u32::MAX))
}
