//! One transaction per step: the step's rows, the new state, its audit and what the ticket is told, or none of it. Steps
//! of several executions that are ready at the same time share one, and mostly it is a single statement (`down`).

use std::collections::HashMap;
use std::time::Duration;

use chassis::audit::AuditEvent;
use common::execution::ExecutionStatus;
use common::{ActionName, ExecutionId, OperationId, Outcome, Signal, StepCall, TicketId, Values};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::accept::NewExecution;
use super::down::{Down, Laid};
use super::{ClaimedTicket, EXECUTIONS, RunnerId, Standing, Store, StoreError, StoredState, Telling, notify};
use crate::update::Update;

/// Everything that an event changes about an execution.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) execution: ExecutionId,
    pub(crate) ticket: TicketId,
    pub(crate) runner: RunnerId,
    pub(crate) fence: i64,
    /// The machine's new state.
    pub(crate) state: StoredState,
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
    /// The signal that brought it about, where nobody had the execution in hand: the write takes it, if it still stands as
    /// it did under one fence and one signal less.
    pub(crate) arrival: Option<Box<Arrival>>,
    pub(crate) audit: Vec<AuditEvent>,
    pub(crate) updates: Vec<Update>,
    pub(crate) now: OffsetDateTime,
}

/// What came of several entries.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// What each found, `None` where nothing of it was written.
    pub(crate) found: Vec<Option<Written>>,
    /// Tickets that are ours to be told their news, at once.
    pub(crate) taken: Vec<ClaimedTicket>,
}

/// Tickets that whoever commits may take in hand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Take {
    /// At most so many.
    pub(crate) most: usize,
    /// For so long.
    pub(crate) lease: Duration,
}

impl Take {
    /// When so many were taken already.
    const fn less(self, taken: usize) -> Self {
        Self {
            most: self.most.saturating_sub(taken),
            ..self
        }
    }
}

impl Write {
    /// Nothing has to be looked up or changed before it or after it.
    pub(super) fn is_plain(&self) -> bool {
        self.renumbered.is_empty() && self.cut_off.is_none() && self.handled.is_empty()
    }

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

/// A signal that is stored with what comes of it.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) signal: Signal,
    /// Which service it is of.
    pub(crate) sender: String,
    pub(crate) at: OffsetDateTime,
    /// It changed the execution.
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
    /// Commit what happened to several executions. Nothing is written of a step whose lease was lost, and of a new execution
    /// whose decision or ticket has one already. Where the database refuses any of it, none is written. Tickets that are to
    /// be told something nobody should wait for are taken in the same breath, as far as `take` allows.
    pub(crate) async fn commit(&self, entries: &[Entry], take: Take) -> Result<Committed, StoreError> {
        let mut session = self.pool.acquire().await?;
        let committed = self.commit_over(&mut session, entries, take).await?;
        session.give_back();
        Ok(committed)
    }

    async fn commit_over(
        &self,
        connection: &mut PgConnection,
        entries: &[Entry],
        take: Take,
    ) -> Result<Committed, StoreError> {
        let mut new: Vec<&NewExecution> = entries.iter().filter_map(Entry::as_new).collect();
        let rounds = rounds(entries.iter().filter_map(Entry::as_step));
        if let [steps] = &rounds[..]
            && new.iter().all(|new| new.is_plain())
            && steps.iter().all(|write| write.is_plain())
        {
            let laid = self.go_on(connection, steps, &new, take).await?;
            return Ok(committed(entries, vec![laid]));
        }
        let mut transaction = connection.begin().await?;
        for new in &new {
            self.pin(&mut transaction, &new.pins, new.now).await?;
        }
        let mut all_laid: Vec<Laid> = vec![];
        for steps in &rounds {
            self.renumber(&mut transaction, steps).await?;
            let take = take.less(all_laid.iter().map(|laid| laid.taken.len()).sum());
            let laid = self.go_on(&mut transaction, steps, &new, take).await?;
            let written = steps
                .iter()
                .copied()
                .filter(|write| laid.written.contains_key(&write.execution));
            let begun = new.iter().filter(|new| laid.accepted.get(&new.id) == Some(&true));
            let ours: Vec<&Write> = written
                .chain(begun.filter_map(|new| new.begun.as_ref()))
                .collect();
            for write in &ours {
                if let Some(reason) = &write.cut_off {
                    self.cut_off(&mut transaction, write, reason).await?;
                }
            }
            self.settle_signals(&mut transaction, &ours).await?;
            all_laid.push(laid);
            new.clear();
        }
        let mut accepted = all_laid.iter().flat_map(|laid| laid.accepted.values());
        if accepted.any(|begun| !begun) {
            notify(&mut transaction, EXECUTIONS).await?;
        }
        transaction.commit().await?;
        Ok(committed(entries, all_laid))
    }

