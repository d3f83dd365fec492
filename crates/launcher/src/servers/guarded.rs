//! One server process that lives exactly as long as somebody uses it, however they end; in one process or in many.
//!
//! Users hold a shared lock on a file; a small shell script (`guard.sh`), the parent of the server, waits for the
//! exclusive one. No user needs to end well for the server to be stopped.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::{Fate, ServersError};

/// How long a server may take until it answers; a loaded machine with two cores needs some of it.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// Ports are chosen free, but somebody else may take one in between.
const START_ATTEMPTS: u32 = 3;

/// How to reach a server, on loopback; also kept in a file for the next user.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) port: u16,
    /// Random; of the superuser in Postgres, of everybody in Redis.
    pub(super) password: String,
}

/// What a kind of server knows of itself.
pub(super) trait Server {
    /// Directory name and name for people.
    const NAME: &'static str;
    /// What makes it stop in good order.
    const STOP_SIGNAL: &'static str;

    /// Write its configuration (and data, where there is none yet) below `dir`; answers the command to run there.
    fn prepare(&self, dir: &Path, account: Account, address: &Address) -> Result<Command, ServersError>;

    /// Whether it takes orders at `address`.
    async fn answers(&self, address: &Address) -> bool;

    /// Throw its data away, so that the next [`Server::prepare`] begins afresh.
    fn discard(&self, dir: &Path) -> Result<(), ServersError>;
}

/// A use of a server. Dropped, the use ends; with the last use the server ends.
pub(super) struct Guarded {
    /// The shared lock. `None` once given up.
    users: Option<File>,
    /// The guard, where this use started the server.
    guard: Option<Child>,
    fate: Fate,
    pub(super) address: Address,
}

impl Guarded {
    /// Use the server in `home`, starting it where it does not run.
    pub(super) async fn join<S: Server>(
        server: &S,
        home: &Path,
        account: Account,
        fate: Fate,
    ) -> Result<Self, ServersError> {
        let dir = home.join(S::NAME);
        account.directory(&dir)?;
        // Waits while a guard is stopping the server after its last user.
        let users = locked(&dir.join("users.lock"), account, Lock::Shared).await?;
        // One starts, the others wait and find it started. Released when dropped.
        let _starting = locked(&dir.join("start.lock"), account, Lock::Exclusive).await?;
        let address_file = dir.join("address.json");
        if let Some(address) = remembered(&address_file)
            && server.answers(&address).await
        {
            return Ok(Self {
                users: Some(users),
                guard: None,
                fate,
                address,
            });
        }
        let (guard, address) = start(server, &dir, account, fate).await?;
        Ok(Self {
            users: Some(users),
            guard: Some(guard),
            fate,
            address,
        })
    }
}

impl Guarded {
    /// End the server at once by `signal` to its process, in the middle of whatever it does. Its files stay.
    pub(super) async fn crash(&mut self, process: u32, signal: Signal) -> Result<(), ServersError> {
        if let Ok(process) = i32::try_from(process) {
            // It may have ended by itself.
            let _ = nix::sys::signal::kill(Pid::from_raw(process), signal);
        }
        let Some(mut guard) = self.guard.take() else {
            return Ok(());
        };
        // The guard ends with the server.
        let ended = tokio::task::spawn_blocking(move || guard.wait()).await;
        let failed = |error| ServersError::files(Path::new("/bin/sh"), error);
        ended
            .map_err(|error| failed(std::io::Error::other(error)))?
            .map_err(failed)?;
        Ok(())
    }

    /// Start a crashed server of our own again, at its address.
    pub(super) async fn start_again<S: Server>(
        &mut self,
        server: &S,
        home: &Path,
        account: Account,
    ) -> Result<(), ServersError> {
        if self.guard.is_none() {
            let dir = home.join(S::NAME);
            self.guard = Some(attempt_start(server, &dir, account, self.fate, &self.address).await?);
        }
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.users.take());
        // A server of our own is gone when we say so. A shared one may have other users; nobody waits for them.
        if let (Fate::Private { .. }, Some(mut guard)) = (self.fate, self.guard.take())
            && let Err(error) = guard.wait()
        {
            tracing::warn!(error = %error, "could not wait for the end of a server");
        }
    }
}

