//! The checks: what is wrong with a document, where, and how to mend it. A document without errors becomes a
//! [`Playbook`]; there is no other way to one.

mod budget;
mod compile;
mod expand;
mod graph;
mod library;
mod must;
mod names;
mod order;
mod paths;
mod permits;
#[cfg(test)]
pub(crate) mod properties;
mod scope;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

use common::{Finding, StepId};

use crate::document::{Document, StepDocument};
use crate::findings::{Findings, code};
use crate::playbook::Playbook;
use crate::registry::Registry;
use crate::{read, yaml};
use expand::Whole;
use graph::Graph;
pub use library::{Shelf, calls};

/// What `check` says about a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Present if and only if there is no finding of severity `error`.
    pub playbook: Option<Playbook>,
    /// Everything that was found, in the order of the document.
    pub findings: Vec<Finding>,
}

impl Report {
    /// It may be published.
    pub fn ok(&self) -> bool {
        self.playbook.is_some()
    }
}

/// Check a document that calls no other playbook against what the services offer.
pub fn check(source: &str, registry: &Registry) -> Report {
    check_calling(source, registry, &Shelf::default())
}

/// Check a document against what the services offer and the playbooks that it may call.
pub fn check_calling(source: &str, registry: &Registry, shelf: &Shelf) -> Report {
    let mut findings = Findings::default();
    let document = yaml::parse(source, &mut findings).map(|root| read::document(root, &mut findings));
    let playbook = document.and_then(|document| {
        let (graph, whole) = examine(&document, registry, shelf, &mut findings);
        if findings.any_error() {
            return None;
        }
        compile::playbook(&document, &graph, &whole, source)
    });
    Report {
        playbook,
        findings: findings.in_order(),
    }
}

/// Check the bytes of a file. What is no UTF-8 is a finding that says where, and what it is instead where that can be
/// told.
pub fn check_bytes(bytes: &[u8], registry: &Registry, shelf: &Shelf) -> Report {
    match yaml::text(bytes) {
        Ok(source) => check_calling(source, registry, shelf),
        Err((at, message)) => {
            let mut findings = Findings::default();
            findings.error(code::SYNTAX, at, message);
            Report {
                playbook: None,
                findings: findings.in_order(),
            }
        }
    }
}

/// The steps of the document itself with each edge that leads to a step that is not there.
pub(crate) fn undefined<'d>(
    document: &'d Document,
    registry: &Registry,
    shelf: &Shelf,
) -> Vec<(&'d StepDocument, &'d StepId)> {
    let mut findings = Findings::default();
    let mut whole = Whole::of(document, shelf, &mut findings);
    let graph = Graph::of(&mut whole, registry, &mut findings);
    let missing = |target: &StepId| {
        whole.resolve(target) == Some(target)
            && graph.find(target).is_none()
            && !whole.unread.contains(target)
    };
    let edges = document
        .steps
        .iter()
        .flat_map(|step| step.edges.iter().map(move |edge| (step, &edge.target.value)));
    edges.filter(|(_, target)| missing(target)).collect()
}

/// Every check, each on its own: one finding keeps none of the others from being made.
fn examine<'d>(
    document: &'d Document,
    registry: &'d Registry,
    shelf: &'d Shelf,
    findings: &mut Findings,
) -> (Graph<'d>, Whole<'d>) {
    let mut whole = Whole::of(document, shelf, findings);
    let graph = Graph::of(&mut whole, registry, findings);
    steps::check(&graph, registry, findings);
    names::check(document, &graph, &whole, findings);
    paths::check(&graph, findings);
    budget::check(document, &graph, findings);
    if !findings.any_error() {
        steps::missing_undos(&graph, registry, findings);
    }
    (graph, whole)
}
