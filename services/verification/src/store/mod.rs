//! All SQL of verification. What must happen together commits together: state, audit, the reply to a text message.
//!
//! No transaction stays open across a call to the outside: claim, commit, call, then report under the fence.

mod change;
mod forget;
mod ledger;
mod limits;
mod messages;
mod queue;
mod read;
mod renew;
mod rows;

use chassis::Sessions;
use chassis::switches::Off;
use chassis::{AuditEvent, AuditLog};
use common::velocity::Exceeded;
use common::{ExecutionId, OperationId, StepCall, TenantId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use self::change::Hold;
pub use self::ledger::{Committer, Entry, Found};
pub use self::messages::{InboundSms, Recognised};
pub use self::queue::{Begun, Claim, Queue};
use self::read::Row;
pub use self::renew::Renewing;
use self::rows::{Fixed, Moving};
use crate::operation::{Event, IllegalEvent, Operation};
use crate::record;
use crate::settings::Tripwires;

/// Wakes the runners; the channel of `NOTIFY`.
pub const CHANNEL: &str = "verification";

/// Classes of SQLSTATE that say the same tomorrow: a bad value, a broken constraint, a statement not understood.
const NEVER_MENDS: [&str; 3] = ["22", "23", "42"];

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is away.
    #[error("the database did not answer as it should")]
    Database(#[from] sqlx::Error),
    /// A row says what cannot be true.
    #[error("verification `{id}` is corrupt: {what}")]
    Corrupt {
        /// Which.
        id: OperationId,
        /// How.
        what: &'static str,
    },
    /// The operation cannot take the event.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// The code drawn is in use for another open request of the same number: draw again.
    #[error("the code is in use")]
    CodeInUse,
    /// There was too much of it lately: nothing was written.
    #[error("{0}")]
    Full(Exceeded),
    /// Nobody is asked at the moment: nothing was written.
    #[error("{0}")]
    SwitchedOff(Box<Off>),
    /// A common transaction broke off, and nobody can tell whether it was committed.
    #[error("whether it was written down is not known")]
    Unclear,
    /// The service stops.
    #[error("the service is stopping")]
    Stopped,
}

impl StoreError {
    /// The database is away or in trouble: the same write may succeed later. Not so where it dislikes what is written.
    pub fn passes(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => !error
                .code()
                .is_some_and(|code| NEVER_MENDS.iter().any(|class| code.starts_with(class))),
            // What was reported already changes nothing the second time.
            Self::Database(_) | Self::Unclear => true,
            Self::Corrupt { .. }
            | Self::Illegal(_)
            | Self::CodeInUse
            | Self::Full(_)
            | Self::SwitchedOff(_)
            | Self::Stopped => false,
        }
    }
}

/// The tables of one tenant.
#[derive(Clone)]
pub struct Store {
    pool: Sessions,
    audit: AuditLog,
    tenant: TenantId,
    tripwires: Tripwires,
}

macro_rules! select {
    ($rest:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            "SELECT id, method, ticket_id, execution_id, step_id, visit, attempt, subject_id, subject_name,
                user_principal_name, authorizes, approver_id, approver_name, reference, shown, question, asked_at, deadline,
                trace_context, state, reason, answer, answered_by, channel, ended_at,
                pushes, push_attempts, push_at, push_open,
                card, card_attempts, card_at, card_service_url, card_conversation, card_activity, cards_unconfirmed,
                sms, sms_attempts, sms_at, sms_count, sms_number_hash, sms_answer_hash, sms_masked, sms_wrong,
                permit_id, permit_issued_at, permit_expires_at, signal_attempts, signal_at, alarm,
                latest, moved_deadline, kept_at, kept_channel, kept_provenance, look_up_attempts, look_up_at
             FROM verifications
             WHERE tenant_id = $1 AND id = $2 " + $rest,
            $($argument),*
        )
    };
}

impl Store {
    /// The tables of `tenant`.
    pub fn new(pool: Sessions, audit: AuditLog, tenant: TenantId, tripwires: Tripwires) -> Self {
        Self {
            pool,
            audit,
            tenant,
            tripwires,
        }
    }

