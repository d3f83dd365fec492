//! Lays finished work down in the tables, as if it had been done long ago: copies of a ticket whose work was, spread over
//! the time before and over many people. Whatever a migration adds to a table is copied with the rest.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, bail};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, PgPool};
use uuid::Uuid;

use super::figures::{History, Load};

/// In one transaction: enough to be quick, few enough to be seen moving.
const BATCH: u32 = 50_000;

/// What is copied.
pub(super) struct Past {
    /// The newest ticket that was resolved by this playbook.
    pub(super) playbook: &'static str,
    /// Directory object ids of those whose tickets the copies are, one after the other.
    pub(super) people: Vec<Uuid>,
}

/// A load before `executions` are laid down, and after.
pub(super) async fn measure<F>(
    owner: &PgPool,
    past: &Past,
    executions: u32,
    load: impl Fn() -> F,
) -> anyhow::Result<History>
where
    F: Future<Output = anyhow::Result<Load>>,
{
    let before = load().await?;
    let began = Instant::now();
    lay_down(owner, past, executions).await?;
    let laid_down_in = began.elapsed();
    let after = load().await?;
    Ok(History {
        executions,
        laid_down_in_s: laid_down_in.as_secs_f64(),
        slower: 1.0 - after.ratio / before.ratio,
        before,
        after,
    })
}

