//! `firstline torture`: a fleet of real processes in a storm of everything that can go wrong, from a seed; then calm; then
//! whether the world is as promised, by the world's own records.

mod calm;
mod clocks;
mod doors;
mod invariants;
mod plan;
mod records;
mod report;
mod rig;
mod say;
mod storm;
mod trouble;

use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Torture;
use crate::exit::Ending;
use crate::{logs, terminal};
use clocks::{Clocks, Faker};
use plan::{Orders, Plan};
use rig::Rig;
use say::Teller;

/// So many tickets come, where nobody says how many.
const TICKETS_PER_SECOND: u32 = 1;

pub(crate) async fn run(command: &Torture) -> anyhow::Result<Ending> {
    let orders = orders(command);
    let directory = tempfile::Builder::new()
        .prefix("firstline-torture-")
        .tempdir()
        .context("cannot make a directory for the logs")?;
    // What this process has to say: the world's side.
    let telemetry = logs::install(Some(&directory.path().join("world.log")))?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ending = tokio::select! {
        ending = perform(orders, directory.path()) => ending,
        // What was begun is dropped, and ends with it.
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("asked to stop")),
    };
    tokio::task::spawn_blocking(move || telemetry.flush()).await?;
    if !matches!(ending, Ok(Ending::Well)) {
        let kept: PathBuf = directory.keep();
        terminal::complain(&format!("the services' logs: {}", kept.display()));
    }
    ending
}

fn orders(command: &Torture) -> Orders {
    let seconds = u32::try_from(command.minutes.as_secs()).unwrap_or(u32::MAX);
    Orders {
        seed: command.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
        storm: command.minutes,
        tickets: command
            .tickets
            .unwrap_or(seconds.saturating_mul(TICKETS_PER_SECOND).max(1)),
    }
}

async fn perform(orders: Orders, logs: &Path) -> anyhow::Result<Ending> {
    terminal::line(&format!(
        "Firstline under torture. To have this storm again:\n  {}\n",
        report::again(orders)
    ));
    let clocks = Clocks::of(orders.seed);
    let faker = Faker::found(&|text| terminal::line(text));
    let mut rig = Rig::set(orders.seed, &clocks, faker.as_ref().ok(), logs).await?;
    let people: Vec<String> = rig
        .world
        .company()
        .into_iter()
        .map(|person| person.email)
        .collect();
    let plan = Plan::of(orders, &people);
    report::tell_plan(&plan);
    report::tell_clocks(&clocks, faker.map(drop));
    let teller = Teller::new();
    storm::perform(&mut rig, &plan, &teller).await?;
    teller.tell("the storm is over; everything is up");
    let (records, findings) = calm::findings(&mut rig, &teller).await?;
    if report::tell_findings(&findings, orders) {
        return Ok(Ending::Well);
    }
    // Beside the logs, for whoever looks into it.
    records.write(&logs.join("records.json"))?;
    Ok(Ending::Findings)
}
