//! Whether what was measured is what must be reached. Pure.

use serde::Serialize;

use super::figures::{Burst, Engine, Figures, Gate, History, Idle, Load, Pace, Recovery, Ticket, Waiting};

/// One of the promises.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) promise: String,
    pub(super) measured: String,
    pub(super) holds: bool,
}

/// Steps of the engine's playbook, and what each may take beside its commit.
const STEPS: f64 = 3.0;
const MS_PER_STEP: f64 = 1.0;
/// Commits of an execution, and of a ticket over the whole fleet.
const MOST_COMMITS: f64 = 5.0;
const MOST_COMMITS_OF_A_TICKET: f64 = 16.0;
/// What the fleet gets done of tickets, and what one takes of our own CPU.
const LEAST_TICKETS: f64 = 100.0;
const MOST_CPU_MS: f64 = 10.0;
/// Least ratios to what Postgres alone gets done, by how many at a time.
const LEAST_RATIOS: [(u32, f64); 3] = [(1, 0.28), (32, 0.23), (100, 0.25)];
/// At 1,000 at a time at least so much of what 100 got done.
const NO_COLLAPSE: f64 = 0.8;
/// Memory of a waiting execution.
const MOST_BYTES: f64 = 1024.0;
/// What goes on while nothing happens may differ by so much a second without growing.
const SAME_TRANSACTIONS: f64 = 5.0;
const SAME_CALLS: f64 = 1.0;
/// All of a kill are finished within so many seconds.
const RECOVERED_WITHIN_S: f64 = 5.0;
/// What a history may cost.
const MOST_SLOWER: f64 = 0.10;

/// Decisions a second, and the median time to one at that rate.
pub(super) const LEAST_DECISIONS: f64 = 15.0;
const MOST_MS_TO_A_DECISION: f64 = 100.0;
/// Resident memory of the classifier: 250 MB, in MiB.
const MOST_MIB: f64 = 250e6 / 1_048_576.0;
/// Time to load its model.
const MOST_S_TO_LOAD: f64 = 1.0;

/// Everything that must be reached and was measured.
pub(super) fn of(figures: &Figures) -> Vec<Verdict> {
    let engine = figures.engine.iter().flat_map(engine);
    let ticket = figures.ticket.iter().flat_map(ticket);
    engine
        .chain(ticket)
        .chain(figures.gate.iter().flat_map(gate))
        .collect()
}

fn engine(engine: &Engine) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for load in engine.closed.iter().chain(&engine.open) {
        verdicts.extend(commits(load, MOST_COMMITS, "execution"));
    }
    for (at_once, least) in LEAST_RATIOS {
        verdicts.extend(at(&engine.closed, at_once).map(|load| ratio(load, at_once, least)));
    }
    verdicts.extend(at(&engine.closed, 1).map(latency));
    if let (Some(hundred), Some(thousand)) = (at(&engine.closed, 100), at(&engine.closed, 1000)) {
        verdicts.push(collapse(hundred, thousand));
    }
    verdicts.extend(engine.waiting.iter().flat_map(|all| waiting(all, "executions")));
    verdicts.extend(engine.recovery.iter().flat_map(recovered));
    verdicts.extend(engine.history.iter().map(|all| history(all, "executions")));
    verdicts
}

fn ticket(ticket: &Ticket) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for load in ticket.closed.iter().chain(&ticket.open) {
        verdicts.extend(commits(load, MOST_COMMITS_OF_A_TICKET, "ticket"));
    }
    verdicts.extend(at(&ticket.closed, 100).into_iter().flat_map(|load| {
        let cpu_ms = load.cpu_s.ours;
        [
            Verdict {
                promise: format!("at least {LEAST_TICKETS:.0} tickets a second, 100 at a time"),
                measured: format!("{:.1}", load.per_second),
                holds: load.per_second >= LEAST_TICKETS,
            },
            Verdict {
                promise: format!("less than {MOST_CPU_MS:.0} ms of our own CPU a ticket"),
                measured: format!("{cpu_ms:.1} ms"),
                holds: cpu_ms < MOST_CPU_MS,
            },
        ]
    }));
    verdicts.extend(ticket.waiting.iter().flat_map(|all| waiting(all, "tickets")));
    // All six services take part in what comes after a kill: how soon is the engine's promise.
    verdicts.extend(ticket.recovery.iter().map(unharmed));
    verdicts.extend(ticket.history.iter().map(|all| history(all, "tickets")));
    verdicts
}

fn gate(gate: &Gate) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let fastest = gate.closed.iter().map(|load| load.per_second).reduce(f64::max);
    verdicts.extend(fastest.map(|per_second| Verdict {
        promise: format!("at least {LEAST_DECISIONS:.0} decisions a second"),
        measured: format!("{per_second:.1}"),
        holds: per_second >= LEAST_DECISIONS,
    }));
    verdicts.extend(gate.open.iter().map(|load| Verdict {
        promise: format!(
            "a decision within {MOST_MS_TO_A_DECISION:.0} ms at the median ({})",
            pace(load.pace)
        ),
        measured: format!("{:.1} ms", load.latency_ms.p50),
        holds: load.latency_ms.p50 < MOST_MS_TO_A_DECISION && load.failed == 0,
    }));
    verdicts.extend(gate.burst.iter().flat_map(burst));
    verdicts.push(Verdict {
        promise: "at most 250 MB of memory for the classifier".to_owned(),
        measured: format!(
            "{:.0} MiB after its start, {:.0} after all loads",
            gate.memory.started_mib, gate.memory.loaded_mib
        ),
        holds: gate.memory.started_mib.max(gate.memory.loaded_mib) <= MOST_MIB,
    });
    verdicts.push(Verdict {
        promise: format!("its model is loaded within {MOST_S_TO_LOAD:.0} s"),
        measured: format!("{:.2} s", gate.model_loaded_in_s),
        holds: gate.model_loaded_in_s <= MOST_S_TO_LOAD,
    });
    verdicts
}

