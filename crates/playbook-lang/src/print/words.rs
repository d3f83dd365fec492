//! Single values as YAML.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

/// YAML reads no longer key without a question mark before it; it counts characters, quotes included.
pub(super) const LONGEST_PLAIN_KEY: usize = 512;

/// In double quotes, so that nothing in it means anything.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // Invisible, or a line break to some readers.
            '\u{85}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// As it stands where nobody can take it for anything else, in quotes otherwise.
pub(crate) fn word(text: &str) -> String {
    let plain = text.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_')
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'));
    if plain { text.to_owned() } else { quoted(text) }
}

/// In the largest unit that divides it.
pub(super) fn duration(period: Duration) -> String {
    let seconds = period.as_secs();
    for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m")] {
        if seconds > 0 && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

/// A value of any kind in one line.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| {
                    let name = word(name);
                    let mark = if name.len() > LONGEST_PLAIN_KEY { "? " } else { "" };
                    format!("{mark}{name}: {}", self::value(field))
                })
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        own => own.to_string(),
    }
}
