//! All SQL of the classifier: the tickets' queue and the record of decisions. Events live in [`events`].
//!
//! Every write about a claimed ticket names the fence of its claim: who was overtaken writes nothing.

mod archive;
mod claim;
mod decisions;
mod events;
mod hints;
mod limits;
mod moves;
mod outcomes;
mod report;
mod suggestions;

use std::time::Duration;

use chassis::Sessions;
use chassis::group_commit::{Failure, Line, refused};
use chassis::{AuditEvent, AuditLog, Shell};
use common::clock;
use common::{ExecutionId, TenantId, TicketId};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use claim::{Claim, Stage};
use claim::{Next, refusal, shown};
pub(crate) use decisions::{Decided, Judgement, Recorded};
pub(crate) use events::{NewEvent, Source, Told};
use hints::Hints;
use moves::{Move, Moved, Moves};
pub(crate) use outcomes::{Outcome, Record, WATCH_CHANNEL, Watch, would_automate};
pub(crate) use suggestions::{Approved, Offer, Suggestion};

use crate::settings::Tripwires;

/// Told whenever a ticket may have something to do.
pub(crate) const CHANNEL: &str = "classifier_tickets";
/// Never told: the poll goes by its own clock.
pub(crate) const POLL_CHANNEL: &str = "classifier_poll";
/// Never told: there is no hurry.
pub(crate) const ARCHIVE_CHANNEL: &str = "classifier_archive";
/// A claim that is not renewed for this long is over.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// What nobody waits for is written down this soon, together with what comes meanwhile.
const UNHURRIED: Duration = Duration::from_millis(500);

/// The database did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It is away, or refused.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
    /// Somebody else has taken the ticket up meanwhile, or it has moved on.
    #[error("ticket `{0}` was taken up by somebody else")]
    Overtaken(TicketId),
    /// A common transaction broke off, and nobody can tell whether it was committed.
    #[error("whether it was written down is not known")]
    Unclear,
    /// The service stops.
    #[error("the service is stopping")]
    Stopped,
    /// A row does not say what our own code wrote.
    #[error("the row of ticket `{ticket}` cannot be read: {what}")]
    Corrupt {
        /// Whose.
        ticket: String,
        /// Why.
        what: String,
    },
}

impl Failure for StoreError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Database(error) => refused(error),
            Self::Overtaken(_) | Self::Corrupt { .. } => true,
            Self::Unclear | Self::Stopped => false,
        }
    }

    fn unclear() -> Self {
        Self::Unclear
    }

    fn stopped() -> Self {
        Self::Stopped
    }
}

#[derive(Clone)]
pub(crate) struct Store {
    pool: Sessions,
    tenant: TenantId,
    limits: Tripwires,
    hints: Line<Hints>,
    /// Of what we did ourselves.
    echoes: Line<Hints>,
    audit: AuditLog,
    moves: Line<Moves>,
    /// Of tickets with which nothing is left to do.
    ends: Line<Moves>,
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
    pub(crate) fn new(shell: &Shell, limits: Tripwires) -> Self {
        let hints = Hints {
            pool: shell.pool().clone(),
            tenant: shell.tenant().clone(),
        };
        let moves = Moves {
            pool: shell.pool().clone(),
            tenant: shell.tenant().clone(),
            audit: shell.audit(),
        };
        Self {
            pool: shell.pool().clone(),
            tenant: shell.tenant().clone(),
            limits,
            audit: shell.audit(),
            echoes: Line::patient(&hints, UNHURRIED),
            hints: Line::start(&hints),
            ends: Line::patient(&moves, UNHURRIED),
            moves: Line::start(&moves),
        }
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Take up the ticket that has waited longest.
    pub(crate) async fn claim_due(&self) -> Result<Option<Claim>, StoreError> {
        let now = clock::now();
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
        let now = clock::now();
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
            patience_until: row.patience_until,
            tries: row.tries.unsigned_abs(),
            resumed: true,
            ..Claim::new(ticket, stage, row.fence).traced(row.traceparent)
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
        Ok(due.map(|due| Duration::try_from(due - clock::now()).unwrap_or_default()))
    }

    /// Hold on to a claim.
    pub(crate) async fn renew(&self, claim: &Claim) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE tickets SET leased_until = $4 WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3",
            self.tenant.as_str(),
            claim.ticket.as_str(),
            claim.fence,
            clock::now() + LEASE,
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
        let mut step = claim.to(claim.stage.state(), vec![]);
        step.work_at = Some(clock::now() + pause);
        step.tries = claim.tries.saturating_add(1);
        step.patience_until = patience_until;
        step.waiting_for = Some(waiting_for.to_owned());
        self.make(&self.moves, step).await
    }

    /// Let anybody go on with it.
    pub(crate) async fn let_go(&self, claim: &Claim) -> Result<(), StoreError> {
        let step = claim.to(claim.stage.state(), vec![]);
        self.make(&self.moves, step).await
    }

    /// The help desk does not know the ticket.
    pub(crate) async fn unknown(&self, claim: &Claim) -> Result<(), StoreError> {
        let event = AuditEvent::new("ticket.unknown", json!({}))
            .ticket(&claim.ticket)
            .actor("vendor:halopsa");
        self.make(&self.moves, claim.ends("UNKNOWN", event)).await
    }

    /// The help desk shows the decision, and nothing is left to do; `noted` is `false` where it refused to.
    pub(crate) async fn marked(&self, claim: &Claim, noted: bool) -> Result<(), StoreError> {
        self.make(&self.ends, claim.ends("DONE", shown(claim, Next::Done, noted)))
            .await
    }

    /// The execution is under way.
    pub(crate) async fn started(&self, claim: &Claim, execution: ExecutionId) -> Result<(), StoreError> {
        let event = AuditEvent::new("execution.requested", json!({}))
            .ticket(&claim.ticket)
            .execution(execution);
        let mut step = claim.ends("DONE", event);
        step.execution = Some(execution);
        self.make(&self.ends, step).await
    }

    /// Orchestration refuses to run it, and nothing is left to do.
    pub(crate) async fn refused(&self, claim: &Claim, code: &str) -> Result<(), StoreError> {
        self.make(&self.ends, claim.ends("DONE", refusal(claim, code)))
            .await
    }

    async fn make(&self, line: &Line<Moves>, step: Move) -> Result<(), StoreError> {
        let ticket = step.ticket.clone();
        match line.commit(step).await? {
            Moved::Made => Ok(()),
            // Nothing is automated by a step that decides nothing.
            Moved::Overtaken | Moved::Objected(_) => Err(StoreError::Overtaken(ticket)),
        }
    }

    /// Write a step down that decides, and go on with it.
    async fn keep_moving(&self, claim: &Claim, mut step: Move, stage: Stage) -> Result<Recorded, StoreError> {
        step.leased_until = Some(clock::now() + LEASE);
        match self.moves.commit(step).await? {
            Moved::Made => {
                let next = Claim::new(claim.ticket.clone(), stage, claim.fence);
                Ok(Recorded::As(next.traced(claim.traceparent.clone())))
            }
            Moved::Objected(objection) => Ok(Recorded::Not(objection)),
            Moved::Overtaken => Err(StoreError::Overtaken(claim.ticket.clone())),
        }
    }
}

/// Wake the gate once this transaction commits.
async fn notify(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}
