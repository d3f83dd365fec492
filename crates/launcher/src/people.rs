//! Typed clients for people: the same contracts as between services, with a person's token instead of a service's.

use std::sync::Arc;
use std::time::Duration;

use common::Service;
use common::client::{ClassifierClient, OrchestrationClient, Outbound, Peer, PlaybookClient};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Puts a person's OpenID Connect token on every call.
struct Bearer(SecretString);

impl Outbound for Bearer {
    fn decorate(&self, _callee: &str, _body: &[u8], headers: &mut reqwest::header::HeaderMap) {
        // A token that is no header value is refused by the callee as none at all.
        let value = reqwest::header::HeaderValue::from_str(&format!("Bearer {}", self.0.expose_secret()));
        if let Ok(mut value) = value {
            value.set_sensitive(true);
            headers.insert(reqwest::header::AUTHORIZATION, value);
        }
    }
}

/// A client of `service` at `base` for the person who holds `token`.
///
/// # Errors
/// The platform's TLS set-up is broken.
fn peer(service: Service, base: Url, token: SecretString) -> Result<Peer, reqwest::Error> {
    let http = common::client::http_client(Duration::from_secs(30))?;
    Ok(Peer::new(service.name(), base, http, Arc::new(Bearer(token))))
}

/// The playbook service at `base`, for the person who holds `token`.
///
/// # Errors
/// The platform's TLS set-up is broken.
pub fn playbooks(base: Url, token: SecretString) -> Result<PlaybookClient, reqwest::Error> {
    peer(Service::Playbook, base, token).map(PlaybookClient)
}

/// The classifier at `base`, for the person who holds `token`.
///
/// # Errors
/// The platform's TLS set-up is broken.
pub fn classifier(base: Url, token: SecretString) -> Result<ClassifierClient, reqwest::Error> {
    peer(Service::Classifier, base, token).map(ClassifierClient)
}

/// The orchestration service at `base`, for the person who holds `token`.
///
/// # Errors
/// The platform's TLS set-up is broken.
pub fn orchestration(base: Url, token: SecretString) -> Result<OrchestrationClient, reqwest::Error> {
    peer(Service::Orchestration, base, token).map(OrchestrationClient)
}
