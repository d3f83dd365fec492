//! What can be said of a step by itself: is its action offered, are its outcomes routed, are its parameters right.

use common::{Outcome, Severity};
use serde_json::Value;

use super::graph::{Graph, Node};
use crate::document::{ActionDocument, KindDocument, UndoDocument};
use crate::findings::{Findings, about, code, quoted};
use crate::kind::Kind;
use crate::registry::{Action, Registry};
use crate::template::templates;

pub(super) fn check(graph: &Graph<'_>, registry: &Registry, findings: &mut Findings) {
    for node in graph.nodes() {
        let Some(step) = graph.step(node) else { continue };
        match &step.kind {
            KindDocument::Action(call) => match graph.action(node) {
                Some(action) => {
                    outcomes(graph, node, call, action, findings);
                    parameters(graph, node, call, action, findings);
                    undo(graph, node, call, action, registry, findings);
                }
                None => unknown_service(graph, node, call, registry, findings),
            },
            KindDocument::Wait(_) => needs_edges(graph, node, &[Outcome::Success], findings),
            KindDocument::Parallel(_) => {
                needs_edges(graph, node, &[Outcome::Success, Outcome::Failure], findings);
                branches(graph, node, findings);
            }
            _ => {}
        }
    }
}

/// A branch nobody needs is a mistake, and so is a choice of one.
fn branches(graph: &Graph<'_>, node: Node, findings: &mut Findings) {
    let count = graph.fork(node).map_or(0, |fork| fork.branches.len());
    if count < 2
        && let Some(about_step) = graph.about(node)
    {
        let message = "a parallel step has at least two branches";
        findings.add(about(about_step, code::BAD_BRANCH, graph.at(node), message));
    }
}

fn needs_edges(graph: &Graph<'_>, node: Node, outcomes: &[Outcome], findings: &mut Findings) {
    let Some(id) = graph.about(node) else { return };
    for outcome in outcomes {
        if !graph.edges(node).iter().any(|edge| edge.outcome == *outcome) {
            let message =
                format!("the step can end in `{outcome}` and leads nowhere then; add `on_{outcome}:`");
            findings.add(about(id, code::MISSING_OUTCOME, graph.at(node), message));
        }
    }
}

fn unknown_service(
    graph: &Graph<'_>,
    node: Node,
    call: &ActionDocument,
    registry: &Registry,
    findings: &mut Findings,
) {
    let (Some(id), Some(name)) = (graph.about(node), &call.service) else {
        return;
    };
    let known = || registry.actions().map(|action| action.name.as_str());
    let near = findings.did_you_mean(name.value.as_str(), known());
    let service = name.value.service();
    let offered: Vec<&str> = known()
        .filter(|known| known.split('.').next() == Some(service))
        .collect();
    let message = if offered.is_empty() {
        format!("no service offers {}{near}", quoted(name.value.as_str()))
    } else {
        format!(
            "{} offers no {}; it offers `{}`",
            quoted(service),
            quoted(name.value.action()),
            offered.join("`, `")
        )
    };
    findings.add(about(
        id,
        code::UNKNOWN_SERVICE,
        graph.place(node, name.at),
        message,
    ));
}

