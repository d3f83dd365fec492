//! What the help desk is still to be told: whose turn it is, in order per ticket, fenced.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chassis::audit::{AuditEntry, AuditEvent, AuditRows};
use common::{ExecutionId, Service, TicketId};

use super::claim::interval;
use super::{Store, StoreError};
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
    /// What notes said, by the position of the first update that each tells.
    pub(crate) words: Vec<(i64, String)>,
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
        let readable = rows.into_iter().filter_map(|row| {
            let Ok(ticket) = row.ticket_id.parse() else {
                // Of one that no version of today wrote; the others wait for nothing.
                tracing::error!("a ticket whose number cannot be read is told nothing");
                return None;
            };
            Some(ClaimedTicket {
                ticket,
                fence: row.fence,
                enqueued: row.enqueued,
                doubt: row.doubt,
                failures: row.failures,
                traceparent: row.traceparent,
                until,
            })
        });
        Ok(readable.collect())
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

    /// Put down what tickets were told, and let go of them, in one statement: what became of each, `None` where it was ours no
    /// longer and nothing was put down. A `doubt` stays until something was settled.
    pub(crate) async fn close(&self, closings: &[Closing]) -> Result<Vec<Option<Left>>, StoreError> {
        let numbered = || (1..).zip(closings);
        let tickets: Vec<TicketClose<'_>> = closings.iter().map(TicketClose::of).collect();
        let settled: Vec<UpdateSettle<'_>> = numbered()
            .flat_map(|(nth, closing)| UpdateSettle::all_of(nth, closing))
            .collect();
        let of: Vec<i64> = numbered()
            .flat_map(|(nth, closing)| closing.audit.iter().map(move |_| nth))
            .collect();
        let audit = AuditRows::of(
            Service::Orchestration,
            &self.tenant,
            closings.iter().flat_map(|closing| &closing.audit),
        );
        let rows = sqlx::query_file!(
            "src/store/close.sql",
            self.tenant_id(),
            &tickets as &[TicketClose<'_>],
            &settled as &[UpdateSettle<'_>],
            audit.service,
            &of,
            &audit.entries as &[AuditEntry<'_>],
            audit.at,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut left = HashMap::new();
        for row in rows {
            let what = if row.held {
                Left::Kept(row.enqueued)
            } else {
                Left::Gone
            };
            left.insert((row.ticket_id, row.fence), what);
        }
        let found = closings.iter().map(|closing| {
            left.get(&(closing.ticket.as_str().to_owned(), closing.fence))
                .copied()
        });
        Ok(found.collect())
    }
}

/// A row of `ticket_close`.
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "ticket_close")]
struct TicketClose<'c> {
    ticket_id: &'c str,
    fence: i64,
    known: i64,
    told_some: bool,
    wait_s: Option<f64>,
    in_doubt: bool,
    lease_s: f64,
}

chassis::rows!(TicketClose, "ticket_close");

impl<'c> TicketClose<'c> {
    fn of(closing: &'c Closing) -> Self {
        let (wait_s, in_doubt) = match closing.then {
            Then::Rest => (None, false),
            Then::Again { wait, doubt } => (Some(wait.as_secs_f64()), doubt),
        };
        Self {
            ticket_id: closing.ticket.as_str(),
            fence: closing.fence,
            known: closing.enqueued,
            told_some: !closing.settled.is_empty(),
            wait_s,
            in_doubt,
            lease_s: closing.lease.as_secs_f64(),
        }
    }
}

/// A row of `update_settle`.
#[derive(Debug, sqlx::Encode)]
#[sqlx(type_name = "update_settle")]
struct UpdateSettle<'c> {
    closing: i64,
    ticket_id: &'c str,
    position: i64,
    settled: &'static str,
    words: Option<&'c str>,
}

chassis::rows!(UpdateSettle, "update_settle");

impl<'c> UpdateSettle<'c> {
    /// What was settled of the ticket with this number.
    fn all_of(nth: i64, closing: &'c Closing) -> impl Iterator<Item = Self> {
        closing.settled.iter().map(move |(position, how)| {
            let words = closing.words.iter().find(|(told, _)| told == position);
            Self {
                closing: nth,
                ticket_id: closing.ticket.as_str(),
                position: *position,
                settled: how.as_str(),
                words: words.map(|(_, words)| words.as_str()),
            }
        })
    }
}
