//! Typed clients of the six services: how they talk to each other, and how the command line talks to them.
//!
//! What every outgoing call must carry (service token, `traceparent`, request id) comes from an [`Outbound`], which
//! `chassis` implements; this module knows only shapes.

mod classifier;
mod orchestration;
mod peer;
mod playbook;
mod steps;

use std::time::Duration;

use http::HeaderMap;
use reqwest::retry;

pub use classifier::ClassifierClient;
pub use orchestration::OrchestrationClient;
pub use peer::{Peer, PeerError};
pub use playbook::PlaybookClient;
pub use steps::StepClient;

/// Puts on every outgoing internal call what the callee asks for.
pub trait Outbound: Send + Sync {
    /// Add headers for a call of `callee` with exactly this `body`: `Authorization`, `traceparent`, `x-request-id`.
    fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap);
}

/// How long a connection between services rests before whoever made it lets go. Shorter than the time after which a
/// service closes it: a request that meets the closing half way gets no answer, and nobody knows whether it was read.
pub const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// An HTTP client for internal calls: time-outs, no redirects, `TCP_NODELAY` on. Whether a call is repeated its caller decides,
/// who knows what it does; so none is kept to be sent again.
///
/// # Errors
/// The platform's TLS set-up is broken.
pub fn http_client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(2))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(retry::never().max_retries_per_request(0))
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE_LIMIT)
        .build()
}
