//! The graph of a document: steps as numbers, edges as they will be followed.

use std::collections::{HashMap, HashSet};

use common::{Outcome, StepId};

use crate::document::{ActionDocument, Document, KindDocument, StepDocument};
use crate::findings::{Findings, about, code, quoted};
use crate::registry::{Action, Registry};
use crate::yaml::Position;

/// A step's place in the document. The start is 0.
pub(super) type Node = usize;

/// An edge as it will be followed: written, or the `on_timeout` that a step without one takes from its `on_failure`.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) outcome: Outcome,
    /// `None` where the step that it names is not there.
    pub(super) to: Option<Node>,
}

impl Edge {
    /// As it stands in paths: `on_denied`, `outcomes.up`.
    pub(super) fn name(&self) -> String {
        match &self.outcome {
            Outcome::Word(word) => format!("outcomes.{word}"),
            own => format!("on_{own}"),
        }
    }
}

#[derive(Debug)]
struct Vertex<'d> {
    step: &'d StepDocument,
    action: Option<&'d Action>,
    edges: Vec<Edge>,
}

/// The graph. Steps of a repeated id are not in it.
#[derive(Debug)]
pub(super) struct Graph<'d> {
    vertices: Vec<Vertex<'d>>,
    by_id: HashMap<&'d StepId, Node>,
}

impl<'d> Graph<'d> {
    pub(super) fn of(document: &'d Document, registry: &'d Registry, findings: &mut Findings) -> Self {
        let mut graph = Self {
            vertices: Vec::with_capacity(document.steps.len()),
            by_id: HashMap::with_capacity(document.steps.len()),
        };
        for step in &document.steps {
            graph.add(step, registry, findings);
        }
        let edges: Vec<Vec<Edge>> = graph
            .vertices
            .iter()
            .map(|vertex| graph.edges_of(vertex.step, findings))
            .collect();
        for (vertex, edges) in graph.vertices.iter_mut().zip(edges) {
            vertex.edges = edges;
        }
        graph
    }

    fn add(&mut self, step: &'d StepDocument, registry: &'d Registry, findings: &mut Findings) {
        let id = &step.id.value;
        if let Some(first) = self.by_id.get(id).and_then(|first| self.vertices.get(*first)) {
            let message = format!(
                "{} is already the id of the step in line {}; give this one its own",
                quoted(id.as_str()),
                first.step.id.at.line
            );
            findings.add(about(id, code::DUPLICATE_STEP, step.id.at, message));
            return;
        }
        let action = match &step.kind {
            KindDocument::Action(action) => action
                .service
                .as_ref()
                .and_then(|name| registry.action(&name.value)),
            KindDocument::Terminal | KindDocument::Escalation { .. } => None,
        };
        self.by_id.insert(id, self.vertices.len());
        self.vertices.push(Vertex {
            step,
            action,
            edges: Vec::new(),
        });
    }

    fn edges_of(&self, step: &StepDocument, findings: &mut Findings) -> Vec<Edge> {
        let KindDocument::Action(action) = &step.kind else {
            return Vec::new();
        };
        let mut edges = Vec::with_capacity(action.edges.len().saturating_add(1));
        let mut missing = HashSet::new();
        for written in &action.edges {
            let target = &written.target.value;
            let to = self.find(target);
            if to.is_none() && missing.insert(target) {
                let near = findings.did_you_mean(target.as_str(), self.by_id.keys().map(|id| id.as_str()));
                let message = format!(
                    "no step has the id {}; define it or lead elsewhere{near}",
                    quoted(target.as_str())
                );
                findings.add(about(
                    &step.id.value,
                    code::UNDEFINED_STEP,
                    written.target.at,
                    message,
                ));
            }
            edges.push(Edge {
                outcome: written.outcome.clone(),
                to,
            });
        }
        if let Some(to) = silent_timeout(action).and_then(|target| self.find(target)) {
            edges.push(Edge {
                outcome: Outcome::Timeout,
                to: Some(to),
            });
        }
        edges
    }

    pub(super) fn find(&self, id: &StepId) -> Option<Node> {
        self.by_id.get(id).copied()
    }

    pub(super) fn nodes(&self) -> std::ops::Range<Node> {
        0..self.vertices.len()
    }

    pub(super) fn step(&self, node: Node) -> Option<&'d StepDocument> {
        self.vertices.get(node).map(|vertex| vertex.step)
    }

    pub(super) fn id(&self, node: Node) -> Option<&'d StepId> {
        self.step(node).map(|step| &step.id.value)
    }

    /// As it stands in paths.
    pub(super) fn name(&self, node: Node) -> String {
        self.id(node).map_or_else(String::new, ToString::to_string)
    }

    /// Where the step begins, for findings about it as a whole.
    pub(super) fn at(&self, node: Node) -> Position {
        self.step(node).map_or(Position::START, |step| step.id.at)
    }

    /// The action that the step calls, where the registry has it.
    pub(super) fn action(&self, node: Node) -> Option<&'d Action> {
        self.vertices.get(node).and_then(|vertex| vertex.action)
    }

    /// The step as a call, also of an action that nobody offers.
    pub(super) fn call(&self, node: Node) -> Option<&'d ActionDocument> {
        match &self.step(node)?.kind {
            KindDocument::Action(action) => Some(action),
            KindDocument::Terminal | KindDocument::Escalation { .. } => None,
        }
    }

    pub(super) fn edges(&self, node: Node) -> &[Edge] {
        self.vertices
            .get(node)
            .map_or(&[], |vertex| vertex.edges.as_slice())
    }

    /// For a verification: the first privileged step along success edges.
    pub(super) fn authorizes(&self, node: Node) -> Option<Node> {
        if !self.action(node)?.verifies() {
            return None;
        }
        let mut seen = HashSet::from([node]);
        let mut here = node;
        loop {
            here = self
                .edges(here)
                .iter()
                .find(|edge| edge.outcome == Outcome::Success)?
                .to?;
            if self.action(here).is_some_and(Action::privileged) {
                return Some(here);
            }
            if !seen.insert(here) {
                return None;
            }
        }
    }
}

/// A missing `on_timeout` means `on_failure`.
fn silent_timeout(action: &ActionDocument) -> Option<&StepId> {
    let target = |outcome: &Outcome| {
        action
            .edges
            .iter()
            .find(|edge| edge.outcome == *outcome)
            .map(|edge| &edge.target.value)
    };
    match target(&Outcome::Timeout) {
        Some(_) => None,
        None => target(&Outcome::Failure),
    }
}