async fn start<S: Server>(
    server: &S,
    dir: &Path,
    account: Account,
    fate: Fate,
) -> Result<(Child, Address), ServersError> {
    let address_file = dir.join("address.json");
    let mut address = remembered(&address_file).unwrap_or_else(|| Address {
        port: 0,
        password: hex::encode(rand::random::<[u8; 16]>()),
    });
    let mut attempt = 1;
    loop {
        address.port = free_port()?;
        let text = serde_json::to_string(&address)
            .map_err(|error| ServersError::files(&address_file, error.into()))?;
        account.write(&address_file, &text)?;
        let started = attempt_start(server, dir, account, fate, &address).await;
        match started {
            Ok(guard) => return Ok((guard, address)),
            Err(error) if attempt == START_ATTEMPTS => {
                // Whoever failed to start it never used it: its guard leaves the files to us.
                if fate == (Fate::Private { remove: true }) {
                    let _ = std::fs::remove_dir_all(dir);
                }
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(error = %error, server = S::NAME, "a server did not start; trying again");
                // What tests left behind after a power cut is worth nothing; a person's data is never thrown away.
                if fate == Fate::Shared {
                    server.discard(dir)?;
                }
            }
        }
        attempt += 1;
    }
}

async fn attempt_start<S: Server>(
    server: &S,
    dir: &Path,
    account: Account,
    fate: Fate,
    address: &Address,
) -> Result<Child, ServersError> {
    let log = dir.join("server.log");
    account.write(&log, "")?;
    let command = server.prepare(dir, account, address)?;
    let mut guard = spawn_guard::<S>(dir, account, fate, &command)?;
    let deadline = Instant::now() + START_DEADLINE;
    loop {
        if server.answers(address).await {
            return Ok(guard);
        }
        let ended = guard
            .try_wait()
            .map_err(|error| ServersError::files(dir, error))?;
        if ended.is_some() || Instant::now() > deadline {
            end(&mut guard);
            return Err(ServersError::NotStarted {
                server: S::NAME,
                log: last_lines(&log),
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Its own process group: Ctrl-C in a terminal is for us, who stop the servers last.
fn spawn_guard<S: Server>(
    dir: &Path,
    account: Account,
    fate: Fate,
    command: &Command,
) -> Result<Child, ServersError> {
    // In a file rather than among the arguments, for whoever looks at a list of processes. Renamed into place: an
    // earlier guard may still be reading its own.
    let script = dir.join("guard.sh");
    let part = dir.join("guard.sh.part");
    account.write(&part, include_str!("guard.sh"))?;
    std::fs::rename(&part, &script).map_err(|error| ServersError::files(&script, error))?;
    let mut guard = Command::new("/bin/sh");
    guard
        .arg(&script)
        .arg(dir)
        .arg(if fate == (Fate::Private { remove: true }) {
            "remove"
        } else {
            "keep"
        })
        .arg(S::STOP_SIGNAL)
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env(
            "PATH",
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()),
        )
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    account.runs(&mut guard);
    guard
        .spawn()
        .map_err(|error| ServersError::files(Path::new("/bin/sh"), error))
}

fn end(guard: &mut Child) {
    let pid = i32::try_from(guard.id()).map(Pid::from_raw);
    if let Ok(pid) = pid {
        // The guard passes it on to the server and ends with it. It may have ended already.
        let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
    }
    let _ = guard.wait();
}

enum Lock {
    Shared,
    Exclusive,
}

async fn locked(path: &Path, account: Account, kind: Lock) -> Result<File, ServersError> {
    let path: PathBuf = path.to_owned();
    let inner = path.clone();
    let blocking = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).append(true).open(&inner)?;
        match kind {
            Lock::Shared => file.lock_shared()?,
            Lock::Exclusive => file.lock()?,
        }
        Ok::<File, std::io::Error>(file)
    });
    let file = blocking
        .await
        .map_err(|error| ServersError::files(&path, std::io::Error::other(error)))?
        .map_err(|error| ServersError::files(&path, error))?;
    account.owns(&path, 0o600)?;
    Ok(file)
}

fn remembered(path: &Path) -> Option<Address> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

fn free_port() -> Result<u16, ServersError> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| ServersError::files(Path::new("127.0.0.1"), error))
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
