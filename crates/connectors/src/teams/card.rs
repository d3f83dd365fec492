//! Adaptive Cards 1.5: the question and its end. Everything that people typed is escaped, so that it can't become a link.

use serde::Serialize;
use serde_json::Value;

/// A rendered card.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Card(pub Value);

/// What a manager is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalCard<'a> {
    /// Unguessable; comes back with the answer.
    pub approval_id: &'a str,
    /// What will be done, for instance `Reset the password of Adele Vance`.
    pub title: &'a str,
    /// Who asks.
    pub employee: &'a str,
    /// Their department, where known.
    pub department: Option<&'a str>,
    /// Ticket number.
    pub ticket: &'a str,
    /// The ticket's subject line.
    pub reason: &'a str,
    /// Until when, for people: `09:50 UTC`.
    pub expires: &'a str,
    /// The code that an answer by SMS would repeat; `None` to leave it out.
    pub hint: Option<&'a str>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Granted.
    Approved,
    /// Refused.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// No longer needed.
    Withdrawn,
}

/// The same card once it is decided: no actions left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedCard<'a> {
    /// As in the question.
    pub title: &'a str,
    /// As in the question.
    pub employee: &'a str,
    /// As in the question.
    pub ticket: &'a str,
    /// How it ended.
    pub verdict: Verdict,
    /// Who decided, how and when, for people: `by Megan Bowen, 09:41 UTC`.
    pub note: Option<&'a str>,
}

/// The question, with `Action.Execute` and `Action.Submit` as its fallback.
pub fn approval_card(card: &ApprovalCard<'_>) -> Card {
    todo!()
}

/// Its end.
pub fn decided_card(card: &DecidedCard<'_>) -> Card {
    todo!()
}
