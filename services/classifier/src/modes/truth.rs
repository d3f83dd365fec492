//! Reads back how tickets ended on which the gate had an opinion: as people left them.

use std::sync::Arc;
use std::time::Duration;

use chassis::Did;
use common::client::PlaybookClient;
use common::playbook::PlaybookView;
use common::{Decision, PlaybookRef};
use connectors::CallError;
use connectors::halopsa::{Halo, Ticket, UNASSIGNED};

use super::Modes;
use super::verdict::{DoneBy, Kind, Left, Sign, Source, of_closed, says_nothing};
use crate::admission::{categories, every};
use crate::classify::{Classify, Text};
use crate::store::{Outcome, Store, StoreError, Watch, would_automate};

/// Between two looks at a ticket of which nobody tells.
const LOOK: Duration = Duration::from_hours(1);
/// No less often than that.
const LONGEST_LOOK: Duration = Duration::from_hours(24);
/// After a month or so a ticket is looked at only when something is told of it.
const MOST_LOOKS: u32 = 35;
/// The help desk is away.
const AWAY: Duration = Duration::from_secs(30);

/// Reads tickets back.
#[derive(Clone)]
pub(crate) struct Truth {
    pub(crate) store: Store,
    pub(crate) halo: Halo,
    pub(crate) playbooks: PlaybookClient,
    /// Reads closing notes; never asked over a network.
    pub(crate) reader: Arc<dyn Classify>,
    pub(crate) own_agent: i64,
    pub(crate) modes: Modes,
}

impl Truth {
    /// One watched ticket.
    pub(crate) async fn step(&self) -> Result<Did, StoreError> {
        let Some(watch) = self.store.claim_watch().await? else {
            let next = self.store.next_watch().await?;
            return Ok(next.map_or(Did::Nothing, Did::NothingUntil));
        };
        let again = match self.look(&watch).await {
            Ok(again) => again,
            Err(Unread::Desk(error)) => {
                tracing::warn!(error = %chassis::chain(&error), ticket.id = %watch.ticket, "could not see how a ticket ended");
                Some(error.retry_after().map_or(AWAY, |asked| asked.max(AWAY)))
            }
            Err(Unread::Store(error)) => return Err(error),
        };
        self.store.look_again(&watch, again).await?;
        Ok(Did::Work)
    }

    /// When to look again, where the ticket is not over.
    async fn look(&self, watch: &Watch) -> Result<Option<Duration>, Unread> {
        let Some(decision) = self.store.decision(&watch.ticket).await? else {
            return Ok(None);
        };
        let Some(playbook) = decision.playbook.clone() else {
            return Ok(None);
        };
        let ticket = self.halo.ticket(&watch.ticket).await?;
        if ticket.as_ref().is_some_and(|ticket| !is_over(ticket)) {
            return Ok(next_look(watch.looks));
        }
        // It helps to read a note, and to notice a drift at once; neither is worth waiting for.
        let active = self.playbooks.list().await.unwrap_or_default();
        let sign = self.sign(&decision, ticket.as_ref(), &active).await?;
        self.say(&decision, &playbook, sign).await?;
        self.notice_drift(&playbook, &active).await?;
        Ok(None)
    }

    async fn say(&self, decision: &Decision, playbook: &PlaybookRef, sign: Sign) -> Result<(), StoreError> {
        let outcome = Outcome {
            ticket: decision.ticket_id.clone(),
            decision: decision.decision_id,
            playbook: playbook.name.clone(),
            would_automate: would_automate(decision),
            source: Source::ClosedTicket,
            verdict: sign.verdict,
            reason: sign.reason.to_owned(),
            said_by: None,
        };
        tracing::info!(
            ticket.id = %decision.ticket_id, verdict = sign.verdict.as_str(), why = sign.reason,
            "a ticket that the gate had decided on is over"
        );
        self.store.say(&outcome).await
    }

    /// Should the mode change by this, it is on record now and not with the next ticket.
    async fn notice_drift(&self, playbook: &PlaybookRef, active: &[PlaybookView]) -> Result<(), StoreError> {
        if let Some(view) = active.iter().find(|view| view.playbook.name == playbook.name) {
            self.modes.of(&playbook.name, view.activation.as_ref()).await?;
        }
        Ok(())
    }

    async fn sign(
        &self,
        decision: &Decision,
        ticket: Option<&Ticket>,
        active: &[PlaybookView],
    ) -> Result<Sign, CallError> {
        let status = match ticket.and_then(|ticket| ticket.status_id) {
            Some(id) => {
                let statuses = self.halo.statuses().await?;
                statuses.into_iter().find(|status| status.id == id)
            }
            None => None,
        };
        let mut left = Left {
            gone: ticket.is_none_or(|ticket| ticket.deleted || ticket.merged_into.is_some()),
            status: status.as_ref().map(|status| status.name.as_str()),
            category: ticket.and_then(|ticket| ticket.category.as_deref()),
            note_is_alike: None,
        };
        let kind = Kind {
            category: &decision.category,
            sub_category: decision.sub_category.as_deref(),
        };
        let done_by = if decision.automated || decision.execution_id.is_some() {
            DoneBy::Firstline
        } else {
            DoneBy::People
        };
        if says_nothing(left, kind) {
            left.note_is_alike = self.note_is_alike(decision, active).await?;
        }
        Ok(of_closed(left, kind, done_by))
    }

    /// Whether the last words of an agent read as this kind of ticket; `None` where there are none, or nobody to read
    /// them.
    async fn note_is_alike(
        &self,
        decision: &Decision,
        active: &[PlaybookView],
    ) -> Result<Option<bool>, CallError> {
        let actions = self.halo.actions(&decision.ticket_id).await?;
        let ours = |agent: i64| agent == self.own_agent || agent == UNASSIGNED;
        let note = actions
            .iter()
            .filter(|action| {
                action.agent_id.is_some_and(|agent| !ours(agent)) && !action.note.trim().is_empty()
            })
            .max_by_key(|action| (action.at, action.id));
        let categories = categories(active, &every(active));
        let Some(note) = note.filter(|_| !categories.is_empty()) else {
            return Ok(None);
        };
        let text = Text {
            summary: "",
            details: &note.note,
        };
        let Ok(read) = self.reader.classify(text, &categories).await else {
            return Ok(None);
        };
        let chosen = read.choice.and_then(|choice| categories.get(choice));
        Ok(Some(chosen.is_some_and(|chosen| {
            chosen.category == decision.category && chosen.sub_category == decision.sub_category
        })))
    }
}

/// A look that came to nothing.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Desk(#[from] CallError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn is_over(ticket: &Ticket) -> bool {
    ticket.closed || ticket.deleted || ticket.merged_into.is_some()
}

/// Twice as long each time.
fn next_look(looks: u32) -> Option<Duration> {
    let pause = LOOK.saturating_mul(2_u32.saturating_pow(looks.min(16)));
    (looks < MOST_LOOKS).then_some(pause.min(LONGEST_LOOK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_of_which_nobody_tells_is_looked_at_for_a_month() {
        let mut all = Duration::ZERO;
        let mut looks = 0;
        while let Some(pause) = next_look(looks) {
            assert!(pause <= LONGEST_LOOK);
            (all, looks) = (all + pause, looks + 1);
        }
        assert!(
            (Duration::from_hours(28 * 24)..Duration::from_hours(35 * 24)).contains(&all),
            "{all:?}"
        );
    }
}
