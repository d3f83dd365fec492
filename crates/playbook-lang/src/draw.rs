//! Pictures of a playbook, for people who approve one and for people who ask what an execution did.
//!
//! Two notations of the same [`picture`](picture::Picture): Mermaid text, and an SVG that needs nothing but a viewer: no
//! script, no style sheet, no font, no id that could clash with a second picture on the page. What an author wrote is
//! hostile until it has been through [`text`].

mod card;
#[cfg(test)]
pub(crate) mod examples;
mod layout;
mod mermaid;
mod picture;
mod svg;
#[cfg(test)]
mod tests;
mod text;

use common::{Outcome, StepId};

use crate::playbook::{Playbook, Step};

pub use mermaid::mermaid;
pub use svg::svg;

/// The path that an execution took: drawn in colour, while the rest is dimmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The steps that were entered, in order; a loop names its steps each time.
    pub steps: Vec<StepId>,
    /// What each step ended with.
    pub edges: Vec<(StepId, Outcome)>,
}

impl Taken {
    /// From the steps of an execution in the order they were entered. The outcome is `None` for an ending, and for a
    /// step that is still under way.
    pub fn of(steps: impl IntoIterator<Item = (StepId, Option<Outcome>)>) -> Self {
        let mut taken = Self::default();
        for (step, outcome) in steps {
            if let Some(outcome) = outcome {
                taken.edges.push((step.clone(), outcome));
            }
            taken.steps.push(step);
        }
        taken
    }

    fn entered(&self, step: &StepId) -> bool {
        self.steps.contains(step)
    }

    /// It was to be entered once more than it may be.
    fn ran_out(&self, playbook: &Playbook, step: &Step) -> bool {
        let left = self.edges.iter().map(|(from, outcome)| (from, outcome));
        crate::visits::ran_out(playbook, step, &left)
    }

    fn followed(&self, step: &StepId, outcomes: &[Outcome]) -> bool {
        self.edges
            .iter()
            .any(|(from, outcome)| from == step && outcomes.contains(outcome))
    }
}
