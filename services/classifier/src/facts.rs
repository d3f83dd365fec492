//! What the gate found out about a ticket before it decides. No clients here, and no decision either.

use chassis::switches::Off;
use common::methods::RecentChange;
use common::protection::Protection;
use common::velocity::Exceeded;
use common::{Named, Person, PlaybookRef};
use playbook_lang::Occasion;
use serde::{Deserialize, Serialize};

use crate::classify::Classification;

/// Everything that is weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// How the help desk has it.
    pub desk: Desk,
    /// Who asks.
    pub requester: Requester,
    /// Which active playbooks start on tickets like this one.
    pub admission: Admission,
    /// What they ask for.
    pub reading: Reading,
    /// What could be done.
    pub plan: Plan,
    /// What is already being done.
    pub execution: Execution,
    /// What triggers look at.
    pub circumstances: Circumstances,
}

/// What a playbook's trigger may look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances {
    /// What is known of the ticket, the requester and the tenant, by the names that playbooks use.
    pub known: playbook_lang::Facts,
    /// What happened to the ticket since it is waiting to be decided on.
    pub happened: Vec<Occasion>,
}

/// What the help desk told of a ticket before it is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// What happened to it.
    pub happened: Vec<Occasion>,
    /// An agent made it, as far as it says who did.
    pub made_by_agent: bool,
}

/// The ticket as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Desk {
    /// Closed, deleted or merged into another.
    pub over: bool,
    /// An agent made it, for somebody or for themselves.
    pub made_by_agent: bool,
    /// Assigned to an agent who is not us, or with an entry of theirs in its history.
    pub touched: bool,
    /// The help desk does not show its history, or who its user is.
    #[serde(default)]
    pub unread: bool,
    /// Its type.
    pub kind: Kind,
    /// What the help desk says of whom it came from.
    pub sender: Sender,
}

/// A ticket's type, held against those that are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is one of them, or all are.
    Admitted,
    /// It is not; this is its number, where it has one.
    Other(Option<i64>),
}

/// Whose address a ticket came from, held against the requester's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// The help desk names no address.
    Unsaid,
    /// The requester's own.
    Requester,
    /// Another one.
    Another,
}

/// Who asks, as the help desk links them and the directory knows them.
#[derive(Debug, Clone, PartialEq)]
pub enum Requester {
    /// The help desk links nobody.
    Nobody,
    /// The help desk's user is inactive, or a machine's account.
    NotAPerson,
    /// The help desk knows no address of theirs.
    WithoutAddress,
    /// The directory knows nobody with that address.
    Stranger,
    /// More than one account fits, or the help desk and the directory disagree about which.
    Ambiguous,
    /// Exactly one account.
    Known(Box<Known>),
    /// The directory could not be read in time.
    Unread,
}

/// Somebody in the directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The account.
    pub person: Person,
    /// Why automation must not touch them.
    pub protection: Option<Protection>,
    /// A phone or another method of theirs that is too new to be believed.
    pub changed: Option<RecentChange>,
    /// The manager on record, for the record and to be shown; approvals look them up afresh.
    pub manager: Option<Named>,
}

/// What stood in the way when an automated decision was about to be recorded, found in that very transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// A switch that concerns it is off.
    SwitchedOff(Box<Off>),
    /// There was too much of it lately.
    Limit(Exceeded),
}

/// The active playbooks, each held against the ticket before anybody reads its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// They could not be read in time.
    Unread,
    /// Each of them.
    Of(Vec<Candidate>),
}

/// An active playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The playbook and its category.
    #[serde(flatten)]
    pub offered: Offered,
    /// Whether it starts on this ticket.
    pub trigger: Triggered,
}

/// What a playbook's trigger says of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Triggered {
    /// It starts, or it has no trigger and takes all of its category.
    Admits,
    /// It starts only where this holds, and it does not.
    NotMet(String),
    /// It cannot be read, and so never holds.
    Unreadable,
}

/// What the classifier made of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Its answer.
    Read(Classification),
    /// It will not answer this ticket.
    Declined,
    /// It gave no usable answer in time.
    Unread,
    /// It was not asked.
    NotAsked(NotAsked),
}

/// Why the classifier was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotAsked {
    /// A rule about the ticket leaves it to a person, whatever it says.
    Ruled,
    /// No active playbook takes tickets like this one.
    NothingOffered,
    /// Something that comes first could not be read.
    Unread,
}

impl Reading {
    /// From how sure on its choice is believed: what was measured for it, else what the `setting` says.
    pub fn threshold(&self, setting: f64) -> f64 {
        match self {
            Self::Read(read) => read.threshold.unwrap_or(setting),
            Self::Declined | Self::Unread | Self::NotAsked(_) => setting,
        }
    }
}

/// What could be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// The one active playbook for the category.
    Fits(Box<Offered>),
    /// More than one active playbook stands for the category.
    Several,
    /// None does.
    Nothing,
    /// There is no category to look for.
    NotSought,
}

impl Plan {
    /// The playbook, where it is certain which.
    pub fn offered(&self) -> Option<&Offered> {
        match self {
            Self::Fits(offered) => Some(offered),
            Self::Several | Self::Nothing | Self::NotSought => None,
        }
    }
}

/// A playbook and the category it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Exactly which document.
    pub playbook: PlaybookRef,
    /// Its category.
    pub category: String,
    /// Its sub-category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_category: Option<String>,
}

/// Whether the ticket has been automated before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// Never.
    None,
    /// One is under way.
    Open,
    /// One has ended: what it left is for people to look at.
    Ended,
    /// The orchestration service could not be read in time.
    Unread,
}
