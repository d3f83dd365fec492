//! The figures for people and for machines. Pure.

use serde::Serialize;

use super::figures::{Engine, Figures, Load};
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
        lines.extend(told(engine));
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

fn told(engine: &Engine) -> Vec<String> {
    let mut lines = vec![
        "\nThe engine: three steps of a service that answers at once, from `execute_playbook` to the end."
            .to_owned(),
        "Beside it what Postgres alone gets done of workflows of five dependent commits (pgbench).\n"
            .to_owned(),
    ];
    let loads = engine.closed.iter().chain(&engine.open);
    let history = engine
        .history
        .iter()
        .flat_map(|history| [&history.before, &history.after]);
    let rows: Vec<Vec<String>> = loads.chain(history).map(row).collect();
    if !rows.is_empty() {
        lines.extend(terminal::columns(&[vec![heads()], rows].concat()));
    }
    if let Some(waiting) = &engine.waiting {
        lines.push(format!(
            "\n{} waiting: {:.0} bytes of memory each; released and finished in {:.1} s ({:.0} a second)",
            waiting.executions,
            waiting.bytes_each,
            waiting.released_in_s,
            f64::from(waiting.executions) / waiting.released_in_s,
        ));
        lines.push(format!(
            "  idle: {:.1} ms of CPU a second before, {:.1} ms while they wait",
            waiting.idle_before.cpu_ms_per_second, waiting.idle_waiting.cpu_ms_per_second
        ));
    }
    if let Some(recovery) = &engine.recovery {
        lines.push(format!(
            "\n{} in flight at a kill -9: finished {:.2} s after the restart",
            recovery.in_flight, recovery.finished_in_s
        ));
    }
    if let Some(history) = &engine.history {
        lines.push(format!(
            "\n{} finished executions in the tables (laid down in {:.0} s): {:.1} % slower",
            history.executions,
            history.laid_down_in_s,
            history.slower * 100.0
        ));
    }
    lines
}

fn heads() -> Vec<String> {
    let heads = [
        "  load",
        "per s",
        "Postgres",
        "ratio",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "commits",
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
        format!("{:.2}", load.cpu_s.ours),
        format!("{:.2}", load.cpu_s.postgres),
        format!("{:.2}", load.cpu_s.redis),
        format!("{:.2}", load.cpu_s.outside),
        format!("{:.0}", load.memory_mib),
        load.failed.to_string(),
    ]
}
