//! The names that templates and conditions use: is there such a value, is it certainly there, is it of the right type,
//! and may it go where it goes.

use std::collections::HashMap;

use common::Finding;
use indexmap::IndexMap;
use serde_json::Value;

use super::graph::{Graph, Node};
use super::must::Certain;
use crate::condition::{Condition, Test};
use crate::document::{ConditionDocument, Document, KindDocument};
use crate::findings::{Findings, about, code, finding};
use crate::kind::Kind;
use crate::playbook::{Input, Pause};
use crate::registry::Credential;
use crate::roots::{NAMES, Name};
use crate::template::{Piece, is_template, pieces, templates};
use crate::trust::{Role, Trust};
use crate::yaml::Position;

pub(super) fn check(
    document: &Document,
    graph: &Graph<'_>,
    whole: &super::expand::Whole<'_>,
    findings: &mut Findings,
) {
    let names = Names::new(document, graph, whole);
    trigger(document, &names, findings);
    for node in graph.nodes() {
        let Some(step) = graph.step(node) else { continue };
        match &step.kind {
            KindDocument::Action(_) => parameters(graph, node, &names, findings),
            KindDocument::Decision(cases) => {
                let scope = graph.expanded(node).and_then(|step| whole.scopes.get(step.scope));
                for when in cases.iter().filter_map(|case| case.when.as_ref()) {
                    let renamed = scope.map(|scope| scope.condition(&when.condition));
                    conditions(graph, node, when, renamed.as_ref(), &names, findings);
                }
            }
            KindDocument::Wait(Pause::Until(_)) => until(graph, node, whole, &names, findings),
            _ => {}
        }
    }
}

/// So many names are told where one is wrong.
const MOST_TOLD: usize = 12;

/// What is known of the names.
struct Names<'g> {
    graph: &'g Graph<'g>,
    inputs: &'g IndexMap<String, Input>,
    /// Steps whose output is used, by their place in `certain`.
    sources: HashMap<Node, usize>,
    certain: Certain,
}

impl<'g> Names<'g> {
    fn new(document: &'g Document, graph: &'g Graph<'g>, whole: &super::expand::Whole<'_>) -> Self {
        let mut sources: HashMap<Node, usize> = HashMap::new();
        let mut list = Vec::new();
        let mut note = |name: &Name| {
            if let Name::Output { step, .. } = name
                && let Some(node) = graph.find(step)
            {
                sources.entry(node).or_insert_with(|| {
                    list.push(node);
                    list.len().saturating_sub(1)
                });
            }
        };
        for node in graph.nodes() {
            for value in graph.values(node).into_iter().flat_map(serde_json::Map::values) {
                names_in(value).iter().for_each(&mut note);
            }
            if let Some(value) = until_of(graph, node, whole) {
                names_in(&value).iter().for_each(&mut note);
            }
        }
        let certain = Certain::of(graph, &list);
        Self {
            graph,
            inputs: &document.inputs,
            sources,
            certain,
        }
    }

    /// Type and trust of a name, or what is wrong with it.
    fn value(&self, name: &Name) -> Result<(Kind, Trust), String> {
        match name {
            Name::Fixed(fixed) => NAMES
                .iter()
                .find(|(known, ..)| known == fixed)
                .map(|(_, kind, trust)| (kind.clone(), *trust))
                .ok_or_else(|| format!("there is no `{fixed}`")),
            Name::Input(input) => match self.inputs.get(input) {
                Some(declared) => Ok((declared.kind.clone(), Trust::Untrusted)),
                None if self.inputs.is_empty() => Err(format!(
                    "the playbook has no input `{input}`; declare it under `inputs:`"
                )),
                None => {
                    let known: Vec<&str> = self.inputs.keys().map(String::as_str).take(MOST_TOLD).collect();
                    Err(format!(
                        "there is no input `{input}`; there is `{}`",
                        known.join("`, `")
                    ))
                }
            },
            Name::Output { step, output } => {
                let Some(node) = self.graph.find(step) else {
                    return Err(format!("no step has the id `{step}`"));
                };
                let Some(action) = self.graph.action(node) else {
                    return Err(format!("`{step}` has no output: it calls no action"));
                };
                action
                    .outputs
                    .get(output)
                    .map(|output| (output.kind.clone(), output.trust))
                    .ok_or_else(|| {
                        let known: Vec<&str> = action.outputs.keys().map(String::as_str).collect();
                        if known.is_empty() {
                            format!("`{}` has no output", action.name)
                        } else {
                            format!(
                                "`{}` has no output `{output}`; it has `{}`",
                                action.name,
                                known.join("`, `")
                            )
                        }
                    })
            }
        }
    }

    /// Whether the step that brings it has certainly done so before `node`.
    fn certainly(&self, name: &Name, node: Node) -> bool {
        let Name::Output { step, .. } = name else {
            return true;
        };
        let source = self.graph.find(step).and_then(|source| self.sources.get(&source));
        source.is_some_and(|source| self.certain.before(*source, node))
    }
}

