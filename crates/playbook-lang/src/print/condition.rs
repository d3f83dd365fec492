//! Conditions as YAML: what must all hold is a list, everything else says its word.

use super::Page;
use super::words::{quoted, value, word};
use crate::condition::{Condition, Test};

impl Page {
    /// Behind a key or a dash; what does not fit into that line stands below it, at `indent`.
    pub(super) fn condition(&mut self, indent: usize, condition: &Condition) {
        match condition {
            Condition::Test { field, test } => {
                let value = match test {
                    Test::Equals(value)
                    | Test::NotEquals(value)
                    | Test::Greater(value)
                    | Test::Less(value) => self::value(value),
                    Test::In(values) => {
                        let values: Vec<String> = values.iter().map(value).collect();
                        format!("[{}]", values.join(", "))
                    }
                    Test::Contains(text) => quoted(text),
                    Test::Matches(pattern) => quoted(pattern.as_str()),
                    Test::Exists(wanted) => wanted.to_string(),
                };
                let field = word(&field.to_string());
                let operator = test.operator();
                self.line(
                    1,
                    &format!("{{field: {field}, operator: {operator}, value: {value}}}"),
                );
            }
            Condition::All(parts) if parts.is_empty() => self.text.push_str(" []\n"),
            Condition::Any(parts) if parts.is_empty() => self.text.push_str(" {any: []}\n"),
            Condition::All(parts) => {
                self.text.push('\n');
                self.parts(indent, parts);
            }
            Condition::Any(parts) => {
                self.text.push('\n');
                self.opens(indent, "any");
                self.parts(indent.saturating_add(2), parts);
            }
            Condition::Not(part) => {
                self.text.push('\n');
                self.key(indent, "not");
                self.condition(indent.saturating_add(2), part);
            }
        }
    }

    fn parts(&mut self, indent: usize, parts: &[Condition]) {
        for part in parts {
            self.indent(indent);
            self.text.push('-');
            self.condition(indent.saturating_add(2), part);
        }
    }
}
