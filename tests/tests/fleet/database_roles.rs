//! What each service's database role may do to each table, written down by hand and compared with what the migrated
//! database says. A table without a row fails, and so does a privilege that is not in it.

use std::collections::BTreeMap;

use common::Service::{self, Classifier, Delivery, Executor, Orchestration, Playbook, Verification};
use sqlx::{AssertSqlSafe, PgPool};

/// `s`elect, `i`nsert, `u`pdate, `d`elete; a capital letter: some columns only. Whoever is not named may do nothing.
/// Truncating, references and triggers are the owner's alone.
const MATRIX: &[(&str, &[(Service, &str)])] = &[
    // The record: everybody adds to its own chains by `audit_append`, and nobody reaches the tables themselves.
    ("audit_events", &[]),
    ("audit_heads", &[]),
    ("audit_seals", &[]),
    ("ticket_events", &[(Classifier, "sid")]),
    ("archived_ticket_events", &[(Classifier, "i")]),
    ("gate_windows", &[(Classifier, "siu")]),
    ("gate_outcomes", &[(Classifier, "siu")]),
    ("gate_verdicts", &[(Classifier, "s")]),
    ("gate_watches", &[(Classifier, "siu")]),
    // What was lost is not found again: another activation is another row.
    ("gate_fallbacks", &[(Classifier, "si")]),
    ("suggestions", &[(Classifier, "siu")]),
    ("tickets", &[(Classifier, "siu")]),
    // A decision is never changed: only what people wrote is forgotten after a while.
    ("classification_results", &[(Classifier, "siU")]),
    ("ticket_polls", &[(Classifier, "siu")]),
    // A published version stays word for word: only whether and how it is active may change.
    ("playbooks", &[(Playbook, "siU")]),
    ("pinned_playbooks", &[(Orchestration, "si")]),
    ("execution_runners", &[(Orchestration, "siud")]),
    ("playbook_executions", &[(Orchestration, "siud")]),
    ("playbook_step_executions", &[(Orchestration, "siud")]),
    ("execution_signals", &[(Orchestration, "siud")]),
    ("ticket_updates", &[(Orchestration, "siud")]),
    ("ticket_outboxes", &[(Orchestration, "siud")]),
    ("archived_executions", &[(Orchestration, "si")]),
    // Orchestration puts them; whoever acts looks for itself.
    (
        "switches",
        &[
            (Orchestration, "sid"),
            (Classifier, "s"),
            (Verification, "s"),
            (Executor, "s"),
            (Delivery, "s"),
        ],
    ),
    ("verification_windows", &[(Verification, "siu")]),
    ("effect_windows", &[(Executor, "siu")]),
    ("verifications", &[(Verification, "siu")]),
    ("verification_messages", &[(Verification, "si")]),
    // What was done and which permit it took is never forgotten.
    ("effects", &[(Executor, "siu")]),
    ("spent_permits", &[(Executor, "si")]),
    ("effect_undos", &[(Executor, "siu")]),
    ("deliveries", &[(Delivery, "siu")]),
];

/// The migrations' own record: the owner's.
const NOT_OURS: &str = "_sqlx_migrations";

/// What the database says, in the letters of the matrix.
async fn privileges(owner: &PgPool, service: Service, table: &str) -> String {
    let mut letters = String::new();
    for (letter, privilege) in [
        ('s', "SELECT"),
        ('i', "INSERT"),
        ('u', "UPDATE"),
        ('d', "DELETE"),
        ('t', "TRUNCATE"),
        ('r', "REFERENCES"),
        ('g', "TRIGGER"),
    ] {
        // DELETE, TRUNCATE and TRIGGER are never of columns.
        let of_columns = matches!(letter, 's' | 'i' | 'u' | 'r');
        let (whole, columns): (bool, bool) = sqlx::query_as(
            "SELECT has_table_privilege($1, $2, $3),
                    CASE WHEN $4 THEN has_any_column_privilege($1, $2, $3) ELSE false END",
        )
        .bind(service.database_role())
        .bind(table)
        .bind(privilege)
        .bind(of_columns)
        .fetch_one(owner)
        .await
        .unwrap();
        match (whole, columns) {
            (true, _) => letters.push(letter),
            (false, true) => letters.push(letter.to_ascii_uppercase()),
            (false, false) => {}
        }
    }
    letters
}

