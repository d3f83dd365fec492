//! What changed between two versions of a playbook, in the words of those who approve the new one.
//!
//! Everything is said by what it does, not by where it stands in the document: an edge that leads elsewhere, a
//! verification that can now be passed by. Two versions without a difference but their label and digest have an empty
//! list; and the list is never empty where there is any other, so that nobody approves what they were not told.

mod actions;
mod document;
mod edges;
mod kinds;
mod proofs;
mod renames;
mod steps;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use common::StepId;

use crate::playbook::Playbook;
use renames::Renames;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub kind: ChangeKind,
    /// The step it is about, where it is about one; of a removed step its id in the old version.
    pub step: Option<StepId>,
    /// The sentence, without a full stop. Names and values are cut to what can be read, never where they differ.
    pub words: String,
    /// How much it matters.
    pub weight: Weight,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

/// How much a change matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Nothing runs differently.
    Cosmetic,
    /// Executions run differently.
    Behaviour,
    /// It touches who must prove what, what is done with privilege, or where a credential goes.
    Security,
}

impl Weight {
    /// The word on wires and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Behaviour => "behaviour",
            Self::Security => "security",
        }
    }
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Name, description, category, examples, whether it is enabled, what it calls.
    Document,
    /// The longest an execution may take.
    Budget,
    /// Which tickets start it.
    Trigger,
    /// What it wants to be told.
    Input,
    /// A new step.
    StepAdded,
    /// A step that is gone.
    StepRemoved,
    /// A step that does something else than before.
    StepRetyped,
    /// A step with another name or id.
    StepRenamed,
    /// The steps stand in another order, or executions begin elsewhere.
    Order,
    /// Where an outcome leads.
    Edge,
    /// What a decision asks.
    Condition,
    /// How long a wait is.
    Wait,
    /// The branches of a parallel step.
    Branch,
    /// What a person is told who takes over.
    Reason,
    /// How long an action may take.
    Timeout,
    /// How often an action is tried.
    Retry,
    /// How often a step may be entered.
    Visits,
    /// What is passed to an action.
    Parameter,
    /// What an action may do, and what is proven before.
    Permission,
    /// What takes a step back.
    Undo,
    /// Where a credential comes from and goes.
    Credential,
    /// Whether any service offers an action.
    Planned,
    /// Something that none of the others says.
    Other,
}

/// Every difference from `old` to `new`, the weightiest first.
///
/// The labels and digests of the versions are not compared: they always differ.
pub fn diff(old: &Playbook, new: &Playbook) -> Vec<Change> {
    let mut changes = Changes::default();
    let renames = Renames::between(old, new);
    document::compare(old, new, &mut changes);
    steps::compare(old, new, &renames, &mut changes);
    proofs::compare(old, new, &renames, &mut changes);
    let mut changes = changes.0;
    if changes.is_empty() && differ(old, new) {
        changes.push(Change {
            kind: ChangeKind::Other,
            step: None,
            words: "something else changed: compare the two documents".to_owned(),
            weight: Weight::Behaviour,
        });
    }
    changes.sort_by_key(|change| std::cmp::Reverse(change.weight));
    changes
}

fn differ(old: &Playbook, new: &Playbook) -> bool {
    let unlabelled = Playbook {
        reference: old.reference.clone(),
        ..new.clone()
    };
    *old != unlabelled
}

/// The list in the making.
#[derive(Debug, Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, kind: ChangeKind, weight: Weight, words: impl AsRef<str>) {
        self.say(kind, None, weight, words.as_ref());
    }

    fn about(&mut self, step: &StepId, kind: ChangeKind, weight: Weight, words: impl AsRef<str>) {
        self.say(kind, Some(step.clone()), weight, words.as_ref());
    }

    fn say(&mut self, kind: ChangeKind, step: Option<StepId>, weight: Weight, words: &str) {
        self.0.push(Change {
            kind,
            step,
            words: words::visible(words),
            weight,
        });
    }
}
