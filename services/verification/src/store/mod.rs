//! All SQL of verification. What must happen together commits together: state, audit, the reply to a text message.
//!
//! No transaction stays open across a call to the outside: claim, commit, call, then report under the fence.

mod messages;
mod queue;
mod read;
mod rows;

use chassis::{AuditEvent, AuditLog};
use common::{ExecutionId, OperationId, PermitId, StepCall, TenantId, UserId};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

pub use self::messages::{InboundSms, Recognised};
pub use self::queue::{Claim, Queue};
use self::read::Row;
use self::rows::{Fixed, Moving};
use crate::operation::{Command, Event, IllegalEvent, Method, Operation};
use crate::record;

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
}

impl StoreError {
    /// The database is away or in trouble: the same write may succeed later. Not so where it dislikes what is written.
    pub fn passes(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => !error
                .code()
                .is_some_and(|code| NEVER_MENDS.iter().any(|class| code.starts_with(class))),
            Self::Database(_) => true,
            Self::Corrupt { .. } | Self::Illegal(_) | Self::CodeInUse => false,
        }
    }
}

/// The tables of one tenant.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    audit: AuditLog,
    tenant: TenantId,
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
                permit_id, permit_issued_at, permit_expires_at, signal_attempts, signal_at
             FROM verifications
             WHERE tenant_id = $1 AND id = $2 " + $rest,
            $($argument),*
        )
    };
}

impl Store {
    /// The tables of `tenant`.
    pub fn new(pool: PgPool, audit: AuditLog, tenant: TenantId) -> Self {
        Self { pool, audit, tenant }
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
    pub async fn begin(&self, operation: &Operation) -> Result<Operation, StoreError> {
        let mut tx = self.pool.begin().await?;
        if self.insert(&mut tx, operation).await? {
            for event in record::begun(operation) {
                self.audit.record(&mut tx, &event).await?;
            }
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
    async fn insert(&self, connection: &mut PgConnection, operation: &Operation) -> Result<bool, StoreError> {
        let facts = &operation.facts;
        let fixed = Fixed::of(operation)?;
        let moving = Moving::of(operation);
        let inserted = sqlx::query!(
            "INSERT INTO verifications (
                tenant_id, id, method, ticket_id, execution_id, step_id, visit, attempt, subject_id, subject_name,
                user_principal_name, authorizes, approver_id, approver_name, reference, shown, asked_at, deadline,
                state, reason, ended_at, pushes, push_attempts, push_at, card, card_attempts, card_at,
                sms, sms_attempts, sms_at, wake_at, trace_context, question)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33
             ON CONFLICT (tenant_id, execution_id, step_id, visit) DO NOTHING",
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
        )
        .execute(connection)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// A person answered, and no fence stands in their way.
    pub async fn answer(
        &self,
        id: OperationId,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<Operation, StoreError> {
        let mut tx = self.pool.begin().await?;
        let operation = self.lock(&mut tx, id).await?;
        let (operation, _) = self.advance(&mut tx, operation, event, now).await?;
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

    /// The one way in which a row changes: through the state machine, with its audit events.
    async fn advance(
        &self,
        connection: &mut PgConnection,
        before: Operation,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<(Operation, Vec<Command>), StoreError> {
        let was_open = before.state.ended().is_none();
        let unchanged = before.clone();
        let (mut after, mut commands, mut notes) = before.apply(event, PermitId::fresh(), now)?;
        if let Err(StoreError::Database(error)) = self.save(connection, &after).await {
            // INVARIANT: one prompt at a time on a person's phone; the index knows of the other one.
            if violates(&error, "verifications_open_prompt") {
                (after, commands, notes) = after.apply(Event::PromptOpenElsewhere, PermitId::fresh(), now)?;
                self.save(connection, &after).await?;
            } else if violates(&error, "verifications_open_code") {
                return Err(StoreError::CodeInUse);
            } else {
                return Err(error.into());
            }
        }
        for audit in record::noted(&unchanged, &after, &notes) {
            self.audit.record(connection, &audit).await?;
        }
        if was_open && after.state.ended().is_some() && after.facts.method == Method::Mfa {
            self.wake_others(connection, &after.facts.subject.id, now).await?;
        }
        Ok((after, commands))
    }

    /// The phone is free: whoever waits for it may ask.
    async fn wake_others(
        &self,
        connection: &mut PgConnection,
        subject: &UserId,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE verifications
             SET push_at = $3, wake_at = $3
             WHERE tenant_id = $1 AND subject_id = $2 AND method = 'mfa' AND state = 'open' AND NOT push_open",
            self.tenant.as_str(),
            subject.as_str(),
            now,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// In a savepoint, so that a refused write leaves the transaction usable.
    async fn save(&self, connection: &mut PgConnection, operation: &Operation) -> Result<(), StoreError> {
        let mut tx = sqlx::Connection::begin(connection).await?;
        let written = self.write(&mut tx, operation).await;
        match written {
            Ok(()) => tx.commit().await?,
            Err(_) => tx.rollback().await?,
        }
        Ok(written?)
    }

    #[expect(
        clippy::cognitive_complexity,
        reason = "many parameters of one statement; no branches"
    )]
    async fn write(&self, connection: &mut PgConnection, operation: &Operation) -> Result<(), sqlx::Error> {
        let moving = Moving::of(operation);
        let card = moving.card_message.as_ref();
        let code = moving.code.as_ref();
        let permit = moving.permit.as_ref();
        sqlx::query!(
            "UPDATE verifications
             SET state = $3, reason = $4, answered_by = $5, channel = $6, ended_at = $7,
                pushes = $8, push_attempts = $9, push_at = $10, push_open = $11,
                card = $12, card_attempts = $13, card_at = $14,
                card_service_url = $15, card_conversation = $16, card_activity = $17, cards_unconfirmed = $18,
                sms = $19, sms_attempts = $20, sms_at = $21, sms_count = $22,
                sms_number_hash = $23, sms_answer_hash = $24, sms_masked = $25, sms_wrong = $26,
                permit_id = $27, permit_issued_at = $28, permit_expires_at = $29,
                signal_attempts = $30, signal_at = $31, wake_at = $32, answer = $33
             WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_str(),
            operation.facts.id.0,
            moving.state,
            moving.reason,
            moving.answered_by,
            moving.channel,
            moving.ended_at,
            moving.pushes,
            moving.push_attempts,
            moving.push_at,
            moving.push_open,
            moving.card,
            moving.card_attempts,
            moving.card_at,
            card.map(|card| &card.service_url),
            card.map(|card| &card.conversation),
            card.map(|card| &card.activity),
            moving.cards_unconfirmed,
            moving.sms,
            moving.sms_attempts,
            moving.sms_at,
            moving.sms_count,
            code.map(|code| &code.number_hash),
            code.map(|code| &code.answer_hash),
            code.map(|code| &code.masked),
            code.map_or(0, |code| i16::from(code.wrong)),
            permit.map(|permit| permit.id.0),
            permit.map(|permit| permit.issued_at),
            permit.map(|permit| permit.expires_at),
            moving
                .signal
                .as_ref()
                .map(|duty| i16::try_from(duty.attempts).unwrap_or(i16::MAX)),
            moving.signal.as_ref().map(|duty| duty.at),
            moving.wake_at,
            moving.answer,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn violates(error: &sqlx::Error, index: &str) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.constraint() == Some(index))
}

async fn notify(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}
