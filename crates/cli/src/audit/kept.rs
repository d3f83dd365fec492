//! Where the services keep what their events name by its digest only.

use anyhow::Context;
use serde_json::Value;
use sqlx::PgConnection;
use trust::audit::{Event, Named, record_digest};
use uuid::Uuid;

use super::records::{Content, NotKept, Record};

/// The records that `event` names, as far as they are there. What is there and was changed is answered as it is: whoever
/// checks the file is to see it.
pub(super) async fn records(connection: &mut PgConnection, event: &Event) -> anyhow::Result<Vec<Record>> {
    let mut records = vec![];
    for Named { holds, digest } in event.records() {
        let rows = rows(connection, event)
            .await
            .with_context(|| format!("what belongs to event {} cannot be read", event.id))?;
        let there = |content: &&Value| record_digest(content) == Some(digest);
        let kept: Vec<&Value> = rows.iter().flatten().collect();
        let content = kept.iter().copied().find(there).or_else(|| kept.first().copied());
        let content = match content {
            Some(content) => Content::Content(content.clone()),
            None if rows.is_empty() => Content::NotKept(NotKept::RowGone),
            None => Content::NotKept(NotKept::Erased),
        };
        records.push(Record {
            event: event.id,
            holds,
            content,
        });
    }
    Ok(records)
}

/// What the rows that `event` tells of hold.
async fn rows(connection: &mut PgConnection, event: &Event) -> anyhow::Result<Vec<Option<Value>>> {
    let tenant = event.tenant.as_str();
    let id = |member: &str| {
        let id = event.detail.get(member).and_then(Value::as_str);
        id.and_then(|id| id.parse::<Uuid>().ok())
    };
    Ok(match event.kind.as_str() {
        "decision.recorded" => one(connection, REASONING, tenant, id("decision")).await?,
        "suggestion.offered" => one(connection, SUGGESTION, tenant, id("decision")).await?,
        "effect.intended" => one(connection, BEFORE, tenant, id("effect")).await?,
        "effect.done" | "effect.failed" => one(connection, AFTER, tenant, id("effect")).await?,
        "ticket_update.sent" => notes(connection, event).await?,
        _ => vec![],
    })
}

const REASONING: &str = "SELECT to_jsonb(NULLIF(reasoning, '')) FROM classification_results WHERE tenant_id = $1 AND decision_id = $2";
const SUGGESTION: &str = "SELECT to_jsonb(told) FROM suggestions WHERE tenant_id = $1 AND decision_id = $2";
const BEFORE: &str = "SELECT state_before FROM effects WHERE tenant_id = $1 AND id = $2";
const AFTER: &str = "SELECT state_after FROM effects WHERE tenant_id = $1 AND id = $2";

async fn one(
    connection: &mut PgConnection,
    query: &'static str,
    tenant: &str,
    id: Option<Uuid>,
) -> anyhow::Result<Vec<Option<Value>>> {
    let rows = sqlx::query_scalar(query)
        .bind(tenant)
        .bind(id)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// A note stands with the first update that it told; that one moves to the archive with its execution.
async fn notes(connection: &mut PgConnection, event: &Event) -> anyhow::Result<Vec<Option<Value>>> {
    let positions: Vec<i64> = event
        .detail
        .get("positions")
        .and_then(Value::as_array)
        .map(|positions| positions.iter().filter_map(Value::as_i64).collect())
        .unwrap_or_default();
    let rows = sqlx::query_scalar(
        "SELECT to_jsonb(told)
         FROM ticket_updates
         WHERE tenant_id = $1 AND ticket_id = $2 AND position = $3
         UNION ALL
         SELECT NULLIF(update -> 'told', 'null')
         FROM archived_executions, jsonb_array_elements(record -> 'updates') AS update
         WHERE tenant_id = $1 AND ticket_id = $2 AND (update ->> 'position')::bigint = $3",
    )
    .bind(event.tenant.as_str())
    .bind(event.ticket.as_deref())
    .bind(positions.first())
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
