//! The shipped library of playbooks: each is clean, its stories come out as told and follow every edge, and what may be
//! activated is what the fleet can do today.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so at once")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use playbook_lang::{
    Playbook, Registry, Report, Run, Scenario, Shelf, StepKind, check_calling, coverage, scenarios, simulate,
};

/// Those whose every action exists. A playbook joins them when its last planned action does.
const MAY_BE_ACTIVATED: [&str; 2] = ["password_reset", "verify_requester"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks")
}

/// Every playbook by the name of its file, without the scenarios beside them.
fn sources() -> BTreeMap<String, String> {
    std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let name = name.strip_suffix(".yml")?;
            let playbook = !name.ends_with(".scenarios");
            playbook.then(|| {
                let source = std::fs::read_to_string(entry.path()).unwrap();
                (name.to_owned(), source)
            })
        })
        .collect()
}

/// Every playbook checked as the library is published: each may call all others.
fn library() -> BTreeMap<String, Report> {
    let sources = sources();
    let mut shelf = Shelf::default();
    for (name, source) in &sources {
        assert!(shelf.put(source), "{name} cannot be read");
    }
    let registry = Registry::builtin();
    sources
        .into_iter()
        .map(|(name, source)| {
            let report = check_calling(&source, &registry, &shelf);
            (name, report)
        })
        .collect()
}

#[test]
fn every_playbook_of_the_library_is_clean() {
    let mut findings = String::new();
    for (name, report) in library() {
        for finding in report.findings {
            let _ = writeln!(
                findings,
                "{name}.yml:{}:{}: {} [{}] {:?}",
                finding.line, finding.column, finding.message, finding.code, finding.path
            );
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn every_playbook_is_called_as_its_file_and_says_what_it_is_for() {
    for (name, report) in library() {
        let playbook = report.playbook.unwrap();
        assert_eq!(playbook.name().as_str(), name);
        assert!(!playbook.description().is_empty(), "{name}");
        // One that is called by others only stands for no tickets.
        let helper = playbook.category().is_empty();
        assert_eq!(helper, playbook.examples().is_empty(), "{name}");
        assert!(
            helper || playbook.examples().len() >= 6,
            "{name} has few examples"
        );
        assert!(helper || playbook.sub_category().is_some(), "{name}");
    }
}

#[test]
fn no_two_playbooks_share_an_example() {
    let mut seen = BTreeMap::new();
    for (name, report) in library() {
        for example in report.playbook.unwrap().examples() {
            if let Some(other) = seen.insert(example.to_lowercase(), name.clone()) {
                panic!("`{example}` stands in {other} and in {name}");
            }
        }
    }
}

#[test]
fn what_may_be_activated_is_what_needs_nothing_that_is_only_planned() {
    for (name, report) in library() {
        let playbook = report.playbook.unwrap();
        let ready = MAY_BE_ACTIVATED.contains(&name.as_str());
        assert_eq!(
            playbook.planned().is_empty(),
            ready,
            "{name}: {:?}",
            playbook.planned()
        );
        assert!(ready || !playbook.enabled(), "{name} cannot be enabled yet");
    }
}

/// By hand: what touches an account, a right or a licence wants proof, and what only asks, tells and passes on does not.
#[test]
fn what_acts_on_somebodys_account_says_that_it_is_privileged() {
    let harmless = [
        "network_connectivity",
        "printer_trouble",
        "verify_requester",
        "vpn_trouble",
    ];
    for (name, report) in library() {
        let privileged = report.playbook.unwrap().is_privileged();
        assert_eq!(privileged, !harmless.contains(&name.as_str()), "{name}");
    }
}

/// The stories beside a playbook, each with what came of it.
fn stories(name: &str, playbook: &Playbook) -> Vec<(Scenario, Run)> {
    let path = folder().join(format!("{name}.scenarios.yml"));
    let source = std::fs::read_to_string(&path).unwrap();
    let file = scenarios(&source).unwrap_or_else(|findings| panic!("{}: {findings:#?}", path.display()));
    assert_eq!(file.playbook, *playbook.name(), "{}", path.display());
    file.list
        .into_iter()
        .map(|scenario| {
            let run = simulate(playbook, &scenario);
            (scenario, run)
        })
        .collect()
}

#[test]
fn every_story_comes_out_as_told() {
    let mut complaints = String::new();
    for (name, report) in library() {
        let playbook = report.playbook.unwrap();
        for (scenario, run) in stories(&name, &playbook) {
            if !run.passed {
                let _ = writeln!(complaints, "{name}: {}: {:?}", scenario.name, run.complaints);
            }
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn the_stories_of_each_playbook_follow_every_edge_and_reach_every_bound() {
    let mut missing = String::new();
    for (name, report) in library() {
        let playbook = report.playbook.unwrap();
        let runs: Vec<Run> = stories(&name, &playbook)
            .into_iter()
            .map(|(_, run)| run)
            .collect();
        let coverage = coverage(&playbook, &runs);
        println!(
            "{name}: {} stories, {} of {} edges, {:.0} %",
            runs.len(),
            coverage.covered,
            coverage.total,
            coverage.percent()
        );
        for edge in coverage.missing {
            let _ = writeln!(missing, "{name}: {edge}");
        }
        for bound in coverage.unreached {
            let _ = writeln!(missing, "{name}: {bound}");
        }
    }
    assert!(missing.is_empty(), "\n{missing}");
}

/// An execution that escalates by itself (a permit is missing, a parameter is not there) leaves a person with a reason
/// that nobody wrote for them. Only a loop whose patience ends may: its stories leave their path out.
#[test]
fn whoever_takes_over_is_told_a_reason_that_somebody_wrote() {
    for (name, report) in library() {
        let playbook = report.playbook.unwrap();
        for (scenario, run) in stories(&name, &playbook) {
            if scenario.expect.path.is_none() {
                continue;
            }
            let last = run.path.last().and_then(|id| playbook.step(id)).unwrap();
            assert!(
                matches!(last.kind, StepKind::Terminal | StepKind::Escalation { .. }),
                "{name}: {} ends at `{}`: {:?}",
                scenario.name,
                last.id,
                run.ending
            );
        }
    }
}
