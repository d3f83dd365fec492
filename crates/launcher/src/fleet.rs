//! The six services in this process, each on a runtime of its own and with its own database role, talking REST over
//! loopback as they would between machines. One can be stopped, or crashed, and started again at the same address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chassis::settings::SettingsErrors;
use chassis::{ServeError, Settings};
use common::Service;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Longest wait until every service is ready, and until an address is free again. A machine with two cores that also
/// compiles needs some of it.
pub(crate) const READY_WITHIN: Duration = Duration::from_mins(1);

/// Between two looks at `/readyz`, and between two tries to bind.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Settings by name (design, section 8).
pub type SettingsMap = BTreeMap<String, String>;

/// Which ports the services listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Free ones.
    Any,
    /// 8081 to 8086.
    Standard,
}

/// What a fleet is started with.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// Where to listen, on loopback.
    pub ports: Ports,
    /// Each service's `DATABASE_URL`, with its own role.
    pub databases: BTreeMap<Service, Url>,
    /// `REDIS_URL`.
    pub redis: Url,
    /// A directory made by [`crate::keys::init`].
    pub keys: PathBuf,
    /// `PLAYBOOKS_DIR`.
    pub playbooks: PathBuf,
    /// Settings that every service gets: vendors' addresses, time-outs.
    pub settings: SettingsMap,
    /// Settings of one service; they go before all others.
    pub overrides: BTreeMap<Service, SettingsMap>,
}

impl FleetSettings {
    /// What a person would put into the environment of this service.
    pub(crate) fn of(&self, service: Service, addresses: &BTreeMap<Service, SocketAddr>) -> SettingsMap {
        let file = |name: &str| self.keys.join(name).display().to_string();
        let mut map = self.settings.clone();
        map.insert("LISTEN_ADDR".into(), addresses[&service].to_string());
        map.insert("REDIS_URL".into(), self.redis.to_string());
        map.insert("SERVICE_KEY_FILE".into(), file(&format!("{service}.key")));
        map.insert("TRUSTED_KEYS_FILE".into(), file("trusted.json"));
        if let Some(database) = self.databases.get(&service) {
            map.insert("DATABASE_URL".into(), database.to_string());
        }
        for (peer, address) in addresses {
            map.insert(
                format!("{}_URL", peer.name().to_uppercase()),
                base_url(*address).to_string(),
            );
        }
        match service {
            Service::Playbook => {
                map.insert("PLAYBOOKS_DIR".into(), self.playbooks.display().to_string());
            }
            Service::Executor => {
                map.insert("SEAL_PUBLIC_KEY_FILE".into(), file("seal.pub"));
            }
            Service::Delivery => {
                map.insert("SEAL_KEY_FILE".into(), file("seal.key"));
            }
            Service::Classifier => {
                // There is no gateway: the links on tickets lead to the classifier itself.
                map.insert("PUBLIC_URL".into(), base_url(addresses[&service]).to_string());
            }
            Service::Orchestration | Service::Verification => {}
        }
        map.extend(self.overrides.get(&service).cloned().unwrap_or_default());
        map
    }
}

