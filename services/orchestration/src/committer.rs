//! Group commit: what several have to write at the same moment goes down in one transaction.
//!
//! A transaction costs one wait for the disk and a handful of round trips, whether it carries one step or sixty. Nobody
//! waits for company: a committer takes what is there, and what comes meanwhile is there when it is back. Whoever writes
//! gets an answer when its write is durable, as if it had been alone.

use std::sync::Arc;

use chassis::Wake;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::store::{Closing, Entry, Left, Store, StoreError, Write, Written};

/// Transactions under way at once: one waits for the disk while another is being built.
const COMMITTERS: usize = 2;
/// Entries in one transaction: enough to share its cost, few enough not to hold the others up.
const MOST: usize = 64;
/// Entries in line before whoever has another one must wait.
const LINE: usize = 256;

/// Something that commits several entries at once.
trait Ledger: Clone + Send + Sync + 'static {
    type Entry: Send + Sync;
    /// What an entry found; `None` where nothing of it was written.
    type Found: Send;

    /// All of them, or none.
    fn commit(
        &self,
        entries: &[Self::Entry],
    ) -> impl Future<Output = Result<Vec<Option<Self::Found>>, StoreError>> + Send;

    /// They were committed.
    fn committed(&self, _entries: &[Self::Entry]) {}
}

/// Steps of executions.
#[derive(Debug, Clone)]
struct Steps {
    store: Store,
    outbox: Wake,
}

impl Ledger for Steps {
    type Entry = Entry;
    type Found = Written;

    async fn commit(&self, entries: &[Entry]) -> Result<Vec<Option<Written>>, StoreError> {
        self.store.commit(entries).await
    }

    fn committed(&self, entries: &[Entry]) {
        let told = |entry: &Entry| entry.write().is_some_and(|write| !write.updates.is_empty());
        if entries.iter().any(told) {
            self.outbox.wake();
        }
    }
}

impl Ledger for Store {
    type Entry = Closing;
    type Found = Left;

    async fn commit(&self, closings: &[Closing]) -> Result<Vec<Option<Left>>, StoreError> {
        self.close(closings).await
    }
}

/// An entry, and who waits for it.
struct Waiting<L: Ledger> {
    entry: L::Entry,
    done: oneshot::Sender<Result<Option<L::Found>, StoreError>>,
}

/// A line of entries to be committed; its committers end when the last sender is gone.
struct Line<L: Ledger>(mpsc::Sender<Waiting<L>>);

impl<L: Ledger> Clone for Line<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: Ledger> Line<L> {
    fn start(ledger: &L) -> Self {
        let (line, waiting) = mpsc::channel(LINE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..COMMITTERS {
            tokio::spawn(commit_all(ledger.clone(), Arc::clone(&waiting)));
        }
        Self(line)
    }

    async fn commit(&self, entry: L::Entry) -> Result<Option<L::Found>, StoreError> {
        let (done, found) = oneshot::channel();
        let waiting = Waiting { entry, done };
        self.0.send(waiting).await.map_err(|_| StoreError::Stopped)?;
        found.await.map_err(|_| StoreError::Stopped)?
    }
}

/// Where drives hand in what they write. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Committer(Line<Steps>);

impl Committer {
    /// Over `store`. `outbox` is woken when tickets are to be told something.
    pub(crate) fn start(store: &Store, outbox: &Wake) -> Self {
        let (store, outbox) = (store.clone(), outbox.clone());
        Self(Line::start(&Steps { store, outbox }))
    }

    /// Commit one step of an execution.
    pub(crate) async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let written = self.commit(Entry::Step(Box::new(write))).await?;
        written.ok_or(StoreError::Fenced)
    }

    /// Commit what happened to an execution; `None` where nothing was written, see [`Store::commit`].
    pub(crate) async fn commit(&self, entry: Entry) -> Result<Option<Written>, StoreError> {
        self.0.commit(entry).await
    }
}

/// Where senders hand in what tickets were told. Cheap to clone.
///
/// Apart from the steps: each of the two locks tickets in their order, and in one transaction they would lock them twice.
#[derive(Clone)]
pub(crate) struct Closer(Line<Store>);

impl Closer {
    /// Over `store`.
    pub(crate) fn start(store: &Store) -> Self {
        Self(Line::start(store))
    }

    /// Put down what a ticket was told, and let go of it or keep it.
    pub(crate) async fn close(&self, closing: Closing) -> Result<Left, StoreError> {
        let left = self.0.commit(closing).await?;
        left.ok_or(StoreError::Fenced)
    }
}

async fn commit_all<L: Ledger>(ledger: L, waiting: Arc<Mutex<mpsc::Receiver<Waiting<L>>>>) {
    loop {
        let mut batch = Vec::new();
        // One waits for something to come, the others for their turn to wait.
        if waiting.lock().await.recv_many(&mut batch, MOST).await == 0 {
            return;
        }
        metrics::histogram!("firstline_entries_per_commit")
            .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let (entries, waiting): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.entry, waiting.done))
            .unzip();
        let results = commit(&ledger, &entries).await;
        ledger.committed(&entries);
        for (done, result) in waiting.into_iter().zip(results) {
            // Whoever is gone has been stopped, and what it did is taken up from what is stored.
            let _ = done.send(result);
        }
    }
}

/// One transaction for all of them. Where the database refuses it, one for each, so that none is refused for another's sake.
async fn commit<L: Ledger>(ledger: &L, entries: &[L::Entry]) -> Vec<Result<Option<L::Found>, StoreError>> {
    match ledger.commit(entries).await {
        Ok(found) => return found.into_iter().map(Ok).collect(),
        Err(error) if entries.len() == 1 => return vec![Err(error)],
        Err(error) => {
            tracing::warn!(error = %chassis::chain(&error), "a common transaction failed; trying each entry alone");
        }
    }
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        let alone = ledger.commit(std::slice::from_ref(entry)).await;
        results.push(alone.map(|found| found.into_iter().next().flatten()));
    }
    results
}
