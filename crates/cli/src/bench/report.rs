//! The figures for people and for machines. Pure.

use serde::Serialize;

use super::figures::{Burst, Engine, Figures, Gate, History, Load, Recovery, Ticket, Waiting};
use super::verdict::{Verdict, pace};
use crate::terminal;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    verdicts: &'a [Verdict],
}

/// One JSON object: the figures, and `verdicts`.
pub(super) fn json(figures: &Figures, verdicts: &[Verdict]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Report { figures, verdicts })
}

/// Tables, and whether what must be reached was.
pub(super) fn text(figures: &Figures, verdicts: &[Verdict]) -> String {
    let mut lines = vec![machine(figures)];
    if let Some(engine) = &figures.engine {
        lines.extend(of_engine(engine));
    }
    if let Some(ticket) = &figures.ticket {
        lines.extend(of_ticket(ticket));
    }
    if let Some(gate) = &figures.gate {
        lines.extend(of_gate(gate));
    }
    lines.push("\nWhat must be reached:".to_owned());
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|verdict| {
            let mark = if verdict.holds { "holds" } else { "MISSED" };
            vec![
                format!("  {mark}"),
                verdict.promise.clone(),
                verdict.measured.clone(),
            ]
        })
        .collect();
    lines.extend(terminal::columns(&rows));
    lines.join("\n")
}

fn machine(figures: &Figures) -> String {
    let build = if figures.machine.debug_build {
        ", a build that is NOT optimised"
    } else {
        ""
    };
    format!("On {} cores{build}.", figures.machine.cores)
}

fn of_engine(engine: &Engine) -> Vec<String> {
    let mut lines = vec![
        "\nThe engine: three steps of a service that answers at once, from `execute_playbook` to the end."
            .to_owned(),
    ];
    lines.extend(of_loads(engine.closed.iter().chain(&engine.open)));
    lines.extend(engine.waiting.iter().flat_map(of_waiting));
    lines.extend(engine.recovery.iter().map(of_recovery));
    lines.extend(
        engine
            .history
            .iter()
            .flat_map(|history| of_history(history, "executions")),
    );
    lines
}

fn of_history(history: &History, of: &str) -> Vec<String> {
    let head = format!(
        "\n{} finished {of} in the tables (laid down in {:.0} s): {:.1} % slower",
        history.executions,
        history.laid_down_in_s,
        history.slower * 100.0
    );
    [
        vec![head],
        of_loads([&history.before, &history.after].into_iter()),
    ]
    .concat()
}

fn of_ticket(ticket: &Ticket) -> Vec<String> {
    let mut lines = vec![
        "\nThe ticket: from the help desk's webhook through all six services to the last write-back."
            .to_owned(),
    ];
    lines.extend(of_loads(ticket.closed.iter().chain(&ticket.open)));
    lines.extend(ticket.waiting.iter().flat_map(of_waiting));
    lines.extend(ticket.recovery.iter().map(of_recovery));
    lines.extend(
        ticket
            .history
            .iter()
            .flat_map(|history| of_history(history, "tickets")),
    );
    lines
}

fn of_gate(gate: &Gate) -> Vec<String> {
    let mut lines = vec![
        "\nThe gate: from the ticket filed at the help desk to the stored decision, with the embedded classifier."
            .to_owned(),
    ];
    lines.extend(of_loads(gate.closed.iter().chain(&gate.open)));
    lines.extend(gate.burst.iter().map(of_burst));
    lines.push(format!(
        "\nThe classifier's memory: {:.0} MiB with its model loaded (in {:.2} s), {:.0} after all loads, {:.0} at most",
        gate.memory.started_mib, gate.model_loaded_in_s, gate.memory.loaded_mib, gate.memory.most_mib
    ));
    lines
}

fn of_burst(burst: &Burst) -> String {
    format!(
        "\n{} at once: decided on in {:.1} s ({:.1} a second), p50 {:.1} s, {} lost; {:.1} ms of our CPU each, {:.1} of\n  Postgres'; the classifier has {:.0} MiB then",
        burst.tickets,
        burst.decided_in_s,
        burst.per_second,
        burst.latency_ms.p50 / 1000.0,
        burst.lost,
        burst.cpu_s.ours,
        burst.cpu_s.postgres,
        burst.memory_mib
    )
}

/// Each beside what Postgres alone gets done of workflows of five dependent commits.
fn of_loads<'l>(loads: impl Iterator<Item = &'l Load>) -> Vec<String> {
    let rows: Vec<Vec<String>> = loads.map(row).collect();
    if rows.is_empty() {
        return rows.concat();
    }
    let table = [vec![heads()], rows].concat();
    [vec![String::new()], terminal::columns(&table)].concat()
}

fn of_waiting(waiting: &Waiting) -> [String; 2] {
    [
        format!(
            "\n{} waiting: {:.0} bytes of memory each ({:.1} MiB before, {:.1} while they wait); finished {:.1} s after the first was\n  released ({:.0} a second)",
            waiting.executions,
            waiting.bytes_each,
            waiting.memory_before_mib,
            waiting.memory_waiting_mib,
            waiting.released_in_s,
            f64::from(waiting.executions) / waiting.released_in_s,
        ),
        format!(
            "  idle: {:.1} ms of CPU a second before, {:.1} ms while they wait",
            waiting.idle_before.cpu_ms_per_second, waiting.idle_waiting.cpu_ms_per_second
        ),
    ]
}

fn of_recovery(recovery: &Recovery) -> String {
    format!(
        "\n{} in flight at a kill -9 of orchestration: finished {:.2} s after it was started again",
        recovery.in_flight, recovery.finished_in_s
    )
}

