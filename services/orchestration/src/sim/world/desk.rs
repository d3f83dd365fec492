//! The help desk: keeps notes in the order in which they arrive, and knows no key by which a repeated one would be seen.

use std::collections::BTreeMap;

use common::TicketId;
use time::OffsetDateTime;

/// A note on its way.
#[derive(Debug)]
struct Note {
    ticket: TicketId,
    text: String,
    lands: OffsetDateTime,
}

/// What stands on the tickets.
#[derive(Debug, Default)]
pub(in super::super) struct Desk {
    notes: BTreeMap<TicketId, Vec<String>>,
    under_way: Vec<Note>,
}

impl Desk {
    /// A note arrives, at once or later.
    pub(super) fn take(
        &mut self,
        ticket: &TicketId,
        text: String,
        lands: OffsetDateTime,
        now: OffsetDateTime,
    ) {
        let ticket = ticket.clone();
        self.under_way.push(Note { ticket, text, lands });
        self.until(now);
    }

    /// Whatever arrives until `now` has arrived.
    pub(super) fn until(&mut self, now: OffsetDateTime) {
        self.under_way.sort_by_key(|note| note.lands);
        while self.under_way.first().is_some_and(|note| note.lands <= now) {
            let note = self.under_way.remove(0);
            self.notes.entry(note.ticket).or_default().push(note.text);
        }
    }

    /// When the next note arrives.
    pub(super) fn next(&self) -> Option<OffsetDateTime> {
        self.under_way.iter().map(|note| note.lands).min()
    }

    /// How many notes there are.
    pub(in super::super) fn count(&self) -> usize {
        self.notes.values().map(Vec::len).sum()
    }

    /// What stands on a ticket, oldest first.
    pub(in super::super) fn notes(&self, ticket: &TicketId) -> &[String] {
        self.notes.get(ticket).map_or(&[], Vec::as_slice)
    }
}
