//! From documents to one list of steps: called playbooks are put in where they are called.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use common::{Outcome, PlaybookRef, StepId};
use serde_json::Value;

use super::library::{Called, Shelf};
use super::order::{dependencies, first};
use super::scope::{Binding, Scope};
use crate::document::{CallDocument, Document, KindDocument, Place, StepDocument};
use crate::findings::{Findings, about, code, quoted};
use crate::read::MOST_STEPS;
use crate::template::{Piece, is_template, pieces};
use crate::yaml::{MAX_BYTES, Position};

/// Playbooks that call playbooks that call playbooks: deeper than this nobody can oversee.
const DEEPEST: usize = 8;
/// With `.undo` behind it, a longer id would be no id any more.
const LONGEST_ID: usize = 250;

/// One step of the whole.
#[derive(Debug)]
pub(super) struct Expanded<'d> {
    /// Unique in the whole.
    pub(super) id: Cow<'d, StepId>,
    pub(super) written: &'d StepDocument,
    /// The step of the checked document that stands for it: itself, or the one that calls.
    pub(super) about: Cow<'d, StepId>,
    /// Where that one stands; `None` for a step of the document itself, which has places of its own.
    pub(super) at: Option<Position>,
    /// By outcome, with the place of the edge.
    pub(super) edges: Vec<(Cow<'d, Outcome>, Cow<'d, StepId>, Position)>,
    pub(super) within: Option<Place>,
    /// Which scope's names it uses.
    pub(super) scope: usize,
}

/// All steps of a document and of what it calls.
#[derive(Debug, Default)]
pub(super) struct Whole<'d> {
    pub(super) steps: Vec<Expanded<'d>>,
    pub(super) scopes: Vec<Scope>,
    /// Ids that stand for another step: a call for the first step of what it calls, an ending of what is called for
    /// where the call leads.
    pub(super) aliases: HashMap<StepId, StepId>,
    pub(super) calls: Vec<PlaybookRef>,
    /// Calls that could not be put in, which is a finding already.
    pub(super) unread: HashSet<StepId>,
    pub(super) start: Option<StepId>,
    /// The steps that call, in the order of the document.
    pub(super) called: Vec<StepId>,
    /// Steps seen so far, also those that leave nothing behind: calls that call calls cost time without them.
    seen: usize,
    /// Bytes of the documents put in so far.
    read: usize,
}

impl<'d> Whole<'d> {
    pub(super) fn of(document: &'d Document, shelf: &'d Shelf, findings: &mut Findings) -> Self {
        let mut whole = Self::default();
        let mut path = Vec::new();
        if let (Some(name), Some(version)) = (&document.name, &document.version) {
            path.push((name.value.as_str().to_owned(), version.as_str().to_owned()));
        }
        whole.scopes.push(Scope::default());
        whole.start = first(document).map(|step| step.id.value.clone());
        let frame = Frame {
            scope: 0,
            caller: None,
            within: None,
            success: None,
            failure: None,
        };
        whole.add(document, &frame, shelf, &mut path, findings);
        whole
    }

    fn add(
        &mut self,
        document: &'d Document,
        frame: &Frame,
        shelf: &'d Shelf,
        path: &mut Vec<(String, String)>,
        findings: &mut Findings,
    ) {
        let order = dependencies(document, frame.caller.as_ref(), findings);
        self.seen = self.seen.saturating_add(document.steps.len());
        for written in &document.steps {
            let Some(scope) = self.scopes.get(frame.scope) else {
                return;
            };
            let id = scope.id(&written.id.value);
            let mut edges: Vec<(Cow<'d, Outcome>, Cow<'d, StepId>, Position)> = written
                .edges
                .iter()
                .map(|edge| {
                    (
                        Cow::Borrowed(&edge.outcome),
                        scope.id(&edge.target.value),
                        edge.target.at,
                    )
                })
                .collect();
            if let Some((next, at)) = order.get(&written.id.value) {
                edges.push((Cow::Owned(Outcome::Success), scope.id(next), *at));
            }
            let within = match &written.within {
                Some(place) => Some(Place {
                    parallel: scope.id(&place.parallel).into_owned(),
                    branch: place.branch.clone(),
                }),
                None => frame.within.clone(),
            };
            let step = Expanded {
                about: match &frame.caller {
                    None => Cow::Borrowed(&written.id.value),
                    Some((caller, _)) => Cow::Owned(caller.clone()),
                },
                at: frame.caller.as_ref().map(|(_, at)| *at),
                id,
                written,
                edges,
                within,
                scope: frame.scope,
            };
            match &written.kind {
                KindDocument::Call(call) => {
                    let id = step.id.clone().into_owned();
                    self.called.push(id.clone());
                    self.call(&step, call, shelf, path, findings);
                    if !self.aliases.contains_key(&id) {
                        self.unread.insert(id);
                    }
                }
                _ if self.ends_the_call(&step, frame) => {}
                _ => self.steps.push(step),
            }
        }
    }

