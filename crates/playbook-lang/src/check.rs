//! The checks: what is wrong with a document, where, and how to mend it. A document without errors becomes a
//! [`Playbook`]; there is no other way to one.

mod graph;
mod paths;
#[cfg(test)]
pub(crate) mod properties;
mod steps;
#[cfg(test)]
mod tests;

use std::time::Duration;

use common::{Digest, Finding, PlaybookRef};
use indexmap::IndexMap;

use crate::document::{ActionDocument, Document, KindDocument, StepDocument};
use crate::findings::Findings;
use crate::playbook::{ActionStep, Playbook, Step, StepKind};
use crate::registry::Registry;
use crate::{read, yaml};
use graph::Graph;

/// An execution may take this long where the playbook names no `budget`.
const DEFAULT_BUDGET: Duration = Duration::from_hours(24);

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

/// Check a document against what the services offer.
pub fn check(source: &str, registry: &Registry) -> Report {
    let mut findings = Findings::default();
    let document = yaml::parse(source, &mut findings).map(|root| read::document(root, &mut findings));
    let playbook = document.and_then(|document| {
        let graph = Graph::of(&document, registry, &mut findings);
        steps::check(&graph, registry, &mut findings);
        paths::check(&graph, &mut findings);
        if findings.any_error() {
            return None;
        }
        build(&document, &graph, source)
    });
    Report {
        playbook,
        findings: findings.in_order(),
    }
}

/// `None` where something is missing, which is a finding already.
fn build(document: &Document, graph: &Graph<'_>, source: &str) -> Option<Playbook> {
    let reference = PlaybookRef {
        name: document.name.clone()?,
        version: document.version.clone()?,
        digest: Digest::of(source),
    };
    let steps = document
        .steps
        .iter()
        .map(|written| Some((written.id.value.clone(), step(written, graph)?)))
        .collect::<Option<IndexMap<_, _>>>()?;
    Some(Playbook {
        reference,
        enabled: document.enabled,
        description: document.description.clone(),
        category: document.category.clone(),
        sub_category: document.sub_category.clone(),
        examples: document.examples.clone(),
        budget: document.budget.unwrap_or(DEFAULT_BUDGET),
        trigger: None,
        inputs: IndexMap::new(),
        undos: IndexMap::new(),
        start: steps.first().map(|(id, _)| id.clone())?,
        calls: Vec::new(),
        steps,
    })
}

fn step(written: &StepDocument, graph: &Graph<'_>) -> Option<Step> {
    let id = written.id.value.clone();
    let kind = match &written.kind {
        KindDocument::Terminal => StepKind::Terminal,
        KindDocument::Escalation { reason } => StepKind::Escalation {
            reason: reason.clone(),
        },
        KindDocument::Action(action) => StepKind::Action(Box::new(action_step(written, action, graph)?)),
    };
    let (edges, max_visits) = match &written.kind {
        KindDocument::Action(action) => (
            action
                .edges
                .iter()
                .map(|edge| (edge.outcome.clone(), edge.target.value.clone()))
                .collect(),
            action.max_visits,
        ),
        _ => (IndexMap::new(), None),
    };
    Some(Step {
        name: written.name.clone().unwrap_or_else(|| id.to_string()),
        id,
        kind,
        edges,
        max_visits,
        within: None,
    })
}

fn action_step(written: &StepDocument, action: &ActionDocument, graph: &Graph<'_>) -> Option<ActionStep> {
    let node = graph.find(&written.id.value)?;
    let offered = graph.action(node)?;
    Some(ActionStep {
        action: offered.clone(),
        timeout: action.timeout.unwrap_or(offered.timeout),
        retry: action.retry,
        parameters: action.values.clone(),
        credential_of: None,
        undo: None,
        authorizes: graph
            .authorizes(node)
            .and_then(|target| graph.id(target).cloned()),
    })
}
