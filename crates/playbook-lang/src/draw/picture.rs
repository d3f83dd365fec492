//! What is to be drawn: boxes with their looks, arrows with their labels. Nothing of where it stands.

use std::collections::HashMap;

use common::{Outcome, StepId};

use super::Taken;
use crate::playbook::{ActionStep, Join, OTHERWISE, Parallel, Pause, Playbook, Step, StepKind};
use crate::registry::{ASK, Credential};

/// A kind of box. Each has a shape and a colour of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Look {
    Start,
    Verification,
    Privileged,
    Delivery,
    Action,
    Ask,
    Decision,
    Wait,
    Parallel,
    Resolved,
    Escalation,
}

impl Look {
    /// In the legend.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Verification => "proves who is asking",
            Self::Privileged => "acts with privilege",
            Self::Delivery => "delivers a credential",
            Self::Action => "harmless action",
            Self::Ask => "asks the requester",
            Self::Decision => "decision",
            Self::Wait => "wait",
            Self::Parallel => "branches at once",
            Self::Resolved => "ends well",
            Self::Escalation => "ends with a person",
        }
    }
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Box {
    pub(super) id: String,
    pub(super) look: Look,
    pub(super) title: String,
    /// Below the title, one each.
    pub(super) lines: Vec<String>,
    /// It lies on the way that was taken.
    pub(super) taken: bool,
    /// The branch that it stands in.
    pub(super) branch: Option<String>,
}

/// How an arrow looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// It went as hoped, or one of several ways was chosen.
    Good,
    /// It did not.
    Bad,
    /// Somebody said no.
    Denied,
}

/// One arrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) labels: Vec<String>,
    pub(super) tone: Tone,
    pub(super) taken: bool,
}

/// Everything to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) boxes: Vec<Box>,
    pub(super) arrows: Vec<Arrow>,
    /// A way is highlighted; what was not taken is pale.
    pub(super) highlights: bool,
}

impl Picture {
    pub(super) fn of(playbook: &Playbook, taken: Option<&Taken>) -> Self {
        let mut picture = Self {
            title: format!("{} {}", playbook.name(), playbook.version()),
            description: playbook.description().to_owned(),
            boxes: vec![start()],
            arrows: Vec::new(),
            highlights: taken.is_some(),
        };
        let places: HashMap<&StepId, usize> = playbook
            .steps()
            .enumerate()
            .map(|(index, step)| (&step.id, index.saturating_add(1)))
            .collect();
        for step in playbook.steps() {
            let walked = taken.is_some_and(|taken| taken.steps.contains(&step.id));
            picture.boxes.push(boxed(playbook, step, walked));
        }
        if let Some(first) = playbook.start().and_then(|step| places.get(&step.id)) {
            picture.arrow(0, *first, None, Tone::Good, taken.is_some());
        }
        for step in playbook.steps() {
            let Some(from) = places.get(&step.id).copied() else {
                continue;
            };
            picture.leave(step, from, &places, taken);
        }
        picture
    }

    /// Every arrow of a step.
    fn leave(&mut self, step: &Step, from: usize, places: &HashMap<&StepId, usize>, taken: Option<&Taken>) {
        let walked = |outcome: &Outcome| {
            taken.is_some_and(|taken| {
                taken
                    .edges
                    .iter()
                    .any(|(known, ended)| *known == step.id && ended == outcome)
            })
        };
        if let StepKind::Parallel(Parallel { branches, .. }) = &step.kind {
            for (name, first) in branches {
                if let Some(to) = places.get(first).copied() {
                    let walked = taken.is_some_and(|taken| taken.steps.contains(first));
                    self.arrow(from, to, Some(name.clone()), Tone::Good, walked);
                }
            }
        }
        let timeout = (step.action().is_some() && !step.edges.contains_key(&Outcome::Timeout))
            .then(|| step.edges.get(&Outcome::Failure).map(|to| (Outcome::Timeout, to)))
            .flatten();
        let written = step.edges.iter().map(|(outcome, to)| (outcome.clone(), to));
        for (outcome, to) in written.chain(timeout) {
            if let Some(to) = places.get(to).copied() {
                self.arrow(
                    from,
                    to,
                    Some(label(&outcome)),
                    tone(step, &outcome),
                    walked(&outcome),
                );
            }
        }
        let silent = step
            .action()
            .is_some_and(|action| action.action.outcomes.contains(&Outcome::Denied))
            && !step.edges.contains_key(&Outcome::Denied);
        if silent {
            let to = self.by_itself();
            self.arrow(
                from,
                to,
                Some("denied".to_owned()),
                Tone::Denied,
                walked(&Outcome::Denied),
            );
        }
    }

