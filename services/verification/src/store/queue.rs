//! The queue: claim what is due under a lease and a fence, report what became of it, let go.

use common::OperationId;
use time::{Duration, OffsetDateTime};

use super::change::Hold;
use super::{Store, StoreError, notify};
use crate::operation::{Command, Event, Operation};

/// How long an operation that cannot be read is left alone: long enough for the others, short enough to see it mended.
const SET_ASIDE: Duration = Duration::minutes(1);

/// An operation that a runner holds, and what to do about it.
#[derive(Debug)]
pub struct Claim {
    /// As it stands.
    pub operation: Operation,
    /// What to do.
    pub commands: Vec<Command>,
    fence: i64,
}

impl Claim {
    /// The same, as it stands now and with only these commands to be performed.
    pub(crate) fn left_with(&self, operation: Operation, commands: &[Command]) -> Self {
        Self {
            operation,
            commands: commands.to_vec(),
            fence: self.fence,
        }
    }

    /// One that was just begun.
    pub(super) const fn first(operation: Operation, commands: Vec<Command>) -> Self {
        Self {
            operation,
            commands,
            fence: 1,
        }
    }

    pub(super) const fn fence(&self) -> i64 {
        self.fence
    }
}

/// An operation that was begun.
#[derive(Debug)]
pub enum Begun {
    /// It is ours already, with what is to be done first.
    Ours(Claim),
    /// Its visit of its step has this one, or it waits for whoever claims it.
    Stored(Operation),
}

/// Pushes block for minutes; nothing else shall wait behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Operations that wait for a push.
    Pushes,
    /// Everything else: cards, text messages, signals, deadlines.
    Rest,
}

impl Store {
    /// Take the operation that is due the longest and that nobody holds, for `lease`; it has taken [`Event::Woken`].
    ///
    /// One that cannot be read is set aside for a minute, so that it holds up nobody else.
    pub async fn claim_due(
        &self,
        queue: Queue,
        now: OffsetDateTime,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        loop {
            match self.claim_first(queue, now, lease).await {
                Err(StoreError::Corrupt { id, what }) => {
                    tracing::error!(operation.id = %id, what, "a verification cannot be read and was set aside");
                    self.set_aside(id, now + SET_ASIDE).await?;
                }
                claimed => return claimed,
            }
        }
    }

    /// The row as it is, only later: what cannot be read cannot go through the state machine.
    async fn set_aside(&self, id: OperationId, until: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE verifications
             SET wake_at = $3
             WHERE tenant_id = $1 AND id = $2 AND wake_at < $3",
            self.tenant.as_str(),
            id.0,
            until,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn claim_first(
        &self,
        queue: Queue,
        now: OffsetDateTime,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let claimed = sqlx::query!(
            "UPDATE verifications
             SET leased_until = $3, fence = fence + 1
             WHERE (tenant_id, id) = (
                SELECT tenant_id, id
                FROM verifications
                WHERE tenant_id = $1 AND wake_at <= $2 AND (leased_until IS NULL OR leased_until <= $2)
                    AND (method = 'mfa' AND state = 'open') = $4
                ORDER BY wake_at
                LIMIT 1
                FOR UPDATE SKIP LOCKED)
             RETURNING id, fence",
            self.tenant.as_str(),
            now,
            now + lease,
            queue == Queue::Pushes,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(claimed) = claimed else { return Ok(None) };
        let id = OperationId(claimed.id);
        let operation = self.lock(&mut tx, id).await?;
        let (operation, commands, told) = self
            .advance(&mut tx, operation, Event::Woken, now, Hold::Unchanged)
            .await?;
        self.audit.record_all(&mut tx, &told).await?;
        tx.commit().await?;
        Ok(Some(Claim {
            operation,
            commands,
            fence: claimed.fence,
        }))
    }

    /// Tell what became of a command. `None` where somebody else holds the operation by now: nothing was written.
    pub async fn report(
        &self,
        claim: &Claim,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<Option<Operation>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let Some(operation) = self.lock_held(&mut tx, claim).await? else {
            return Ok(None);
        };
        let (operation, _, told) = self
            .advance(&mut tx, operation, event, now, Hold::Unchanged)
            .await?;
        self.audit.record_all(&mut tx, &told).await?;
        tx.commit().await?;
        Ok(Some(operation))
    }

    /// A no that reached a runner who had lost the operation: it counts, and whoever holds the operation loses it, for
    /// there is nothing left to wait for.
    pub async fn overrule(
        &self,
        claim: &Claim,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<Operation, StoreError> {
        let id = claim.operation.facts.id;
        let mut tx = self.pool.begin().await?;
        let operation = self.lock(&mut tx, id).await?;
        let (operation, _, told) = self
            .advance(&mut tx, operation, event, now, Hold::Unchanged)
            .await?;
        sqlx::query!(
            "UPDATE verifications
             SET leased_until = NULL, fence = fence + 1
             WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_str(),
            id.0,
        )
        .execute(&mut *tx)
        .await?;
        self.audit.record_all(&mut tx, &told).await?;
        notify(&mut tx).await?;
        tx.commit().await?;
        Ok(operation)
    }

    /// Hold on to an operation. `false` where it is lost.
    pub async fn renew(&self, claim: &Claim, until: OffsetDateTime) -> Result<bool, StoreError> {
        let renewed = sqlx::query!(
            "UPDATE verifications
             SET leased_until = $4
             WHERE tenant_id = $1 AND id = $2 AND fence = $3",
            self.tenant.as_str(),
            claim.operation.facts.id.0,
            claim.fence,
            until,
        )
        .execute(&self.pool)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Let go of an operation, so that the next one who is due may take it.
    pub async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "UPDATE verifications
             SET leased_until = NULL
             WHERE tenant_id = $1 AND id = $2 AND fence = $3",
            self.tenant.as_str(),
            claim.operation.facts.id.0,
            claim.fence,
        )
        .execute(&mut *tx)
        .await?;
        notify(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// When the next operation that nobody holds is due.
    pub async fn next_due(&self, queue: Queue) -> Result<Option<OffsetDateTime>, StoreError> {
        let due = sqlx::query_scalar!(
            "SELECT min(GREATEST(wake_at, leased_until))
             FROM verifications
             WHERE tenant_id = $1 AND wake_at IS NOT NULL AND (method = 'mfa' AND state = 'open') = $2",
            self.tenant.as_str(),
            queue == Queue::Pushes,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(due)
    }
}