fn trigger(document: &Document, names: &Names<'_>, findings: &mut Findings) {
    let Some(when) = document
        .trigger
        .as_ref()
        .and_then(|trigger| trigger.when.as_ref())
    else {
        return;
    };
    for name in &when.names {
        let message = match &name.value {
            // Nothing has run and nobody has been asked when a ticket comes in.
            Name::Output { .. } | Name::Input(_) => Some(format!(
                "`{}` is not known when a ticket comes in; a trigger may look at `ticket`, `requester`, `manager` and `tenant`",
                name.value
            )),
            Name::Fixed(_) => None,
        };
        if let Some(message) = message {
            findings.error(code::BAD_CONDITION, name.at, message);
        }
    }
    for (nth, complaint) in mismatches(&when.condition, names) {
        let at = when.names.get(nth).map_or(Position::START, |name| name.at);
        findings.error(code::BAD_CONDITION, at, complaint);
    }
}

/// The names of a condition, and whether their values can be compared so. An output that may not be there passes as
/// absent: a decision may ask for just that.
fn conditions(
    graph: &Graph<'_>,
    node: Node,
    written: &ConditionDocument,
    renamed: Option<&Condition>,
    names: &Names<'_>,
    findings: &mut Findings,
) {
    let (Some(id), Some(renamed)) = (graph.about(node), renamed) else {
        return;
    };
    let unknown = renamed.names().into_iter().enumerate();
    let unknown = unknown.filter_map(|(nth, name)| Some((nth, names.value(name).err()?)));
    let said: Vec<_> = unknown.chain(mismatches(renamed, names)).collect();
    for (nth, message) in said {
        // What is written is renamed name by name.
        let at = written.names.get(nth).map_or(graph.at(node), |known| known.at);
        findings.add(about(id, code::BAD_CONDITION, graph.place(node, at), message));
    }
}

/// Comparisons that can never hold, each by its place among all of them.
fn mismatches(condition: &Condition, names: &Names<'_>) -> Vec<(usize, String)> {
    let complaint = |(nth, (field, test)): (usize, (&Name, &Test))| {
        let (kind, trust) = names.value(field).ok()?;
        let complaint = if trust == Trust::Secret {
            format!("`{field}` is a credential, and nobody looks at it")
        } else {
            let wanted = mismatch(&kind, test)?;
            format!("`{field}` is {kind}, and `{}` {wanted}", test.operator())
        };
        Some((nth, complaint))
    };
    condition
        .tests()
        .into_iter()
        .enumerate()
        .filter_map(complaint)
        .collect()
}

/// What is wrong with comparing a value of `kind` so.
fn mismatch(kind: &Kind, test: &Test) -> Option<String> {
    let textual = matches!(kind, Kind::Text | Kind::OneOf(_) | Kind::Moment);
    let comparable = |value: &Value| match kind {
        Kind::Whole { .. } => value.is_number(),
        Kind::Flag => value.is_boolean(),
        Kind::OneOf(words) => value
            .as_str()
            .is_some_and(|text| words.iter().any(|word| word.eq_ignore_ascii_case(text))),
        _ => value.is_string(),
    };
    match test {
        Test::Equals(value) | Test::NotEquals(value) if !comparable(value) => {
            Some(format!("compares it with {value}, which it never is"))
        }
        Test::In(values) => values
            .iter()
            .find(|value| !comparable(value))
            .map(|value| format!("compares it with {value}, which it never is")),
        Test::Contains(_) | Test::Matches(_) if !textual => Some("looks into texts only".to_owned()),
        Test::Greater(value) | Test::Less(value) => {
            let fits = match kind {
                Kind::Whole { .. } => value.is_number(),
                Kind::Moment => value.is_string(),
                _ => false,
            };
            (!fits).then(|| "compares numbers with numbers and points in time with points in time".to_owned())
        }
        _ => None,
    }
}

/// What a wait waits for, in the names of the whole.
fn until_of(graph: &Graph<'_>, node: Node, whole: &super::expand::Whole<'_>) -> Option<Value> {
    let step = graph.expanded(node)?;
    let KindDocument::Wait(Pause::Until(value)) = &step.written.kind else {
        return None;
    };
    // An input that the caller leaves out is no point in time.
    Some(whole.scopes.get(step.scope)?.value(value).unwrap_or(Value::Null))
}

fn until(
    graph: &Graph<'_>,
    node: Node,
    whole: &super::expand::Whole<'_>,
    names: &Names<'_>,
    findings: &mut Findings,
) {
    let (Some(id), Some(value)) = (graph.about(node), until_of(graph, node, whole)) else {
        return;
    };
    if templates(&value) {
        let to = Where {
            node,
            at: graph.at(node),
            field: "until",
            kind: &Kind::Moment,
            role: Role::Plain,
        };
        flows(&value, &to, names, findings);
    } else if !Kind::Moment.admits(&value) {
        let message = format!("`until` must be {}, or a template that gives one", Kind::Moment);
        findings.add(about(id, code::BAD_VALUE, graph.at(node), message));
    }
}

