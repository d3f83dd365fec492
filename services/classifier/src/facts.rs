//! What the gate found out about a ticket before it decides. No clients here, and no decision either.

use chassis::switches::Off;
use common::methods::RecentChange;
use common::playbook::TriggerView;
use common::protection::Protection;
use common::velocity::Exceeded;
use common::{Named, Person, PlaybookRef};
use playbook_lang::Occasion;

use crate::classify::Classification;

/// Everything that is weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// How the help desk has it.
    pub desk: Desk,
    /// Who asks.
    pub requester: Requester,
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

/// The ticket as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desk {
    /// Closed, deleted or merged into another.
    pub over: bool,
    /// Assigned to an agent who is not us, or with an entry of theirs in its history.
    pub touched: bool,
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

/// What the classifier made of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Its answer.
    Read(Classification),
    /// It will not answer this ticket.
    Declined,
    /// It gave no usable answer in time.
    Unread,
    /// It was not asked: what to choose from is not known.
    NotAsked,
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
    /// The playbook service could not be read in time.
    Unread,
    /// There is no category to look for.
    NotSought,
}

/// A playbook and the category it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    /// Exactly which document.
    pub playbook: PlaybookRef,
    /// Its category.
    pub category: String,
    /// Its sub-category.
    pub sub_category: Option<String>,
    /// Which tickets may start it; all of its category where there is none.
    pub trigger: Option<TriggerView>,
}

/// Whether the ticket has been automated before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
