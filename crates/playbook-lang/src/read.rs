//! From YAML to a [`Document`]: which fields there are, what they may hold, and what each is called when it is wrong.

pub(crate) mod fields;
pub(crate) mod values;

use common::{Outcome, StepId};

use crate::document::{
    ActionDocument, Document, EdgeDocument, KindDocument, ParameterDocument, StepDocument,
};
use crate::findings::{Findings, code, quoted};
use crate::retry::{Backoff, Retry};
use crate::yaml::{At, Node, Shape};
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
    "steps",
];
const STEP_FIELDS: &[&str] = &["id", "name", "type"];
const ACTION_FIELDS: &[&str] = &[
    "service",
    "timeout",
    "retry",
    "with",
    "max_visits",
    "on_success",
    "on_failure",
    "on_denied",
    "on_timeout",
    "outcomes",
];
const TERMINAL_FIELDS: &[&str] = &["status"];
const ESCALATION_FIELDS: &[&str] = &["reason"];
const RETRY_FIELDS: &[&str] = &["max_attempts", "backoff", "initial", "max", "jitter"];
const STEP_TYPES: &[&str] = &["action", "terminal", "escalation"];
const BACKOFFS: &[&str] = &["fixed", "linear", "exponential"];

/// Far more than people can oversee; it bounds the work of the checks.
const MOST_STEPS: usize = 2000;

/// Read as much as there is; what cannot be read is a finding.
pub(crate) fn document(root: Node, findings: &mut Findings) -> Document {
    let Some(mut fields) = Fields::of(root, "a playbook", None, findings) else {
        return Document::default();
    };
    let document = Document {
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
        budget: fields.optional("budget", values::duration, findings),
        steps: steps(&mut fields, findings),
    };
    fields.nothing_else(PLAYBOOK_FIELDS, &[], findings);
    document
}

fn steps(fields: &mut Fields, findings: &mut Findings) -> Vec<StepDocument> {
    let Some(items) = fields.required("steps", values::list, findings) else {
        return Vec::new();
    };
    if items.value.is_empty() {
        findings.error(code::BAD_VALUE, items.at, "a playbook has at least one step");
    }
    if items.value.len() > MOST_STEPS {
        let message = format!(
            "a playbook has at most {MOST_STEPS} steps, this one {}; split it",
            items.value.len()
        );
        findings.error(code::BAD_VALUE, items.at, message);
        return Vec::new();
    }
    items
        .value
        .into_iter()
        .filter_map(|item| step(item, findings))
        .collect()
}

fn step(item: Node, findings: &mut Findings) -> Option<StepDocument> {
    let mut fields = Fields::of(item, "a step", None, findings)?;
    let id: Option<At<StepId>> = fields.required("id", values::step_id, findings);
    fields.step = id.as_ref().map(|id| id.value.clone());
    let name = fields.optional("name", values::text, findings);
    let kind = match fields.optional("type", values::word, findings) {
        None => Some("action".to_owned()),
        Some(word) if STEP_TYPES.contains(&word.value.as_str()) => Some(word.value),
        Some(word) => {
            let near = findings.did_you_mean(&word.value, STEP_TYPES.iter().copied());
            let message = format!(
                "{} is not a type of step: `action` (the default), `terminal` or `escalation`{near}",
                quoted(&word.value)
            );
            fields.wrong(code::BAD_VALUE, word.at, message, findings);
            None
        }
    };
    // Of a step whose type is unknown, nothing can be said but that it is there.
    let (kind, allowed) = match kind.as_deref() {
        Some("terminal") => (terminal(&mut fields, findings), TERMINAL_FIELDS),
        Some("escalation") => (escalation(&mut fields, findings), ESCALATION_FIELDS),
        Some(_) => (action(&mut fields, findings), ACTION_FIELDS),
        None => {
            return Some(StepDocument {
                id: id?,
                name,
                kind: KindDocument::Terminal,
            });
        }
    };
    let elsewhere = [
        ("action", ACTION_FIELDS),
        ("terminal", TERMINAL_FIELDS),
        ("escalation", ESCALATION_FIELDS),
    ];
    let known: Vec<&str> = STEP_FIELDS.iter().chain(allowed).copied().collect();
    fields.nothing_else(&known, &elsewhere, findings);
    Some(StepDocument { id: id?, name, kind })
}

