//! `depends_on`: another way to write order, made edges.

use std::collections::{BTreeSet, HashMap, HashSet};

use common::{Outcome, StepId};

use crate::document::{Document, KindDocument, StepDocument};
use crate::findings::{Findings, about, code, quoted};
use crate::yaml::Position;

/// The step that a document begins with: its first that depends on nothing.
pub(super) fn first(document: &Document) -> Option<&StepDocument> {
    document
        .steps
        .iter()
        .find(|step| step.within.is_none() && step.depends_on.is_empty())
        .or_else(|| document.steps.first())
}

/// `depends_on` as edges: steps that hang together by it are put in one order, each before those that depend on it, and
/// success leads from one to the next. Answers the edge of each step that has one from this. Of a called playbook, findings
/// name the step that calls.
pub(super) fn dependencies<'d>(
    document: &'d Document,
    caller: Option<&(StepId, Position)>,
    findings: &mut Findings,
) -> HashMap<StepId, (&'d StepId, Position)> {
    let mut edges = HashMap::new();
    if document.steps.iter().all(|step| step.depends_on.is_empty()) {
        return edges;
    }
    let by_id: HashMap<&StepId, &StepDocument> =
        document.steps.iter().map(|step| (&step.id.value, step)).collect();
    let mut said = |step: &StepDocument, at: Position, message: String| {
        let (id, at) = match caller {
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
