//! Who drives what: runners, their leases, and the executions they hold.

use std::collections::BTreeSet;
use std::time::Duration;

use common::execution::ExecutionStatus;
use common::{
    ActionName, Digest, ExecutionId, OperationId, Signal, StepCall, StepId, Subject, TenantId, TicketId,
    TicketSnapshot,
};
use serde::Deserialize;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{FIRST_FENCE, NewExecution, Standing, Store, StoreError, StoredState, Write};
use crate::facts::Given;
use crate::manners;

/// What cannot be read is looked at again after this: often enough to be noticed in the log, too rarely to be in the way.
const UNREADABLE: Duration = Duration::from_mins(1);

/// One process that drives executions, from its registration until its lease runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RunnerId(pub(crate) Uuid);

/// An execution in our hands.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) id: ExecutionId,
    pub(crate) ticket: TicketId,
    pub(crate) digest: Digest,
    pub(crate) subject: Subject,
    pub(crate) requester_name: String,
    /// What templates may show of the ticket.
    pub(crate) snapshot: TicketSnapshot,
    /// What else they may show.
    pub(crate) given: Given,
    pub(crate) traceparent: Option<String>,
    pub(crate) status: ExecutionStatus,
    /// The machine's state, not yet read.
    pub(crate) state: StoredState,
    /// How many signals ever came.
    pub(crate) signals: i64,
    /// Whether its steps may begin.
    pub(crate) standing: Standing,
    /// It was let go of last because no step might begin.
    pub(crate) held: bool,
    /// Why an operator wants it to end.
    pub(crate) cancelled: Option<String>,
    /// An operator wants its call made, whatever is known of the outside.
    pub(crate) insisted: bool,
    /// Something outside has been away since then.
    pub(crate) parked_since: Option<OffsetDateTime>,
    /// And the ticket says so.
    pub(crate) parked_told: bool,
    /// What open steps asked of whom.
    pub(crate) asked: Vec<OpenQuestion>,
    /// The runner that holds it.
    pub(crate) runner: RunnerId,
    /// Every write names it.
    pub(crate) fence: i64,
    /// The database's time of the claim: replicas' own clocks may be minutes apart.
    pub(crate) now: OffsetDateTime,
}

impl Claimed {
    /// One that is about to be accepted, and driven from its acceptance.
    pub(crate) fn new(new: &NewExecution, tenant: &TenantId, runner: RunnerId) -> Self {
        let request = &new.request;
        Self {
            id: new.id,
            ticket: request.ticket_id.clone(),
            digest: request.playbook.digest.clone(),
            subject: Subject {
                tenant_id: tenant.clone(),
                user_id: request.subject.user_id.clone(),
            },
            requester_name: manners::sentence(&request.requester_name),
            snapshot: manners::ticket(&request.ticket),
            given: new.given.clone(),
            traceparent: new.traceparent.clone(),
            status: ExecutionStatus::Queued,
            state: new.state.clone(),
            signals: 0,
            standing: Standing::Free,
            held: false,
            cancelled: None,
            insisted: false,
            parked_since: None,
            parked_told: false,
            asked: vec![],
            runner,
            fence: FIRST_FENCE,
            now: new.now,
        }
    }
}

impl Claimed {
    /// As it is once `write` is committed.
    pub(crate) fn after(self, write: &Write) -> Self {
        Self {
            state: write.state.clone(),
            status: write.status,
            parked_since: write.parked_since,
            parked_told: write.parked_told,
            held: write.held,
            ..self
        }
    }
}

/// Somebody was asked and has not answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct OpenQuestion {
    pub(crate) step: StepId,
    pub(crate) visit: u32,
    pub(crate) asked: String,
}

