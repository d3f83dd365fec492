//! A private Redis: its configuration and its health.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use url::Url;

use super::ServersError;
use super::account::Account;
use super::guarded::{Address, Server};

pub(super) struct Redis {
    pub(super) program: PathBuf,
    pub(super) disposable: bool,
}

impl Server for Redis {
    const NAME: &'static str = "redis";
    const STOP_SIGNAL: &'static str = "TERM";

    fn prepare(&self, dir: &Path, account: Account, address: &Address) -> Result<Command, ServersError> {
        let configuration = dir.join("redis.conf");
        // The password is in the file and not among the arguments, which everybody on the machine can read.
        let persistence = if self.disposable { "no" } else { "yes" };
        let text = format!(
            "bind 127.0.0.1\nport {}\nrequirepass {}\ndir {}\nsave \"\"\nappendonly {persistence}\n\
             databases {}\ndaemonize no\nset-proc-title no\n",
            address.port,
            address.password,
            dir.display(),
            super::REDIS_DATABASES,
        );
        account.write(&configuration, &text)?;
        let mut command = Command::new(&self.program);
        command.arg(&configuration);
        Ok(command)
    }

    async fn answers(&self, address: &Address) -> bool {
        let attempt = async {
            let client = ::redis::Client::open(url(address, 0))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            ::redis::cmd("PING").query_async::<String>(&mut connection).await
        };
        matches!(
            tokio::time::timeout(Duration::from_secs(5), attempt).await,
            Ok(Ok(_))
        )
    }

    fn discard(&self, _dir: &Path) -> Result<(), ServersError> {
        Ok(())
    }
}

/// The process behind `address`; `None` where it does not answer.
pub(super) async fn process(address: &Address) -> Option<u32> {
    let client = ::redis::Client::open(url(address, 0)).ok()?;
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let told: String = ::redis::cmd("INFO")
        .arg("server")
        .query_async(&mut connection)
        .await
        .ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("process_id:"))?;
    line.trim().parse().ok()
}

/// `redis://` address of the logical database `number`.
pub(super) fn url(address: &Address, number: u32) -> Url {
    format!(
        "redis://:{}@127.0.0.1:{}/{number}",
        address.password, address.port
    )
    .parse()
    .expect("built from numbers and hexadecimal digits")
}
