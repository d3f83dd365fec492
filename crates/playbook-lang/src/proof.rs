//! What an execution has proven so far about the person who asks. The check walks it over the graph, the machine carries
//! it at run time: one rule, two readers.

use common::{Assurance, Outcome};
use serde::{Deserialize, Serialize};

use crate::registry::Action;

/// The proof state of one path through a playbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Nobody has proven anything.
    #[default]
    Unverified,
    /// A verification succeeded; the strongest one counts.
    Verified(Assurance),
    /// Somebody said no. For good: a later success does not lift it.
    Denied,
}

impl Proof {
    /// The proof after `action` answered `outcome`.
    #[must_use]
    pub fn after(self, action: &Action, outcome: &Outcome) -> Self {
        match (self, outcome, action.grants) {
            (Self::Denied, _, _) | (_, Outcome::Denied, _) => Self::Denied,
            (Self::Unverified, Outcome::Success, Some(granted)) => Self::Verified(granted),
            (Self::Verified(held), Outcome::Success, Some(granted)) => Self::Verified(held.max(granted)),
            (unchanged, _, _) => unchanged,
        }
    }

    /// Whether an action that asks for `required` may be entered. Nothing required: always.
    pub fn satisfies(self, required: Option<Assurance>) -> bool {
        match (required, self) {
            (None, _) => true,
            (Some(required), Self::Verified(held)) => held >= required,
            (Some(_), Self::Unverified | Self::Denied) => false,
        }
    }
}
