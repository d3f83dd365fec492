//! The documents that a command is about, with what they may call: actions, and the playbooks beside them.

use std::path::{Path, PathBuf};

use common::client::PlaybookClient;
use common::{PlaybookName, PlaybookRef, PlaybookVersion};
use playbook_lang::{Playbook, Registry, Report, Shelf, calls, check_calling};

use super::tell;
use crate::arguments::Actions;
use crate::exit::BadInput;

/// How the scenarios of a playbook are named: `NAME.scenarios.yml` beside `NAME.yml`.
const SCENARIOS: &str = ".scenarios.yml";
/// Larger files are no playbooks; nothing of them is read.
const LARGEST: u64 = 16 * 1024 * 1024;

/// One file, or why it could not be read.
pub(super) struct Document {
    pub(super) file: PathBuf,
    pub(super) source: Result<String, String>,
}

/// Files, read once.
pub(super) struct Documents {
    pub(super) list: Vec<Document>,
    pub(super) registry: Registry,
    pub(super) shelf: Shelf,
}

impl Documents {
    /// Read the files and whatever stands beside them. A file that cannot be read is among them all the same.
    pub(super) fn read(files: &[PathBuf], actions: &Actions) -> Result<Self, BadInput> {
        let registry = registry(actions)?;
        let list: Vec<Document> = files
            .iter()
            .map(|file| Document {
                source: source(file),
                file: file.clone(),
            })
            .collect();
        let mut shelf = Shelf::default();
        let mut folders: Vec<&Path> = files.iter().map(|file| folder(file)).collect();
        folders.sort_unstable();
        folders.dedup();
        for path in folders.into_iter().flat_map(playbooks_in) {
            // What stands beside and makes no sense is missed where it is called.
            if let Ok(source) = source(&path) {
                shelf.put(&source);
            }
        }
        // The files themselves count more than what stands beside them.
        for document in list.iter().filter(|document| !holds_scenarios(&document.file)) {
            if let Ok(source) = &document.source {
                shelf.put(source);
            }
        }
        Ok(Self {
            list,
            registry,
            shelf,
        })
    }

    /// One file that must be a playbook; its findings are told where it is none.
    pub(super) fn playbook(file: &Path, actions: &Actions) -> Result<Playbook, BadInput> {
        let documents = Self::read(&[file.to_owned()], actions)?;
        let source = source(file).map_err(BadInput)?;
        let report = documents.check(&source);
        report.playbook.ok_or_else(|| {
            tell::findings(file, &source, &report.findings);
            BadInput(format!("{} is not a playbook that could run", file.display()))
        })
    }

    pub(super) fn check(&self, source: &str) -> Report {
        check_calling(source, &self.registry, &self.shelf)
    }
}

/// The playbooks of `folder`, whether they are enabled or not. Findings are told.
///
/// # Errors
/// The folder or one of its documents makes no sense.
pub(crate) fn all_in(folder: &Path, actions: &Actions) -> Result<Vec<Playbook>, BadInput> {
    let files = playbooks_in(folder);
    if files.is_empty() {
        let name = folder.display();
        return Err(BadInput(format!(
            "`{name}` is no folder with playbooks (*.yml) in it"
        )));
    }
    let documents = Documents::read(&files, actions)?;
    let mut all: Vec<Playbook> = vec![];
    for Document { file, source } in &documents.list {
        let source = source.as_ref().map_err(|why| BadInput(why.clone()))?;
        let report = documents.check(source);
        let Some(playbook) = report.playbook else {
            tell::findings(file, source, &report.findings);
            return Err(BadInput(format!(
                "{} is not a playbook that could run",
                file.display()
            )));
        };
        all.push(playbook);
    }
    Ok(all)
}

/// The playbooks of `folder` that would be active: those that are enabled, by name. Findings are told.
///
/// # Errors
/// The folder or one of its documents makes no sense.
pub(crate) fn enabled_in(folder: &Path, actions: &Actions) -> Result<Vec<Playbook>, BadInput> {
    let mut enabled = all_in(folder, actions)?;
    enabled.retain(Playbook::enabled);
    enabled.sort_by(|one, other| one.name().as_str().cmp(other.name().as_str()));
    if let Some(twice) = enabled.windows(2).find_map(|pair| match pair {
        [one, other] if one.name() == other.name() => Some(one.name()),
        _ => None,
    }) {
        return Err(BadInput(format!(
            "two versions of playbook `{twice}` are enabled in `{}`; only one can be active",
            folder.display()
        )));
    }
    Ok(enabled)
}

fn registry(actions: &Actions) -> Result<Registry, BadInput> {
    let mut registry = Registry::builtin();
    if let Some(file) = &actions.actions {
        let declared = source(file).map_err(BadInput)?;
        registry.declare_file(&declared).map_err(|findings| {
            tell::findings(file, &declared, &findings);
            BadInput(format!("{} declares no actions", file.display()))
        })?;
    }
    Ok(registry)
}

/// The text of a file, or why there is none.
pub(super) fn source(file: &Path) -> Result<String, String> {
    let cannot = |why: String| format!("cannot read {}: {why}", file.display());
    let length = std::fs::metadata(file)
        .map_err(|error| cannot(error.to_string()))?
        .len();
    if length > LARGEST {
        return Err(cannot(format!(
            "it has {length} bytes, and no playbook has more than a few thousand"
        )));
    }
    let bytes = std::fs::read(file).map_err(|error| cannot(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        cannot(format!("it is not UTF-8 text (byte {at}); save it as UTF-8"))
    })
}

/// Whether a file is one of scenarios, by its name.
pub(super) fn holds_scenarios(file: &Path) -> bool {
    file.to_string_lossy().ends_with(SCENARIOS)
}

/// Where the scenarios of a playbook are.
pub(super) fn scenarios_of(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}{SCENARIOS}"))
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn playbooks_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name.ends_with(".yml") || name.ends_with(".yaml")) && !name.ends_with(SCENARIOS)
        })
        .collect();
    files.sort_unstable();
    files
}

/// A published version with all that it calls.
pub(super) async fn published(
    playbooks: &PlaybookClient,
    wanted: &PlaybookRef,
    actions: &Actions,
) -> anyhow::Result<Playbook> {
    let registry = registry(actions)?;
    let mut shelf = Shelf::default();
    let source = fetched(playbooks, &wanted.name, &wanted.version).await?;
    let mut open = calls(&source);
    let mut seen = Vec::new();
    while let Some(called) = open.pop() {
        if seen.contains(&called) {
            continue;
        }
        let source = fetched(playbooks, &called.0, &called.1).await?;
        open.extend(calls(&source));
        shelf.put(&source);
        seen.push(called);
    }
    check_calling(&source, &registry, &shelf).playbook.ok_or_else(|| {
        anyhow::anyhow!(
            "the published playbook does not pass the checks of this `firstline`; use the fleet's own version"
        )
    })
}

async fn fetched(
    playbooks: &PlaybookClient,
    name: &PlaybookName,
    version: &PlaybookVersion,
) -> anyhow::Result<String> {
    let view = playbooks.playbook(name, Some(version)).await?;
    Ok(view.source.unwrap_or_default())
}
