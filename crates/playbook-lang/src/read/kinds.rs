//! What each type of step is written as.

use common::{Outcome, StepId, Values};
use serde_json::{Value, json};

use super::fields::Fields;
use super::{condition, values};
use crate::document::{
    ActionDocument, CallDocument, CaseDocument, EdgeDocument, KindDocument, ParallelDocument,
    ParameterDocument, Place, StepDocument, UndoDocument,
};
use crate::findings::{Findings, code, quoted};
use crate::playbook::{Join, OTHERWISE, Pause};
use crate::registry::ASK;
use crate::registry::file::one_of;
use crate::retry::{Backoff, Retry};
use crate::yaml::{At, Node};

const RETRY_FIELDS: &[&str] = &["max_attempts", "backoff", "initial", "max", "jitter"];
const UNDO_FIELDS: &[&str] = &["service", "timeout", "retry", "with"];
const CASE_FIELDS: &[&str] = &["name", "when", "then"];
const ANSWERS: &[&str] = &["text", "number", "date"];

/// More ways to go on from one step nobody can oversee.
pub(super) const MOST_CHOICES: usize = 100;

/// All of them, or none and a finding where there are too many.
pub(super) fn no_more_than<T>(
    most: usize,
    items: Vec<T>,
    what: &str,
    fields: &Fields,
    findings: &mut Findings,
) -> Vec<T> {
    if items.len() <= most {
        return items;
    }
    let message = format!("{what} has {} entries, and at most {most} are read", items.len());
    fields.wrong(code::BAD_VALUE, fields.at, message, findings);
    Vec::new()
}

pub(super) fn terminal(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
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

pub(super) fn escalation(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    let reason = fields
        .required("reason", values::text, findings)
        .unwrap_or_default();
    KindDocument::Escalation { reason }
}

pub(super) fn action(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    let service = fields.required("service", values::action_name, findings);
    if let Some(asks) = service.as_ref().filter(|name| name.value.as_str() == ASK) {
        // Its words are the choices, which only the step's own fields declare.
        let message = format!("`{ASK}` is asked by a step of `type: ask`");
        fields.wrong(code::BAD_VALUE, asks.at, message, findings);
    }
    let timeout = fields.optional("timeout", values::duration, findings);
    let retry = fields
        .take("retry")
        .map(|(_, node)| retry(node, fields, findings));
    let undo = fields
        .take("undo")
        .and_then(|(_, node)| undo(node, fields, findings));
    let (parameters, values) = parameters(fields, findings);
    KindDocument::Action(Box::new(ActionDocument {
        service,
        timeout,
        retry,
        parameters,
        values,
        undo,
        ask: None,
    }))
}

/// `undo: executor.delete_pass`, or a mapping where there is more to say.
fn undo(node: Node, step: &Fields, findings: &mut Findings) -> Option<UndoDocument> {
    if matches!(node.value, crate::yaml::Shape::Scalar { .. }) {
        let service = step.value("undo", node, values::action_name, findings)?;
        return Some(UndoDocument {
            service,
            timeout: None,
            retry: None,
            parameters: Vec::new(),
            values: Values::new(),
        });
    }
    let mut fields = Fields::of(node, "`undo`", step.step.clone(), findings)?;
    let service = fields.required("service", values::action_name, findings);
    let timeout = fields.optional("timeout", values::duration, findings);
    let retry = fields
        .take("retry")
        .map(|(_, node)| retry(node, &fields, findings));
    let (parameters, values) = parameters(&mut fields, findings);
    fields.nothing_else(UNDO_FIELDS, &[], findings);
    Some(UndoDocument {
        service: service?,
        timeout,
        retry,
        parameters,
        values,
    })
}

/// Ordered `cases` and `otherwise`. The edges are written with them.
pub(super) fn decision(
    fields: &mut Fields,
    edges: &mut Vec<EdgeDocument>,
    findings: &mut Findings,
) -> KindDocument {
    let items = fields
        .required("cases", values::list, findings)
        .map(|items| items.value)
        .unwrap_or_default();
    let items = no_more_than(MOST_CHOICES, items, "`cases`", fields, findings);
    let mut cases: Vec<CaseDocument> = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let at = item.at;
        let Some(mut case) = Fields::of(item, "a case", fields.step.clone(), findings) else {
            continue;
        };
        let name = case
            .optional("name", values::plain_word, findings)
            .unwrap_or_else(|| format!("case_{}", index.saturating_add(1)));
        if name == OTHERWISE || cases.iter().any(|known| known.name == name) {
            let message = format!("{} names another case already", quoted(&name));
            case.wrong(code::BAD_VALUE, at, message, findings);
        }
        if !matches!(Outcome::from(name.as_str()), Outcome::Word(_)) {
            let message = format!("{} is an outcome already; choose another name", quoted(&name));
            case.wrong(code::BAD_VALUE, at, message, findings);
        }
        let when = if let Some((_, node)) = case.take("when") {
            condition::read(node, &case, findings)
        } else {
            case.wrong(code::MISSING_FIELD, at, "a case needs `when:`", findings);
            None
        };
        if let Some(target) = case.required("then", values::step_id, findings) {
            edges.push(EdgeDocument {
                outcome: Outcome::Word(name.clone()),
                at,
                target,
            });
        }
        case.nothing_else(CASE_FIELDS, &[], findings);
        cases.push(CaseDocument { name, when });
    }
    if let Some(target) = fields.required(OTHERWISE, values::step_id, findings) {
        edges.push(EdgeDocument {
            outcome: Outcome::Word(OTHERWISE.to_owned()),
            at: target.at,
            target,
        });
    }
    KindDocument::Decision(cases)
}

