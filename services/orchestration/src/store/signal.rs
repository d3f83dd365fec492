//! Signals: stored before they are acknowledged, each operation once; what they change is the runner's affair.

use chassis::audit::AuditEvent;
use common::{ActionName, ExecutionId, OperationId, Signal, StepResult, TenantId};
use serde_json::json;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claim::DueRow;
use super::commit::ordinal;
use super::{Arrival, Claimed, EXECUTIONS, RunnerId, Store, StoreError, StoredState, Write, let_go, notify};
use crate::chronicle::Subject;

/// What became of a signal that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Stored; a runner will look at it.
    Stored,
    /// It was here before.
    Repeated,
    /// The execution has ended.
    Late,
}

/// Why a signal was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignalRefused {
    /// It names another tenant than this fleet's.
    #[error("tenant `{0}` is not this fleet's")]
    WrongTenant(TenantId),
    /// No such execution.
    #[error("execution `{0}` not found")]
    UnknownExecution(ExecutionId),
    /// The execution never made this call, or of somebody else, or it began another operation.
    #[error("operation `{0}` does not belong to this call of the execution")]
    Foreign(OperationId),
    /// The database did not take it.
    #[error("cannot store the signal")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SignalRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Arrival {
    /// That it was taken, for the record.
    pub(crate) fn event(&self, about: Subject<'_>) -> AuditEvent {
        event("signal.received", &self.signal, &self.sender)
            .ticket(about.ticket)
            .execution(about.execution)
    }
}

fn event(kind: &'static str, signal: &Signal, sender: &str) -> AuditEvent {
    let detail =
        json!({"operation": signal.operation, "step": signal.step, "outcome": signal.result.outcome});
    AuditEvent::new(kind, detail).actor(format!("service:{sender}"))
}

impl Store {
    /// How `runner` would claim an execution for this signal of `sender`, were it to take it now: `None` where it is in
    /// somebody's hands, over, or held, where another signal has not been looked at, and where this one is here already or
    /// does not belong. Nothing is written.
    pub(crate) async fn waiting(
        &self,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
        runner: RunnerId,
    ) -> Result<Option<Claimed>, StoreError> {
        let row = sqlx::query_as!(
            DueRow,
            r#"SELECT
                 execution.id, ticket_id, playbook_digest, subject_id, requester_name, ticket, facts, traceparent, status,
                 state AS "state: StoredState", signals + 1 AS "signals!", cancelled, parked_since, parked_told, fence + 1 AS "fence!",
                 now() AS "now!", held, insisted, false AS "paused!", false AS "switched_off!",
                 (
                     SELECT COALESCE(
                         jsonb_agg(jsonb_build_object('step', step.step_id, 'visit', step.visit, 'asked', step.asked)),
                         '[]'
                     )
                     FROM playbook_step_executions step
                     WHERE step.tenant_id = $1 AND step.execution_id = execution.id AND step.outcome IS NULL
                       AND step.asked IS NOT NULL
                 ) AS "asked!"
             FROM playbook_executions execution
             WHERE execution.tenant_id = $1 AND execution.id = $2 AND ended_at IS NULL AND runner IS NULL
               AND cancelled IS NULL AND paused_at IS NULL AND NOT held AND NOT insisted
               AND NOT EXISTS (
                   SELECT FROM switches
                   WHERE switches.tenant_id IN (execution.tenant_id, '')
                     AND switches.name IN ('', execution.playbook_name)
               )
               AND NOT EXISTS (
                   SELECT FROM execution_signals known
                   WHERE known.tenant_id = $1 AND known.execution_id = $2
                     AND (known.operation_id = $3 OR known.handled_at IS NULL)
               )
               AND EXISTS (
                   SELECT FROM playbook_step_executions step
                   WHERE step.tenant_id = $1 AND step.execution_id = $2 AND step.step_id = $4 AND step.visit = $5
                     AND split_part(step.action, '.', 1) = $6
                     AND (step.operation_id IS NULL OR step.operation_id = $3)
               )"#,
            self.tenant_id(),
            execution.0,
            signal.operation.0,
            signal.step.id.as_str(),
            ordinal(signal.step.visit),
            sender,
        )
        .fetch_optional(&self.pool)
        .await?;
        // One that cannot be read is for whoever claims it.
        Ok(row.and_then(|row| row.claimed_by(runner, &self.tenant).ok()))
    }

