//! From nodes and lines to vertices on ranks, each joined only to vertices on the next rank.

use std::collections::HashMap;

use super::flat::Part;
use super::{Size, Tie, at, put};

/// So many bends in all. Lines that would need more go straight to their target, over whatever stands there: only a
/// graph that nobody can read anyway has so many.
const MOST_BENDS: usize = 12_000;
/// Bends pull at least so much on what is next to them: a long line should run straight.
const BEND_PULL: f64 = 12.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A node: the first vertices are these, by their number.
    Node,
    /// The label of a line, also where it is empty.
    Label,
    /// A place where a trunk passes a rank.
    Bend,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Vertex {
    pub(super) what: What,
    pub(super) rank: usize,
    pub(super) size: Size,
}

/// How a line runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// By its label, then from vertex to vertex as [`Net::onward`] says.
    Along { label: usize },
    /// From its label straight to its target.
    Jump { label: usize },
    /// From a node to itself.
    Loop,
    /// Between nodes that are not there.
    Nowhere,
}

#[derive(Debug, Default)]
pub(super) struct Net {
    pub(super) vertices: Vec<Vertex>,
    /// To the next rank, with the pull; and back.
    pub(super) down: Vec<Vec<(usize, f64)>>,
    pub(super) up: Vec<Vec<(usize, f64)>>,
    /// In the order of the ties.
    pub(super) courses: Vec<Course>,
    /// From a label or a bend to what comes next on the way to the target.
    pub(super) onward: Vec<Option<usize>>,
    bends: HashMap<(usize, u8, usize), usize>,
}

impl Net {
    pub(super) fn of(parts: &[Part], ties: &[Tie]) -> Self {
        let mut net = Self {
            courses: vec![Course::Nowhere; ties.len()],
            ..Self::default()
        };
        let ranks = ranks(parts.len(), ties);
        for (part, rank) in parts.iter().zip(&ranks) {
            net.add(What::Node, *rank * 2, part.size);
        }
        net.make_room_for_loops(ties);
        let span = |tie: &Tie| at(&ranks, tie.from).abs_diff(at(&ranks, tie.to));
        let mut shortest: Vec<(usize, &Tie)> = ties.iter().enumerate().collect();
        shortest.sort_by_key(|(_, tie)| span(tie));
        for (index, tie) in shortest {
            if tie.from < parts.len() && tie.to < parts.len() {
                let course = net.lead(tie);
                put(&mut net.courses, index, course);
            }
        }
        net
    }

    pub(super) fn size(&self, vertex: usize) -> Size {
        self.vertices
            .get(vertex)
            .map_or(Size::default(), |vertex| vertex.size)
    }

    pub(super) fn rank(&self, vertex: usize) -> usize {
        self.vertices.get(vertex).map_or(0, |vertex| vertex.rank)
    }

    pub(super) fn is(&self, vertex: usize, what: What) -> bool {
        self.vertices
            .get(vertex)
            .is_some_and(|vertex| vertex.what == what)
    }

    pub(super) fn neighbours(&self, vertex: usize, up: bool) -> &[(usize, f64)] {
        let all = if up { &self.up } else { &self.down };
        all.get(vertex).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, what: What, rank: usize, size: Size) -> usize {
        self.vertices.push(Vertex { what, rank, size });
        self.down.push(Vec::new());
        self.up.push(Vec::new());
        self.onward.push(None);
        self.vertices.len() - 1
    }

    fn make_room_for_loops(&mut self, ties: &[Tie]) {
        for tie in ties.iter().filter(|tie| tie.from == tie.to) {
            if let Some(vertex) = self.vertices.get_mut(tie.from) {
                vertex.size.width += 2.0 * (super::route::LOOP + tie.label.width);
            }
        }
    }

