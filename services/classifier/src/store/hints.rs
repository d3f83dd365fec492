//! What the help desk tells at the same moment, kept by one statement.

use std::collections::HashMap;

use chassis::Sessions;
use chassis::group_commit::Ledger;
use common::TenantId;
use common::clock;
use time::OffsetDateTime;
use uuid::Uuid;

use super::events::{NewEvent, Told};
use super::{CHANNEL, Claim, LEASE, Stage, StoreError, WATCH_CHANNEL};

/// Hints, and the tickets that they queue.
#[derive(Debug, Clone)]
pub(super) struct Hints {
    pub(super) pool: Sessions,
    pub(super) tenant: TenantId,
}

impl Ledger for Hints {
    type Entry = Told;
    /// The ticket, where it was taken up.
    type Found = Option<Claim>;
    type Error = StoreError;

    async fn commit(&self, told: &[Told]) -> Result<Vec<Option<Claim>>, StoreError> {
        let mut taken = self.keep(&Rows::of(told)).await?;
        let found = told.iter().map(|told| {
            let ticket = told.events.first().filter(|_| told.ours)?;
            taken.remove(ticket.ticket.as_str())
        });
        Ok(found.collect())
    }
}

impl Hints {
    /// The tickets that were taken up.
    #[expect(clippy::too_many_lines, reason = "one statement and its columns")]
    async fn keep(&self, rows: &Rows<'_>) -> Result<HashMap<String, Claim>, StoreError> {
        let now = clock::now();
        let queued = sqlx::query!(
            r#"WITH told AS (
                 SELECT *
                 FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
                             $11::timestamptz[], $12::boolean[], $13::text[], $14::boolean[])
                      AS told (id, ticket_id, source, delivery_id, deduplication_key, event, agent_id, occurred_at, own,
                               traceparent, ours)
             ), kept AS (
                 INSERT INTO ticket_events (
                     tenant_id, id, ticket_id, source, delivery_id, deduplication_key, event, agent_id, occurred_at,
                     received_at, taken
                 )
                 SELECT $1, told.id, told.ticket_id, told.source, told.delivery_id, told.deduplication_key, told.event,
                        told.agent_id, told.occurred_at, $2,
                        CASE
                            WHEN told.own THEN 'OWN_CHANGE'
                            WHEN ticket.decision_id IS NOT NULL THEN 'ALREADY_DECIDED'
                            ELSE 'WORK'
                        END
                 FROM told
                 LEFT JOIN tickets AS ticket ON ticket.tenant_id = $1 AND ticket.ticket_id = told.ticket_id
                 ORDER BY told.deduplication_key
                 -- No news: the same delivery, or the same change told again.
                 ON CONFLICT DO NOTHING
                 RETURNING id, ticket_id, taken
             ), queued AS (
                 INSERT INTO tickets (
                     tenant_id, ticket_id, state, traceparent, first_seen_at, changed_at, work_at, leased_until, fence
                 )
                 SELECT DISTINCT ON (kept.ticket_id) $1, kept.ticket_id, 'SEEN', told.traceparent, $2, $2, $2,
                        CASE WHEN told.ours THEN $3::timestamptz END, 1
                 FROM kept
                 JOIN told ON told.id = kept.id
                 WHERE kept.taken = 'WORK'
                 ORDER BY kept.ticket_id, kept.id
                 -- One that was unknown may have come into being; one that is being judged is read afresh anyway.
                 ON CONFLICT (tenant_id, ticket_id) DO UPDATE
                 SET state = 'SEEN', work_at = $2, changed_at = $2, tries = 0, leased_until = EXCLUDED.leased_until,
                     fence = tickets.fence + 1
                 WHERE tickets.state = 'UNKNOWN'
                 RETURNING ticket_id, traceparent, fence, leased_until
             ), watched AS (
                 -- What people do with a ticket says whether the gate was right about it. The poll lists open ones only.
                 INSERT INTO gate_watches (tenant_id, ticket_id, decision_id, due_at)
                 SELECT DISTINCT $1, decided.ticket_id, decided.decision_id, $2::timestamptz
                 FROM kept
                 JOIN told ON told.id = kept.id AND told.source <> 'POLL'
                 JOIN classification_results AS decided
                      ON decided.tenant_id = $1 AND decided.ticket_id = kept.ticket_id
                 WHERE kept.taken = 'ALREADY_DECIDED'
                   AND (decided.automated OR decided.blockers->0->>'code' IN ('shadow_mode', 'awaits_agent'))
                 ORDER BY decided.ticket_id
                 ON CONFLICT (tenant_id, ticket_id) DO UPDATE SET due_at = EXCLUDED.due_at, looks = 0
                 RETURNING pg_notify($16, '')
             )
             SELECT ticket_id, traceparent, fence, leased_until IS NOT NULL AS "ours!",
                    CASE WHEN leased_until IS NULL THEN pg_notify($15, '')::text END AS notified
             FROM queued"#,
            self.tenant.as_str(),
            now,
            now + LEASE,
            &rows.ids,
            &rows.tickets as &[&str],
            &rows.sources as &[&str],
            &rows.deliveries as &[Option<&str>],
            &rows.deduplication_keys as &[&str],
            &rows.events as &[&str],
            &rows.agents as &[Option<i64>],
            &rows.occurred as &[Option<OffsetDateTime>],
            &rows.own,
            &rows.traceparents as &[Option<&str>],
            &rows.ours,
            CHANNEL,
            WATCH_CHANNEL,
        )
        .fetch_all(&self.pool)
        .await?;
        let taken = queued.into_iter().filter(|row| row.ours).map(|row| {
            let ticket = row.ticket_id.parse().map_err(|_| StoreError::Corrupt {
                ticket: row.ticket_id.clone(),
                what: "its number".to_owned(),
            })?;
            let claim = Claim::new(ticket, Stage::Seen, row.fence).traced(row.traceparent);
            Ok((row.ticket_id, claim))
        });
        taken.collect()
    }
}

/// Events by column.
#[derive(Default)]
struct Rows<'e> {
    /// Version 7: they sort in the order in which they were told.
    ids: Vec<Uuid>,
    tickets: Vec<&'e str>,
    sources: Vec<&'e str>,
    deliveries: Vec<Option<&'e str>>,
    deduplication_keys: Vec<&'e str>,
    events: Vec<&'e str>,
    agents: Vec<Option<i64>>,
    occurred: Vec<Option<OffsetDateTime>>,
    own: Vec<bool>,
    traceparents: Vec<Option<&'e str>>,
    ours: Vec<bool>,
}

impl<'e> Rows<'e> {
    fn of(told: &'e [Told]) -> Self {
        let mut rows = Self::default();
        for told in told {
            for event in &told.events {
                rows.push(event, told);
            }
        }
        rows
    }

    fn push(&mut self, event: &'e NewEvent, told: &'e Told) {
        self.ids.push(clock::fresh_id());
        self.tickets.push(event.ticket.as_str());
        self.sources.push(event.source.as_str());
        self.deliveries.push(event.delivery.as_deref());
        self.deduplication_keys.push(&event.deduplication_key);
        self.events.push(&event.event);
        self.agents.push(event.agent);
        self.occurred.push(event.occurred_at);
        self.own.push(event.own);
        self.traceparents.push(told.traceparent.as_deref());
        self.ours.push(told.ours);
    }
}
