//! The engine: a playbook of three steps on a service that answers at once, from `execute_playbook` to its end.

use std::time::{Duration, Instant};

use anyhow::Context;
use common::Service;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::figures::{Cpu, Engine, History, Idle, Load, Pace, Recovery, Waiting, count, each};
use super::load::{self, Clock};
use super::rig::{Begun, Rig, Work};
use super::{AT_ONCE, MIDDLE, SETTLING, WARM_UP, ground, half_of, say, usage, wanted};
use crate::arguments::{Bench, Part};

/// In flight when orchestration is killed.
const IN_FLIGHT: u32 = 1000;
/// Requests under way at once where many are made as fast as possible.
const HANDS: usize = 64;
/// Sessions tell what they did within ten seconds; a second to spare.
const IDLE_FOR: Duration = Duration::from_secs(11);

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
        engine.waiting = Some(waiting(&rig, command.waiting).await?);
    }
    if wanted(command, Part::Recovery) {
        say(&format!(
            "engine: orchestration is killed with {IN_FLIGHT} in flight ..."
        ));
        engine.recovery = Some(recovery(&mut rig).await?);
    }
    if wanted(command, Part::History) {
        say(&format!("engine: {} have finished long ago ...", command.history));
        engine.history = Some(history(&rig, command.history, window).await?);
    }
    Ok(engine)
}

async fn closed(rig: &Rig, at_once: u32, window: Duration) -> anyhow::Result<Load> {
    let client = rig.client.clone();
    let one = move || {
        let client = client.clone();
        async move { client.execute(Work::Three).await }
    };
    let loaded = || load::closed(at_once, Clock::new(WARM_UP, window, at_once), one);
    rig.ground
        .measured(&rig.processes, Pace::AtOnce(at_once), at_once, loaded)
        .await
}

async fn open(rig: &Rig, per_second: f64, window: Duration) -> anyhow::Result<Load> {
    let one = || {
        let client = rig.client.clone();
        async move { client.execute(Work::Three).await }
    };
    let loaded = || load::open(per_second, window, one);
    rig.ground
        .measured(&rig.processes, Pace::PerSecond(per_second), MIDDLE, loaded)
        .await
}

async fn half_of_what_it_can(rig: &Rig, engine: &Engine, window: Duration) -> anyhow::Result<f64> {
    match half_of(&engine.closed) {
        Some(half) => Ok(half),
        None => Ok(closed(rig, MIDDLE, window).await?.per_second / 2.0),
    }
}

async fn waiting(rig: &Rig, executions: u32) -> anyhow::Result<Waiting> {
    // As much as it ever needs at once is in its hands already, so that what grows from here on is for who waits.
    let warm_up = begin(rig, Work::Approval, 1000).await?;
    release(rig, warm_up).await?;
    rig.ground.written_back().await?;
    let idle_before = idle(rig).await?;
    let memory = ground::memory(&rig.processes);
    let begun = begin(rig, Work::Approval, executions).await?;
    while rig.steps.pending() < begun.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.ground.written_back().await?;
    let idle_waiting = idle(rig).await?;
    let grown = ground::memory(&rig.processes);
    let release_began = Instant::now();
    let failed = release(rig, begun).await?;
    let released_in = release_began.elapsed();
    rig.ground.written_back().await?;
    Ok(Waiting {
        executions,
        memory_before_mib: ground::mib(memory),
        memory_waiting_mib: ground::mib(grown),
        bytes_each: each(
            i64::try_from(grown.saturating_sub(memory)).unwrap_or(i64::MAX),
            executions,
        ),
        idle_before,
        idle_waiting,
        released_in_s: released_in.as_secs_f64(),
        failed,
    })
}

/// Begin as many, as fast as it takes them.
async fn begin(rig: &Rig, work: Work, executions: u32) -> anyhow::Result<Vec<Begun>> {
    let client = &rig.client;
    let asked = futures::stream::iter(0..executions)
        .map(|_| async move { client.begin(&client.ticket(work)).await })
        .buffer_unordered(HANDS);
    let begun: Vec<anyhow::Result<Begun>> = asked.collect().await;
    begun.into_iter().collect()
}

/// Let everybody approve, and wait until all have ended: how many were not resolved.
async fn release(rig: &Rig, begun: Vec<Begun>) -> anyhow::Result<u32> {
    let verification = &rig.verification;
    let signals = futures::stream::iter(rig.steps.approvals())
        .map(|(execution, signal)| async move { verification.signal(execution, &signal).await })
        .buffer_unordered(HANDS);
    let sent: Vec<_> = signals.collect().await;
    sent.into_iter()
        .collect::<Result<Vec<()>, _>>()
        .context("an approval was not taken")?;
    Ok(unresolved(begun).await)
}

async fn unresolved(begun: Vec<Begun>) -> u32 {
    let ends: FuturesUnordered<_> = begun.into_iter().map(Begun::resolved).collect();
    let failed: Vec<String> = ends
        .filter_map(|ended| async move { ended.err().map(|error| format!("{error:#}")) })
        .collect()
        .await;
    for reason in failed.iter().take(3) {
        say(&format!("  failed: {reason}"));
    }
    count(failed.len())
}

async fn idle(rig: &Rig) -> anyhow::Result<Idle> {
    // What happened before is told by then.
    tokio::time::sleep(IDLE_FOR).await;
    let (transactions, calls, cpu) = (
        usage::transactions(&rig.ground.owner).await?,
        rig.steps.calls(),
        rig.ground.cpu(&rig.processes)?,
    );
    let began = Instant::now();
    tokio::time::sleep(IDLE_FOR).await;
    let seconds = began.elapsed().as_secs_f64();
    let transactions = usage::transactions(&rig.ground.owner).await? - transactions;
    let Cpu { ours, .. } = rig.ground.cpu(&rig.processes)?.since(cpu);
    let calls = rig.steps.calls() - calls;
    Ok(Idle {
        transactions_per_second: each(transactions, 1) / seconds,
        calls_per_second: f64::from(u32::try_from(calls).unwrap_or(u32::MAX)) / seconds,
        cpu_ms_per_second: ours * 1000.0 / seconds,
    })
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

async fn history(rig: &Rig, executions: u32, window: Duration) -> anyhow::Result<History> {
    let before = closed(rig, MIDDLE, window).await?;
    let began = Instant::now();
    super::history::lay_down(&rig.ground.owner, executions).await?;
    let laid_down_in = began.elapsed();
    let after = closed(rig, MIDDLE, window).await?;
    Ok(History {
        executions,
        laid_down_in_s: laid_down_in.as_secs_f64(),
        slower: 1.0 - after.ratio / before.ratio,
        before,
        after,
    })
}
