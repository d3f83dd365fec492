//! What can be said of a step by itself: is its action offered, are its outcomes routed, are its parameters right.

use common::{Outcome, Severity};
use serde_json::Value;

use super::graph::{Graph, Node};
use crate::document::ActionDocument;
use crate::findings::{Findings, about, code, quoted};
use crate::kind::Kind;
use crate::registry::{Action, Parameter, Registry};
use crate::template;

pub(super) fn check(graph: &Graph<'_>, registry: &Registry, findings: &mut Findings) {
    for node in graph.nodes() {
        let Some(call) = graph.call(node) else {
            continue;
        };
        match graph.action(node) {
            Some(action) => {
                outcomes(graph, node, call, action, findings);
                parameters(graph, node, call, action, findings);
            }
            None => unknown_service(graph, node, call, registry, findings),
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
    let (Some(id), Some(name)) = (graph.id(node), &call.service) else {
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
    findings.add(about(id, code::UNKNOWN_SERVICE, name.at, message));
}

fn outcomes(graph: &Graph<'_>, node: Node, call: &ActionDocument, action: &Action, findings: &mut Findings) {
    let Some(id) = graph.id(node) else {
        return;
    };
    for edge in &call.edges {
        if action.answers(&edge.outcome) {
            continue;
        }
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
                about(id, code::UNKNOWN_OUTCOME, edge.at, message)
            }
            // Harmless: the edge is never taken, and would lead where its author wanted.
            own => common::Finding {
                severity: Severity::Warning,
                ..about(
                    id,
                    code::UNKNOWN_OUTCOME,
                    edge.at,
                    format!(
                        "`{}` never ends in `{own}`, so this edge is never taken",
                        action.name
                    ),
                )
            },
        };
        findings.add(finding);
    }
    let routed = |outcome: &Outcome| call.edges.iter().any(|edge| edge.outcome == *outcome);
    // A missing `on_timeout` means `on_failure`, a missing `on_denied` escalation.
    let wanted = std::iter::once(&Outcome::Failure).chain(
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
    let Some(id) = graph.id(node) else {
        return;
    };
    for written in &call.parameters {
        let name = &written.name.value;
        let Some(parameter) = action.parameters.get(name) else {
            let near = findings.did_you_mean(name, action.parameters.keys().map(String::as_str));
            let message = format!("`{}` has no parameter {}{near}", action.name, quoted(name));
            findings.add(about(id, code::UNKNOWN_PARAMETER, written.name.at, message));
            continue;
        };
        let value = call.values.get(name).unwrap_or(&Value::Null);
        if let Some(message) = bad_template(value, parameter, action) {
            let message = format!("{}: {message}", quoted(name));
            findings.add(about(id, code::BAD_TEMPLATE, written.at, message));
        } else if !parameter.kind.admits(value) {
            let message = format!("{} must be {}", quoted(name), parameter.kind);
            findings.add(about(id, code::BAD_VALUE, written.at, message));
        }
    }
    for (name, parameter) in &action.parameters {
        if parameter.required && !call.values.contains_key(name) {
            let message = format!(
                "`{}` needs the parameter `{name}` ({}): {}",
                action.name, parameter.kind, parameter.meaning
            );
            findings.add(about(id, code::MISSING_PARAMETER, graph.at(node), message));
        }
    }
}

/// What is wrong with `value` as a template; `None` also where it is none.
fn bad_template(value: &Value, parameter: &Parameter, action: &Action) -> Option<String> {
    let text = value.as_str().filter(|text| template::is_template(text))?;
    if action.privileged() {
        // What a privileged action does must not depend on what a ticket says.
        return Some("a privileged action takes no template; write the value out".to_owned());
    }
    if parameter.kind != Kind::Text {
        return Some(format!(
            "a template gives a text, and this must be {}",
            parameter.kind
        ));
    }
    template::pieces(text).err().map(|bad| bad.message())
}
