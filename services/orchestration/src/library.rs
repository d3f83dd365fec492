//! The playbooks that executions run: pinned documents, read once per process.
//!
//! A document is found by its digest, so what was read once stays true for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use common::Digest;
use playbook_lang::{Playbook, Registry, check};

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

/// Checked playbooks by digest. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Library {
    registry: Arc<Registry>,
    shelf: Arc<Mutex<HashMap<Digest, Arc<Playbook>>>>,
}

impl Library {
    /// An empty shelf.
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry: Arc::new(registry),
            shelf: Arc::default(),
        }
    }

    /// The playbook in `source`, checked. The findings as text where it is refused.
    pub(crate) fn read(&self, source: &str) -> Result<Arc<Playbook>, String> {
        let digest = Digest::of(source);
        if let Some(known) = self.shelf().get(&digest) {
            return Ok(Arc::clone(known));
        }
        let report = check(source, &self.registry);
        let Some(passed) = report.playbook else {
            let codes: Vec<String> = report.findings.into_iter().map(|finding| finding.code).collect();
            return Err(codes.join(", "));
        };
        let playbook = Arc::new(passed);
        let mut known = self.shelf();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(digest, Arc::clone(&playbook));
        Ok(playbook)
    }

    /// The playbook that was pinned under `digest`.
    pub(crate) async fn pinned(&self, store: &Store, digest: &Digest) -> Result<Arc<Playbook>, Unreadable> {
        if let Some(known) = self.shelf().get(digest) {
            return Ok(Arc::clone(known));
        }
        let source = store.pinned(digest).await?.ok_or(Unreadable::Missing)?;
        self.read(&source).map_err(Unreadable::Refused)
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<Playbook>>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
