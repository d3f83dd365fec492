//! The one statement by which executions begin and go on: their new states, the calls of their steps, the audit, what tickets are
//! told and whose turn each ticket is. One statement is one round trip, and by itself one transaction; what is written of an
//! execution hangs on whether its own row could be written.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use chassis::audit::{AuditEvent, AuditRows};
use common::{ExecutionId, Service, TicketId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::accept::{ExecutionEntry, NewExecution};
use super::claim::interval;
use super::commit::{Hold, Write, Written};
use super::shape::Shape;
use super::signal::SignalWrite;
use super::steps::StepWrite;
use super::telling::{Telling, UpdateWrite};
use super::{ClaimedTicket, Standing, Store, StoreError, StoredState};

/// What is to be put down.
#[derive(Debug, Default)]
pub(super) struct Down<'d> {
    /// Executions that go on, each if it is still in the hands of its runner. None is named twice.
    pub(super) writes: Vec<&'d Write>,
    /// New executions, each if its decision and its ticket have none. Where a switch is off, one does not begin.
    pub(super) new: Vec<&'d NewExecution>,
    /// Executions that are as they should be: what is said of them is put down whatever becomes of the others.
    pub(super) known: Vec<ExecutionId>,
    /// Of executions that are written, begin or are known.
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
    /// What the write of each execution found; without one, nothing of it was put down.
    pub(super) written: HashMap<ExecutionId, Written>,
    /// The new executions that are there now, and whether they have begun. The others met an execution of the same decision, or an
    /// open one on the same ticket.
    pub(super) accepted: HashMap<ExecutionId, bool>,
    /// Tickets in our hands.
    pub(super) taken: Vec<ClaimedTicket>,
}

impl Store {
    /// Put it down, all or nothing.
    ///
    /// Tickets are locked in one order everywhere, so that two who tell the same never wait for each other. A sender at work
    /// sees the count when it lets go; one that waits for the help desk to come back goes on waiting.
    pub(super) async fn put_down(
        &self,
        connection: &mut PgConnection,
        down: &Down<'_>,
    ) -> Result<Laid, StoreError> {
        let until = Instant::now() + down.lease;
        let executions: Vec<ExecutionWrite<'_>> = down
            .writes
            .iter()
            .map(|write| ExecutionWrite::of(write))
            .collect();
        let known: Vec<Uuid> = down.known.iter().map(|known| known.0).collect();
        let new: Vec<ExecutionEntry<'_>> = down.new.iter().map(|new| ExecutionEntry::of(new)).collect();
        let going_on = || down.writes.iter().copied().chain(down.begun());
        let steps: Vec<StepWrite<'_>> = going_on().flat_map(StepWrite::all_of).collect();
        let signals: Vec<SignalWrite<'_>> = down
            .writes
            .iter()
            .filter_map(|write| SignalWrite::of(write))
            .collect();
        let updates: Vec<UpdateWrite<'_>> = down.tellings.iter().flat_map(UpdateWrite::all_of).collect();
        let accepted: Vec<AuditEvent> = down.new.iter().map(|new| new.accepted()).collect();
        let events = accepted.iter().chain(down.audit.iter().copied());
        let audit = AuditRows::of(Service::Orchestration, &self.tenant, events);
        let take: Vec<&str> = down.take.iter().map(|ticket| ticket.as_str()).collect();
        let shape = Shape {
            begins: !new.is_empty(),
            hears: !signals.is_empty(),
            tells: !updates.is_empty(),
        };
        let rows = sqlx::query_as(shape.sql())
            .bind(self.tenant_id())
            .bind(&executions[..])
            .bind(&known[..])
            .bind(&new[..])
            .bind(&steps[..])
            .bind(&signals[..])
            .bind(&updates[..])
            .bind(audit.service)
            .bind(&audit.entries[..])
            .bind(audit.at)
            .bind(i64::try_from(accepted.len()).unwrap_or(i64::MAX))
            .bind(&take[..])
            .bind(interval(down.lease))
            .bind(Uuid::new_v4())
            .fetch_all(connection)
            .await?;
        laid(rows, &down.writes, until)
    }
}

impl<'d> Down<'d> {
    /// How new executions begin.
    fn begun(&self) -> impl Iterator<Item = &'d Write> {
        self.new.iter().filter_map(|new| new.begun.as_ref())
    }
}

