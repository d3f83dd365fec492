//! Deciding: which case of a decision holds.

use common::Outcome;

use super::edges::Arrival;
use super::turn::Turn;
use crate::playbook::{Case, OTHERWISE, Step};

impl<'m> Turn<'m> {
    /// Take the first case that holds. People read the condition as its author wrote it, never the ticket's text.
    pub(super) fn decide(&mut self, step: &'m Step, cases: &[Case], visit: u32) -> Arrival<'m> {
        let held = cases
            .iter()
            .find(|case| case.when.holds(&|name| self.value(step, name)));
        let (case, explanation) = match held {
            Some(case) => (
                case.name.as_str(),
                format!("The case `{}` holds: {}.", case.name, case.when),
            ),
            None => (OTHERWISE, "No case holds.".to_owned()),
        };
        self.pass(step, visit, Outcome::Word(case.to_owned()), explanation)
    }
}
