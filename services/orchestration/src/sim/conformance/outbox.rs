//! What senders do, on both sides.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{LONG, Pair};
use crate::sim::model::outbox::Taken;
use crate::store::{ClaimedTicket, Closing, Settled, StoreError, Then};

impl Pair {
    /// Whatever is due is taken; or what was taken is kept.
    pub(super) async fn take_tickets(&mut self) {
        if let Some(mut turn) = self.one_of(&self.turns.clone()).filter(|_| self.chance(0.3)) {
            self.say(format!("keep {} under {}", turn.ticket, turn.fence));
            let real = self.store.keep(&mut turn, LONG).await;
            let kept = match real {
                Ok(()) => true,
                Err(StoreError::Fenced) => false,
                Err(error) => panic!("{error}"),
            };
            let model = self.model.keep(&turn.ticket, turn.fence, LONG);
            return self.same("kept", kept, model);
        }
        self.say("take tickets");
        let real = self
            .store
            .claim_tickets(64, LONG)
            .await
            .expect("the database is there");
        let model = self.model.claim_tickets(64, LONG);
        self.same_turns(&real, &model);
        self.turns.extend(real);
    }

    pub(super) fn same_turns(&mut self, real: &[ClaimedTicket], model: &[Taken]) {
        let real = real
            .iter()
            .map(|turn| (&turn.ticket, turn.fence, turn.enqueued, turn.doubt, turn.failures));
        let model = model
            .iter()
            .map(|turn| (&turn.ticket, turn.fence, turn.enqueued, turn.doubt, turn.failures));
        let (real, model): (BTreeSet<_>, BTreeSet<_>) = (real.collect(), model.collect());
        self.same("taken", real, model);
    }

    /// What was told, perhaps by a sender that overslept, is put down; or something more is to be told.
    pub(super) async fn close(&mut self) {
        if self.turns.is_empty() || self.chance(0.3) {
            return self.tell().await;
        }
        let lately = self.turns.len().saturating_sub(3);
        let from = if self.chance(0.8) { lately } else { 0 };
        let turns = self.turns[from..].to_vec();
        let Some(turn) = self.one_of(&turns) else { return };
        let due = self
            .store
            .due_updates(&[&turn.ticket])
            .await
            .expect("the database is there");
        let due = due.get(&turn.ticket).cloned().unwrap_or_default();
        let modelled = self.model.due_updates(&turn.ticket);
        let told = if due.is_empty() {
            0
        } else {
            self.below(due.len() + 1)
        };
        let then = match self.below(3) {
            0 => Then::Again {
                wait: Duration::from_mins(1),
                doubt: self.chance(0.5),
            },
            _ => Then::Rest,
        };
        let knows = self.chance(0.4);
        let enqueued = match self.model.outboxes.get(&turn.ticket) {
            Some(outbox) if knows => outbox.enqueued,
            _ => turn.enqueued,
        };
        self.say(format!(
            "close {} under {}: {told} told, {then:?}",
            turn.ticket, turn.fence
        ));
        let closing = |positions: Vec<i64>| Closing {
            ticket: turn.ticket.clone(),
            fence: turn.fence,
            enqueued,
            settled: positions
                .into_iter()
                .map(|position| (position, Settled::Sent))
                .collect(),
            words: vec![],
            audit: vec![],
            then,
            lease: LONG,
        };
        let first = |due: &[crate::update::Due]| due.iter().take(told).map(|due| due.position).collect();
        let real = self
            .store
            .close(&[closing(first(&due))])
            .await
            .expect("the database is there");
        let model = self.model.close(&closing(first(&modelled)));
        self.same("left", real, vec![model]);
    }

    async fn tell(&mut self) {
        let Some(id) = self.one_of(&self.executions.clone()) else {
            return;
        };
        let ticket = self.model.executions[&id].new.request.ticket_id.clone();
        let updates = self.random_updates();
        self.say(format!("tell {ticket} {}", updates.len()));
        self.store
            .tell(&ticket, id, &updates)
            .await
            .expect("the database is there");
        let updates = updates.into_iter().map(|update| (id, update));
        self.model.enqueue(&ticket, updates.collect(), None);
    }
}
