//! Databases for tests: all test processes of this user share one Postgres and one Redis; each test has a database
//! and a logical Redis database of its own, migrated, empty, and gone when the test is. And what a service finds around
//! it besides: keys, a runtime, a caller.
//!
//! ```no_run
//! # async fn test() {
//! let database = launcher::testing::database().await;
//! let pool = database.pool(common::Service::Delivery).await; // as the service's own role
//! let owner = database.owner().await;                        // may look into every table
//! # }
//! ```

#[cfg(feature = "fleet")]
mod fleet;
mod keys;
mod running;
mod step;
mod waiting;
mod wire;

use common::Service;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::OnceCell;
use url::Url;

use crate::migrate::{RolePasswords, digest, migrate};
use crate::servers::{REDIS_DATABASES, Servers};

#[cfg(feature = "fleet")]
pub use fleet::{SHORT_WAITS, TestFleet, TestFleetSettings};
pub use keys::{Stamp, TestKeys};
pub use running::{Running, exit_of};
pub use step::{audit_of, next_attempt, refusal, step_request};
pub use waiting::{seen_within, until};
pub use wire::Wire;

/// Held until the process ends; the servers end with the last process that holds it.
static SHARED: OnceCell<TestServers> = OnceCell::const_new();

struct TestServers {
    servers: Servers,
    template: String,
    role_password: String,
}

/// A migrated database and an empty logical Redis database for one test. Dropped, both are gone.
pub struct TestDatabase {
    shared: &'static TestServers,
    name: String,
    redis_number: u32,
}

/// A fresh [`TestDatabase`] on the shared servers, which are started (and installed) where they are not there.
///
/// # Panics
/// There are no servers; the message says what is missing. A test cannot go on without.
pub async fn database() -> TestDatabase {
    let shared = SHARED
        .get_or_try_init(TestServers::start)
        .await
        .unwrap_or_else(|error| panic!("no servers for tests: {}", chain(&error)));
    shared
        .fresh()
        .await
        .unwrap_or_else(|error| panic!("no database for this test: {}", chain(&error)))
}