/// An execution that is due, as it is stored.
#[expect(clippy::struct_excessive_bools, reason = "columns")]
pub(super) struct DueRow {
    pub(super) id: Uuid,
    pub(super) ticket_id: String,
    pub(super) playbook_digest: String,
    pub(super) subject_id: String,
    pub(super) requester_name: String,
    pub(super) ticket: serde_json::Value,
    pub(super) facts: serde_json::Value,
    pub(super) traceparent: Option<String>,
    pub(super) status: String,
    pub(super) state: StoredState,
    pub(super) signals: i64,
    pub(super) paused: bool,
    pub(super) switched_off: bool,
    pub(super) held: bool,
    pub(super) cancelled: Option<String>,
    pub(super) insisted: bool,
    pub(super) parked_since: Option<OffsetDateTime>,
    pub(super) parked_told: bool,
    pub(super) fence: i64,
    pub(super) now: OffsetDateTime,
    pub(super) asked: serde_json::Value,
}

impl DueRow {
    pub(super) fn claimed_by(self, runner: RunnerId, tenant: &TenantId) -> Result<Claimed, StoreError> {
        let corrupt = "playbook_executions";
        Ok(Claimed {
            id: ExecutionId(self.id),
            ticket: self.ticket_id.parse().map_err(StoreError::corrupt(corrupt))?,
            digest: self
                .playbook_digest
                .parse()
                .map_err(StoreError::corrupt(corrupt))?,
            subject: Subject {
                tenant_id: tenant.clone(),
                user_id: self.subject_id.parse().map_err(StoreError::corrupt(corrupt))?,
            },
            requester_name: self.requester_name,
            snapshot: serde_json::from_value(self.ticket).map_err(StoreError::corrupt(corrupt))?,
            given: serde_json::from_value(self.facts).map_err(StoreError::corrupt(corrupt))?,
            traceparent: self.traceparent,
            status: super::view::status(&self.status)?,
            state: self.state,
            signals: self.signals,
            standing: Standing::of(self.paused, self.switched_off),
            held: self.held,
            cancelled: self.cancelled,
            insisted: self.insisted,
            parked_since: self.parked_since,
            parked_told: self.parked_told,
            asked: serde_json::from_value(self.asked).map_err(StoreError::corrupt(corrupt))?,
            runner,
            fence: self.fence,
            now: self.now,
        })
    }
}

impl Store {
    /// Take up to `most` executions that are due, longest overdue first. One whose row makes no sense is put off by
    /// itself, so that it stands in nobody's way: a person can mend it, or a newer version may read it.
    pub(crate) async fn claim_due(&self, runner: RunnerId, most: i64) -> Result<Vec<Claimed>, StoreError> {
        let rows = sqlx::query_as!(
            DueRow,
            r#"WITH due AS (
                 SELECT id, insisted
                 FROM playbook_executions
                 WHERE tenant_id = $1 AND ended_at IS NULL AND runner IS NULL AND wake_at <= now()
                 ORDER BY wake_at
                 LIMIT $3
                 FOR UPDATE SKIP LOCKED
             )
             UPDATE playbook_executions execution
             SET runner = $2, fence = fence + 1, insisted = false
             FROM due
             WHERE execution.tenant_id = $1 AND execution.id = due.id
             RETURNING
                 execution.id, ticket_id, playbook_digest, subject_id, requester_name, ticket, facts, traceparent, status,
                 state AS "state: StoredState", signals, cancelled, parked_since, parked_told, fence, now() AS "now!",
                 held, due.insisted, paused_at IS NOT NULL AS "paused!",
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
            runner.0,
            most,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut readable = Vec::with_capacity(rows.len());
        for row in rows {
            readable.extend(self.readable(row, runner).await);
        }
        Ok(readable)
    }

    /// What `runner` has just taken. One whose row makes no sense is put off.
    pub(super) async fn readable(&self, row: DueRow, runner: RunnerId) -> Option<Claimed> {
        let (id, fence) = (ExecutionId(row.id), row.fence);
        match row.claimed_by(runner, &self.tenant) {
            Ok(claimed) => Some(claimed),
            Err(error) => {
                let error = chassis::chain(&error);
                tracing::error!(execution.id = %id, error, "an execution cannot be read and is put off");
                self.put_off(id, runner, fence).await;
                None
            }
        }
    }

