//! Many wait for an approval and nobody answers: what each of them costs meanwhile. Then everybody approves.

use std::time::{Duration, Instant};

use launcher::Processes;

use super::ends::{Awaited, unresolved};
use super::figures::{Cpu, Idle, Waiting, each};
use super::ground::{self, Ground};
use super::usage;

/// Requests under way at once where many are made as fast as possible.
pub(super) const HANDS: usize = 64;
/// So many wait and are released first: as much as a burst ever needs at once is in our processes' hands then, and what
/// grows from there on is for who waits.
pub(super) const WARM_UP: u32 = 1000;
/// Sessions tell what they did within ten seconds; a second to spare.
const IDLE_FOR: Duration = Duration::from_secs(11);

/// Where work waits for people.
pub(super) trait Approvals {
    fn ground(&self) -> &Ground;

    fn processes(&self) -> &Processes;

    /// Calls so far of whoever stands between us and the people.
    fn calls(&self) -> u64;

    /// Begin as many, and come back when people have been asked about all of them.
    async fn begin(&self, executions: u32) -> anyhow::Result<Vec<Awaited>>;

    /// Everybody who was asked says yes.
    async fn approve(&self) -> anyhow::Result<()>;
}

/// Let `executions` wait, look at what goes on, and release them.
pub(super) async fn measure(of: &impl Approvals, executions: u32) -> anyhow::Result<Waiting> {
    let warm_up = of.begin(executions.min(WARM_UP)).await?;
    release(of, warm_up).await?;
    of.ground().written_back().await?;
    let idle_before = idle(of).await?;
    let memory = ground::memory(of.processes());
    let begun = of.begin(executions).await?;
    of.ground().written_back().await?;
    let idle_waiting = idle(of).await?;
    let grown = ground::memory(of.processes());
    let release_began = Instant::now();
    let failed = release(of, begun).await?;
    let released_in = release_began.elapsed();
    of.ground().written_back().await?;
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

/// Let everybody approve, and wait until all have ended: how many were not resolved.
async fn release(of: &impl Approvals, begun: Vec<Awaited>) -> anyhow::Result<u32> {
    // Both at once: the first have ended long before the last is approved.
    let (approved, failed) = tokio::join!(of.approve(), unresolved(begun));
    approved.map(|()| failed)
}

async fn idle(of: &impl Approvals) -> anyhow::Result<Idle> {
    let ground = of.ground();
    // What happened before is told by then.
    tokio::time::sleep(IDLE_FOR).await;
    let (transactions, calls, cpu) = (
        usage::transactions(&ground.owner).await?,
        of.calls(),
        ground.cpu(of.processes())?,
    );
    let began = Instant::now();
    tokio::time::sleep(IDLE_FOR).await;
    let seconds = began.elapsed().as_secs_f64();
    let transactions = usage::transactions(&ground.owner).await? - transactions;
    let Cpu { ours, .. } = ground.cpu(of.processes())?.since(cpu);
    let calls = of.calls() - calls;
    Ok(Idle {
        transactions_per_second: each(transactions, 1) / seconds,
        calls_per_second: f64::from(u32::try_from(calls).unwrap_or(u32::MAX)) / seconds,
        cpu_ms_per_second: ours * 1000.0 / seconds,
    })
}
