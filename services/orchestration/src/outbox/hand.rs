//! From the commit that says something about a ticket to the sender that tells it, without a search in between.
//!
//! A ticket is taken in the statement that queues its news, and only where there is a place for it here: what is taken and
//! never told would wait for its lease to run out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::Wake;
use tokio::sync::mpsc;
use tokio::sync::mpsc::PermitIterator;

use crate::store::{ClaimedTicket, LINGER};

/// Tickets in line for a sender of this process; more than these are found in the database.
const LINE: usize = 64;

/// Hands tickets to the senders of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    line: mpsc::Sender<ClaimedTicket>,
    search: Wake,
    /// Somebody will look when what lingers is due.
    later: Arc<AtomicBool>,
}

/// Places in the line, kept for tickets that are about to be taken.
pub(crate) struct Places<'h>(Option<PermitIterator<'h, ClaimedTicket>>);

impl Hand {
    /// How long a ticket is taken for.
    pub(crate) const LEASE: Duration = super::LEASE;

    /// Into a line of its own; `search` has the senders look for tickets in the database.
    pub(crate) fn new(search: Wake) -> (Self, mpsc::Receiver<ClaimedTicket>) {
        let (line, taken) = mpsc::channel(LINE);
        let hand = Self {
            line,
            search,
            later: Arc::default(),
        };
        (hand, taken)
    }

    /// Up to `most` places; none once the senders stop.
    pub(crate) fn places(&self, most: usize) -> Places<'_> {
        let most = most.min(self.line.capacity());
        let places = (most > 0).then(|| self.line.try_reserve_many(most).ok());
        Places(places.flatten())
    }

    /// There is a ticket to be told that nobody has in hand.
    pub(crate) fn look(&self) {
        self.search.wake();
    }

    /// There is one that lingers: look when it is due.
    pub(crate) fn look_later(&self) {
        if self.later.swap(true, Ordering::AcqRel) {
            return;
        }
        let (search, later) = (self.search.clone(), Arc::clone(&self.later));
        tokio::spawn(async move {
            tokio::time::sleep(LINGER).await;
            // Before the search, so that whatever is queued while it goes on has one of its own.
            later.store(false, Ordering::Release);
            search.wake();
        });
    }
}

impl Places<'_> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, ExactSizeIterator::len)
    }

    /// Put `taken` there, and give back what is left.
    pub(crate) fn fill(self, taken: Vec<ClaimedTicket>) {
        for (place, ticket) in self.0.into_iter().flatten().zip(taken) {
            place.send(ticket);
        }
    }
}
