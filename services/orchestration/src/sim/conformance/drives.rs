//! What runners do, on both sides.

use std::collections::BTreeSet;

use chassis::AuditEvent;
use common::clock;
use common::execution::ExecutionStatus;
use common::{ExecutionId, OperationId, Outcome, StepCall, StepId, TicketId, Values};
use serde_json::json;

use super::{LONG, Pair};
use crate::facts::Given;
use crate::sim::model;
use crate::store::{
    Claimed, Entry, FIRST_FENCE, Handled, Hold, NewExecution, RunnerId, StepRow, StoreError, StoredState,
    Take, Write, stored,
};
use crate::update::{Asked, Update};

/// What steps call.
pub(super) const ACTIONS: [&str; 2] = ["cmdb.ask", "cmdb.look_up"];

/// What was claimed, as far as both sides must agree on it.
pub(super) fn in_words(claimed: &[Claimed]) -> BTreeSet<String> {
    let words = claimed.iter().map(|claimed| {
        let mut asked: Vec<String> = claimed.asked.iter().map(|asked| format!("{asked:?}")).collect();
        asked.sort();
        format!(
            "{} {:?} {} {} {:?} {} {:?} {} {} {} {asked:?}",
            claimed.id,
            claimed.status,
            claimed.state.value(),
            claimed.signals,
            claimed.standing,
            claimed.held,
            claimed.cancelled,
            claimed.insisted,
            claimed.parked_told,
            claimed.fence,
        )
    });
    words.collect()
}

/// How the database says no.
fn refusal(error: &StoreError) -> Option<model::Refused> {
    let StoreError::Database(error) = error else {
        return None;
    };
    let error = error.as_database_error()?;
    if error.is_foreign_key_violation() {
        return Some(model::Refused::DeclaredDead);
    }
    error.is_check_violation().then_some(model::Refused::Cancelled)
}

impl Pair {
    fn runner(&mut self) -> Option<RunnerId> {
        let runners: Vec<RunnerId> = self.presences.iter().map(|presence| presence.runner).collect();
        self.one_of(&runners)
    }

    /// Decisions come, sometimes for the second time, sometimes to a runner that begins them at once, sometimes while other
    /// executions go on or end.
    pub(super) async fn accept(&mut self) {
        let mut entries = if self.chance(0.5) {
            self.random_steps_of_several()
        } else {
            vec![]
        };
        let tickets: BTreeSet<TicketId> = (0..=self.below(2)).map(|_| self.ticket()).collect();
        let first = entries.len();
        for ticket in tickets {
            let new = self.random_new(&ticket);
            self.say(format!(
                "accept {} on {ticket}, begun: {}",
                new.id,
                new.begun.is_some()
            ));
            entries.push(Entry::New(Box::new(new)));
        }
        let written = self.commit(&entries).await;
        for (entry, _) in entries
            .iter()
            .zip(written)
            .skip(first)
            .filter(|(_, written)| *written)
        {
            let Entry::New(new) = entry else { continue };
            self.executions.push(new.id);
            if let Some(begun) = &new.begun {
                let claimed = Claimed::new(new, &self.model.tenant, begun.runner);
                self.claims.push(claimed);
            }
        }
    }

    fn random_new(&mut self, ticket: &TicketId) -> NewExecution {
        let mut new = stored::new(&self.store, ticket.as_str(), Given::default());
        new.state = StoredState::of_value(&json!({"nth": "new"}));
        let known = self.one_of(&self.executions.clone());
        if known.is_some() && self.chance(0.7) {
            new.pins.clear();
        }
        if let Some(known) = known.filter(|_| self.chance(0.3)) {
            new.request.decision_id = self.model.executions[&known].new.request.decision_id;
        }
        let runner = self.runner();
        if let Some(runner) = runner.filter(|_| self.chance(0.6)) {
            new.begun = Some(self.begun(&new, runner));
        }
        new
    }

    fn begun(&mut self, new: &NewExecution, runner: RunnerId) -> Write {
        let mut claimed = Claimed::new(new, &self.model.tenant, runner);
        claimed.fence = FIRST_FENCE;
        let mut write = self.random_write(&claimed);
        write.hold = Hold::Keep;
        (write.status, write.reason) = (ExecutionStatus::Running, None);
        write
    }

    /// Whatever is due is claimed, by a runner that may be gone.
    pub(super) async fn claim(&mut self) {
        if self.presences.len() < 2 {
            return self.register().await;
        }
        let Some(runner) = self.runner() else { return };
        let real = self.store.claim_due(runner, 64).await;
        let model = self.model.claim_due(runner, 64);
        self.say(format!("{runner:?} claims"));
        let words = real.as_ref().map(|claimed| in_words(claimed));
        self.same(
            "claimed",
            words.map_err(refusal),
            model.map(|claimed| in_words(&claimed)).map_err(Some),
        );
        self.claims.extend(real.unwrap_or_default());
    }

