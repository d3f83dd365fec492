//! Group commit: what several have to write at the same moment goes down in one transaction.
//!
//! A transaction costs one wait for the disk and a handful of round trips, whether it carries one step or sixty. Nobody
//! waits for company: a committer takes what is there, and what comes meanwhile is there when it is back. Whoever writes
//! gets an answer when its write is durable, as if it had been alone.

use std::sync::Arc;

use tokio::sync::{Mutex as Turnstile, mpsc, oneshot};

use crate::outbox::Hand;
use crate::store::{Closing, Committed, Entry, Left, Store, StoreError, Take, Write, Written};

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
}

/// Steps of executions.
#[derive(Debug, Clone)]
struct Steps {
    store: Store,
    hand: Hand,
}

impl Ledger for Steps {
    type Entry = Entry;
    type Found = Written;

    async fn commit(&self, entries: &[Entry]) -> Result<Vec<Option<Written>>, StoreError> {
        let tellings = || entries.iter().filter_map(Entry::write).map(Write::telling);
        let (urgent, lingering): (Vec<_>, Vec<_>) = tellings()
            .filter(|telling| !telling.updates.is_empty())
            .partition(|telling| !telling.may_linger());
        let places = self.hand.places(urgent.len());
        let take = Take {
            most: places.len(),
            lease: Hand::LEASE,
        };
        let Committed { found, taken } = self.store.commit(entries, take).await?;
        // Whoever is at work on a ticket sees for itself that there is more; one that could not be taken is looked for.
        if places.len() < urgent.len() || taken.len() < places.len() {
            self.hand.look();
        }
        if !lingering.is_empty() {
            self.hand.look_later();
        }
        places.fill(taken);
        Ok(found)
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
        let waiting = Arc::new(Turnstile::new(waiting));
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
    /// Over `store`. Tickets that are to be told something go to `hand`.
    pub(crate) fn start(store: &Store, hand: &Hand) -> Self {
        let (store, hand) = (store.clone(), hand.clone());
        Self(Line::start(&Steps { store, hand }))
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

async fn commit_all<L: Ledger>(ledger: L, waiting: Arc<Turnstile<mpsc::Receiver<Waiting<L>>>>) {
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
        for (done, result) in waiting.into_iter().zip(results) {
            // Whoever is gone has been stopped, and what it did is taken up from what is stored.
            let _ = done.send(result);
        }
    }
}

/// One transaction for all of them. Where the database refuses it, one for each, so that none is refused for another's sake.
/// Where nobody can tell whether it was committed, none is tried again: it would be written twice.
async fn commit<L: Ledger>(ledger: &L, entries: &[L::Entry]) -> Vec<Result<Option<L::Found>, StoreError>> {
    let error = match ledger.commit(entries).await {
        Ok(found) => return found.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if entries.len() == 1 {
        return vec![Err(error)];
    }
    let cause = chassis::chain(&error);
    if !error.is_refusal() {
        tracing::warn!(error = %cause, "whether a common transaction was committed is not known");
        return entries.iter().map(|_| Err(StoreError::Unclear)).collect();
    }
    tracing::warn!(error = %cause, "a common transaction was refused; trying each entry alone");
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        let alone = ledger.commit(std::slice::from_ref(entry)).await;
        results.push(alone.map(|found| found.into_iter().next().flatten()));
    }
    results
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes numbers down; refuses odd ones, or loses its answer.
    #[derive(Clone, Default)]
    struct Numbers {
        written: Arc<Mutex<Vec<u32>>>,
        loses_answers: bool,
    }

    impl Ledger for Numbers {
        type Entry = u32;
        type Found = ();

        async fn commit(&self, entries: &[u32]) -> Result<Vec<Option<()>>, StoreError> {
            if entries.iter().any(|number| number % 2 == 1) {
                return Err(StoreError::Corrupt {
                    table: "numbers",
                    source: "an odd one".into(),
                });
            }
            self.written.lock().unwrap().extend(entries);
            if self.loses_answers {
                return Err(StoreError::Database(sqlx::Error::WorkerCrashed));
            }
            Ok(entries.iter().map(|_| Some(())).collect())
        }
    }

    #[tokio::test]
    async fn what_is_refused_for_one_is_tried_for_each() {
        let numbers = Numbers::default();
        let results = commit(&numbers, &[2, 3, 4]).await;
        let well: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(well, [true, false, true]);
        assert_eq!(*numbers.written.lock().unwrap(), [2, 4]);
    }

    #[tokio::test]
    async fn what_may_have_been_committed_is_not_written_again() {
        let numbers = Numbers {
            loses_answers: true,
            ..Numbers::default()
        };
        let results = commit(&numbers, &[2, 4]).await;
        assert!(
            results
                .iter()
                .all(|result| matches!(result, Err(StoreError::Unclear)))
        );
        assert_eq!(*numbers.written.lock().unwrap(), [2, 4]);
    }
}
