//! From documents to one list of steps: called playbooks are put in where they are called, `depends_on` becomes edges.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use common::{Outcome, PlaybookRef, StepId};
use serde_json::Value;

use super::library::{Called, Shelf};
use super::scope::{Binding, Scope};
use crate::document::{CallDocument, Document, KindDocument, Place, StepDocument};
use crate::findings::{Findings, about, code, quoted};
use crate::read::MOST_STEPS;
use crate::roots::Name;
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
        let order = dependencies(document, frame, findings);
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

/// The step that a document begins with: its first that depends on nothing.
fn first(document: &Document) -> Option<&StepDocument> {
    document
        .steps
        .iter()
        .find(|step| step.within.is_none() && step.depends_on.is_empty())
        .or_else(|| document.steps.first())
}

/// `depends_on` as edges: steps that hang together by it are put in one order, each before those that depend on it, and
/// success leads from one to the next. Answers the edge of each step that has one from this.
fn dependencies<'d>(
    document: &'d Document,
    frame: &Frame,
    findings: &mut Findings,
) -> HashMap<StepId, (&'d StepId, Position)> {
    let mut edges = HashMap::new();
    if document.steps.iter().all(|step| step.depends_on.is_empty()) {
        return edges;
    }
    let by_id: HashMap<&StepId, &StepDocument> =
        document.steps.iter().map(|step| (&step.id.value, step)).collect();
    let mut said = |step: &StepDocument, at: Position, message: String| {
        let (id, at) = match &frame.caller {
            Some((caller, at)) => (caller, *at),
            None => (&step.id.value, at),
        };
        findings.add(about(id, code::BAD_DEPENDENCY, at, message));
    };
    let mut sound = true;
    for step in &document.steps {
        for wanted in &step.depends_on {
            let complaint = match by_id.get(&wanted.value) {
                None => Some(format!("no step has the id {}", quoted(wanted.value.as_str()))),
                Some(other) if other.within != step.within => Some(format!(
                    "`{}` stands in another branch; a step may depend on steps of its own branch",
                    wanted.value
                )),
                Some(other) if other.ends() => Some(format!(
                    "`{}` ends the playbook, so nothing comes after it",
                    wanted.value
                )),
                Some(other) if matches!(other.kind, KindDocument::Decision(_)) => Some(format!(
                    "`{}` decides where to go on by its cases; lead to this step from there",
                    wanted.value
                )),
                Some(_) => None,
            };
            if let Some(complaint) = complaint {
                said(step, wanted.at, complaint);
                sound = false;
            }
        }
    }
    if !sound {
        return edges;
    }
    for (before, after, at) in chained(document, &mut said) {
        if before.ends() || matches!(before.kind, KindDocument::Decision(_)) {
            let message = format!(
                "`{}` would come next after `{}`, which leads nowhere by itself; say what comes after what by edges",
                after.id.value, before.id.value
            );
            said(after, at, message);
            continue;
        }
        match before.target(&Outcome::Success) {
            Some(written) if written.value == after.id.value => {}
            Some(written) => {
                let message = format!(
                    "`{}` comes next by `depends_on`, and `on_success` leads to `{}`; write one of the two",
                    after.id.value, written.value
                );
                said(before, written.at, message);
            }
            None => {
                edges.insert(before.id.value.clone(), (&after.id.value, at));
            }
        }
    }
    edges
}

/// The steps that hang together by `depends_on`, in order, as pairs of one and the next.
fn chained<'d>(
    document: &'d Document,
    said: &mut impl FnMut(&StepDocument, Position, String),
) -> Vec<(&'d StepDocument, &'d StepDocument, Position)> {
    let needed: HashSet<&StepId> = document
        .steps
        .iter()
        .flat_map(|step| step.depends_on.iter().map(|wanted| &wanted.value))
        .collect();
    let hangs = |step: &&StepDocument| !step.depends_on.is_empty() || needed.contains(&step.id.value);
    let steps: Vec<&StepDocument> = document.steps.iter().filter(hangs).collect();
    // How many it still waits for, and who waits for it.
    let mut open: Vec<usize> = Vec::with_capacity(steps.len());
    let mut waiting: HashMap<&StepId, Vec<usize>> = HashMap::new();
    // An ending goes last; otherwise the first step of the document whose dependencies are done.
    let mut ready: BTreeSet<(bool, usize)> = BTreeSet::new();
    for (place, step) in steps.iter().enumerate() {
        let wanted: HashSet<&StepId> = step.depends_on.iter().map(|wanted| &wanted.value).collect();
        open.push(wanted.len());
        if wanted.is_empty() {
            ready.insert((step.ends(), place));
        }
        for wanted in wanted {
            waiting.entry(wanted).or_default().push(place);
        }
    }
    let mut order: Vec<&StepDocument> = Vec::with_capacity(steps.len());
    while let Some((_, place)) = ready.pop_first() {
        let Some(step) = steps.get(place).copied() else {
            continue;
        };
        order.push(step);
        for after in waiting.remove(&step.id.value).unwrap_or_default() {
            if let (Some(open), Some(step)) = (open.get_mut(after), steps.get(after)) {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    ready.insert((step.ends(), after));
                }
            }
        }
    }
    if order.len() < steps.len() {
        let circle: Vec<&&StepDocument> = steps
            .iter()
            .zip(&open)
            .filter(|(_, open)| **open > 0)
            .map(|(step, _)| step)
            .collect();
        if let Some(step) = circle.first() {
            let ids: Vec<&str> = circle.iter().map(|step| step.id.value.as_str()).take(8).collect();
            let at = step.depends_on.first().map_or(step.id.at, |wanted| wanted.at);
            let message = format!(
                "`{}` depend on one another in a circle; take one `depends_on` out",
                ids.join("`, `")
            );
            said(step, at, message);
        }
        return Vec::new();
    }
    // One chain for the playbook and one for each branch.
    let mut last: HashMap<Option<(&StepId, &str)>, &StepDocument> = HashMap::new();
    let mut pairs = Vec::new();
    for step in order {
        let branch = step
            .within
            .as_ref()
            .map(|place| (&place.parallel, place.branch.as_str()));
        if let Some(before) = last.insert(branch, step) {
            let at = step.depends_on.first().map_or(step.id.at, |wanted| wanted.at);
            pairs.push((before, step, at));
        }
    }
    pairs
}

/// The names that the templates of a value use; what is no template is a finding elsewhere.
pub(super) fn names_in(value: &Value) -> Vec<Name> {
    match value {
        Value::String(text) if is_template(text) => pieces(text)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Name(name) => Some(name),
                Piece::Text(_) => None,
            })
            .collect(),
        Value::Object(fields) => fields.values().flat_map(names_in).collect(),
        Value::Array(items) => items.iter().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}