/// Lay `executions` down beside what is there.
async fn lay_down(owner: &PgPool, past: &Past, executions: u32) -> anyhow::Result<()> {
    let mut connection = owner.acquire().await?.detach();
    // Triggers and foreign keys find nothing wrong with copies, and nothing of it need survive a power cut.
    sqlx::raw_sql("SET session_replication_role = replica; SET synchronous_commit = off")
        .execute(&mut connection)
        .await?;
    let pattern: Pattern = sqlx::query_as(
        "SELECT id, ticket_id, decision_id
         FROM playbook_executions
         WHERE playbook_name = $1 AND status = 'RESOLVED'
         ORDER BY id DESC
         LIMIT 1",
    )
    .bind(past.playbook)
    .fetch_optional(&mut connection)
    .await?
    .context("no execution has ended that could be copied")?;
    let mut statements = Vec::new();
    for left in &LEFT {
        statements.push(left.statement(&columns(&mut connection, left.table).await?)?);
    }
    let mut done = 0;
    while done < executions {
        let most = BATCH.min(executions - done);
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(COPY).execute(&mut *transaction).await?;
        sqlx::query(COPIES)
            .bind(i64::from(done))
            .bind(i64::from(most))
            .bind(i64::from(executions))
            .bind(&past.people)
            .execute(&mut *transaction)
            .await?;
        for statement in &statements {
            sqlx::query(AssertSqlSafe(statement.as_str()))
                .bind(pattern.id)
                .bind(&pattern.ticket_id)
                .bind(pattern.decision_id)
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

/// What the copied ticket is known by.
#[derive(sqlx::FromRow)]
struct Pattern {
    id: Uuid,
    ticket_id: String,
    decision_id: Uuid,
}

/// One row a copy, a second apart and all of them past. Ids are of version 7 as ours are, so that indexes grow where they
/// would have grown.
const COPIES: &str = "
    INSERT INTO copy
    SELECT past.ago, 'past-' || nth, $4[1 + nth % cardinality($4)],
           (past.prefix || '0' || past.suffix)::uuid,
           (past.prefix || '1' || past.suffix)::uuid,
           (past.prefix || '2' || past.suffix)::uuid,
           (past.prefix || '3' || past.suffix)::uuid,
           (past.prefix || '4' || past.suffix)::uuid,
           (past.prefix || '5' || past.suffix)::uuid
    FROM generate_series($1 + 1, $1 + $2) AS nth
    CROSS JOIN LATERAL (SELECT make_interval(secs => ($3 - nth + 1)::float8) AS ago) AS age
    CROSS JOIN LATERAL (
        SELECT age.ago,
               lpad(to_hex((extract(epoch FROM now() - age.ago) * 1000)::bigint), 12, '0')
                   || '7' || substr(md5(nth::text), 1, 3) || '8' AS prefix,
               substr(md5(nth::text), 4, 14) AS suffix
    ) AS past";

/// Its columns are what a table's fresh values are made of.
const COPY: &str = "
    CREATE TEMPORARY TABLE copy (
        ago interval, ticket text, subject uuid, execution uuid, decision uuid, verification uuid, permit uuid, effect uuid,
        delivery uuid
    ) ON COMMIT DROP";

/// What finished work leaves in a table.
struct Left {
    table: &'static str,
    /// Which rows are the copied ticket's.
    of: &'static str,
    /// What is not copied as it is: a column, and what stands there instead.
    fresh: &'static [(&'static str, &'static str)],
}

const OF_EXECUTION: &str = "original.execution_id = pattern.execution";
const OF_TICKET: &str = "original.ticket_id = pattern.ticket";
const OF_DECISION: &str = "original.decision_id = pattern.decision";

/// In every table that has them.
const EVERYWHERE: [(&str, &str); 5] = [
    ("execution_id", "copy.execution"),
    ("ticket_id", "copy.ticket"),
    ("decision_id", "copy.decision"),
    ("subject_id", "copy.subject::text"),
    ("requester_id", "copy.subject::text"),
];

/// Every table on a ticket's way. Of the audit it is where each chain ends: nothing on that way reads the events themselves.
const LEFT: [Left; 15] = [
    Left {
        table: "ticket_events",
        of: OF_TICKET,
        fresh: &[
            (
                "id",
                "(left(replace(copy.execution::text, '-', ''), 18) || left(md5(original.id::text), 14))::uuid",
            ),
            ("delivery_id", "original.delivery_id || copy.ticket"),
            ("deduplication_key", "original.deduplication_key || copy.ticket"),
        ],
    },
    Left {
        table: "tickets",
        of: OF_TICKET,
        fresh: &[],
    },
    Left {
        table: "classification_results",
        of: OF_DECISION,
        fresh: &[],
    },
    Left {
        table: "gate_watches",
        of: OF_DECISION,
        fresh: &[],
    },
    Left {
        table: "gate_outcomes",
        of: OF_DECISION,
        fresh: &[],
    },
    Left {
        table: "playbook_executions",
        of: "original.id = pattern.execution",
        fresh: &[("id", "copy.execution")],
    },
    Left {
        table: "playbook_step_executions",
        of: OF_EXECUTION,
        fresh: &[],
    },
    Left {
        table: "execution_signals",
        of: OF_EXECUTION,
        fresh: &[],
    },
    Left {
        table: "ticket_updates",
        of: OF_EXECUTION,
        fresh: &[],
    },
    Left {
        table: "ticket_outboxes",
        of: OF_TICKET,
        fresh: &[],
    },
    Left {
        table: "verifications",
        of: OF_EXECUTION,
        fresh: &[
            ("id", "copy.verification"),
            ("answered_by", "copy.subject::text"),
            ("permit_id", "copy.permit"),
        ],
    },
    Left {
        table: "effects",
        of: OF_EXECUTION,
        fresh: &[("id", "copy.effect"), ("permit_id", "copy.permit")],
    },
    Left {
        table: "spent_permits",
        of: "original.effect_id IN (SELECT id FROM effects WHERE execution_id = pattern.execution)",
        fresh: &[("id", "copy.permit"), ("effect_id", "copy.effect")],
    },
    Left {
        table: "deliveries",
        of: OF_EXECUTION,
        fresh: &[
            ("id", "copy.delivery"),
            ("sealed_digest", "repeat(md5(copy.ticket), 2)"),
            ("message_id", "'SM' || md5(copy.ticket)"),
        ],
    },
    Left {
        table: "audit_heads",
        of: "original.chain = pattern.execution",
        fresh: &[("chain", "copy.execution"), ("sealed", "true")],
    },
];

/// A column that is written by whoever inserts.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Column {
    name: String,
    /// It is a moment, which lies further back in a copy.
    moment: bool,
}

/// The columns of `table`, without those that the database fills by itself.
async fn columns(connection: &mut PgConnection, table: &str) -> anyhow::Result<Vec<Column>> {
    let columns = sqlx::query_as(
        "SELECT attname::text AS name, atttypid = 'timestamptz'::regtype AS moment
         FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = ''
         ORDER BY attnum",
    );
    let columns = columns.bind(table).fetch_all(connection).await;
    columns.with_context(|| format!("`{table}` is named in bench/history.rs and cannot be read"))
}

impl Left {
    /// Copies what was left, for each row of `copy`.
    fn statement(&self, columns: &[Column]) -> anyhow::Result<String> {
        for (name, _) in self.fresh {
            if !columns.iter().any(|column| column.name == *name) {
                bail!("`{}` has no column `{name}`: mend bench/history.rs", self.table);
            }
        }
        let (mut names, mut values) = (String::new(), String::new());
        for column in columns {
            let comma = if names.is_empty() { "" } else { ", " };
            write!(names, "{comma}{}", column.name)?;
            write!(values, "{comma}{}", self.value(column))?;
        }
        let Self { table, of, .. } = self;
        Ok(format!(
            "WITH pattern AS (SELECT $1::uuid AS execution, $2::text AS ticket, $3::uuid AS decision)
             INSERT INTO {table} ({names})
             SELECT {values}
             FROM {table} original JOIN pattern ON {of} CROSS JOIN copy"
        ))
    }

    fn value(&self, Column { name, moment }: &Column) -> String {
        let fresh = self
            .fresh
            .iter()
            .chain(&EVERYWHERE)
            .find(|(column, _)| column == name);
        match fresh {
            Some((_, value)) => (*value).to_owned(),
            None if *moment => format!("original.{name} - copy.ago"),
            None => format!("original.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            moment: name.ends_with("_at"),
        }
    }

    fn left(table: &str) -> &'static Left {
        LEFT.iter().find(|left| left.table == table).unwrap()
    }

    #[test]
    fn what_tells_rows_apart_is_fresh_moments_lie_further_back_and_the_rest_is_copied_as_it_is() {
        let columns = [
            "tenant_id",
            "id",
            "execution_id",
            "subject_id",
            "made",
            "ended_at",
        ]
        .map(column);
        let permit = column("permit_id");
        insta::assert_snapshot!(
            left("effects")
                .statement(&[columns.as_slice(), &[permit]].concat())
                .unwrap()
        );
    }

    #[test]
    fn a_column_that_is_gone_is_named() {
        let error = left("effects").statement(&[column("id")]).unwrap_err();
        assert!(
            error.to_string().contains("`effects` has no column `permit_id`"),
            "{error}"
        );
    }
}