    /// Take a signal of `sender`. Where it may change something and nobody has the execution in hand, `runner` takes it in
    /// the same transaction; without one a runner is woken.
    pub(crate) async fn hear(
        &self,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
        now: OffsetDateTime,
        runner: Option<RunnerId>,
    ) -> Result<(Heard, Option<Claimed>), SignalRefused> {
        let mut transaction = self.pool.begin().await?;
        // Locked, so that a runner letting go either sees the count below or has let go before.
        let row = sqlx::query!(
            r#"SELECT ticket_id, ended_at, insisted, runner IS NULL AS "free!"
             FROM playbook_executions
             WHERE tenant_id = $1 AND id = $2
             FOR NO KEY UPDATE"#,
            self.tenant_id(),
            execution.0,
        )
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(SignalRefused::UnknownExecution(execution))?;
        let belongs = self
            .must_belong(&mut transaction, execution, signal, sender)
            .await;
        if let Err(refused) = belongs {
            return let_go(transaction, Err(refused)).await;
        }
        let late = row.ended_at.is_some();
        let heard = self
            .keep_signal(&mut transaction, execution, signal, sender, now, late)
            .await?;
        let kind = match heard {
            Heard::Stored => "signal.received",
            Heard::Repeated => "signal.repeated",
            Heard::Late => "signal.late",
        };
        let ticket = row
            .ticket_id
            .parse()
            .map_err(StoreError::corrupt("playbook_executions"))?;
        let event = event(kind, signal, sender).ticket(&ticket).execution(execution);
        self.record(&mut transaction, &[event]).await?;
        let mut taken = None;
        if let Some(runner) = runner.filter(|_| heard == Heard::Stored && row.free) {
            let due = self
                .take(&mut transaction, execution, runner, row.insisted)
                .await?;
            taken = Some((due, runner));
        } else if heard == Heard::Stored {
            self.wake(&mut transaction, execution, row.free).await?;
        }
        transaction.commit().await?;
        let claimed = match taken {
            Some((due, runner)) => self.readable(due, runner).await,
            None => None,
        };
        Ok((heard, claimed))
    }

    /// The signal itself; `late` where its execution has ended.
    async fn keep_signal(
        &self,
        connection: &mut sqlx::PgConnection,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
        now: OffsetDateTime,
        late: bool,
    ) -> Result<Heard, StoreError> {
        let result =
            serde_json::to_value(&signal.result).map_err(StoreError::corrupt("execution_signals"))?;
        let inserted = sqlx::query!(
            "INSERT INTO execution_signals
                 (tenant_id, execution_id, operation_id, step_id, visit, attempt, result, sender, received_at,
                  effect, handled_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz,
                     CASE WHEN $10 THEN 'late' END, CASE WHEN $10 THEN $9 END)
             ON CONFLICT DO NOTHING",
            self.tenant_id(),
            execution.0,
            signal.operation.0,
            signal.step.id.as_str(),
            ordinal(signal.step.visit),
            ordinal(signal.step.attempt),
            result,
            sender,
            now,
            late,
        )
        .execute(connection)
        .await?;
        let heard = match (inserted.rows_affected(), late) {
            (0, _) => Heard::Repeated,
            (_, true) => Heard::Late,
            (_, false) => Heard::Stored,
        };
        Ok(heard)
    }

    /// The execution has made this call (or an earlier attempt of the visit) of `sender`, and no other operation came of it.
    async fn must_belong(
        &self,
        connection: &mut sqlx::PgConnection,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
    ) -> Result<(), SignalRefused> {
        let calls = sqlx::query!(
            "SELECT action, operation_id
             FROM playbook_step_executions
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4",
            self.tenant_id(),
            execution.0,
            signal.step.id.as_str(),
            ordinal(signal.step.visit),
        )
        .fetch_all(connection)
        .await?;
        let belongs = calls.iter().any(|call| {
            let action = call
                .action
                .as_deref()
                .and_then(|action| action.parse::<ActionName>().ok());
            action.is_some_and(|action| action.service() == sender)
                && call
                    .operation_id
                    .is_none_or(|operation| operation == signal.operation.0)
        });
        if belongs {
            Ok(())
        } else {
            Err(SignalRefused::Foreign(signal.operation))
        }
    }

