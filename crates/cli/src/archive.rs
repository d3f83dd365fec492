//! `firstline archive`: what retention has moved aside, as JSON Lines.

use std::io::{BufWriter, Write};

use anyhow::Context;
use futures::TryStreamExt;
use sqlx::{Connection, PgConnection};

use crate::arguments::Archive;
use crate::exit::Ending;
use crate::migrate::owner;

/// Both tables, the oldest first: ids sort by time.
const RECORDS: &str = "
    SELECT json_build_object('of', of, 'tenant_id', tenant_id, 'id', id, 'archived_at', archived_at, 'record', record)::text
    FROM (
        SELECT 'execution' AS of, tenant_id, id, archived_at, record FROM archived_executions
        UNION ALL
        SELECT 'ticket_event', tenant_id, id, archived_at, record FROM archived_ticket_events
    ) AS archive
    ORDER BY id";

pub(crate) async fn run(command: &Archive) -> anyhow::Result<Ending> {
    let mut connection = PgConnection::connect_with(&owner(&command.database_url)?)
        .await
        .context("the database does not answer")?;
    // As they come: an archive may be larger than memory.
    let mut records = sqlx::query_scalar::<_, String>(RECORDS).fetch(&mut connection);
    let mut out = BufWriter::new(std::io::stdout().lock());
    while let Some(record) = records.try_next().await.context("the archive cannot be read")? {
        writeln!(out, "{record}").context("the archive cannot be written")?;
    }
    out.flush().context("the archive cannot be written")?;
    Ok(Ending::Well)
}
