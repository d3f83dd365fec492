//! Templates in parameters: `{{ ticket.summary }}` and a few more fixed names, and nothing else. No expressions, no code.
//!
//! What a template shows is for people's eyes. Ticket text is untrusted, so a privileged action takes no template at all.

use common::{TicketSnapshot, Values};
use serde_json::Value;

use crate::findings::quoted;

/// A filled value is cut here: it is a line for people, and the ticket is one click away.
const LONGEST: usize = 500;

/// What templates may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// As it was when the execution was accepted.
    pub ticket: &'a TicketSnapshot,
    /// The requester as people know them.
    pub requester_name: &'a str,
}

/// The names that a template may use.
pub(crate) const NAMES: &[&str] = &["ticket.summary", "ticket.client_name", "requester.name"];

impl<'a> Facts<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        match name {
            "ticket.summary" => Some(&self.ticket.summary),
            "ticket.client_name" => Some(self.ticket.client_name.as_deref().unwrap_or_default()),
            "requester.name" => Some(self.requester_name),
            _ => None,
        }
    }
}

/// Put the facts into the parameters of a call. The same facts give the same values, which repeated calls rely on.
pub fn fill(parameters: &Values, facts: &Facts<'_>) -> Values {
    parameters
        .iter()
        .map(|(name, value)| {
            let filled = match value {
                Value::String(text) => Value::String(fill_text(text, facts)),
                other => other.clone(),
            };
            (name.clone(), filled)
        })
        .collect()
}

fn fill_text(text: &str, facts: &Facts<'_>) -> String {
    let Ok(pieces) = pieces(text) else {
        return text.to_owned();
    };
    let filled: String = pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Name(name) => facts.value(name).unwrap_or_default(),
        })
        .collect();
    filled.chars().take(LONGEST).collect()
}

enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Whether `text` asks to be filled.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// What is wrong with a template; the wrong name, where it is one.
pub(crate) enum BadTemplate<'t> {
    Unclosed,
    Statement,
    UnknownName(&'t str),
}

impl BadTemplate<'_> {
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Unclosed => "a `{{` is not closed by `}}`".to_owned(),
            Self::Statement => "`{% %}` is not part of templates; write `{{ name }}` only".to_owned(),
            Self::UnknownName(name) => format!(
                "templates know no {}; they know `{}`",
                quoted(name),
                NAMES.join("`, `")
            ),
        }
    }
}

/// Whether every name is known.
pub(crate) fn check(text: &str) -> Result<(), BadTemplate<'_>> {
    pieces(text)?
        .into_iter()
        .find_map(|piece| match piece {
            Piece::Name(name) if !NAMES.contains(&name) => Some(Err(BadTemplate::UnknownName(name))),
            Piece::Name(_) | Piece::Text(_) => None,
        })
        .unwrap_or(Ok(()))
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, BadTemplate<'_>> {
    if text.contains("{%") {
        return Err(BadTemplate::Statement);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(BadTemplate::Unclosed)?;
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Name(name.trim()));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_shows_the_facts_and_nothing_in_them_is_a_template_again() {
        let ticket = TicketSnapshot {
            summary: "help {{ requester.name }}".to_owned(),
            client_name: None,
        };
        let facts = Facts {
            ticket: &ticket,
            requester_name: "Adele",
        };
        let parameters = serde_json::json!({
            "reason": "{{requester.name}}: {{ ticket.summary }}{{ ticket.client_name }}!",
            "count": 3,
        });
        let filled = fill(parameters.as_object().unwrap(), &facts);
        assert_eq!(
            serde_json::to_value(filled).unwrap(),
            serde_json::json!({ "reason": "Adele: help {{ requester.name }}!", "count": 3 })
        );
    }

    #[test]
    fn a_long_fact_is_cut() {
        let ticket = TicketSnapshot {
            summary: "é".repeat(9000),
            client_name: None,
        };
        let facts = Facts {
            ticket: &ticket,
            requester_name: "Adele",
        };
        assert_eq!(fill_text("{{ ticket.summary }}", &facts).chars().count(), LONGEST);
    }
}
