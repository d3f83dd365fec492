//! A playbook as a picture: Mermaid for wikis, SVG for everything else, made here without a browser or a foreign binary.
//!
//! What people must tell apart at a glance differs in shape and in colour: who is proven (verification), what acts
//! (privileged), and where a person takes over (escalation).

mod layout;
mod mermaid;
mod picture;
mod svg;

use common::{Outcome, StepId};

use crate::playbook::Playbook;

/// The way that an execution took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// Every step that was entered.
    pub steps: Vec<StepId>,
    /// Every edge that was followed.
    pub edges: Vec<(StepId, Outcome)>,
}

impl Taken {
    /// From the steps of an execution and how they ended; one that is under way has no outcome yet.
    pub fn of(steps: impl IntoIterator<Item = (StepId, Option<Outcome>)>) -> Self {
        let mut taken = Self::default();
        for (step, outcome) in steps {
            if let Some(outcome) = outcome {
                taken.edges.push((step.clone(), outcome));
            }
            if !taken.steps.contains(&step) {
                taken.steps.push(step);
            }
        }
        taken
    }
}

/// The playbook as a Mermaid flowchart.
pub fn mermaid(playbook: &Playbook, taken: Option<&Taken>) -> String {
    mermaid::written(&picture::Picture::of(playbook, taken))
}

/// The playbook as a complete SVG document.
pub fn svg(playbook: &Playbook, taken: Option<&Taken>) -> String {
    let picture = picture::Picture::of(playbook, taken);
    let layout = layout::Layout::of(&picture);
    svg::written(&picture, &layout)
}

#[cfg(test)]
mod tests;
