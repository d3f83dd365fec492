//! A private Postgres: its data, its configuration, its health.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::ServersError;
use super::account::Account;
use super::guarded::{Address, Server};
use super::programs::PostgresPrograms;

/// The owner of everything in a private Postgres.
pub(super) const SUPERUSER: &str = "postgres";

/// What any private Postgres has: loopback only, no socket, small.
const COMMON: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
shared_buffers = '32MB'
max_parallel_workers_per_gather = 0
";

/// Nothing in a throw-away database need survive a power cut.
const DISPOSABLE: &str = "\
max_connections = 800
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum_naptime = '1h'
";

const DURABLE: &str = "\
max_connections = 200
";

/// As a Postgres comes out of the box, durability and all: what is measured on it means something elsewhere.
const MEASURED: &str = "\
max_connections = 300
shared_buffers = '128MB'
";

/// The death of its processes loses nothing that was committed: the system has it. A power cut may lose everything, and
/// nothing is waited for that only a power cut could undo, neither at a commit nor when it recovers.
const CRASHING: &str = "\
max_connections = 300
fsync = off
full_page_writes = off
";

/// What a private Postgres is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// Tests and demonstrations: nothing in it need survive.
    Disposable,
    /// A person's data.
    Lasting,
    /// Measurements.
    Measured,
    /// Crashes of its processes.
    Crashing,
}

impl Profile {
    const fn configuration(self) -> &'static str {
        match self {
            Self::Disposable => DISPOSABLE,
            Self::Lasting => DURABLE,
            Self::Measured => MEASURED,
            Self::Crashing => CRASHING,
        }
    }
}

pub(super) struct Postgres {
    pub(super) programs: PostgresPrograms,
    pub(super) profile: Profile,
}

impl Postgres {
    /// The process that all others of this Postgres descend from; `None` while it does not run.
    pub(super) fn process(dir: &Path) -> Option<u32> {
        let file = std::fs::read_to_string(dir.join("data/postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }
}

impl Server for Postgres {
    const NAME: &'static str = "postgres";
    /// "Fast": ends sessions, writes a checkpoint.
    const STOP_SIGNAL: &'static str = "INT";

    fn prepare(&self, dir: &Path, account: Account, address: &Address) -> Result<Command, ServersError> {
        let data = dir.join("data");
        // `PG_VERSION` is the first file of `initdb`; the configuration, written last, says that it went through.
        let configuration = data.join("postgresql.conf");
        let marker = data.join("firstline.ready");
        if !marker.is_file() {
            self.discard(dir)?;
            self.create_data(dir, &data, account, address)?;
        }
        let profile = self.profile.configuration();
        account.write(&configuration, &format!("{COMMON}{profile}"))?;
        account.write(
            &data.join("pg_hba.conf"),
            "host all all 127.0.0.1/32 scram-sha-256\n",
        )?;
        account.write(&marker, "")?;
        let mut command = Command::new(&self.programs.postgres);
        command
            .arg("-D")
            .arg(&data)
            .arg("-p")
            .arg(address.port.to_string());
        Ok(command)
    }

    async fn answers(&self, address: &Address) -> bool {
        let attempt = async {
            let connection = PgConnection::connect_with(&superuser(address)).await?;
            connection.close().await
        };
        matches!(
            tokio::time::timeout(Duration::from_secs(5), attempt).await,
            Ok(Ok(()))
        )
    }

    fn discard(&self, dir: &Path) -> Result<(), ServersError> {
        let data = dir.join("data");
        match std::fs::remove_dir_all(&data) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ServersError::files(&data, error))
            }
            _ => Ok(()),
        }
    }
}

impl Postgres {
    fn create_data(
        &self,
        dir: &Path,
        data: &Path,
        account: Account,
        address: &Address,
    ) -> Result<(), ServersError> {
        let password = dir.join("superuser.password");
        account.write(&password, &address.password)?;
        let mut initdb = Command::new(&self.programs.initdb);
        initdb
            .arg("--pgdata")
            .arg(data)
            .arg("--pwfile")
            .arg(&password)
            .args([
                "--username",
                SUPERUSER,
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
            ])
            .args(["--no-locale", "--no-instructions"])
            .args(matches!(self.profile, Profile::Disposable | Profile::Crashing).then_some("--no-sync"))
            .env("LC_ALL", "C")
            .current_dir(dir)
            .stdin(Stdio::null());
        account.runs(&mut initdb);
        let answer = initdb
            .output()
            .map_err(|error| ServersError::files(&self.programs.initdb, error))?;
        std::fs::remove_file(&password).map_err(|error| ServersError::files(&password, error))?;
        if answer.status.success() {
            return Ok(());
        }
        Err(ServersError::NotStarted {
            server: Self::NAME,
            log: String::from_utf8_lossy(&answer.stderr).trim().to_owned(),
        })
    }
}

/// As the superuser to the maintenance database. Statements are not logged: some carry passwords.
pub(super) fn superuser(address: &Address) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(address.port)
        .username(SUPERUSER)
        .password(&address.password)
        .database("postgres")
        .disable_statement_logging()
}