    /// An ending of a called playbook is no ending of the whole where the call leads on.
    fn ends_the_call(&mut self, step: &Expanded<'d>, frame: &Frame) -> bool {
        let target = match step.written.kind {
            _ if step.written.within.is_some() => None,
            KindDocument::Terminal => frame.success.clone(),
            KindDocument::Escalation { .. } => frame.failure.clone(),
            _ => None,
        };
        let Some(target) = target else {
            return false;
        };
        self.aliases.insert(step.id.clone().into_owned(), target);
        true
    }

    #[expect(
        clippy::too_many_lines,
        reason = "every way to refuse a call, in the order of asking"
    )]
    fn call(
        &mut self,
        step: &Expanded<'d>,
        call: &'d CallDocument,
        shelf: &'d Shelf,
        path: &mut Vec<(String, String)>,
        findings: &mut Findings,
    ) {
        let (Some(name), Some(version)) = (&call.playbook, &call.version) else {
            return;
        };
        let at = step.at.unwrap_or(name.at);
        let said = |code, message: String| about(&step.about, code, at, message);
        let key = (name.value.as_str().to_owned(), version.as_str().to_owned());
        if path.contains(&key) || path.len() > DEEPEST {
            let names: Vec<&str> = path
                .iter()
                .map(|(name, _)| name.as_str())
                .chain([name.value.as_str()])
                .collect();
            let what = if path.contains(&key) {
                "calls itself"
            } else {
                "calls too deep"
            };
            let message = format!(
                "the playbook {what}: {}; take one of these calls out",
                names.join(" -> ")
            );
            findings.add(said(code::CYCLIC_CALL, message));
            return;
        }
        let (called, reference, size) = match shelf.called(&key) {
            Called::Readable {
                document,
                reference,
                size_bytes,
            } => (document, reference, size_bytes),
            Called::Broken => {
                let message = format!(
                    "version `{version}` of {} cannot be read; check it by itself first",
                    quoted(name.value.as_str())
                );
                findings.add(said(code::BAD_CALL, message));
                return;
            }
            Called::Missing => {
                let message = format!(
                    "there is no version `{version}` of a playbook {}; publish it first, or put its file beside this one",
                    quoted(name.value.as_str())
                );
                findings.add(said(code::UNKNOWN_PLAYBOOK, message));
                return;
            }
        };
        if self.seen.saturating_add(called.steps.len()) > MOST_STEPS {
            let message =
                format!("with all that is called, a playbook has at most {MOST_STEPS} steps; split it");
            findings.add(said(code::BAD_CALL, message));
            return;
        }
        self.read = self.read.saturating_add(size);
        if self.read > MAX_BYTES {
            let message =
                format!("all that is called has at most {MAX_BYTES} bytes, counted once a call; split it");
            findings.add(said(code::BAD_CALL, message));
            return;
        }
        let longest = called.steps.iter().map(|step| step.id.value.as_str().len()).max();
        if step.id.as_str().len().saturating_add(longest.unwrap_or_default()) >= LONGEST_ID {
            let message = format!(
                "the steps of the called playbook would have ids such as `{}.<id>`, which are too long; shorten the ids along the way",
                step.id
            );
            findings.add(said(code::BAD_CALL, message));
            return;
        }
        let inputs = self.bindings(step, call, called, findings);
        let Some(first) = first(called) else {
            return;
        };
        let scope = Scope {
            caller: Some(step.id.clone().into_owned()),
            inputs,
        };
        self.aliases.insert(
            step.id.clone().into_owned(),
            scope.id(&first.id.value).into_owned(),
        );
        if !self.calls.contains(reference) {
            self.calls.push(reference.clone());
        }
        self.scopes.push(scope);
        let frame = Frame {
            scope: self.scopes.len().saturating_sub(1),
            caller: Some((
                step.about.clone().into_owned(),
                step.at.unwrap_or(step.written.id.at),
            )),
            within: step.within.clone(),
            success: step.target(&Outcome::Success),
            failure: step.target(&Outcome::Failure),
        };
        path.push(key);
        self.add(called, &frame, shelf, path, findings);
        path.pop();
    }

    /// What the caller passes for the inputs of what it calls.
    fn bindings(
        &self,
        step: &Expanded<'d>,
        call: &CallDocument,
        called: &Document,
        findings: &mut Findings,
    ) -> HashMap<String, Binding> {
        let Some(scope) = self.scopes.get(step.scope) else {
            return HashMap::new();
        };
        for written in &call.parameters {
            if !called.inputs.contains_key(&written.name.value) {
                let near =
                    findings.did_you_mean(&written.name.value, called.inputs.keys().map(String::as_str));
                let message = format!(
                    "the called playbook has no input {}{near}",
                    quoted(&written.name.value)
                );
                let at = step.at.unwrap_or(written.name.at);
                findings.add(about(&step.about, code::UNKNOWN_PARAMETER, at, message));
            }
        }
        let places: HashMap<&str, Position> = call
            .parameters
            .iter()
            .map(|written| (written.name.value.as_str(), written.at))
            .collect();
        let mut bindings = HashMap::new();
        for (name, input) in &called.inputs {
            let at = places.get(name.as_str()).copied().unwrap_or(step.written.id.at);
            let passed = call.values.get(name).and_then(|value| scope.value(value));
            let binding = match passed.or_else(|| input.default.clone()) {
                None | Some(Value::Null) if input.required() => {
                    let message = format!("the called playbook needs its input `{name}` ({})", input.kind);
                    findings.add(about(
                        &step.about,
                        code::MISSING_PARAMETER,
                        step.at.unwrap_or(at),
                        message,
                    ));
                    Binding::Nothing
                }
                None | Some(Value::Null) => Binding::Nothing,
                Some(Value::String(text)) if is_template(&text) => {
                    if let Ok([Piece::Name(name)]) = pieces(&text).as_deref() {
                        Binding::Name(name.clone())
                    } else {
                        let message = format!(
                            "the input `{name}` takes a value, or one template such as `{{{{ ticket.summary }}}}`"
                        );
                        findings.add(about(
                            &step.about,
                            code::BAD_TEMPLATE,
                            step.at.unwrap_or(at),
                            message,
                        ));
                        Binding::Nothing
                    }
                }
                Some(value) if !input.kind.admits(&value) => {
                    let message = format!("the input `{name}` must be {}", input.kind);
                    findings.add(about(
                        &step.about,
                        code::BAD_VALUE,
                        step.at.unwrap_or(at),
                        message,
                    ));
                    Binding::Nothing
                }
                Some(value) => Binding::literal(value),
            };
            bindings.insert(name.clone(), binding);
        }
        bindings
    }

    /// The step that an id leads to in the end. `None` where aliases lead in a circle.
    pub(super) fn resolve<'s>(&'s self, id: &'s StepId) -> Option<&'s StepId> {
        let mut here = id;
        for _ in 0..=self.aliases.len() {
            match self.aliases.get(here) {
                None => return Some(here),
                Some(next) => here = next,
            }
        }
        None
    }
}

/// Which document is being put in, and for whom.
struct Frame {
    scope: usize,
    caller: Option<(StepId, Position)>,
    within: Option<Place>,
    /// Where the call leads when what it calls ends well, and when it ends with a person.
    success: Option<StepId>,
    failure: Option<StepId>,
}

impl Expanded<'_> {
    fn target(&self, outcome: &Outcome) -> Option<StepId> {
        self.edges
            .iter()
            .find(|(written, ..)| **written == *outcome)
            .map(|(_, target, _)| target.clone().into_owned())
    }
}
