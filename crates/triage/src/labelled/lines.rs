//! JSON Lines: an object a line.

use serde_json::{Map, Value};

use super::Labelled;
use super::complaint::Complaints;
use super::row::{self, Fields};

/// The objects of a file with their lines; those that are none have been complained of.
pub(super) fn objects(
    text: &[u8],
    offset: usize,
    complaints: &mut Complaints<'_>,
) -> Vec<(usize, Map<String, Value>)> {
    let mut start = offset;
    let mut objects = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let row = index + 1;
        match object(line, start) {
            Ok(Some(object)) => objects.push((row, object)),
            Ok(None) => {}
            Err(what) => complaints.row(row, what),
        }
        start += line.len() + 1;
    }
    objects
}

fn object(line: &[u8], start: usize) -> Result<Option<Map<String, Value>>, String> {
    let line = row::bytes(line, start)?;
    if line.trim().is_empty() {
        return Ok(None);
    }
    if let Some(place) = line.find('\0') {
        return Err(format!(
            "NUL at byte {} of the file: remove the character with code 0",
            start + place
        ));
    }
    match serde_json::from_str(line) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err("is no JSON object: write one object a line, in braces".to_owned()),
        Err(error) if error.is_eof() => {
            Err("the JSON object does not end on its line: write each on one line".to_owned())
        }
        Err(error) => Err(format!(
            "is no JSON (column {}): write one object a line",
            error.column()
        )),
    }
}

pub(super) fn read(text: &[u8], offset: usize, complaints: &mut Complaints<'_>) -> Vec<Labelled> {
    let objects = objects(text, offset, complaints);
    objects
        .iter()
        .filter_map(|(row, object)| ticket(*row, object, complaints))
        .collect()
}

fn ticket(row: usize, object: &Map<String, Value>, complaints: &mut Complaints<'_>) -> Option<Labelled> {
    let subject = required(row, object, "subject", complaints);
    let body = required(row, object, "body", complaints);
    let category = required(row, object, "category", complaints);
    let id = scalar(object, "id");
    let automatable = scalar(object, "automatable");
    let fields = Fields {
        id: id.as_deref(),
        subject: subject?,
        body: body?,
        category: category?,
        automatable: automatable.as_deref(),
    };
    row::labelled(row, &fields, complaints)
}

/// A text that must be there.
pub(super) fn required<'a>(
    row: usize,
    object: &'a Map<String, Value>,
    key: &str,
    complaints: &mut Complaints<'_>,
) -> Option<&'a str> {
    let what = match object.get(key) {
        Some(Value::String(text)) => return Some(text),
        None | Some(Value::Null) => format!("`{key}` is missing: give it as text"),
        Some(_) => format!("`{key}` is no text: put it in quotation marks"),
    };
    complaints.row(row, what);
    None
}

/// A text, a number or a truth, as text. What is neither reads as something that no column accepts.
pub(super) fn scalar(object: &Map<String, Value>, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
