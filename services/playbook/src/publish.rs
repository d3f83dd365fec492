//! What this service promises: a version is published once and never changes, one version is active, and neither happens
//! to a document with findings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chassis::{ApiError, Shell};
use common::playbook::{CheckAnswer, PlaybookView};
use common::{Finding, PlaybookName, PlaybookRef, PlaybookVersion, Problem, Severity};
use playbook_lang::{Playbook, Registry, Report, check};

use crate::store::{Inserted, Store, StoreError};

/// The playbooks of the tenant.
#[derive(Clone)]
pub(crate) struct Library(Arc<Inner>);

struct Inner {
    store: Store,
    registry: Registry,
    /// What was shipped is in the database.
    loaded: AtomicBool,
}

/// A document that may not be published, or a version that is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("{} stop{} this playbook", count(.0), if errors(.0) == 1 { "s" } else { "" })]
    Findings(Vec<Finding>),
    #[error(
        "version `{}` of `{}` is published with other content; a published version never changes, so give this one a new version",
        .0.version, .0.name
    )]
    OtherContent(PlaybookRef),
    #[error("there is no playbook `{0}`")]
    NoPlaybook(String),
    #[error("playbook `{0}` has no version `{1}`")]
    NoVersion(PlaybookName, String),
    #[error("playbook `{0}` has no active version; ask for one by `?version=`, or activate one")]
    NoActiveVersion(PlaybookName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn errors(findings: &[Finding]) -> usize {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count()
}

fn count(findings: &[Finding]) -> String {
    match errors(findings) {
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let problem = match &error {
            PublishError::Findings(findings) => {
                Problem::unprocessable("playbook_findings", &error).with("findings", findings)
            }
            PublishError::OtherContent(_) => Problem::conflict("playbook_version_published", &error),
            PublishError::NoPlaybook(_) => Problem::not_found("playbook_not_found", &error),
            PublishError::NoVersion(..) => Problem::not_found("playbook_version_not_found", &error),
            PublishError::NoActiveVersion(_) => Problem::not_found("playbook_not_active", &error),
            PublishError::Store(cause) => return Self::internal(cause),
        };
        Self(problem)
    }
}

impl Library {
    pub(crate) fn new(shell: &Shell) -> Self {
        Self(Arc::new(Inner {
            store: Store::new(shell),
            registry: Registry::builtin(),
            loaded: AtomicBool::new(false),
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn loaded(&self) -> bool {
        self.0.loaded.load(Ordering::Acquire)
    }

    pub(crate) fn set_loaded(&self) {
        self.0.loaded.store(true, Ordering::Release);
    }

    /// What is wrong with a document. Nothing is kept.
    pub(crate) fn check(&self, source: &str) -> CheckAnswer {
        let report = check(source, &self.0.registry);
        CheckAnswer {
            ok: report.ok(),
            findings: report.findings,
        }
    }

    fn proven(&self, source: &str) -> Result<Playbook, PublishError> {
        let Report { playbook, findings } = check(source, &self.0.registry);
        playbook.ok_or(PublishError::Findings(findings))
    }

    /// Publish a document. The same content again answers the same; other content under the same version is refused.
    pub(crate) async fn publish(&self, source: &str, actor: &str) -> Result<PlaybookRef, PublishError> {
        let playbook = self.proven(source)?;
        let reference = playbook.reference().clone();
        match self.0.store.publish(&playbook, source, actor).await? {
            Inserted::New => {
                tracing::info!(playbook.name = %reference.name, playbook.version = %reference.version, "published a playbook");
                Ok(reference)
            }
            Inserted::There(digest) if digest == reference.digest => Ok(reference),
            Inserted::There(_) => Err(PublishError::OtherContent(reference)),
        }
    }

    /// One version with its source; the active one where none is named.
    pub(crate) async fn view(&self, id: &str, version: Option<&str>) -> Result<PlaybookView, PublishError> {
        let name = known(id)?;
        let found = match version {
            // What is no version is the version of no playbook.
            Some(version) => match version.parse::<PlaybookVersion>() {
                Ok(version) => self.0.store.version(&name, &version).await?,
                Err(_) => None,
            },
            None => self.0.store.active(&name).await?,
        };
        match (found, version) {
            (Some(view), _) => Ok(view),
            (None, _) if !self.0.store.exists(&name).await? => {
                Err(PublishError::NoPlaybook(name.to_string()))
            }
            (None, Some(version)) => Err(PublishError::NoVersion(name, version.chars().take(64).collect())),
            (None, None) => Err(PublishError::NoActiveVersion(name)),
        }
    }

    /// Every version of one playbook, newest first, without sources.
    pub(crate) async fn versions(&self, id: &str) -> Result<Vec<PlaybookView>, PublishError> {
        let name = known(id)?;
        let versions = self.0.store.versions(&name).await?;
        if versions.is_empty() {
            return Err(PublishError::NoPlaybook(name.to_string()));
        }
        Ok(versions)
    }

    /// New executions get this version. It is checked once more: the checks may have learned since it was published.
    pub(crate) async fn activate(
        &self,
        id: &str,
        version: &PlaybookVersion,
        actor: &str,
    ) -> Result<PlaybookView, PublishError> {
        let stored = self.view(id, Some(version.as_str())).await?;
        self.proven(stored.source.as_deref().unwrap_or_default())?;
        self.0.store.activate(&stored.playbook, actor).await?;
        tracing::info!(playbook.name = %stored.playbook.name, playbook.version = %version, "activated a playbook");
        Ok(PlaybookView {
            active: true,
            source: None,
            ..stored
        })
    }

    /// New executions get no version. Running ones go on.
    pub(crate) async fn deactivate(&self, id: &str, actor: &str) -> Result<PlaybookView, PublishError> {
        let name = known(id)?;
        let versions = self.versions(id).await?;
        let stopped = self.0.store.deactivate(&name, actor).await?;
        let shown = versions
            .iter()
            .find(|view| Some(&view.playbook.version) == stopped.as_ref())
            .or_else(|| versions.first());
        shown
            .cloned()
            .map(|view| PlaybookView {
                active: false,
                ..view
            })
            .ok_or_else(|| PublishError::NoPlaybook(name.to_string()))
    }
}

/// What is no name is the name of no playbook.
fn known(id: &str) -> Result<PlaybookName, PublishError> {
    id.parse()
        .map_err(|_| PublishError::NoPlaybook(id.chars().take(64).collect()))
}
