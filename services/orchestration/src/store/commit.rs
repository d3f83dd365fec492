//! One transaction per step: the step's rows, the new state, its audit and what the ticket is told, or none of it. Steps
//! of several executions that are ready at the same time share one.

use std::collections::HashMap;

use chassis::audit::AuditEvent;
use common::execution::ExecutionStatus;
use common::{ActionName, ExecutionId, OperationId, Outcome, StepCall, TicketId, Values};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::accept::NewExecution;
use super::{EXECUTIONS, RunnerId, Standing, Store, StoreError, Telling, notify};
use crate::update::Update;

/// Everything that an event changes about an execution.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) execution: ExecutionId,
    pub(crate) ticket: TicketId,
    pub(crate) runner: RunnerId,
    pub(crate) fence: i64,
    /// The machine's new state.
    pub(crate) state: serde_json::Value,
    pub(crate) status: ExecutionStatus,
    /// Why a person must take over; only with `Escalated`.
    pub(crate) reason: Option<String>,
    pub(crate) parked_since: Option<OffsetDateTime>,
    pub(crate) parked_told: bool,
    pub(crate) hold: Hold,
    /// It is let go of because no step may begin.
    pub(crate) held: bool,
    /// How many signals we know of: more of them keep the execution in our hands.
    pub(crate) signals: i64,
    pub(crate) steps: Vec<StepRow>,
    /// Open calls that go on under a new number.
    pub(crate) renumbered: Vec<StepCall>,
    /// Why calls that are still open will never be answered.
    pub(crate) cut_off: Option<String>,
    pub(crate) handled: Vec<Handled>,
    pub(crate) audit: Vec<AuditEvent>,
    pub(crate) updates: Vec<Update>,
    pub(crate) now: OffsetDateTime,
}

impl Write {
    /// What the ticket is told.
    pub(crate) fn telling(&self) -> Telling<'_> {
        Telling {
            ticket: &self.ticket,
            execution: self.execution,
            updates: &self.updates,
            now: self.now,
        }
    }
}

/// Whether the execution stays with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// We go on at once.
    Keep,
    /// A row waits, nobody else: until then, or until a signal comes.
    Until(OffsetDateTime),
    /// Nothing more will happen.
    Ended,
}

/// A call of a step. Written again, it keeps what the new version leaves open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepRow {
    pub(crate) call: StepCall,
    pub(crate) name: String,
    pub(crate) action: Option<ActionName>,
    pub(crate) operation: Option<OperationId>,
    pub(crate) asked: Option<String>,
    /// None while it is under way.
    pub(crate) outcome: Option<Outcome>,
    /// One sentence: what came of it, or why nothing moves.
    pub(crate) explanation: Option<String>,
    pub(crate) output: Values,
}

/// A signal that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handled {
    pub(crate) operation: OperationId,
    /// It changed the execution; else it came too late, or belonged to nothing.
    pub(crate) applied: bool,
}

/// What the write found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many signals ever came.
    pub(crate) signals: i64,
    /// The execution is still ours.
    pub(crate) kept: bool,
    /// Whether steps may begin.
    pub(crate) standing: Standing,
}

/// What is committed of one execution.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It is new.
    New(Box<NewExecution>),
    /// It goes one step on.
    Step(Box<Write>),
}

impl Entry {
    const fn execution(&self) -> ExecutionId {
        match self {
            Self::New(new) => new.id,
            Self::Step(write) => write.execution,
        }
    }

    fn as_new(&self) -> Option<&NewExecution> {
        match self {
            Self::New(new) => Some(new),
            Self::Step(_) => None,
        }
    }

    fn as_step(&self) -> Option<&Write> {
        match self {
            Self::New(_) => None,
            Self::Step(write) => Some(write),
        }
    }

    /// What was done of it.
    pub(crate) fn write(&self) -> Option<&Write> {
        match self {
            Self::New(new) => new.begun.as_ref(),
            Self::Step(write) => Some(write),
        }
    }
}

