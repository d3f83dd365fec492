//! What dashboards and alerts ask for is what the code counts: a figure under an old name is silent for ever, and silence
//! looks like health.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Every name of a metric in `text`.
fn metrics(text: &str) -> BTreeSet<&str> {
    let word = |character: char| character.is_ascii_lowercase() || character == '_';
    text.match_indices("firstline_")
        .map(|(at, _)| &text[at..])
        .map(|rest| rest.split(|character| !word(character)).next().unwrap())
        .collect()
}

/// As the code names it: Prometheus adds these to a histogram.
fn counted(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

fn sources(directory: &Path, all: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// What the services and what they stand on say of themselves.
fn code() -> String {
    let mut all = String::new();
    for part in ["services", "crates/chassis/src", "crates/connectors/src"] {
        sources(&root().join(part), &mut all);
    }
    // Calls of any length look alike.
    all.split_whitespace().collect()
}

#[test]
fn every_metric_that_is_watched_is_one_that_the_code_counts() {
    let code = code();
    for file in [
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/grafana/firstline.json",
        "docs/operating.md",
    ] {
        let text = read(file);
        let asked = metrics(&text);
        assert!(asked.len() > 2, "{file}: {asked:?}");
        for name in asked {
            let counted = counted(name);
            let counts = |how: &str| {
                let call = format!("{how}!(\"{counted}\"");
                let mut calls = code.match_indices(&call);
                // To describe a figure is not to count it.
                calls.any(|(at, _)| !code[..at].ends_with("describe_"))
            };
            assert!(
                ["counter", "gauge", "histogram"].iter().any(|how| counts(how)),
                "{file}: nothing counts `{counted}`"
            );
        }
    }
}

#[test]
fn every_alert_says_what_happened_and_what_to_do() {
    let text = read("deploy/prometheus/alerts.yml");
    let rules: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let name = rule.lines().next().unwrap();
        for told in ["expr: ", "summary: ", "description: "] {
            assert!(rule.contains(told), "{name} has no {told}");
        }
        let for_somebody = ["{severity: page}", "{severity: ticket}"];
        assert!(
            for_somebody.iter().any(|it| rule.contains(it)),
            "{name} is for nobody"
        );
    }
}

#[test]
fn every_panel_of_the_dashboard_has_a_title_a_question_and_words() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/firstline.json")).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its number is taken"
        );
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].is_string(), "{title} explains nothing");
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("firstline"), "{title} asks `{expr}`");
        }
    }
}
