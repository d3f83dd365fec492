//! Which steps have certainly brought their output before a step is entered, whatever path led there.
//!
//! Only steps whose output somebody uses are followed, 64 at a time, as the bits of one number.

use std::collections::{HashMap, VecDeque};

use common::Outcome;

use super::graph::{Edge, Fork, Graph, Node};
use super::paths::ends;
use crate::document::KindDocument;
use crate::playbook::Join;

/// For each of `sources`, whether it must have brought its output when a step is entered: `answers[i](node)`.
pub(super) struct Certain {
    /// By chunk of 64 sources, by step.
    bits: Vec<Vec<u64>>,
}

impl Certain {
    pub(super) fn of(graph: &Graph<'_>, sources: &[Node]) -> Self {
        let bits = sources
            .chunks(64)
            .map(|chunk| Flow::new(graph, chunk).run())
            .collect();
        Self { bits }
    }

    /// Whether the source of this place has certainly brought its output when `node` is entered.
    pub(super) fn before(&self, source: usize, node: Node) -> bool {
        self.bits
            .get(source / 64)
            .and_then(|chunk| chunk.get(node))
            .is_some_and(|bits| bits & (1 << (source % 64)) != 0)
    }
}

struct Flow<'g> {
    graph: &'g Graph<'g>,
    /// What each step adds when it brings its output.
    adds: Vec<u64>,
    /// What is certain when each step is entered; everything while nobody has come there.
    certain: Vec<u64>,
    queue: VecDeque<Node>,
    /// The endings of each branch of each parallel step.
    endings: HashMap<(Node, usize), Vec<Node>>,
}

impl<'g> Flow<'g> {
    fn new(graph: &'g Graph<'g>, sources: &[Node]) -> Self {
        let mut adds = vec![0; graph.nodes().len()];
        for (bit, source) in sources.iter().enumerate() {
            if let Some(add) = adds.get_mut(*source) {
                *add |= 1_u64 << bit;
            }
        }
        let mut endings: HashMap<(Node, usize), Vec<Node>> = HashMap::new();
        for node in graph.nodes().filter(|node| ends(graph, *node)) {
            if let Some(inside) = graph.inside(node) {
                endings
                    .entry((inside.fork, inside.branch))
                    .or_default()
                    .push(node);
            }
        }
        Self {
            graph,
            adds,
            certain: vec![u64::MAX; graph.nodes().len()],
            queue: VecDeque::new(),
            endings,
        }
    }

    /// Every step is looked at once, and again whenever what is certain before it has become less. A step that nobody
    /// comes to keeps "everything", which takes nothing from others.
    fn run(mut self) -> Vec<u64> {
        self.meet(self.graph.start(), 0);
        self.queue.extend(self.graph.nodes());
        while let Some(node) = self.queue.pop_front() {
            let here = self.at(node);
            let mut next: Vec<(Node, u64)> = Vec::new();
            if let Some(fork) = self.graph.fork(node) {
                next.extend(
                    fork.branches
                        .iter()
                        .filter_map(|branch| Some((branch.start?, here))),
                );
            }
            for edge in self.graph.edges(node) {
                if let Some(to) = edge.to {
                    next.push((to, self.after(node, edge)));
                }
            }
            for (to, certain) in next {
                if self.meet(to, certain) {
                    self.queue.push_back(to);
                    // The end of a branch is news for its parallel step.
                    if ends(self.graph, to) {
                        self.queue.extend(self.graph.inside(to).map(|inside| inside.fork));
                    }
                }
            }
        }
        self.certain
    }

    fn at(&self, node: Node) -> u64 {
        self.certain.get(node).copied().unwrap_or(u64::MAX)
    }

    /// `true` where that is news.
    fn meet(&mut self, node: Node, certain: u64) -> bool {
        let Some(known) = self.certain.get_mut(node) else {
            return false;
        };
        let before = *known;
        *known &= certain;
        *known != before
    }

    /// What is certain once a step was left along an edge.
    fn after(&self, node: Node, edge: &Edge) -> u64 {
        let here = self.at(node);
        if let Some(fork) = self.graph.fork(node) {
            return here | self.joined(node, fork, &edge.outcome);
        }
        match edge.outcome {
            Outcome::Success | Outcome::Word(_) => here | self.adds.get(node).copied().unwrap_or_default(),
            Outcome::Failure | Outcome::Denied | Outcome::Timeout => here,
        }
    }

    /// What the branches of a parallel step make certain together.
    fn joined(&self, node: Node, fork: &Fork, outcome: &Outcome) -> u64 {
        let well = *outcome == Outcome::Success;
        let mut together = if fork.join == Join::Any && well {
            u64::MAX
        } else {
            0
        };
        for index in 0..fork.branches.len() {
            let counts = |ending: Node| {
                let terminal = matches!(
                    self.graph.step(ending).map(|step| &step.kind),
                    Some(KindDocument::Terminal)
                );
                match fork.join {
                    Join::All => terminal || !well,
                    Join::Any => terminal == well,
                }
            };
            let branch = self
                .endings
                .get(&(node, index))
                .into_iter()
                .flatten()
                .copied()
                .filter(|ending| counts(*ending))
                .fold(u64::MAX, |certain, ending| certain & self.at(ending));
            if fork.join == Join::Any && well {
                together &= branch;
            } else {
                together |= branch;
            }
        }
        together
    }
}
