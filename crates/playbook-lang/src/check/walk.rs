//! Walking the graph: every pair of (step, level) that some path from the start enters, with the shortest path to each.
//!
//! A level is what a path so far has made true, a small number that only grows: how much has been proven, whether there
//! is a credential. So the work is the number of edges times the handful of levels, whatever the number of paths, and
//! parallel branches are exact without walking their interleavings: what one branch adds to another's level is the
//! greatest of what each has added, in whatever order they ran.

use std::collections::{HashSet, VecDeque};

use super::graph::{Edge, Fork, Graph, Node};
use crate::document::KindDocument;
use crate::playbook::Join;
use common::Outcome;

/// What a path has made true. At most [`MOST`].
pub(super) type Level = u8;

/// Levels fit into a set of eight.
const MOST: usize = 8;

/// A set of levels, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Levels(u8);

impl Levels {
    const fn of(level: Level) -> Self {
        Self(1 << level)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn iter(self) -> impl Iterator<Item = Level> {
        (0..8).filter(move |level| self.0 & (1 << level) != 0)
    }

    /// Every greatest of one and one: what two branches come to together.
    fn with(self, other: Self) -> Self {
        self.iter()
            .flat_map(|one| other.iter().map(move |two| Self::of(one.max(two))))
            .fold(Self::default(), Self::or)
    }
}

/// What a parallel step adds to the level it was entered with.
#[derive(Debug, Clone, Default)]
struct Summary {
    success: Levels,
    failure: Levels,
    /// With its branches anywhere.
    meanwhile: Levels,
    branches: Vec<Added>,
}

/// What a branch adds: anywhere in it, at its good endings, at its bad ones.
#[derive(Debug, Clone, Copy, Default)]
struct Added {
    anywhere: Levels,
    well: Levels,
    badly: Levels,
}

/// How a pair was entered.
#[derive(Debug, Clone)]
enum Came {
    AtStart,
    From(Node, Level, Leg),
}

/// What lies between two steps of a path.
#[derive(Debug, Clone)]
pub(super) enum Leg {
    /// An edge, by its place among the edges of the step.
    Edge(usize),
    /// Into a branch, by its place.
    Branch(usize),
    /// Another branch went on meanwhile.
    Meanwhile(Node, usize),
}

/// Every pair that is entered.
pub(super) struct Walk<'g> {
    graph: &'g Graph<'g>,
    /// In the order of discovery: the shortest path first.
    pub(super) entered: Vec<(Node, Level)>,
    came: Vec<Option<Came>>,
    summaries: Vec<Option<Summary>>,
    levels: usize,
}

impl<'g> Walk<'g> {
    /// `gain` is what leaving a step along an edge makes true; there are `levels` levels, 0 at the start.
    pub(super) fn new(graph: &'g Graph<'g>, levels: usize, gain: &dyn Fn(Node, &Edge) -> Level) -> Self {
        let levels = levels.clamp(1, MOST);
        let mut walk = Self {
            graph,
            entered: Vec::new(),
            came: vec![None; graph.nodes().len().saturating_mul(levels)],
            summaries: vec![None; graph.nodes().len()],
            levels,
        };
        // The innermost first: a fork is written before the steps of its branches.
        for node in graph.nodes().rev() {
            if let Some(fork) = graph.fork(node) {
                let summary = walk.summarise(fork, gain);
                if let Some(slot) = walk.summaries.get_mut(node) {
                    *slot = Some(summary);
                }
            }
        }
        walk.run(gain);
        walk
    }

    fn run(&mut self, gain: &dyn Fn(Node, &Edge) -> Level) {
        let graph = self.graph;
        if graph.nodes().is_empty() {
            return;
        }
        self.enter(graph.start(), 0, Came::AtStart);
        let mut next = 0;
        // `entered` is the queue, too: what was entered first is left first.
        while let Some((node, level)) = self.entered.get(next).copied() {
            next += 1;
            self.others_meanwhile(node, level);
            if let Some(fork) = graph.fork(node) {
                for (index, branch) in fork.branches.iter().enumerate() {
                    if let Some(start) = branch.start {
                        self.enter(start, level, Came::From(node, level, Leg::Branch(index)));
                    }
                }
            }
            for (index, edge) in graph.edges(node).iter().enumerate() {
                let Some(to) = edge.to else { continue };
                match self.leaving(node, edge) {
                    None => {
                        let after = level.max(gain(node, edge));
                        self.enter(to, after, Came::From(node, level, Leg::Edge(index)));
                    }
                    Some(added) => {
                        for added in added.iter() {
                            self.enter(to, level.max(added), Came::From(node, level, Leg::Edge(index)));
                        }
                    }
                }
            }
        }
    }

    /// What a parallel step's edge adds; `None` for other steps.
    fn leaving(&self, node: Node, edge: &Edge) -> Option<Levels> {
        let summary = self.summary(node)?;
        Some(match edge.outcome {
            Outcome::Success => summary.success,
            _ => summary.failure,
        })
    }

    /// While the walk stands in one branch, the others may be anywhere.
    fn others_meanwhile(&mut self, node: Node, level: Level) {
        let mut here = self.graph.inside(node);
        while let Some(inside) = here {
            let added: Vec<Levels> = self
                .summary(inside.fork)
                .map(|summary| summary.branches.iter().map(|branch| branch.anywhere).collect())
                .unwrap_or_default();
            for (other, added) in added
                .into_iter()
                .enumerate()
                .filter(|(other, _)| *other != inside.branch)
            {
                for added in added.iter().filter(|added| *added > level) {
                    let leg = Leg::Meanwhile(inside.fork, other);
                    self.enter(node, added, Came::From(node, level, leg));
                }
            }
            here = self.graph.inside(inside.fork);
        }
    }

