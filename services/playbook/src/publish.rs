//! What this service promises: a version is published once and never changes, one version is active, and neither happens
//! to a document with findings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chassis::{ApiError, Shell};
use common::playbook::{ActivatePlaybook, CheckAnswer, PlaybookView, TriggerView};
use common::{ActionName, Finding, Mode, PlaybookName, PlaybookRef, PlaybookVersion, Problem, Severity};
use playbook_lang::{Playbook, Registry, Report, check_calling};

use crate::earn::{Earning, NotEarned};
use crate::refused::Attempt;
use crate::shelf::{Proven, called};
use crate::store::{Inserted, Store, StoreError};

/// The playbooks of the tenant.
#[derive(Clone)]
pub(crate) struct Library(Arc<Inner>);

struct Inner {
    store: Store,
    registry: Registry,
    proven: Proven,
    earning: Earning,
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
    #[error(
        "version `{}` of `{}` cannot be activated: no service offers {} yet",
        .0.version, .0.name, actions(.1)
    )]
    Planned(PlaybookRef, Vec<ActionName>),
    #[error(transparent)]
    NotEarned(#[from] NotEarned),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn actions(names: &[ActionName]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
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
            PublishError::Planned(_, actions) => {
                Problem::conflict("playbook_planned", &error).with("actions", actions)
            }
            PublishError::NoPlaybook(_) => Problem::not_found("playbook_not_found", &error),
            PublishError::NoVersion(..) => Problem::not_found("playbook_version_not_found", &error),
            PublishError::NoActiveVersion(_) => Problem::not_found("playbook_not_active", &error),
            PublishError::NotEarned(why) => why.problem(),
            PublishError::Store(cause) => return Self::internal(cause),
        };
        Self(problem)
    }
}

impl Library {
    pub(crate) fn new(shell: &Shell, registry: Registry, earning: Earning) -> Self {
        Self(Arc::new(Inner {
            store: Store::new(shell),
            registry,
            proven: Proven::default(),
            earning,
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
    pub(crate) async fn check(&self, source: &str) -> Result<CheckAnswer, StoreError> {
        let report = self.report(source).await?;
        Ok(CheckAnswer {
            ok: report.ok(),
            findings: report.findings,
        })
    }

    async fn report(&self, source: &str) -> Result<Report, StoreError> {
        let others = called(&self.0.store, source).await?;
        Ok(check_calling(source, &self.0.registry, &others))
    }

    async fn proven(&self, source: &str) -> Result<Arc<Playbook>, PublishError> {
        let Report { playbook, findings } = self.report(source).await?;
        playbook.map(Arc::new).ok_or(PublishError::Findings(findings))
    }

    /// The document of a stored version, which may have been listed without.
    async fn source(&self, view: &PlaybookView) -> Result<String, PublishError> {
        if let Some(source) = &view.source {
            return Ok(source.clone());
        }
        let PlaybookRef { name, version, .. } = &view.playbook;
        let source = self.0.store.source(name, version).await?;
        Ok(source.unwrap_or_default())
    }

    /// What the document of a stored version says. Checks that have learned since may refuse it: then nothing may start
    /// it, and whoever looks is told so by a trigger that nobody can read.
    async fn described(&self, view: PlaybookView) -> Result<PlaybookView, PublishError> {
        let known = self.0.proven.of(&view.playbook.digest);
        let proven = match known {
            Some(playbook) => Ok(playbook),
            None => self.proven(&self.source(&view).await?).await,
        };
        let playbook = match proven {
            Ok(playbook) => playbook,
            Err(PublishError::Findings(findings)) => {
                let findings: Vec<String> = findings.into_iter().map(|finding| finding.code).collect();
                tracing::warn!(
                    playbook.name = %view.playbook.name,
                    playbook.version = %view.playbook.version,
                    findings = findings.join(", "),
                    "a published playbook no longer passes the checks; nothing may start it"
                );
                return Ok(PlaybookView {
                    trigger: Some(TriggerView::unreadable()),
                    ..view
                });
            }
            Err(error) => return Err(error),
        };
        self.0.proven.keep(&playbook);
        Ok(PlaybookView {
            trigger: playbook.trigger().map(TriggerView::from),
            inputs_schema: playbook.inputs_schema(),
            planned: playbook.planned().into_iter().cloned().collect(),
            privileged: playbook.is_privileged(),
            calls: playbook.calls().to_vec(),
            ..view
        })
    }

    async fn listed(&self, views: Vec<PlaybookView>) -> Result<Vec<PlaybookView>, PublishError> {
        let mut listed = Vec::with_capacity(views.len());
        for view in views {
            let view = self.described(view).await?;
            listed.push(PlaybookView { source: None, ..view });
        }
        Ok(listed)
    }

    /// Every active version, by name, without sources.
    pub(crate) async fn active(&self) -> Result<Vec<PlaybookView>, PublishError> {
        let active = self.0.store.all_active().await?;
        self.listed(active).await
    }

    /// Publish a document. The same content again answers the same; other content under the same version is refused.
    pub(crate) async fn publish(&self, source: &str, actor: &str) -> Result<PlaybookRef, PublishError> {
        let published = self.publish_proven(source, actor).await;
        self.on_record(Attempt::Publish(source), actor, published).await
    }

    async fn publish_proven(&self, source: &str, actor: &str) -> Result<PlaybookRef, PublishError> {
        let playbook = self.proven(source).await?;
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
            (Some(view), _) => self.described(view).await,
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
        self.listed(versions).await
    }

    /// New executions get this version. It is checked once more: the checks may have learned since it was published.
    pub(crate) async fn activate(
        &self,
        id: &str,
        wanted: &ActivatePlaybook,
        actor: &str,
    ) -> Result<PlaybookView, PublishError> {
        let activated = self.activate_proven(id, wanted, actor).await;
        self.on_record(Attempt::Activate(id, wanted.version.as_str()), actor, activated)
            .await
    }

    async fn activate_proven(
        &self,
        id: &str,
        wanted: &ActivatePlaybook,
        actor: &str,
    ) -> Result<PlaybookView, PublishError> {
        let version = &wanted.version;
        let stored = self.view(id, Some(version.as_str())).await?;
        let source = stored.source.as_deref().unwrap_or_default();
        let playbook = self.proven(source).await?;
        let planned: Vec<ActionName> = playbook.planned().into_iter().cloned().collect();
        if !planned.is_empty() {
            return Err(PublishError::Planned(stored.playbook, planned));
        }
        let name = &stored.playbook.name;
        let terms = self.0.earning.terms(name, wanted).await?;
        self.0.store.activate(&stored.playbook, &terms, actor).await?;
        let mode = terms.mode.map_or("default", Mode::as_str);
        tracing::info!(playbook.name = %name, playbook.version = %version, mode, "activated a playbook");
        let activated = self.0.store.version(name, version).await?;
        Ok(PlaybookView {
            active: true,
            activation: activated.and_then(|view| view.activation),
            source: None,
            ..stored
        })
    }

    /// New executions get no version. Running ones go on.
    pub(crate) async fn deactivate(&self, id: &str, actor: &str) -> Result<PlaybookView, PublishError> {
        let deactivated = self.make_none_active(id, actor).await;
        self.on_record(Attempt::Deactivate(id), actor, deactivated).await
    }

    async fn make_none_active(&self, id: &str, actor: &str) -> Result<PlaybookView, PublishError> {
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
                activation: None,
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
