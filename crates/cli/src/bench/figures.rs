//! What was measured, and the arithmetic of it. Pure.

use std::time::Duration;

use serde::Serialize;

/// A whole measurement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) machine: Machine,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) engine: Option<Engine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ticket: Option<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gate: Option<Gate>,
}

impl Figures {
    /// Nothing was lost, nothing was done twice, nothing failed.
    pub(super) fn unharmed(&self) -> bool {
        self.engine.as_ref().is_none_or(Engine::unharmed)
            && self.ticket.as_ref().is_none_or(Ticket::unharmed)
            && self.gate.as_ref().is_none_or(Gate::unharmed)
    }
}

/// The whole way of a ticket through all six services.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Ticket {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) closed: Vec<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recovery: Option<Recovery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<History>,
}

impl Ticket {
    fn unharmed(&self) -> bool {
        failed(self.closed.iter().chain(&self.open)) == 0
            && self.waiting.as_ref().is_none_or(Waiting::unharmed)
            && self.recovery.as_ref().is_none_or(Recovery::unharmed)
    }
}

/// The classifier alone, up to the stored decision.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Gate {
    /// From its first instruction to load the model to the last.
    pub(super) model_loaded_in_s: f64,
    pub(super) memory: Memory,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) closed: Vec<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) burst: Option<Burst>,
}

impl Gate {
    fn unharmed(&self) -> bool {
        let whole = |burst: &Burst| burst.lost == 0 && burst.stored == burst.tickets;
        failed(self.closed.iter().chain(&self.open)) == 0 && self.burst.as_ref().is_none_or(whole)
    }
}

/// What is resident of the classifier.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct Memory {
    /// Once it is ready and its model loaded.
    pub(super) started_mib: f64,
    /// After all loads.
    pub(super) loaded_mib: f64,
    /// The most there ever was.
    pub(super) most_mib: f64,
}

/// Many tickets at once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Burst {
    pub(super) tickets: u32,
    /// From the first one filed to the last decision.
    pub(super) decided_in_s: f64,
    pub(super) per_second: f64,
    /// How long each waited.
    pub(super) latency_ms: Latency,
    /// Not decided on.
    pub(super) lost: u32,
    /// Decisions on them that the database holds.
    pub(super) stored: u32,
    /// CPU seconds for 1,000 of them.
    pub(super) cpu_s: Cpu,
    /// Resident memory of the classifier at the last decision.
    pub(super) memory_mib: f64,
}

fn failed<'l>(loads: impl Iterator<Item = &'l Load>) -> u32 {
    loads.map(|load| load.failed).sum()
}

/// Where it was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) debug_build: bool,
}

impl Machine {
    /// This one.
    pub(super) fn this(debug_build: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores, debug_build }
    }
}

/// The engine: three steps of a service that answers at once.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Engine {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) closed: Vec<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<Load>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recovery: Option<Recovery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<History>,
}

impl Engine {
    fn unharmed(&self) -> bool {
        failed(self.closed.iter().chain(&self.open)) == 0
            && self.waiting.as_ref().is_none_or(Waiting::unharmed)
            && self.recovery.as_ref().is_none_or(Recovery::unharmed)
    }
}

/// How work arrives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pace {
    /// So many at a time.
    AtOnce(u32),
    /// So many a second, whatever becomes of them.
    PerSecond(f64),
}

/// What became of a load.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Load {
    pub(super) pace: Pace,
    /// Ended well while the clock ran.
    pub(super) finished: u32,
    /// Refused, or ended otherwise.
    pub(super) failed: u32,
    pub(super) per_second: f64,
    pub(super) latency_ms: Latency,
    /// CPU seconds for 1,000 of them, write-backs and all.
    pub(super) cpu_s: Cpu,
    /// Resident memory of our processes at the end.
    pub(super) memory_mib: f64,
    /// Transactions that wrote, for each of them.
    pub(super) commits_each: f64,
    /// How long write-backs went on after the last one had ended.
    pub(super) write_backs_s: f64,
    /// What Postgres alone got done before and after.
    pub(super) probe: Probe,
    /// Per second, of what Postgres alone got done.
    pub(super) ratio: f64,
}

/// Workflows of dependent commits that Postgres got done without us.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Probe {
    pub(super) clients: u32,
    /// Dependent commits in a workflow.
    pub(super) commits: u32,
    pub(super) workflows_per_second: f64,
}

impl Probe {
    /// How long one commit takes a client.
    pub(super) fn commit_ms(&self) -> f64 {
        1000.0 * f64::from(self.clients) / (self.workflows_per_second * f64::from(self.commits))
    }

    /// The mean of two of the same kind.
    pub(super) fn between(self, other: Self) -> Self {
        Self {
            workflows_per_second: f64::midpoint(self.workflows_per_second, other.workflows_per_second),
            ..self
        }
    }
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) longest: f64,
}

