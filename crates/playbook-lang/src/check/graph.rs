//! The graph of a whole: steps as numbers, edges as they will be followed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use common::{Outcome, StepId, Values};

use super::expand::{Expanded, Whole};
use crate::document::{ActionDocument, KindDocument, StepDocument};
use crate::findings::{Findings, about, code, quoted};
use crate::playbook::Join;
use crate::registry::{Action, Registry};
use crate::yaml::Position;

/// All parameters of called playbooks together: a text that is passed once may be used a thousand times.
const LARGEST_VALUES: usize = 4 * 1024 * 1024;

/// A step's place in the whole.
pub(super) type Node = usize;

/// An edge as it will be followed: written, or the `on_timeout` that a step without one takes from its `on_failure`.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) outcome: Outcome,
    /// `None` where the step that it names is not there.
    pub(super) to: Option<Node>,
    /// It belongs to a decision: its word is the name of a case.
    pub(super) case: bool,
}

impl Edge {
    /// As it stands in paths: `on_denied`, `outcomes.up`, `cases.vpn`.
    pub(super) fn name(&self) -> String {
        match &self.outcome {
            Outcome::Word(word) if self.case && word == crate::playbook::OTHERWISE => word.clone(),
            Outcome::Word(word) if self.case => format!("cases.{word}"),
            Outcome::Word(word) => format!("outcomes.{word}"),
            own => format!("on_{own}"),
        }
    }
}

/// A branch of a parallel step.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) name: String,
    pub(super) start: Option<Node>,
}

/// The branches of a parallel step.
#[derive(Debug, Clone)]
pub(super) struct Fork {
    pub(super) join: Join,
    pub(super) branches: Vec<Branch>,
}

/// The branch that a step stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) fork: Node,
    pub(super) branch: usize,
}

#[derive(Debug)]
struct Vertex<'d> {
    step: Expanded<'d>,
    action: Option<Cow<'d, Action>>,
    undo: Option<&'d Action>,
    values: Cow<'d, Values>,
    edges: Vec<Edge>,
    fork: Option<Fork>,
    inside: Option<Inside>,
    authorizes: Option<Node>,
}

/// The graph. Steps of a repeated id are not in it.
#[derive(Debug)]
pub(super) struct Graph<'d> {
    vertices: Vec<Vertex<'d>>,
    by_id: HashMap<Cow<'d, StepId>, Node>,
    start: Node,
}

impl<'d> Graph<'d> {
    pub(super) fn of(whole: &mut Whole<'d>, registry: &'d Registry, findings: &mut Findings) -> Self {
        let steps = std::mem::take(&mut whole.steps);
        let mut graph = Self {
            vertices: Vec::with_capacity(steps.len()),
            by_id: HashMap::with_capacity(steps.len()),
            start: 0,
        };
        let mut room = LARGEST_VALUES;
        for step in steps {
            graph.add(step, whole, registry, &mut room, findings);
        }
        let start = whole.start.as_ref().and_then(|start| graph.lead(start, whole));
        graph.start = start.unwrap_or(0);
        for node in graph.nodes() {
            let edges = graph.edges_of(node, whole, findings);
            let fork = graph.fork_of(node, whole);
            let inside = graph.inside_of(node);
            if let Some(vertex) = graph.vertices.get_mut(node) {
                vertex.edges = edges;
                vertex.fork = fork;
                vertex.inside = inside;
            }
        }
        graph.authorize();
        graph
    }

    fn add(
        &mut self,
        step: Expanded<'d>,
        whole: &Whole<'d>,
        registry: &'d Registry,
        room: &mut usize,
        findings: &mut Findings,
    ) {
        if let Some(first) = self
            .by_id
            .get(&step.id)
            .and_then(|first| self.vertices.get(*first))
        {
            let message = format!(
                "{} is already the id of the step in line {}; give this one its own",
                quoted(step.id.as_str()),
                first.step.written.id.at.line
            );
            let at = step.at.unwrap_or(step.written.id.at);
            findings.add(about(&step.about, code::DUPLICATE_STEP, at, message));
            return;
        }
        let written = step.written.action();
        let action = written
            .and_then(|action| action.service.as_ref())
            .and_then(|name| registry.action(&name.value))
            .map(|action| asking(action, written));
        let undo = written
            .and_then(|action| action.undo.as_ref())
            .and_then(|undo| registry.action(&undo.service.value));
        let values = match (written, whole.scopes.get(step.scope)) {
            (Some(action), Some(scope)) if scope.caller.is_some() => {
                let size = scope.size_bytes(&action.values);
                if let Some(left) = room.checked_sub(size) {
                    *room = left;
                    Cow::Owned(scope.values(&action.values))
                } else {
                    // Said once: whatever comes after it is too large as well.
                    if std::mem::take(room) > 0 {
                        let message = format!(
                            "with what is passed to it written out, the called playbook has more than {LARGEST_VALUES} bytes of parameters; pass less"
                        );
                        findings.add(about(
                            &step.about,
                            code::BAD_CALL,
                            step.at.unwrap_or(Position::START),
                            message,
                        ));
                    }
                    Cow::Owned(Values::new())
                }
            }
            (Some(action), _) => Cow::Borrowed(&action.values),
            (None, _) => Cow::Owned(Values::new()),
        };
        self.by_id.insert(step.id.clone(), self.vertices.len());
        self.vertices.push(Vertex {
            step,
            action,
            undo,
            values,
            edges: Vec::new(),
            fork: None,
            inside: None,
            authorizes: None,
        });
    }

