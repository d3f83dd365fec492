//! What is to be seen of a playbook, before anybody says how: nodes, and the lines between them.

use common::{Outcome, StepId};
use indexmap::IndexMap;

use super::Taken;
use crate::diff::words::span;
use crate::playbook::{ActionStep, Join, Pause, Playbook, Step, StepKind};
use crate::registry::{ASK, Credential};

/// A playbook as nodes and lines.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) lines: Vec<Line>,
    /// Somebody's path is shown: what is not lit is dimmed.
    pub(crate) dims: bool,
}

/// What a node looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Look {
    Start,
    Verification,
    Privileged,
    Delivery,
    Action,
    Ask,
    Decision,
    Wait,
    /// A frame around its branches.
    Parallel,
    /// The bar in the frame that the branches leave from.
    Fork,
    Resolved,
    Escalation,
    /// Where a `denied` leads for which nobody wrote an edge, and one visit more than a step allows.
    Unwritten,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) look: Look,
    /// The step that it stands for; the start, a fork and an unwritten escalation stand for none.
    pub(crate) step: Option<StepId>,
    pub(crate) title: String,
    /// `service.action`, the reason, the condition to wait for.
    pub(crate) detail: Option<String>,
    pub(crate) planned: bool,
    /// Small print: what takes it back, how often it may be entered.
    pub(crate) notes: Vec<String>,
    /// What to tell who points at it.
    pub(crate) tip: String,
    /// The frame that it stands in, by index.
    pub(crate) frame: Option<usize>,
    pub(crate) lit: bool,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tone {
    /// Success, a case, a word.
    Plain,
    /// Failure and time-out only.
    Failure,
    /// A person said no.
    Denied,
}

/// One line; outcomes with the same ends share it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) label: String,
    pub(crate) tone: Tone,
    /// `success` is among them: the way that things should go.
    pub(crate) main: bool,
    pub(crate) lit: bool,
}

impl Picture {
    pub(crate) fn of(playbook: &Playbook, taken: Option<&Taken>) -> Self {
        let mut nodes = vec![start(playbook, taken)];
        let mut places: IndexMap<&StepId, usize> = IndexMap::new();
        for step in playbook.steps() {
            places.insert(&step.id, nodes.len());
            nodes.push(node(playbook, step, taken));
        }
        for step in playbook.steps() {
            let frame = step
                .within
                .as_ref()
                .and_then(|within| places.get(&within.parallel));
            if let Some(node) = places.get(&step.id).and_then(|place| nodes.get_mut(*place)) {
                node.frame = frame.copied();
            }
        }
        unframe(&mut nodes);
        let mut picture = Self {
            name: playbook.name().to_string(),
            version: playbook.version().to_string(),
            description: playbook.description.clone(),
            nodes,
            lines: Vec::new(),
            dims: taken.is_some(),
        };
        if let Some(to) = places.get(&playbook.start) {
            picture.lines.push(unnamed(
                0,
                *to,
                taken.is_some_and(|taken| taken.entered(&playbook.start)),
            ));
        }
        for step in playbook.steps() {
            picture.draw_edges(step, &places, taken);
        }
        for step in playbook.steps() {
            picture.draw_bound(playbook, step, &places, taken);
        }
        picture
    }

    fn draw_edges(&mut self, step: &Step, places: &IndexMap<&StepId, usize>, taken: Option<&Taken>) {
        let Some(&from) = places.get(&step.id) else { return };
        if let StepKind::Parallel(parallel) = &step.kind {
            let fork = self.add_fork(step, from, taken);
            for (branch, first) in &parallel.branches {
                if let Some(&to) = places.get(first) {
                    let lit = taken.is_some_and(|taken| taken.entered(first));
                    let label = branch.clone();
                    self.lines.push(Line {
                        label,
                        ..unnamed(fork, to, lit)
                    });
                }
            }
        }
        for (target, outcomes) in edges(step) {
            let to = match target {
                Some(target) => places.get(target).copied(),
                None => Some(self.add_unwritten(step, from, taken)),
            };
            let Some(to) = to else { continue };
            let words: Vec<&str> = outcomes.iter().map(Outcome::as_str).collect();
            self.lines.push(Line {
                from,
                to,
                label: words.join(", "),
                tone: tone(&outcomes),
                main: outcomes.contains(&Outcome::Success),
                lit: taken.is_some_and(|taken| taken.followed(&step.id, &outcomes)),
            });
        }
    }

