//! The one statement by which executions go on: their new states, the calls of their steps, the audit, what tickets are told
//! and whose turn each ticket is. One statement is one round trip, and by itself one transaction; what is written of an
//! execution hangs on whether its own row could be written.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chassis::audit::{AuditEvent, AuditRows};
use common::{ExecutionId, Service, TicketId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claim::interval;
use super::commit::{Hold, Write, Written};
use super::steps::StepColumns;
use super::telling::{Telling, TellingColumns};
use super::{ClaimedTicket, Standing, Store, StoreError};

/// What is to be put down.
#[derive(Debug, Default)]
pub(super) struct Down<'d> {
    /// Executions that go on, each if it is still in the hands of its runner.
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
    /// What each write found; without one, nothing of its execution was put down.
    pub(super) written: HashMap<ExecutionId, Written>,
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
        let going_on: Vec<&Write> = down.writes.iter().chain(&down.begun).copied().collect();
        let execution = Columns::of(&down.writes);
        let step = StepColumns::of(&going_on);
        let audit = AuditRows::of(Service::Orchestration, down.audit.iter().copied());
        let telling = TellingColumns::of(&down.tellings)?;
        let known: Vec<Uuid> = down.known.iter().map(|known| known.0).collect();
        let take: Vec<&str> = down.take.iter().map(|ticket| ticket.as_str()).collect();
        let claim = Uuid::new_v4();
        let rows = sqlx::query!(
            r#"WITH written AS (
                 UPDATE playbook_executions execution
                 SET state = new.state,
                     status = new.status,
                     reason = new.reason,
                     parked_since = new.parked_since,
                     parked_told = new.parked_told,
                     held = new.held,
                     ended_at = CASE WHEN new.ended THEN new.at END,
                     runner = CASE
                         WHEN new.ended OR (new.until IS NOT NULL AND execution.signals = new.signals) THEN NULL
                         ELSE execution.runner
                     END,
                     -- Kept in our hands it stays as it was, long past: an update that changes no indexed column is cheap.
                     wake_at = CASE
                         WHEN new.ended THEN NULL
                         WHEN new.until IS NULL THEN execution.wake_at
                         WHEN execution.signals = new.signals THEN new.until
                         ELSE now()
                     END
                 FROM UNNEST(
                     $2::uuid[], $3::uuid[], $4::bigint[], $5::jsonb[], $6::text[], $7::text[], $8::timestamptz[],
                     $9::boolean[], $10::boolean[], $11::timestamptz[], $12::bigint[], $13::timestamptz[], $14::boolean[]
                 ) AS new (
                     id, runner, fence, state, status, reason, parked_since, parked_told, ended, until, signals, at, held
                 )
                 WHERE execution.tenant_id = $1 AND execution.id = new.id AND execution.runner = new.runner
                   AND execution.fence = new.fence
                 RETURNING
                     execution.id, execution.signals, execution.runner IS NOT NULL AS kept,
                     execution.paused_at IS NOT NULL AS paused,
                     EXISTS (
                         SELECT FROM switches
                         WHERE switches.tenant_id IN (execution.tenant_id, '')
                           AND switches.name IN ('', execution.playbook_name)
                     ) AS switched_off
             ), ours AS (
                 SELECT id FROM written
                 UNION ALL
                 SELECT * FROM UNNEST($15::uuid[])
             ), steps AS (
                 INSERT INTO playbook_step_executions AS step
                     (tenant_id, execution_id, step_id, visit, attempt, name, action, operation_id, asked,
                      outcome, explanation, output, started_at, ended_at)
                 SELECT $1, new.execution_id, new.step_id, new.visit, new.attempt, new.name, new.action, new.operation_id,
                        new.asked, new.outcome, new.explanation, new.output, new.at,
                        CASE WHEN new.outcome IS NOT NULL THEN new.at END
                 FROM UNNEST(
                     $16::uuid[], $17::text[], $18::integer[], $19::integer[], $20::text[], $21::text[], $22::uuid[],
                     $23::text[], $24::text[], $25::text[], $26::jsonb[], $27::timestamptz[]
                 ) WITH ORDINALITY AS new (
                     execution_id, step_id, visit, attempt, name, action, operation_id, asked,
                     outcome, explanation, output, at, nth
                 )
                 WHERE new.execution_id IN (SELECT id FROM ours)
                 ORDER BY new.nth
                 ON CONFLICT (tenant_id, execution_id, step_id, visit, attempt) DO UPDATE
                 SET operation_id = COALESCE(EXCLUDED.operation_id, step.operation_id),
                     asked = COALESCE(EXCLUDED.asked, step.asked),
                     outcome = EXCLUDED.outcome,
                     explanation = EXCLUDED.explanation,
                     output = EXCLUDED.output,
                     ended_at = EXCLUDED.ended_at
             ), audit AS (
                 INSERT INTO audit_events (tenant_id, id, service, ticket_id, execution_id, kind, actor, detail, at)
                 SELECT $1, new.id, $28, new.ticket_id, new.execution_id, new.kind, new.actor, new.detail, $35
                 FROM UNNEST($29::uuid[], $30::text[], $31::uuid[], $32::text[], $33::text[], $34::jsonb[])
                      AS new (id, ticket_id, execution_id, kind, actor, detail)
                 WHERE new.execution_id IN (SELECT id FROM ours)
             ), told AS (
                 SELECT *
                 FROM UNNEST(
                     $36::text[], $37::uuid[], $38::text[], $39::text[], $40::jsonb[], $41::timestamptz[], $42::float8[]
                 ) WITH ORDINALITY AS new (ticket_id, execution_id, marker, kind, body, at, linger_s, nth)
                 WHERE new.execution_id IN (SELECT id FROM ours)
             ), updates AS (
                 INSERT INTO ticket_updates (tenant_id, ticket_id, execution_id, marker, kind, body, created_at)
                 SELECT $1, ticket_id, execution_id, marker, kind, body, at FROM told ORDER BY nth
             ), outboxes AS (
                 INSERT INTO ticket_outboxes AS outbox (tenant_id, ticket_id, enqueued, held, claim, fence, wake_at)
                 SELECT $1, news.ticket_id, 1, news.take, CASE WHEN news.take THEN $45::uuid END, news.take::integer,
                        now() + CASE WHEN news.take THEN $44::interval ELSE make_interval(secs => news.linger_s) END
                 FROM (
                     SELECT ticket_id, ticket_id = ANY($43::text[]) AS take, MIN(linger_s) AS linger_s
                     FROM told
                     GROUP BY ticket_id
                 ) AS news
                 ORDER BY news.ticket_id
                 ON CONFLICT (tenant_id, ticket_id) DO UPDATE
                 SET enqueued = outbox.enqueued + 1,
                     held = outbox.held OR (EXCLUDED.held AND outbox.failures = 0),
                     claim = CASE WHEN outbox.held OR outbox.failures > 0 THEN outbox.claim ELSE EXCLUDED.claim END,
                     fence = outbox.fence + CASE WHEN outbox.held OR outbox.failures > 0 THEN 0 ELSE EXCLUDED.fence END,
                     wake_at = CASE
                         WHEN outbox.held OR outbox.failures > 0 THEN outbox.wake_at
                         WHEN EXCLUDED.held THEN EXCLUDED.wake_at
                         ELSE LEAST(outbox.wake_at, EXCLUDED.wake_at)
                     END
                 RETURNING ticket_id, fence, enqueued, doubt, claim
             )
             SELECT id AS execution_id, signals, kept, paused, switched_off,
                    NULL AS ticket_id, NULL::bigint AS fence, NULL::bigint AS enqueued, NULL::boolean AS doubt,
                    NULL AS traceparent
             FROM written
             UNION ALL
             SELECT NULL, NULL, NULL, NULL, NULL, ticket_id, fence, enqueued, doubt,
                    (
                        SELECT execution.traceparent
                        FROM playbook_executions execution
                        WHERE execution.tenant_id = $1 AND execution.ticket_id = outboxes.ticket_id
                        ORDER BY execution.id DESC
                        LIMIT 1
                    )
             FROM outboxes
             WHERE claim = $45::uuid"#,
            self.tenant_id(),
            &execution.ids,
            &execution.runners,
            &execution.fences,
            &execution.states as &[&serde_json::Value],
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
            &step.outputs,
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
            &telling.bodies,
            &telling.at,
            &telling.linger_s,
            &take as &[&str],
            interval(down.lease),
            claim,
        )
        .fetch_all(connection)
        .await?;
        let mut laid = Laid::default();
        for row in rows {
            match (row.execution_id, row.ticket_id) {
                (Some(execution), _) => {
                    let written = Written {
                        signals: row.signals.unwrap_or_default(),
                        kept: row.kept.unwrap_or_default(),
                        standing: Standing::of(
                            row.paused.unwrap_or_default(),
                            row.switched_off.unwrap_or_default(),
                        ),
                    };
                    laid.written.insert(ExecutionId(execution), written);
                }
                (None, Some(ticket)) => laid.taken.push(ClaimedTicket {
                    ticket: ticket.parse().map_err(StoreError::corrupt("ticket_outboxes"))?,
                    fence: row.fence.unwrap_or_default(),
                    enqueued: row.enqueued.unwrap_or_default(),
                    doubt: row.doubt.unwrap_or_default(),
                    failures: 0,
                    traceparent: row.traceparent,
                    until,
                }),
                (None, None) => {}
            }
        }
        Ok(laid)
    }
}

/// Writes by column of `playbook_executions`.
#[derive(Default)]
struct Columns<'w> {
    ids: Vec<Uuid>,
    runners: Vec<Uuid>,
    fences: Vec<i64>,
    states: Vec<&'w serde_json::Value>,
    statuses: Vec<&'w str>,
    reasons: Vec<Option<&'w str>>,
    parked_since: Vec<Option<OffsetDateTime>>,
    parked_told: Vec<bool>,
    ended: Vec<bool>,
    until: Vec<Option<OffsetDateTime>>,
    signals: Vec<i64>,
    at: Vec<OffsetDateTime>,
    held: Vec<bool>,
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
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use launcher::testing::TestDatabase;

    use super::super::{Claimed, Closing, Committed, Entry, Left, Take, Then, stored};
    use super::*;
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
