//! The chains and seals as the database has them.

use anyhow::Context;
use futures::{Stream, StreamExt, TryStreamExt};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use trust::audit::{Chain, Event, Hash, Place};
use uuid::Uuid;

/// An event where it stands.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) seq: u64,
    pub(super) event: Event,
    pub(super) digest: Hash,
    pub(super) link: Hash,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    tenant_id: String,
    service: String,
    id: Uuid,
    ticket_id: Option<String>,
    execution_id: Option<Uuid>,
    kind: String,
    actor: String,
    detail: Json<serde_json::Value>,
    at: OffsetDateTime,
    seq: i64,
    digest: Vec<u8>,
    link: Vec<u8>,
}

impl EventRow {
    fn read(self) -> anyhow::Result<Stored> {
        let id = self.id;
        let unreadable = move || format!("event {id} cannot be read");
        Ok(Stored {
            seq: u64::try_from(self.seq).with_context(unreadable)?,
            digest: Hash::from_bytes(&self.digest).with_context(unreadable)?,
            link: Hash::from_bytes(&self.link).with_context(unreadable)?,
            event: Event {
                tenant: self.tenant_id.parse().with_context(unreadable)?,
                service: self.service.parse().with_context(unreadable)?,
                id: self.id,
                ticket: self.ticket_id,
                execution: self.execution_id,
                kind: self.kind,
                actor: self.actor,
                detail: self.detail.0,
                at: self.at,
            },
        })
    }
}

const EVENTS: &str =
    "SELECT tenant_id, service, id, ticket_id, execution_id, kind, actor, detail, at, seq, digest, link
    FROM audit_events";

/// What chains are made of, as [`chains`] answers it.
#[derive(Debug)]
pub(super) enum Row {
    Event(Box<Stored>),
    /// Where a chain ends, as its end says.
    End(Chain, Place),
}

/// By place and not by name: there are millions of them.
type ChainRow = (
    String,
    String,
    Uuid,
    i64,
    Vec<u8>,
    Option<Vec<u8>>,
    Option<Uuid>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<Json<serde_json::Value>>,
    Option<OffsetDateTime>,
);

/// Every event that stands in a chain and the end of each chain, chain by chain, each from its start on, in the order of
/// [`Signed`](super::signed::Signed). The database sorts.
pub(super) fn chains(connection: &mut PgConnection) -> impl Stream<Item = anyhow::Result<Row>> {
    let all = "SELECT tenant_id, service, chain, seq, link, digest, id, ticket_id, kind, actor, detail, at
         FROM (
             SELECT tenant_id, service, COALESCE(execution_id, '00000000-0000-0000-0000-000000000000') AS chain, seq, link,
                    digest, id, ticket_id, kind, actor, detail, at
             FROM audit_events
             WHERE seq IS NOT NULL
             UNION ALL
             SELECT tenant_id, service, chain, seq, link, NULL, NULL, NULL, NULL, NULL, NULL, NULL
             FROM audit_heads
         ) AS rows
         ORDER BY tenant_id COLLATE \"C\", service COLLATE \"C\", chain, seq, id NULLS LAST";
    sqlx::query_as::<_, ChainRow>(all)
        .fetch(connection)
        .map(|row| read(row.context("the events cannot be read")?))
}

fn read(row: ChainRow) -> anyhow::Result<Row> {
    let (tenant_id, service, chain, seq, link, digest, id, ticket_id, kind, actor, detail, at) = row;
    let execution_id = Some(chain).filter(|chain| !chain.is_nil());
    let (Some(digest), Some(id), Some(kind), Some(actor), Some(detail), Some(at)) =
        (digest, id, kind, actor, detail, at)
    else {
        let chain = Chain {
            tenant: tenant_id.parse()?,
            service: service.parse()?,
            execution: execution_id,
        };
        let place = Place {
            seq: u64::try_from(seq)?,
            link: Hash::from_bytes(&link).context("a link has 32 bytes")?,
        };
        return Ok(Row::End(chain, place));
    };
    let row = EventRow {
        tenant_id,
        service,
        id,
        ticket_id,
        execution_id,
        kind,
        actor,
        detail,
        at,
        seq,
        digest,
        link,
    };
    Ok(Row::Event(Box::new(row.read()?)))
}