    /// Entered once more than it may be, a step leads to a person.
    fn draw_bound(
        &mut self,
        playbook: &Playbook,
        step: &Step,
        places: &IndexMap<&StepId, usize>,
        taken: Option<&Taken>,
    ) {
        let (Some(&from), Some(most)) = (places.get(&step.id), step.max_visits) else {
            return;
        };
        let lit = taken.is_some_and(|taken| taken.ran_out(playbook, step));
        let frame = self.nodes.get(from).and_then(|node| node.frame);
        let tip = format!(
            "`{}` may be entered {most} times: once more, and the execution escalates by itself",
            step.id
        );
        let to = self.add(Look::Unwritten, "escalates", tip, frame, lit);
        self.lines.push(Line {
            from,
            to,
            label: format!("more than {most} visits"),
            tone: Tone::Failure,
            main: false,
            lit,
        });
    }

    fn add_fork(&mut self, step: &Step, frame: usize, taken: Option<&Taken>) -> usize {
        let lit = taken.is_some_and(|taken| taken.entered(&step.id));
        self.add(
            Look::Fork,
            "",
            format!("branches of {}", step.name),
            Some(frame),
            lit,
        )
    }

    fn add_unwritten(&mut self, step: &Step, beside: usize, taken: Option<&Taken>) -> usize {
        let lit = taken.is_some_and(|taken| taken.followed(&step.id, &[Outcome::Denied]));
        let frame = self.nodes.get(beside).and_then(|node| node.frame);
        let tip = "no edge is written for `denied`: the execution escalates by itself".to_owned();
        self.add(Look::Unwritten, "escalates", tip, frame, lit)
    }

    fn add(&mut self, look: Look, title: &str, tip: String, frame: Option<usize>, lit: bool) -> usize {
        self.nodes.push(Node {
            frame,
            ..bare(look, title.to_owned(), tip, lit)
        });
        self.nodes.len() - 1
    }

    /// Whether it is drawn in the background.
    pub(crate) const fn dimmed(&self, lit: bool) -> bool {
        self.dims && !lit
    }
}

/// The edges of a step by their target, with what follows from the ones that are written: a time-out falls back to
/// `failure`, and a `denied` that nobody wrote leads to a person (`None`).
fn edges(step: &Step) -> IndexMap<Option<&StepId>, Vec<Outcome>> {
    let mut merged: IndexMap<Option<&StepId>, Vec<Outcome>> = IndexMap::new();
    for (outcome, target) in &step.edges {
        let outcomes = merged.entry(Some(target)).or_default();
        outcomes.push(outcome.clone());
        let falls_back = step.action().is_some() && !step.edges.contains_key(&Outcome::Timeout);
        if *outcome == Outcome::Failure && falls_back {
            outcomes.push(Outcome::Timeout);
        }
    }
    let denies = |action: &ActionStep| action.action.outcomes.contains(&Outcome::Denied);
    if step.action().is_some_and(denies) && step.edge(&Outcome::Denied).is_none() {
        merged.insert(None, vec![Outcome::Denied]);
    }
    merged
}

/// Frames stand in frames only so deep; what claims to stand deeper, or in itself, is drawn outside.
const DEEPEST: usize = 16;

fn unframe(nodes: &mut [Node]) {
    let frames: Vec<Option<usize>> = nodes.iter().map(|node| node.frame).collect();
    let is_frame: Vec<bool> = nodes.iter().map(|node| node.look == Look::Parallel).collect();
    for node in nodes {
        let ends = std::iter::successors(node.frame, |frame| frames.get(*frame).copied().flatten())
            .take(DEEPEST)
            .count()
            < DEEPEST;
        node.frame = node
            .frame
            .filter(|frame| ends && is_frame.get(*frame) == Some(&true));
    }
}

fn tone(outcomes: &[Outcome]) -> Tone {
    if outcomes.contains(&Outcome::Denied) {
        Tone::Denied
    } else if outcomes
        .iter()
        .all(|outcome| matches!(outcome, Outcome::Failure | Outcome::Timeout))
    {
        Tone::Failure
    } else {
        Tone::Plain
    }
}

