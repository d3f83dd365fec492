//! What can only be said of paths: what is reached, what ends, what loops, and the proof.
//!
//! The proof is exact: it walks every pair of (step, fact) once, where a fact is what the path so far has made true. Its
//! work is the number of edges times the handful of facts, whatever the number of paths.

use std::collections::{HashMap, HashSet, VecDeque};

use common::{Assurance, Finding, Outcome, Severity};
use petgraph::graph::{DiGraph, NodeIndex};

use super::graph::{Edge, Graph, Node};
use crate::document::KindDocument;
use crate::findings::{Findings, about, code};
use crate::proof::Proof;
use crate::registry::{Action, Credential};

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    let reached = Walk::from_start(graph, (), |(), _, _| ());
    unreachable(graph, &reached, findings);
    never_ends(graph, &reached, findings);
    unbounded_loops(graph, findings);
    proof(graph, findings);
    credentials(graph, findings);
    permits(graph, findings);
}

/// Something that a path can make true; there are few of each kind, so that a walk fits into a table.
trait Fact: Copy + Eq {
    /// All of them.
    const COUNT: usize;
    /// Which one, below `COUNT`.
    fn index(self) -> usize;
}

impl Fact for () {
    const COUNT: usize = 1;
    fn index(self) -> usize {
        0
    }
}

impl Fact for bool {
    const COUNT: usize = 2;
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Fact for Proof {
    const COUNT: usize = 5;
    fn index(self) -> usize {
        match self {
            Self::Unverified => 0,
            Self::Verified(Assurance::Low) => 1,
            Self::Verified(Assurance::Substantial) => 2,
            Self::Verified(Assurance::High) => 3,
            Self::Denied => 4,
        }
    }
}

/// How a pair was entered.
#[derive(Debug, Clone, Copy)]
enum Came<'g, F> {
    Never,
    AtStart,
    From(Node, F, &'g Edge),
}

/// Every pair of (step, fact) that some path from the start enters, and the shortest path to each.
struct Walk<'g, F> {
    graph: &'g Graph<'g>,
    /// In the order of discovery: the shortest path first.
    entered: Vec<(Node, F)>,
    came: Vec<Came<'g, F>>,
}

impl<'g, F: Fact> Walk<'g, F> {
    /// `after` says what is true after a step was left along an edge.
    fn from_start(graph: &'g Graph<'g>, at_start: F, after: impl Fn(F, Node, &Edge) -> F) -> Self {
        let cells = graph.nodes().len().saturating_mul(F::COUNT);
        let mut walk = Self {
            graph,
            entered: Vec::new(),
            came: vec![Came::Never; cells],
        };
        walk.enter(0, at_start, Came::AtStart);
        let mut next = 0;
        // `entered` is the queue, too: what was entered first is left first.
        while let Some((node, fact)) = walk.entered.get(next).copied() {
            next += 1;
            for edge in graph.edges(node) {
                if let Some(to) = edge.to {
                    walk.enter(to, after(fact, node, edge), Came::From(node, fact, edge));
                }
            }
        }
        walk
    }

    fn enter(&mut self, node: Node, fact: F, came: Came<'g, F>) {
        if let Some(cell @ Came::Never) = self.came.get_mut(cell(node, fact)) {
            *cell = came;
            self.entered.push((node, fact));
        }
    }

    fn enters(&self, node: Node, fact: F) -> bool {
        !matches!(self.came.get(cell(node, fact)), None | Some(Came::Never))
    }

    /// Step and edge names from the start to `(node, fact)`.
    fn path(&self, node: Node, fact: F) -> Vec<String> {
        let mut path = vec![self.graph.name(node)];
        let mut here = cell(node, fact);
        while let Some(Came::From(from, fact, edge)) = self.came.get(here) {
            path.push(edge.name());
            path.push(self.graph.name(*from));
            here = cell(*from, *fact);
        }
        path.reverse();
        path
    }
}

fn cell<F: Fact>(node: Node, fact: F) -> usize {
    node.saturating_mul(F::COUNT).saturating_add(fact.index())
}

fn unreachable(graph: &Graph<'_>, reached: &Walk<'_, ()>, findings: &mut Findings) {
    for node in graph.nodes().filter(|node| !reached.enters(*node, ())) {
        if let Some(id) = graph.id(node) {
            let message = format!("no path from the start reaches `{id}`; lead to it or remove it");
            findings.add(about(id, code::UNREACHABLE_STEP, graph.at(node), message));
        }
    }
}