/// The events of one chain from `from` to `to`, both included.
pub(super) async fn stretch(
    connection: &mut PgConnection,
    chain: &Chain,
    from: u64,
    to: u64,
) -> anyhow::Result<Vec<Stored>> {
    let query = sqlx::AssertSqlSafe(format!(
        "{EVENTS}
         WHERE tenant_id = $1 AND service = $2 AND execution_id IS NOT DISTINCT FROM $3 AND seq BETWEEN $4 AND $5
         ORDER BY seq"
    ));
    let rows: Vec<EventRow> = sqlx::query_as(query)
        .bind(chain.tenant.as_str())
        .bind(chain.service.name())
        .bind(chain.execution)
        .bind(i64::try_from(from)?)
        .bind(i64::try_from(to)?)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(EventRow::read).collect()
}

/// Where events of a ticket stand: of its own, and everything of its executions.
pub(super) async fn of_ticket(
    connection: &mut PgConnection,
    tenant: &str,
    ticket: &str,
) -> anyhow::Result<Vec<Stored>> {
    let query = sqlx::AssertSqlSafe(format!(
        "{EVENTS}
         WHERE tenant_id = $1 AND seq IS NOT NULL AND (
             ticket_id = $2 OR execution_id IN (
                 SELECT execution_id
                 FROM audit_events
                 WHERE tenant_id = $1 AND ticket_id = $2 AND execution_id IS NOT NULL AND kind NOT LIKE '%refused'
             )
         )
         ORDER BY at, id"
    ));
    let rows: Vec<EventRow> = sqlx::query_as(query)
        .bind(tenant)
        .bind(ticket)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(EventRow::read).collect()
}

/// A seal as it is stored.
#[derive(sqlx::FromRow)]
pub(super) struct StoredSeal {
    pub(super) tenant_id: String,
    pub(super) service: String,
    pub(super) nth: i64,
    pub(super) seal: String,
}

/// All seals, in the order in which they were made.
pub(super) fn seals(connection: &mut PgConnection) -> impl Stream<Item = anyhow::Result<StoredSeal>> {
    sqlx::query_as("SELECT tenant_id, service, nth, seal FROM audit_seals ORDER BY tenant_id, service, nth")
        .fetch(connection)
        .map_err(anyhow::Error::from)
}

/// The seals that have the end of `chain` in them, in their order.
pub(super) async fn seals_of(connection: &mut PgConnection, chain: &Chain) -> anyhow::Result<Vec<String>> {
    let seals = sqlx::query_scalar(
        "SELECT seal FROM audit_seals WHERE tenant_id = $1 AND service = $2 AND $3 = ANY(chains) ORDER BY nth",
    )
    .bind(chain.tenant.as_str())
    .bind(chain.service.name())
    .bind(chain.execution.unwrap_or_default())
    .fetch_all(connection)
    .await?;
    Ok(seals)
}

/// How many events are in no chain, as those from before there were any, and when the last of them was.
pub(super) async fn unchained(
    connection: &mut PgConnection,
) -> anyhow::Result<(i64, Option<OffsetDateTime>)> {
    Ok(
        sqlx::query_as("SELECT count(*), max(at) FROM audit_events WHERE seq IS NULL")
            .fetch_one(connection)
            .await?,
    )
}

/// What time it is, as it was when the transaction began: all services go by this clock.
pub(super) async fn now(connection: &mut PgConnection) -> anyhow::Result<OffsetDateTime> {
    Ok(sqlx::query_scalar("SELECT now()").fetch_one(connection).await?)
}
