//! The one statement by which executions go on: their new states, the calls of their steps, the audit, what tickets are told
//! and whose turn each ticket is. One statement is one round trip, and by itself one transaction; what is written of an
//! execution hangs on whether its own row could be written.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chassis::audit::{AuditEvent, AuditRows};
use common::{ExecutionId, Service, TicketId, Values};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claim::interval;
use super::commit::{Hold, Write, Written};
use super::signal::ArrivalColumns;
use super::steps::StepColumns;
use super::telling::{Telling, TellingColumns};
use super::{ClaimedTicket, Standing, Store, StoreError, StoredState};
use crate::update::Update;

/// What is to be put down.
#[derive(Debug, Default)]
pub(super) struct Down<'d> {
    /// Executions that go on, each if it is still in the hands of its runner. None is named twice.
    pub(super) writes: Vec<&'d Write>,
    /// Executions that are as they should be: what is said of them is put down whatever becomes of the others.
    pub(super) known: Vec<ExecutionId>,
    /// Of executions in `known` that began: the calls of their steps.
    pub(super) begun: Vec<&'d Write>,
    pub(super) audit: Vec<&'d AuditEvent>,
    pub(super) tellings: Vec<Telling<'d>>,
    /// Tickets that whoever puts this down tells their news at once, where nobody else has them in hand.
    pub(super) take: Vec<&'d TicketId>,
    /// For how long.
    pub(super) lease: Duration,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Laid {
    /// What each write found, by its execution and fence; without one, nothing of it was put down.
    pub(super) written: HashMap<(ExecutionId, i64), Written>,
    /// Tickets in our hands.
    pub(super) taken: Vec<ClaimedTicket>,
}

impl Laid {
    /// Whether it was put down.
    pub(super) fn wrote(&self, write: &Write) -> bool {
        self.written.contains_key(&(write.execution, write.fence))
    }
}

impl Store {
    /// Put it down, all or nothing.
    ///
    /// Tickets are locked in one order everywhere, so that two who tell the same never wait for each other. A sender at work
    /// sees the count when it lets go; one that waits for the help desk to come back goes on waiting.
    #[expect(
        clippy::cognitive_complexity,
        reason = "the macro's, one branch for each argument"
    )]
    pub(super) async fn put_down(
        &self,
        connection: &mut PgConnection,
        down: &Down<'_>,
    ) -> Result<Laid, StoreError> {
        let until = Instant::now() + down.lease;
        let going_on: Vec<&Write> = down.writes.iter().chain(&down.begun).copied().collect();
        let execution = Columns::of(&down.writes);
        let arrival = ArrivalColumns::of(&down.writes)?;
        let step = StepColumns::of(&going_on);
        let audit = AuditRows::of(Service::Orchestration, &self.tenant, down.audit.iter().copied());
        let telling = TellingColumns::of(&down.tellings);
        let known: Vec<Uuid> = down.known.iter().map(|known| known.0).collect();
        let take: Vec<&str> = down.take.iter().map(|ticket| ticket.as_str()).collect();
        let claim = Uuid::new_v4();
        let rows = sqlx::query_file_as!(
            LaidRow,
            "src/store/down.sql",
            self.tenant_id(),
            &execution.ids,
            &execution.runners,
            &execution.fences,
            &execution.states as &[&StoredState],
            &execution.statuses as &[&str],
            &execution.reasons as &[Option<&str>],
            &execution.parked_since as &[Option<OffsetDateTime>],
            &execution.parked_told,
            &execution.ended,
            &execution.until as &[Option<OffsetDateTime>],
            &execution.signals,
            &execution.at,
            &execution.held,
            &known,
            &step.executions,
            &step.steps as &[&str],
            &step.visits,
            &step.attempts,
            &step.names as &[&str],
            &step.actions as &[Option<&str>],
            &step.operations as &[Option<Uuid>],
            &step.asked as &[Option<&str>],
            &step.outcomes as &[Option<&str>],
            &step.explanations as &[Option<&str>],
            &step.outputs as &[Json<&Values>],
            &step.at,
            audit.service,
            &audit.ids,
            &audit.tickets as &[Option<&str>],
            &audit.executions as &[Option<Uuid>],
            &audit.kinds as &[&str],
            &audit.actors,
            &audit.details as &[&serde_json::Value],
            audit.at,
            &telling.tickets as &[&str],
            &telling.executions,
            &telling.markers,
            &telling.kinds as &[&str],
            &telling.bodies as &[Json<&Update>],
            &telling.at,
            &telling.linger_s,
            &take as &[&str],
            interval(down.lease),
            claim,
            &execution.takes,
            &arrival.executions,
            &arrival.operations,
            &arrival.steps as &[&str],
            &arrival.visits,
            &arrival.attempts,
            &arrival.results,
            &arrival.senders as &[&str],
            &arrival.at,
            &arrival.applied,
            &audit.digests as &[Vec<u8>],
        )
        .fetch_all(connection)
        .await?;
        laid(rows, &down.writes, until)
    }
}

