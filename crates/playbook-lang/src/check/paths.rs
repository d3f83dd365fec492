//! What can only be said of paths: what is reached, what ends, what loops, and the proof.

use std::collections::{HashMap, HashSet, VecDeque};

use common::{Assurance, Finding, Outcome, Severity};
use petgraph::graph::{DiGraph, NodeIndex};

use super::graph::{Edge, Graph, Node};
use super::permits::Grants;
use super::walk::{Level, Walk};
use crate::document::KindDocument;
use crate::findings::{Findings, about, code};
use crate::playbook::Join;
use crate::proof::Proof;
use crate::registry::{Action, Credential};

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    let reached = Walk::new(graph, 1, &|_, _| 0);
    unreachable(graph, &reached, findings);
    never_ends(graph, &reached, findings);
    unbounded_loops(graph, findings);
    branches(graph, findings);
    proof(graph, findings);
    credentials(graph, findings);
    permits(graph, findings);
}

/// A finding about a step as a whole.
fn said(
    graph: &Graph<'_>,
    node: Node,
    code: &'static str,
    message: String,
    path: Vec<String>,
) -> Option<Finding> {
    Some(Finding {
        path,
        ..about(graph.about(node)?, code, graph.at(node), message)
    })
}

fn unreachable(graph: &Graph<'_>, reached: &Walk<'_>, findings: &mut Findings) {
    for node in graph.nodes().filter(|node| !reached.enters(*node, 0)) {
        // What a called playbook has and this call never uses is its own affair.
        if graph.expanded(node).is_none_or(|step| step.at.is_some()) {
            continue;
        }
        let name = graph.name(node);
        let message = format!("no path from the start reaches `{name}`; lead to it or remove it");
        findings.extend(said(graph, node, code::UNREACHABLE_STEP, message, Vec::new()));
    }
}

/// A step is fine where some written edge after another leads to an ending. The escalation that a missing `on_denied`
/// stands for does not count: nobody plans to end by a denial.
fn never_ends(graph: &Graph<'_>, reached: &Walk<'_>, findings: &mut Findings) {
    let mut comes_from: Vec<Vec<Node>> = vec![Vec::new(); graph.nodes().len()];
    let mut queue: VecDeque<Node> = VecDeque::new();
    for node in graph.nodes() {
        // An edge to nowhere, or none at all, is a finding already.
        let known = graph.edges(node).iter().filter_map(|edge| edge.to);
        for to in known {
            if let Some(from) = comes_from.get_mut(to) {
                from.push(node);
            }
        }
        let open = graph.edges(node).iter().any(|edge| edge.to.is_none());
        if open || graph.edges(node).is_empty() {
            queue.push_back(node);
        }
    }
    let mut ends: HashSet<Node> = queue.iter().copied().collect();
    while let Some(node) = queue.pop_front() {
        for from in comes_from.get(node).into_iter().flatten() {
            if ends.insert(*from) {
                queue.push_back(*from);
            }
        }
    }
    for (node, _) in &reached.entered {
        if !ends.contains(node) && findings.room() {
            let name = graph.name(*node);
            let message = format!(
                "no way out of `{name}` leads to an ending; lead it to a terminal or escalation step"
            );
            findings.extend(said(
                graph,
                *node,
                code::NEVER_ENDS,
                message,
                reached.path(*node, 0),
            ));
        }
    }
}