    /// Let go of an execution that cannot be read. Where this fails, too, the next heartbeat lets go of it.
    async fn put_off(&self, execution: ExecutionId, runner: RunnerId, fence: i64) {
        let put_off = sqlx::query!(
            "UPDATE playbook_executions
             SET runner = NULL, wake_at = now() + $5
             WHERE tenant_id = $1 AND id = $2 AND runner = $3 AND fence = $4",
            self.tenant_id(),
            execution.0,
            runner.0,
            fence,
            interval(UNREADABLE),
        )
        .execute(&self.pool)
        .await;
        if let Err(error) = put_off {
            tracing::warn!(execution.id = %execution, %error, "an execution could not be put off");
        }
    }

    /// How long until the next execution is due; `None` while nothing waits.
    pub(crate) async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let seconds = sqlx::query_scalar!(
            r#"SELECT EXTRACT(EPOCH FROM MIN(wake_at) - now())::float8 AS seconds
             FROM playbook_executions
             WHERE tenant_id = $1 AND ended_at IS NULL AND runner IS NULL"#,
            self.tenant_id(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }

    /// What calls of these actions stand on is back: whatever is parked with one of them open is due now, and finds out
    /// whether it was that. What is parked for another reason sleeps on.
    pub(crate) async fn wake_parked(&self, actions: &BTreeSet<ActionName>) -> Result<(), StoreError> {
        let actions: Vec<&str> = actions.iter().map(ActionName::as_str).collect();
        sqlx::query!(
            "WITH parked AS (
                 SELECT id
                 FROM playbook_executions execution
                 WHERE tenant_id = $1 AND ended_at IS NULL AND runner IS NULL AND parked_since IS NOT NULL
                   AND EXISTS (
                       SELECT FROM playbook_step_executions step
                       WHERE step.tenant_id = $1 AND step.execution_id = execution.id AND step.outcome IS NULL
                         AND step.action = ANY($2)
                   )
                 FOR UPDATE SKIP LOCKED
             ), woken AS (
                 UPDATE playbook_executions execution
                 SET wake_at = now()
                 FROM parked
                 WHERE execution.tenant_id = $1 AND execution.id = parked.id
                 RETURNING execution.id
             )
             SELECT CASE WHEN EXISTS (SELECT FROM woken) THEN pg_notify($3, '')::text END AS told",
            self.tenant_id(),
            &actions as &[&str],
            super::EXECUTIONS,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// Signals of an execution that nobody has looked at, oldest first.
    pub(crate) async fn unheard(&self, execution: ExecutionId) -> Result<Vec<Signal>, StoreError> {
        let rows = sqlx::query!(
            "SELECT operation_id, step_id, visit, attempt, result
             FROM execution_signals
             WHERE tenant_id = $1 AND execution_id = $2 AND handled_at IS NULL
             ORDER BY received_at, operation_id",
            self.tenant_id(),
            execution.0,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Signal {
                    tenant_id: self.tenant.clone(),
                    operation: OperationId(row.operation_id),
                    step: StepCall {
                        id: row
                            .step_id
                            .parse()
                            .map_err(StoreError::corrupt("execution_signals"))?,
                        visit: u32::try_from(row.visit).map_err(StoreError::corrupt("execution_signals"))?,
                        attempt: u32::try_from(row.attempt)
                            .map_err(StoreError::corrupt("execution_signals"))?,
                    },
                    result: serde_json::from_value(row.result)
                        .map_err(StoreError::corrupt("execution_signals"))?,
                })
            })
            .collect()
    }
}