    /// Steps of executions that are, or were, in hand.
    pub(super) async fn write(&mut self) {
        let entries = self.random_steps_of_several();
        self.commit(&entries).await;
    }

    /// What was claimed and is not lost.
    pub(super) fn in_hand(&self) -> Vec<Claimed> {
        let in_hand = |claimed: &&Claimed| {
            let row = self.model.executions.get(&claimed.id);
            row.is_some_and(|row| (row.runner, row.fence) == (Some(claimed.runner), claimed.fence))
        };
        self.claims.iter().filter(in_hand).cloned().collect()
    }

    fn random_steps_of_several(&mut self) -> Vec<Entry> {
        let mut entries = vec![];
        let mut taken = BTreeSet::new();
        for _ in 0..4 {
            let claims = if self.chance(0.8) {
                self.in_hand()
            } else {
                self.claims.clone()
            };
            let Some(claimed) = self.one_of(&claims) else {
                break;
            };
            if taken.insert(claimed.id) {
                let write = self.random_write(&claimed);
                let (id, fence, hold) = (write.execution, write.fence, write.hold);
                self.say(format!("write {id} under {fence}: {hold:?}, {:?}", write.status));
                entries.push(Entry::Step(Box::new(write)));
            }
            if self.chance(0.4) {
                break;
            }
        }
        entries
    }

    /// Which of them were written.
    pub(super) async fn commit(&mut self, entries: &[Entry]) -> Vec<bool> {
        let take = Take {
            most: self.below(3),
            lease: LONG,
        };
        let real = self.store.commit(entries, take).await;
        let model = self.model.commit(&entries.iter().collect::<Vec<_>>(), take);
        let found = real.as_ref().map(|real| real.found.clone()).map_err(refusal);
        let written = found.iter().flatten().map(Option::is_some).collect();
        let modelled = model
            .as_ref()
            .map(|model| model.found.clone())
            .map_err(|refused| Some(*refused));
        self.same("written", found, modelled);
        let taken = real.map(|real| real.taken).unwrap_or_default();
        let modelled = model.map(|model| model.taken).unwrap_or_default();
        self.same_turns(&taken, &modelled);
        self.turns.extend(taken);
        written
    }

    pub(super) fn random_write(&mut self, claimed: &Claimed) -> Write {
        let now = clock::now();
        let row = self.model.executions.get(&claimed.id);
        let cancelled = row.is_some_and(|row| row.cancelled.is_some());
        let hold = match self.below(10) {
            0..6 if cancelled => Hold::Ended,
            0..4 => Hold::Keep,
            4..6 => Hold::Until(now - LONG),
            6..8 => Hold::Until(now + LONG),
            _ => Hold::Ended,
        };
        let (status, reason) = match (hold, self.chance(0.5)) {
            (Hold::Ended, true) => (ExecutionStatus::Resolved, None),
            (Hold::Ended, false) => (ExecutionStatus::Escalated, Some("why".to_owned())),
            (_, true) => (ExecutionStatus::Running, None),
            (_, false) => (ExecutionStatus::Waiting, None),
        };
        let row = self.model.executions.get(&claimed.id);
        let known = row.map_or(0, |row| row.signals);
        let signals = if self.chance(0.8) { known } else { claimed.signals };
        let nth = self.below(1000).to_string();
        let written = AuditEvent::new("step.ended", json!({"nth": nth}))
            .ticket(&claimed.ticket)
            .execution(claimed.id);
        Write {
            execution: claimed.id,
            ticket: claimed.ticket.clone(),
            runner: claimed.runner,
            fence: claimed.fence,
            state: StoredState::of_value(&json!({"nth": nth})),
            status,
            reason,
            parked_since: self.chance(0.2).then_some(now),
            parked_told: self.chance(0.2),
            hold,
            held: hold != Hold::Ended && self.chance(0.3),
            signals,
            steps: self.random_steps(claimed.id),
            renumbered: self.random_renumbered(claimed.id),
            cut_off: self.chance(0.1).then(|| "cut off".to_owned()),
            handled: self.random_handled(claimed.id),
            arrival: None,
            audit: vec![written],
            updates: self.random_updates(),
            now,
        }
    }

    fn random_steps(&mut self, execution: ExecutionId) -> Vec<StepRow> {
        let mut steps = vec![];
        for (id, action) in ["ask", "fix"].into_iter().zip(ACTIONS) {
            if !self.chance(0.4) {
                continue;
            }
            let id: StepId = id.parse().expect("a step's id");
            let operation = self.chance(0.3).then(OperationId::fresh);
            if let Some(operation) = operation {
                self.operations.push((execution, id.clone(), operation));
            }
            let ended = self.chance(0.4);
            steps.push(StepRow {
                call: StepCall {
                    id,
                    visit: 1,
                    attempt: 1 + u32::from(self.chance(0.3)),
                },
                name: "A step".to_owned(),
                action: action.parse().ok(),
                operation,
                asked: self.chance(0.3).then(|| "Adele".to_owned()),
                outcome: ended.then_some(Outcome::Success),
                explanation: ended.then(|| "done".to_owned()),
                output: Values::new(),
            });
        }
        steps
    }

