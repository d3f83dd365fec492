//! The reference tells the truth: every playbook in it passes the checks, and it names every finding there is.

use playbook_lang::{Registry, Shelf, check_calling};

const REFERENCE: &str = include_str!("../../../docs/playbooks.md");

/// The blocks of YAML in the reference.
fn examples() -> Vec<&'static str> {
    REFERENCE
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[test]
fn every_example_in_the_reference_is_a_playbook_without_findings() {
    let mut shelf = Shelf::default();
    let examples = examples();
    assert!(examples.len() >= 8, "the examples are found");
    for example in &examples {
        assert!(shelf.put(example), "{example}");
    }
    for example in examples {
        let report = check_calling(example, &Registry::builtin(), &shelf);
        assert!(
            report.ok() && report.findings.is_empty(),
            "{:#?}\n{example}",
            report.findings
        );
    }
}

#[test]
fn the_reference_names_every_finding() {
    let codes = include_str!("../src/findings.rs")
        .lines()
        .filter(|line| line.trim_start().starts_with("pub const "))
        .filter_map(|line| line.split('"').nth(1));
    let missing: Vec<&str> = codes
        .filter(|code| !REFERENCE.contains(&format!("`{code}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_reference_lists_every_action_that_is_offered() {
    for action in Registry::builtin().actions().filter(|action| !action.planned) {
        assert!(
            REFERENCE.contains(&format!("| `{}` |", action.name)),
            "{}",
            action.name
        );
    }
}
