//! From a document without errors to the [`Playbook`] that the machine walks.

use std::time::Duration;

use common::{Digest, Outcome, PlaybookRef, StepId};
use indexmap::IndexMap;

use super::expand::{Expanded, Whole};
use super::graph::{Graph, Node};
use super::names::credential_of;
use super::scope::{Scope, derived};
use crate::condition::Condition;
use crate::document::{ActionDocument, Document, KindDocument, TriggerDocument};
use crate::playbook::{ActionStep, Case, Parallel, Pause, Playbook, Step, StepKind, Trigger, Within};

/// An execution may take this long where the playbook names no `budget`.
const DEFAULT_BUDGET: Duration = Duration::from_hours(24);

/// `None` where something is missing, which is a finding already.
pub(super) fn playbook(
    document: &Document,
    graph: &Graph<'_>,
    whole: &Whole<'_>,
    source: &str,
) -> Option<Playbook> {
    let reference = PlaybookRef {
        name: document.name.as_ref()?.value.clone(),
        version: document.version.clone()?,
        digest: Digest::of(source),
    };
    let mut steps = IndexMap::with_capacity(graph.nodes().len());
    let mut undos = IndexMap::new();
    for node in graph.nodes() {
        let expanded = graph.expanded(node)?;
        let scope = whole.scopes.get(expanded.scope)?;
        let step = step(graph, node, expanded, scope)?;
        if let Some(undo) = undo(graph, node, &step, scope) {
            undos.insert(undo.id.clone(), undo);
        }
        steps.insert(step.id.clone(), step);
    }
    Some(Playbook {
        reference,
        enabled: document.enabled,
        description: document.description.clone(),
        category: document.category.clone(),
        sub_category: document.sub_category.clone(),
        examples: document.examples.clone(),
        budget: document
            .budget
            .as_ref()
            .map_or(DEFAULT_BUDGET, |budget| budget.value),
        trigger: document.trigger.as_ref().map(trigger),
        inputs: document.inputs.clone(),
        start: graph.id(graph.start())?.clone(),
        calls: whole.calls.clone(),
        steps,
        undos,
    })
}

fn trigger(written: &TriggerDocument) -> Trigger {
    Trigger {
        source: written.source.clone(),
        on: written.on.clone(),
        when: written
            .when
            .as_ref()
            .map_or_else(|| Condition::All(Vec::new()), |when| when.condition.clone()),
    }
}

fn step(graph: &Graph<'_>, node: Node, expanded: &Expanded<'_>, scope: &Scope) -> Option<Step> {
    let id = expanded.id.clone().into_owned();
    let kind = match &expanded.written.kind {
        KindDocument::Action(action) => StepKind::Action(Box::new(action_step(graph, node, action)?)),
        KindDocument::Decision(cases) => StepKind::Decision(
            cases
                .iter()
                .map(|case| {
                    Some(Case {
                        name: case.name.clone(),
                        when: scope.condition(&case.when.as_ref()?.condition),
                    })
                })
                .collect::<Option<_>>()?,
        ),
        KindDocument::Wait(Pause::For(period)) => StepKind::Wait(Pause::For(*period)),
        KindDocument::Wait(Pause::Until(value)) => StepKind::Wait(Pause::Until(scope.value(value)?)),
        KindDocument::Parallel(_) => StepKind::Parallel(parallel(graph, node)?),
        KindDocument::Terminal => StepKind::Terminal,
        KindDocument::Escalation { reason } => StepKind::Escalation {
            reason: reason.clone(),
        },
        KindDocument::Call(_) | KindDocument::Unknown => return None,
    };
    Some(Step {
        name: expanded.written.name.clone().unwrap_or_else(|| id.to_string()),
        id,
        kind,
        edges: edges(graph, node),
        max_visits: expanded.written.max_visits,
        within: expanded.within.as_ref().map(|place| Within {
            parallel: place.parallel.clone(),
            branch: place.branch.clone(),
        }),
    })
}

/// The edges with calls taken along. The time-out that means failure stands behind them, and is the machine's affair.
fn edges(graph: &Graph<'_>, node: Node) -> IndexMap<Outcome, StepId> {
    let written = graph.expanded(node).map_or(0, |step| step.edges.len());
    graph
        .edges(node)
        .iter()
        .take(written)
        .filter_map(|edge| Some((edge.outcome.clone(), graph.id(edge.to?)?.clone())))
        .collect()
}

fn parallel(graph: &Graph<'_>, node: Node) -> Option<Parallel> {
    let fork = graph.fork(node)?;
    let branches = fork
        .branches
        .iter()
        .map(|branch| Some((branch.name.clone(), graph.id(branch.start?)?.clone())))
        .collect::<Option<_>>()?;
    Some(Parallel {
        branches,
        join: fork.join,
    })
}

fn action_step(graph: &Graph<'_>, node: Node, action: &ActionDocument) -> Option<ActionStep> {
    let offered = graph.action(node)?;
    let credential_of = credential_of(graph, node);
    Some(ActionStep {
        action: offered.clone(),
        timeout: action.timeout.unwrap_or(offered.timeout),
        retry: action.retry.unwrap_or_default(),
        parameters: graph.values(node)?.clone(),
        credential_of,
        authorizes: graph
            .authorizes(node)
            .and_then(|target| graph.id(target).cloned()),
        undo: graph
            .undo(node)
            .and_then(|_| graph.id(node))
            .map(|id| derived(id, UNDO)),
    })
}

/// Ends the id of a step that takes another back.
const UNDO: &str = "undo";

fn undo(graph: &Graph<'_>, node: Node, step: &Step, scope: &Scope) -> Option<Step> {
    let written = graph.call(node)?.undo.as_ref()?;
    let offered = graph.undo(node)?;
    Some(Step {
        id: derived(&step.id, UNDO),
        name: format!("Undo: {}", step.name),
        kind: StepKind::Action(Box::new(ActionStep {
            action: offered.clone(),
            timeout: written.timeout.unwrap_or(offered.timeout),
            retry: written.retry.unwrap_or_default(),
            parameters: scope.values(&written.values),
            credential_of: None,
            authorizes: None,
            undo: None,
        })),
        edges: IndexMap::new(),
        max_visits: None,
        within: None,
    })
}