    /// `runner` has it in hand from now on, with one more signal to look at.
    async fn take(
        &self,
        connection: &mut sqlx::PgConnection,
        execution: ExecutionId,
        runner: RunnerId,
        insisted: bool,
    ) -> Result<DueRow, sqlx::Error> {
        sqlx::query_as!(
            DueRow,
            r#"UPDATE playbook_executions execution
             SET signals = signals + 1, wake_at = now(), runner = $3, fence = fence + 1, insisted = false
             WHERE execution.tenant_id = $1 AND execution.id = $2
             RETURNING
                 execution.id, ticket_id, playbook_digest, subject_id, requester_name, ticket, facts, traceparent, status,
                 state AS "state: StoredState", signals, cancelled, parked_since, parked_told, fence, now() AS "now!",
                 held, $4::boolean AS "insisted!", paused_at IS NOT NULL AS "paused!",
                 EXISTS (
                     SELECT FROM switches
                     WHERE switches.tenant_id IN (execution.tenant_id, '')
                       AND switches.name IN ('', execution.playbook_name)
                 ) AS "switched_off!",
                 (
                     SELECT COALESCE(
                         jsonb_agg(jsonb_build_object('step', step.step_id, 'visit', step.visit, 'asked', step.asked)),
                         '[]'
                     )
                     FROM playbook_step_executions step
                     WHERE step.tenant_id = $1 AND step.execution_id = execution.id AND step.outcome IS NULL
                       AND step.asked IS NOT NULL
                 ) AS "asked!""#,
            self.tenant_id(),
            execution.0,
            runner.0,
            insisted,
        )
        .fetch_one(connection)
        .await
    }

    /// Whoever has it in hand sees the count; `free`, somebody must come for it.
    async fn wake(
        &self,
        connection: &mut sqlx::PgConnection,
        execution: ExecutionId,
        free: bool,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE playbook_executions
             SET signals = signals + 1, wake_at = CASE WHEN runner IS NULL THEN now() ELSE wake_at END
             WHERE tenant_id = $1 AND id = $2",
            self.tenant_id(),
            execution.0,
        )
        .execute(&mut *connection)
        .await?;
        if free {
            notify(connection, EXECUTIONS).await?;
        }
        Ok(())
    }
}

/// A row of `signal_write`.
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "signal_write")]
pub(super) struct SignalWrite<'w> {
    execution_id: Uuid,
    operation_id: Uuid,
    step_id: &'w str,
    visit: i32,
    attempt: i32,
    result: Json<&'w StepResult>,
    sender: &'w str,
    at: OffsetDateTime,
    applied: bool,
}

chassis::rows!(SignalWrite, "signal_write");

