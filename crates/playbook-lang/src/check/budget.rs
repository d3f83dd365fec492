//! The longest that an execution may take, against the playbook's budget.
//!
//! Every step counts with its time-outs and the waits between its attempts, as often as it may be entered; a parallel
//! step with its longest branch. Outages do not count: they are nobody's plan.

use std::time::Duration;

use petgraph::graph::{DiGraph, NodeIndex};

use super::graph::{Graph, Node};
use crate::document::{Document, KindDocument};
use crate::findings::{Findings, about, code};
use crate::playbook::Pause;
use crate::retry::Retry;

pub(super) fn check(document: &Document, graph: &Graph<'_>, findings: &mut Findings) {
    // Without a budget the default counts at run time; nobody promised anything about it.
    let Some(budget) = &document.budget else {
        return;
    };
    let Some((longest, path)) = longest(graph) else {
        return;
    };
    if longest <= budget.value {
        return;
    }
    let message = format!(
        "the playbook may take {} and its budget is {}; shorten time-outs, or give it more",
        told(longest),
        told(budget.value)
    );
    if let Some(id) = graph.about(graph.start()) {
        findings.add(common::Finding {
            path,
            step: None,
            ..about(id, code::OVER_BUDGET, budget.at, message)
        });
    }
}

/// Loops put together: each component of the graph with what it may take and where it leads.
struct Condensed {
    components: Vec<Vec<Node>>,
    of: Vec<usize>,
}

fn condensed(graph: &Graph<'_>) -> Condensed {
    let mut whole: DiGraph<Node, ()> = DiGraph::new();
    let indices: Vec<NodeIndex> = graph.nodes().map(|node| whole.add_node(node)).collect();
    for node in graph.nodes() {
        for to in graph.edges(node).iter().filter_map(|edge| edge.to) {
            if let (Some(from), Some(to)) = (indices.get(node), indices.get(to)) {
                whole.add_edge(*from, *to, ());
            }
        }
    }
    // In reverse topological order: what a component leads to comes before it.
    let components: Vec<Vec<Node>> = petgraph::algo::kosaraju_scc(&whole)
        .into_iter()
        .map(|component| {
            component
                .iter()
                .filter_map(|index| whole.node_weight(*index).copied())
                .collect()
        })
        .collect();
    let mut of = vec![0; graph.nodes().len()];
    for (number, component) in components.iter().enumerate() {
        for node in component {
            if let Some(slot) = of.get_mut(*node) {
                *slot = number;
            }
        }
    }
    Condensed { components, of }
}

/// The longest way from the start to an end, and its path. `None` for a graph without steps.
fn longest(graph: &Graph<'_>) -> Option<(Duration, Vec<String>)> {
    let Condensed { components, of } = condensed(graph);
    let mut from: Vec<Duration> = vec![Duration::ZERO; graph.nodes().len()];
    // Branches stand apart from the rest; their parallel step needs theirs first, and comes before them.
    for _ in 0..=deepest(graph) {
        for component in &components {
            let visits = visits(graph, component);
            let here: Duration = component
                .iter()
                .map(|node| cost(graph, *node, &from).saturating_mul(visits(*node)))
                .fold(Duration::ZERO, Duration::saturating_add);
            let onward = component
                .iter()
                .flat_map(|node| graph.edges(*node).iter().map(move |edge| (*node, edge.to)))
                .filter_map(|(node, to)| to.filter(|to| of.get(*to) != of.get(node)))
                .filter_map(|to| from.get(to).copied())
                .max()
                .unwrap_or_default();
            for node in component {
                if let Some(slot) = from.get_mut(*node) {
                    *slot = here.saturating_add(onward);
                }
            }
        }
    }
    let start = graph.start();
    let total = from.get(start).copied()?;
    Some((total, way(graph, &of, &from, start)))
}

/// How deep parallel steps stand within each other.
fn deepest(graph: &Graph<'_>) -> usize {
    graph
        .nodes()
        .map(|node| {
            let mut depth = 0;
            let mut here = graph.inside(node);
            while let Some(inside) = here {
                depth += 1;
                here = graph.inside(inside.fork);
            }
            depth
        })
        .max()
        .unwrap_or_default()
}

/// How often each step of a component may be entered: once outside a loop, else as often as the bounded ones of the
/// loop allow together, and once more.
fn visits(graph: &Graph<'_>, component: &[Node]) -> impl Fn(Node) -> u32 {
    let own = |node: &Node| graph.step(*node).and_then(|step| step.max_visits);
    let bound = component.iter().filter_map(own).fold(0_u32, u32::saturating_add);
    let bounded: Vec<(Node, u32)> = component
        .iter()
        .filter_map(|node| Some((*node, own(node)?)))
        .collect();
    let loops = component.len() > 1
        || component
            .iter()
            .any(|node| graph.edges(*node).iter().any(|edge| edge.to == Some(*node)));
    move |node| match bounded.iter().find(|(known, _)| *known == node) {
        _ if !loops => 1,
        Some((_, most)) => *most,
        None => bound.saturating_add(1),
    }
}

/// The longest that one visit of a step may take.
fn cost(graph: &Graph<'_>, node: Node, from: &[Duration]) -> Duration {
    let Some(step) = graph.step(node) else {
        return Duration::ZERO;
    };
    match &step.kind {
        KindDocument::Action(call) => {
            let timeout = call
                .timeout
                .or_else(|| graph.action(node).map(|action| action.timeout))
                .unwrap_or_default();
            attempts(timeout, &call.retry.unwrap_or_default())
        }
        KindDocument::Wait(Pause::For(period)) => *period,
        KindDocument::Parallel(_) => graph
            .fork(node)
            .into_iter()
            .flat_map(|fork| fork.branches.iter())
            .filter_map(|branch| branch.start.and_then(|start| from.get(start).copied()))
            .max()
            .unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// All attempts of a step with the longest waits between them.
fn attempts(timeout: Duration, retry: &Retry) -> Duration {
    let waits = (1..retry.max_attempts)
        .map(|nth| retry.wait(nth, 1.0))
        .fold(Duration::ZERO, Duration::saturating_add);
    timeout.saturating_mul(retry.max_attempts).saturating_add(waits)
}

/// The steps along the longest way; what lies between two of them is the edge that takes longest.
fn way(graph: &Graph<'_>, of: &[usize], from: &[Duration], start: Node) -> Vec<String> {
    let mut path = vec![graph.name(start)];
    let mut here = start;
    for _ in graph.nodes() {
        let onward = graph
            .edges(here)
            .iter()
            .filter_map(|edge| edge.to.map(|to| (edge, to)))
            .filter(|(_, to)| of.get(*to) != of.get(here))
            .max_by_key(|(_, to)| from.get(*to).copied());
        let Some((edge, to)) = onward else { break };
        path.push(edge.name());
        path.push(graph.name(to));
        here = to;
    }
    path
}

/// As people write it.
fn told(period: Duration) -> String {
    let seconds = period.as_secs();
    let parts = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let mut told = Vec::new();
    for (unit, name) in parts {
        if left >= unit {
            told.push(format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    if told.is_empty() {
        return "no time".to_owned();
    }
    told.join(" ")
}
