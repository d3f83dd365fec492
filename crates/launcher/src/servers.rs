//! A Postgres and a Redis of our own on this machine: unprivileged, on loopback, on free ports, gone with their user.

mod account;
mod crash;
mod guarded;
mod postgres;
mod programs;
mod redis;

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use url::Url;

use account::Account;
use guarded::Guarded;
use postgres::Profile;

/// The library that puts the clock of a process wrong (`libfaketime`), installed now where it was missing; `say` gets a line about it.
///
/// # Errors
/// It is missing and could not be installed.
pub fn clock_faker(say: &dyn Fn(&str)) -> Result<PathBuf, ServersError> {
    programs::clock_faker(say)
}

/// How many logical databases a private Redis has: one for each test that runs at the same time, and many to spare.
pub(crate) const REDIS_DATABASES: u32 = 1024;

/// Why there are no servers.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// A program is not there and could not be installed.
    #[error("{program} is missing: {advice}")]
    Missing {
        /// What.
        program: &'static str,
        /// What to do about it.
        advice: String,
    },
    /// We are root, which Postgres refuses to run as, and no other account exists.
    #[error("Postgres does not run as root, and there is neither a user `postgres` nor a user `nobody`")]
    NoAccount,
    /// Somebody else made the directory.
    #[error("`{0}` belongs to somebody else; remove it or set TMPDIR to a directory of your own")]
    NotOurs(PathBuf),
    /// No directory that an unprivileged server could reach.
    #[error("the unprivileged account of the servers can reach none of {0:?}")]
    Unreachable(Vec<PathBuf>),
    /// The server ended or did not answer in time.
    #[error("{server} did not start:\n{log}")]
    NotStarted {
        /// Which.
        server: &'static str,
        /// The last lines it wrote.
        log: String,
    },
    /// A file or a process could not be had.
    #[error("`{path}`")]
    Files {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the private database refused")]
    Database(#[from] sqlx::Error),
}

impl ServersError {
    pub(crate) fn files(path: &Path, source: std::io::Error) -> Self {
        Self::Files {
            path: path.to_owned(),
            source,
        }
    }
}

/// Who uses the servers, and what becomes of their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// One user. With `remove` the data goes too.
    Private {
        /// Throw the directory away in the end.
        remove: bool,
    },
    /// All processes that name the same directory; the data stays for the next, but may be lost at any time.
    Shared,
}

/// A running Postgres and a running Redis. They stop when this is dropped, and also when this process dies in any way.
pub struct Servers {
    // Declared, so stopped, in this order; the directory goes last.
    redis: Guarded,
    postgres: Guarded,
    home: PathBuf,
    /// Where the programs of this Postgres are.
    programs: PathBuf,
    profile: Profile,
}

/// The processes of the two, for whoever measures what they use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerProcesses {
    /// The parent of all processes of Postgres.
    pub postgres: u32,
    /// Redis.
    pub redis: u32,
}

impl Servers {
    /// Servers for a while: fast, forgetful, in a temporary directory that goes with them.
    ///
    /// `say` gets a line for people where something has to be installed or takes long.
    pub async fn temporary(say: &dyn Fn(&str)) -> Result<Self, ServersError> {
        Self::private(Profile::Disposable, say).await
    }

    /// Servers to measure on: as durable as they come out of the box, in a temporary directory that goes with them.
    pub async fn measured(say: &dyn Fn(&str)) -> Result<Self, ServersError> {
        Self::private(Profile::Measured, say).await
    }

    /// In a temporary directory that goes with them.
    async fn private(profile: Profile, say: &dyn Fn(&str)) -> Result<Self, ServersError> {
        let account = Account::unprivileged()?;
        let home = temporary_home(account)?;
        Self::start(home, account, Fate::Private { remove: true }, profile, say).await
    }

    /// Servers whose data stays in `data` (made where it is missing) and survives restarts and power cuts.
    pub async fn lasting(data: &Path, say: &dyn Fn(&str)) -> Result<Self, ServersError> {
        let account = Account::unprivileged()?;
        let home = reachable_home(data, account, say)?;
        account.directory(&home)?;
        Self::start(
            home,
            account,
            Fate::Private { remove: false },
            Profile::Lasting,
            say,
        )
        .await
    }

    /// The servers that all test processes of this user share; data of killed tests may be found in them.
    pub(crate) async fn shared(say: &dyn Fn(&str)) -> Result<Self, ServersError> {
        let account = Account::unprivileged()?;
        let parent = reachable_temporary_directory(account)?;
        let home = parent.join(format!("firstline-tests-{}", nix::unistd::Uid::effective()));
        account.directory(&home)?;
        Self::start(home, account, Fate::Shared, Profile::Disposable, say).await
    }

