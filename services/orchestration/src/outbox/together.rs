//! Several tickets told in one call. The help desk counts calls, for everybody, and takes as many records in one as there are.
//!
//! What is not sure is told each by itself: a ticket in doubt, whatever the help desk refused of several, what it did not
//! show the end of.

use std::time::Instant;

use common::AutomationStatus;
use connectors::halopsa::Ticket;
use tracing::Instrument;

use super::plan::{Dispatch, Note};
use super::{LONGEST_TELLING, Sender, Turn, in_time};
use crate::desk::DeskError;
use crate::store::Settled;

impl Sender {
    /// What several tickets are to be told first, in one call, and their statuses in another. Those that are to be gone on
    /// with, each by itself.
    pub(super) async fn tell_together(&self, turns: Vec<Turn>) -> Vec<Turn> {
        let turns = self.notes_together(turns).await;
        self.statuses_together(turns).await
    }

    async fn notes_together(&self, turns: Vec<Turn>) -> Vec<Turn> {
        let (several, mut turns) = several(turns, |turn| first_notes(turn).is_some());
        let notes: Vec<_> = several
            .iter()
            .map(|turn| (&turn.claimed.ticket, first_notes(turn).unwrap_or_default()))
            .collect();
        if notes.is_empty() {
            return turns;
        }
        let call = in_time(self.desk.add(&notes)).instrument(span(&several));
        let told = call.await;
        match told {
            Ok(seen) => turns.extend(several.into_iter().zip(seen).map(|(turn, seen)| turn.noted(seen))),
            Err(error) => turns.extend(self.not_together(several, &error, Turn::in_doubt).await),
        }
        turns
    }

    async fn statuses_together(&self, turns: Vec<Turn>) -> Vec<Turn> {
        let (several, mut turns) = several(turns, |turn| status_of_seen(turn).is_some());
        let statuses: Vec<_> = several.iter().filter_map(status_of_seen).collect();
        if statuses.is_empty() {
            return turns;
        }
        let call = in_time(self.desk.settle_together(&statuses)).instrument(span(&several));
        let told = call.await;
        match told {
            Ok(stand) => turns.extend(
                several
                    .into_iter()
                    .zip(stand)
                    .map(|(turn, stands)| turn.settled(stands)),
            ),
            Err(error) => turns.extend(self.not_together(several, &error, |turn| turn).await),
        }
        turns
    }

    /// Refused, one of them may be at fault: each is told by itself, as `left` by this. Else all of them wait.
    async fn not_together(&self, several: Vec<Turn>, error: &DeskError, left: fn(Turn) -> Turn) -> Vec<Turn> {
        if error.is_refusal() {
            tracing::warn!(tickets = several.len(), %error, "the help desk refused one of several tickets' updates; telling each by itself");
            return several.into_iter().map(left).collect();
        }
        for turn in several {
            self.postpone(turn, error).await;
        }
        vec![]
    }
}

impl Turn {
    /// What came first was told, and left the ticket like this.
    fn noted(mut self, seen: Option<Ticket>) -> Self {
        if let Some(Dispatch::Notes(notes)) = self.plan.pop_front() {
            for note in &notes {
                self.settle_note(note);
            }
        }
        self.seen = seen;
        self
    }

    /// Some of what comes first may have been told.
    fn in_doubt(mut self) -> Self {
        self.claimed.doubt = true;
        self
    }

    /// The status was told, and where it `stands` there is nothing left to do about it.
    fn settled(mut self, stands: bool) -> Self {
        self.seen = None;
        if stands && let Some(dispatch) = self.plan.pop_front() {
            for told in dispatch.told() {
                self.settle(&told, Settled::Sent, None);
            }
        }
        self
    }
}

/// Those of `turns` that `fit` and have time for one call, if they are several; and the rest.
fn several(turns: Vec<Turn>, fit: impl Fn(&Turn) -> bool) -> (Vec<Turn>, Vec<Turn>) {
    let at_least = Instant::now() + LONGEST_TELLING;
    let (several, rest): (Vec<Turn>, Vec<Turn>) = turns
        .into_iter()
        .partition(|turn| !turn.claimed.doubt && turn.claimed.until > at_least && fit(turn));
    if several.len() > 1 {
        (several, rest)
    } else {
        (vec![], rest.into_iter().chain(several).collect())
    }
}

/// Each ticket has a trace of its own, and one call is in none of them.
fn span(several: &[Turn]) -> tracing::Span {
    tracing::info_span!("tell_together", tickets = several.len())
}

/// The notes that come first; `None` where something else does, or nothing of them is to be said.
fn first_notes(turn: &Turn) -> Option<&[Note]> {
    match turn.plan.front()? {
        Dispatch::Notes(notes) if notes.iter().any(|note| note.text().is_some()) => Some(notes),
        _ => None,
    }
}

/// The ticket as its notes left it, and the status that comes next.
fn status_of_seen(turn: &Turn) -> Option<(Ticket, AutomationStatus)> {
    match (&turn.seen, turn.plan.front()?) {
        (Some(seen), Dispatch::Fields { status, .. }) => Some((seen.clone(), *status)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