    /// An operation.
    pub async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let row = select!("", self.tenant.as_str(), id.0)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| row.read(&self.tenant)).transpose()
    }

    /// The operation of this visit of this step, whatever its attempt.
    pub async fn of_call(
        &self,
        execution: ExecutionId,
        call: &StepCall,
    ) -> Result<Option<Operation>, StoreError> {
        let id = sqlx::query_scalar!(
            "SELECT id
             FROM verifications
             WHERE tenant_id = $1 AND execution_id = $2 AND step_id = $3 AND visit = $4",
            self.tenant.as_str(),
            execution.0,
            call.id.as_str(),
            signed(call.visit),
        )
        .fetch_optional(&self.pool)
        .await?;
        match id {
            Some(id) => self.find(OperationId(id)).await,
            None => Ok(None),
        }
    }

    /// The operation whose card carries `reference`.
    pub async fn of_reference(&self, reference: &str) -> Result<Option<Operation>, StoreError> {
        let id = sqlx::query_scalar!(
            "SELECT id
             FROM verifications
             WHERE tenant_id = $1 AND reference = $2",
            self.tenant.as_str(),
            reference,
        )
        .fetch_optional(&self.pool)
        .await?;
        match id {
            Some(id) => self.find(OperationId(id)).await,
            None => Ok(None),
        }
    }

    /// A later attempt of the same visit goes on with the operation of the first.
    pub async fn adopt(&self, id: OperationId, attempt: u32) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE verifications
             SET attempt = $3
             WHERE tenant_id = $1 AND id = $2 AND attempt < $3 AND state = 'open'",
            self.tenant.as_str(),
            id.0,
            signed(attempt),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Begin an operation. Where its visit of its step has one already, that one is answered and nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::SwitchedOff`]: not where it ends as it begins, for then nobody is asked.
    pub async fn begin(&self, operation: &Operation) -> Result<Operation, StoreError> {
        let mut tx = self.pool.begin().await?;
        let uses = limits::uses(&self.tripwires, operation, &[]);
        let mut windows = self.hold(&mut tx, &uses).await?;
        if operation.state.ended().is_none() {
            self.may_ask(&mut tx).await?;
            limits::take(&mut windows, &uses, operation.facts.asked_at)?;
        }
        if self.insert(&mut tx, operation, None).await? {
            self.keep(&mut tx, &windows).await?;
            self.audit.record_all(&mut tx, &record::begun(operation)).await?;
            notify(&mut tx).await?;
            tx.commit().await?;
            return Ok(operation.clone());
        }
        tx.rollback().await?;
        let known = self
            .of_call(operation.facts.execution, &operation.facts.call)
            .await?;
        known.ok_or(StoreError::Corrupt {
            id: operation.facts.id,
            what: "its visit is taken by no row",
        })
    }

    #[expect(
        clippy::cognitive_complexity,
        reason = "many parameters of one statement; no branches"
    )]
    async fn insert(
        &self,
        connection: &mut PgConnection,
        operation: &Operation,
        leased_until: Option<OffsetDateTime>,
    ) -> Result<bool, StoreError> {
        let facts = &operation.facts;
        let fixed = Fixed::of(operation)?;
        let moving = Moving::of(operation);
        let inserted = sqlx::query!(
            "INSERT INTO verifications (
                tenant_id, id, method, ticket_id, execution_id, step_id, visit, attempt, subject_id, subject_name,
                user_principal_name, authorizes, approver_id, approver_name, reference, shown, asked_at, deadline,
                state, reason, ended_at, pushes, push_attempts, push_at, card, card_attempts, card_at,
                sms, sms_attempts, sms_at, wake_at, trace_context, question, push_open, leased_until, fence, latest)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37
             WHERE NOT ($34 AND EXISTS (
                SELECT
                FROM verifications said
                WHERE said.tenant_id = $1 AND lower(said.subject_id) = lower($9) AND said.method = 'mfa' AND said.state = 'denied'
                    AND said.ended_at >= $17))
             ON CONFLICT DO NOTHING",
            self.tenant.as_str(),
            facts.id.0,
            facts.method.as_str(),
            facts.ticket.as_str(),
            facts.execution.0,
            facts.call.id.as_str(),
            signed(facts.call.visit),
            signed(facts.call.attempt),
            facts.subject.id.as_str(),
            facts.subject.name,
            fixed.user_principal_name,
            fixed.authorizes,
            fixed.approver_id,
            fixed.approver_name,
            fixed.reference,
            fixed.shown,
            facts.asked_at,
            facts.deadline,
            moving.state,
            moving.reason,
            moving.ended_at,
            moving.pushes,
            moving.push_attempts,
            moving.push_at,
            moving.card,
            moving.card_attempts,
            moving.card_at,
            moving.sms,
            moving.sms_attempts,
            moving.sms_at,
            moving.wake_at,
            facts.trace,
            fixed.question,
            moving.push_open,
            leased_until,
            i64::from(leased_until.is_some()),
            facts.latest,
        )
        .execute(connection)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// A person answered, or the directory has spoken of them, and no fence stands in their way.
    pub async fn answer(
        &self,
        id: OperationId,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<Operation, StoreError> {
        self.answer_as(id, |_| Some(event), now).await
    }

    /// The same, where what was said depends on how the operation stands; where it says nothing, nothing is written.
    pub async fn answer_as(
        &self,
        id: OperationId,
        event: impl FnOnce(&Operation) -> Option<Event>,
        now: OffsetDateTime,
    ) -> Result<Operation, StoreError> {
        let mut tx = self.pool.begin().await?;
        let operation = self.lock(&mut tx, id).await?;
        let Some(event) = event(&operation) else {
            return Ok(operation);
        };
        let (operation, _, told) = self
            .advance(&mut tx, operation, event, now, Hold::Unchanged)
            .await?;
        self.audit.record_all(&mut tx, &told).await?;
        notify(&mut tx).await?;
        tx.commit().await?;
        Ok(operation)
    }

    /// Record an attempt that was refused, and nothing else.
    pub async fn refused(&self, event: &AuditEvent) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        self.audit.record(&mut connection, event).await?;
        Ok(())
    }

    async fn lock(&self, connection: &mut PgConnection, id: OperationId) -> Result<Operation, StoreError> {
        let row = select!("FOR UPDATE", self.tenant.as_str(), id.0)
            .fetch_optional(connection)
            .await?;
        let row = row.ok_or(StoreError::Corrupt {
            id,
            what: "it is gone",
        })?;
        row.read(&self.tenant)
    }

    /// `None` where somebody else holds it by now.
    async fn lock_held(
        &self,
        connection: &mut PgConnection,
        claim: &Claim,
    ) -> Result<Option<Operation>, StoreError> {
        let id = claim.operation.facts.id.0;
        let row = select!(
            "AND fence = $3 FOR UPDATE",
            self.tenant.as_str(),
            id,
            claim.fence()
        )
        .fetch_optional(connection)
        .await?;
        row.map(|row| row.read(&self.tenant)).transpose()
    }
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

async fn notify(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}