    /// The step that an id leads to, calls taken along.
    fn lead(&self, id: &StepId, whole: &Whole<'_>) -> Option<Node> {
        self.find(whole.resolve(id)?)
    }

    fn edges_of(&self, node: Node, whole: &Whole<'_>, findings: &mut Findings) -> Vec<Edge> {
        let Some(vertex) = self.vertices.get(node) else {
            return Vec::new();
        };
        let case = matches!(vertex.step.written.kind, KindDocument::Decision(_));
        let mut edges = Vec::with_capacity(vertex.step.edges.len().saturating_add(1));
        let mut missing = HashSet::new();
        for (outcome, target, at) in &vertex.step.edges {
            let to = self.lead(target, whole);
            if to.is_none() && missing.insert(target) {
                self.undefined(&vertex.step, target, *at, whole, findings);
            }
            edges.push(Edge {
                outcome: outcome.clone().into_owned(),
                to,
                case,
            });
        }
        if matches!(vertex.step.written.kind, KindDocument::Action(_))
            && !edges.iter().any(|edge| edge.outcome == Outcome::Timeout)
            && let Some(failure) = edges.iter().find(|edge| edge.outcome == Outcome::Failure)
            && failure.to.is_some()
        {
            // A missing `on_timeout` means `on_failure`.
            edges.push(Edge {
                outcome: Outcome::Timeout,
                to: failure.to,
                case,
            });
        }
        edges
    }

    fn undefined(
        &self,
        step: &Expanded<'_>,
        target: &StepId,
        at: Position,
        whole: &Whole<'_>,
        findings: &mut Findings,
    ) {
        let at = step.at.unwrap_or(at);
        if whole.resolve(target).is_none() {
            let message = format!(
                "{} leads to calls that lead to each other and to no step; lead one of them elsewhere",
                quoted(target.as_str())
            );
            findings.add(about(&step.about, code::UNBOUNDED_LOOP, at, message));
            return;
        }
        // A call that could not be put in is a finding already.
        if whole.unread.contains(target) {
            return;
        }
        // Authors write no dots: what they can lead to are the document's own steps, calls among them.
        let near = findings.did_you_mean(
            target.as_str(),
            self.vertices
                .iter()
                .map(|vertex| vertex.step.id.as_str())
                .chain(whole.called.iter().map(StepId::as_str))
                .filter(|id| !id.contains('.')),
        );
        let message = format!(
            "no step has the id {}; define it or lead elsewhere{near}",
            quoted(target.as_str())
        );
        findings.add(about(&step.about, code::UNDEFINED_STEP, at, message));
    }

    fn fork_of(&self, node: Node, whole: &Whole<'_>) -> Option<Fork> {
        let vertex = self.vertices.get(node)?;
        let KindDocument::Parallel(written) = &vertex.step.written.kind else {
            return None;
        };
        let scope = whole.scopes.get(vertex.step.scope)?;
        let branches = written
            .branches
            .iter()
            .map(|(name, first)| Branch {
                name: name.value.clone(),
                start: first
                    .as_ref()
                    .and_then(|first| self.lead(&scope.id(first), whole)),
            })
            .collect();
        Some(Fork {
            join: written.join,
            branches,
        })
    }

    fn inside_of(&self, node: Node) -> Option<Inside> {
        let place = self.vertices.get(node)?.step.within.as_ref()?;
        let fork = self.find(&place.parallel)?;
        let KindDocument::Parallel(written) = &self.vertices.get(fork)?.step.written.kind else {
            return None;
        };
        let branch = written
            .branches
            .iter()
            .position(|(name, _)| name.value == place.branch)?;
        Some(Inside { fork, branch })
    }

    pub(super) fn find(&self, id: &StepId) -> Option<Node> {
        self.by_id.get(id).copied()
    }

    pub(super) fn start(&self) -> Node {
        self.start
    }

    pub(super) fn nodes(&self) -> std::ops::Range<Node> {
        0..self.vertices.len()
    }