#[derive(Debug, thiserror::Error)]
enum TestServersError {
    #[error(transparent)]
    Servers(#[from] crate::ServersError),
    #[error("cannot prepare the template database")]
    Template(#[from] crate::migrate::MigrationError),
    #[error("cannot prepare the shared database")]
    Database(#[from] sqlx::Error),
}

impl TestServers {
    async fn start() -> Result<Self, TestServersError> {
        let servers = Servers::shared(&|line| announce(line)).await?;
        let role_password = servers.role_password();
        let template = format!("template_{}", &digest()[..16]);
        let shared = Self {
            servers,
            template,
            role_password,
        };
        shared.prepare().await?;
        Ok(shared)
    }

    /// Make the template once, and remove what killed tests left behind. One process at a time.
    async fn prepare(&self) -> Result<(), TestServersError> {
        let mut connection = PgConnection::connect_with(&self.servers.superuser()).await?;
        // Released with the connection, whatever happens in between.
        sqlx::query("SELECT pg_advisory_lock(1)")
            .execute(&mut connection)
            .await?;
        sqlx::raw_sql("CREATE SEQUENCE IF NOT EXISTS redis_numbers")
            .execute(&mut connection)
            .await?;
        drop_abandoned(&mut connection).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&self.template)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            self.make_template(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// Under a name of its own until it is complete: a half-migrated template must not be found.
    async fn make_template(&self, connection: &mut PgConnection) -> Result<(), TestServersError> {
        let unfinished = format!("{}_unfinished", self.template);
        execute(
            connection,
            format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
        )
        .await?;
        execute(connection, format!("CREATE DATABASE {unfinished}")).await?;
        let passwords: RolePasswords = Service::ALL
            .into_iter()
            .map(|service| (service, self.role_password.clone().into()))
            .collect();
        let owner = self.servers.superuser().database(&unfinished);
        migrate(&owner, &passwords, &|_| {}).await?;
        execute(
            connection,
            format!("ALTER DATABASE {unfinished} RENAME TO {}", self.template),
        )
        .await?;
        Ok(())
    }

    async fn fresh(&'static self) -> Result<TestDatabase, TestServersError> {
        let name = format!("test_{}_{}", std::process::id(), uuid::Uuid::new_v4().simple());
        let mut connection = PgConnection::connect_with(&self.servers.superuser()).await?;
        let number: i64 = sqlx::query_scalar("SELECT nextval('redis_numbers')")
            .fetch_one(&mut connection)
            .await?;
        let redis_number = u32::try_from(number % i64::from(REDIS_DATABASES)).unwrap_or_default();
        execute(
            &mut connection,
            format!("CREATE DATABASE {name} TEMPLATE {}", self.template),
        )
        .await?;
        // Of the template comes what is in it, and not what its migrations said of the database itself.
        execute(
            &mut connection,
            format!("REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"),
        )
        .await?;
        connection.close().await?;
        let database = TestDatabase {
            shared: self,
            name,
            redis_number,
        };
        database.flush_redis().await;
        Ok(database)
    }
}

/// Databases of test processes that no longer exist, and templates of other migrations that nobody uses.
async fn drop_abandoned(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'")
            .fetch_all(&mut *connection)
            .await?;
    for name in names.iter().filter(|name| owner_is_gone(name)) {
        execute(connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    }
    Ok(())
}

/// The process id is part of the name: see [`TestServers::fresh`].
fn owner_is_gone(database: &str) -> bool {
    let pid = database.split('_').nth(1).and_then(|pid| pid.parse().ok());
    pid.is_none_or(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err())
}

/// `sql` is built from names that this file made up.
async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map(|_| ())
}

impl TestDatabase {
    /// Address of the database for the role of `service`: its `DATABASE_URL`.
    pub fn url(&self, service: Service) -> Url {
        self.shared
            .servers
            .url(&self.name, &service.database_role(), &self.shared.role_password)
    }

    /// Address of the database for its owner.
    pub fn owner_url(&self) -> Url {
        self.shared.servers.owner_url(&self.name)
    }

    /// This test's `REDIS_URL`.
    pub fn redis_url(&self) -> Url {
        self.shared.servers.redis_url(self.redis_number)
    }

    /// Connections as the role of `service`, with its grants and no more.
    ///
    /// # Panics
    /// The database does not answer.
    pub async fn pool(&self, service: Service) -> PgPool {
        let url = self.url(service);
        connect(url.as_str().parse().expect("built by `url`")).await
    }

    /// Connections as the owner, to look into every table.
    ///
    /// # Panics
    /// The database does not answer.
    pub async fn owner(&self) -> PgPool {
        connect(self.shared.servers.superuser().database(&self.name)).await
    }

    /// Lose everything that this test's Redis database holds.
    ///
    /// # Panics
    /// Redis does not answer.
    pub async fn flush_redis(&self) {
        let flush = async {
            let client = redis::Client::open(self.redis_url())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await
        };
        flush.await.expect("the shared Redis answers");
    }
}

async fn connect(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await
        .expect("the database of this test answers")
}

impl Drop for TestDatabase {
    /// On a thread of its own: the test's runtime may be on its way out.
    fn drop(&mut self) {
        let superuser = self.shared.servers.superuser();
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect_with(&superuser).await?;
                execute(&mut connection, sql).await
            })
        });
        // What remains is removed when the servers start next.
        if !matches!(dropped.join(), Ok(Ok::<(), sqlx::Error>(()))) {
            tracing::warn!(database = self.name, "could not drop the database of a test");
        }
    }
}

/// An error with its causes, for a panic message.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[expect(
    clippy::print_stderr,
    reason = "a person who runs the tests wants to know what is being installed"
)]
fn announce(line: &str) {
    eprintln!("firstline tests: {line}");
}
