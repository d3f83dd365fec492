//! The part of OData's `$filter` that is needed: equality, `any(p:p eq ..)`, joined by `or` and `and`.

use super::graph::GraphError;
use http::StatusCode;

/// One comparison: a property path and the value it must equal. `any` looks through a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) property: String,
    pub(crate) value: String,
}

/// Alternatives, each a list of terms that must all hold.
pub(crate) fn parse(filter: &str) -> Result<Vec<Vec<Term>>, GraphError> {
    split(filter, " or ")
        .into_iter()
        .map(|part| split(part, " and ").into_iter().map(term).collect())
        .collect()
}

fn unsupported(what: &str) -> GraphError {
    let message = format!("Unsupported or invalid query filter clause specified for property '{what}'.");
    GraphError::new(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message)
}

/// Split at `word`, but not within quotes.
fn split<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, character) in text.char_indices() {
        if character == '\'' {
            quoted = !quoted;
        } else if !quoted && at >= start && text[at..].starts_with(word) {
            parts.push(&text[start..at]);
            start = at + word.len();
        }
    }
    parts.push(&text[start..]);
    parts
}

fn term(text: &str) -> Result<Term, GraphError> {
    let text = text.trim();
    if let Some((property, rest)) = text.split_once("/any(") {
        let inner = rest.strip_suffix(')').ok_or_else(|| unsupported(property))?;
        let (variable, comparison) = inner.split_once(':').ok_or_else(|| unsupported(property))?;
        let Term {
            property: compared,
            value,
        } = term(comparison)?;
        return if compared == variable.trim() {
            Ok(Term {
                property: property.to_owned(),
                value,
            })
        } else {
            Err(unsupported(property))
        };
    }
    let (property, quoted) = text.split_once(" eq ").ok_or_else(|| unsupported(text))?;
    let inner = quoted
        .trim()
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    let value = inner.ok_or_else(|| unsupported(property))?;
    // A lone quote inside would have ended the string.
    if value.replace("''", "").contains('\'') {
        return Err(unsupported(property));
    }
    Ok(Term {
        property: property.trim().to_owned(),
        value: value.replace("''", "'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(property: &str, value: &str) -> Vec<Term> {
        vec![Term {
            property: property.into(),
            value: value.into(),
        }]
    }

    #[test]
    fn a_filter_reads_alternatives_and_doubled_quotes() {
        assert_eq!(
            parse("mail eq 'o''hara or me@x' or userPrincipalName eq 'b'").unwrap(),
            [one("mail", "o'hara or me@x"), one("userPrincipalName", "b")]
        );
        assert_eq!(
            parse("proxyAddresses/any(p:p eq 'smtp:a@b')").unwrap(),
            [one("proxyAddresses", "smtp:a@b")]
        );
    }

    #[test]
    fn an_open_quote_or_another_operator_is_refused() {
        for filter in [
            "mail eq 'o'hara'",
            "mail ne 'a'",
            "mail eq a",
            "startswith(mail,'a')",
            "",
        ] {
            assert!(parse(filter).is_err(), "{filter}");
        }
    }
}