/// What became of an execution that was to go on or to begin, or a ticket that was taken.
#[derive(sqlx::FromRow)]
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
    let going_on: HashSet<ExecutionId> = writes.iter().map(|write| write.execution).collect();
    let mut laid = Laid::default();
    for row in rows {
        if let Some(execution) = row.execution_id.map(ExecutionId) {
            let kept = row.kept.unwrap_or_default();
            if going_on.contains(&execution) {
                let (paused, switched_off) = (row.paused, row.switched_off);
                let written = Written {
                    signals: row.signals.unwrap_or_default(),
                    kept,
                    standing: Standing::of(paused.unwrap_or_default(), switched_off.unwrap_or_default()),
                };
                laid.written.insert(execution, written);
            } else {
                laid.accepted.insert(execution, kept);
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

/// A row of `execution_write`.
#[expect(clippy::struct_excessive_bools, reason = "columns")]
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "execution_write")]
struct ExecutionWrite<'w> {
    id: Uuid,
    runner: Uuid,
    fence: i64,
    state: &'w StoredState,
    status: &'w str,
    reason: Option<&'w str>,
    parked_since: Option<OffsetDateTime>,
    parked_told: bool,
    ended: bool,
    until: Option<OffsetDateTime>,
    signals: i64,
    at: OffsetDateTime,
    held: bool,
    takes: bool,
}

chassis::rows!(ExecutionWrite, "execution_write");

impl<'w> ExecutionWrite<'w> {
    fn of(write: &'w Write) -> Self {
        Self {
            id: write.execution.0,
            runner: write.runner.0,
            fence: write.fence,
            state: &write.state,
            status: write.status.as_str(),
            reason: write.reason.as_deref(),
            parked_since: write.parked_since,
            parked_told: write.parked_told,
            ended: write.hold == Hold::Ended,
            until: match write.hold {
                Hold::Until(at) => Some(at),
                Hold::Keep | Hold::Ended => None,
            },
            signals: write.signals,
            at: write.now,
            held: write.held,
            takes: write.arrival.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::{OperationId, clock};
    use launcher::testing::TestDatabase;

    use super::super::{Arrival, Claimed, Closing, Committed, Entry, Left, Settled, Take, Then, stored};
    use super::*;
    use crate::facts::Given;
    use crate::update::Update;

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
    async fn whatever_else_there_is_to_do_is_done_with_it() {
        let (_database, store, execution) = in_hand().await;
        let mut signals = 0;
        for (nth, shape) in Shape::all().enumerate() {
            let news = [Update::Resolved];
            let news = if shape.tells { &news[..] } else { &[] };
            let mut entries = vec![Entry::Step(Box::new(stored::write(&execution, news)))];
            if shape.begins {
                let new = stored::new(&store, &format!("5{nth}"), Given::default());
                entries.push(Entry::New(Box::new(new)));
            }
            if shape.hears {
                let free = stored::new(&store, &format!("6{nth}"), Given::default());
                let claimed = Claimed::new(&free, store.tenant(), execution.runner);
                let accepted = store.commit(&[Entry::New(Box::new(free))], Take::default()).await;
                assert!(accepted.unwrap().found[0].is_some());
                let heard = Write {
                    signals: 1,
                    arrival: Some(Box::new(arrival(&store))),
                    ..stored::write(&claimed, &[])
                };
                entries.push(Entry::Step(Box::new(heard)));
                signals += 1;
            }
            let take = Take {
                most: 1,
                lease: LEASE,
            };
            let Committed { found, taken } = store.commit(&entries, take).await.unwrap();
            assert!(found.iter().all(Option::is_some), "{shape:?}: {found:?}");
            assert_eq!(taken.len(), usize::from(shape.tells), "{shape:?}");
            for ticket in &taken {
                let told = store.close(&[closing(ticket, Then::Rest)]).await.unwrap();
                assert_eq!(told, [Some(Left::Gone)]);
            }
            let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM execution_signals")
                .fetch_one(&store.pool)
                .await
                .unwrap();
            assert_eq!(stored, signals, "{shape:?}");
        }
    }

    fn arrival(store: &Store) -> Arrival {
        Arrival {
            signal: stored::approval(store, OperationId::fresh()),
            sender: "verification".to_owned(),
            at: clock::now(),
            applied: true,
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