    /// Put down what becomes of `steps`, and how `new` ones begin.
    async fn go_on(
        &self,
        connection: &mut PgConnection,
        steps: &[&Write],
        new: &[&NewExecution],
        take: Take,
    ) -> Result<Laid, StoreError> {
        let begun = new.iter().filter_map(|new| new.begun.as_ref());
        let writes = || steps.iter().copied().chain(begun.clone());
        let tellings: Vec<Telling<'_>> = writes().map(Write::telling).collect();
        let urgent = tellings.iter().filter(|telling| !telling.may_linger());
        let down = Down {
            audit: writes().flat_map(|write| &write.audit).collect(),
            take: urgent.map(|telling| telling.ticket).take(take.most).collect(),
            lease: take.lease,
            tellings,
            writes: steps.to_vec(),
            new: new.to_vec(),
            ..Down::default()
        };
        self.put_down(connection, &down).await
    }

    /// Calls that go on under a new number, before anything is said of them under it. Only of executions that are still in
    /// the hands of their runner, or stand as they were read by whoever takes them with a signal, as the write itself asks
    /// (`down.sql`); they stay so until this transaction ends.
    async fn renumber(&self, connection: &mut PgConnection, writes: &[&Write]) -> Result<(), StoreError> {
        for write in writes.iter().filter(|write| !write.renumbered.is_empty()) {
            let ours = sqlx::query_scalar!(
                "SELECT id
                 FROM playbook_executions
                 WHERE tenant_id = $1 AND id = $2 AND fence = $4::bigint - $5::boolean::integer
                   AND CASE
                       WHEN $5 THEN runner IS NULL AND ended_at IS NULL AND signals = $6::bigint - 1
                       ELSE runner = $3
                   END
                 FOR NO KEY UPDATE",
                self.tenant_id(),
                write.execution.0,
                write.runner.0,
                write.fence,
                write.arrival.is_some(),
                write.signals,
            )
            .fetch_optional(&mut *connection)
            .await?;
            if ours.is_some() {
                for call in &write.renumbered {
                    self.renumber_call(connection, write.execution, call).await?;
                }
            }
        }
        Ok(())
    }

    async fn renumber_call(
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

/// Writes in rounds, none of which names an execution twice. A runner that was declared dead and registered anew may still
/// have an old drive of one beside the new one; and a signal whose execution was claimed while it was worked out names the
/// very fence of the claim. What one did must not pass for the other's. There is always one round, and hardly ever a second.
fn rounds<'w>(writes: impl Iterator<Item = &'w Write>) -> Vec<Vec<&'w Write>> {
    let mut rounds = vec![vec![]];
    let mut nth = Nth::default();
    for write in writes {
        let nth = nth.of(write);
        if rounds.len() <= nth {
            rounds.push(vec![]);
        }
        rounds[nth].push(write);
    }
    rounds
}

/// Counts the writes of each execution: its place among them is the round of a write.
#[derive(Default)]
struct Nth(HashMap<ExecutionId, usize>);

impl Nth {
    fn of(&mut self, write: &Write) -> usize {
        let next = self.0.entry(write.execution).or_default();
        let nth = *next;
        *next += 1;
        nth
    }
}

/// What each entry found in its own round.
fn committed(entries: &[Entry], rounds: Vec<Laid>) -> Committed {
    let mut nth = Nth::default();
    let found = entries.iter().map(|entry| match entry {
        Entry::New(new) => {
            let begun = rounds.iter().find_map(|laid| laid.accepted.get(&new.id))?;
            Some(Written {
                signals: 0,
                kept: *begun,
                standing: Standing::Free,
            })
        }
        Entry::Step(write) => {
            let laid = rounds.get(nth.of(write))?;
            laid.written.get(&write.execution).copied()
        }
    });
    Committed {
        found: found.collect(),
        taken: rounds.into_iter().flat_map(|laid| laid.taken).collect(),
    }
}

/// Visits and attempts are small; the column is an `integer`.
pub(super) fn ordinal(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
