//! The playbook service: what may be executed.

use http::Method;

use super::peer::{Peer, PeerError, Request};
use crate::ids::{PlaybookName, PlaybookVersion};
use crate::playbook::{ActivatePlaybook, CheckAnswer, PlaybookRef, PlaybookView};

/// The playbook service.
#[derive(Clone)]
pub struct PlaybookClient(pub Peer);

impl PlaybookClient {
    /// Every active playbook, without sources.
    pub async fn list(&self) -> Result<Vec<PlaybookView>, PeerError> {
        self.0.read(Request::get("/api/v1/playbooks")).await
    }

    /// One version with its source; the active one where `version` is `None`.
    pub async fn playbook(
        &self,
        name: &PlaybookName,
        version: Option<&PlaybookVersion>,
    ) -> Result<PlaybookView, PeerError> {
        let path = format!("/api/v1/playbooks/{name}");
        let version = version.map(PlaybookVersion::as_str);
        self.0.read(Request::get(&path).query("version", version)).await
    }

    /// Every version of one playbook, newest first, without sources.
    pub async fn versions(&self, name: &PlaybookName) -> Result<Vec<PlaybookView>, PeerError> {
        self.0
            .read(Request::get(&format!("/api/v1/playbooks/{name}/versions")))
            .await
    }

    /// Check a document without publishing it.
    pub async fn check(&self, source: &str) -> Result<CheckAnswer, PeerError> {
        self.0
            .read(Request::yaml(Method::POST, "/api/v1/playbooks/check", source))
            .await
    }

    /// Publish a document. Findings come as [`PeerError::Refused`] with `findings`.
    pub async fn publish(&self, source: &str, idempotency_key: &str) -> Result<PlaybookRef, PeerError> {
        self.0
            .read(Request::yaml(Method::POST, "/api/v1/playbooks", source).keyed(idempotency_key))
            .await
    }

    /// Make `version` the one that new executions get.
    pub async fn activate(
        &self,
        name: &PlaybookName,
        version: &PlaybookVersion,
    ) -> Result<PlaybookView, PeerError> {
        self.activate_as(name, &ActivatePlaybook::version(version.clone()))
            .await
    }

    /// The same, in a mode. What has not been earned comes as [`PeerError::Refused`], `mode_not_earned`.
    pub async fn activate_as(
        &self,
        name: &PlaybookName,
        activation: &ActivatePlaybook,
    ) -> Result<PlaybookView, PeerError> {
        let path = format!("/api/v1/playbooks/{name}/activate");
        self.0.read(Request::json(Method::PUT, &path, activation)).await
    }

    /// Give new executions no version of it. Running ones go on with theirs.
    pub async fn deactivate(&self, name: &PlaybookName) -> Result<PlaybookView, PeerError> {
        let path = format!("/api/v1/playbooks/{name}/deactivate");
        self.0.read(Request::bare(Method::PUT, &path)).await
    }
}
