//! All SQL of the classifier: the tickets' queue and the record of decisions. Events live in [`events`].
//!
//! Every write about a claimed ticket names the fence of its claim: who was overtaken writes nothing.

mod decisions;
mod events;

use std::time::Duration;

use chassis::{AuditEvent, AuditLog, Shell};
use common::{DecisionId, ExecutionId, TenantId, TicketId};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use decisions::{Decided, Judgement};
pub(crate) use events::{NewEvent, Source};

/// Told whenever a ticket may have something to do.
pub(crate) const CHANNEL: &str = "classifier_tickets";
/// Never told: the poll goes by its own clock.
pub(crate) const POLL_CHANNEL: &str = "classifier_poll";
/// A claim that is not renewed for this long is over.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// The database did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It is away, or refused.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
    /// Somebody else has taken the ticket up meanwhile, or it has moved on.
    #[error("ticket `{0}` was taken up by somebody else")]
    Overtaken(TicketId),
    /// A row does not say what our own code wrote.
    #[error("the row of ticket `{ticket}` cannot be read: {what}")]
    Corrupt {
        /// Whose.
        ticket: String,
        /// Why.
        what: String,
    },
}

/// What is to be done about a ticket next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// Find out, and decide.
    Seen,
    /// Tell the help desk.
    Decided(Box<Decided>),
    /// Start the execution.
    Marked(Box<Decided>),
    /// The execution was refused: tell the help desk that a person must see to it.
    Withdrawn(Box<Decided>),
}

/// A ticket that is ours until the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    pub(crate) ticket: TicketId,
    pub(crate) stage: Stage,
    pub(crate) traceparent: Option<String>,
    pub(crate) patience_until: Option<OffsetDateTime>,
    /// Of this stage, in vain so far.
    pub(crate) tries: u32,
    fence: i64,
}

#[derive(Clone)]
pub(crate) struct Store {
    pool: PgPool,
    tenant: TenantId,
    audit: AuditLog,
}

struct ClaimRow {
    ticket_id: String,
    state: String,
    traceparent: Option<String>,
    patience_until: Option<OffsetDateTime>,
    tries: i32,
    fence: i64,
}

impl Store {
    pub(crate) fn new(shell: &Shell) -> Self {
        Self {
            pool: shell.pool().clone(),
            tenant: shell.tenant().clone(),
            audit: shell.audit(),
        }
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Take up the ticket that has waited longest.
    pub(crate) async fn claim_due(&self) -> Result<Option<Claim>, StoreError> {
        let now = OffsetDateTime::now_utc();
        let row = sqlx::query_as!(
            ClaimRow,
            "UPDATE tickets
             SET leased_until = $3, fence = fence + 1
             WHERE tenant_id = $1 AND ticket_id = (
                 SELECT ticket_id
                 FROM tickets
                 WHERE tenant_id = $1 AND work_at <= $2 AND (leased_until IS NULL OR leased_until < $2)
                 ORDER BY work_at
                 LIMIT 1
                 FOR UPDATE SKIP LOCKED
             )
             RETURNING ticket_id, state, traceparent, patience_until, tries, fence",
            self.tenant.as_str(),
            now,
            now + LEASE,
        )
        .fetch_optional(&self.pool)
        .await?;
        self.claimed(row).await
    }

    /// Keep that somebody asks, and take the ticket up in the same breath, before any worker can. `None` where somebody
    /// else has it, or it has been decided on.
    pub(crate) async fn ask(
        &self,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> Result<Option<Claim>, StoreError> {
        let now = OffsetDateTime::now_utc();
        let mut tx = self.pool.begin().await?;
        self.insert(&mut tx, event, "WORK", now).await?;
        let row = sqlx::query_as!(
            ClaimRow,
            "INSERT INTO tickets (
                 tenant_id, ticket_id, state, traceparent, first_seen_at, changed_at, work_at, leased_until, fence
             )
             VALUES ($1, $2, 'SEEN', $3, $4, $4, $4, $5, 1)
             ON CONFLICT (tenant_id, ticket_id) DO UPDATE
             SET state = 'SEEN', work_at = $4, changed_at = $4, leased_until = $5, fence = tickets.fence + 1
             WHERE tickets.state = 'UNKNOWN'
                OR tickets.state = 'SEEN' AND (tickets.leased_until IS NULL OR tickets.leased_until < $4)
             RETURNING ticket_id, state, traceparent, patience_until, tries, fence",
            self.tenant.as_str(),
            event.ticket.as_str(),
            traceparent,
            now,
            now + LEASE,
        )
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        self.claimed(row).await
    }

    async fn claimed(&self, row: Option<ClaimRow>) -> Result<Option<Claim>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let corrupt = |what: &str| StoreError::Corrupt {
            ticket: row.ticket_id.clone(),
            what: what.to_owned(),
        };
        let ticket: TicketId = row.ticket_id.parse().map_err(|_| corrupt("its number"))?;
        let stage = if row.state == "SEEN" {
            Stage::Seen
        } else {
            let decided = self
                .decided(&ticket)
                .await?
                .ok_or_else(|| corrupt("no decision"))?;
            match row.state.as_str() {
                "DECIDED" => Stage::Decided(Box::new(decided)),
                "MARKED" => Stage::Marked(Box::new(decided)),
                "WITHDRAWN" => Stage::Withdrawn(Box::new(decided)),
                _ => return Err(corrupt("its state")),
            }
        };
        Ok(Some(Claim {
            ticket,
            stage,
            traceparent: row.traceparent,
            patience_until: row.patience_until,
            tries: row.tries.unsigned_abs(),
            fence: row.fence,
        }))
    }

