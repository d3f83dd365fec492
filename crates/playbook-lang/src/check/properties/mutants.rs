//! Mutants of the shipped playbooks: whichever edge is dropped or led elsewhere, none that is unsafe passes.

use common::StepId;

use super::model::Flat;
use super::{shelf_of_shipped, shipped, unchecked_calling};
use crate::check::check_calling;
use crate::document::Document;
use crate::findings::Findings;
use crate::print::print;
use crate::registry::Registry;
use crate::{read, yaml};

/// A playbook of many steps has more mutants than anybody waits for: every so many of them are taken.
const MOST: usize = 100;

fn mutants(document: &Document) -> Vec<Document> {
    let ids: Vec<StepId> = document.steps.iter().map(|step| step.id.value.clone()).collect();
    let mut mutants = Vec::new();
    for (number, step) in document.steps.iter().enumerate() {
        for edge in 0..step.edges.len() {
            let mut dropped = document.clone();
            dropped.steps[number].edges.remove(edge);
            mutants.push(dropped);
            for id in &ids {
                let mut led = document.clone();
                led.steps[number].edges[edge].target.value = id.clone();
                mutants.push(led);
            }
        }
    }
    let every = mutants.len().div_ceil(MOST).max(1);
    mutants.into_iter().step_by(every).collect()
}

#[test]
fn no_unsafe_mutant_of_a_shipped_playbook_passes() {
    let registry = Registry::builtin();
    let shelf = shelf_of_shipped();
    let (mut refused, mut passed, mut unsafe_ones) = (0, 0, 0);
    for (name, source) in shipped() {
        let mut findings = Findings::default();
        let document = read::document(yaml::parse(&source, &mut findings).unwrap(), &mut findings);
        for mutant in mutants(&document) {
            let mutant = print(&mutant);
            let ok = check_calling(&mutant, &registry, &shelf).ok();
            // A mutant that cannot even be compiled leads nowhere.
            let wrong = match unchecked_calling(&mutant, &registry, &shelf) {
                Some(playbook) if ok || !crosses_branches(&playbook) => {
                    Flat::of_playbook(&playbook).wrong().unwrap_or_default()
                }
                _ => std::collections::BTreeSet::new(),
            };
            assert!(!ok || wrong.is_empty(), "{name} passed with {wrong:?}:\n{mutant}");
            unsafe_ones += usize::from(!wrong.is_empty());
            if ok { passed += 1 } else { refused += 1 }
        }
    }
    assert!(
        refused > 40 && passed > 8 && unsafe_ones > 10,
        "{refused} refused, {passed} passed, {unsafe_ones} unsafe"
    );
}

/// Brute force walks no edge into or out of a branch; that there is one is a finding of its own.
fn crosses_branches(playbook: &crate::Playbook) -> bool {
    playbook.steps().any(|step| {
        step.edges
            .values()
            .filter_map(|to| playbook.step(to))
            .any(|to| to.within != step.within)
    })
}
