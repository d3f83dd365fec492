//! One service alone, on a runtime of its own, so that it can die like a process. What is around it is its test's matter.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{Ipv4Addr, TcpListener as StdTcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use common::Service;
use common::client::{Outbound, Peer, http_client};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Longest wait for a process that is not to start.
const END_WITHIN: Duration = Duration::from_secs(30);

/// With which exit code the process `binary` ends under exactly these settings, and what it says on standard error. It
/// listens wherever there is room.
///
/// # Panics
/// There is no such binary, or it goes on.
pub async fn exit_of(binary: &str, settings: &BTreeMap<String, String>) -> (Option<i32>, String) {
    let ending = Command::new(binary)
        .env_clear()
        .envs(settings)
        .env("LISTEN_ADDR", "127.0.0.1:0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(END_WITHIN, ending)
        .await
        .expect("it ends, as it cannot start")
        .expect("a binary that can be run");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended.status.code(), said)
}

/// A running service. Dropped, everything of it is gone in the middle of what it did.
pub struct Running {
    /// Where it listens.
    pub base: Url,
    service: Service,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Running {
    /// Start `service` with `settings` by its `serve`. Its port takes calls at once; it answers once it is ready.
    ///
    /// # Panics
    /// This machine has no free port or refuses a runtime.
    pub fn start<S, F, E>(
        service: Service,
        settings: S,
        serve: impl FnOnce(S, TcpListener, CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        S: Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Debug,
    {
        let listener = StdTcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound listener has an address");
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let shutdown = CancellationToken::new();
        let stopping = shutdown.clone();
        let serving = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener that does not block");
            serve(settings, listener, stopping).await.expect("it serves");
        });
        Self {
            base: format!("http://{address}").parse().expect("an address"),
            service,
            shutdown,
            serving,
            runtime: Some(runtime),
        }
    }

    /// It, as `caller` calls it, which waits `timeout` for each answer.
    ///
    /// # Panics
    /// This machine has no HTTP client.
    pub fn peer(&self, caller: impl Outbound + 'static, timeout: Duration) -> Peer {
        let http = http_client(timeout).expect("an HTTP client");
        Peer::new(self.service.name(), self.base.clone(), http, Arc::new(caller))
    }

    /// As `kill -9` would: nothing is finished, nothing is given back.
    pub fn kill(self) {
        drop(self);
    }

    /// As SIGTERM would: what is under way finishes.
    ///
    /// # Panics
    /// It ended in an error.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        (&mut self.serving).await.expect("it ended well");
    }
}
