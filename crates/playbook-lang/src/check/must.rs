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
    /// Whether each step is in the queue.
    waits: Vec<bool>,
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
            queue: graph.nodes().collect(),
            waits: vec![true; graph.nodes().len()],
            endings,
        }
    }

    /// Every step is looked at once, and again whenever what is certain before it has become less. A step that nobody
    /// comes to keeps "everything", which takes nothing from others.
    fn run(mut self) -> Vec<u64> {
        self.meet(self.graph.start(), 0);
        while let Some(node) = self.queue.pop_front() {
            if let Some(waits) = self.waits.get_mut(node) {
                *waits = false;
            }
            let here = self.at(node);
            let graph = self.graph;
            for branch in graph.fork(node).into_iter().flat_map(|fork| &fork.branches) {
                self.news(branch.start, here);
            }
            for edge in graph.edges(node) {
                let after = self.after(node, edge);
                self.news(edge.to, after);
            }
        }
        self.certain
    }

    fn news(&mut self, to: Option<Node>, certain: u64) {
        let Some(to) = to.filter(|to| self.meet(*to, certain)) else {
            return;
        };
        self.again(to);
        // The end of a branch is news for its parallel step.
        if ends(self.graph, to)
            && let Some(inside) = self.graph.inside(to)
        {
            self.again(inside.fork);
        }
    }

    fn again(&mut self, node: Node) {
        if let Some(waits) = self.waits.get_mut(node)
            && !std::mem::replace(waits, true)
        {
            self.queue.push_back(node);
        }
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
        // By branch: what is certain where it ended well, and where it ended badly.
        let ends: Vec<(u64, u64)> = (0..fork.branches.len())
            .map(|branch| {
                let endings = self.endings.get(&(node, branch)).into_iter().flatten();
                endings.fold((u64::MAX, u64::MAX), |(well, badly), ending| {
                    match self.graph.step(*ending).map(|step| &step.kind) {
                        Some(KindDocument::Terminal) => (well & self.at(*ending), badly),
                        _ => (well, badly & self.at(*ending)),
                    }
                })
            })
            .collect();
        match (fork.join, *outcome == Outcome::Success) {
            (Join::All, true) => ends.iter().fold(0, |all, (well, _)| all | well),
            // Every branch has ended, and at least one of them badly: whichever that was.
            (Join::All, false) => {
                let either: Vec<u64> = ends.iter().map(|(well, badly)| well & badly).collect();
                let others = all_but_one(&either);
                ends.iter()
                    .zip(others)
                    .fold(u64::MAX, |certain, ((_, badly), others)| {
                        certain & (badly | others)
                    })
            }
            (Join::Any, true) => ends.iter().fold(u64::MAX, |any, (well, _)| any & well),
            (Join::Any, false) => ends.iter().fold(0, |all, (_, badly)| all | badly),
        }
    }
}

/// For each, the union of all others.
fn all_but_one(bits: &[u64]) -> Vec<u64> {
    let mut others = vec![0; bits.len()];
    let mut before = 0;
    for (slot, bits) in others.iter_mut().zip(bits) {
        *slot |= before;
        before |= bits;
    }
    let mut after = 0;
    for (slot, bits) in others.iter_mut().zip(bits).rev() {
        *slot |= after;
        after |= bits;
    }
    others
}
