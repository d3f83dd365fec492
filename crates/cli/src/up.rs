//! `firstline up`: a fleet with a simulated outside world that stays until Ctrl-C. Its database and keys survive.

use std::fs::{File, TryLockError};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Context;
use common::Service;
use launcher::stage::shipped_playbooks;
use launcher::{Database, Ports, Servers, SettingsMap, Stage, StageSettings};
use simulators::{Listen, World, WorldSettings};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Up;
use crate::exit::Ending;
use crate::run_file::{RunFile, Simulators};
use crate::{logs, terminal};

/// HaloPSA's first ticket number in the simulated help desk, where no earlier run has used higher ones.
const FIRST_TICKET: i64 = 1000;

pub(crate) async fn run(command: &Up) -> anyhow::Result<Ending> {
    let data = &command.home.data;
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    // Held until the end, however it comes.
    let _only = only_fleet_of(data)?;
    let log = data.join("firstline.log");
    let telemetry = logs::install((!command.verbose).then_some(log.as_path()))?;
    // From here on Ctrl-C means: end in good order.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let servers = Servers::lasting(&data.join("servers"), &|line| terminal::line(line)).await?;
    let mut stage = set_stage(command, &servers).await?;
    run_file(&stage).write(data)?;
    welcome(&stage, (!command.verbose).then_some(log.as_path()));
    let failure = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        failure = stage.fleet.first_failure() => Some(failure),
    };
    RunFile::remove(data);
    terminal::line("\nending in good order ...");
    let ended = stage.strike().await;
    drop(servers);
    tokio::task::spawn_blocking(move || telemetry.flush()).await?;
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(ended.map(|()| Ending::Well)?),
    }
}

fn only_fleet_of(data: &Path) -> anyhow::Result<File> {
    let path = data.join("up.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("a fleet is already running with the data in {}", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

async fn set_stage(command: &Up, servers: &Servers) -> anyhow::Result<Stage> {
    let database = Database::on(servers).await?;
    let keys = command.home.data.join("keys");
    if !keys.join("trusted.json").exists() {
        launcher::keys::init(&keys)?;
    }
    let world = WorldSettings {
        listen: Listen::standard(IpAddr::from(Ipv4Addr::LOCALHOST)),
        // The simulated world begins anew each time, and the fleet remembers: neither ids nor ticket numbers may repeat.
        seed: fresh_seed(),
        first_ticket: database.highest_ticket().await?.max(FIRST_TICKET) + 1,
        ..WorldSettings::default()
    };
    let settings = StageSettings {
        world,
        ports: Ports::Standard,
        databases: database.urls.clone(),
        redis: servers.redis_url(0),
        keys,
        playbooks: command.playbooks.clone().unwrap_or_else(shipped_playbooks),
        settings: SettingsMap::new(),
        overrides: std::collections::BTreeMap::new(),
    };
    say_what_is_open(&database).await?;
    database.owner.close().await;
    Ok(Stage::set(settings).await?)
}

/// Executions of an earlier run are taken up again, in a world that knows nothing of them.
async fn say_what_is_open(database: &Database) -> anyhow::Result<()> {
    let open = sqlx::query_scalar::<_, String>(
        "SELECT '#' || ticket_id
         FROM playbook_executions
         WHERE status NOT IN ('RESOLVED', 'ESCALATED')
         ORDER BY id",
    );
    let open = open.fetch_all(&database.owner).await?;
    if !open.is_empty() {
        terminal::line(&format!(
            "Not ended in the last run: {}. The simulated world is a fresh one and knows neither these tickets nor who\n             was asked: they cannot continue as before.",
            open.join(", ")
        ));
    }
    Ok(())
}

fn fresh_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

fn run_file(stage: &Stage) -> RunFile {
    let urls = stage.world.urls();
    RunFile {
        pid: std::process::id(),
        services: Service::ALL
            .map(|service| (service, stage.fleet.url(service)))
            .into(),
        simulators: Simulators {
            halo: urls.halo.clone(),
            entra: urls.entra.clone(),
            openai: urls.openai.clone(),
            teams: urls.teams.clone(),
            twilio: urls.twilio.clone(),
        },
    }
}

fn welcome(stage: &Stage, log: Option<&Path>) {
    terminal::line("The fleet is up. Its services:");
    let row = |name: &str, url: &dyn std::fmt::Display, what: &str| {
        vec![format!("  {name}"), url.to_string(), what.to_owned()]
    };
    let mut rows: Vec<Vec<String>> = Service::ALL
        .map(|service| {
            row(
                service.name(),
                &stage.fleet.url(service),
                "/docs /readyz /metrics",
            )
        })
        .into();
    let urls = stage.world.urls();
    rows.extend([
        row(
            "HaloPSA",
            &urls.halo,
            "simulated; what arrived and what happens: /_sim/",
        ),
        row("Entra", &urls.entra, "simulated"),
        row(
            "OpenAI",
            &urls.openai,
            "simulated; the embedded classifier does not need it",
        ),
        row("Teams", &urls.teams, "simulated"),
        row("Twilio", &urls.twilio, "simulated"),
    ]);
    terminal::table(&rows);
    terminal::line(&format!(
        "\nThe people of the simulated company answer by themselves: {}",
        people(&stage.world)
    ));
    if let Some(log) = log {
        terminal::line(&format!("Logs: {}", log.display()));
    }
    terminal::line("\nFrom another terminal, in this directory:");
    terminal::line("  firstline ticket new --from adele@contoso.example \"I forgot my password\"");
    terminal::line("  firstline execution list");
    terminal::line("\nCtrl-C ends it.");
}

/// Some addresses to write tickets from.
fn people(world: &World) -> String {
    let company = world.company();
    let emails = company
        .iter()
        .filter(|person| person.enabled)
        .map(|person| person.email.as_str());
    let some: Vec<&str> = emails.take(5).collect();
    format!("{}, ...", some.join(", "))
}
