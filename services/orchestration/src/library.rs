//! The playbooks that executions run: pinned documents, read once per process.
//!
//! A document is found by its digest, so what was read once stays true for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use common::{Digest, PlaybookRef, Severity};
use playbook_lang::{Playbook, Registry, Shelf, calls, check_calling};

use crate::store::{Store, StoreError};

/// Documents kept in memory; a tenant runs a handful of them. One more empties the shelf.
const MOST: usize = 256;

/// Why there is no playbook to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The document was never pinned.
    #[error("the document of this execution is not there")]
    Missing,
    /// It was pinned, and today's checks refuse it.
    #[error("the document of this execution does not pass the checks: {0}")]
    Refused(String),
    /// The database did not answer.
    #[error("cannot read the document of this execution")]
    Store(#[from] StoreError),
}

/// A document and everything that it calls, directly or not. The digest of the one stands for all: it names the versions
/// of the others, and a published version never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Document {
    /// The exact bytes its digest is over.
    pub(crate) source: String,
    /// The same of those that it calls.
    pub(crate) calls: Vec<String>,
}

/// A document as it is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) playbook: PlaybookRef,
    /// The exact bytes its digest is over.
    pub(crate) source: String,
    /// Digests of what it calls, directly or not.
    pub(crate) calls: Vec<String>,
}

impl Document {
    /// Each document of `playbook`, which was read from this: what it calls may be run by itself one day. In the order of
    /// their digests, so that two who pin the same ones never wait for each other.
    pub(crate) fn pins(&self, playbook: &Playbook) -> Vec<Pin> {
        let sources: HashMap<Digest, &String> = self
            .calls
            .iter()
            .chain([&self.source])
            .map(|source| (Digest::of(source), source))
            .collect();
        let mut pins: Vec<Pin> = playbook
            .calls()
            .iter()
            .chain([playbook.reference()])
            .filter_map(|reference| {
                let source = *sources.get(&reference.digest)?;
                let calls = all_called(source, playbook.calls(), &sources);
                Some(Pin {
                    playbook: reference.clone(),
                    source: source.clone(),
                    calls: calls.iter().map(|digest| digest.as_str().to_owned()).collect(),
                })
            })
            .collect();
        pins.sort_by(|one, other| one.playbook.digest.as_str().cmp(other.playbook.digest.as_str()));
        pins
    }
}

/// Digests of what `source` calls, directly or not, among `known`.
fn all_called(source: &str, known: &[PlaybookRef], sources: &HashMap<Digest, &String>) -> Vec<Digest> {
    let mut called: Vec<Digest> = Vec::new();
    let mut next = calls(source);
    while let Some((name, version)) = next.pop() {
        let found = known
            .iter()
            .find(|known| known.name == name && known.version == version);
        if let Some(reference) = found
            && !called.contains(&reference.digest)
        {
            called.push(reference.digest.clone());
            next.extend(
                sources
                    .get(&reference.digest)
                    .into_iter()
                    .flat_map(|source| calls(source)),
            );
        }
    }
    called
}

/// A checked playbook.
#[derive(Clone)]
struct Known {
    playbook: Arc<Playbook>,
    /// Its document is in the database, with all that it calls.
    pinned: bool,
}

/// Checked playbooks by digest. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Library {
    registry: Arc<Registry>,
    shelf: Arc<Mutex<HashMap<Digest, Known>>>,
}

impl Library {
    /// An empty shelf.
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry: Arc::new(registry),
            shelf: Arc::default(),
        }
    }

    /// The playbook in `document`, checked with what it calls. The findings as text where it is refused.
    pub(crate) fn read(&self, document: &Document) -> Result<Arc<Playbook>, String> {
        let digest = Digest::of(&document.source);
        if let Some(known) = self.shelf().get(&digest) {
            return Ok(Arc::clone(&known.playbook));
        }
        let mut called = Shelf::default();
        for source in &document.calls {
            called.put(source);
        }
        let report = check_calling(&document.source, &self.registry, &called);
        let Some(passed) = report.playbook else {
            let codes: Vec<String> = report
                .findings
                .into_iter()
                .filter(|finding| finding.severity == Severity::Error)
                .map(|finding| finding.code)
                .collect();
            return Err(codes.join(", "));
        };
        let playbook = Arc::new(passed);
        let mut known = self.shelf();
        if known.len() >= MOST {
            known.clear();
        }
        let entry = Known {
            playbook: Arc::clone(&playbook),
            pinned: false,
        };
        known.insert(digest, entry);
        Ok(playbook)
    }

    /// The playbook with this digest, where it is known that its document is pinned.
    pub(crate) fn known_pinned(&self, digest: &Digest) -> Option<Arc<Playbook>> {
        let known = self.shelf().get(digest).filter(|known| known.pinned).cloned();
        known.map(|known| known.playbook)
    }

    /// The document of this digest is in the database now, with all that it calls.
    pub(crate) fn mark_pinned(&self, digest: &Digest) {
        if let Some(known) = self.shelf().get_mut(digest) {
            known.pinned = true;
        }
    }

    /// The playbook that was pinned under `digest`, with all that it calls.
    pub(crate) async fn pinned(&self, store: &Store, digest: &Digest) -> Result<Arc<Playbook>, Unreadable> {
        if let Some(known) = self.shelf().get(digest) {
            return Ok(Arc::clone(&known.playbook));
        }
        let document = store.pinned(digest).await?.ok_or(Unreadable::Missing)?;
        let playbook = self.read(&document).map_err(Unreadable::Refused)?;
        self.mark_pinned(digest);
        Ok(playbook)
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Known>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