/// As Postgres writes a span of time; microseconds are exact.
pub(super) fn interval(span: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(span.as_micros()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use launcher::testing::TestDatabase;

    use super::super::{Entry, Hold, StepRow, Take, stored};
    use super::*;

    async fn spoil(database: &TestDatabase, id: ExecutionId, column: &str) {
        let spoiled = format!("UPDATE playbook_executions SET {column} WHERE id = $1");
        sqlx::query(sqlx::AssertSqlSafe(spoiled))
            .bind(id.0)
            .execute(&database.owner().await)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_row_that_makes_no_sense_stands_in_nobodys_way() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let lost = [
            stored::execution(&store, "4241", &[]).await,
            stored::execution(&store, "4242", &[]).await,
        ];
        let sound = stored::execution(&store, "4243", &[]).await;
        spoil(&database, lost[0], "subject_id = ''").await;
        spoil(&database, lost[1], "ticket = '7'").await;
        let presence = store.register(Duration::from_mins(1)).await.unwrap();
        let runner = presence.runner;

        let claimed = store.claim_due(runner, 10).await.unwrap();
        assert_eq!(
            claimed.iter().map(|claimed| claimed.id).collect::<Vec<_>>(),
            [sound]
        );
        // Nobody holds the others, and they do not come back at once.
        let next = store.next_due().await.unwrap().unwrap();
        assert!(
            next > UNREADABLE / 2 && next <= UNREADABLE,
            "looked at again in {next:?}"
        );
        // Mended, it is driven like any other.
        spoil(
            &database,
            lost[1],
            "ticket = '{\"summary\": \"I can''t log in\"}', wake_at = now()",
        )
        .await;
        let claimed = store.claim_due(runner, 10).await.unwrap();
        assert_eq!(claimed.first().map(|claimed| claimed.id), Some(lost[1]));
    }
    /// Claimed, and parked for ten minutes with a call of `action` open.
    async fn parked(store: &Store, runner: RunnerId, ticket: &str, action: &str) -> ExecutionId {
        let id = stored::execution(store, ticket, &[]).await;
        let claimed = store.claim_due(runner, 1).await.unwrap().remove(0);
        assert_eq!(claimed.id, id);
        let call = StepCall {
            id: "step".parse().unwrap(),
            visit: 1,
            attempt: 1,
        };
        let row = StepRow {
            call,
            name: "A step".to_owned(),
            action: Some(action.parse().unwrap()),
            operation: None,
            asked: None,
            outcome: None,
            explanation: Some("It does not answer.".to_owned()),
            output: common::Values::new(),
        };
        let write = Write {
            status: ExecutionStatus::Waiting,
            hold: Hold::Until(claimed.now + Duration::from_mins(10)),
            parked_since: Some(claimed.now),
            steps: vec![row],
            ..stored::write(&claimed, &[])
        };
        let committed = store
            .commit(&[Entry::Step(Box::new(write))], Take::default())
            .await
            .unwrap();
        assert_ne!(committed.found, [None]);
        id
    }

    #[tokio::test]
    async fn when_something_is_back_only_those_wake_who_waited_for_it() {
        let database = launcher::testing::database().await;
        let store = stored::store(&database).await;
        let runner = store.register(Duration::from_mins(1)).await.unwrap().runner;
        let text = parked(&store, runner, "4241", "delivery.sms").await;
        let reset = parked(&store, runner, "4242", "executor.reset_password").await;
        let delete = parked(&store, runner, "4243", "executor.delete_pass").await;

        let back = |actions: &[&str]| -> BTreeSet<ActionName> {
            actions.iter().map(|action| action.parse().unwrap()).collect()
        };
        store.wake_parked(&back(&["verification.mfa"])).await.unwrap();
        assert!(store.claim_due(runner, 10).await.unwrap().is_empty());
        store.wake_parked(&back(&["delivery.sms"])).await.unwrap();
        let woken = store.claim_due(runner, 10).await.unwrap();
        assert_eq!(woken.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), [text]);
        let both = back(&["executor.reset_password", "executor.delete_pass"]);
        store.wake_parked(&both).await.unwrap();
        let woken = store.claim_due(runner, 10).await.unwrap();
        let woken: BTreeSet<ExecutionId> = woken.iter().map(|claimed| claimed.id).collect();
        assert_eq!(woken, BTreeSet::from([reset, delete]));
    }
}