    fn summary(&self, fork: Node) -> Option<&Summary> {
        self.summaries.get(fork).and_then(Option::as_ref)
    }

    fn summarise(&self, fork: &Fork, gain: &dyn Fn(Node, &Edge) -> Level) -> Summary {
        let branches: Vec<Added> = fork
            .branches
            .iter()
            .map(|branch| self.branch(branch.start, gain))
            .collect();
        let together =
            |of: &dyn Fn(&Added) -> Levels| branches.iter().map(of).fold(Levels::of(0), Levels::with);
        let meanwhile = together(&|branch| branch.anywhere);
        let (success, failure) = match fork.join {
            Join::All => {
                // At least one has failed: walk along with what holds so far with and without a failure.
                let (mut none, mut some) = (Levels::of(0), Levels::default());
                for branch in &branches {
                    some = some
                        .with(branch.well.or(branch.badly))
                        .or(none.with(branch.badly));
                    none = none.with(branch.well);
                }
                (none, some)
            }
            Join::Any => {
                // Whichever was first, with the others anywhere: those before it and those behind it.
                let mut behind = vec![Levels::of(0)];
                for branch in branches.iter().rev() {
                    let last = behind.last().copied().unwrap_or_default();
                    behind.push(last.with(branch.anywhere));
                }
                behind.pop();
                let mut success = Levels::default();
                let mut before = Levels::of(0);
                for (first, behind) in branches.iter().zip(behind.into_iter().rev()) {
                    success = success.or(first.well.with(before).with(behind));
                    before = before.with(first.anywhere);
                }
                (success, together(&|branch| branch.badly))
            }
        };
        Summary {
            success,
            failure,
            meanwhile,
            branches,
        }
    }

    /// Walk one branch from its first step with nothing at hand.
    fn branch(&self, start: Option<Node>, gain: &dyn Fn(Node, &Edge) -> Level) -> Added {
        let mut added = Added {
            anywhere: Levels::of(0),
            ..Added::default()
        };
        let Some(start) = start else {
            return added;
        };
        let inside = self.graph.inside(start);
        let mut seen: HashSet<(Node, Level)> = HashSet::new();
        let mut queue = VecDeque::from([(start, 0)]);
        while let Some((node, level)) = queue.pop_front() {
            if !seen.insert((node, level)) {
                continue;
            }
            added.anywhere = added.anywhere.or(Levels::of(level));
            if let Some(inner) = self.summary(node) {
                added.anywhere = added.anywhere.or(Levels::of(level).with(inner.meanwhile));
            }
            match self.graph.step(node).map(|step| &step.kind) {
                Some(KindDocument::Terminal) => added.well = added.well.or(Levels::of(level)),
                Some(KindDocument::Escalation { .. }) => added.badly = added.badly.or(Levels::of(level)),
                _ => {}
            }
            for edge in self.graph.edges(node) {
                // An edge out of the branch is a finding of its own.
                let Some(to) = edge.to.filter(|to| self.graph.inside(*to) == inside) else {
                    continue;
                };
                match self.leaving(node, edge) {
                    None => queue.push_back((to, level.max(gain(node, edge)))),
                    Some(gained) => queue.extend(gained.iter().map(|gained| (to, level.max(gained)))),
                }
            }
        }
        added
    }

    fn enter(&mut self, node: Node, level: Level, came: Came) {
        let cell = self.cell(node, level);
        if let Some(slot @ None) = self.came.get_mut(cell) {
            *slot = Some(came);
            self.entered.push((node, level));
        }
    }

    fn came_to(&self, node: Node, level: Level) -> Option<&Came> {
        self.came.get(self.cell(node, level)).and_then(Option::as_ref)
    }

    pub(super) fn enters(&self, node: Node, level: Level) -> bool {
        self.came_to(node, level).is_some()
    }

    fn cell(&self, node: Node, level: Level) -> usize {
        node.saturating_mul(self.levels)
            .saturating_add(usize::from(level))
    }

    /// Step and edge names from the start to `(node, level)`.
    pub(super) fn path(&self, node: Node, level: Level) -> Vec<String> {
        let mut path = vec![self.graph.name(node)];
        let (mut here, mut at) = (node, level);
        while let Some(Came::From(from, before, leg)) = self.came_to(here, at) {
            path.push(self.leg(*from, leg));
            path.push(self.graph.name(*from));
            (here, at) = (*from, *before);
        }
        path.reverse();
        path
    }

    fn leg(&self, from: Node, leg: &Leg) -> String {
        let branch = |fork: Option<&Fork>, index: &usize| {
            fork.and_then(|fork| fork.branches.get(*index))
                .map(|branch| branch.name.clone())
                .unwrap_or_default()
        };
        match leg {
            Leg::Edge(index) => self
                .graph
                .edges(from)
                .get(*index)
                .map(Edge::name)
                .unwrap_or_default(),
            Leg::Branch(index) => format!("branches.{}", branch(self.graph.fork(from), index)),
            Leg::Meanwhile(fork, index) => {
                format!("meanwhile branches.{}", branch(self.graph.fork(*fork), index))
            }
        }
    }
}
