//! `firstline playbook simulate`: the scenarios beside a playbook, run in no time, and which edges they cover.

use std::path::Path;

use common::Severity;
use playbook_lang::{Coverage, Edge, Playbook, Run, Scenarios, coverage, generate, scenarios, simulate};
use serde_json::{Value, json};

use super::documents::{Documents, holds_scenarios, scenarios_of, source};
use super::tell;
use crate::exit::{BadInput, Ending};
use crate::terminal;

/// What counts, and how to tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Per cent of the edges.
    pub(super) least: Option<f64>,
    pub(super) generate: bool,
    pub(super) json: bool,
}

/// One playbook with its scenarios run.
struct Simulated {
    runs: Vec<Run>,
    coverage: Coverage,
}

pub(super) fn run(documents: &Documents, how: &How) -> anyhow::Result<Ending> {
    let mut ending = Ending::Well;
    let mut told = Vec::new();
    // `playbooks/*.yml` names the scenarios, too; they are run with their playbook.
    for document in documents
        .list
        .iter()
        .filter(|document| !holds_scenarios(&document.file))
    {
        let file = document.file.as_path();
        let text = document.source.clone().map_err(BadInput)?;
        let report = documents.check(&text);
        let Some(playbook) = report.playbook else {
            tell::findings(file, &text, &report.findings);
            return Err(BadInput(format!("{} does not pass the checks", file.display())).into());
        };
        let simulated = one(file, &playbook, how)?;
        let enough = how
            .least
            .is_none_or(|least| simulated.coverage.percent() >= least);
        if !enough || simulated.runs.iter().any(|run| !run.passed) {
            ending = Ending::Findings;
        }
        if how.json {
            told.push(as_json(file, &simulated));
        } else {
            tell_people(file, &simulated, how);
        }
    }
    if how.json {
        terminal::line(&serde_json::to_string_pretty(&told)?);
    }
    Ok(ending)
}

fn one(file: &Path, playbook: &Playbook, how: &How) -> anyhow::Result<Simulated> {
    let beside = scenarios_of(file);
    let mut written = if beside.exists() {
        source(&beside).map_err(BadInput)?
    } else if how.generate {
        format!("playbook: {}\nscenarios:\n", playbook.name())
    } else {
        let message = format!(
            "{} has no scenarios: write {}, or let `--generate` begin it",
            file.display(),
            beside.display()
        );
        return Err(BadInput(message).into());
    };
    let mut runs = Vec::new();
    if beside.exists() {
        let scenarios = read(&beside, &written, playbook)?;
        runs = all(playbook, &scenarios);
    }
    if how.generate {
        let further = generate(playbook, &runs);
        if !further.trim().is_empty() {
            if !written.ends_with('\n') {
                written.push('\n');
            }
            written.push_str(&further);
            std::fs::write(&beside, &written)
                .map_err(|error| BadInput(format!("cannot write {}: {error}", beside.display())))?;
            if !how.json {
                terminal::line(&format!(
                    "{}: wrote scenarios for what none covered",
                    beside.display()
                ));
            }
            runs = all(playbook, &read(&beside, &written, playbook)?);
        }
    }
    let coverage = coverage(playbook, &runs);
    Ok(Simulated { runs, coverage })
}

fn read(file: &Path, written: &str, playbook: &Playbook) -> anyhow::Result<Scenarios> {
    let scenarios = scenarios(written).map_err(|findings| {
        tell::findings(file, written, &findings);
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        BadInput(format!("{} cannot be read: {errors} findings", file.display()))
    })?;
    if scenarios.playbook != *playbook.name() {
        let message = format!(
            "{} is for the playbook `{}`, not for `{}`",
            file.display(),
            scenarios.playbook,
            playbook.name()
        );
        return Err(BadInput(message).into());
    }
    Ok(scenarios)
}

fn all(playbook: &Playbook, scenarios: &Scenarios) -> Vec<Run> {
    scenarios
        .list
        .iter()
        .map(|scenario| simulate(playbook, scenario))
        .collect()
}

fn edge(edge: &Edge) -> String {
    let to = edge
        .to
        .as_ref()
        .map_or("a person, by itself".to_owned(), |to| format!("`{to}`"));
    format!("`{}` {} -> {to}", edge.from, edge.outcome)
}

fn tell_people(file: &Path, simulated: &Simulated, how: &How) {
    let Simulated { runs, coverage } = simulated;
    for run in runs.iter().filter(|run| !run.passed) {
        terminal::line(&format!("{}: FAILED {}", file.display(), run.name));
        for complaint in &run.complaints {
            terminal::line(&format!("    {complaint}"));
        }
    }
    let passed = runs.iter().filter(|run| run.passed).count();
    terminal::line(&format!(
        "{}: {passed} of {} scenarios pass, {} of {} edges covered ({:.0} %)",
        file.display(),
        runs.len(),
        coverage.covered,
        coverage.total,
        coverage.percent()
    ));
    for missing in &coverage.missing {
        terminal::line(&format!("    not covered: {}", edge(missing)));
    }
    for bound in &coverage.unreached {
        terminal::line(&format!(
            "    not covered: `{}` more than {} visits -> a person, by itself",
            bound.step, bound.most
        ));
    }
    if let Some(least) = how.least.filter(|least| coverage.percent() < *least) {
        terminal::line(&format!(
            "    below the {least:.0} % asked for; `--generate` writes scenarios for what is missing"
        ));
    }
}

fn as_json(file: &Path, simulated: &Simulated) -> Value {
    let Simulated { runs, coverage } = simulated;
    let edges: Vec<Value> = coverage
        .missing
        .iter()
        .map(|edge| json!({"from": edge.from, "outcome": edge.outcome, "to": edge.to}))
        .collect();
    let bounds: Vec<Value> = coverage
        .unreached
        .iter()
        .map(|bound| json!({"step": bound.step, "max_visits": bound.most}))
        .collect();
    let scenarios: Vec<Value> = runs
        .iter()
        .map(|run| {
            json!({
                "name": run.name, "passed": run.passed, "complaints": run.complaints,
                "path": run.path, "took_s": run.took.as_secs(),
            })
        })
        .collect();
    json!({
        "file": file.display().to_string(),
        "passed": runs.iter().all(|run| run.passed),
        "scenarios": scenarios,
        "coverage": {
            "covered": coverage.covered, "total": coverage.total, "percent": coverage.percent(), "missing": edges,
            "unreached": bounds,
        },
    })
}
