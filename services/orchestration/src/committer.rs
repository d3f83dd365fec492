//! Group commit: what several executions have to write at the same moment goes down in one transaction.
//!
//! A transaction costs one wait for the disk and a handful of round trips, whether it carries one step or sixty. Nobody
//! waits for company: a committer takes what is there, and what comes meanwhile is there when it is back. Whoever writes
//! gets an answer when its write is durable, as if it had been alone.

use std::sync::Arc;

use chassis::Wake;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::store::{Entry, Store, StoreError, Write, Written};

/// Transactions under way at once: one waits for the disk while another is being built.
const COMMITTERS: usize = 2;
/// Steps in one transaction: enough to share its cost, few enough not to hold the others up.
const MOST: usize = 64;
/// Writes in line before whoever has another one must wait.
const LINE: usize = 256;

/// Something to be committed, and who waits for it. `None`: nothing of it was written.
struct Waiting {
    entry: Entry,
    done: oneshot::Sender<Result<Option<Written>, StoreError>>,
}

/// Where drives hand in what they write. Cheap to clone; the committers end when the last one is gone.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    line: mpsc::Sender<Waiting>,
}

impl Committer {
    /// Start the committers over `store`. `outbox` is woken when tickets are to be told something.
    pub(crate) fn start(store: &Store, outbox: &Wake) -> Self {
        let (line, waiting) = mpsc::channel(LINE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..COMMITTERS {
            tokio::spawn(commit_all(store.clone(), outbox.clone(), Arc::clone(&waiting)));
        }
        Self { line }
    }

    /// Commit one step of an execution.
    pub(crate) async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let written = self.commit(Entry::Step(Box::new(write))).await?;
        written.ok_or(StoreError::Fenced)
    }

    /// Commit what happened to an execution; `None` where nothing was written, see [`Store::commit`].
    pub(crate) async fn commit(&self, entry: Entry) -> Result<Option<Written>, StoreError> {
        let (done, written) = oneshot::channel();
        self.line
            .send(Waiting { entry, done })
            .await
            .map_err(|_| StoreError::Stopped)?;
        written.await.map_err(|_| StoreError::Stopped)?
    }
}

async fn commit_all(store: Store, outbox: Wake, waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>) {
    loop {
        let mut batch = Vec::new();
        // One waits for something to come, the others for their turn to wait.
        if waiting.lock().await.recv_many(&mut batch, MOST).await == 0 {
            return;
        }
        metrics::histogram!("firstline_steps_per_commit")
            .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let (entries, waiting): (Vec<Entry>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.entry, waiting.done))
            .unzip();
        let results = commit(&store, &entries).await;
        let told = |entry: &Entry| entry.write().is_some_and(|write| !write.updates.is_empty());
        if entries.iter().any(told) {
            outbox.wake();
        }
        for (done, result) in waiting.into_iter().zip(results) {
            // Whoever is gone has been stopped, and the execution is taken up from what is stored.
            let _ = done.send(result);
        }
    }
}

/// One transaction for all of them. Where the database refuses it, one for each, so that none is refused for another's sake.
async fn commit(store: &Store, entries: &[Entry]) -> Vec<Result<Option<Written>, StoreError>> {
    match store.commit(entries).await {
        Ok(found) => return found.into_iter().map(Ok).collect(),
        Err(error) if entries.len() == 1 => return vec![Err(error)],
        Err(error) => {
            tracing::warn!(error = %chassis::chain(&error), "steps could not be committed together; trying each alone");
        }
    }
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        let alone = store.commit(std::slice::from_ref(entry)).await;
        results.push(alone.map(|found| found.into_iter().next().flatten()));
    }
    results
}
