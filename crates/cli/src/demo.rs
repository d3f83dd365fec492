//! `firstline demo`: three tickets, three ways, told live; then a look at what remains of each.

mod cast;
mod inside;
mod outside;
mod story;
mod verdict;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use launcher::stage::{self, shipped_playbooks};
use launcher::{Database, Ports, Servers, SettingsMap, Stage, StageSettings, keys};
use simulators::WorldSettings;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Demo;
use crate::exit::Ending;
use crate::{logs, terminal};
use cast::{Part, cast};
use story::Story;

/// Waits shortened so that the demonstration takes seconds: setting, its seconds here, and whose answer is awaited.
const SHORT_WAITS: [(&str, u64, &str, &str); 3] = [
    ("MFA_TIMEOUT_S", 5, "verification.mfa", "the answer to a push"),
    (
        "APPROVAL_TIMEOUT_S",
        40,
        "verification.manager",
        "a manager's answer",
    ),
    (
        "APPROVAL_SMS_AFTER_S",
        20,
        "",
        "the manager's answer in Teams, before an SMS is sent as well",
    ),
];

/// Far beyond what any of the three tickets needs.
const END_WITHIN: Duration = Duration::from_mins(2);

pub(crate) async fn run(command: &Demo) -> anyhow::Result<Ending> {
    let log = if command.verbose {
        None
    } else {
        Some(logs::temporary_file()?)
    };
    let telemetry = logs::install(log.as_deref())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ending = tokio::select! {
        ending = perform(log.as_deref()) => ending,
        // What was begun is dropped, and ends with it.
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("asked to stop")),
    };
    tokio::task::spawn_blocking(move || telemetry.flush()).await?;
    if let Some(log) = log {
        match &ending {
            // Nothing to look into; one left behind for each run would only fill the disk.
            Ok(Ending::Well) => drop(std::fs::remove_file(log)),
            _ => terminal::complain(&format!("the services' logs: {}", log.display())),
        }
    }
    ending
}

async fn perform(log: Option<&Path>) -> anyhow::Result<Ending> {
    let began = Instant::now();
    terminal::line("Firstline, a demonstration: three tickets, three ways.\n");
    let servers = Servers::temporary(&|line| terminal::line(&format!("  {line}"))).await?;
    let database = Database::on(&servers).await?;
    terminal::line(&format!(
        "  {:4.1} s  a private Postgres and Redis run, the database is migrated",
        seconds(began)
    ));
    let keys = tempfile::tempdir().context("cannot make a temporary directory")?;
    let stage = set_stage(&servers, &database, &keys.path().join("keys")).await?;
    terminal::line(&format!(
        "  {:4.1} s  six services and the simulated HaloPSA, Entra, Teams and Twilio are ready",
        seconds(began)
    ));
    if let Some(log) = log {
        terminal::line(&format!("          the services' logs: {}", log.display()));
    }
    say_which_waits_are_short();
    let parts = cast(&stage.world);
    let ended = tell(&stage, &database, &parts).await?;
    let well = verdict::pronounce(&stage.world, &database.owner, &parts, &ended).await?;
    stage.strike().await?;
    database.owner.close().await;
    drop(servers);
    terminal::line("");
    if well {
        terminal::line(&format!(
            "All three tickets ended as they should, in {:.1} s altogether.",
            seconds(began)
        ));
        Ok(Ending::Well)
    } else {
        terminal::line("Not every ticket ended as it should; what differs stands above.");
        Ok(Ending::Findings)
    }
}

async fn set_stage(servers: &Servers, database: &Database, directory: &Path) -> anyhow::Result<Stage> {
    keys::init(directory)?;
    let settings: SettingsMap = SHORT_WAITS
        .map(|(name, seconds, ..)| (name.to_owned(), seconds.to_string()))
        .into();
    let settings = StageSettings {
        world: WorldSettings::default(),
        ports: Ports::Any,
        databases: database.urls.clone(),
        redis: servers.redis_url(0),
        keys: directory.to_owned(),
        playbooks: shipped_playbooks(),
        settings,
        overrides: BTreeMap::new(),
    };
    Ok(Stage::set(settings).await?)
}

/// The playbook's own waits are for people; here nobody should have to wait.
fn say_which_waits_are_short() {
    terminal::line(
        "\nShorter here than in the playbook `password_reset`, by settings and not in the playbook:",
    );
    let source = std::fs::read_to_string(shipped_playbooks().join("password_reset.yml")).unwrap_or_default();
    let playbook = playbook_lang::check(&source, &playbook_lang::Registry::builtin()).playbook;
    for (name, seconds, action, meaning) in SHORT_WAITS {
        let mut steps = playbook
            .iter()
            .flat_map(|playbook| playbook.steps().filter_map(|step| step.action()));
        let usual = steps
            .find(|step| step.action.name.as_str() == action)
            .map(|step| step.timeout);
        // The one that no step of the playbook says has its default of 300 s.
        let usual = usual.unwrap_or(Duration::from_mins(5)).as_secs();
        terminal::line(&format!("  {name}={seconds} instead of {usual} s: {meaning}"));
    }
}

/// File the tickets and tell what happens until all of them have ended.
async fn tell(
    stage: &Stage,
    database: &Database,
    parts: &[Part],
) -> anyhow::Result<Vec<Result<simulators::halo::TicketView, stage::NotEnded>>> {
    terminal::line("\nThe story (seconds since the first ticket, ticket, where, what):\n");
    let tickets: Vec<i64> = parts.iter().map(|part| part.file(&stage.world)).collect();
    let mut story = Story::of(&stage.world, database.owner.clone(), parts, &tickets);
    let endings = tickets
        .iter()
        .map(|ticket| stage::ended(&stage.world, &database.owner, *ticket, END_WITHIN));
    // Side by side, not in turns: whoever waits for a ticket may hold a connection that the story needs.
    let over = tokio::sync::Notify::new();
    let waiting = async {
        let ended = futures::future::join_all(endings).await;
        over.notify_one();
        ended
    };
    let (ended, told) = tokio::join!(waiting, story.tell_until(&over));
    told?;
    story.tell_rest().await?;
    Ok(ended)
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