impl<'w> SignalWrite<'w> {
    /// The signal that brought `write` about, if one did.
    pub(super) fn of(write: &'w Write) -> Option<Self> {
        let arrival = write.arrival.as_ref()?;
        let signal = &arrival.signal;
        Some(Self {
            execution_id: write.execution.0,
            operation_id: signal.operation.0,
            step_id: signal.step.id.as_str(),
            visit: ordinal(signal.step.visit),
            attempt: ordinal(signal.step.attempt),
            result: Json(&signal.result),
            sender: &arrival.sender,
            at: arrival.at,
            applied: arrival.applied,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::Values;
    use launcher::testing::TestDatabase;

    use super::super::{Entry, Hold, StepRow, Take, Write, stored};
    use super::*;

    const LEASE: Duration = Duration::from_mins(1);

    /// An execution that waits for `operation` of verification, in nobody's hands; and a runner.
    async fn waiting(operation: OperationId) -> (TestDatabase, Store, Claimed) {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        stored::execution(&store, "4242", &[]).await;
        let runner = store.register(LEASE).await.unwrap().runner;
        let claimed = store.claim_due(runner, 1).await.unwrap().remove(0);
        let step = StepRow {
            call: stored::approval(&store, operation).step,
            name: "Verify".to_owned(),
            action: Some("verification.mfa".parse().unwrap()),
            operation: Some(operation),
            asked: Some("Adele was asked.".to_owned()),
            outcome: None,
            explanation: None,
            output: Values::new(),
        };
        let write = Write {
            hold: Hold::Until(claimed.now + LEASE),
            steps: vec![step],
            ..stored::write(&claimed, &[])
        };
        let committed = store
            .commit(&[Entry::Step(Box::new(write))], Take::default())
            .await;
        assert!(committed.unwrap().found[0].is_some_and(|written| !written.kept));
        (database, store, claimed)
    }

    #[tokio::test]
    async fn a_signal_brings_its_execution_along_where_nobody_has_it_in_hand() {
        let operation = OperationId::fresh();
        let (_database, store, before) = waiting(operation).await;
        let (signal, now) = (stored::approval(&store, operation), before.now);
        let hear = async || {
            let heard = store.hear(before.id, &signal, "verification", now, Some(before.runner));
            heard.await.unwrap()
        };
        let (heard, claimed) = hear().await;
        let claimed = claimed.unwrap();
        assert_eq!(heard, Heard::Stored);
        assert_eq!((claimed.fence, claimed.signals), (before.fence + 1, 1));
        assert_eq!(claimed.asked.len(), 1);
        assert_eq!(store.claim_due(before.runner, 1).await.unwrap().len(), 0);
        // Told again, it is in hand and stays there.
        let (again, claimed) = hear().await;
        assert_eq!((again, claimed.is_none()), (Heard::Repeated, true));
    }

    #[tokio::test]
    async fn without_a_place_for_it_whoever_looks_finds_the_execution_due() {
        let operation = OperationId::fresh();
        let (_database, store, before) = waiting(operation).await;
        let signal = stored::approval(&store, operation);
        let heard = store
            .hear(before.id, &signal, "verification", before.now, None)
            .await;
        assert!(heard.unwrap().1.is_none());
        let due = store.claim_due(before.runner, 1).await.unwrap();
        assert_eq!((due[0].id, due[0].signals), (before.id, 1));
    }

    /// What comes of `signal` where its execution is as `waiting` was read.
    fn heard(waiting: &Claimed, signal: &Signal) -> Entry {
        let arrival = Arrival {
            signal: signal.clone(),
            sender: "verification".to_owned(),
            at: waiting.now,
            applied: true,
        };
        let write = Write {
            arrival: Some(Box::new(arrival)),
            ..stored::write(waiting, &[])
        };
        Entry::Step(Box::new(write))
    }

    /// The execution as whoever has `signal` for it finds it.
    async fn read(store: &Store, before: &Claimed, signal: &Signal) -> Claimed {
        let waiting = store.waiting(before.id, signal, "verification", before.runner);
        waiting.await.unwrap().unwrap()
    }

    async fn signals(store: &Store) -> i64 {
        let signals = sqlx::query_scalar("SELECT count(*) FROM execution_signals");
        signals.fetch_one(&store.pool).await.unwrap()
    }

    #[tokio::test]
    async fn a_signal_whose_execution_was_claimed_meanwhile_is_not_taken_for_what_the_claim_wrote() {
        for signal_first in [true, false] {
            let operation = OperationId::fresh();
            let (_database, store, before) = waiting(operation).await;
            let signal = stored::approval(&store, operation);
            let read = read(&store, &before, &signal).await;
            let due = sqlx::query("UPDATE playbook_executions SET wake_at = now()");
            due.execute(&store.pool).await.unwrap();
            let claimed = store.claim_due(before.runner, 1).await.unwrap().remove(0);
            assert_eq!((claimed.fence, claimed.runner), (read.fence, read.runner));

            let mut batch = [
                heard(&read, &signal),
                Entry::Step(Box::new(stored::write(&claimed, &[]))),
            ];
            let mut expected = [false, true];
            if !signal_first {
                batch.reverse();
                expected.reverse();
            }
            let committed = store.commit(&batch, Take::default()).await.unwrap();
            let written: Vec<bool> = committed.found.iter().map(Option::is_some).collect();
            assert_eq!(written, expected, "the signal first: {signal_first}");
            assert_eq!(signals(&store).await, 0);
            // Its sender was not told that it is here; so it is heard as any other, and who drives it sees that it came.
            let heard = store
                .hear(
                    before.id,
                    &signal,
                    "verification",
                    before.now,
                    Some(before.runner),
                )
                .await;
            let (heard, taken) = heard.unwrap();
            assert_eq!((heard, taken.is_none()), (Heard::Stored, true));
            assert_eq!(signals(&store).await, 1);
            assert_eq!(store.news(before.id).await.unwrap().0, claimed.signals + 1);
        }
    }

    #[tokio::test]
    async fn of_one_signal_that_comes_twice_in_a_batch_one_is_told_that_it_was_written() {
        let operation = OperationId::fresh();
        let (_database, store, before) = waiting(operation).await;
        let signal = stored::approval(&store, operation);
        let read = read(&store, &before, &signal).await;
        let batch = [heard(&read, &signal), heard(&read, &signal)];
        let committed = store.commit(&batch, Take::default()).await.unwrap();
        let written: Vec<bool> = committed.found.iter().map(Option::is_some).collect();
        assert_eq!(written, [true, false]);
        assert_eq!(signals(&store).await, 1);
    }

    #[tokio::test]
    async fn what_is_refused_holds_nothing_any_more_when_its_sender_hears_of_it() {
        let (database, store, before) = waiting(OperationId::fresh()).await;
        let foreign = stored::approval(&store, OperationId::fresh());
        let mut other = database.owner().await.acquire().await.unwrap();
        for _ in 0..100 {
            let refused = store
                .hear(before.id, &foreign, "verification", before.now, None)
                .await;
            assert!(matches!(refused, Err(SignalRefused::Foreign(_))));
            sqlx::query("SELECT FROM playbook_executions FOR UPDATE NOWAIT")
                .execute(&mut *other)
                .await
                .expect("nobody holds it");
        }
    }
}