/// What became of an execution that was to go on, or a ticket that was taken.
struct LaidRow {
    execution_id: Option<Uuid>,
    signals: Option<i64>,
    kept: Option<bool>,
    paused: Option<bool>,
    switched_off: Option<bool>,
    ticket_id: Option<String>,
    fence: Option<i64>,
    enqueued: Option<i64>,
    doubt: Option<bool>,
    traceparent: Option<String>,
}

fn laid(rows: Vec<LaidRow>, writes: &[&Write], until: Instant) -> Result<Laid, StoreError> {
    let fences: HashMap<ExecutionId, i64> = writes
        .iter()
        .map(|write| (write.execution, write.fence))
        .collect();
    let mut laid = Laid::default();
    for row in rows {
        if let Some(execution) = row.execution_id {
            let (paused, switched_off) = (row.paused, row.switched_off);
            let written = Written {
                signals: row.signals.unwrap_or_default(),
                kept: row.kept.unwrap_or_default(),
                standing: Standing::of(paused.unwrap_or_default(), switched_off.unwrap_or_default()),
            };
            let execution = ExecutionId(execution);
            if let Some(fence) = fences.get(&execution) {
                laid.written.insert((execution, *fence), written);
            }
        }
        if let Some(ticket) = row.ticket_id {
            laid.taken.push(ClaimedTicket {
                ticket: ticket.parse().map_err(StoreError::corrupt("ticket_outboxes"))?,
                fence: row.fence.unwrap_or_default(),
                enqueued: row.enqueued.unwrap_or_default(),
                doubt: row.doubt.unwrap_or_default(),
                failures: 0,
                traceparent: row.traceparent,
                until,
            });
        }
    }
    Ok(laid)
}

/// Writes by column of `playbook_executions`.
#[derive(Default)]
struct Columns<'w> {
    ids: Vec<Uuid>,
    runners: Vec<Uuid>,
    fences: Vec<i64>,
    states: Vec<&'w StoredState>,
    statuses: Vec<&'w str>,
    reasons: Vec<Option<&'w str>>,
    parked_since: Vec<Option<OffsetDateTime>>,
    parked_told: Vec<bool>,
    ended: Vec<bool>,
    until: Vec<Option<OffsetDateTime>>,
    signals: Vec<i64>,
    at: Vec<OffsetDateTime>,
    held: Vec<bool>,
    takes: Vec<bool>,
}

