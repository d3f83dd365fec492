//! The permit for one privileged step, along every path. Unlike a proof it can be lost again: it is spent.

use std::collections::{HashMap, VecDeque};

use common::Outcome;

use super::graph::{Edge, Graph, Node};
use crate::document::KindDocument;

/// The verifications, each with the step that its permit is for; `None` where no step comes of it.
pub(super) type Grants = HashMap<Node, Option<Node>>;

/// The permit for one privileged step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Permit {
    /// Nobody has verified anything.
    None,
    /// At hand.
    ForIt,
    /// Verified, but the permit was spent or allows another step.
    Elsewhere,
}

/// The privileged steps that some path enters with their permit spent, or for another step.
///
/// All of them are followed at once, 64 at a time: for each step three numbers say, one bit a privileged step, in which
/// states its permit may be there.
pub(super) fn astray(graph: &Graph<'_>, grants: &Grants, acts: &[Node]) -> Vec<Node> {
    acts.chunks(64)
        .flat_map(|chunk| {
            let bits: HashMap<Node, u64> = chunk
                .iter()
                .enumerate()
                .map(|(place, act)| (*act, 1_u64 << place))
                .collect();
            let may = may(graph, grants, &bits);
            chunk
                .iter()
                .copied()
                .filter(|act| {
                    let bit = bits.get(act).copied().unwrap_or_default();
                    may.get(*act).is_some_and(|may| may.elsewhere & bit != 0)
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// For each of up to 64 privileged steps, a bit: in this state its permit may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct May {
    none: u64,
    for_it: u64,
    elsewhere: u64,
}

impl May {
    const fn or(self, other: Self) -> Self {
        Self {
            none: self.none | other.none,
            for_it: self.for_it | other.for_it,
            elsewhere: self.elsewhere | other.elsewhere,
        }
    }

    /// After a verification for the step of `bit` succeeded: that one has its permit, for all others this was another.
    const fn granted(self, bit: u64) -> Self {
        let known = self.none | self.for_it | self.elsewhere;
        Self {
            none: 0,
            for_it: (self.for_it & !bit) | (known & bit),
            elsewhere: (self.elsewhere | self.none) & !bit,
        }
    }

    /// After the step of `bit` was left: its permit is spent.
    const fn spent(self, bit: u64) -> Self {
        Self {
            none: self.none,
            for_it: self.for_it & !bit,
            elsewhere: self.elsewhere | (self.for_it & bit),
        }
    }
}

fn may(graph: &Graph<'_>, grants: &Grants, bits: &HashMap<Node, u64>) -> Vec<May> {
    let mut may = vec![May::default(); graph.nodes().len()];
    let mut waits = vec![false; graph.nodes().len()];
    let mut queue = VecDeque::new();
    let meet =
        |may: &mut Vec<May>, waits: &mut Vec<bool>, queue: &mut VecDeque<Node>, to: Node, news: May| {
            if let (Some(known), Some(waits)) = (may.get_mut(to), waits.get_mut(to)) {
                let before = *known;
                *known = before.or(news);
                if *known != before && !std::mem::replace(waits, true) {
                    queue.push_back(to);
                }
            }
        };
    let all = bits.values().fold(0, |all, bit| all | bit);
    let start = May {
        none: all,
        ..May::default()
    };
    meet(&mut may, &mut waits, &mut queue, graph.start(), start);
    while let Some(node) = queue.pop_front() {
        if let Some(waits) = waits.get_mut(node) {
            *waits = false;
        }
        let here = may.get(node).copied().unwrap_or_default();
        let spent = here.spent(bits.get(&node).copied().unwrap_or_default());
        let granted = grants.get(&node).map(|act| {
            let bit = act.and_then(|act| bits.get(&act).copied());
            here.granted(bit.unwrap_or_default())
        });
        for (to, leg) in legs(graph, node) {
            let after = granted.filter(|_| leg.succeeds()).unwrap_or(spent);
            meet(&mut may, &mut waits, &mut queue, to, after);
        }
    }
    may
}

/// What lies between two steps, as permits see it.
#[derive(Clone, Copy)]
enum Leg<'g> {
    Branch(&'g str),
    Edge(&'g Edge),
    /// The branch ended so, and its parallel step with it.
    Joined(&'static Outcome),
}

impl Leg<'_> {
    fn succeeds(self) -> bool {
        matches!(self, Self::Edge(edge) if edge.outcome == Outcome::Success)
    }

    fn name(self) -> String {
        match self {
            Self::Branch(name) => format!("branches.{name}"),
            Self::Edge(edge) => edge.name(),
            Self::Joined(outcome) => format!("on_{outcome}"),
        }
    }
}

/// Where a step leads, as permits see it. Branches are walked one at a time: a permit is for one step, so it makes no
/// difference to it what others do meanwhile. The end of a branch leads where its parallel step does.
fn legs<'g>(graph: &'g Graph<'_>, node: Node) -> impl Iterator<Item = (Node, Leg<'g>)> {
    let fork = graph.fork(node);
    let branches = fork
        .into_iter()
        .flat_map(|fork| &fork.branches)
        .filter_map(|branch| Some((branch.start?, Leg::Branch(&branch.name))));
    let ending = match graph.step(node).map(|step| &step.kind) {
        Some(KindDocument::Terminal) => Some(&Outcome::Success),
        Some(KindDocument::Escalation { .. }) => Some(&Outcome::Failure),
        _ => None,
    };
    let joined = graph.inside(node).zip(ending).and_then(|(inside, outcome)| {
        let to = graph.target(inside.fork, outcome)?;
        Some((to, Leg::Joined(outcome)))
    });
    let edges = graph
        .edges(node)
        .iter()
        .filter(move |_| fork.is_none())
        .filter_map(|edge| Some((edge.to?, Leg::Edge(edge))));
    branches.chain(edges).chain(joined)
}

/// How each pair of step and permit was entered first.
type Came<'g> = HashMap<(Node, Permit), Option<((Node, Permit), Leg<'g>)>>;

/// The shortest path on which `act` is entered with its permit spent, or for another step.
pub(super) fn path_to(graph: &Graph<'_>, grants: &Grants, act: Node) -> Vec<String> {
    let start = (graph.start(), Permit::None);
    let mut came: Came<'_> = HashMap::from([(start, None)]);
    let mut queue = VecDeque::from([start]);
    while let Some((node, permit)) = queue.pop_front() {
        if (node, permit) == (act, Permit::Elsewhere) {
            break;
        }
        for (to, leg) in legs(graph, node) {
            let granted = grants.get(&node).filter(|_| leg.succeeds());
            let after = match (granted, permit) {
                (Some(granted), _) if *granted == Some(act) => Permit::ForIt,
                (Some(_), Permit::None) => Permit::Elsewhere,
                (_, Permit::ForIt) if node == act => Permit::Elsewhere,
                (_, unchanged) => unchanged,
            };
            came.entry((to, after)).or_insert_with(|| {
                queue.push_back((to, after));
                Some(((node, permit), leg))
            });
        }
    }
    let mut path = vec![graph.name(act)];
    let mut here = (act, Permit::Elsewhere);
    while let Some(Some((from, leg))) = came.get(&here) {
        path.push(leg.name());
        path.push(graph.name(from.0));
        here = *from;
    }
    path.reverse();
    path
}
