//! A ticket in a sender's hands.

use std::collections::VecDeque;

use chassis::AuditEvent;
use common::Digest;
use connectors::halopsa::Ticket;
use serde_json::json;

use super::plan::{Dispatch, Note, Stories, Told};
use super::{LEASE, Stopped};
use crate::desk::{DeskError, Remedy, UNKNOWN};
use crate::store::{ClaimedTicket, Closing, Settled, Then};
use crate::update::Due;

/// A ticket in our hands, what it is to be told, and what it was told and is not yet put down.
pub(super) struct Turn {
    pub(super) claimed: ClaimedTicket,
    pub(super) due: Vec<Due>,
    /// What ended executions did, for the notes that tell it.
    pub(super) stories: Stories,
    /// The calls that are still to be made for it.
    pub(super) plan: VecDeque<Dispatch>,
    /// The ticket as the last note left it, where the help desk showed it.
    pub(super) seen: Option<Ticket>,
    pub(super) settled: Vec<(i64, Settled)>,
    pub(super) words: Vec<(i64, String)>,
    pub(super) audit: Vec<AuditEvent>,
}

impl Turn {
    pub(super) fn new(claimed: ClaimedTicket) -> Self {
        Self {
            claimed,
            due: vec![],
            stories: Stories::new(),
            plan: VecDeque::new(),
            seen: None,
            settled: vec![],
            words: vec![],
            audit: vec![],
        }
    }

    /// These are told, or never will be.
    pub(super) fn settle(&mut self, told: &Told<'_>, settled: Settled, why: Option<&str>) {
        self.record(told, None, settled, why);
    }

    /// The note stands there. Of what was told just now the event has the digest of the words, and the first update that it
    /// tells has the words: whoever reads the ticket can compare.
    pub(super) fn settle_note(&mut self, note: &Note) {
        let text = note.text().map(|(text, _)| text);
        let digest = text.as_ref().map(Digest::of);
        self.record(&note.told(), digest.as_ref(), Settled::Sent, None);
        let words = note.covers.first().copied().zip(text);
        self.words.extend(words);
    }

    fn record(
        &mut self,
        Told { what, covers }: &Told<'_>,
        text: Option<&Digest>,
        settled: Settled,
        why: Option<&str>,
    ) {
        let kind = match settled {
            Settled::Sent => "ticket_update.sent",
            Settled::Refused => "ticket_update.refused",
        };
        if let Some(why) = why {
            tracing::error!(ticket.id = %self.claimed.ticket, why, "an update was refused by the help desk");
        }
        metrics::counter!("firstline_ticket_updates_total", "result" => settled.as_str())
            .increment(covers.len() as u64);
        self.settled
            .extend(covers.iter().map(|position| (*position, settled)));
        let detail = json!({"what": what, "positions": covers, "text": text, "why": why});
        self.audit
            .push(AuditEvent::new(kind, detail).ticket(&self.claimed.ticket));
    }

    /// The help desk does not know the ticket: nothing of what was to be told ever will be.
    pub(super) fn nobody_to_tell(&mut self) {
        for dispatch in std::mem::take(&mut self.plan) {
            for told in dispatch.told() {
                self.settle(&told, Settled::Refused, Some(UNKNOWN));
            }
        }
    }

    /// What the help desk will never take is put on record, so that what comes after it is told.
    pub(super) fn not_taken(&mut self, told: &Told<'_>, error: DeskError) -> Result<(), Stopped> {
        if error.remedy() != Remedy::GiveUp {
            return Err(error.into());
        }
        self.settle(told, Settled::Refused, Some(&error.to_string()));
        Ok(())
    }

    /// What it came to.
    pub(super) fn closing(&mut self, then: Then) -> Closing {
        Closing {
            ticket: self.claimed.ticket.clone(),
            fence: self.claimed.fence,
            enqueued: self.claimed.enqueued,
            settled: std::mem::take(&mut self.settled),
            words: std::mem::take(&mut self.words),
            audit: std::mem::take(&mut self.audit),
            then,
            lease: LEASE,
        }
    }
}
