//! What must hold of any graph: the checks agree with brute force, a reported path really leads there, no mutant of a
//! shipped playbook acts on an unverified person, and no text makes the check panic.

mod budget;
mod certain;
mod model;
mod mutants;
mod proof;
mod texts;

use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

pub(crate) use model::blocks;

const SERVICES: [&str; 4] = [
    "verification.mfa",
    "verification.manager",
    "executor.reset_password",
    "delivery.sms",
];

/// A step of a random graph: which service, and where success, failure, denial and time-out lead.
pub(crate) type RandomStep = (usize, usize, usize, Option<usize>, Option<usize>);

/// `least..=most` action steps; targets are steps or, beyond the last, the two endings.
pub(crate) fn graphs(least: usize, most: usize) -> impl Strategy<Value = Vec<RandomStep>> {
    (least..=most).prop_flat_map(|count| {
        let to = 0..count + 2;
        let step = (
            0..SERVICES.len(),
            to.clone(),
            to.clone(),
            proptest::option::of(to.clone()),
            proptest::option::of(to),
        );
        proptest::collection::vec(step, count)
    })
}

/// The graph as a playbook. Every step may be entered three times, so that loops are allowed.
pub(crate) fn written(graph: &[RandomStep]) -> String {
    let name = |target: usize| match target.checked_sub(graph.len()) {
        None => format!("s{target}"),
        Some(0) => "done".to_owned(),
        Some(_) => "person".to_owned(),
    };
    let mut source = "name: random\nversion: \"1\"\nsteps:\n".to_owned();
    for (index, (service, success, failure, denied, timeout)) in graph.iter().enumerate() {
        let _ = write!(
            source,
            "- id: s{index}\n  service: {}\n  max_visits: 3\n  retry: {{max_attempts: 2}}\n  on_success: {}\n  on_failure: {}\n",
            SERVICES[*service],
            name(*success),
            name(*failure)
        );
        if let Some(denied) = denied {
            let _ = writeln!(source, "  on_denied: {}", name(*denied));
        }
        if let Some(timeout) = timeout {
            let _ = writeln!(source, "  on_timeout: {}", name(*timeout));
        }
    }
    source + "- {id: done, type: terminal, status: RESOLVED}\n- {id: person, type: escalation, reason: r}\n"
}

/// The playbook of `source` whatever is wrong with it, as long as everything it names exists.
pub(crate) fn unchecked(source: &str) -> Option<Playbook> {
    unchecked_calling(source, &Registry::builtin(), &Shelf::default())
}

fn unchecked_calling(source: &str, registry: &Registry, shelf: &Shelf) -> Option<Playbook> {
    let mut findings = Findings::default();
    let document = read::document(yaml::parse(source, &mut findings)?, &mut findings);
    let (graph, whole) = examine(&document, registry, shelf, &mut findings);
    compile::playbook(&document, &graph, &whole, source)
}

/// A random playbook in brackets whose bad ending is not written.
pub(crate) fn flow_without_person(block: &model::Block) -> String {
    model::written(block, model::Direction::Anywhere, "")
        .source
        .replacen(
            ",\n  {id: person, type: escalation, reason: r}]\n",
            "]\n",
            usize::MAX,
        )
}

/// The playbooks that are shipped, by file name.
pub(crate) fn shipped() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let mut shipped: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    shipped.sort();
    assert!(!shipped.is_empty());
    shipped
}

/// All of them, to be called by one another.
pub(crate) fn shelf_of_shipped() -> Shelf {
    let mut shelf = Shelf::default();
    for (_, source) in shipped() {
        shelf.put(&source);
    }
    shelf
}