fn parameters(graph: &Graph<'_>, node: Node, names: &Names<'_>, findings: &mut Findings) {
    let (Some(call), Some(action)) = (graph.call(node), graph.action(node)) else {
        return;
    };
    for written in &call.parameters {
        let field = &written.name.value;
        let value = graph.values(node).and_then(|values| values.get(field));
        let (Some(parameter), Some(value)) = (action.parameters.get(field), value) else {
            continue;
        };
        if templates(value) {
            let to = Where {
                node,
                at: graph.place(node, written.at),
                field,
                kind: &parameter.kind,
                role: parameter.role,
            };
            flows(value, &to, names, findings);
        }
    }
}

/// Where values flow to.
struct Where<'a> {
    node: Node,
    at: Position,
    field: &'a str,
    kind: &'a Kind,
    role: Role,
}

/// Every template in `value`, looked at as what goes into a parameter.
fn flows(value: &Value, to: &Where<'_>, names: &Names<'_>, findings: &mut Findings) {
    match value {
        Value::String(text) if is_template(text) => flow(text, to, names, findings),
        // One field of `fields` takes whatever can be written as text.
        Value::Object(fields) => {
            let to = Where {
                kind: &Kind::Text,
                ..*to
            };
            fields
                .values()
                .for_each(|value| flows(value, &to, names, findings));
        }
        Value::Array(items) => items.iter().for_each(|value| flows(value, to, names, findings)),
        _ => {}
    }
}

fn flow(text: &str, to: &Where<'_>, names: &Names<'_>, findings: &mut Findings) {
    let mut say = |code: &'static str, message: String| {
        let message = format!("`{}`: {message}", to.field);
        let said: Finding = match names.graph.about(to.node) {
            Some(id) => about(id, code, to.at, message),
            None => finding(code, common::Severity::Error, to.at, message),
        };
        findings.add(said);
    };
    let pieces = match pieces(text) {
        Ok(pieces) => pieces,
        Err(bad) => return say(code::BAD_TEMPLATE, bad.message()),
    };
    let alone = pieces.len() == 1;
    let action = names.graph.action(to.node);
    let delivers = action.is_some_and(|action| action.credential == Credential::Needs);
    let privileged = action.is_some_and(crate::registry::Action::privileged);
    for name in pieces.iter().filter_map(|piece| match piece {
        Piece::Name(name) => Some(name),
        Piece::Text(_) => None,
    }) {
        let (kind, trust) = match names.value(name) {
            Ok(known) => known,
            Err(message) => {
                say(code::BAD_TEMPLATE, message);
                continue;
            }
        };
        let role = to.role;
        if trust == Trust::Secret && !(delivers && alone && *to.kind == Kind::Credential) {
            say(
                code::SECRET_LEAK,
                format!(
                    "`{name}` is a credential; it may go to the `credential` of a delivery step and nowhere else"
                ),
            );
        } else if trust == Trust::Untrusted && (role != Role::Plain || privileged) {
            let what = match role {
                Role::Plain => "what is done with privilege",
                Role::Target => "who or what is acted on",
                Role::Destination => "where something is sent",
                Role::Approver => "who may say yes",
            };
            say(
                code::UNTRUSTED_TARGET,
                format!(
                    "`{name}` is untrusted (people or models wrote it) and must not decide {what}; write the value out, or route by a decision"
                ),
            );
        } else if privileged && matches!(name, Name::Output { .. }) {
            say(
                code::BAD_TEMPLATE,
                format!(
                    "a permit is given for exactly these parameters, and `{name}` may still change; write the value out"
                ),
            );
        } else if alone && !to.kind.takes(&kind) {
            say(
                code::BAD_TEMPLATE,
                format!("it must be {}, and `{name}` is {kind}", to.kind),
            );
        } else if !alone && *to.kind != Kind::Text {
            say(
                code::BAD_TEMPLATE,
                format!(
                    "text around a template makes it a text, and this must be {}",
                    to.kind
                ),
            );
        }
        if !names.certainly(name, to.node) {
            say(
                code::BAD_TEMPLATE,
                format!(
                    "some path comes here without the output `{name}`; use it only where its step has succeeded on every path"
                ),
            );
        }
    }
}

/// The step whose credential a delivery names.
pub(super) fn credential_of(graph: &Graph<'_>, node: Node) -> Option<common::StepId> {
    let value = graph.values(node)?.get(crate::registry::CREDENTIAL)?;
    names_in(value).into_iter().find_map(|name| match name {
        Name::Output { step, .. } => Some(step),
        _ => None,
    })
}

/// The names that the templates of a value use; what is no template is a finding elsewhere.
fn names_in(value: &Value) -> Vec<Name> {
    match value {
        Value::String(text) if is_template(text) => pieces(text)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Name(name) => Some(name),
                Piece::Text(_) => None,
            })
            .collect(),
        Value::Object(fields) => fields.values().flat_map(names_in).collect(),
        Value::Array(items) => items.iter().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}
