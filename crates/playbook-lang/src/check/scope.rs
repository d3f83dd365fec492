//! A called playbook's names, as they are called in the caller: its steps get the caller's step before them
//! (`verify.mfa`), its inputs what the caller passes.

use std::borrow::Cow;
use std::collections::HashMap;

use common::{StepId, Values};
use serde_json::Value;

use crate::condition::Condition;
use crate::roots::Name;
use crate::template::{Piece, is_template, pieces};

/// What an input of a called playbook stands for.
#[derive(Debug, Clone)]
pub(super) enum Binding {
    /// A value that the caller wrote.
    Literal { value: Value, size_bytes: usize },
    /// A name of the caller.
    Name(Name),
    /// Nothing: the caller passes none and there is no default.
    Nothing,
}

impl Binding {
    pub(super) fn literal(value: Value) -> Self {
        let size_bytes = written_size(&value);
        Self::Literal { value, size_bytes }
    }
}

/// No name is written longer.
const LONGEST_NAME: usize = 400;

/// About how many bytes a value takes.
fn written_size(value: &Value) -> usize {
    let own = size_of::<Value>();
    match value {
        Value::String(text) => own.saturating_add(text.len()),
        Value::Array(items) => items
            .iter()
            .fold(own, |size, item| size.saturating_add(written_size(item))),
        Value::Object(fields) => fields.iter().fold(own, |size, (name, value)| {
            size.saturating_add(name.len())
                .saturating_add(written_size(value))
        }),
        _ => own,
    }
}

/// How names of a document are called in the whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// The step that calls; none for the document that is checked.
    pub(super) caller: Option<StepId>,
    /// By input; of the document itself they stand for themselves.
    pub(super) inputs: HashMap<String, Binding>,
}

impl Scope {
    /// The id of a step in the whole.
    pub(super) fn id<'i>(&self, id: &'i StepId) -> Cow<'i, StepId> {
        match &self.caller {
            None => Cow::Borrowed(id),
            Some(caller) => Cow::Owned(derived(caller, id.as_str())),
        }
    }

    /// What a name stands for; `None` for a name that stands for itself.
    fn name(&self, name: &Name) -> Option<Binding> {
        self.caller.as_ref()?;
        match name {
            Name::Fixed(_) => None,
            Name::Input(input) => Some(self.inputs.get(input).cloned().unwrap_or(Binding::Nothing)),
            Name::Output { step, output } => Some(Binding::Name(Name::Output {
                step: self.id(step).into_owned(),
                output: output.clone(),
            })),
        }
    }

    /// Parameters with the caller's names in their templates. One that would be nothing but an input that the caller
    /// leaves out is left out, too.
    pub(super) fn values(&self, values: &Values) -> Values {
        if self.caller.is_none() {
            return values.clone();
        }
        values
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), self.value(value)?)))
            .collect()
    }

    /// A value with the caller's names in its templates; `None` where it is an input that the caller leaves out.
    pub(super) fn value(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::String(text) if self.caller.is_some() && is_template(text) => return self.text(text),
            Value::Object(fields) => Value::Object(self.values(fields)),
            Value::Array(items) => items.iter().filter_map(|item| self.value(item)).collect(),
            other => other.clone(),
        })
    }

    /// About how many bytes [`Self::values`] will take: what a caller passes is written out wherever it is used.
    pub(super) fn size_bytes(&self, values: &Values) -> usize {
        values.iter().fold(0, |size, (name, value)| {
            size.saturating_add(name.len())
                .saturating_add(self.size_of(value))
        })
    }

    fn size_of(&self, value: &Value) -> usize {
        match value {
            Value::String(text) if is_template(text) => {
                pieces(text).unwrap_or_default().iter().fold(0, |size, piece| {
                    size.saturating_add(match piece {
                        Piece::Text(text) => text.len(),
                        Piece::Name(Name::Input(input)) => match self.inputs.get(input) {
                            Some(Binding::Literal { size_bytes, .. }) => *size_bytes,
                            _ => LONGEST_NAME,
                        },
                        Piece::Name(_) => LONGEST_NAME,
                    })
                })
            }
            Value::Object(fields) => self.size_bytes(fields).saturating_add(size_of::<Value>()),
            Value::Array(items) => items
                .iter()
                .fold(0, |size, item| size.saturating_add(self.size_of(item))),
            other => written_size(other),
        }
    }

    fn text(&self, text: &str) -> Option<Value> {
        // What is no template is a finding of its own.
        let Ok(pieces) = pieces(text) else {
            return Some(Value::String(text.to_owned()));
        };
        if let [Piece::Name(name)] = pieces.as_slice() {
            return match self.name(name) {
                None => Some(Value::String(text.to_owned())),
                Some(Binding::Literal { value, .. }) => Some(value),
                Some(Binding::Name(name)) => Some(Value::String(written(&name))),
                Some(Binding::Nothing) => None,
            };
        }
        let mut renamed = String::new();
        for piece in &pieces {
            match piece {
                Piece::Text(text) => renamed.push_str(text),
                Piece::Name(name) => match self.name(name) {
                    None => renamed.push_str(&written(name)),
                    Some(Binding::Literal {
                        value: Value::String(text),
                        ..
                    }) => renamed.push_str(&text),
                    Some(Binding::Literal { value, .. }) => renamed.push_str(&value.to_string()),
                    Some(Binding::Name(name)) => renamed.push_str(&written(&name)),
                    Some(Binding::Nothing) => {}
                },
            }
        }
        Some(Value::String(renamed))
    }

    /// A condition with the caller's names; one about a value that the caller wrote is decided here.
    pub(super) fn condition(&self, condition: &Condition) -> Condition {
        match condition {
            Condition::All(parts) => Condition::All(parts.iter().map(|part| self.condition(part)).collect()),
            Condition::Any(parts) => Condition::Any(parts.iter().map(|part| self.condition(part)).collect()),
            Condition::Not(part) => Condition::Not(Box::new(self.condition(part))),
            Condition::Test { field, test } => match self.name(field) {
                None => condition.clone(),
                Some(Binding::Name(field)) => Condition::Test {
                    field,
                    test: test.clone(),
                },
                Some(Binding::Literal { value, .. }) => constant(test.passes(Some(&value))),
                Some(Binding::Nothing) => constant(test.passes(None)),
            },
        }
    }
}

fn constant(holds: bool) -> Condition {
    if holds {
        Condition::All(Vec::new())
    } else {
        Condition::Any(Vec::new())
    }
}

fn written(name: &Name) -> String {
    format!("{{{{ {name} }}}}")
}

/// An id that no author can write: theirs have no dots.
pub(super) fn derived(step: &StepId, suffix: &str) -> StepId {
    // The only ways to fail are an empty text and one that is too long; an id of a deep call is cut to the id itself.
    format!("{step}.{suffix}")
        .parse()
        .unwrap_or_else(|_| step.clone())
}