fn outcomes(graph: &Graph<'_>, node: Node, call: &ActionDocument, action: &Action, findings: &mut Findings) {
    let (Some(id), Some(step)) = (graph.about(node), graph.step(node)) else {
        return;
    };
    for edge in &step.edges {
        if action.answers(&edge.outcome) {
            continue;
        }
        let at = graph.place(node, edge.at);
        let finding = match &edge.outcome {
            Outcome::Word(word) => {
                let words = || action.words().map(Outcome::as_str);
                let near = findings.did_you_mean(word, words());
                let offered: Vec<&str> = words().collect();
                let offered = if offered.is_empty() {
                    "it has no words of its own".to_owned()
                } else {
                    format!("its words are `{}`", offered.join("`, `"))
                };
                let message = format!(
                    "`{}` never ends in {}; {offered}{near}",
                    action.name,
                    quoted(word)
                );
                about(id, code::UNKNOWN_OUTCOME, at, message)
            }
            // Harmless: the edge is never taken, and would lead where its author wanted.
            own => common::Finding {
                severity: Severity::Warning,
                ..about(
                    id,
                    code::UNKNOWN_OUTCOME,
                    at,
                    format!(
                        "`{}` never ends in `{own}`, so this edge is never taken",
                        action.name
                    ),
                )
            },
        };
        findings.add(finding);
    }
    // What `depends_on` made an edge of.
    let derived = graph
        .expanded(node)
        .into_iter()
        .flat_map(|expanded| expanded.edges.iter().skip(step.edges.len()));
    for (outcome, target, at) in derived {
        if !action.answers(outcome) {
            let message = format!(
                "`{}` never ends in `{outcome}`, so `{target}` cannot come next by `depends_on`; lead to it from the outcomes that there are",
                action.name
            );
            findings.add(about(id, code::BAD_DEPENDENCY, graph.place(node, *at), message));
        }
    }
    let routed = |outcome: &Outcome| graph.edges(node).iter().any(|edge| edge.outcome == *outcome);
    // A missing `on_timeout` means `on_failure`, a missing `on_denied` escalation. A question cannot fail by itself.
    let failure = match call.ask {
        Some(_) => Outcome::Timeout,
        None => Outcome::Failure,
    };
    let wanted = std::iter::once(&failure).chain(
        action
            .outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Success | Outcome::Word(_))),
    );
    for outcome in wanted.filter(|outcome| !routed(outcome)) {
        let mend = match outcome {
            Outcome::Word(word) => format!("`outcomes: {{{word}: ...}}`"),
            own => format!("`on_{own}:`"),
        };
        let message = format!(
            "`{}` can end in `{outcome}`, and the step leads nowhere then; add {mend}",
            action.name
        );
        findings.add(about(id, code::MISSING_OUTCOME, graph.at(node), message));
    }
}

fn parameters(
    graph: &Graph<'_>,
    node: Node,
    call: &ActionDocument,
    action: &Action,
    findings: &mut Findings,
) {
    let Some(id) = graph.about(node) else {
        return;
    };
    let values = graph.values(node);
    for written in &call.parameters {
        let name = &written.name.value;
        let Some(parameter) = action.parameters.get(name) else {
            let near = findings.did_you_mean(name, action.parameters.keys().map(String::as_str));
            let message = format!("`{}` has no parameter {}{near}", action.name, quoted(name));
            let at = graph.place(node, written.name.at);
            findings.add(about(id, code::UNKNOWN_PARAMETER, at, message));
            continue;
        };
        // Left out, because it is an input that the caller leaves out.
        let Some(value) = values.and_then(|values| values.get(name)) else {
            continue;
        };
        if !fits(&parameter.kind, value) {
            let message = format!("{} must be {}", quoted(name), parameter.kind);
            findings.add(about(id, code::BAD_VALUE, graph.place(node, written.at), message));
        }
    }
    for (name, parameter) in &action.parameters {
        if parameter.required && values.is_none_or(|values| !values.contains_key(name)) {
            let message = format!(
                "`{}` needs the parameter `{name}` ({}): {}",
                action.name, parameter.kind, parameter.meaning
            );
            findings.add(about(id, code::MISSING_PARAMETER, graph.at(node), message));
        }
    }
}

/// Whether a value is of its kind. What a template gives is looked at with the names it uses; where it may stand is
/// looked at here.
fn fits(kind: &Kind, value: &Value) -> bool {
    let is_template = |value: &Value| value.is_string() && templates(value);
    match (kind, value) {
        (_, value) if is_template(value) => true,
        (Kind::Fields, Value::Object(fields)) => fields
            .values()
            .all(|field| is_template(field) || !(field.is_object() || field.is_array() || field.is_null())),
        (kind, value) => kind.admits(value),
    }
}

