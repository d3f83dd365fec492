//! The fields of one mapping: taken one by one, and what is left over is unknown.

use common::StepId;

use super::not_a_mapping;
use crate::findings::{Findings, code, finding, quoted};
use crate::yaml::{At, Node, Position, Shape};

/// Reads a node into a value, or says what is expected instead (`a whole number`).
type Read<T> = fn(Node) -> Result<T, String>;

/// One mapping, and what is still to be taken from it.
pub(crate) struct Fields {
    what: &'static str,
    pub(crate) at: Position,
    entries: Vec<(At<String>, Node)>,
    /// The step that findings are about.
    pub(crate) step: Option<StepId>,
}

impl Fields {
    pub(crate) fn of(
        node: Node,
        what: &'static str,
        step: Option<StepId>,
        findings: &mut Findings,
    ) -> Option<Self> {
        match node.value {
            Shape::Map(entries) => Some(Self {
                what,
                at: node.at,
                entries,
                step,
            }),
            other => {
                findings.add(common::Finding {
                    step,
                    ..finding(
                        code::BAD_VALUE,
                        common::Severity::Error,
                        node.at,
                        not_a_mapping(what, &other),
                    )
                });
                None
            }
        }
    }

    /// Take a field out.
    pub(crate) fn take(&mut self, field: &str) -> Option<(At<String>, Node)> {
        let index = self.entries.iter().position(|(key, _)| key.value == field)?;
        Some(self.entries.remove(index))
    }

    /// A field that may be left out.
    pub(crate) fn optional<T>(&mut self, field: &str, read: Read<T>, findings: &mut Findings) -> Option<T> {
        let (_, node) = self.take(field)?;
        self.value(field, node, read, findings)
    }

    /// A field that must be there.
    pub(crate) fn required<T>(&mut self, field: &str, read: Read<T>, findings: &mut Findings) -> Option<T> {
        let Some((_, node)) = self.take(field) else {
            let message = format!("{} needs `{field}:`", self.what);
            self.wrong(code::MISSING_FIELD, self.at, message, findings);
            return None;
        };
        self.value(field, node, read, findings)
    }

    /// The value of a field that was taken.
    pub(crate) fn value<T>(
        &self,
        field: &str,
        node: Node,
        read: Read<T>,
        findings: &mut Findings,
    ) -> Option<T> {
        let at = node.at;
        read(node)
            .map_err(|expected| {
                let message = format!("{} must be {expected}", quoted(field));
                self.wrong(code::BAD_VALUE, at, message, findings);
            })
            .ok()
    }

    /// The entries of a field that is a mapping.
    pub(crate) fn mapping(
        &self,
        field: &str,
        node: Node,
        findings: &mut Findings,
    ) -> Option<Vec<(At<String>, Node)>> {
        match node.value {
            Shape::Map(entries) => Some(entries),
            other => {
                self.wrong(
                    code::BAD_VALUE,
                    node.at,
                    not_a_mapping(&quoted(field), &other),
                    findings,
                );
                None
            }
        }
    }

    /// Whether everything was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whatever was not taken is not known. `elsewhere` names who would know it.
    pub(crate) fn nothing_else(
        &self,
        known: &[&str],
        elsewhere: &[(&str, &[&str])],
        findings: &mut Findings,
    ) {
        for (key, _) in &self.entries {
            let field = key.value.as_str();
            let owner = elsewhere.iter().find(|(_, fields)| fields.contains(&field));
            let hint = match owner {
                Some((owner, _)) => format!("; it belongs to steps of type `{owner}`"),
                None => findings.did_you_mean(field, known.iter().copied()),
            };
            let message = format!("{} has no field {}{hint}", self.what, quoted(field));
            self.wrong(code::UNKNOWN_FIELD, key.at, message, findings);
        }
    }

    pub(crate) fn wrong(
        &self,
        code: &'static str,
        at: Position,
        message: impl Into<String>,
        findings: &mut Findings,
    ) {
        findings.add(common::Finding {
            step: self.step.clone(),
            ..finding(code, common::Severity::Error, at, message)
        });
    }
}