    pub(super) fn expanded(&self, node: Node) -> Option<&Expanded<'d>> {
        self.vertices.get(node).map(|vertex| &vertex.step)
    }

    pub(super) fn step(&self, node: Node) -> Option<&'d StepDocument> {
        self.vertices.get(node).map(|vertex| vertex.step.written)
    }

    /// The id in the whole.
    pub(super) fn id(&self, node: Node) -> Option<&StepId> {
        self.vertices.get(node).map(|vertex| vertex.step.id.as_ref())
    }

    /// The step of the document that findings name.
    pub(super) fn about(&self, node: Node) -> Option<&StepId> {
        self.vertices.get(node).map(|vertex| vertex.step.about.as_ref())
    }

    /// As it stands in paths.
    pub(super) fn name(&self, node: Node) -> String {
        self.id(node).map_or_else(String::new, ToString::to_string)
    }

    /// Where the step begins, for findings about it as a whole.
    pub(super) fn at(&self, node: Node) -> Position {
        self.vertices.get(node).map_or(Position::START, |vertex| {
            vertex.step.at.unwrap_or(vertex.step.written.id.at)
        })
    }

    /// A place within the step; of a called playbook's step, where the call stands.
    pub(super) fn place(&self, node: Node, own: Position) -> Position {
        self.vertices
            .get(node)
            .and_then(|vertex| vertex.step.at)
            .unwrap_or(own)
    }

    /// The action that the step calls, where the registry has it.
    pub(super) fn action(&self, node: Node) -> Option<&Action> {
        self.vertices
            .get(node)
            .and_then(|vertex| vertex.action.as_deref())
    }

    /// The action that takes the step back, where the registry has it.
    pub(super) fn undo(&self, node: Node) -> Option<&'d Action> {
        self.vertices.get(node).and_then(|vertex| vertex.undo)
    }

    /// The parameters of the call, in the names of the whole.
    pub(super) fn values(&self, node: Node) -> Option<&Values> {
        self.vertices.get(node).map(|vertex| vertex.values.as_ref())
    }

    /// The step as a call, also of an action that nobody offers.
    pub(super) fn call(&self, node: Node) -> Option<&'d ActionDocument> {
        self.step(node)?.action()
    }

    pub(super) fn edges(&self, node: Node) -> &[Edge] {
        self.vertices
            .get(node)
            .map_or(&[], |vertex| vertex.edges.as_slice())
    }

    pub(super) fn fork(&self, node: Node) -> Option<&Fork> {
        self.vertices.get(node).and_then(|vertex| vertex.fork.as_ref())
    }

    pub(super) fn inside(&self, node: Node) -> Option<Inside> {
        self.vertices.get(node).and_then(|vertex| vertex.inside)
    }

    /// The branches that the step stands in, the innermost first.
    pub(super) fn places(&self, node: Node) -> impl Iterator<Item = Inside> {
        std::iter::successors(self.inside(node), |inside| self.inside(inside.fork))
    }

    /// Where `outcome` leads.
    pub(super) fn target(&self, node: Node, outcome: &Outcome) -> Option<Node> {
        self.edges(node)
            .iter()
            .find(|edge| edge.outcome == *outcome)
            .and_then(|edge| edge.to)
    }

    /// For a verification: the first privileged step along success edges.
    pub(super) fn authorizes(&self, node: Node) -> Option<Node> {
        self.vertices.get(node).and_then(|vertex| vertex.authorizes)
    }

    /// Every step has one step behind its success, so the first privileged one behind each is found by walking every
    /// step once.
    fn authorize(&mut self) {
        let mut ahead: Vec<Option<Option<Node>>> = vec![None; self.vertices.len()];
        for node in self.nodes() {
            let mut way = Vec::new();
            let mut here = node;
            let first = loop {
                match ahead.get_mut(here) {
                    Some(known @ None) => *known = Some(None),
                    // Known, or on this very way: a circle without a privileged step.
                    Some(Some(known)) => break *known,
                    None => break None,
                }
                way.push(here);
                match self.onward(here) {
                    None => break None,
                    Some(next) if self.action(next).is_some_and(Action::privileged) => break Some(next),
                    Some(next) => here = next,
                }
            };
            for node in way {
                if let Some(slot) = ahead.get_mut(node) {
                    *slot = Some(first);
                }
            }
        }
        for (node, first) in ahead.into_iter().enumerate() {
            if self.action(node).is_some_and(Action::verifies)
                && let Some(vertex) = self.vertices.get_mut(node)
            {
                vertex.authorizes = first.flatten();
            }
        }
    }

    /// Where success leads; out of a branch, where the success of its parallel step leads.
    fn onward(&self, node: Node) -> Option<Node> {
        let ended = self
            .step(node)
            .is_some_and(|step| matches!(step.kind, KindDocument::Terminal));
        match self.inside(node).filter(|_| ended) {
            Some(inside) => self.target(inside.fork, &Outcome::Success),
            None => self.target(node, &Outcome::Success),
        }
    }
}

/// An `ask` is an action whose words are its choices.
fn asking<'d>(action: &'d Action, written: Option<&ActionDocument>) -> Cow<'d, Action> {
    match written.and_then(|written| written.ask.as_ref()) {
        Some(words) if !words.is_empty() => Cow::Owned(Action {
            outcomes: words.iter().map(|word| Outcome::from(word.as_str())).collect(),
            ..action.clone()
        }),
        _ => Cow::Borrowed(action),
    }
}
