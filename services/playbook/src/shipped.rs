//! The playbooks that come with the product: read and proven before the service starts, brought into the database where
//! their names are new there. What people published or deactivated is never overridden.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::{Shell, chain};
use common::{Finding, PlaybookName, PlaybookRef, Severity};
use playbook_lang::{Playbook, Registry, Shelf, check_calling};

use crate::publish::Library;
use crate::store::{Introduced, StoreError};

/// How long to wait for the database before trying again.
const PAUSE: Duration = Duration::from_secs(1);

/// One proven document.
#[derive(Debug)]
pub(crate) struct Shipped {
    pub(crate) playbook: Playbook,
    pub(crate) source: String,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("cannot read `{path}` of PLAYBOOKS_DIR: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// One line for each, `file:line:column`.
    #[error("the playbooks in PLAYBOOKS_DIR cannot be published:{0}")]
    Findings(String),
}

/// Every playbook of the folder, or all that is wrong with any of them.
pub(crate) async fn read(directory: &Path, registry: &Registry) -> Result<Vec<Shipped>, Refusal> {
    let mut shipped: Vec<Shipped> = Vec::new();
    let mut refusals = String::new();
    let mut enabled: HashMap<PlaybookName, PathBuf> = HashMap::new();
    let mut documents = Vec::new();
    // They may call each other, whatever order they come in.
    let mut shelf = Shelf::default();
    for path in files(directory).await? {
        let bytes = tokio::fs::read(&path).await.map_err(unreadable(&path))?;
        let Ok(source) = String::from_utf8(bytes) else {
            let _ = write!(refusals, "\n  {}:1:1: not UTF-8 text", path.display());
            continue;
        };
        shelf.put(&source);
        documents.push((path, source));
    }
    for (path, source) in documents {
        let report = check_calling(&source, registry, &shelf);
        for finding in report
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
        {
            let _ = write!(refusals, "\n  {}", line(&path, finding));
        }
        let Some(playbook) = report.playbook else {
            continue;
        };
        let same = |other: &Shipped| {
            (other.playbook.name(), other.playbook.version()) == (playbook.name(), playbook.version())
        };
        let first = enabled.get(playbook.name()).filter(|_| playbook.enabled());
        if shipped.iter().any(same) {
            let _ = write!(
                refusals,
                "\n  {}:1:1: version {} of `{}` is in another file as well",
                path.display(),
                playbook.version(),
                playbook.name()
            );
        } else if let Some(first) = first {
            let _ = write!(
                refusals,
                "\n  {}:1:1: a version of `{}` is enabled in {} already; only one can be",
                path.display(),
                playbook.name(),
                first.display()
            );
        }
        if playbook.enabled() {
            enabled.insert(playbook.name().clone(), path);
        }
        shipped.push(Shipped { playbook, source });
    }
    if refusals.is_empty() {
        Ok(shipped)
    } else {
        Err(Refusal::Findings(refusals))
    }
}

/// `*.yml` by name, but for the scenarios that stand beside a playbook.
async fn files(directory: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let mut entries = tokio::fs::read_dir(directory)
        .await
        .map_err(unreadable(directory))?;
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(unreadable(directory))? {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let hidden = name.starts_with('.');
        if name.ends_with(".yml") && !name.ends_with(".scenarios.yml") && !hidden {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Refusal {
    let path = path.to_owned();
    move |source| Refusal::Unreadable { path, source }
}

fn line(path: &Path, finding: &Finding) -> String {
    let Finding {
        code,
        line,
        column,
        message,
        path: steps,
        ..
    } = finding;
    let mut text = format!("{}:{line}:{column}: {message} [{code}]", path.display());
    if !steps.is_empty() {
        let _ = write!(text, " ({})", steps.join(" > "));
    }
    text
}

/// Bring them into the database, however late it comes up; until then the service is not ready.
pub(crate) async fn load(shell: Shell, library: Library, shipped: Vec<Shipped>) {
    const WHAT: &str = "playbooks";
    let readiness = shell.readiness();
    readiness.blocked(WHAT, "the shipped playbooks are not in the database yet");
    while let Err(error) = introduce(&library, &shipped).await {
        tracing::warn!(error = chain(&error), "cannot load the shipped playbooks yet");
        tokio::select! {
            () = shell.stopping().cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    library.set_loaded();
    readiness.ready(WHAT);
}

async fn introduce(library: &Library, shipped: &[Shipped]) -> Result<(), StoreError> {
    let Introduced { published, inactive } = library.store().introduce(shipped).await?;
    for name in published {
        tracing::info!(playbook.name = %name, "published a shipped playbook");
    }
    for (PlaybookRef { name, version, .. }, planned) in inactive {
        let actions: Vec<String> = planned.iter().map(ToString::to_string).collect();
        let why = if actions.is_empty() {
            "a playbook that it calls is here with other content".to_owned()
        } else {
            format!("no service offers {} yet", actions.join(", "))
        };
        tracing::warn!(playbook.name = %name, playbook.version = %version, why, "a shipped playbook is enabled and was not activated");
    }
    Ok(())
}