fn terminal(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    if let Some(status) = fields.required("status", values::word, findings)
        && status.value != "RESOLVED"
    {
        let message = format!(
            "{} is not a status that a terminal step can end in: write `RESOLVED`, or make it `type: escalation`",
            quoted(&status.value)
        );
        fields.wrong(code::BAD_VALUE, status.at, message, findings);
    }
    KindDocument::Terminal
}

fn escalation(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    let reason = fields
        .required("reason", values::text, findings)
        .unwrap_or_default();
    KindDocument::Escalation { reason }
}

fn action(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    let service = fields.required("service", values::action_name, findings);
    let timeout = fields.optional("timeout", values::duration, findings);
    let retry = fields
        .take("retry")
        .map_or_else(Retry::default, |(_, node)| retry(node, fields, findings));
    let max_visits = fields.optional("max_visits", values::count, findings);
    let mut edges: Vec<EdgeDocument> = Vec::new();
    for (field, outcome) in [
        ("on_success", Outcome::Success),
        ("on_failure", Outcome::Failure),
        ("on_denied", Outcome::Denied),
        ("on_timeout", Outcome::Timeout),
    ] {
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
    edges.extend(words(fields, findings));
    let (parameters, values) = parameters(fields, findings);
    KindDocument::Action(Box::new(ActionDocument {
        service,
        timeout,
        retry,
        edges,
        parameters,
        values,
        max_visits,
    }))
}

/// `outcomes: {up: check_ip}`.
fn words(fields: &mut Fields, findings: &mut Findings) -> Vec<EdgeDocument> {
    let Some((_, node)) = fields.take("outcomes") else {
        return Vec::new();
    };
    let Some(entries) = fields.mapping("outcomes", node, findings) else {
        return Vec::new();
    };
    let mut edges = Vec::new();
    for (word, node) in entries {
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
    edges
}

/// `with: {lifetime_minutes: 60}`.
fn parameters(fields: &mut Fields, findings: &mut Findings) -> (Vec<ParameterDocument>, common::Values) {
    let mut names = Vec::new();
    let mut read = common::Values::new();
    let Some((_, node)) = fields.take("with") else {
        return (names, read);
    };
    for (name, node) in fields.mapping("with", node, findings).unwrap_or_default() {
        let at = node.at;
        read.insert(name.value.clone(), values::json(node));
        names.push(ParameterDocument { name, at });
    }
    (names, read)
}

fn retry(node: Node, step: &Fields, findings: &mut Findings) -> Retry {
    let fallback = Retry::default();
    let Some(mut fields) = Fields::of(node, "`retry`", step.step.clone(), findings) else {
        return fallback;
    };
    let backoff = fields.optional("backoff", values::word, findings);
    let retry = Retry {
        max_attempts: fields
            .required("max_attempts", values::count, findings)
            .unwrap_or(fallback.max_attempts),
        backoff: match backoff.as_ref().map(|word| word.value.as_str()) {
            Some("fixed") => Backoff::Fixed,
            Some("linear") => Backoff::Linear,
            Some("exponential") | None => Backoff::Exponential,
            Some(_) => {
                if let Some(word) = &backoff {
                    let near = findings.did_you_mean(&word.value, BACKOFFS.iter().copied());
                    let message = format!(
                        "{} is not a backoff: `fixed`, `linear` or `exponential`{near}",
                        quoted(&word.value)
                    );
                    fields.wrong(code::BAD_VALUE, word.at, message, findings);
                }
                fallback.backoff
            }
        },
        initial: fields
            .optional("initial", values::duration, findings)
            .unwrap_or(fallback.initial),
        max: fields
            .optional("max", values::duration, findings)
            .unwrap_or(fallback.max),
        jitter: fields
            .optional("jitter", values::fraction, findings)
            .unwrap_or(fallback.jitter),
    };
    fields.nothing_else(RETRY_FIELDS, &[], findings);
    retry
}

/// A step or a playbook must be a mapping; anything else is said so once.
fn not_a_mapping(what: &str, shape: &Shape) -> String {
    format!("{what} is a mapping of fields, not {}", shape.name())
}
