//! What stands before the steps: which tickets may start the playbook, and what it wants to be told.

use indexmap::IndexMap;

use super::fields::Fields;
use super::{condition, values};
use crate::document::TriggerDocument;
use crate::findings::{Findings, code, quoted};
use crate::playbook::{Input, Occasion};
use crate::registry::file::kind;
use crate::template::templates;
use crate::yaml::{Node, Shape};

const TRIGGER_FIELDS: &[&str] = &["source", "on", "when"];
const INPUT_FIELDS: &[&str] = &[
    "type",
    "least",
    "most",
    "words",
    "default",
    "optional",
    "description",
];

pub(super) fn trigger(playbook: &mut Fields, findings: &mut Findings) -> Option<TriggerDocument> {
    let (_, node) = playbook.take("trigger")?;
    let mut fields = Fields::of(node, "`trigger`", None, findings)?;
    let source = fields.optional("source", values::text, findings);
    let on = match fields.take("on") {
        Some((_, node)) => occasions(node, &fields, findings),
        None => Vec::new(),
    };
    let when = fields
        .take("when")
        .and_then(|(_, node)| condition::read(node, &fields, findings));
    fields.nothing_else(TRIGGER_FIELDS, &[], findings);
    Some(TriggerDocument { source, on, when })
}

/// One word, or a list of them.
fn occasions(node: Node, fields: &Fields, findings: &mut Findings) -> Vec<Occasion> {
    let nodes = match node.value {
        Shape::List(items) => items,
        _ => vec![node],
    };
    let mut occasions = Vec::new();
    for node in nodes {
        let Some(word) = fields.value("on", node, values::word, findings) else {
            continue;
        };
        if let Some(occasion) = Occasion::ALL
            .into_iter()
            .find(|known| known.as_str() == word.value)
        {
            occasions.push(occasion);
        } else {
            let known = Occasion::ALL.map(Occasion::as_str);
            let near = findings.did_you_mean(&word.value, known);
            let message = format!(
                "{} does not happen to tickets: `{}`{near}",
                quoted(&word.value),
                known.join("`, `")
            );
            fields.wrong(code::BAD_VALUE, word.at, message, findings);
        }
    }
    occasions
}

pub(super) fn inputs(playbook: &mut Fields, findings: &mut Findings) -> IndexMap<String, Input> {
    let Some((_, node)) = playbook.take("inputs") else {
        return IndexMap::new();
    };
    let mut inputs = IndexMap::new();
    for (name, node) in playbook.mapping("inputs", node, findings).unwrap_or_default() {
        if !values::is_plain(&name.value) {
            let message = format!(
                "an input is named by letters, digits, `_` and `-`, not {}",
                quoted(&name.value)
            );
            playbook.wrong(code::BAD_VALUE, name.at, message, findings);
            continue;
        }
        if let Some(input) = input(node, findings) {
            inputs.insert(name.value, input);
        }
    }
    inputs
}

fn input(node: Node, findings: &mut Findings) -> Option<Input> {
    let mut fields = Fields::of(node, "an input", None, findings)?;
    let kind = kind(&mut fields, findings);
    let default = fields
        .take("default")
        .map(|(_, node)| (node.at, values::json(node)));
    let optional = fields
        .optional("optional", values::flag, findings)
        .unwrap_or(false);
    let description = fields
        .optional("description", values::text, findings)
        .unwrap_or_default();
    fields.nothing_else(INPUT_FIELDS, &[], findings);
    let kind = kind?;
    if let Some((at, value)) = &default
        && !kind.admits(value)
    {
        let message = format!("`default` must be {kind}");
        fields.wrong(code::BAD_VALUE, *at, message, findings);
    }
    if let Some((at, value)) = &default
        && templates(value)
    {
        let message = "`default` takes no template; write the value out";
        fields.wrong(code::BAD_TEMPLATE, *at, message, findings);
    }
    Some(Input {
        kind,
        default: default.map(|(_, value)| value),
        optional,
        description,
    })
}
