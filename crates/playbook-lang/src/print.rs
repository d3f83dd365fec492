//! Writing a [`Document`] back as YAML, in one canonical form: what reads the same is written the same.
//!
//! Comments are not part of a document, so they are lost; whoever wants to keep an author's text edits it in place (see
//! `fix`).

mod condition;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod words;

use crate::document::{Document, TriggerDocument};
use crate::findings::Findings;
use crate::kind::Kind;
use crate::playbook::Input;
use crate::yaml::MAX_BYTES;
use crate::{read, yaml};
use words::{duration, quoted, value, word};

/// The document in its canonical form: the fields in one order, texts in double quotes, durations in their shortest unit,
/// defaults left out, two spaces a level. The playbook that it describes is the same; its digest is not.
///
/// **Comments and blank lines are lost.** `None` where `source` cannot be read without errors (a document that reads and
/// fails later checks is formatted), or would be larger than [`MAX_BYTES`] afterwards.
pub fn format(source: &str) -> Option<String> {
    let mut findings = Findings::default();
    let document = read::document(yaml::parse(source, &mut findings)?, &mut findings);
    if findings.any_error() {
        return None;
    }
    Some(print(&document)).filter(|printed| printed.len() <= MAX_BYTES)
}

/// The canonical form of a document that was read without errors.
pub(crate) fn print(document: &Document) -> String {
    let mut page = Page::default();
    page.opening(document);
    page.steps(&document.steps);
    page.text
}

/// What has been written so far.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn opening(&mut self, document: &Document) {
        if let Some(name) = &document.name {
            self.field(0, "name", &word(name.value.as_str()));
        }
        if let Some(version) = &document.version {
            // Without quotes, `1.20` would look like a number, and is none.
            self.field(0, "version", &quoted(version.as_str()));
        }
        if document.enabled {
            self.field(0, "enabled", "true");
        }
        if !document.description.is_empty() {
            self.field(0, "description", &quoted(&document.description));
        }
        if !document.category.is_empty() {
            self.field(0, "category", &quoted(&document.category));
        }
        if let Some(sub_category) = &document.sub_category {
            self.field(0, "sub_category", &quoted(sub_category));
        }
        if !document.examples.is_empty() {
            self.opens(0, "examples");
            for example in &document.examples {
                self.line(2, &format!("- {}", quoted(example)));
            }
        }
        if let Some(budget) = &document.budget {
            self.field(0, "budget", &duration(budget.value));
        }
        if let Some(trigger) = &document.trigger {
            self.trigger(trigger);
        }
        if !document.inputs.is_empty() {
            self.text.push('\n');
            self.opens(0, "inputs");
            for (name, input) in &document.inputs {
                self.opens(2, name);
                self.input(input);
            }
        }
    }

    fn trigger(&mut self, trigger: &TriggerDocument) {
        self.text.push('\n');
        if trigger.source.is_none() && trigger.on.is_empty() && trigger.when.is_none() {
            self.field(0, "trigger", "{}");
            return;
        }
        self.opens(0, "trigger");
        if let Some(source) = &trigger.source {
            self.field(2, "source", &quoted(source));
        }
        if !trigger.on.is_empty() {
            let on: Vec<&str> = trigger.on.iter().map(|occasion| occasion.as_str()).collect();
            self.field(2, "on", &format!("[{}]", on.join(", ")));
        }
        if let Some(when) = &trigger.when {
            self.key(2, "when");
            self.condition(4, &when.condition);
        }
    }

    fn input(&mut self, input: &Input) {
        let word = match &input.kind {
            Kind::Text => "text",
            Kind::Whole { .. } => "whole",
            Kind::Flag => "flag",
            Kind::OneOf(_) => "one_of",
            Kind::Moment => "moment",
            Kind::Fields => "fields",
            Kind::Credential => "credential",
        };
        self.field(4, "type", word);
        match &input.kind {
            Kind::Whole { least, most } => {
                if *least != i64::MIN {
                    self.field(4, "least", &least.to_string());
                }
                if *most != i64::MAX {
                    self.field(4, "most", &most.to_string());
                }
            }
            Kind::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                self.field(4, "words", &format!("[{}]", words.join(", ")));
            }
            Kind::Text | Kind::Flag | Kind::Moment | Kind::Fields | Kind::Credential => {}
        }
        if let Some(default) = &input.default {
            self.field(4, "default", &value(default));
        }
        if input.optional {
            self.field(4, "optional", "true");
        }
        if !input.description.is_empty() {
            self.field(4, "description", &quoted(&input.description));
        }
    }

    /// A field and its value in one line.
    fn field(&mut self, indent: usize, key: &str, value: &str) {
        self.key(indent, key);
        self.text.push(' ');
        self.text.push_str(value);
        self.text.push('\n');
    }

    /// A field whose value stands below it.
    fn opens(&mut self, indent: usize, key: &str) {
        self.key(indent, key);
        self.text.push('\n');
    }

    /// A key with its colon. YAML wants a question mark before a long one.
    fn key(&mut self, indent: usize, key: &str) {
        self.indent(indent);
        let key = word(key);
        if key.len() > words::LONGEST_PLAIN_KEY {
            self.text.push_str("? ");
            self.text.push_str(&key);
            self.text.push('\n');
            self.indent(indent);
        } else {
            self.text.push_str(&key);
        }
        self.text.push(':');
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.indent(indent);
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }
}