/// Why a fleet does not run.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The port is taken.
    #[error("`{service}` cannot listen on {address}; does another fleet run on this machine?")]
    Listen {
        /// Who.
        service: Service,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Settings that the service refuses.
    #[error("`{service}` refuses its settings:\n{errors}")]
    Settings {
        /// Who.
        service: Service,
        /// Every one.
        errors: SettingsErrors,
    },
    /// It could not start, or ended by itself.
    #[error("`{service}` ended: {reason}")]
    Ended {
        /// Who.
        service: Service,
        /// Its error with all causes.
        reason: String,
    },
    /// It runs and does not become ready.
    #[error("`{service}` did not become ready in {READY_WITHIN:?}; the last thing it said: {said}")]
    NotReady {
        /// Who.
        service: Service,
        /// The answer of `/readyz`.
        said: String,
    },
    /// No runtime, no HTTP client.
    #[error("this machine refuses what a fleet needs")]
    Machine(#[from] std::io::Error),
}

/// A running fleet. Dropped without [`Fleet::shutdown`], its services stop at once, as in a crash.
pub struct Fleet {
    settings: FleetSettings,
    addresses: BTreeMap<Service, SocketAddr>,
    running: BTreeMap<Service, RunningService>,
    http: reqwest::Client,
}

struct RunningService {
    /// Of its own, so that a crash takes all its tasks at once, wherever they are.
    runtime: Option<Runtime>,
    ended: JoinHandle<Result<(), ServeError>>,
    shutdown: CancellationToken,
}

impl Drop for RunningService {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Fleet {
    /// Start all six and wait until each is ready.
    ///
    /// # Errors
    /// The first service that could not; the others are stopped.
    pub async fn start(settings: FleetSettings) -> Result<Self, FleetError> {
        let http = common::client::http_client(Duration::from_secs(10)).map_err(std::io::Error::other)?;
        let mut listeners = BTreeMap::new();
        for service in Service::ALL {
            let port = match settings.ports {
                Ports::Any => 0,
                Ports::Standard => service.default_port(),
            };
            listeners.insert(service, bind(service, (Ipv4Addr::LOCALHOST, port).into())?);
        }
        let mut addresses = BTreeMap::new();
        for (service, listener) in &listeners {
            addresses.insert(*service, listener.local_addr()?);
        }
        let mut fleet = Self {
            settings,
            addresses,
            running: BTreeMap::new(),
            http,
        };
        for (service, listener) in listeners {
            let running = fleet.launch(service, listener)?;
            fleet.running.insert(service, running);
        }
        for service in Service::ALL {
            fleet.wait_until_ready(service).await?;
        }
        Ok(fleet)
    }

    /// Where a service listens.
    ///
    /// # Panics
    /// Never: all six have an address from the start.
    pub fn url(&self, service: Service) -> Url {
        base_url(self.addresses[&service])
    }

    /// Stop one service in good order: requests and workers under way finish.
    ///
    /// # Errors
    /// It did not end well.
    pub async fn stop(&mut self, service: Service) -> Result<(), FleetError> {
        let Some(mut running) = self.running.remove(&service) else {
            return Ok(());
        };
        running.shutdown.cancel();
        let ended = (&mut running.ended).await;
        outcome(service, ended)
    }

    /// Stop one service at once, in the middle of whatever it does, as a power cut would.
    pub fn crash(&mut self, service: Service) {
        self.running.remove(&service);
    }

    /// Start a stopped or crashed service again, at its address, and wait until it is ready.
    pub async fn start_service(&mut self, service: Service) -> Result<(), FleetError> {
        if self.running.contains_key(&service) {
            return Ok(());
        }
        let listener = self.bind_again(service).await?;
        let running = self.launch(service, listener)?;
        self.running.insert(service, running);
        self.wait_until_ready(service).await
    }

    /// Start a stopped service with other settings from now on. They go before all others.
    pub fn set(&mut self, service: Service, name: &str, value: impl Into<String>) {
        self.settings
            .overrides
            .entry(service)
            .or_default()
            .insert(name.to_owned(), value.into());
    }

    /// Stop all, in good order; whoever begins work stops first.
    ///
    /// # Errors
    /// The first that did not end well; all are stopped.
    pub async fn shutdown(mut self) -> Result<(), FleetError> {
        for running in self.running.values() {
            running.shutdown.cancel();
        }
        let mut first = Ok(());
        for service in Service::ALL {
            first = first.and(self.stop(service).await);
        }
        first
    }

    /// Wait until some service ends that nobody asked to: never, unless something is wrong.
    pub async fn first_failure(&mut self) -> FleetError {
        let endings = self.running.iter_mut().map(|(service, running)| {
            let service = *service;
            Box::pin(async move { (service, (&mut running.ended).await) })
        });
        let ((service, ended), ..) = futures::future::select_all(endings).await;
        outcome(service, ended).err().unwrap_or(FleetError::Ended {
            service,
            reason: "without an error".to_owned(),
        })
    }

    fn launch(
        &self,
        service: Service,
        listener: std::net::TcpListener,
    ) -> Result<RunningService, FleetError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(service.name())
            .enable_all()
            .build()?;
        let launch = Launch {
            settings: self.settings.of(service, &self.addresses),
            listener,
            shutdown: CancellationToken::new(),
            runtime: &runtime,
        };
        let shutdown = launch.shutdown.clone();
        let ended = match service {
            Service::Classifier => launch.spawn(classifier::serve),
            Service::Playbook => launch.spawn(playbook::serve),
            Service::Orchestration => launch.spawn(orchestration::serve),
            Service::Verification => launch.spawn(verification::serve),
            Service::Executor => launch.spawn(executor::serve),
            Service::Delivery => launch.spawn(delivery::serve),
        };
        match ended {
            Ok(ended) => Ok(RunningService {
                runtime: Some(runtime),
                ended,
                shutdown,
            }),
            Err(errors) => {
                runtime.shutdown_background();
                Err(FleetError::Settings { service, errors })
            }
        }
    }

    /// A crashed service lets go of its port a moment later.
    async fn bind_again(&self, service: Service) -> Result<std::net::TcpListener, FleetError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match bind(service, self.addresses[&service]) {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
                done => return done,
            }
        }
    }

    async fn wait_until_ready(&mut self, service: Service) -> Result<(), FleetError> {
        let readyz = format!("{}readyz", self.url(service));
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let said = match self.http.get(&readyz).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.text().await.unwrap_or_else(|error| error.to_string()),
                Err(error) => error.to_string(),
            };
            if let Some(running) = self.running.get_mut(&service)
                && running.ended.is_finished()
            {
                return outcome(service, (&mut running.ended).await);
            }
            if Instant::now() > deadline {
                return Err(FleetError::NotReady { service, said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

struct Launch<'a> {
    settings: SettingsMap,
    listener: std::net::TcpListener,
    shutdown: CancellationToken,
    runtime: &'a Runtime,
}

impl Launch<'_> {
    fn spawn<S, F, Serving>(self, serve: F) -> Result<JoinHandle<Result<(), ServeError>>, SettingsErrors>
    where
        S: Settings + Send + 'static,
        F: FnOnce(S, tokio::net::TcpListener, CancellationToken) -> Serving + Send + 'static,
        Serving: Future<Output = Result<(), ServeError>> + Send + 'static,
    {
        let settings = chassis::from_map::<S>(&self.settings)?;
        let (listener, shutdown) = (self.listener, self.shutdown);
        Ok(self.runtime.spawn(async move {
            // Here, so that it belongs to the service's own runtime.
            let listener = tokio::net::TcpListener::from_std(listener).map_err(ServeError::Listener)?;
            serve(settings, listener, shutdown).await
        }))
    }
}

fn bind(service: Service, address: SocketAddr) -> Result<std::net::TcpListener, FleetError> {
    // The standard library sets SO_REUSEADDR: an address whose last connections linger can be had at once.
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| FleetError::Listen {
        service,
        address,
        source,
    })
}

pub(crate) fn base_url(address: SocketAddr) -> Url {
    let mut url: Url = "http://127.0.0.1".parse().expect("a literal");
    // Neither fails for an address with a port.
    let _ = url.set_ip_host(IpAddr::from(Ipv4Addr::LOCALHOST));
    let _ = url.set_port(Some(address.port()));
    url
}

fn outcome(
    service: Service,
    ended: Result<Result<(), ServeError>, tokio::task::JoinError>,
) -> Result<(), FleetError> {
    let reason = match ended {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => chassis::chain(&error),
        Err(error) => error.to_string(),
    };
    Err(FleetError::Ended { service, reason })
}