/// A step is fine where some written edge after another leads to an ending. The escalation that a missing `on_denied`
/// stands for does not count: nobody plans to end by a denial.
fn never_ends(graph: &Graph<'_>, reached: &Walk<'_, ()>, findings: &mut Findings) {
    let mut backwards: HashMap<Node, Vec<Node>> = HashMap::new();
    let mut queue = VecDeque::new();
    for node in graph.nodes() {
        let edges = graph.edges(node);
        // An edge into nowhere, or none at all, is a finding of its own.
        let ends = graph
            .step(node)
            .is_some_and(|step| !matches!(step.kind, KindDocument::Action(_)));
        if ends || edges.is_empty() || edges.iter().any(|edge| edge.to.is_none()) {
            queue.push_back(node);
        }
        for to in edges.iter().filter_map(|edge| edge.to) {
            backwards.entry(to).or_default().push(node);
        }
    }
    let mut ending: HashSet<Node> = queue.iter().copied().collect();
    while let Some(node) = queue.pop_front() {
        for from in backwards.get(&node).into_iter().flatten() {
            if ending.insert(*from) {
                queue.push_back(*from);
            }
        }
    }
    for (node, ()) in &reached.entered {
        if ending.contains(node) {
            continue;
        }
        if let Some(id) = graph.id(*node) {
            let message =
                format!("no path from `{id}` reaches an ending; lead it to a terminal or escalation step");
            findings.add(Finding {
                path: reached.path(*node, ()),
                ..about(id, code::NEVER_ENDS, graph.at(*node), message)
            });
        }
    }
}

/// A loop is bounded where `max_visits` stands on one of its steps: without those steps, no loop may be left.
fn unbounded_loops(graph: &Graph<'_>, findings: &mut Findings) {
    let bounded = |node| graph.call(node).is_some_and(|call| call.max_visits.is_some());
    let mut unbounded: DiGraph<Node, ()> = DiGraph::new();
    let indices: Vec<NodeIndex> = graph.nodes().map(|node| unbounded.add_node(node)).collect();
    let index = |node: Node| indices.get(node).copied();
    for node in graph.nodes().filter(|node| !bounded(*node)) {
        let targets = graph.edges(node).iter().filter_map(|edge| edge.to);
        for to in targets.filter(|to| !bounded(*to)) {
            if let (Some(from), Some(to)) = (index(node), index(to)) {
                unbounded.add_edge(from, to, ());
            }
        }
    }
    // Kosaraju's, because petgraph's Tarjan recurses and a hostile playbook is deep.
    for component in petgraph::algo::kosaraju_scc(&unbounded) {
        let members: HashSet<Node> = component
            .iter()
            .filter_map(|index| unbounded.node_weight(*index).copied())
            .collect();
        let Some(first) = members.iter().copied().min().filter(|node| !bounded(*node)) else {
            continue;
        };
        let Some(path) = around(graph, first, &members) else {
            continue;
        };
        if let Some(id) = graph.id(first) {
            let message = format!(
                "the loop through `{id}` may go round for ever; write `max_visits:` on one of its steps, or lead out of it"
            );
            findings.add(Finding {
                path,
                ..about(id, code::UNBOUNDED_LOOP, graph.at(first), message)
            });
        }
    }
}

/// The shortest way from `start` back to itself within `members`; `None` where there is no such way.
fn around(graph: &Graph<'_>, start: Node, members: &HashSet<Node>) -> Option<Vec<String>> {
    let mut came: HashMap<Node, (Node, &Edge)> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in graph.edges(node) {
            let Some(to) = edge.to.filter(|to| members.contains(to)) else {
                continue;
            };
            if to == start {
                let mut path = vec![graph.name(start), edge.name(), graph.name(node)];
                let mut here = node;
                while let Some((from, edge)) = came.get(&here) {
                    path.push(edge.name());
                    path.push(graph.name(*from));
                    here = *from;
                }
                path.reverse();
                return Some(path);
            }
            if let std::collections::hash_map::Entry::Vacant(e) = came.entry(to) {
                e.insert((node, edge));
                queue.push_back(to);
            }
        }
    }
    None
}

