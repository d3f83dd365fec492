//! Lays finished executions down in the tables, as if they had run long ago: copies of one that did.

use anyhow::Context;
use sqlx::{Connection, PgPool};

/// In one statement: enough to be quick, few enough to be seen moving.
const BATCH: u32 = 50_000;

/// Lay `executions` down beside what is there.
pub(super) async fn lay_down(owner: &PgPool, executions: u32) -> anyhow::Result<()> {
    let mut connection = owner.acquire().await?.detach();
    // Triggers and foreign keys find nothing wrong with copies, and nothing of it need survive a power cut.
    sqlx::raw_sql("SET session_replication_role = replica; SET synchronous_commit = off")
        .execute(&mut connection)
        .await?;
    let pattern: uuid::Uuid = sqlx::query_scalar(
        "SELECT id FROM playbook_executions WHERE playbook_name = 'bench_three' AND status = 'RESOLVED' ORDER BY id DESC LIMIT 1",
    )
    .fetch_optional(&mut connection)
    .await?
    .context("no execution has ended that could be copied")?;
    let mut done = 0;
    while done < executions {
        let most = BATCH.min(executions - done);
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql("CREATE TEMPORARY TABLE copy (id uuid, ticket text) ON COMMIT DROP")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO copy
             SELECT gen_random_uuid(), 'past-' || ($1 + n) FROM generate_series(1, $2) AS n",
        )
        .bind(i64::from(done))
        .bind(i64::from(most))
        .execute(&mut *transaction)
        .await?;
        for table in TABLES {
            sqlx::query(table)
                .bind(pattern)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        done += most;
    }
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Everything that an execution leaves in the tables in which executions are driven.
const TABLES: [&str; 4] = [
    "INSERT INTO playbook_executions
         (tenant_id, id, ticket_id, decision_id, playbook_name, playbook_version, playbook_digest, subject_id,
          requester_name, ticket, facts, traceparent, status, state, fence, started_at, ended_at)
     SELECT tenant_id, copy.id, copy.ticket, gen_random_uuid(), playbook_name, playbook_version, playbook_digest,
            subject_id, requester_name, execution.ticket, facts, traceparent, status, state, fence, started_at, ended_at
     FROM playbook_executions execution, copy
     WHERE execution.id = $1",
    "INSERT INTO playbook_step_executions
         (tenant_id, execution_id, step_id, visit, attempt, name, action, outcome, explanation, output, started_at, ended_at)
     SELECT tenant_id, copy.id, step_id, visit, attempt, name, action, outcome, explanation, output, started_at, ended_at
     FROM playbook_step_executions step, copy
     WHERE step.execution_id = $1",
    "INSERT INTO ticket_updates
         (tenant_id, ticket_id, execution_id, marker, kind, body, created_at, settled, settled_at)
     SELECT tenant_id, copy.ticket, copy.id, marker, kind, body, created_at, settled, settled_at
     FROM ticket_updates told, copy
     WHERE told.execution_id = $1",
    "INSERT INTO ticket_outboxes (tenant_id, ticket_id, fence, enqueued)
     SELECT outbox.tenant_id, copy.ticket, outbox.fence, outbox.enqueued
     FROM ticket_outboxes outbox, copy, playbook_executions execution
     WHERE execution.id = $1 AND outbox.tenant_id = execution.tenant_id AND outbox.ticket_id = execution.ticket_id",
];
