//! What becomes of deliveries at the same moment, in one transaction.

use chassis::Sessions;
use chassis::group_commit::Ledger;
use chassis::switches::{self, Off};
use chassis::{AuditEvent, AuditLog};
use common::TenantId;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Ended, Held, LEASE, StoreError, call, interval, notify, number};

/// The table.
#[derive(Debug, Clone)]
pub(super) struct Deliveries {
    pub(super) pool: Sessions,
    pub(super) tenant: TenantId,
    pub(super) audit: AuditLog,
}

/// What is written.
#[derive(Debug)]
pub(super) enum Entry {
    /// A message is about to be sent.
    Intent(Box<Intent>),
    /// The gateway has it.
    Sent(Box<Sent>),
    Ending(Box<Ending>),
    /// Orchestration has the result.
    Told(Box<Told>),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Found {
    /// `false`: one of the unique keys is taken, or somebody else has it.
    Done(bool),
    /// `None`: somebody else has it.
    Ended(Option<Ended>),
    /// Nothing is sent at the moment, so nothing was written.
    SwitchedOff(Off),
}

#[derive(Debug)]
pub(super) struct Intent {
    pub(super) held: Held,
    pub(super) step: common::StepCall,
    pub(super) subject: String,
    pub(super) sealed_digest: String,
    pub(super) destination: String,
    pub(super) deadline: OffsetDateTime,
    pub(super) decide_at: OffsetDateTime,
    pub(super) traceparent: Option<String>,
    pub(super) now: OffsetDateTime,
    pub(super) told: AuditEvent,
}

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) held: Held,
    pub(super) message: String,
    pub(super) status: &'static str,
    pub(super) look_at: OffsetDateTime,
    pub(super) told: AuditEvent,
}

#[derive(Debug)]
pub(super) struct Ending {
    pub(super) held: Held,
    pub(super) stored: Value,
    pub(super) status: Option<&'static str>,
    pub(super) now: OffsetDateTime,
    pub(super) signalled_at: Option<OffsetDateTime>,
    pub(super) work_at: OffsetDateTime,
    pub(super) told: AuditEvent,
}

#[derive(Debug)]
pub(super) struct Told {
    pub(super) held: Held,
    pub(super) signalled_at: OffsetDateTime,
    pub(super) redacted_at: Option<OffsetDateTime>,
    pub(super) work_at: Option<OffsetDateTime>,
}

impl Ledger for Deliveries {
    type Entry = Entry;
    type Found = Found;
    type Error = StoreError;

    async fn commit(&self, entries: &[Entry]) -> Result<Vec<Found>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let intends = entries.iter().any(|entry| matches!(entry, Entry::Intent(_)));
        let off = if intends {
            switches::off(&mut *transaction, &self.tenant, None).await?
        } else {
            None
        };
        let mut found = Vec::with_capacity(entries.len());
        let mut told = Vec::new();
        let mut free = false;
        for entry in entries {
            let connection = &mut *transaction;
            found.push(match (entry, &off) {
                (Entry::Intent(_), Some(off)) => Found::SwitchedOff(off.clone()),
                (Entry::Intent(intent), None) => {
                    let begun = self.intend(connection, intent).await?;
                    told.extend(begun.then_some(&intent.told));
                    Found::Done(begun)
                }
                (Entry::Sent(sent), _) => {
                    let written = self.sent(connection, sent).await?;
                    told.extend(written.then_some(&sent.told));
                    Found::Done(written)
                }
                (Entry::Ending(ending), _) => {
                    let ended = self.end(connection, ending).await?;
                    told.extend(ended.is_some().then_some(&ending.told));
                    free |= ended.is_some() && ending.work_at <= ending.now;
                    Found::Ended(ended)
                }
                (Entry::Told(told), _) => Found::Done(self.told(connection, told).await?),
            });
        }
        self.audit.record_all(&mut transaction, told).await?;
        if free {
            notify(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(found)
    }
}

impl Deliveries {
    async fn intend(&self, connection: &mut PgConnection, intent: &Intent) -> Result<bool, StoreError> {
        let begun = sqlx::query!(
            "INSERT INTO deliveries (tenant_id, id, execution_id, step_id, visit, attempt, ticket_id, subject_id,
                 sealed_digest, destination, state, deadline, decide_at, traceparent, intended_at, leased_until, fence)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'SENDING', $11, $12, $13, $14, now() + $15, $16)
             ON CONFLICT DO NOTHING",
            self.tenant.as_str(),
            intent.held.operation.0,
            intent.held.execution.0,
            intent.step.id.as_str(),
            number(intent.step.visit),
            number(intent.step.attempt),
            intent.held.ticket.as_str(),
            intent.subject,
            intent.sealed_digest,
            intent.destination,
            intent.deadline,
            intent.decide_at,
            intent.traceparent,
            intent.now,
            interval(LEASE),
            intent.held.fence,
        )
        .execute(connection)
        .await?;
        Ok(begun.rows_affected() == 1)
    }

    async fn sent(&self, connection: &mut PgConnection, sent: &Sent) -> Result<bool, StoreError> {
        let written = sqlx::query!(
            "UPDATE deliveries
             SET state = 'SENT', message_id = $4, message_status = $5, leased_until = NULL, work_at = $6, tries = 1
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state = 'SENDING'",
            self.tenant.as_str(),
            sent.held.operation.0,
            sent.held.fence,
            sent.message,
            sent.status,
            sent.look_at,
        )
        .execute(connection)
        .await?;
        Ok(written.rows_affected() == 1)
    }

    async fn end(&self, connection: &mut PgConnection, ending: &Ending) -> Result<Option<Ended>, StoreError> {
        let held = &ending.held;
        let ended = sqlx::query!(
            "UPDATE deliveries
             SET state = 'ENDED', result = $4, ended_at = $5, leased_until = NULL, work_at = $7, tries = 0,
                 signalled_at = $6, message_status = coalesce($8, message_status), fence = fence + 1
             WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND state <> 'ENDED'
             RETURNING fence, step_id, visit, attempt",
            self.tenant.as_str(),
            held.operation.0,
            held.fence,
            ending.stored,
            ending.now,
            ending.signalled_at,
            ending.work_at,
            ending.status,
        )
        .fetch_optional(connection)
        .await?;
        let Some(ended) = ended else {
            return Ok(None);
        };
        let step = call(&ended.step_id, ended.visit, ended.attempt);
        Ok(Some(Ended {
            held: Held {
                fence: ended.fence,
                ..held.clone()
            },
            step: step.ok_or(StoreError::Corrupt(held.operation.0))?,
        }))
    }

    async fn told(&self, connection: &mut PgConnection, told: &Told) -> Result<bool, StoreError> {
        let written = sqlx::query!(
            "UPDATE deliveries
             SET signalled_at = $4, redacted_at = $5, tries = 0, work_at = $6
             WHERE tenant_id = $1 AND id = $2 AND fence = $3",
            self.tenant.as_str(),
            told.held.operation.0,
            told.held.fence,
            told.signalled_at,
            told.redacted_at,
            told.work_at,
        )
        .execute(connection)
        .await?;
        Ok(written.rows_affected() == 1)
    }
}