    async fn start(
        home: PathBuf,
        account: Account,
        fate: Fate,
        profile: Profile,
        say: &dyn Fn(&str),
    ) -> Result<Self, ServersError> {
        let programs = programs::postgres(say)?;
        let program = programs::redis(say)?;
        let home = match fate {
            Fate::Private { remove: true } => home,
            // Data files are of one major version; another version finds a home of its own beside them.
            Fate::Private { remove: false } | Fate::Shared => home.join(format!("pg{}", programs.major)),
        };
        account.directory(&home)?;
        let bin = programs.initdb.parent().unwrap_or(Path::new("")).to_owned();
        let postgres = postgres::Postgres { programs, profile };
        let redis = redis::Redis {
            program,
            disposable: matches!(profile, Profile::Disposable | Profile::Crashing),
        };
        let (postgres, redis) = tokio::try_join!(
            Guarded::join(&postgres, &home, account, fate),
            Guarded::join(&redis, &home, account, fate),
        )?;
        Ok(Self {
            redis,
            postgres,
            home,
            programs: bin,
            profile,
        })
    }

    /// The processes of the two servers.
    ///
    /// # Errors
    /// One of them is gone.
    pub async fn processes(&self) -> Result<ServerProcesses, ServersError> {
        let gone = |server| ServersError::NotStarted {
            server,
            log: "it does not say which process it is".to_owned(),
        };
        let postgres = postgres::Postgres::process(&self.home.join("postgres"));
        let redis = redis::process(&self.redis.address).await;
        Ok(ServerProcesses {
            postgres: postgres.ok_or_else(|| gone("postgres"))?,
            redis: redis.ok_or_else(|| gone("redis"))?,
        })
    }

    /// A program that came with this Postgres, `pgbench` for one; `None` where the package leaves it out.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        Some(self.programs.join(name)).filter(|path| path.is_file())
    }

    /// Where data and logs are.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Connect options of the owner (superuser) to the maintenance database.
    pub(crate) fn superuser(&self) -> PgConnectOptions {
        postgres::superuser(&self.postgres.address)
    }

    /// Address of `database` for its owner, password included: treat it as a secret.
    pub fn owner_url(&self, database: &str) -> Url {
        self.url(database, postgres::SUPERUSER, &self.postgres.address.password)
    }

    /// Address of `database` for a role.
    pub(crate) fn url(&self, database: &str, role: &str, password: &str) -> Url {
        let port = self.postgres.address.port;
        format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}")
            .parse()
            .expect("names are ours and passwords are hexadecimal")
    }

    /// A password for the service roles of these servers, as secret as that of their owner and derived from it, so
    /// that every process that shares them knows it.
    pub(crate) fn role_password(&self) -> String {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(format!(
            "role/{}",
            self.postgres.address.password
        )))
    }

    /// Address of the logical Redis database `number`, password included.
    pub fn redis_url(&self, number: u32) -> Url {
        redis::url(&self.redis.address, number % REDIS_DATABASES)
    }
}

/// A fresh directory of the servers' account. Their guards remove it: they also do when this process is killed.
fn temporary_home(account: Account) -> Result<PathBuf, ServersError> {
    let parent = reachable_temporary_directory(account)?;
    let home = tempfile::Builder::new()
        .prefix("firstline-")
        .tempdir_in(&parent)
        .map_err(|error| ServersError::files(&parent, error))?
        .keep();
    account.owns(&home, 0o700)?;
    Ok(home)
}

/// The first temporary directory whose whole path the servers' account may pass.
fn reachable_temporary_directory(account: Account) -> Result<PathBuf, ServersError> {
    let candidates = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    candidates
        .iter()
        .find(|path| reachable(path, account))
        .cloned()
        .ok_or_else(|| ServersError::Unreachable(candidates.to_vec()))
}

/// `data` itself, or a place in `/var/tmp` named after it where the servers' account could not get to it: a clone in
/// root's home directory, for one.
fn reachable_home(data: &Path, account: Account, say: &dyn Fn(&str)) -> Result<PathBuf, ServersError> {
    use sha2::Digest;
    std::fs::create_dir_all(data).map_err(|error| ServersError::files(data, error))?;
    let data = data
        .canonicalize()
        .map_err(|error| ServersError::files(data, error))?;
    let parent = data.parent().unwrap_or(&data);
    if reachable(parent, account) {
        return Ok(data);
    }
    let digest = hex::encode(sha2::Sha256::digest(data.as_os_str().as_encoded_bytes()));
    let elsewhere = Path::new("/var/tmp").join(format!("firstline-{}", &digest[..12]));
    say(&format!(
        "the unprivileged account of the servers cannot reach {}: their data is in {}",
        data.display(),
        elsewhere.display()
    ));
    Ok(elsewhere)
}

fn reachable(path: &Path, account: Account) -> bool {
    use std::os::unix::fs::MetadataExt;
    // As ourselves we find out soon enough.
    if account.uid() == nix::unistd::Uid::effective().as_raw() {
        return path.is_dir();
    }
    path.ancestors().all(|ancestor| {
        std::fs::metadata(ancestor)
            .is_ok_and(|found| found.is_dir() && (found.uid() == account.uid() || found.mode() & 0o001 != 0))
    })
}