impl Latency {
    /// Of these, in any order; all zero where there are none.
    pub(super) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let ms = |per_cent| percentile(&all, per_cent).as_secs_f64() * 1000.0;
        Self {
            p50: ms(50),
            p95: ms(95),
            p99: ms(99),
            longest: ms(100),
        }
    }
}

/// The smallest value that at least `per_cent` of `sorted` do not exceed (nearest rank).
fn percentile(sorted: &[Duration], per_cent: usize) -> Duration {
    let rank = (sorted.len() * per_cent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// CPU seconds, by whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct Cpu {
    pub(super) ours: f64,
    pub(super) postgres: f64,
    pub(super) redis: f64,
    /// The simulated outside world, and whoever makes the load.
    pub(super) outside: f64,
}

impl Cpu {
    /// What was used since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        self.with(earlier, |now, then| (now - then).max(0.0))
    }

    /// For 1,000, where it was for `count`.
    pub(super) fn for_1000_of(self, count: u32) -> Self {
        let scale = 1000.0 / f64::from(count.max(1));
        self.with(self, |seconds, _| seconds * scale)
    }

    fn with(self, other: Self, each: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            ours: each(self.ours, other.ours),
            postgres: each(self.postgres, other.postgres),
            redis: each(self.redis, other.redis),
            outside: each(self.outside, other.outside),
        }
    }
}

/// Many wait for an approval; then all are released.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Waiting {
    pub(super) executions: u32,
    /// Our memory before and while all wait, and what it grew by for each.
    pub(super) memory_before_mib: f64,
    pub(super) memory_waiting_mib: f64,
    pub(super) bytes_each: f64,
    /// Of ours and of the database's, with none waiting and with all of them.
    pub(super) idle_before: Idle,
    pub(super) idle_waiting: Idle,
    /// From the first release to the last end.
    pub(super) released_in_s: f64,
    /// Not resolved.
    pub(super) failed: u32,
}

impl Waiting {
    const fn unharmed(&self) -> bool {
        self.failed == 0
    }
}

/// What goes on while nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Idle {
    /// Transactions a second, those that only read among them.
    pub(super) transactions_per_second: f64,
    /// Calls a second of whoever stands between us and people: the step service, or everything outside.
    pub(super) calls_per_second: f64,
    /// CPU milliseconds a second of our processes.
    pub(super) cpu_ms_per_second: f64,
}

/// `kill -9` of orchestration.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Recovery {
    pub(super) in_flight: u32,
    /// From its start after the kill to the end of the last one.
    pub(super) finished_in_s: f64,
    /// Not ended.
    pub(super) lost: u32,
    /// What took effect more than once.
    pub(super) repeated: u32,
}

impl Recovery {
    const fn unharmed(&self) -> bool {
        self.lost == 0 && self.repeated == 0
    }
}

/// Many have finished long ago.
#[derive(Debug, Clone, Serialize)]
pub(super) struct History {
    pub(super) executions: u32,
    /// How long it took to lay them down.
    pub(super) laid_down_in_s: f64,
    pub(super) before: Load,
    pub(super) after: Load,
    /// What of the ratio was lost; negative where it grew.
    pub(super) slower: f64,
}

/// What comes to each of `count`.
#[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
pub(super) fn each(sum: i64, count: u32) -> f64 {
    sum as f64 / f64::from(count.max(1))
}

/// A small number as a count; nothing here comes near the limit.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let all: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let latency = Latency::of(all.into_iter().rev().collect());
        let expected = Latency {
            p50: 100.0,
            p95: 190.0,
            p99: 198.0,
            longest: 200.0,
        };
        assert_eq!(latency, expected);
    }

    #[test]
    fn of_one_value_every_percentile_is_that_value_and_of_none_there_is_none() {
        let one = Latency::of(vec![Duration::from_millis(7)]);
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert_eq!(Latency::of(vec![]), Latency::default());
    }

    #[test]
    fn a_commit_takes_a_client_what_its_share_of_the_workflows_leaves() {
        let probe = Probe {
            clients: 4,
            commits: 5,
            workflows_per_second: 400.0,
        };
        assert!((probe.commit_ms() - 2.0).abs() < 1e-9);
        let faster = Probe {
            workflows_per_second: 600.0,
            ..probe
        };
        assert!((probe.between(faster).workflows_per_second - 500.0).abs() < 1e-9);
    }

    #[test]
    fn cpu_is_told_for_a_thousand() {
        let then = Cpu {
            ours: 1.0,
            ..Cpu::default()
        };
        let now = Cpu {
            ours: 2.0,
            postgres: 0.5,
            ..Cpu::default()
        };
        let used = now.since(then).for_1000_of(500);
        assert!((used.ours - 2.0).abs() < 1e-9 && (used.postgres - 1.0).abs() < 1e-9);
    }
}
