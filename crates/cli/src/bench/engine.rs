//! The engine: a playbook of three steps on a service that answers at once, from `execute_playbook` to its end.

use std::time::{Duration, Instant};

use anyhow::Context;
use common::Service;
use futures::StreamExt;
use launcher::Processes;

use super::ends::{Awaited, unresolved};
use super::figures::{Engine, Load, Recovery, count};
use super::ground::Ground;
use super::history::{self, Past};
use super::rig::{Rig, SUBJECT, Work};
use super::waiting::{self, Approvals, HANDS};
use super::{AT_ONCE, MIDDLE, SETTLING, half_of, say, wanted};
use crate::arguments::{Bench, Part};

/// In flight when orchestration is killed.
const IN_FLIGHT: u32 = 1000;

/// Measure what is wanted of it.
pub(super) async fn measure(command: &Bench) -> anyhow::Result<Engine> {
    say("engine: setting up a private Postgres, Redis, orchestration and the playbook service ...");
    let mut rig = Rig::new().await?;
    let window = Duration::from_secs(command.seconds);
    say("engine: settling in ...");
    closed(&rig, MIDDLE, SETTLING).await?;
    rig.ground.analyse().await?;
    let mut engine = Engine::default();
    if wanted(command, Part::Closed) {
        for at_once in AT_ONCE {
            say(&format!("engine: {at_once} at a time ..."));
            engine.closed.push(closed(&rig, at_once, window).await?);
        }
    }
    if wanted(command, Part::Open) {
        let rate = match command.rate {
            Some(rate) => f64::from(rate),
            None => half_of_what_it_can(&rig, &engine, window).await?,
        };
        say(&format!("engine: {rate:.0} a second ..."));
        engine.open = Some(open(&rig, rate, window).await?);
    }
    if wanted(command, Part::Waiting) {
        say(&format!("engine: {} wait for an approval ...", command.waiting));
        engine.waiting = Some(waiting::measure(&rig, command.waiting).await?);
    }
    if wanted(command, Part::Recovery) {
        say(&format!(
            "engine: orchestration is killed with {IN_FLIGHT} in flight ..."
        ));
        engine.recovery = Some(recovery(&mut rig).await?);
    }
    if wanted(command, Part::History) {
        say(&format!("engine: {} have finished long ago ...", command.history));
        let past = Past {
            playbook: Work::Three.name(),
            people: vec![SUBJECT],
        };
        let closed = || closed(&rig, MIDDLE, window);
        engine.history = Some(history::measure(&rig.ground.owner, &past, command.history, closed).await?);
    }
    Ok(engine)
}

async fn closed(rig: &Rig, at_once: u32, window: Duration) -> anyhow::Result<Load> {
    let client = rig.client.clone();
    let one = move || {
        let client = client.clone();
        async move { client.execute(Work::Three).await }
    };
    rig.ground.closed(&rig.processes, at_once, window, one).await
}

async fn open(rig: &Rig, per_second: f64, window: Duration) -> anyhow::Result<Load> {
    let one = || {
        let client = rig.client.clone();
        async move { client.execute(Work::Three).await }
    };
    rig.ground.open(&rig.processes, per_second, window, one).await
}

async fn half_of_what_it_can(rig: &Rig, engine: &Engine, window: Duration) -> anyhow::Result<f64> {
    match half_of(&engine.closed) {
        Some(half) => Ok(half),
        None => Ok(closed(rig, MIDDLE, window).await?.per_second / 2.0),
    }
}

impl Approvals for Rig {
    fn ground(&self) -> &Ground {
        &self.ground
    }

    fn processes(&self) -> &Processes {
        &self.processes
    }

    fn calls(&self) -> u64 {
        self.steps.calls()
    }

    async fn begin(&self, executions: u32) -> anyhow::Result<Vec<Awaited>> {
        let begun = begin(self, Work::Approval, executions).await?;
        while self.steps.pending() < begun.len() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(begun)
    }

    async fn approve(&self) -> anyhow::Result<()> {
        let verification = &self.verification;
        let signals = futures::stream::iter(self.steps.approvals())
            .map(|(execution, signal)| async move { verification.signal(execution, &signal).await })
            .buffer_unordered(HANDS);
        let sent: Vec<_> = signals.collect().await;
        sent.into_iter()
            .collect::<Result<Vec<()>, _>>()
            .context("an approval was not taken")?;
        Ok(())
    }
}

/// Begin as many, as fast as it takes them.
async fn begin(rig: &Rig, work: Work, executions: u32) -> anyhow::Result<Vec<Awaited>> {
    let client = &rig.client;
    let asked = futures::stream::iter(0..executions)
        .map(|_| async move { client.begin(&client.ticket(work)).await })
        .buffer_unordered(HANDS);
    let begun: Vec<anyhow::Result<Awaited>> = asked.collect().await;
    begun.into_iter().collect()
}

/// The hardest moment: steps have taken effect and nobody has heard of it; the rest has not begun.
async fn recovery(rig: &mut Rig) -> anyhow::Result<Recovery> {
    let repeated = rig.steps.repeated();
    rig.steps.answer(false);
    let begun = begin(rig, Work::Three, IN_FLIGHT).await?;
    rig.processes.kill(Service::Orchestration);
    rig.steps.answer(true);
    let began = Instant::now();
    rig.start_orchestration()?;
    let lost = unresolved(begun).await;
    let finished_in = began.elapsed();
    rig.processes.wait_until_ready(Service::Orchestration).await?;
    rig.ground.written_back().await?;
    Ok(Recovery {
        in_flight: IN_FLIGHT,
        finished_in_s: finished_in.as_secs_f64(),
        lost,
        repeated: count(rig.steps.repeated() - repeated),
    })
}
