//! What the help desk told us, kept once; and how far the catch-up poll has come.

use std::time::Duration;

use common::TicketId;
use common::clock;
use connectors::halopsa::UNASSIGNED;
use playbook_lang::Occasion;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Claim, Store, StoreError};
use crate::facts::Heard;

/// How we heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `/webhooks/halopsa/ticket_created`.
    Created,
    /// `/webhooks/halopsa/ticket_updated`.
    Updated,
    /// The catch-up poll.
    Poll,
    /// `POST /api/v1/classify_ticket`.
    Asked,
}

/// What the help desk says happened, in lower case.
const STATUS_CHANGED: &str = "status changed";

/// What a hint means to triggers. Of a ticket that nobody told us of before, we hear for the first time: it is new.
fn occasion(source: &str, event: &str) -> Occasion {
    match source {
        "UPDATED" if event.contains(STATUS_CHANGED) => Occasion::StatusChanged,
        "UPDATED" => Occasion::Updated,
        _ => Occasion::Created,
    }
}

/// Whether a hint says that an agent made the ticket, ourselves among them: what a program files is no person's request.
fn made_by(source: &str, agent: Option<i64>) -> bool {
    source == Source::Created.as_str() && agent.is_some_and(|agent| agent != UNASSIGNED)
}

impl Source {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Updated => "UPDATED",
            Self::Poll => "POLL",
            Self::Asked => "ASKED",
        }
    }
}

/// A hint to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEvent {
    pub(crate) ticket: TicketId,
    pub(crate) source: Source,
    pub(crate) delivery: Option<String>,
    pub(crate) deduplication_key: String,
    pub(crate) event: String,
    pub(crate) agent: Option<i64>,
    pub(crate) occurred_at: Option<OffsetDateTime>,
    /// Our own agent caused it.
    pub(crate) own: bool,
}

/// What the help desk told in one breath.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) events: Vec<NewEvent>,
    /// The trace that a new ticket's story continues.
    pub(crate) traceparent: Option<String>,
    /// Whether a ticket that is to be judged is taken up in the same breath, before any worker can: where it tells of one
    /// ticket, and there is a place for it.
    pub(crate) ours: bool,
}

impl Store {
    /// Keep the events that are news, all or none, and queue the tickets that are to be judged.
    pub(crate) async fn keep(&self, told: Told) -> Result<Option<Claim>, StoreError> {
        // Nobody waits for what we did ourselves.
        let own = told.events.iter().all(|event| event.own);
        let line = if own { &self.echoes } else { &self.hints };
        line.commit(told).await
    }

    /// Everything that happened to a ticket since we first heard of it; it has not been decided on yet.
    pub(crate) async fn heard(&self, ticket: &TicketId) -> Result<Heard, StoreError> {
        let rows = sqlx::query!(
            "SELECT DISTINCT source, event, agent_id, taken
             FROM ticket_events
             WHERE tenant_id = $1 AND ticket_id = $2 AND (taken = 'WORK' OR source = 'CREATED')",
            self.tenant.as_str(),
            ticket.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        let work = rows.iter().filter(|row| row.taken == "WORK");
        let mut happened: Vec<Occasion> = work.map(|row| occasion(&row.source, &row.event)).collect();
        happened.sort_unstable_by_key(|occasion| occasion.as_str());
        happened.dedup();
        Ok(Heard {
            happened,
            made_by_agent: rows.iter().any(|row| made_by(&row.source, row.agent_id)),
        })
    }

    /// `false` where it is no news: the same delivery, or the same change told again.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        event: &NewEvent,
        taken: &str,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "INSERT INTO ticket_events (
                 tenant_id, id, ticket_id, source, delivery_id, deduplication_key, event, agent_id, occurred_at,
                 received_at, taken
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT DO NOTHING",
            self.tenant.as_str(),
            clock::fresh_id(),
            event.ticket.as_str(),
            event.source.as_str(),
            event.delivery,
            event.deduplication_key,
            event.event,
            event.agent,
            event.occurred_at,
            now,
            taken,
        )
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Claim the catch-up poll; `None` where it is not due. At the very first start everything before is the help desk's own
    /// business. When it is due goes by the database's own time: whoever polls may have a clock that is minutes off and was not
    /// compared yet, and what it puts down holds for every replica.
    pub(crate) async fn claim_poll(&self, every: Duration) -> Result<Option<Look>, StoreError> {
        let look = sqlx::query_as!(
            Look,
            r#"INSERT INTO ticket_polls (tenant_id, seen_until, due_at)
             VALUES ($1, now(), now() + make_interval(secs => $2))
             ON CONFLICT (tenant_id) DO UPDATE
             SET due_at = now() + make_interval(secs => $2)
             WHERE ticket_polls.due_at <= now()
             RETURNING seen_until"#,
            self.tenant.as_str(),
            every.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(look)
    }

    /// Everything up to `until` has been seen, by a look that began where `look` says. Unless another one has put down meanwhile
    /// how far it came.
    pub(crate) async fn polled(&self, look: Look, until: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE ticket_polls SET seen_until = $3 WHERE tenant_id = $1 AND seen_until = $2",
            self.tenant.as_str(),
            look.seen_until,
            until,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How long until the poll is due.
    pub(crate) async fn poll_due(&self) -> Result<Duration, StoreError> {
        let seconds = sqlx::query_scalar!(
            r#"SELECT EXTRACT(EPOCH FROM due_at - now())::float8 AS "seconds!" FROM ticket_polls WHERE tenant_id = $1"#,
            self.tenant.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let wait = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        Ok(wait.unwrap_or_default())
    }
}

/// A catch-up poll that is ours to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Everything before was seen, by the help desk's clock. Of the first look it is the database's, and may be minutes off.
    pub(crate) seen_until: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_named_when_a_ticket_is_new_made_it_and_nobody_is_nobody() {
        assert!(made_by("CREATED", Some(3)));
        assert!(!made_by("CREATED", Some(UNASSIGNED)));
        assert!(!made_by("CREATED", None));
        assert!(!made_by("UPDATED", Some(3)));
    }
}