fn unnamed(from: usize, to: usize, lit: bool) -> Line {
    Line {
        from,
        to,
        label: String::new(),
        tone: Tone::Plain,
        main: true,
        lit,
    }
}

fn bare(look: Look, title: String, tip: String, lit: bool) -> Node {
    Node {
        look,
        step: None,
        title,
        detail: None,
        planned: false,
        notes: Vec::new(),
        tip,
        frame: None,
        lit,
    }
}

fn start(playbook: &Playbook, taken: Option<&Taken>) -> Node {
    let lit = taken.is_some_and(|taken| taken.entered(&playbook.start));
    bare(
        Look::Start,
        "Start".to_owned(),
        "executions begin here".to_owned(),
        lit,
    )
}

fn node(playbook: &Playbook, step: &Step, taken: Option<&Taken>) -> Node {
    let (look, detail) = match &step.kind {
        StepKind::Action(action) => (look(action), Some(action.name().to_string())),
        StepKind::Decision(_) => (Look::Decision, None),
        StepKind::Wait(Pause::For(time)) => (Look::Wait, Some(format!("waits {}", span(*time)))),
        StepKind::Wait(Pause::Until(when)) => (Look::Wait, Some(format!("waits until {}", plain(when)))),
        StepKind::Parallel(parallel) => (Look::Parallel, Some(join(parallel.join).to_owned())),
        StepKind::Terminal if step.within.is_some() => (Look::Resolved, Some("ends the branch".to_owned())),
        StepKind::Terminal => (Look::Resolved, Some("RESOLVED".to_owned())),
        StepKind::Escalation { reason } => (Look::Escalation, Some(reason.clone())),
    };
    let mut notes = Vec::new();
    if let Some((id, undo)) = undo(playbook, step) {
        let done = taken.is_some_and(|taken| taken.entered(id));
        notes.push(format!(
            "{}: {}",
            if done { "undone" } else { "undo" },
            undo.name()
        ));
    }
    if let Some(visits) = step.max_visits {
        notes.push(format!("at most {visits} times"));
    }
    Node {
        step: Some(step.id.clone()),
        detail,
        planned: step.action().is_some_and(|action| action.action.planned),
        notes,
        ..bare(
            look,
            step.name.clone(),
            tip(step),
            taken.is_some_and(|taken| taken.entered(&step.id)),
        )
    }
}

fn undo<'p>(playbook: &'p Playbook, step: &'p Step) -> Option<(&'p StepId, &'p ActionStep)> {
    let id = step.action()?.undo.as_ref()?;
    Some((id, playbook.step(id)?.action()?))
}

fn look(action: &ActionStep) -> Look {
    if action.action.privileged() {
        Look::Privileged
    } else if action.action.verifies() {
        Look::Verification
    } else if action.action.credential == Credential::Needs {
        Look::Delivery
    } else if action.name().as_str() == ASK {
        Look::Ask
    } else {
        Look::Action
    }
}

const fn join(join: Join) -> &'static str {
    match join {
        Join::All => "in parallel, until every branch has ended",
        Join::Any => "in parallel, until the first branch ends well",
    }
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn tip(step: &Step) -> String {
    let mut facts = vec![format!("{} ({})", step.name, step.id)];
    match &step.kind {
        StepKind::Action(action) => {
            facts.push(action.name().to_string());
            if let Some(needed) = action.action.requires {
                facts.push(format!("privileged, needs {needed} assurance"));
            }
            if let Some(granted) = action.action.grants {
                facts.push(format!("grants {granted} assurance"));
            }
            facts.push(format!("time-out {}", span(action.timeout)));
            if action.retry.max_attempts > 1 {
                facts.push(format!("{} attempts", action.retry.max_attempts));
            }
        }
        StepKind::Decision(cases) => {
            facts.extend(cases.iter().map(|case| format!("{}: {}", case.name, case.when)));
        }
        StepKind::Escalation { reason } => facts.push(reason.clone()),
        StepKind::Wait(_) | StepKind::Parallel(_) | StepKind::Terminal => {}
    }
    facts.join("; ")
}
