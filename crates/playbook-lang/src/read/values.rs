//! What single fields may hold. Each function answers the value, or what is expected instead.

use std::time::Duration;

use common::{ActionName, PlaybookName, PlaybookVersion, StepId};
use serde_json::{Number, Value};

use crate::yaml::{At, Node, Position, Shape};

/// No step of first-line support waits longer than a month.
const LONGEST: Duration = Duration::from_hours(720);
/// More attempts or visits are a loop that somebody forgot to end.
const MOST: u32 = 100;
/// Long enough for a ticket's text or a paragraph for people.
const LONGEST_TEXT: usize = 4000;

fn scalar(node: Node, expected: &str) -> Result<(String, bool, Position), String> {
    match node.value {
        Shape::Scalar { text, plain } => Ok((text, plain, node.at)),
        other => Err(format!("{expected}, not {}", other.name())),
    }
}

pub(crate) fn word(node: Node) -> Result<At<String>, String> {
    let (text, _, at) = scalar(node, "a word")?;
    Ok(At::new(text, at))
}

pub(crate) fn text(node: Node) -> Result<String, String> {
    let (text, plain, _) = scalar(node, "a text")?;
    let text = trimmed(text);
    if text.is_empty() || (plain && matches!(text.as_str(), "~" | "null")) {
        return Err("a text; it is empty".to_owned());
    }
    if text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT {
        return Err(format!("a text of at most {LONGEST_TEXT} characters"));
    }
    Ok(text)
}

/// Most texts need no trimming, and then no copy.
fn trimmed(text: String) -> String {
    let inner = text.trim();
    if inner.len() == text.len() {
        text
    } else {
        inner.to_owned()
    }
}

/// A text and where it stands.
pub(crate) fn placed_text(node: Node) -> Result<At<String>, String> {
    let at = node.at;
    text(node).map(|text| At::new(text, at))
}

pub(crate) fn texts(node: Node) -> Result<Vec<String>, String> {
    list(node)?.value.into_iter().map(text).collect()
}

pub(crate) fn list(node: Node) -> Result<At<Vec<Node>>, String> {
    match node.value {
        Shape::List(items) => Ok(At::new(items, node.at)),
        other => Err(format!("a list, not {}", other.name())),
    }
}

pub(crate) fn flag(node: Node) -> Result<bool, String> {
    let (text, plain, _) = scalar(node, "`true` or `false`")?;
    match (text.as_str(), plain) {
        ("true", true) => Ok(true),
        ("false", true) => Ok(false),
        _ => Err("`true` or `false`, without quotes".to_owned()),
    }
}

pub(crate) fn count(node: Node) -> Result<u32, String> {
    let expected = "a whole number from 1 to 100";
    let (text, _, _) = scalar(node, expected)?;
    text.parse()
        .ok()
        .filter(|count| (1..=MOST).contains(count))
        .ok_or_else(|| expected.to_owned())
}

/// Any whole number.
pub(crate) fn whole(node: Node) -> Result<i64, String> {
    let expected = "a whole number";
    let (text, _, _) = scalar(node, expected)?;
    text.parse().map_err(|_| expected.to_owned())
}

pub(crate) fn fraction(node: Node) -> Result<f64, String> {
    let expected = "a fraction from 0 to 1, such as `0.2`";
    let (text, _, _) = scalar(node, expected)?;
    text.parse()
        .ok()
        .filter(|fraction| (0.0..=1.0).contains(fraction))
        .ok_or_else(|| expected.to_owned())
}

/// Seconds, or `90s`, `5m`, `2h`, `3d`.
pub(crate) fn duration(node: Node) -> Result<Duration, String> {
    let expected = "a number of seconds, or `90s`, `5m`, `2h`, `3d`, at most 30 days";
    let (text, _, _) = scalar(node, expected)?;
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let unit: u64 = match text.strip_prefix(digits) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 24 * 3600,
        _ => return Err(expected.to_owned()),
    };
    // `parse` takes a leading `+`.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected.to_owned());
    }
    let amount: Option<u64> = digits.parse().ok();
    amount
        .and_then(|amount| amount.checked_mul(unit))
        .map(Duration::from_secs)
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or_else(|| expected.to_owned())
}