    /// A call that is open, and goes on under the next number.
    fn random_renumbered(&mut self, execution: ExecutionId) -> Vec<StepCall> {
        let rows = || {
            let all = self.model.steps.iter();
            all.filter(|((of, id, visit, _), _)| *of == execution && id.as_str() == "ask" && *visit == 1)
        };
        let open = rows().filter(|(_, row)| row.outcome.is_none()).count();
        let last = rows().map(|((.., attempt), _)| *attempt).max();
        let next = last.filter(|_| open == 1).map(|last| StepCall {
            id: "ask".parse().expect("a step's id"),
            visit: 1,
            attempt: last + 1,
        });
        next.filter(|_| self.chance(0.5)).into_iter().collect()
    }

    fn random_handled(&mut self, execution: ExecutionId) -> Vec<Handled> {
        let known = self.model.signals.keys().filter(|(of, _)| *of == execution);
        let known: Vec<OperationId> = known.map(|(_, operation)| *operation).collect();
        let mut handled = vec![];
        for operation in known {
            if self.chance(0.5) {
                let applied = self.chance(0.5);
                handled.push(Handled { operation, applied });
            }
        }
        handled
    }

    pub(super) fn random_updates(&mut self) -> Vec<Update> {
        let asked = Update::Asked(Asked {
            call: StepCall {
                id: "ask".parse().expect("a step's id"),
                visit: 1,
                attempt: 1,
            },
            name: "Ask".to_owned(),
            asked: "Adele was asked".to_owned(),
        });
        match self.below(4) {
            0 => vec![asked],
            1 => vec![asked, Update::Resolved, Update::Story],
            _ => vec![],
        }
    }

    async fn register(&mut self) {
        let presence = self.store.register(LONG).await.expect("the database is there");
        self.model.register(presence.runner, LONG);
        self.say(format!("{:?} registers", presence.runner));
        self.presences.push(presence);
    }

    /// Runners come, beat, fall silent, and go.
    pub(super) async fn presence(&mut self) {
        if self.presences.is_empty() || self.presences.len() < 4 && self.chance(0.3) {
            return self.register().await;
        }
        let nth = self.below(self.presences.len());
        let runner = self.presences[nth].runner;
        match self.below(5) {
            0 => {
                self.say(format!("{runner:?} leaves"));
                self.store.leave(runner).await.expect("the database is there");
                self.model.leave(runner);
            }
            1 => {
                self.say(format!("{runner:?} loses its session"));
                self.end_session(runner).await;
                self.model.lose_session(runner);
            }
            2 => {
                let driven: Vec<ExecutionId> = self.executions.iter().copied().step_by(2).collect();
                self.say(format!("{runner:?} beats"));
                let presence = &mut self.presences[nth];
                let real = self
                    .store
                    .heartbeat(presence, async || driven.iter().copied().collect(), LONG)
                    .await
                    .expect("it is there");
                let model = self.model.heartbeat(runner, &driven, LONG);
                self.same("alive", real, model);
            }
            _ => {
                self.say("others are looked after");
                let real = self.store.take_over().await.expect("the database is there");
                let model = self.model.take_over();
                self.same("taken over", usize::try_from(real).ok(), Some(model));
            }
        }
    }

    /// The backend that holds the runner's lock ends.
    async fn end_session(&self, runner: RunnerId) {
        sqlx::query(
            "SELECT pg_terminate_backend(pid, 5000)
             FROM pg_locks
             WHERE locktype = 'advisory' AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)",
        )
        .bind(runner.0.to_string())
        .execute(&self.owner)
        .await
        .expect("the owner may end it");
    }

    /// What is read only, and what wakes many at once.
    pub(super) async fn look(&mut self) {
        self.say("look");
        let real = self.store.next_due().await.expect("the database is there");
        let model = self.model.next_due();
        self.same("something waits", real.is_some(), model.is_some());
        if self.chance(0.3) {
            self.say("what is parked wakes");
            let back = self.one_of(&ACTIONS).expect("there are some");
            let back = BTreeSet::from([back.parse().expect("an action")]);
            self.store
                .wake_parked(&back)
                .await
                .expect("the database is there");
            self.model.wake_parked(&back);
        }
        let real = self.store.wake_free().await.expect("the database is there");
        let model = self.model.wake_free();
        self.same("woken", usize::try_from(real).ok(), Some(model));
        if let Some(id) = self.one_of(&self.executions.clone()) {
            let real = self.store.news(id).await.expect("it is there");
            let model = self.model.news(id);
            self.same("news", real, model);
            let real = self.store.cancelled(id).await.expect("it is there");
            let model = self.model.cancelled(id);
            self.same("cancelled", real, model);
        }
    }
}
