//! A called playbook's names, as they are called in the caller: its steps get the caller's step before them
//! (`verify.mfa`), its inputs what the caller passes.

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
    Literal(Value),
    /// A name of the caller.
    Name(Name),
    /// Nothing: the caller passes none and there is no default.
    Nothing,
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
    pub(super) fn id(&self, id: &StepId) -> StepId {
        match &self.caller {
            None => id.clone(),
            Some(caller) => derived(caller, id.as_str()),
        }
    }

    /// What a name stands for; `None` for a name that stands for itself.
    fn name(&self, name: &Name) -> Option<Binding> {
        self.caller.as_ref()?;
        match name {
            Name::Fixed(_) => None,
            Name::Input(input) => Some(self.inputs.get(input).cloned().unwrap_or(Binding::Nothing)),
            Name::Output { step, output } => Some(Binding::Name(Name::Output {
                step: self.id(step),
                output: output.clone(),
            })),
        }
    }

    /// Parameters with the caller's names in their templates.
    pub(super) fn values(&self, values: &Values) -> Values {
        if self.caller.is_none() {
            return values.clone();
        }
        values
            .iter()
            .map(|(name, value)| (name.clone(), self.value(value)))
            .collect()
    }

    /// A value with the caller's names in its templates.
    pub(super) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if self.caller.is_some() && is_template(text) => self.text(text),
            Value::Object(fields) => Value::Object(self.values(fields)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> Value {
        // What is no template is a finding of its own.
        let Ok(pieces) = pieces(text) else {
            return Value::String(text.to_owned());
        };
        if let [Piece::Name(name)] = pieces.as_slice() {
            return match self.name(name) {
                None => Value::String(text.to_owned()),
                Some(Binding::Literal(value)) => value,
                Some(Binding::Name(name)) => Value::String(written(&name)),
                Some(Binding::Nothing) => Value::Null,
            };
        }
        let mut renamed = String::new();
        for piece in &pieces {
            match piece {
                Piece::Text(text) => renamed.push_str(text),
                Piece::Name(name) => match self.name(name) {
                    None => renamed.push_str(&written(name)),
                    Some(Binding::Literal(Value::String(text))) => renamed.push_str(&text),
                    Some(Binding::Literal(value)) => renamed.push_str(&value.to_string()),
                    Some(Binding::Name(name)) => renamed.push_str(&written(&name)),
                    Some(Binding::Nothing) => {}
                },
            }
        }
        Value::String(renamed)
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
                Some(Binding::Literal(value)) => constant(test.passes(Some(&value))),
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
