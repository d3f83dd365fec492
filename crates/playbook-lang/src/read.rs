//! From YAML to a [`Document`]: which fields there are, what they may hold, and what each is called when it is wrong.

mod condition;
pub(crate) mod fields;
mod kinds;
mod opening;
pub(crate) mod values;

use common::{Outcome, StepId};

use crate::document::{Document, EdgeDocument, KindDocument, Place, StepDocument};
use crate::findings::{Findings, code, quoted};
use crate::yaml::{At, Node, Shape};
pub(crate) use condition::compared;
use fields::Fields;

const PLAYBOOK_FIELDS: &[&str] = &[
    "name",
    "version",
    "enabled",
    "description",
    "category",
    "sub_category",
    "examples",
    "budget",
    "trigger",
    "inputs",
    "steps",
];

/// Far more than people can oversee; it bounds the work of the checks.
pub(crate) const MOST_STEPS: usize = 2000;

/// Read as much as there is; what cannot be read is a finding.
pub(crate) fn document(root: Node, findings: &mut Findings) -> Document {
    let Some(mut fields) = Fields::of(root, "a playbook", None, findings) else {
        return Document::default();
    };
    let mut document = Document {
        name: fields.required("name", values::name, findings),
        version: fields.required("version", values::version, findings),
        enabled: fields
            .optional("enabled", values::flag, findings)
            .unwrap_or(false),
        description: fields
            .optional("description", values::text, findings)
            .unwrap_or_default(),
        category: fields
            .optional("category", values::text, findings)
            .unwrap_or_default(),
        sub_category: fields.optional("sub_category", values::text, findings),
        examples: fields
            .optional("examples", values::texts, findings)
            .unwrap_or_default(),
        budget: fields.optional("budget", values::placed_duration, findings),
        trigger: opening::trigger(&mut fields, findings),
        inputs: opening::inputs(&mut fields, findings),
        steps: Vec::new(),
    };
    if let Some(items) = fields.required("steps", values::list, findings) {
        let at = items.at;
        steps(items, None, &mut document.steps, findings);
        if document.steps.len() > MOST_STEPS {
            let message = format!(
                "a playbook has at most {MOST_STEPS} steps, this one {}; split it",
                document.steps.len()
            );
            findings.error(code::BAD_VALUE, at, message);
            document.steps.clear();
        }
    }
    fields.nothing_else(PLAYBOOK_FIELDS, &[], findings);
    document
}

/// A list of steps: of the playbook, or of a branch. Answers the id of the first.
fn steps(
    items: At<Vec<Node>>,
    within: Option<&Place>,
    into: &mut Vec<StepDocument>,
    findings: &mut Findings,
) -> Option<StepId> {
    if items.value.is_empty() {
        let what = if within.is_some() {
            "a branch"
        } else {
            "a playbook"
        };
        let message = format!("{what} has at least one step");
        findings.error(code::BAD_VALUE, items.at, message);
    }
    let mut first = None;
    for item in items.value {
        let before = into.len();
        step(item, within, into, findings);
        if first.is_none() {
            first = into.get(before).map(|step| step.id.value.clone());
        }
    }
    first
}

/// The word of each type of step, with the fields of its own.
pub(crate) const STEP_TYPES: &[(&str, &[&str])] = &[
    (
        "action",
        &[
            "service",
            "timeout",
            "retry",
            "with",
            "undo",
            "max_visits",
            "depends_on",
            "on_success",
            "on_failure",
            "on_denied",
            "on_timeout",
            "outcomes",
        ],
    ),
    ("decision", &["cases", "otherwise", "max_visits", "depends_on"]),
    (
        "ask",
        &[
            "question",
            "choices",
            "answer",
            "timeout",
            "max_visits",
            "depends_on",
            "on_success",
            "on_failure",
            "on_timeout",
            "outcomes",
        ],
    ),
    (
        "wait",
        &["for", "until", "max_visits", "depends_on", "on_success"],
    ),
    (
        "parallel",
        &[
            "branches",
            "join",
            "max_visits",
            "depends_on",
            "on_success",
            "on_failure",
        ],
    ),
    (
        "call",
        &[
            "playbook",
            "version",
            "with",
            "depends_on",
            "on_success",
            "on_failure",
        ],
    ),
    ("terminal", &["status", "depends_on"]),
    ("escalation", &["reason", "depends_on"]),
];