impl<'w> Columns<'w> {
    fn of(writes: &[&'w Write]) -> Self {
        let mut columns = Self::default();
        for write in writes {
            let until = match write.hold {
                Hold::Until(at) => Some(at),
                Hold::Keep | Hold::Ended => None,
            };
            columns.ids.push(write.execution.0);
            columns.runners.push(write.runner.0);
            columns.fences.push(write.fence);
            columns.states.push(&write.state);
            columns.statuses.push(write.status.as_str());
            columns.reasons.push(write.reason.as_deref());
            columns.parked_since.push(write.parked_since);
            columns.parked_told.push(write.parked_told);
            columns.ended.push(write.hold == Hold::Ended);
            columns.until.push(until);
            columns.signals.push(write.signals);
            columns.at.push(write.now);
            columns.held.push(write.held);
            columns.takes.push(write.arrival.is_some());
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use launcher::testing::TestDatabase;

    use super::super::{Claimed, Closing, Committed, Entry, Left, Settled, Take, Then, stored};
    use super::*;

    const LEASE: Duration = Duration::from_mins(1);

    /// An execution on ticket 4242 in the hands of a runner.
    async fn in_hand() -> (TestDatabase, Store, Claimed) {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        stored::execution(&store, "4242", &[]).await;
        let runner = store.register(LEASE).await.unwrap().runner;
        let claimed = store.claim_due(runner, 1).await.unwrap().remove(0);
        (database, store, claimed)
    }

    async fn commit(store: &Store, write: Write, most: usize) -> Committed {
        let take = Take { most, lease: LEASE };
        let committed = store.commit(&[Entry::Step(Box::new(write))], take).await;
        committed.unwrap()
    }

    fn closing(claimed: &ClaimedTicket, then: Then) -> Closing {
        Closing {
            ticket: claimed.ticket.clone(),
            fence: claimed.fence,
            enqueued: claimed.enqueued,
            settled: vec![],
            words: vec![],
            audit: vec![],
            then,
            lease: LEASE,
        }
    }

    #[tokio::test]
    async fn a_ticket_is_taken_with_its_news_where_nobody_has_it_in_hand() {
        let (_database, store, execution) = in_hand().await;
        let news = || stored::write(&execution, &[Update::Resolved]);
        let taken = commit(&store, news(), 1).await.taken;
        let [ticket] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!((ticket.fence, ticket.enqueued, ticket.doubt), (1, 1, false));
        assert_eq!(store.claim_tickets(1, LEASE).await.unwrap(), []);
        // In hand, it is not taken again: whoever has it is told that there is more.
        assert_eq!(commit(&store, news(), 1).await.taken, []);
        let left = store.close(&[closing(ticket, Then::Rest)]).await.unwrap();
        assert_eq!(left, [Some(Left::Kept(2))]);
    }

    #[tokio::test]
    async fn without_a_place_for_it_a_ticket_is_found_by_whoever_looks() {
        let (_database, store, execution) = in_hand().await;
        let news = stored::write(&execution, &[Update::Resolved]);
        assert_eq!(commit(&store, news, 0).await.taken, []);
        let found = store.claim_tickets(1, LEASE).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(!found[0].doubt);
    }

    #[tokio::test]
    async fn a_ticket_that_waits_for_the_help_desk_goes_on_waiting() {
        let (_database, store, execution) = in_hand().await;
        let news = || stored::write(&execution, &[Update::Resolved]);
        let taken = commit(&store, news(), 1).await.taken;
        let again = Then::Again {
            wait: LEASE,
            doubt: true,
        };
        let left = store.close(&[closing(&taken[0], again)]).await.unwrap();
        assert_eq!(left, [Some(Left::Gone)]);
        assert_eq!(commit(&store, news(), 1).await.taken, []);
        assert!(store.next_ticket_due().await.unwrap().unwrap() > LEASE / 2);
    }

    #[tokio::test]
    async fn an_old_drive_of_the_same_execution_in_the_same_batch_puts_nothing_down() {
        let (_database, store, execution) = in_hand().await;
        let news = |fence| {
            let write = Write {
                fence,
                ..stored::write(&execution, &[Update::Resolved])
            };
            Entry::Step(Box::new(write))
        };
        let batch = [news(execution.fence - 1), news(execution.fence)];
        let committed = store.commit(&batch, Take::default()).await.unwrap();
        let written: Vec<bool> = committed.found.iter().map(Option::is_some).collect();
        assert_eq!(written, [false, true]);
        let due = store.due_updates(&[&execution.ticket]).await.unwrap();
        assert_eq!(due[&execution.ticket].len(), 1);
    }

    #[tokio::test]
    async fn a_sender_that_overslept_puts_nothing_down_beside_its_heir() {
        let (_database, store, execution) = in_hand().await;
        let news = stored::write(&execution, &[Update::Resolved]);
        let overslept = commit(&store, news, 1).await.taken.remove(0);
        // It could not be told, and is taken anew.
        let again = Then::Again {
            wait: Duration::ZERO,
            doubt: true,
        };
        store.close(&[closing(&overslept, again)]).await.unwrap();
        let heir = store.claim_tickets(1, LEASE).await.unwrap().remove(0);
        let due = store.due_updates(&[&execution.ticket]).await.unwrap();
        let position = due[&execution.ticket][0].position;
        let stale = Closing {
            settled: vec![(position, Settled::Sent)],
            ..closing(&overslept, Then::Rest)
        };
        let left = store.close(&[stale, closing(&heir, again)]).await.unwrap();
        assert_eq!(left, [None, Some(Left::Gone)]);
        let due = store.due_updates(&[&execution.ticket]).await.unwrap();
        assert_eq!(due[&execution.ticket].len(), 1);
    }

    #[tokio::test]
    async fn of_an_execution_that_is_somebody_elses_nothing_is_put_down() {
        let (_database, store, execution) = in_hand().await;
        let overslept = Write {
            fence: execution.fence - 1,
            ..stored::write(&execution, &[Update::Resolved])
        };
        let Committed { found, taken } = commit(&store, overslept, 1).await;
        assert_eq!((found, taken), (vec![None], vec![]));
        let due = store.due_updates(&[&execution.ticket]).await.unwrap();
        assert_eq!(due.len(), 0);
    }
}