#[tokio::test]
async fn each_role_has_exactly_the_privileges_that_are_written_down() {
    let database = launcher::testing::database().await;
    let owner = database.owner().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1",
    )
    .fetch_all(&owner)
    .await
    .unwrap();
    let matrix: BTreeMap<&str, &[(Service, &str)]> = MATRIX.iter().copied().collect();
    for written in matrix.keys() {
        assert!(
            tables.iter().any(|table| table == written),
            "there is no table `{written}`"
        );
    }
    let mut wrong = vec![];
    for table in &tables {
        let nobody: &[(Service, &str)] = &[];
        let row = match matrix.get(table.as_str()) {
            Some(row) => row,
            None if table == NOT_OURS => nobody,
            None => panic!("table `{table}` has no row: write down who may do what to it"),
        };
        for service in Service::ALL {
            let expected = row
                .iter()
                .find(|(who, _)| *who == service)
                .map_or("", |(_, may)| may);
            let found = privileges(&owner, service, table).await;
            if found != expected {
                wrong.push(format!(
                    "{service} on {table}: expected `{expected}`, has `{found}`"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_role_is_more_than_a_user_of_its_tables() {
    let database = launcher::testing::database().await;
    let owner = database.owner().await;
    for service in Service::ALL {
        let role = service.database_role();
        let (attributes, memberships, owned): (bool, i64, i64) = sqlx::query_as(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls,
                    (SELECT count(*) FROM pg_auth_members WHERE member = r.oid),
                    (SELECT count(*) FROM pg_class WHERE relowner = r.oid)
             FROM pg_roles r WHERE rolname = $1",
        )
        .bind(&role)
        .fetch_one(&owner)
        .await
        .unwrap();
        assert_eq!((attributes, memberships, owned), (false, 0, 0), "{role}");
        let pool = database.pool(service).await;
        for forbidden in [
            "CREATE TABLE mine (id int)",
            // Before ours it would be found by whatever runs as the owner.
            "CREATE TEMPORARY TABLE audit_heads (LIKE audit_heads)",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE SCHEMA mine",
            "TRUNCATE audit_events",
            "ALTER TABLE audit_events DISABLE TRIGGER ALL",
            "COPY audit_events TO '/tmp/x'",
            "SET ROLE postgres",
        ] {
            let done = sqlx::query(AssertSqlSafe(forbidden)).execute(&pool).await;
            assert!(done.is_err(), "{role} may not `{forbidden}`");
        }
    }
}

/// A function that runs as the owner finds no table that its caller made: temporary ones come first where the path does not
/// say that they come last.
#[tokio::test]
async fn what_runs_as_the_owner_finds_our_tables_only() {
    let database = launcher::testing::database().await;
    let owner = database.owner().await;
    let functions: Vec<(String, Option<Vec<String>>)> = sqlx::query_as(
        "SELECT oid::regprocedure::text, proconfig
         FROM pg_proc
         WHERE prosecdef AND pronamespace = 'public'::regnamespace",
    )
    .fetch_all(&owner)
    .await
    .unwrap();
    assert!(!functions.is_empty());
    for (function, settings) in functions {
        let path = settings
            .iter()
            .flatten()
            .find_map(|setting| setting.strip_prefix("search_path="));
        assert!(
            path.is_some_and(|path| path.starts_with("pg_catalog, ") && path.ends_with(", pg_temp")),
            "{function} looks for tables in {path:?}"
        );
    }
}

/// The matrix is what the catalogue says; these are tried, in the words of an attacker who holds one service.
#[tokio::test]
async fn what_a_stolen_service_would_want_most_is_refused_by_the_database() {
    let database = launcher::testing::database().await;
    for (service, attempt) in [
        (Classifier, "SELECT * FROM verifications"),
        (Orchestration, "SELECT * FROM verifications"),
        (Orchestration, "UPDATE verifications SET state = 'approved'"),
        (Orchestration, "INSERT INTO spent_permits DEFAULT VALUES"),
        (Orchestration, "DELETE FROM spent_permits"),
        (Orchestration, "UPDATE effects SET state = state"),
        (Verification, "INSERT INTO effects DEFAULT VALUES"),
        (Delivery, "DELETE FROM effects"),
        (Executor, "DELETE FROM effects"),
        (Executor, "UPDATE spent_permits SET tenant_id = ''"),
        (Executor, "DELETE FROM spent_permits"),
        (Delivery, "DELETE FROM deliveries"),
        (Playbook, "UPDATE playbooks SET source = ''"),
        (Executor, "SELECT * FROM audit_events"),
        (Verification, "UPDATE audit_events SET kind = ''"),
        (Orchestration, "DELETE FROM audit_events"),
        (Executor, "UPDATE audit_heads SET seq = 0"),
        (Delivery, "DELETE FROM audit_seals"),
        (Executor, "DELETE FROM switches"),
    ] {
        let pool = database.pool(service).await;
        let error = sqlx::query(AssertSqlSafe(attempt))
            .execute(&pool)
            .await
            .unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(|code| code.to_string()));
        // insufficient_privilege, and not a slip in the statement.
        assert_eq!(code.as_deref(), Some("42501"), "{service}: `{attempt}`: {error}");
    }
}