impl Store {
    /// Commit what happened to several executions: what each found, `None` where nothing of it was written. That is a step
    /// whose lease was lost, and a new execution whose decision or ticket has one already. Where the database refuses any
    /// of it, none is written.
    pub(crate) async fn commit(&self, entries: &[Entry]) -> Result<Vec<Option<Written>>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let steps: Vec<&Write> = entries.iter().filter_map(Entry::as_step).collect();
        let mut found = self.write_executions(&mut transaction, &steps).await?;
        let new: Vec<&NewExecution> = entries.iter().filter_map(Entry::as_new).collect();
        let inserted = self.insert(&mut transaction, &new).await?;
        for (id, begun) in &inserted {
            let written = Written {
                signals: 0,
                kept: *begun,
                standing: Standing::Free,
            };
            found.insert(*id, written);
        }
        let ours: Vec<&Write> = entries
            .iter()
            .filter(|entry| match entry {
                // Where a switch is off, it is accepted and did not begin.
                Entry::New(new) => inserted.get(&new.id) == Some(&true),
                Entry::Step(write) => found.contains_key(&write.execution),
            })
            .filter_map(Entry::write)
            .collect();
        self.write_details(&mut transaction, &ours).await?;
        if inserted.values().any(|begun| !begun) {
            notify(&mut transaction, EXECUTIONS).await?;
        }
        transaction.commit().await?;
        let written = entries.iter().map(|entry| found.get(&entry.execution()).copied());
        Ok(written.collect())
    }

    /// Everything but the executions themselves.
    async fn write_details(
        &self,
        connection: &mut PgConnection,
        writes: &[&Write],
    ) -> Result<(), StoreError> {
        for write in writes {
            for call in &write.renumbered {
                self.renumber(connection, write.execution, call).await?;
            }
        }
        self.write_steps(connection, writes).await?;
        for write in writes {
            if let Some(reason) = &write.cut_off {
                self.cut_off(connection, write, reason).await?;
            }
        }
        self.settle_signals(connection, writes).await?;
        let audit: Vec<&AuditEvent> = writes.iter().flat_map(|write| &write.audit).collect();
        self.audit.record_all(connection, audit).await?;
        let tellings: Vec<_> = writes.iter().map(|write| write.telling()).collect();
        self.enqueue(connection, &tellings).await
    }

    /// The executions themselves. A runner that overslept writes nothing; a signal that came meanwhile keeps an execution
    /// in our hands.
    async fn write_executions(
        &self,
        connection: &mut PgConnection,
        writes: &[&Write],
    ) -> Result<HashMap<ExecutionId, Written>, StoreError> {
        if writes.is_empty() {
            return Ok(HashMap::new());
        }
        let column = Columns::of(writes);
        let rows = sqlx::query!(
            r#"UPDATE playbook_executions execution
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
                 execution.id, execution.signals, execution.runner IS NOT NULL AS "kept!",
                 execution.paused_at IS NOT NULL AS "paused!",
                 EXISTS (
                     SELECT FROM switches
                     WHERE switches.tenant_id IN (execution.tenant_id, '')
                       AND switches.name IN ('', execution.playbook_name)
                 ) AS "switched_off!""#,
            self.tenant_id(),
            &column.ids,
            &column.runners,
            &column.fences,
            &column.states as &[&serde_json::Value],
            &column.statuses as &[&str],
            &column.reasons as &[Option<&str>],
            &column.parked_since as &[Option<OffsetDateTime>],
            &column.parked_told,
            &column.ended,
            &column.until as &[Option<OffsetDateTime>],
            &column.signals,
            &column.at,
            &column.held,
        )
        .fetch_all(connection)
        .await?;
        let found = rows.into_iter().map(|row| {
            let written = Written {
                signals: row.signals,
                kept: row.kept,
                standing: Standing::of(row.paused, row.switched_off),
            };
            (ExecutionId(row.id), written)
        });
        Ok(found.collect())
    }

    async fn renumber(
        &self,
        connection: &mut PgConnection,
        execution: ExecutionId,
        call: &StepCall,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE playbook_step_executions
             SET attempt = $5
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4
               AND outcome IS NULL AND attempt < $5",
            self.tenant_id(),
            execution.0,
            call.id.as_str(),
            ordinal(call.visit),
            ordinal(call.attempt),
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn cut_off(
        &self,
        connection: &mut PgConnection,
        write: &Write,
        reason: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE playbook_step_executions
             SET outcome = 'timeout', explanation = $4, ended_at = $3
             WHERE tenant_id = $1 AND execution_id = $2 AND outcome IS NULL",
            self.tenant_id(),
            write.execution.0,
            write.now,
            reason,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn settle_signals(
        &self,
        connection: &mut PgConnection,
        writes: &[&Write],
    ) -> Result<(), StoreError> {
        let handled = || {
            writes
                .iter()
                .flat_map(|write| write.handled.iter().map(|handled| (*write, handled)))
        };
        if handled().next().is_none() {
            return Ok(());
        }
        let executions: Vec<Uuid> = handled().map(|(write, _)| write.execution.0).collect();
        let at: Vec<OffsetDateTime> = handled().map(|(write, _)| write.now).collect();
        let operations: Vec<Uuid> = handled().map(|(_, handled)| handled.operation.0).collect();
        let applied: Vec<bool> = handled().map(|(_, handled)| handled.applied).collect();
        sqlx::query!(
            "UPDATE execution_signals signal
             SET effect = CASE WHEN handled.applied THEN 'applied' ELSE 'late' END, handled_at = handled.at
             FROM UNNEST($2::uuid[], $3::timestamptz[], $4::uuid[], $5::boolean[])
                  AS handled (execution_id, at, operation_id, applied)
             WHERE signal.tenant_id = $1 AND signal.execution_id = handled.execution_id
               AND signal.operation_id = handled.operation_id AND signal.handled_at IS NULL",
            self.tenant_id(),
            &executions,
            &at,
            &operations,
            &applied,
        )
        .execute(connection)
        .await?;
        Ok(())
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

/// Visits and attempts are small; the column is an `integer`.
pub(super) fn ordinal(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
