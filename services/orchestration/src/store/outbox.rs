//! What the help desk is still to be told: whose turn it is, in order per ticket, fenced.

use std::time::Duration;

use chassis::audit::AuditEvent;
use common::{ExecutionId, TicketId};
use time::OffsetDateTime;

use super::claim::interval;
use super::{Store, StoreError, Telling};
use crate::update::{Due, Marker, Update};

/// A ticket in our hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedTicket {
    pub(crate) ticket: TicketId,
    pub(crate) fence: i64,
    /// How many updates ever came.
    pub(crate) enqueued: i64,
    /// Something may have been sent of which nothing was heard: look before repeating.
    pub(crate) doubt: bool,
    /// How often in a row the help desk could not be told.
    pub(crate) failures: i32,
    /// The trace of the ticket.
    pub(crate) traceparent: Option<String>,
}

/// What became of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// They stand on the ticket.
    Sent,
    /// The help desk will never take them.
    Refused,
}

impl Settled {
    /// As the column writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

impl Store {
    /// Take up to `most` tickets that are due, longest overdue first.
    pub(crate) async fn claim_tickets(
        &self,
        most: i64,
        lease: Duration,
    ) -> Result<Vec<ClaimedTicket>, StoreError> {
        let rows = sqlx::query!(
            r#"WITH due AS (
                 SELECT ticket_id, held
                 FROM ticket_outboxes
                 WHERE tenant_id = $1 AND wake_at <= now()
                 ORDER BY wake_at
                 LIMIT $2
                 FOR UPDATE SKIP LOCKED
             )
             UPDATE ticket_outboxes outbox
             SET held = true,
                 fence = fence + 1,
                 wake_at = now() + $3,
                 doubt = doubt OR due.held   -- whoever held it and let the lease run out may have sent something
             FROM due
             WHERE outbox.tenant_id = $1 AND outbox.ticket_id = due.ticket_id
             RETURNING outbox.ticket_id, fence, enqueued, doubt, failures,
                 (
                     SELECT execution.traceparent
                     FROM playbook_executions execution
                     WHERE execution.tenant_id = $1 AND execution.ticket_id = outbox.ticket_id
                     ORDER BY execution.id DESC
                     LIMIT 1
                 ) AS traceparent"#,
            self.tenant_id(),
            most,
            interval(lease),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ClaimedTicket {
                    ticket: row
                        .ticket_id
                        .parse()
                        .map_err(StoreError::corrupt("ticket_outboxes"))?,
                    fence: row.fence,
                    enqueued: row.enqueued,
                    doubt: row.doubt,
                    failures: row.failures,
                    traceparent: row.traceparent,
                })
            })
            .collect()
    }

    /// How long until the next ticket is due; `None` while nothing waits.
    pub(crate) async fn next_ticket_due(&self) -> Result<Option<Duration>, StoreError> {
        let seconds = sqlx::query_scalar!(
            r#"SELECT EXTRACT(EPOCH FROM MIN(wake_at) - now())::float8 AS seconds
             FROM ticket_outboxes
             WHERE tenant_id = $1 AND wake_at IS NOT NULL"#,
            self.tenant_id(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }

    /// Queue something to be told that no step of an execution says.
    pub(crate) async fn tell(
        &self,
        ticket: &TicketId,
        execution: ExecutionId,
        updates: &[Update],
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let now = OffsetDateTime::now_utc();
        let telling = Telling {
            ticket,
            execution,
            updates,
            now,
        };
        self.enqueue(&mut transaction, &[telling]).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How many tickets still have something to be told.
    pub(crate) async fn backlog(&self) -> Result<i64, StoreError> {
        let tickets = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "tickets!" FROM ticket_outboxes WHERE tenant_id = $1 AND wake_at IS NOT NULL"#,
            self.tenant_id(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(tickets)
    }

    /// What a ticket is still to be told, oldest first.
    pub(crate) async fn due_updates(&self, ticket: &TicketId) -> Result<Vec<Due>, StoreError> {
        let rows = sqlx::query!(
            "SELECT position, execution_id, marker, body
             FROM ticket_updates
             WHERE tenant_id = $1 AND ticket_id = $2 AND settled IS NULL
             ORDER BY position",
            self.tenant_id(),
            ticket.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let update: Update =
                    serde_json::from_value(row.body).map_err(StoreError::corrupt("ticket_updates"))?;
                Ok(Due {
                    position: row.position,
                    execution: ExecutionId(row.execution_id),
                    marker: Marker::stored(row.marker),
                    update,
                })
            })
            .collect()
    }

    /// Keep a ticket in our hands for another `lease`, where it is still in them.
    pub(crate) async fn keep(&self, claimed: &ClaimedTicket, lease: Duration) -> Result<(), StoreError> {
        let held = sqlx::query!(
            "UPDATE ticket_outboxes
             SET wake_at = now() + $4
             WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3 AND held",
            self.tenant_id(),
            claimed.ticket.as_str(),
            claimed.fence,
            interval(lease),
        )
        .execute(&self.pool)
        .await?;
        if held.rows_affected() == 0 {
            return Err(StoreError::Fenced);
        }
        Ok(())
    }

    /// Settle updates of a ticket in our hands, and keep it for another `lease`.
    pub(crate) async fn settle(
        &self,
        claimed: &ClaimedTicket,
        positions: &[i64],
        settled: Settled,
        audit: &[AuditEvent],
        lease: Duration,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let held = sqlx::query!(
            "UPDATE ticket_outboxes
             SET wake_at = now() + $4, failures = 0, doubt = false
             WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3 AND held",
            self.tenant_id(),
            claimed.ticket.as_str(),
            claimed.fence,
            interval(lease),
        )
        .execute(&mut *transaction)
        .await?;
        if held.rows_affected() == 0 {
            return Err(StoreError::Fenced);
        }
        sqlx::query!(
            "UPDATE ticket_updates
             SET settled = $4, settled_at = now()
             WHERE tenant_id = $1 AND ticket_id = $2 AND position = ANY($3) AND settled IS NULL",
            self.tenant_id(),
            claimed.ticket.as_str(),
            positions,
            settled.as_str(),
        )
        .execute(&mut *transaction)
        .await?;
        self.record(&mut transaction, audit).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Let go of a ticket that has been told everything. Where more came meanwhile it is still ours: how many ever came.
    pub(crate) async fn rest(&self, claimed: &ClaimedTicket) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query!(
            r#"UPDATE ticket_outboxes
             SET held = enqueued <> $4,
                 wake_at = CASE WHEN enqueued = $4 THEN NULL ELSE wake_at END,
                 doubt = false,
                 failures = 0
             WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3 AND held
             RETURNING held AS "held!", enqueued"#,
            self.tenant_id(),
            claimed.ticket.as_str(),
            claimed.fence,
            claimed.enqueued,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::Fenced)?;
        Ok(row.held.then_some(row.enqueued))
    }

    /// Let go of a ticket that could not be told, until `wait` has passed. A `doubt` stays until something was settled.
    pub(crate) async fn postpone(
        &self,
        claimed: &ClaimedTicket,
        wait: Duration,
        doubt: bool,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE ticket_outboxes
             SET held = false, wake_at = now() + $4, doubt = doubt OR $5, failures = failures + 1
             WHERE tenant_id = $1 AND ticket_id = $2 AND fence = $3 AND held",
            self.tenant_id(),
            claimed.ticket.as_str(),
            claimed.fence,
            interval(wait),
            doubt,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
