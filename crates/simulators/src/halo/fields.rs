//! Reading the records that callers post: arrays only, whole numbers only.

use axum::body::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::text::media_type;

/// The posted records: JSON by content type, an array of objects by shape.
pub(crate) fn records(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Map<String, Value>>, Refusal> {
    if media_type(headers) != "application/json" {
        return Err(Refusal::NotJson);
    }
    let Ok(Value::Array(items)) = serde_json::from_slice(body) else {
        return Err(Refusal::NotAnArray);
    };
    let records: Option<Vec<_>> = items
        .into_iter()
        .map(|item| match item {
            Value::Object(record) => Some(record),
            _ => None,
        })
        .collect();
    match records {
        Some(records) if !records.is_empty() => Ok(records),
        _ => Err(Refusal::NotAnArray),
    }
}

/// The whole number called `name`; `95.0` does not bind.
pub(crate) fn int(record: &Map<String, Value>, name: &str) -> Result<Option<i64>, Refusal> {
    let given = match record.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(given) => given,
    };
    let number = given.as_i64().or_else(|| given.as_str()?.parse().ok());
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::Unbindable {
            path: format!("[0].{name}"),
            value: given.to_string(),
        }),
    }
}

/// The text called `name`.
pub(crate) fn text<'a>(record: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    record.get(name)?.as_str()
}

/// True when `name` is set and true.
pub(crate) fn flag(record: &Map<String, Value>, name: &str) -> Option<bool> {
    record.get(name)?.as_bool()
}

/// Tags out, entities back: what a person reads of a piece of HTML.
pub(crate) fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut inside = false;
    for piece in html.chars() {
        match piece {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                if !text.is_empty() && !text.ends_with([' ', '\n']) {
                    text.push('\n');
                }
            }
            piece if !inside => text.push(piece),
            _ => {}
        }
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let mut text = text.trim().to_owned();
    for (entity, character) in entities {
        text = text.replace(entity, character);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_with_a_fraction_does_not_bind_even_when_it_is_whole() {
        let record = json!({"id": 95.0, "status_id": "9", "agent_id": 1});
        let record = record.as_object().unwrap();
        assert!(matches!(int(record, "id"), Err(Refusal::Unbindable { .. })));
        assert_eq!(int(record, "status_id").unwrap(), Some(9));
        assert_eq!(int(record, "agent_id").unwrap(), Some(1));
        assert_eq!(int(record, "team_id").unwrap(), None);
    }

    #[test]
    fn a_note_in_html_reads_as_text() {
        assert_eq!(
            plain("<p>Adele &amp; Megan</p><p>said &lt;yes&gt;</p>"),
            "Adele & Megan\nsaid <yes>"
        );
    }
}