    /// How long until the next ticket is due; `None` where none is.
    pub(crate) async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let due = sqlx::query_scalar!(
            "SELECT min(greatest(work_at, coalesce(leased_until, work_at))) FROM tickets
             WHERE tenant_id = $1 AND work_at IS NOT NULL",
            self.tenant.as_str(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(due.map(|due| Duration::try_from(due - OffsetDateTime::now_utc()).unwrap_or_default()))
    }

    /// Hold on to a claim.
    pub(crate) async fn renew(&self, claim: &Claim) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE tickets SET leased_until = $4 WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3",
            self.tenant.as_str(),
            claim.ticket.as_str(),
            claim.fence,
            OffsetDateTime::now_utc() + LEASE,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Come back after `pause`; `waiting_for` says what is missing.
    pub(crate) async fn wait(
        &self,
        claim: &Claim,
        pause: Duration,
        patience_until: Option<OffsetDateTime>,
        waiting_for: &str,
    ) -> Result<(), StoreError> {
        let now = OffsetDateTime::now_utc();
        let done = sqlx::query!(
            "UPDATE tickets
             SET work_at = $4, patience_until = $5, waiting_for = $6, tries = tries + 1, leased_until = NULL,
                 changed_at = $7
             WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3",
            self.tenant.as_str(),
            claim.ticket.as_str(),
            claim.fence,
            now + pause,
            patience_until,
            waiting_for,
            now,
        )
        .execute(&self.pool)
        .await?;
        overtaken_unless(done.rows_affected() == 1, &claim.ticket)
    }

    /// The help desk does not know the ticket.
    pub(crate) async fn unknown(&self, claim: &Claim) -> Result<(), StoreError> {
        let event = AuditEvent::new("ticket.unknown", json!({}))
            .ticket(&claim.ticket)
            .actor("vendor:halopsa");
        self.advance(claim, "SEEN", "UNKNOWN", None, &event).await
    }

    /// The help desk shows the decision; `noted` is `false` where it refused to.
    pub(crate) async fn marked(&self, claim: &Claim, next: Next, noted: bool) -> Result<(), StoreError> {
        let kind = if noted {
            "ticket.marked"
        } else {
            "ticket.not_marked"
        };
        let event = AuditEvent::new(kind, json!({ "next": next.state() })).ticket(&claim.ticket);
        self.advance(claim, claim.stage.state(), next.state(), None, &event)
            .await
    }

    /// The execution is under way.
    pub(crate) async fn started(&self, claim: &Claim, execution: ExecutionId) -> Result<(), StoreError> {
        let event = AuditEvent::new("execution.requested", json!({}))
            .ticket(&claim.ticket)
            .execution(execution);
        self.advance(claim, "MARKED", "DONE", Some(execution), &event)
            .await
    }

    /// Orchestration refuses to run it.
    pub(crate) async fn refused(&self, claim: &Claim, next: Next, code: &str) -> Result<(), StoreError> {
        let event = AuditEvent::new("execution.refused", json!({ "code": code }))
            .ticket(&claim.ticket)
            .actor("service:orchestration");
        self.advance(claim, "MARKED", next.state(), None, &event).await
    }

    async fn advance(
        &self,
        claim: &Claim,
        from: &str,
        to: &str,
        execution: Option<ExecutionId>,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        self.step_on(&mut tx, claim, from, to, None, execution).await?;
        self.audit.record(&mut tx, event).await?;
        tx.commit().await?;
        Ok(())
    }

    /// From one state to the next, under the fence; what ends has nothing more to do.
    async fn step_on(
        &self,
        connection: &mut PgConnection,
        claim: &Claim,
        from: &str,
        to: &str,
        decision: Option<DecisionId>,
        execution: Option<ExecutionId>,
    ) -> Result<(), StoreError> {
        let now = OffsetDateTime::now_utc();
        let work_at = (!matches!(to, "DONE" | "UNKNOWN")).then_some(now);
        let done = sqlx::query!(
            "UPDATE tickets
             SET state = $5, decision_id = coalesce($6, decision_id), execution_id = $7, work_at = $8, changed_at = $9,
                 tries = 0, patience_until = NULL, waiting_for = NULL, leased_until = NULL
             WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3 AND state = $4",
            self.tenant.as_str(),
            claim.ticket.as_str(),
            claim.fence,
            from,
            to,
            decision.map(|decision| decision.0) as Option<Uuid>,
            execution.map(|execution| execution.0) as Option<Uuid>,
            work_at,
            now,
        )
        .execute(&mut *connection)
        .await?;
        overtaken_unless(done.rows_affected() == 1, &claim.ticket)?;
        if work_at.is_some() {
            notify(connection).await?;
        }
        Ok(())
    }
}

/// What follows a mark or a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Start the execution.
    Start,
    /// Say `manual`.
    Withdraw,
    /// Nothing.
    Done,
}

impl Next {
    fn state(self) -> &'static str {
        match self {
            Self::Start => "MARKED",
            Self::Withdraw => "WITHDRAWN",
            Self::Done => "DONE",
        }
    }
}

impl Stage {
    fn state(&self) -> &'static str {
        match self {
            Self::Seen => "SEEN",
            Self::Decided(_) => "DECIDED",
            Self::Marked(_) => "MARKED",
            Self::Withdrawn(_) => "WITHDRAWN",
        }
    }
}

fn overtaken_unless(ours: bool, ticket: &TicketId) -> Result<(), StoreError> {
    if ours {
        Ok(())
    } else {
        Err(StoreError::Overtaken(ticket.clone()))
    }
}

/// Wake the gate once this transaction commits.
async fn notify(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}