/// A question to the requester: a call of [`ASK`] whose words are the choices.
pub(super) fn ask(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    let mut parameters = Vec::new();
    let mut values = Values::new();
    let mut set = |name: &str, at, value: Value| {
        values.insert(name.to_owned(), value);
        parameters.push(ParameterDocument {
            name: At::new(name.to_owned(), at),
            at,
        });
    };
    if let Some(question) = fields.required("question", values::placed_text, findings) {
        set("question", question.at, Value::String(question.value));
    }
    let mut words = Vec::new();
    let at = fields.at;
    if let Some((key, node)) = fields.take("choices") {
        let mut choices = Values::new();
        let entries = fields.mapping("choices", node, findings).unwrap_or_default();
        let entries = no_more_than(MOST_CHOICES, entries, "`choices`", fields, findings);
        for (word, node) in entries {
            if !matches!(Outcome::from(word.value.as_str()), Outcome::Word(_)) {
                let message = format!(
                    "{} is an outcome already; choose another word",
                    quoted(&word.value)
                );
                fields.wrong(code::BAD_VALUE, word.at, message, findings);
            }
            if let Some(text) = fields.value(&word.value, node, values::text, findings) {
                choices.insert(word.value.clone(), Value::String(text));
                words.push(word.value);
            }
        }
        set("choices", key.at, Value::Object(choices));
    }
    match fields.optional("answer", values::word, findings) {
        Some(kind) if !ANSWERS.contains(&kind.value.as_str()) => {
            let message = format!("`answer` must be one of `{}`", ANSWERS.join("`, `"));
            fields.wrong(code::BAD_VALUE, kind.at, message, findings);
        }
        Some(kind) if !words.is_empty() => {
            let message = "a question has `choices:` or a typed `answer:`, not both";
            fields.wrong(code::BAD_VALUE, kind.at, message, findings);
        }
        Some(kind) => set("answer", kind.at, json!(kind.value)),
        None if words.is_empty() => {
            let message = "a question needs `choices:` to choose from, or `answer: text`, `number` or `date`";
            fields.wrong(code::MISSING_FIELD, at, message, findings);
        }
        None => {}
    }
    KindDocument::Action(Box::new(ActionDocument {
        service: ASK.parse().ok().map(|name| At::new(name, at)),
        timeout: fields.optional("timeout", values::duration, findings),
        retry: None,
        parameters,
        values,
        undo: None,
        ask: Some(words),
    }))
}

/// `for: 10m`, or `until:` a point in time.
pub(super) fn wait(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    let at = fields.at;
    let period = fields.optional("for", values::duration, findings);
    let until = fields.optional("until", values::placed_text, findings);
    match (period, until) {
        (Some(period), None) => KindDocument::Wait(Pause::For(period)),
        (None, Some(until)) => KindDocument::Wait(Pause::Until(Value::String(until.value))),
        (Some(_), Some(until)) => {
            let message = "a wait has `for:` or `until:`, not both";
            fields.wrong(code::BAD_VALUE, until.at, message, findings);
            KindDocument::Unknown
        }
        (None, None) => {
            let message = "a wait needs `for: 10m`, or `until:` a point in time";
            fields.wrong(code::MISSING_FIELD, at, message, findings);
            KindDocument::Unknown
        }
    }
}

/// Named branches, each a list of steps, and how they join.
pub(super) fn parallel(
    fields: &mut Fields,
    inner: &mut Vec<StepDocument>,
    findings: &mut Findings,
) -> KindDocument {
    let join = one_of(fields, "join", &[Join::All, Join::Any], Join::as_str, findings);
    let mut branches: Vec<(At<String>, Option<StepId>)> = Vec::new();
    let at = fields.at;
    let entries = if let Some((_, node)) = fields.take("branches") {
        fields.mapping("branches", node, findings).unwrap_or_default()
    } else {
        fields.wrong(
            code::MISSING_FIELD,
            at,
            "a parallel step needs `branches:`",
            findings,
        );
        Vec::new()
    };
    let parallel = fields.step.clone();
    for (name, node) in entries {
        let items = fields.value(&name.value, node, values::list, findings);
        let place = parallel.clone().map(|parallel| Place {
            parallel,
            branch: name.value.clone(),
        });
        let first = items
            .zip(place)
            .and_then(|(items, place)| super::steps(items, Some(&place), inner, findings));
        branches.push((name, first));
    }
    KindDocument::Parallel(ParallelDocument {
        join: join.unwrap_or(Join::All),
        branches,
    })
}

/// Another playbook, its version pinned.
pub(super) fn call(fields: &mut Fields, findings: &mut Findings) -> KindDocument {
    let playbook = fields.required("playbook", values::name, findings);
    let version = fields.required("version", values::version, findings);
    let (parameters, values) = parameters(fields, findings);
    KindDocument::Call(CallDocument {
        playbook,
        version,
        parameters,
        values,
    })
}

/// `with: {lifetime_minutes: 60}`.
fn parameters(fields: &mut Fields, findings: &mut Findings) -> (Vec<ParameterDocument>, Values) {
    let mut names = Vec::new();
    let mut read = Values::new();
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
    let backoffs = [Backoff::Fixed, Backoff::Linear, Backoff::Exponential];
    let retry = Retry {
        max_attempts: fields
            .required("max_attempts", values::count, findings)
            .unwrap_or(fallback.max_attempts),
        backoff: one_of(&mut fields, "backoff", &backoffs, Backoff::as_str, findings)
            .unwrap_or(fallback.backoff),
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
