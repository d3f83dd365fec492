//! Services as processes of their own, for whoever measures or kills them: the same program once more, under the name of
//! the service, with the settings in its environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use common::Service;
use url::Url;

use crate::fleet::{FleetError, FleetSettings, LOOK_EVERY, READY_WITHIN, base_url};

const SIGTERM: i32 = nix::sys::signal::Signal::SIGTERM as i32;

/// What the process of a service calls itself; the rest is the name of the service.
const NAME: &str = "firstline-";

/// A program that starts [`Processes`] asks this first thing in `main`: where it was started as one of them, it is that
/// service and nothing else, until its standard input ends. That is when whoever started it is gone.
pub fn as_service() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    let name = Path::new(&name).file_name()?.to_str()?;
    let service: Service = name.strip_prefix(NAME)?.parse().ok()?;
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
    Some(match service {
        Service::Classifier => chassis::main(classifier::serve),
        Service::Playbook => chassis::main(playbook::serve),
        Service::Orchestration => chassis::main(orchestration::serve),
        Service::Verification => chassis::main(verification::serve),
        Service::Executor => chassis::main(executor::serve),
        Service::Delivery => chassis::main(delivery::serve),
    })
}

/// Some of the services, each a process. Dropped, they are killed.
pub struct Processes {
    settings: FleetSettings,
    addresses: BTreeMap<Service, SocketAddr>,
    running: BTreeMap<Service, Running>,
    program: PathBuf,
    logs: PathBuf,
    http: reqwest::Client,
}

struct Running {
    child: Child,
    /// It was asked to stop before it listened: then it may not have heard of it otherwise than by its death.
    asked_early: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Processes {
    /// Prepare processes of this very program, which must ask [`as_service`]. Each writes its log into a file in `logs`.
    ///
    /// # Errors
    /// No free port, no HTTP client.
    pub fn new(settings: FleetSettings, logs: PathBuf) -> Result<Self, FleetError> {
        Self::of(std::env::current_exe()?, settings, logs)
    }

    /// The same of another program that asks [`as_service`].
    ///
    /// # Errors
    /// As [`Processes::new`].
    pub fn of(program: PathBuf, settings: FleetSettings, logs: PathBuf) -> Result<Self, FleetError> {
        let http = common::client::http_client(Duration::from_secs(10)).map_err(std::io::Error::other)?;
        let mut addresses = BTreeMap::new();
        // All at once, or the same port might be found twice.
        let mut found = Vec::new();
        for service in Service::ALL {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            addresses.insert(service, listener.local_addr()?);
            found.push(listener);
        }
        Ok(Self {
            settings,
            addresses,
            running: BTreeMap::new(),
            program,
            logs,
            http,
        })
    }

    /// Where a service listens.
    ///
    /// # Panics
    /// Never: all six have an address from the start.
    pub fn url(&self, service: Service) -> Url {
        base_url(self.addresses[&service])
    }

    /// The processes that run.
    pub fn ids(&self) -> Vec<u32> {
        self.running.values().map(|running| running.child.id()).collect()
    }

    /// The process of a service, where it runs.
    pub fn id(&self, service: Service) -> Option<u32> {
        self.running.get(&service).map(|running| running.child.id())
    }

    /// Start a service. It is not ready yet.
    ///
    /// # Errors
    /// This machine refuses a process or a file.
    pub fn start(&mut self, service: Service) -> Result<(), FleetError> {
        let log = self.logs.join(format!("{service}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log)?;
        self.spawn(service, log.into()).map(|_| ())
    }

    /// Start a service whose log comes to us.
    ///
    /// # Errors
    /// This machine refuses a process.
    pub fn start_listening(&mut self, service: Service) -> Result<ChildStderr, FleetError> {
        let log = self.spawn(service, Stdio::piped())?;
        log.ok_or_else(|| std::io::Error::other("a process without a log").into())
    }

    fn spawn(&mut self, service: Service, log: Stdio) -> Result<Option<ChildStderr>, FleetError> {
        let mut child = Command::new(&self.program)
            .arg0(format!("{NAME}{service}"))
            .env_clear()
            .envs(self.settings.of(service, &self.addresses))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C in a terminal is for us, who stop them.
            .process_group(0)
            .spawn()?;
        let log = child.stderr.take();
        let asked_early = false;
        self.running.insert(service, Running { child, asked_early });
        Ok(log)
    }

    /// `kill -9`, and wait until it is gone. Answers which process it was.
    pub fn kill(&mut self, service: Service) -> Option<u32> {
        self.running.remove(&service).map(|running| running.child.id())
    }

    /// Ask a service to stop, as `kill` and Kubernetes do (SIGTERM). It may take its time.
    pub fn ask_to_stop(&mut self, service: Service) {
        let listens = TcpStream::connect_timeout(&self.addresses[&service], LOOK_EVERY).is_ok();
        let Some(running) = self.running.get_mut(&service) else {
            return;
        };
        running.asked_early = !listens;
        if let Ok(id) = i32::try_from(running.child.id()) {
            // It may have ended by itself; whoever waits for its end learns of it.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM);
        }
    }

    /// Wait until a service that was asked to stop has done so. Answers which process it was.
    ///
    /// # Errors
    /// It ended otherwise than well, or is still there after a minute: then it is killed. One that was asked before it
    /// listened may end of the signal.
    pub async fn stopped(&mut self, service: Service) -> Result<Option<u32>, FleetError> {
        let Some(mut running) = self.running.remove(&service) else {
            return Ok(None);
        };
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let reason = match running.child.try_wait()? {
                Some(status)
                    if status.success() || running.asked_early && status.signal() == Some(SIGTERM) =>
                {
                    return Ok(Some(running.child.id()));
                }
                Some(status) => status.to_string(),
                None if Instant::now() > deadline => "it does not stop when it is asked to".to_owned(),
                None => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
            };
            let reason = format!("{reason}; its log is in {}", self.logs.display());
            return Err(FleetError::Ended { service, reason });
        }
    }

    /// Wait until a service is ready.
    ///
    /// # Errors
    /// It ended, or is not ready in a minute.
    pub async fn wait_until_ready(&mut self, service: Service) -> Result<(), FleetError> {
        let readyz = format!("{}readyz", self.url(service));
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let said = match self.http.get(&readyz).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.text().await.unwrap_or_else(|error| error.to_string()),
                Err(error) => error.to_string(),
            };
            if let Some(running) = self.running.get_mut(&service)
                && let Some(status) = running.child.try_wait()?
            {
                let reason = format!("{status}; its log is in {}", self.logs.display());
                return Err(FleetError::Ended { service, reason });
            }
            if Instant::now() > deadline {
                return Err(FleetError::NotReady { service, said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
