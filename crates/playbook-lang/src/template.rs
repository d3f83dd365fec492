//! Templates in parameters: `{{ ticket.summary }}` and the other names under the fixed roots. No expressions, no code.
//!
//! A value that is one template and nothing else keeps its type; within other text it is written out.

use common::Values;
use serde_json::Value;

use crate::findings::quoted;
use crate::roots::{NAMES, Name, NoName, ROOTS};

/// A filled value is cut here: it is a line for people, and the ticket is one click away.
const LONGEST: usize = 500;

/// Put values into the parameters of a call; `value` looks a name up. What is not there is left empty, and where it
/// would be the whole value, left out.
pub(crate) fn fill<'v>(parameters: &Values, value: &impl Fn(&Name) -> Option<&'v Value>) -> Values {
    parameters
        .iter()
        .filter_map(|(name, parameter)| Some((name.clone(), filled(parameter, value)?)))
        .collect()
}

/// One value, filled; `None` where it is one template and there is nothing to fill it with.
pub(crate) fn filled<'v>(parameter: &Value, value: &impl Fn(&Name) -> Option<&'v Value>) -> Option<Value> {
    match parameter {
        Value::String(text) if is_template(text) => fill_text(text, value),
        Value::Object(fields) => Some(Value::Object(fill(fields, value))),
        Value::Array(items) => Some(items.iter().filter_map(|item| filled(item, value)).collect()),
        other => Some(other.clone()),
    }
}

fn fill_text<'v>(text: &str, value: &impl Fn(&Name) -> Option<&'v Value>) -> Option<Value> {
    let Ok(pieces) = pieces(text) else {
        return Some(Value::String(text.to_owned()));
    };
    if let [Piece::Name(name)] = pieces.as_slice() {
        return match value(name)? {
            Value::String(text) => Some(Value::String(cut(text.chars()))),
            other => Some(other.clone()),
        };
    }
    let mut written = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => written.push_str(text),
            Piece::Name(name) => match value(&name) {
                Some(Value::String(text)) => written.push_str(text),
                Some(other) => written.push_str(&other.to_string()),
                None => {}
            },
        }
    }
    Some(Value::String(cut(written.chars())))
}

fn cut(letters: std::str::Chars<'_>) -> String {
    letters.take(LONGEST).collect()
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece<'t> {
    /// As it stands.
    Text(&'t str),
    /// To be filled.
    Name(Name),
}

/// Whether `text` asks to be filled.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Whether there is a template in a value.
pub(crate) fn templates(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Object(fields) => fields.values().any(templates),
        Value::Array(items) => items.iter().any(templates),
        _ => false,
    }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadTemplate<'t> {
    Unclosed,
    Statement,
    NoName(&'t str, NoName),
}

impl BadTemplate<'_> {
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Unclosed => "a `{{` is not closed by `}}`".to_owned(),
            Self::Statement => "`{% %}` is not part of templates; write `{{ name }}` only".to_owned(),
            Self::NoName(name, why) => why.message(name),
        }
    }
}

impl NoName {
    /// What is wrong with `name`, and what would not be.
    pub(crate) fn message(&self, name: &str) -> String {
        match self {
            Self::Root => format!(
                "{} does not begin with a root; the roots are `{}`",
                quoted(name),
                ROOTS.join("`, `")
            ),
            Self::Steps => format!(
                "{} is not the output of a step; write `steps.<id>.output.<name>`",
                quoted(name)
            ),
            Self::Unknown => {
                let root = name.split('.').next().unwrap_or_default();
                let known: Vec<&str> = NAMES
                    .iter()
                    .map(|(known, ..)| *known)
                    .filter(|known| known.split('.').next() == Some(root))
                    .collect();
                if known.is_empty() {
                    format!("{} is not one name under `{root}`", quoted(name))
                } else {
                    format!("there is no {}; there is `{}`", quoted(name), known.join("`, `"))
                }
            }
        }
    }
}

/// A template, taken apart.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, BadTemplate<'_>> {
    if text.contains("{%") {
        return Err(BadTemplate::Statement);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(BadTemplate::Unclosed)?;
        let name = name.trim();
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Name(
            Name::read(name).map_err(|why| BadTemplate::NoName(name, why))?,
        ));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::Facts;
    use serde_json::json;

    fn facts() -> Facts {
        Facts::default()
            .with("ticket.summary", json!("help {{ requester.name }}"))
            .with("requester.name", json!("Adele"))
            .with("inputs.days", json!(3))
    }

    #[test]
    fn a_template_shows_the_facts_and_nothing_in_them_is_a_template_again() {
        let facts = facts();
        let parameters = json!({
            "reason": "{{requester.name}}: {{ ticket.summary }}{{ ticket.client_name }}!",
            "count": 3,
            "days": "{{ inputs.days }}",
            "note": "for {{ inputs.days }} days",
            "nobody": "{{ manager.name }}",
            "fields": {"CFwho": "{{ requester.name }}"},
        });
        let filled = fill(parameters.as_object().unwrap(), &|name| facts.named(name));
        assert_eq!(
            serde_json::to_value(filled).unwrap(),
            json!({
                "reason": "Adele: help {{ requester.name }}!",
                "count": 3,
                "days": 3,
                "note": "for 3 days",
                "fields": {"CFwho": "Adele"},
            })
        );
    }

    #[test]
    fn a_long_fact_is_cut() {
        let facts = Facts::default().with("ticket.summary", json!("é".repeat(9000)));
        for text in ["{{ ticket.summary }}", "it says {{ ticket.summary }}"] {
            let filled = fill_text(text, &|name| facts.named(name)).unwrap();
            assert_eq!(filled.as_str().unwrap().chars().count(), LONGEST);
        }
    }
}
