//! What a document calls: gathered from the tenant's library, so that caller and called are proven as one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use common::{Digest, PlaybookName, PlaybookVersion};
use playbook_lang::{Playbook, Shelf, calls};

use crate::store::{Store, StoreError};

/// A playbook calls at most so many others, directly or not; the rest is missing, which is a finding.
const MOST_CALLED: usize = 64;
/// Proven playbooks kept in memory. One more empties the lot.
const MOST_PROVEN: usize = 512;

/// Every document that `source` calls, directly or not, as far as the library has it.
pub(crate) async fn called(store: &Store, source: &str) -> Result<Shelf, StoreError> {
    let mut shelf = Shelf::default();
    let mut wanted: VecDeque<(PlaybookName, PlaybookVersion)> = calls(source).into();
    let mut seen = HashSet::new();
    while let Some((name, version)) = wanted.pop_front() {
        if seen.len() >= MOST_CALLED || !seen.insert((name.clone(), version.clone())) {
            continue;
        }
        if let Some(source) = store.source(&name, &version).await? {
            shelf.put(&source);
            wanted.extend(calls(&source));
        }
    }
    Ok(shelf)
}

/// Published playbooks that were proven. A version never changes, nor does what it calls: what was proven once stays so
/// for as long as the process, and its checks, live.
#[derive(Default)]
pub(crate) struct Proven(Mutex<HashMap<Digest, Arc<Playbook>>>);

impl Proven {
    pub(crate) fn of(&self, digest: &Digest) -> Option<Arc<Playbook>> {
        self.lock().get(digest).cloned()
    }

    pub(crate) fn keep(&self, playbook: &Arc<Playbook>) {
        let mut known = self.lock();
        if known.len() >= MOST_PROVEN {
            known.clear();
        }
        known.insert(playbook.digest().clone(), Arc::clone(playbook));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<Playbook>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
