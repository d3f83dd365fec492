//! What the help desk is still to be told: whose turn it is, in order per ticket, fenced.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chassis::audit::AuditEvent;
use common::{ExecutionId, TicketId};
use sqlx::PgConnection;
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
    /// Until then nobody else takes it, by our clock and on the safe side.
    pub(crate) until: Instant,
}

/// What tickets were told, and what becomes of them.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) ticket: TicketId,
    pub(crate) fence: i64,
    /// How many updates we know of: more of them keep the ticket in our hands.
    pub(crate) enqueued: i64,
    /// Positions of updates, and what became of each.
    pub(crate) settled: Vec<(i64, Settled)>,
    pub(crate) audit: Vec<AuditEvent>,
    pub(crate) then: Then,
    /// How long the ticket is kept where more came meanwhile.
    pub(crate) lease: Duration,
}

/// What becomes of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It has been told everything.
    Rest,
    /// It could not be told the rest: not before this has passed.
    Again {
        wait: Duration,
        /// Something may have been sent of which nothing was heard.
        doubt: bool,
    },
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is in nobody's hands.
    Gone,
    /// More came meanwhile: it is still ours, and so many ever came.
    Kept(i64),
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
        let until = Instant::now() + lease;
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
                    until,
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

    /// What tickets are still to be told, each oldest first.
    pub(crate) async fn due_updates(
        &self,
        tickets: &[&TicketId],
    ) -> Result<HashMap<TicketId, Vec<Due>>, StoreError> {
        let tickets: Vec<&str> = tickets.iter().map(|ticket| ticket.as_str()).collect();
        let rows = sqlx::query!(
            "SELECT ticket_id, position, execution_id, marker, body
             FROM ticket_updates
             WHERE tenant_id = $1 AND ticket_id = ANY($2) AND settled IS NULL
             ORDER BY ticket_id, position",
            self.tenant_id(),
            &tickets as &[&str],
        )
        .fetch_all(&self.pool)
        .await?;
        let mut due: HashMap<TicketId, Vec<Due>> = HashMap::new();
        for row in rows {
            let corrupt = "ticket_updates";
            let ticket = row.ticket_id.parse().map_err(StoreError::corrupt(corrupt))?;
            let update: Update = serde_json::from_value(row.body).map_err(StoreError::corrupt(corrupt))?;
            due.entry(ticket).or_default().push(Due {
                position: row.position,
                execution: ExecutionId(row.execution_id),
                marker: Marker::stored(row.marker),
                update,
            });
        }
        Ok(due)
    }

    /// Keep a ticket in our hands for another `lease`, where it is still in them.
    pub(crate) async fn keep(&self, claimed: &mut ClaimedTicket, lease: Duration) -> Result<(), StoreError> {
        let until = Instant::now() + lease;
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
        claimed.until = until;
        Ok(())
    }

    /// Put down what tickets were told, and let go of them: what became of each, `None` where it was ours no longer and
    /// nothing was put down. A `doubt` stays until something was settled.
    pub(crate) async fn close(&self, closings: &[Closing]) -> Result<Vec<Option<Left>>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let left = self.let_go(&mut transaction, closings).await?;
        let ours = || {
            closings
                .iter()
                .filter(|closing| left.contains_key(&closing.ticket))
        };
        let settled = || {
            ours().flat_map(|closing| {
                closing
                    .settled
                    .iter()
                    .map(|(position, settled)| (&closing.ticket, *position, *settled))
            })
        };
        let tickets: Vec<&str> = settled().map(|(ticket, ..)| ticket.as_str()).collect();
        let positions: Vec<i64> = settled().map(|(_, position, _)| position).collect();
        let how: Vec<&str> = settled().map(|(.., settled)| settled.as_str()).collect();
        if !positions.is_empty() {
            sqlx::query!(
                "UPDATE ticket_updates update
                 SET settled = told.settled, settled_at = now()
                 FROM UNNEST($2::text[], $3::bigint[], $4::text[]) AS told (ticket_id, position, settled)
                 WHERE update.tenant_id = $1 AND update.ticket_id = told.ticket_id AND update.position = told.position
                   AND update.settled IS NULL",
                self.tenant_id(),
                &tickets as &[&str],
                &positions,
                &how as &[&str],
            )
            .execute(&mut *transaction)
            .await?;
        }
        let audit: Vec<&AuditEvent> = ours().flat_map(|closing| &closing.audit).collect();
        self.audit.record_all(&mut transaction, audit).await?;
        transaction.commit().await?;
        Ok(closings
            .iter()
            .map(|closing| left.get(&closing.ticket).copied())
            .collect())
    }

    async fn let_go(
        &self,
        connection: &mut PgConnection,
        closings: &[Closing],
    ) -> Result<HashMap<TicketId, Left>, StoreError> {
        let tickets: Vec<&str> = closings.iter().map(|closing| closing.ticket.as_str()).collect();
        let fences: Vec<i64> = closings.iter().map(|closing| closing.fence).collect();
        let enqueued: Vec<i64> = closings.iter().map(|closing| closing.enqueued).collect();
        let some: Vec<bool> = closings
            .iter()
            .map(|closing| !closing.settled.is_empty())
            .collect();
        let leases: Vec<f64> = closings
            .iter()
            .map(|closing| closing.lease.as_secs_f64())
            .collect();
        let (waits, doubts): (Vec<Option<f64>>, Vec<bool>) = closings
            .iter()
            .map(|closing| match closing.then {
                Then::Rest => (None, false),
                Then::Again { wait, doubt } => (Some(wait.as_secs_f64()), doubt),
            })
            .unzip();
        // Locked in one order everywhere, so that nobody waits for each other.
        let rows = sqlx::query!(
            r#"WITH ours AS (
                 SELECT outbox.ticket_id, closing.*
                 FROM UNNEST($2::text[], $3::bigint[], $4::bigint[], $5::boolean[], $6::float8[], $7::boolean[], $8::float8[])
                      AS closing (closed, closed_fence, known, told_some, wait_s, in_doubt, lease_s)
                 JOIN ticket_outboxes outbox
                   ON outbox.tenant_id = $1 AND outbox.ticket_id = closing.closed AND outbox.fence = closing.closed_fence
                      AND outbox.held
                 ORDER BY outbox.ticket_id
                 FOR UPDATE OF outbox
             )
             UPDATE ticket_outboxes outbox
             SET held = ours.wait_s IS NULL AND outbox.enqueued <> ours.known,
                 wake_at = CASE
                     WHEN ours.wait_s IS NOT NULL THEN now() + make_interval(secs => ours.wait_s)
                     WHEN outbox.enqueued <> ours.known THEN now() + make_interval(secs => ours.lease_s)
                 END,
                 doubt = ours.in_doubt OR (outbox.doubt AND ours.wait_s IS NOT NULL AND NOT ours.told_some),
                 failures = CASE
                     WHEN ours.wait_s IS NULL THEN 0
                     WHEN ours.told_some THEN 1
                     ELSE outbox.failures + 1
                 END
             FROM ours
             WHERE outbox.tenant_id = $1 AND outbox.ticket_id = ours.ticket_id
             RETURNING outbox.ticket_id, outbox.held, outbox.enqueued"#,
            self.tenant_id(),
            &tickets as &[&str],
            &fences,
            &enqueued,
            &some,
            &waits as &[Option<f64>],
            &doubts,
            &leases,
        )
        .fetch_all(connection)
        .await?;
        rows.into_iter()
            .map(|row| {
                let ticket = row
                    .ticket_id
                    .parse()
                    .map_err(StoreError::corrupt("ticket_outboxes"))?;
                let left = if row.held {
                    Left::Kept(row.enqueued)
                } else {
                    Left::Gone
                };
                Ok((ticket, left))
            })
            .collect()
    }
}
