//! What must hold after every storm: pure functions over the records.

mod notes;
mod passes;
mod tickets;

use super::records::Records;

/// What one invariant saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The invariant, as a sentence.
    pub(super) invariant: &'static str,
    /// How many things were looked at.
    pub(super) checked: usize,
    /// What does not hold.
    pub(super) violations: Vec<Violation>,
}

/// Something that may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// Where it belongs to one.
    pub(super) ticket: Option<i64>,
    /// In a sentence.
    pub(super) what: String,
}

impl Violation {
    fn of(ticket: i64, what: impl Into<String>) -> Self {
        Self {
            ticket: Some(ticket),
            what: what.into(),
        }
    }
}

/// Ask every invariant.
pub(super) fn all(records: &Records) -> Vec<Finding> {
    vec![
        tickets::every_ticket_ended_once(records),
        tickets::somebody_was_helped(records),
        tickets::what_is_left_to_people_is_untouched(records),
        passes::the_live_pass_is_one_that_was_delivered(records),
        passes::nobody_got_a_pass_without_an_approval(records),
        passes::no_text_came_twice(records),
        passes::no_pass_stands_on_a_ticket(records),
        notes::notes_are_complete_and_in_order(records),
        tickets::the_audit_trail_is_unbroken(records),
    ]
}

#[cfg(test)]
pub(super) mod sample;