    /// The person that a missing `on_denied` leads to: one box for all.
    fn by_itself(&mut self) -> usize {
        const ID: &str = "(escalates)";
        if let Some(known) = self.boxes.iter().position(|known| known.id == ID) {
            return known;
        }
        self.boxes.push(Box {
            id: ID.to_owned(),
            look: Look::Escalation,
            title: "Escalates by itself".to_owned(),
            lines: Vec::new(),
            taken: false,
            branch: None,
        });
        self.boxes.len().saturating_sub(1)
    }

    /// An arrow; one to the same place of the same tone takes the label along.
    fn arrow(&mut self, from: usize, to: usize, label: Option<String>, tone: Tone, taken: bool) {
        let known = self
            .arrows
            .iter_mut()
            .rev()
            .take_while(|arrow| arrow.from == from)
            .find(|arrow| arrow.to == to && arrow.tone == tone);
        match known {
            Some(arrow) => {
                arrow.labels.extend(label);
                arrow.taken |= taken;
            }
            None => self.arrows.push(Arrow {
                from,
                to,
                labels: label.into_iter().collect(),
                tone,
                taken,
            }),
        }
    }
}

fn start() -> Box {
    Box {
        id: "(start)".to_owned(),
        look: Look::Start,
        title: "Start".to_owned(),
        lines: Vec::new(),
        taken: true,
        branch: None,
    }
}

fn label(outcome: &Outcome) -> String {
    outcome.as_str().to_owned()
}

fn tone(step: &Step, outcome: &Outcome) -> Tone {
    match outcome {
        Outcome::Denied => Tone::Denied,
        Outcome::Failure | Outcome::Timeout => Tone::Bad,
        Outcome::Word(word) if word == OTHERWISE && matches!(step.kind, StepKind::Decision(_)) => Tone::Bad,
        Outcome::Success | Outcome::Word(_) => Tone::Good,
    }
}

fn boxed(playbook: &Playbook, step: &Step, taken: bool) -> Box {
    let (look, mut lines) = match &step.kind {
        StepKind::Action(action) => (look(action), action_lines(playbook, action)),
        StepKind::Decision(_) => (Look::Decision, Vec::new()),
        StepKind::Wait(Pause::For(period)) => (Look::Wait, vec![format!("for {} s", period.as_secs())]),
        StepKind::Wait(Pause::Until(value)) => (
            Look::Wait,
            vec![format!("until {}", value.as_str().unwrap_or_default())],
        ),
        StepKind::Parallel(parallel) => (
            Look::Parallel,
            vec![
                match parallel.join {
                    Join::All => "waits for all",
                    Join::Any => "the first that ends well counts",
                }
                .to_owned(),
            ],
        ),
        StepKind::Terminal if step.within.is_some() => (Look::Resolved, vec!["branch done".to_owned()]),
        StepKind::Escalation { .. } if step.within.is_some() => {
            (Look::Escalation, vec!["branch failed".to_owned()])
        }
        StepKind::Terminal => (Look::Resolved, vec!["RESOLVED".to_owned()]),
        StepKind::Escalation { .. } => (Look::Escalation, Vec::new()),
    };
    if let Some(most) = step.max_visits {
        lines.push(format!("at most {most} times"));
    }
    Box {
        id: step.id.to_string(),
        look,
        title: step.name.clone(),
        lines,
        taken,
        branch: step.within.as_ref().map(|within| within.branch.clone()),
    }
}

fn look(action: &ActionStep) -> Look {
    let offered = &action.action;
    if offered.privileged() {
        Look::Privileged
    } else if offered.verifies() {
        Look::Verification
    } else if offered.credential == Credential::Needs {
        Look::Delivery
    } else if offered.name.as_str() == ASK {
        Look::Ask
    } else {
        Look::Action
    }
}

fn action_lines(playbook: &Playbook, action: &ActionStep) -> Vec<String> {
    let planned = if action.action.planned { " (planned)" } else { "" };
    let mut lines = vec![format!("{}{planned}", action.name())];
    if action.action.privileged() {
        lines.push("privileged".to_owned());
    }
    let undo = action
        .undo
        .as_ref()
        .and_then(|undo| playbook.step(undo)?.action().map(ActionStep::name));
    lines.extend(undo.map(|undo| format!("undo: {undo}")));
    lines
}
