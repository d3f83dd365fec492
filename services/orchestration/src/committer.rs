//! Group commit: what several executions have to write at the same moment goes down in one transaction.
//!
//! A transaction costs one wait for the disk and a handful of round trips, whether it carries one step or sixty. Nobody
//! waits for company: a committer takes what is there, and what comes meanwhile is there when it is back. Whoever writes
//! gets an answer when its write is durable, as if it had been alone.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::store::{Store, StoreError, Write, Written};

/// Transactions under way at once: one waits for the disk while another is being built.
const COMMITTERS: usize = 2;
/// Steps in one transaction: enough to share its cost, few enough not to hold the others up.
const MOST: usize = 64;
/// Writes in line before whoever has another one must wait.
const LINE: usize = 256;

/// A write, and who waits for it.
struct Waiting {
    write: Write,
    done: oneshot::Sender<Result<Written, StoreError>>,
}

/// Where drives hand in what they write. Cheap to clone; the committers end when the last one is gone.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    line: mpsc::Sender<Waiting>,
}

impl Committer {
    /// Start the committers over `store`.
    pub(crate) fn start(store: &Store) -> Self {
        let (line, waiting) = mpsc::channel(LINE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..COMMITTERS {
            tokio::spawn(commit_all(store.clone(), Arc::clone(&waiting)));
        }
        Self { line }
    }

    /// Commit one step of an execution.
    pub(crate) async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let (done, written) = oneshot::channel();
        self.line
            .send(Waiting { write, done })
            .await
            .map_err(|_| StoreError::Stopped)?;
        written.await.map_err(|_| StoreError::Stopped)?
    }
}

async fn commit_all(store: Store, waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>) {
    loop {
        let mut batch = Vec::new();
        if waiting.lock().await.recv_many(&mut batch, MOST).await == 0 {
            return;
        }
        metrics::histogram!("firstline_steps_per_commit")
            .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let (writes, waiting): (Vec<Write>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.write, waiting.done))
            .unzip();
        for (done, result) in waiting.into_iter().zip(commit(&store, &writes).await) {
            // Whoever is gone has been stopped, and the execution is taken up from what is stored.
            let _ = done.send(result);
        }
    }
}

/// One transaction for all of them. Where the database refuses it, one for each, so that none is refused for another's sake.
async fn commit(store: &Store, writes: &[Write]) -> Vec<Result<Written, StoreError>> {
    let mine = |found: Option<Written>| found.ok_or(StoreError::Fenced);
    match store.write(writes).await {
        Ok(found) => return found.into_iter().map(mine).collect(),
        Err(error) if writes.len() == 1 => return vec![Err(error)],
        Err(error) => {
            tracing::warn!(error = %chassis::chain(&error), "steps could not be committed together; trying each alone");
        }
    }
    let mut results = Vec::with_capacity(writes.len());
    for write in writes {
        let alone = store.write(std::slice::from_ref(write)).await;
        results.push(alone.and_then(|found| mine(found.into_iter().next().flatten())));
    }
    results
}