/// A duration and where it stands.
pub(crate) fn placed_duration(node: Node) -> Result<At<Duration>, String> {
    let at = node.at;
    duration(node).map(|duration| At::new(duration, at))
}

/// Names stand in URLs, idempotency keys and diagrams.
fn plain_name(text: &str, extra: &[char]) -> bool {
    (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || extra.contains(&c))
}

const NAME: &str = "up to 64 letters, digits, `_` and `-`";

/// Whether `text` could be a name.
pub(crate) fn is_plain(text: &str) -> bool {
    plain_name(text, &[])
}

/// A word that names a case or the like.
pub(crate) fn plain_word(node: Node) -> Result<String, String> {
    let (text, _, _) = scalar(node, NAME)?;
    if is_plain(&text) {
        Ok(text)
    } else {
        Err(NAME.to_owned())
    }
}

pub(crate) fn name(node: Node) -> Result<At<PlaybookName>, String> {
    let (text, _, at) = scalar(node, NAME)?;
    plain_name(&text, &[])
        .then(|| text.parse().ok())
        .flatten()
        .map(|name| At::new(name, at))
        .ok_or_else(|| NAME.to_owned())
}

pub(crate) fn version(node: Node) -> Result<PlaybookVersion, String> {
    let expected = "up to 64 letters, digits, `.`, `_`, `-` and `+`, such as `\"1.2\"`";
    let (text, _, _) = scalar(node, expected)?;
    plain_name(&text, &['.', '+'])
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| expected.to_owned())
}

pub(crate) fn step_id(node: Node) -> Result<At<StepId>, String> {
    let expected = "the id of a step: up to 64 letters, digits, `_` and `-`";
    let (text, _, at) = scalar(node, expected)?;
    plain_name(&text, &[])
        .then(|| StepId::try_from(text).ok())
        .flatten()
        .map(|id| At::new(id, at))
        .ok_or_else(|| expected.to_owned())
}

/// One id, or a list of them.
pub(crate) fn step_ids(node: Node) -> Result<Vec<At<StepId>>, String> {
    match node.value {
        Shape::List(items) => items.into_iter().map(step_id).collect(),
        _ => Ok(vec![step_id(node)?]),
    }
}

pub(crate) fn action_name(node: Node) -> Result<At<ActionName>, String> {
    let expected = "a service and its action, such as `verification.mfa`";
    let (text, _, at) = scalar(node, expected)?;
    plain_name(&text, &['.'])
        .then(|| text.parse().ok())
        .flatten()
        .filter(|name: &ActionName| !name.service().is_empty() && !name.action().is_empty())
        .map(|name| At::new(name, at))
        .ok_or_else(|| expected.to_owned())
}

/// The value of a parameter, by YAML's core schema: unquoted `true`, `12`, `1.5` and `null` are what they look like.
pub(crate) fn json(node: Node) -> Value {
    match node.value {
        Shape::Scalar { text, plain: false } => Value::String(text),
        Shape::Scalar { text, plain: true } => match text.as_str() {
            "" | "~" | "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => number
                .parse::<i64>()
                .ok()
                .map(Number::from)
                .or_else(|| {
                    // `inf`, `nan` and the like are words here.
                    number
                        .starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.')
                        .then(|| number.parse().ok().and_then(Number::from_f64))
                        .flatten()
                })
                .map_or(Value::String(text), Value::Number),
        },
        Shape::List(items) => items.into_iter().map(json).collect(),
        Shape::Map(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(key, value)| (key.value, json(value)))
                .collect(),
        ),
    }
}