fn heads() -> Vec<String> {
    let heads = [
        "  load",
        "per s",
        "pgbench",
        "ratio",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "commits",
        "told after s",
        "CPU s per 1000: ours",
        "Postgres",
        "Redis",
        "outside",
        "memory MiB",
        "failed",
    ];
    heads.map(str::to_owned).into()
}

fn row(load: &Load) -> Vec<String> {
    vec![
        format!("  {}", pace(load.pace)),
        format!("{:.1}", load.per_second),
        format!("{:.1}", load.probe.workflows_per_second),
        format!("{:.3}", load.ratio),
        format!("{:.1}", load.latency_ms.p50),
        format!("{:.1}", load.latency_ms.p95),
        format!("{:.1}", load.latency_ms.p99),
        format!("{:.2}", load.commits_each),
        format!("{:.2}", load.write_backs_s),
        format!("{:.2}", load.cpu_s.ours),
        format!("{:.2}", load.cpu_s.postgres),
        format!("{:.2}", load.cpu_s.redis),
        format!("{:.2}", load.cpu_s.outside),
        format!("{:.0}", load.memory_mib),
        load.failed.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Cpu, Idle, Latency, Machine, Memory, Pace, Probe};
    use super::super::verdict;
    use super::*;

    fn load(pace: Pace, per_second: f64, alone: f64, commits_each: f64) -> Load {
        let probe = Probe {
            clients: 32,
            commits: 5,
            workflows_per_second: alone,
        };
        Load {
            pace,
            finished: 1000,
            failed: 0,
            per_second,
            latency_ms: Latency {
                p50: 12.04,
                p95: 20.5,
                p99: 31.25,
                longest: 40.0,
            },
            cpu_s: Cpu {
                ours: 1.5,
                postgres: 2.25,
                redis: 0.125,
                outside: 0.5,
            },
            memory_mib: 81.5,
            commits_each,
            write_backs_s: 0.5,
            probe,
            ratio: per_second / alone,
        }
    }

    fn recovery(lost: u32) -> Recovery {
        Recovery {
            in_flight: 1000,
            finished_in_s: 2.5,
            lost,
            repeated: 0,
        }
    }

    fn gate() -> Gate {
        Gate {
            model_loaded_in_s: 0.55,
            memory: Memory {
                started_mib: 180.0,
                loaded_mib: 239.0,
                most_mib: 260.0,
            },
            closed: vec![load(Pace::AtOnce(32), 14.9, 1000.0, 2.0)],
            open: Some(load(Pace::PerSecond(15.0), 15.0, 1000.0, 2.0)),
            burst: Some(Burst {
                tickets: 1000,
                decided_in_s: 40.0,
                per_second: 24.975,
                latency_ms: Latency {
                    p50: 20_000.0,
                    p95: 38_000.0,
                    p99: 39_900.0,
                    longest: 40_000.0,
                },
                lost: 1,
                stored: 999,
                cpu_s: Cpu {
                    ours: 60.5,
                    postgres: 5.25,
                    ..Cpu::default()
                },
                memory_mib: 230.0,
            }),
        }
    }

    fn waiting(failed: u32) -> Waiting {
        let idle = Idle {
            transactions_per_second: 2.5,
            calls_per_second: 0.0,
            cpu_ms_per_second: 0.75,
        };
        Waiting {
            executions: 10_000,
            memory_before_mib: 80.0,
            memory_waiting_mib: 88.0,
            bytes_each: 838.9,
            idle_before: idle,
            idle_waiting: idle,
            released_in_s: 20.0,
            failed,
        }
    }

    fn history(load: Load) -> History {
        History {
            executions: 1_000_000,
            laid_down_in_s: 200.0,
            before: load.clone(),
            after: load,
            slower: 0.0,
        }
    }

    fn figures() -> Figures {
        let closed = vec![
            load(Pace::AtOnce(1), 40.0, 100.0, 5.0),
            load(Pace::AtOnce(32), 250.0, 1000.0, 1.25),
            load(Pace::AtOnce(100), 240.0, 1200.0, 0.5),
            load(Pace::AtOnce(1000), 100.0, 1200.0, 0.5),
        ];
        Figures {
            machine: Machine {
                cores: 2,
                debug_build: false,
            },
            engine: Some(Engine {
                closed: closed.clone(),
                open: Some(load(Pace::PerSecond(125.0), 125.0, 1000.0, 5.5)),
                waiting: Some(waiting(0)),
                recovery: Some(recovery(0)),
                history: Some(history(closed[1].clone())),
            }),
            ticket: Some(Ticket {
                closed: vec![load(Pace::AtOnce(100), 90.0, 1000.0, 12.0)],
                open: None,
                waiting: Some(waiting(2)),
                recovery: Some(recovery(1)),
                history: Some(history(load(Pace::AtOnce(32), 70.0, 1000.0, 12.0))),
            }),
            gate: Some(gate()),
        }
    }

    #[test]
    fn people_read_tables_and_what_was_missed() {
        let figures = figures();
        insta::assert_snapshot!(text(&figures, &verdict::of(&figures)));
    }

    #[test]
    fn machines_read_the_same_and_only_what_was_measured() {
        let figures = Figures {
            engine: None,
            ..figures()
        };
        insta::assert_snapshot!(json(&figures, &verdict::of(&figures)).unwrap());
    }

    #[test]
    fn a_lost_ticket_is_more_than_a_figure() {
        let mut figures = figures();
        assert!(!figures.unharmed());
        figures.ticket = None;
        assert!(!figures.unharmed());
        figures.gate = None;
        assert!(figures.unharmed());
    }
}