/// What takes a step back must be made for it.
fn undo(
    graph: &Graph<'_>,
    node: Node,
    call: &ActionDocument,
    action: &Action,
    registry: &Registry,
    findings: &mut Findings,
) {
    let Some(id) = graph.about(node) else {
        return;
    };
    if let Some(undone) = &action.undoes {
        let at = graph.place(node, call.service.as_ref().map_or(graph.at(node), |name| name.at));
        let message = format!(
            "`{}` takes back `{undone}` and is no step of its own; write it as `undo:` of that step",
            action.name
        );
        findings.add(about(id, code::BAD_UNDO, at, message));
    }
    let fitting = registry
        .actions()
        .find(|candidate| candidate.undoes.as_ref() == Some(&action.name));
    match (&call.undo, graph.undo(node)) {
        (Some(written), None) => {
            let message = format!("no service offers {}", quoted(written.service.value.as_str()));
            let at = graph.place(node, written.service.at);
            findings.add(about(id, code::UNKNOWN_SERVICE, at, message));
        }
        (Some(written), Some(undo)) if undo.undoes.as_ref() != Some(&action.name) => {
            let mend = fitting.map_or_else(String::new, |fitting| format!("; `{}` does", fitting.name));
            let message = format!("`{}` does not take back `{}`{mend}", undo.name, action.name);
            let at = graph.place(node, written.service.at);
            findings.add(about(id, code::BAD_UNDO, at, message));
        }
        (Some(written), Some(undo)) => undo_parameters(graph, node, written, undo, findings),
        _ => {}
    }
}

/// What takes a step back is told which step that was; whatever else it is told is written out.
fn undo_parameters(
    graph: &Graph<'_>,
    node: Node,
    written: &UndoDocument,
    undo: &Action,
    findings: &mut Findings,
) {
    let Some(id) = graph.about(node) else {
        return;
    };
    for parameter in &written.parameters {
        let name = &parameter.name.value;
        let value = written.values.get(name).unwrap_or(&Value::Null);
        let (code, at, message) = match undo.parameters.get(name) {
            None => (
                code::UNKNOWN_PARAMETER,
                parameter.name.at,
                format!("`{}` has no parameter {}", undo.name, quoted(name)),
            ),
            Some(_) if templates(value) => (
                code::BAD_TEMPLATE,
                parameter.at,
                format!("{}: an undo takes no template; write the value out", quoted(name)),
            ),
            Some(known) if !known.kind.admits(value) => (
                code::BAD_VALUE,
                parameter.at,
                format!("{} must be {}", quoted(name), known.kind),
            ),
            Some(_) => continue,
        };
        findings.add(about(id, code, graph.place(node, at), message));
    }
}

/// What could be taken back and is not, where a person may take over later: advice on a playbook that is sound.
pub(super) fn missing_undos(graph: &Graph<'_>, registry: &Registry, findings: &mut Findings) {
    for node in graph.nodes() {
        let (Some(id), Some(call), Some(action)) = (graph.about(node), graph.call(node), graph.action(node))
        else {
            continue;
        };
        let fitting = registry
            .actions()
            .find(|candidate| candidate.undoes.as_ref() == Some(&action.name));
        let Some(fitting) = fitting.filter(|_| call.undo.is_none() && escalates_after(graph, node)) else {
            continue;
        };
        let message = format!(
            "what `{}` did stays where a person takes over later; write `undo: {}`",
            action.name, fitting.name
        );
        findings.add(common::Finding {
            severity: Severity::Warning,
            ..about(id, code::MISSING_UNDO, graph.at(node), message)
        });
    }
}

/// Whether some path from the success of a step leads to a person.
fn escalates_after(graph: &Graph<'_>, node: Node) -> bool {
    let mut seen = vec![false; graph.nodes().len()];
    let mut next: Vec<Node> = graph.target(node, &Outcome::Success).into_iter().collect();
    while let Some(node) = next.pop() {
        if seen
            .get_mut(node)
            .is_none_or(|seen| std::mem::replace(seen, true))
        {
            continue;
        }
        if graph
            .step(node)
            .is_some_and(|step| matches!(step.kind, KindDocument::Escalation { .. }))
        {
            return true;
        }
        next.extend(graph.edges(node).iter().filter_map(|edge| edge.to));
        next.extend(
            graph
                .fork(node)
                .into_iter()
                .flat_map(|fork| fork.branches.iter().filter_map(|branch| branch.start)),
        );
        // Behind the end of a branch comes what its parallel step leads to.
        next.extend(graph.inside(node).map(|inside| inside.fork));
    }
    false
}