fn burst(burst: &Burst) -> [Verdict; 2] {
    let within = f64::from(burst.tickets) / LEAST_DECISIONS;
    [
        Verdict {
            promise: format!("{} at once are decided on within {within:.0} s", burst.tickets),
            measured: format!("{:.1} s", burst.decided_in_s),
            holds: burst.decided_in_s <= within && burst.lost == 0,
        },
        Verdict {
            promise: "none of them is lost".to_owned(),
            measured: format!("{} lost, {} decisions stored", burst.lost, burst.stored),
            holds: burst.lost == 0 && burst.stored == burst.tickets,
        },
    ]
}

fn at(closed: &[Load], at_once: u32) -> Option<&Load> {
    closed.iter().find(|load| load.pace == Pace::AtOnce(at_once))
}

/// One at a time shares no commit with another; of the others only what is too much is told.
fn commits(load: &Load, most: f64, of: &str) -> Option<Verdict> {
    let holds = load.commits_each <= most;
    (!holds || load.pace == Pace::AtOnce(1)).then(|| Verdict {
        promise: format!("at most {most:.0} commits for each {of} ({})", pace(load.pace)),
        measured: format!("{:.2}", load.commits_each),
        holds,
    })
}

fn ratio(load: &Load, at_once: u32, least: f64) -> Verdict {
    Verdict {
        promise: format!("at least {least:.2} of what Postgres alone gets done, {at_once} at a time"),
        measured: format!("{:.3}", load.ratio),
        holds: load.ratio >= least,
    }
}

/// The commits it waits for, and 1 ms a step.
fn latency(load: &Load) -> Verdict {
    let commit = load.probe.commit_ms();
    let most = load.commits_each * commit + STEPS * MS_PER_STEP;
    Verdict {
        promise: format!(
            "a median, 1 at a time, of at most its commits ({:.1} of {commit:.2} ms) and 1 ms a step: {most:.1} ms",
            load.commits_each
        ),
        measured: format!("{:.1} ms", load.latency_ms.p50),
        holds: load.latency_ms.p50 <= most,
    }
}

fn collapse(hundred: &Load, thousand: &Load) -> Verdict {
    Verdict {
        promise: format!("no collapse at 1,000: at least {NO_COLLAPSE} of the ratio at 100"),
        measured: format!("{:.3} after {:.3}", thousand.ratio, hundred.ratio),
        holds: thousand.ratio >= NO_COLLAPSE * hundred.ratio && thousand.failed == 0,
    }
}

fn waiting(waiting: &Waiting, of: &str) -> [Verdict; 3] {
    let (before, during) = (waiting.idle_before, waiting.idle_waiting);
    [
        Verdict {
            promise: format!(
                "{} {of} wait in less than 1 KiB of memory each",
                waiting.executions
            ),
            measured: format!("{:.0} bytes", waiting.bytes_each),
            holds: waiting.bytes_each < MOST_BYTES,
        },
        Verdict {
            promise: format!("no polling that grows with the {of} that wait"),
            measured: format!("{} before, {} during", told(before), told(during)),
            holds: during.transactions_per_second <= before.transactions_per_second + SAME_TRANSACTIONS
                && during.calls_per_second <= before.calls_per_second + SAME_CALLS,
        },
        Verdict {
            promise: format!("all {of} that waited finish without error once released"),
            measured: format!("{} failed, {:.1} s", waiting.failed, waiting.released_in_s),
            holds: waiting.failed == 0,
        },
    ]
}

fn history(history: &History, of: &str) -> Verdict {
    Verdict {
        promise: format!("{} finished {of} slow it by less than 10 %", history.executions),
        measured: format!("{:.1} %", history.slower * 100.0),
        holds: history.slower < MOST_SLOWER,
    }
}

fn told(idle: Idle) -> String {
    format!(
        "{:.1} transactions and {:.1} calls a second",
        idle.transactions_per_second, idle.calls_per_second
    )
}

fn recovered(recovery: &Recovery) -> Vec<Verdict> {
    let soon = Verdict {
        promise: format!(
            "all {} in flight at a kill finished within 5 s",
            recovery.in_flight
        ),
        measured: format!("{:.2} s", recovery.finished_in_s),
        holds: recovery.finished_in_s <= RECOVERED_WITHIN_S && recovery.lost == 0,
    };
    vec![soon, unharmed(recovery)]
}

fn unharmed(recovery: &Recovery) -> Verdict {
    Verdict {
        promise: format!(
            "of {} at a kill none is lost, none has a repeated effect",
            recovery.in_flight
        ),
        measured: format!("{} lost, {} repeated", recovery.lost, recovery.repeated),
        holds: recovery.lost == 0 && recovery.repeated == 0,
    }
}

/// `32 at a time`, `120 a second`.
pub(super) fn pace(pace: Pace) -> String {
    match pace {
        Pace::AtOnce(at_once) => format!("{at_once} at a time"),
        Pace::PerSecond(rate) => format!("{rate:.0} a second"),
    }
}