fn step(item: Node, within: Option<&Place>, into: &mut Vec<StepDocument>, findings: &mut Findings) {
    let Some(mut fields) = Fields::of(item, "a step", None, findings) else {
        return;
    };
    let id: Option<At<StepId>> = fields.required("id", values::step_id, findings);
    fields.step = id.as_ref().map(|id| id.value.clone());
    let name = fields.optional("name", values::text, findings);
    let depends_on = fields
        .optional("depends_on", values::step_ids, findings)
        .unwrap_or_default();
    let kind_of_step = type_of(&mut fields, findings);
    let max_visits = fields.optional("max_visits", values::count, findings);
    let mut edges = Vec::new();
    let mut inner = Vec::new();
    // Of a step whose type is unknown, nothing can be said but that it is there.
    let kind = match kind_of_step {
        Some("terminal") => kinds::terminal(&mut fields, findings),
        Some("escalation") => kinds::escalation(&mut fields, findings),
        Some("decision") => kinds::decision(&mut fields, &mut edges, findings),
        Some("ask") => kinds::ask(&mut fields, findings),
        Some("wait") => kinds::wait(&mut fields, findings),
        Some("parallel") => kinds::parallel(&mut fields, &mut inner, findings),
        Some("call") => kinds::call(&mut fields, findings),
        Some(_) => kinds::action(&mut fields, findings),
        None => KindDocument::Unknown,
    };
    if let Some(word) = kind_of_step {
        let own = STEP_TYPES
            .iter()
            .find(|(known, _)| *known == word)
            .map_or(&[][..], |(_, own)| *own);
        edges_of(&mut fields, own, &mut edges, findings);
        if !fields.is_empty() {
            let known: Vec<&str> = ["id", "name", "type"].iter().chain(own).copied().collect();
            fields.nothing_else(&known, STEP_TYPES, findings);
        }
    }
    if let Some(id) = id {
        into.push(StepDocument {
            id,
            name,
            kind,
            edges,
            max_visits,
            depends_on,
            within: within.cloned(),
        });
        into.append(&mut inner);
    }
}

/// The type of a step; an action where it says nothing, `None` where it says nonsense.
fn type_of(fields: &mut Fields, findings: &mut Findings) -> Option<&'static str> {
    let Some((_, node)) = fields.take("type") else {
        return Some("action");
    };
    let word = fields.value("type", node, values::word, findings)?;
    let known = STEP_TYPES.iter().map(|(known, _)| *known);
    let found = known.clone().find(|known| *known == word.value);
    if found.is_none() {
        let near = findings.did_you_mean(&word.value, known.clone());
        let types: Vec<&str> = known.collect();
        let message = format!(
            "{} is not a type of step: `{}`{near}",
            quoted(&word.value),
            types.join("`, `")
        );
        fields.wrong(code::BAD_VALUE, word.at, message, findings);
    }
    found
}

/// `on_success` and its like, and `outcomes`. What does not belong to the type of step is left to be unknown: it is taken
/// here only where the type has it.
fn edges_of(fields: &mut Fields, own: &[&str], edges: &mut Vec<EdgeDocument>, findings: &mut Findings) {
    for (field, outcome) in [
        ("on_success", Outcome::Success),
        ("on_failure", Outcome::Failure),
        ("on_denied", Outcome::Denied),
        ("on_timeout", Outcome::Timeout),
    ] {
        if !own.contains(&field) {
            continue;
        }
        let Some((key, node)) = fields.take(field) else {
            continue;
        };
        if let Some(target) = fields.value(field, node, values::step_id, findings) {
            edges.push(EdgeDocument {
                outcome,
                at: key.at,
                target,
            });
        }
    }
    if own.contains(&"outcomes") {
        words(fields, edges, findings);
    }
}

/// `outcomes: {up: check_ip}`.
fn words(fields: &mut Fields, edges: &mut Vec<EdgeDocument>, findings: &mut Findings) {
    let Some((_, node)) = fields.take("outcomes") else {
        return;
    };
    let entries = fields.mapping("outcomes", node, findings).unwrap_or_default();
    for (word, node) in kinds::no_more_than(kinds::MOST_CHOICES, entries, "`outcomes`", fields, findings) {
        let outcome = Outcome::from(word.value.as_str());
        if !matches!(outcome, Outcome::Word(_)) {
            let message = format!(
                "{} has an edge of its own: write `on_{outcome}:`",
                quoted(&word.value)
            );
            fields.wrong(code::UNKNOWN_OUTCOME, word.at, message, findings);
            continue;
        }
        if let Some(target) = fields.value(&word.value, node, values::step_id, findings) {
            edges.push(EdgeDocument {
                outcome,
                at: word.at,
                target,
            });
        }
    }
}

/// A step or a playbook must be a mapping; anything else is said so once.
fn not_a_mapping(what: &str, shape: &Shape) -> String {
    format!("{what} is a mapping of fields, not {}", shape.name())
}
