//! Servers that die in the middle of their work and come back, for whoever tortures a fleet.

use nix::sys::signal::Signal;

use super::account::Account;
use super::guarded::Server as _;
use super::postgres::Profile;
use super::{Servers, ServersError, postgres, programs, redis};

impl Servers {
    /// Servers to crash: what was committed to Postgres survives the death of its processes, Redis keeps nothing; in a
    /// temporary directory that goes with them.
    ///
    /// `say` gets a line for people where something has to be installed or takes long.
    ///
    /// # Errors
    /// They cannot be had.
    pub async fn crashing(say: &dyn Fn(&str)) -> Result<Self, ServersError> {
        Self::private(Profile::Crashing, say).await
    }

    /// End Postgres at once, as `pg_ctl stop --mode immediate` does: sessions break, nothing is written any more.
    ///
    /// What was committed survives, unless these servers are [`Servers::temporary`].
    ///
    /// # Errors
    /// Its end could not be waited for.
    pub async fn crash_postgres(&mut self) -> Result<(), ServersError> {
        match postgres::Postgres::process(&self.home.join(postgres::Postgres::NAME)) {
            Some(process) => self.postgres.crash(process, Signal::SIGQUIT).await,
            None => Ok(()),
        }
    }

    /// Start a crashed Postgres again, at its address, and wait until it has recovered and answers.
    ///
    /// # Errors
    /// It does not start; the message holds the end of its log.
    pub async fn start_postgres_again(&mut self) -> Result<(), ServersError> {
        let server = postgres::Postgres {
            programs: programs::postgres(&|_| {})?,
            profile: self.profile,
        };
        let account = Account::unprivileged()?;
        self.postgres.start_again(&server, &self.home, account).await
    }

    /// `kill -9` Redis.
    ///
    /// # Errors
    /// Its end could not be waited for.
    pub async fn crash_redis(&mut self) -> Result<(), ServersError> {
        match redis::process(&self.redis.address).await {
            Some(process) => self.redis.crash(process, Signal::SIGKILL).await,
            None => Ok(()),
        }
    }

    /// Start a crashed Redis again, at its address and empty: whatever it knew is lost.
    ///
    /// # Errors
    /// It does not start; the message holds the end of its log.
    pub async fn start_redis_again(&mut self) -> Result<(), ServersError> {
        let server = redis::Redis {
            program: programs::redis(&|_| {})?,
            disposable: true,
        };
        let account = Account::unprivileged()?;
        self.redis.start_again(&server, &self.home, account).await
    }
}