/// On every path to a privileged step somebody proved who is asking, well enough, and nobody said no.
fn proof(graph: &Graph<'_>, findings: &mut Findings) {
    let walk = Walk::from_start(graph, Proof::Unverified, |proof, node, edge| {
        match (graph.action(node), &edge.outcome) {
            (Some(action), outcome) => proof.after(action, outcome),
            // Nobody knows what such an action does; a denial is a denial.
            (None, Outcome::Denied) => Proof::Denied,
            (None, _) => proof,
        }
    });
    let mut said = HashSet::new();
    for (node, proof) in &walk.entered {
        let (Some(id), Some(action)) = (graph.id(*node), graph.action(*node)) else {
            continue;
        };
        let Some(required) = action.requires else {
            continue;
        };
        if proof.satisfies(Some(required)) {
            continue;
        }
        let (code, message) = match proof {
            Proof::Denied => (
                code::PRIVILEGED_AFTER_DENIAL,
                format!(
                    "`{id}` acts with privilege (`{}`) behind a denial, and no later success lifts a denial; lead `on_denied` to an escalation",
                    action.name
                ),
            ),
            Proof::Unverified => (
                code::UNVERIFIED_PRIVILEGED_STEP,
                format!(
                    "`{id}` acts with privilege (`{}`) and can be entered before anybody has proven who is asking; let the success of a verification lead to it",
                    action.name
                ),
            ),
            Proof::Verified(held) => (
                code::UNVERIFIED_PRIVILEGED_STEP,
                format!(
                    "`{id}` (`{}`) asks for `{}` assurance and can be entered with `{}` only; verify more strongly before",
                    action.name,
                    required.as_str(),
                    held.as_str()
                ),
            ),
        };
        if said.insert((*node, code)) {
            findings.add(Finding {
                path: walk.path(*node, *proof),
                ..about(id, code, graph.at(*node), message)
            });
        }
    }
}

/// On every path to a delivery something was made that can be delivered.
fn credentials(graph: &Graph<'_>, findings: &mut Findings) {
    let part = |node| {
        graph
            .action(node)
            .map_or(Credential::None, |action| action.credential)
    };
    let walk = Walk::from_start(graph, false, |held, node, edge| {
        held || (part(node) == Credential::Yields && edge.outcome == Outcome::Success)
    });
    for (node, held) in &walk.entered {
        if *held || part(*node) != Credential::Needs {
            continue;
        }
        if let Some(id) = graph.id(*node) {
            let message = format!(
                "`{id}` delivers a credential and can be entered when there is none; let the success of a step that makes one lead to it"
            );
            findings.add(Finding {
                path: walk.path(*node, *held),
                ..about(id, code::MISSING_CREDENTIAL, graph.at(*node), message)
            });
        }
    }
}

/// A verification's permit is for one visit of one step. A privileged step that is entered without one of its own
/// escalates at run time: safe, but surely not what was meant.
fn permits(graph: &Graph<'_>, findings: &mut Findings) {
    let privileged = |node: &Node| graph.action(*node).is_some_and(Action::privileged);
    let grants: HashMap<Node, Node> = graph
        .nodes()
        .filter_map(|node| Some((node, graph.authorizes(node)?)))
        .collect();
    for act in graph.nodes().filter(privileged) {
        let walk = Walk::from_start(graph, Permit::None, |permit, node, edge| {
            let granted = edge.outcome == Outcome::Success && grants.get(&node) == Some(&act);
            match permit {
                _ if granted => Permit::ForIt,
                Permit::ForIt if node == act => Permit::Elsewhere,
                Permit::None if edge.outcome == Outcome::Success && grants.contains_key(&node) => {
                    Permit::Elsewhere
                }
                unchanged => unchanged,
            }
        });
        // Without any verification before it, it is `unverified-privileged-step` already.
        if let (true, Some(id)) = (walk.enters(act, Permit::Elsewhere), graph.id(act)) {
            let message = format!(
                "`{id}` can be entered with a permit that is spent or for another step, and then escalates; a verification allows one act, so verify again before it"
            );
            findings.add(Finding {
                severity: Severity::Warning,
                path: walk.path(act, Permit::Elsewhere),
                ..about(id, code::MISSING_PERMIT, graph.at(act), message)
            });
        }
    }
}

/// The permit for one privileged step, along a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permit {
    /// Nobody has verified anything.
    None,
    /// At hand.
    ForIt,
    /// Verified, but the permit was spent or allows another step.
    Elsewhere,
}

impl Fact for Permit {
    const COUNT: usize = 3;
    fn index(self) -> usize {
        match self {
            Self::None => 0,
            Self::ForIt => 1,
            Self::Elsewhere => 2,
        }
    }
}