/// A loop is bounded where `max_visits` stands on one of its steps: without those steps, no loop may be left.
fn unbounded_loops(graph: &Graph<'_>, findings: &mut Findings) {
    let bounded = |node| graph.step(node).is_some_and(|step| step.max_visits.is_some());
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
        let name = graph.name(first);
        let message = format!(
            "the loop through `{name}` may go round for ever; write `max_visits:` on one of its steps, or lead out of it"
        );
        findings.extend(said(graph, first, code::UNBOUNDED_LOOP, message, path));
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

/// A branch is entered by its parallel step and left by its endings; a branch that may be dropped does nothing that
/// matters, and proves nothing.
fn branches(graph: &Graph<'_>, findings: &mut Findings) {
    for node in graph.nodes() {
        let mut told = HashSet::new();
        for edge in graph.edges(node) {
            let Some(to) = edge.to.filter(|to| graph.inside(*to) != graph.inside(node)) else {
                continue;
            };
            if !told.insert(to) {
                continue;
            }
            let (from, name) = (graph.name(node), graph.name(to));
            let message = match graph.inside(to) {
                Some(inside) => format!(
                    "`{name}` stands in a branch of `{}`, and only that step leads into its branches; lead to it instead",
                    graph.name(inside.fork)
                ),
                None => format!(
                    "`{name}` stands outside the branch of `{from}`; end the branch with a terminal or escalation step of its own"
                ),
            };
            findings.extend(said(graph, node, code::BAD_BRANCH, message, Vec::new()));
        }
        droppable(graph, node, findings);
    }
}

/// In a branch of `join: any`, however deep, nothing acts, and nobody is asked for proof: once the branch is dropped,
/// nobody hears the "No" that still comes, and what stands behind the join would go on as if there had been none.
fn droppable(graph: &Graph<'_>, node: Node, findings: &mut Findings) {
    let Some(action) = graph.action(node) else {
        return;
    };
    let asks = action.verifies() || action.outcomes.contains(&Outcome::Denied);
    let acts = action.privileged() || action.credential != Credential::None;
    let Some(inside) = graph
        .places(node)
        .find(|inside| graph.fork(inside.fork).is_some_and(|fork| fork.join == Join::Any))
    else {
        return;
    };
    let (name, fork) = (graph.name(node), graph.name(inside.fork));
    let message = if acts {
        format!(
            "`{name}` acts in a branch of `{fork}` (`join: any`), which is dropped when another branch ends well; act after the join, or write `join: all`"
        )
    } else if asks {
        format!(
            "`{name}` asks for proof in a branch of `{fork}` (`join: any`), which is dropped when another branch ends well, and then nobody hears a denial; verify before `{fork}` or after it, or write `join: all`"
        )
    } else {
        return;
    };
    findings.extend(said(graph, node, code::BAD_BRANCH, message, Vec::new()));
}

/// What has been proven, as a level: the greatest counts, and a denial is the greatest of all.
const PROOFS: [Proof; 5] = [
    Proof::Unverified,
    Proof::Verified(Assurance::Low),
    Proof::Verified(Assurance::Substantial),
    Proof::Verified(Assurance::High),
    Proof::Denied,
];

fn level_of(proof: Proof) -> Level {
    PROOFS
        .iter()
        .position(|known| *known == proof)
        .and_then(|place| Level::try_from(place).ok())
        .unwrap_or_default()
}

/// On every path to a privileged step somebody proved who is asking, well enough, and nobody said no.
fn proof(graph: &Graph<'_>, findings: &mut Findings) {
    let walk = Walk::new(graph, PROOFS.len(), &|node, edge| {
        level_of(match (graph.action(node), &edge.outcome) {
            (Some(action), outcome) => Proof::Unverified.after(action, outcome),
            // Nobody knows what such an action does; a denial is a denial.
            (None, Outcome::Denied) => Proof::Denied,
            (None, _) => Proof::Unverified,
        })
    });
    let mut told = HashSet::new();
    for (node, level) in &walk.entered {
        let Some(action) = graph.action(*node) else {
            continue;
        };
        let proof = PROOFS.get(usize::from(*level)).copied().unwrap_or_default();
        let Some(required) = action
            .requires
            .filter(|required| !proof.satisfies(Some(*required)))
        else {
            continue;
        };
        let name = graph.name(*node);
        let (code, message) = match proof {
            Proof::Denied => (
                code::PRIVILEGED_AFTER_DENIAL,
                format!(
                    "`{name}` acts with privilege (`{}`) behind a denial, and no later success lifts a denial; lead `on_denied` to an escalation",
                    action.name
                ),
            ),
            Proof::Unverified => (
                code::UNVERIFIED_PRIVILEGED_STEP,
                format!(
                    "`{name}` acts with privilege (`{}`) and can be entered before anybody has proven who is asking; let the success of a verification lead to it",
                    action.name
                ),
            ),
            Proof::Verified(held) => (
                code::UNVERIFIED_PRIVILEGED_STEP,
                format!(
                    "`{name}` (`{}`) asks for `{}` assurance and can be entered with `{}` only; verify more strongly before",
                    action.name,
                    required.as_str(),
                    held.as_str()
                ),
            ),
        };
        if told.insert((*node, code)) && findings.room() {
            findings.extend(said(graph, *node, code, message, walk.path(*node, *level)));
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
    let walk = Walk::new(graph, 2, &|node, edge| {
        Level::from(part(node) == Credential::Yields && edge.outcome == Outcome::Success)
    });
    for (node, held) in &walk.entered {
        if *held > 0 || part(*node) != Credential::Needs || !findings.room() {
            continue;
        }
        let name = graph.name(*node);
        let message = format!(
            "`{name}` delivers a credential and can be entered when there is none; let the success of a step that makes one lead to it"
        );
        findings.extend(said(
            graph,
            *node,
            code::MISSING_CREDENTIAL,
            message,
            walk.path(*node, *held),
        ));
    }
}

/// Looking for a path costs time, and nobody reads more of them.
const MOST_PATHS: usize = 20;

/// A verification's permit is for one visit of one step. A privileged step that is entered without one of its own
/// escalates at run time: safe, but surely not what was meant.
fn permits(graph: &Graph<'_>, findings: &mut Findings) {
    let grants: Grants = graph
        .nodes()
        .filter(|node| graph.action(*node).is_some_and(Action::verifies))
        .map(|node| (node, graph.authorizes(node)))
        .collect();
    let acts: Vec<Node> = graph
        .nodes()
        .filter(|node| graph.action(*node).is_some_and(Action::privileged))
        .collect();
    for act in super::permits::astray(graph, &grants, &acts)
        .into_iter()
        .take(MOST_PATHS)
    {
        let name = graph.name(act);
        let message = format!(
            "`{name}` can be entered with a permit that is spent or for another step, and then escalates; a verification allows one act, so verify again before it"
        );
        let path = super::permits::path_to(graph, &grants, act);
        findings.extend(
            said(graph, act, code::MISSING_PERMIT, message, path).map(|finding| Finding {
                severity: Severity::Warning,
                ..finding
            }),
        );
    }
}

/// Whether a step ends its playbook or branch.
pub(super) fn ends(graph: &Graph<'_>, node: Node) -> bool {
    graph.step(node).is_some_and(|step| {
        matches!(
            step.kind,
            KindDocument::Terminal | KindDocument::Escalation { .. }
        )
    })
}
