//! Brings a database to the newest schema and makes the service roles. Forward only; safe to repeat, also at the same
//! time. It drops no table and no column.

use std::collections::BTreeMap;
use std::time::Duration;

use common::Service;
use secrecy::{ExposeSecret, SecretString};
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// The files of `migrations/`, inside the binary.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Whoever holds this advisory lock makes roles. Any number would do, as long as nobody else uses it: `firstlin` in
/// ASCII.
const ROLES_LOCK: i64 = 0x6669_7273_746c_696e;

/// How long a migration waits for a table that somebody uses: for so long, whoever comes after it waits behind it.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '2s'";
/// How long those have who came after it, before it tries again, and how often it does: some twenty minutes.
const PAUSE: Duration = Duration::from_secs(2);
const TRIES: u32 = 300;

/// Why the database is not at the newest schema.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// No connection as owner.
    #[error("cannot connect to the database as its owner")]
    Connect(#[source] sqlx::Error),
    /// The owner may not make roles, or the like.
    #[error("cannot make the role `{role}`")]
    Role {
        /// Which.
        role: String,
        /// Why not.
        source: sqlx::Error,
    },
    /// A migration failed, or the database was migrated by other files.
    #[error("cannot apply the migrations")]
    Migrations(#[from] MigrateError),
}

/// Passwords of the service roles. A service without one gets a role without password, for a database that trusts it.
pub type RolePasswords = BTreeMap<Service, SecretString>;

/// The passwords of `DB_PASSWORD_{SERVICE}`, by `lookup`: where none is set, the role keeps the one that it has.
///
/// # Errors
/// The first of `lookup`.
pub fn role_passwords<E>(
    lookup: impl Fn(&str) -> Result<Option<SecretString>, E>,
) -> Result<RolePasswords, E> {
    let mut passwords = RolePasswords::new();
    for service in Service::ALL {
        let password = lookup(&format!("DB_PASSWORD_{}", service.name().to_uppercase()))?;
        passwords.extend(password.map(|password| (service, password)));
    }
    Ok(passwords)
}

/// Make the roles `firstline_{service}` and apply what is missing of `migrations/`, as `owner`.
///
/// The owner must own the database and be allowed to create roles. Waits where another migration is under way or a table is
/// in use, and lets others pass meanwhile; `say` hears of that.
///
/// # Errors
/// Nothing of a failed migration remains; those before it do.
pub async fn migrate(
    owner: &PgConnectOptions,
    passwords: &RolePasswords,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(), MigrationError> {
    // Some statements carry passwords: none is logged.
    let owner = owner.clone().disable_statement_logging();
    let mut connection = PgConnection::connect_with(&owner)
        .await
        .map_err(MigrationError::Connect)?;
    for service in Service::ALL {
        let role = service.database_role();
        make_role(&mut connection, &role, passwords.get(&service))
            .await
            .map_err(|source| MigrationError::Role { role, source })?;
    }
    sqlx::raw_sql(LOCK_TIMEOUT)
        .execute(&mut connection)
        .await
        .map_err(MigrationError::Connect)?;
    let mut tries = 1;
    // Takes an advisory lock of its own while it runs.
    while let Err(error) = MIGRATIONS.run(&mut connection).await {
        if tries == TRIES || !is_in_use(&error) {
            return Err(error.into());
        }
        if tries == 1 {
            say(
                "a table is in use, or another migration is under way; trying again until it is free \
                 (`SELECT * FROM pg_stat_activity WHERE state <> 'idle'` shows by whom) ...",
            );
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
    connection.close().await.map_err(MigrationError::Connect)
}

/// `55P03` lock_not_available.
fn is_in_use(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return false;
    };
    let code = cause.as_database_error().and_then(DatabaseError::code);
    code.as_deref() == Some("55P03")
}

/// Roles belong to the whole server, advisory locks to one database: two databases may still race, and the loser is
/// told by Postgres and tries once more.
async fn make_role(
    connection: &mut PgConnection,
    role: &str,
    password: Option<&SecretString>,
) -> Result<(), sqlx::Error> {
    let mut attempt = 1;
    loop {
        match try_make_role(connection, role, password).await {
            Err(sqlx::Error::Database(error)) if attempt < 5 && lost_a_race(error.as_ref()) => {
                tokio::time::sleep(Duration::from_millis(50 * attempt)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

async fn try_make_role(
    connection: &mut PgConnection,
    role: &str,
    password: Option<&SecretString>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(ROLES_LOCK)
        .execute(&mut *transaction)
        .await?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(role)
        .fetch_one(&mut *transaction)
        .await?;
    let verb = if exists { "ALTER" } else { "CREATE" };
    let password = password.map(ExposeSecret::expose_secret);
    // Statements about roles take no parameters; Postgres itself does the quoting.
    let statement: String = sqlx::query_scalar(
        "SELECT format('%s ROLE %I LOGIN', $1, $2)
            || CASE WHEN $3 IS NULL THEN '' ELSE format(' PASSWORD %L', $3) END",
    )
    .bind(verb)
    .bind(role)
    .bind(password)
    .fetch_one(&mut *transaction)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// `42710` duplicate_object, `23505` unique_violation (of `pg_authid`), `XX000` "tuple concurrently updated".
fn lost_a_race(error: &dyn DatabaseError) -> bool {
    matches!(error.code().as_deref(), Some("42710" | "23505" | "XX000"))
}

/// Names the state of the migration files: equal digests, equal schemas.
pub(crate) fn digest() -> String {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    for migration in MIGRATIONS.iter() {
        hash.update(migration.version.to_be_bytes());
        hash.update(&migration.checksum);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_a_password_variable_of_its_own() {
        let passwords = role_passwords(|name| match name {
            "DB_PASSWORD_EXECUTOR" => Ok(Some("secret".into())),
            "DB_PASSWORD_DELIVERY_FILE" => Err("asked by the wrong name"),
            _ => Ok(None),
        });
        assert_eq!(
            passwords.unwrap().keys().collect::<Vec<_>>(),
            [&Service::Executor]
        );
    }
}
