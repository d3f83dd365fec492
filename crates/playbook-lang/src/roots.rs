//! The fixed roots that templates and conditions may name, with the type and the trust of each value.

use common::{StepId, TicketSnapshot};
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::trust::Trust;

/// The roots themselves, for messages.
pub(crate) const ROOTS: &[&str] = &["ticket", "requester", "manager", "inputs", "steps", "tenant"];

/// Every name under the roots that have fixed names.
pub(crate) const NAMES: &[(&str, Kind, Trust)] = &[
    ("ticket.id", Kind::Text, Trust::Untrusted),
    ("ticket.summary", Kind::Text, Trust::Untrusted),
    ("ticket.details", Kind::Text, Trust::Untrusted),
    ("ticket.client_name", Kind::Text, Trust::Untrusted),
    ("ticket.category", Kind::Text, Trust::Untrusted),
    ("ticket.team", Kind::Text, Trust::Untrusted),
    ("ticket.source", Kind::WHOLE, Trust::Untrusted),
    ("ticket.status", Kind::WHOLE, Trust::Untrusted),
    ("ticket.type", Kind::WHOLE, Trust::Untrusted),
    ("requester.id", Kind::Text, Trust::Directory),
    ("requester.name", Kind::Text, Trust::Directory),
    ("requester.mail", Kind::Text, Trust::Directory),
    ("manager.id", Kind::Text, Trust::Directory),
    ("manager.name", Kind::Text, Trust::Directory),
    ("tenant.id", Kind::Text, Trust::Directory),
];

/// A name under a root, as written: `ticket.summary`, `inputs.application`, `steps.ask.output.answer`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// Under `ticket`, `requester`, `manager` or `tenant`: one of the fixed names.
    Fixed(&'static str),
    /// Under `inputs`.
    Input(String),
    /// Under `steps`.
    Output {
        /// Whose.
        step: StepId,
        /// Which.
        output: String,
    },
}

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoName {
    /// Its first word is no root.
    Root,
    /// The root is there, the name is not.
    Unknown,
    /// `steps` wants `steps.<id>.output.<name>`.
    Steps,
}

impl Name {
    pub(crate) fn read(text: &str) -> Result<Self, NoName> {
        if let Some((fixed, ..)) = NAMES.iter().find(|(name, ..)| *name == text) {
            return Ok(Self::Fixed(fixed));
        }
        let (root, rest) = text.split_once('.').unwrap_or((text, ""));
        match root {
            "inputs" if !rest.is_empty() && !rest.contains('.') => Ok(Self::Input(rest.to_owned())),
            "steps" => {
                // The id of a called playbook's step has dots of its own.
                let (step, output) = rest.rsplit_once(".output.").ok_or(NoName::Steps)?;
                let step = step.parse().map_err(|_| NoName::Steps)?;
                if output.is_empty() || output.contains('.') {
                    return Err(NoName::Steps);
                }
                Ok(Self::Output {
                    step,
                    output: output.to_owned(),
                })
            }
            root if ROOTS.contains(&root) => Err(NoName::Unknown),
            _ => Err(NoName::Root),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(name) => f.write_str(name),
            Self::Input(name) => write!(f, "inputs.{name}"),
            Self::Output { step, output } => write!(f, "steps.{step}.output.{output}"),
        }
    }
}

/// What is known when an execution begins, and does not change while it runs. Outputs of steps are part of the state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    values: Map<String, Value>,
}

impl Facts {
    /// The facts about a ticket.
    pub fn about(ticket: &TicketSnapshot) -> Self {
        let TicketSnapshot {
            summary,
            client_name,
            details,
            category,
            team,
            source,
            status,
            ticket_type,
        } = ticket;
        Self::default()
            .with("ticket.summary", json!(summary))
            .with("ticket.client_name", json!(client_name))
            .with("ticket.details", json!(details))
            .with("ticket.category", json!(category))
            .with("ticket.team", json!(team))
            .with("ticket.source", json!(source))
            .with("ticket.status", json!(status))
            .with("ticket.type", json!(ticket_type))
    }

    /// Lay down one fact, by its whole name (`requester.name`, `inputs.application`). `null` is no fact.
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        let name = name.into();
        if value.is_null() {
            self.values.remove(&name);
        } else {
            self.values.insert(name, value);
        }
    }

    /// As [`Self::set`], for building.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: Value) -> Self {
        self.set(name, value);
        self
    }

    /// The fact of this name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Every fact, by its whole name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The facts under a root, by the name that they have there.
    pub(crate) fn under<'f>(&'f self, root: &str) -> impl Iterator<Item = (&'f str, &'f Value)> {
        self.values.iter().filter_map(move |(name, value)| {
            let (of, name) = name.split_once('.')?;
            (of == root).then_some((name, value))
        })
    }

    /// The fact that `name` means; outputs are not among them.
    pub(crate) fn named(&self, name: &Name) -> Option<&Value> {
        match name {
            Name::Fixed(name) => self.values.get(*name),
            Name::Input(input) => self.values.get(&format!("inputs.{input}")),
            Name::Output { .. } => None,
        }
    }
}