    /// One line's label and bends.
    fn lead(&mut self, tie: &Tie) -> Course {
        if tie.from == tie.to {
            return Course::Loop;
        }
        let (from, to) = (self.rank(tie.from), self.rank(tie.to));
        // Nodes stand on even ranks, so there is always one between them.
        let next = |rank: usize| {
            if from < to {
                rank + 1
            } else {
                rank.saturating_sub(1)
            }
        };
        let mut rank = next(from);
        let label = self.add(What::Label, rank, tie.label);
        self.join(tie.from, label, tie.pull);
        let bends = from.abs_diff(to).saturating_sub(2);
        if self.bends.len() + bends > MOST_BENDS && !self.bends.contains_key(&(tie.to, tie.trunk, next(rank)))
        {
            return Course::Jump { label };
        }
        let mut last = label;
        loop {
            rank = next(rank);
            let (vertex, joins) = if rank == to {
                (tie.to, true)
            } else {
                match self.bends.get(&(tie.to, tie.trunk, rank)) {
                    Some(bend) => (*bend, true),
                    None => (self.add_bend(tie, rank), false),
                }
            };
            put(&mut self.onward, last, Some(vertex));
            let bent = last != label && !joins;
            self.join(
                last,
                vertex,
                if bent { tie.pull.max(BEND_PULL) } else { tie.pull },
            );
            if joins {
                return Course::Along { label };
            }
            last = vertex;
        }
    }

    fn add_bend(&mut self, tie: &Tie, rank: usize) -> usize {
        let bend = self.add(What::Bend, rank, Size::default());
        self.bends.insert((tie.to, tie.trunk, rank), bend);
        bend
    }

    fn join(&mut self, one: usize, other: usize, pull: f64) {
        let (upper, lower) = if self.rank(one) < self.rank(other) {
            (one, other)
        } else {
            (other, one)
        };
        if let Some(down) = self.down.get_mut(upper) {
            down.push((lower, pull));
        }
        if let Some(up) = self.up.get_mut(lower) {
            up.push((upper, pull));
        }
    }
}

/// How many steps each node stands below the first one: the longest way there that repeats nothing.
fn ranks(nodes: usize, ties: &[Tie]) -> Vec<usize> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for tie in ties.iter().filter(|tie| tie.from != tie.to && tie.to < nodes) {
        if let Some(targets) = next.get_mut(tie.from) {
            targets.push(tie.to);
        }
    }
    let (finished, backward) = search(&next);
    let mut ranks = vec![0_usize; nodes];
    // Whoever finishes last stands before all that can be reached from it.
    for node in finished.iter().rev() {
        let below = at(&ranks, *node) + 1;
        for target in next.get(*node).into_iter().flatten() {
            if !backward.contains(&(*node, *target)) && at(&ranks, *target) < below {
                put(&mut ranks, *target, below);
            }
        }
    }
    ranks
}

/// Depth first, without a call for each depth: the nodes in the order in which they are finished, and the lines that
/// lead back to where the search came from.
fn search(next: &[Vec<usize>]) -> (Vec<usize>, std::collections::HashSet<(usize, usize)>) {
    #[derive(Clone, Copy, Default, PartialEq)]
    enum Seen {
        #[default]
        No,
        Open,
        Done,
    }
    let mut seen = vec![Seen::No; next.len()];
    let mut finished = Vec::with_capacity(next.len());
    let mut backward = std::collections::HashSet::new();
    for root in 0..next.len() {
        if at(&seen, root) != Seen::No {
            continue;
        }
        put(&mut seen, root, Seen::Open);
        let mut stack = vec![(root, 0_usize)];
        while let Some((node, tried)) = stack.pop() {
            let Some(target) = next.get(node).and_then(|targets| targets.get(tried)) else {
                put(&mut seen, node, Seen::Done);
                finished.push(node);
                continue;
            };
            stack.push((node, tried + 1));
            match at(&seen, *target) {
                Seen::No => {
                    put(&mut seen, *target, Seen::Open);
                    stack.push((*target, 0));
                }
                Seen::Open => {
                    backward.insert((node, *target));
                }
                Seen::Done => {}
            }
        }
    }
    (finished, backward)
}
