//! As `store/outbox.rs`.

use std::time::Duration;

use super::*;
use crate::store::{Closing, LINGER, Left, Then};
use crate::update::Due;

/// A ticket in somebody's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Taken {
    pub(in super::super) ticket: TicketId,
    pub(in super::super) fence: i64,
    pub(in super::super) enqueued: i64,
    pub(in super::super) doubt: bool,
    pub(in super::super) failures: i32,
    pub(in super::super) until: OffsetDateTime,
}

impl Model {
    /// Queue what a ticket is told, in its order; and take it for this long, where nobody has it and it has not failed.
    pub(in super::super) fn enqueue(
        &mut self,
        ticket: &TicketId,
        updates: Vec<(ExecutionId, Update)>,
        take: Option<Duration>,
    ) -> Option<Taken> {
        if updates.is_empty() {
            return None;
        }
        let now = self.now;
        let lingers = updates.iter().all(|(_, update)| update.may_linger());
        let wake_at = self.now + if lingers { LINGER } else { Duration::ZERO };
        for (execution, update) in updates {
            let marker = Marker::stored(format!("fl-{:016x}", self.updates.len()));
            self.updates.push(UpdateRow {
                ticket: ticket.clone(),
                execution,
                marker,
                update,
                settled: None,
            });
        }
        let outbox = self.outboxes.entry(ticket.clone()).or_insert(Outbox {
            wake_at: None,
            held: false,
            fence: 0,
            enqueued: 0,
            doubt: false,
            failures: 0,
        });
        outbox.enqueued += 1;
        if outbox.held || outbox.failures > 0 {
            return None;
        }
        outbox.wake_at = Some(outbox.wake_at.map_or(wake_at, |other| other.min(wake_at)));
        let until = now + take?;
        outbox.held = true;
        outbox.fence += 1;
        outbox.wake_at = Some(until);
        Some(Taken {
            ticket: ticket.clone(),
            fence: outbox.fence,
            enqueued: outbox.enqueued,
            doubt: outbox.doubt,
            failures: outbox.failures,
            until,
        })
    }

    /// Take up to `most` tickets that are due, longest overdue first.
    pub(in super::super) fn claim_tickets(&mut self, most: usize, lease: Duration) -> Vec<Taken> {
        let (now, doubts) = (self.now, self.has(Guard::DoubtWhoeverOverslept));
        let mut due: Vec<(OffsetDateTime, TicketId)> = self
            .outboxes
            .iter()
            .filter_map(|(ticket, row)| Some((row.wake_at.filter(|at| *at <= now)?, ticket.clone())))
            .collect();
        due.sort();
        due.truncate(most);
        let mut taken = vec![];
        for (_, ticket) in due {
            if let Some(row) = self.outboxes.get_mut(&ticket) {
                row.doubt |= row.held && doubts;
                row.held = true;
                row.fence += 1;
                row.wake_at = Some(now + lease);
                taken.push(Taken {
                    fence: row.fence,
                    enqueued: row.enqueued,
                    doubt: row.doubt,
                    failures: row.failures,
                    until: now + lease,
                    ticket,
                });
            }
        }
        taken
    }

    /// What a ticket is still to be told, oldest first.
    pub(in super::super) fn due_updates(&self, ticket: &TicketId) -> Vec<Due> {
        let due = self.updates.iter().enumerate();
        due.filter(|(_, row)| row.ticket == *ticket && row.settled.is_none())
            .map(|(position, row)| Due {
                position: i64::try_from(position).unwrap_or(i64::MAX),
                execution: row.execution,
                marker: row.marker.clone(),
                update: row.update.clone(),
            })
            .collect()
    }

    /// Keep a ticket for another `lease`; `false` where it is ours no longer.
    pub(in super::super) fn keep(&mut self, ticket: &TicketId, fence: i64, lease: Duration) -> bool {
        let wake_at = self.now + lease;
        let row = self.outboxes.get_mut(ticket);
        match row.filter(|row| row.held && row.fence == fence) {
            Some(row) => {
                row.wake_at = Some(wake_at);
                true
            }
            None => false,
        }
    }

    /// Put down what a ticket was told, and let go of it: what became of it, `None` where it was ours no longer.
    pub(in super::super) fn close(&mut self, closing: &Closing) -> Option<Left> {
        let now = self.now;
        let (fenced, counts) = (self.has(Guard::SenderFence), self.has(Guard::UpdatesKnown));
        let row = self.outboxes.get_mut(&closing.ticket)?;
        if fenced && !(row.held && row.fence == closing.fence) {
            return None;
        }
        let told_some = !closing.settled.is_empty();
        let more = counts && row.enqueued != closing.enqueued;
        match closing.then {
            Then::Rest => {
                row.held = more;
                row.wake_at = more.then_some(now + closing.lease);
                (row.doubt, row.failures) = (false, 0);
            }
            Then::Again { wait, doubt } => {
                row.held = false;
                row.wake_at = Some(now + wait);
                row.doubt = doubt || row.doubt && !told_some;
                row.failures = if told_some { 1 } else { row.failures + 1 };
            }
        }
        let left = if row.held {
            Left::Kept(row.enqueued)
        } else {
            Left::Gone
        };
        for (position, settled) in &closing.settled {
            let row = usize::try_from(*position)
                .ok()
                .and_then(|position| self.updates.get_mut(position));
            if let Some(row) = row.filter(|row| row.settled.is_none()) {
                row.settled = Some(*settled);
            }
        }
        Some(left)
    }
}
