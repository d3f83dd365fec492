//! Group commit: what several have to write at the same moment goes down in one transaction.
//!
//! A transaction costs one wait for the disk and a handful of round trips, whether it carries one write or sixty. Whoever
//! writes gets an answer when its write is durable, as if it had been alone. There is one transaction under way at a time: a
//! second would hide its wait for the disk, and cost more than that by halving both (`docs/decisions/0021-commits-in-groups.md`).

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

use crate::chain;
use crate::observe::panic_text;

/// Entries in one transaction: enough to share its cost, few enough not to hold the others up.
const MOST: usize = 64;
/// Entries in line before whoever has another one must wait.
const LINE: usize = 256;
/// A commit that takes longer is given up. Well above what a statement may take (`statement_timeout`, 30 s): Postgres has
/// ended that by then, so nobody is at the other end any more. Left to itself the kernel notices after a quarter of an
/// hour, and with one commit under way at a time nothing would be written until then.
const LIMIT: Duration = Duration::from_secs(45);

/// Something that commits several entries at once. Cheap to clone.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// What is to be written.
    type Entry: Send + Sync;
    /// What became of it.
    type Found: Send;
    /// Why nothing was written.
    type Error: Failure;

    /// All of them, or none: one answer for each, in their order. One that takes too long is dropped
    /// where it stands: its session looks after itself ([`Session`](crate::Session)).
    fn commit(
        &self,
        entries: &[Self::Entry],
    ) -> impl Future<Output = Result<Vec<Self::Found>, Self::Error>> + Send;
}

/// Why a common transaction failed, as far as each of its entries must know.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The database refused what was written, and nothing of it is there; see [`refused`].
    fn is_refusal(&self) -> bool;

    /// Nobody can tell whether it was written.
    fn unclear() -> Self;

    /// The service stops.
    fn stopped() -> Self;
}

/// Whether the database refused a statement, rather than being away or breaking off in the middle of it.
pub fn refused(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| {
        !["08", "57", "58", "XX"]
            .iter()
            .any(|class| code.starts_with(class))
    })
}

/// An entry, and who waits for it.
struct Waiting<L: Ledger> {
    entry: L::Entry,
    done: oneshot::Sender<Result<L::Found, L::Error>>,
}

/// A line of entries to be committed; its committer ends when the last sender is gone. Cheap to clone.
pub struct Line<L: Ledger>(mpsc::Sender<Waiting<L>>);

impl<L: Ledger> Clone for Line<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: Ledger> Line<L> {
    /// Nobody waits for company: a committer takes what is there, and what comes meanwhile is there when it is back.
    pub fn start(ledger: &L) -> Self {
        Self::with(ledger, None, LIMIT)
    }

    /// The same, where a commit is given up after `limit`.
    pub fn limited(ledger: &L, limit: Duration) -> Self {
        Self::with(ledger, None, limit)
    }

    /// For entries that nobody is in a hurry for: the first waits this long for others.
    pub fn patient(ledger: &L, patience: Duration) -> Self {
        Self::with(ledger, Some(patience), LIMIT)
    }

    fn with(ledger: &L, patience: Option<Duration>, limit: Duration) -> Self {
        let (line, waiting) = mpsc::channel(LINE);
        tokio::spawn(commit_all(ledger.clone(), waiting, patience, limit));
        Self(line)
    }

    /// Commit `entry`.
    ///
    /// # Errors
    /// Those of its ledger.
    pub async fn commit(&self, entry: L::Entry) -> Result<L::Found, L::Error> {
        let (done, found) = oneshot::channel();
        let waiting = Waiting { entry, done };
        self.0.send(waiting).await.map_err(|_| L::Error::stopped())?;
        // Its committer was stopped, and may have got to the end of its transaction.
        found.await.map_err(|_| L::Error::unclear())?
    }
}

async fn commit_all<L: Ledger>(
    ledger: L,
    mut line: mpsc::Receiver<Waiting<L>>,
    patience: Option<Duration>,
    limit: Duration,
) {
    loop {
        let batch = gather(&mut line, patience).await;
        if batch.is_empty() {
            return;
        }
        metrics::histogram!("firstline_entries_per_commit")
            .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let (entries, waiting): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.entry, waiting.done))
            .unzip();
        let results = commit(&ledger, &entries, limit).await;
        for (done, result) in waiting.into_iter().zip(results) {
            // Whoever is gone has been stopped, and what it did is taken up from what is stored.
            let _ = done.send(result);
        }
    }
}

/// What is in line, or has come after `patience`; nothing once nobody can add to it.
async fn gather<T>(line: &mut mpsc::Receiver<T>, patience: Option<Duration>) -> Vec<T> {
    let mut batch = Vec::new();
    if line.recv_many(&mut batch, MOST).await == 0 {
        return batch;
    }
    if let Some(patience) = patience {
        let until = tokio::time::Instant::now() + patience;
        while batch.len() < MOST
            && let Ok(Some(entry)) = tokio::time::timeout_at(until, line.recv()).await
        {
            batch.push(entry);
        }
    }
    batch
}

/// One transaction for all of them. Where the database refuses it, one for each, so that none is refused for another's sake.
/// Where nobody can tell whether it was committed, none is tried again: it would be written twice.
async fn commit<L: Ledger>(
    ledger: &L,
    entries: &[L::Entry],
    limit: Duration,
) -> Vec<Result<L::Found, L::Error>> {
    let error = match attempt(ledger, entries, limit).await {
        Ok(found) => return found.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if entries.len() == 1 {
        return vec![Err(error)];
    }
    let cause = chain(&error);
    if !error.is_refusal() {
        tracing::warn!(error = %cause, "whether a common transaction was committed is not known");
        return entries.iter().map(|_| Err(L::Error::unclear())).collect();
    }
    tracing::warn!(error = %cause, "a common transaction was refused; trying each entry alone");
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        let alone = attempt(ledger, std::slice::from_ref(entry), limit).await;
        results.push(alone.and_then(|found| found.into_iter().next().ok_or_else(L::Error::unclear)));
    }
    results
}

/// One transaction. Whatever becomes of it, the next one has its turn: a committer that ended with a fault, or waited for
/// an answer that never comes, would leave its process alive and unable to write.
async fn attempt<L: Ledger>(
    ledger: &L,
    entries: &[L::Entry],
    limit: Duration,
) -> Result<Vec<L::Found>, L::Error> {
    let committing = AssertUnwindSafe(ledger.commit(entries)).catch_unwind();
    match tokio::time::timeout(limit, committing).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let panic = panic_text(panic.as_ref());
            tracing::error!(panic, "a commit panicked; whether it was written is not known");
            Err(L::Error::unclear())
        }
        Err(_) => {
            let limit_s = limit.as_secs();
            tracing::error!(
                limit_s,
                "the database did not answer a commit in time and it was given up"
            );
            Err(L::Error::unclear())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, PartialEq, thiserror::Error)]
    enum Fault {
        #[error("an odd one")]
        Odd,
        #[error("the answer was lost")]
        Lost,
        #[error("unclear")]
        Unclear,
        #[error("stopped")]
        Stopped,
    }

    impl Failure for Fault {
        fn is_refusal(&self) -> bool {
            *self == Self::Odd
        }

        fn unclear() -> Self {
            Self::Unclear
        }

        fn stopped() -> Self {
            Self::Stopped
        }
    }

    /// A fault of ours brings the ledger down.
    const FATAL: u32 = 666;
    /// The database never answers.
    const ENDLESS: u32 = 1000;

    /// Writes numbers down, a batch at a time; refuses odd ones, or loses its answer.
    #[derive(Clone, Default)]
    struct Numbers {
        written: Arc<Mutex<Vec<Vec<u32>>>>,
        loses_answers: bool,
    }

    impl Ledger for Numbers {
        type Entry = u32;
        type Found = u32;
        type Error = Fault;

        async fn commit(&self, entries: &[u32]) -> Result<Vec<u32>, Fault> {
            if entries.iter().any(|number| number % 2 == 1) {
                return Err(Fault::Odd);
            }
            assert!(!entries.contains(&FATAL), "a number that nobody foresaw");
            if entries.contains(&ENDLESS) {
                std::future::pending::<()>().await;
            }
            self.written.lock().unwrap().push(entries.to_vec());
            if self.loses_answers {
                return Err(Fault::Lost);
            }
            Ok(entries.iter().map(|number| number * 10).collect())
        }
    }

    #[tokio::test]
    async fn what_is_refused_for_one_is_tried_for_each() {
        let numbers = Numbers::default();
        let results = commit(&numbers, &[2, 3, 4], LIMIT).await;
        assert_eq!(results, [Ok(20), Err(Fault::Odd), Ok(40)]);
        assert_eq!(*numbers.written.lock().unwrap(), [[2], [4]]);
    }

    #[tokio::test]
    async fn what_may_have_been_committed_is_not_written_again() {
        let numbers = Numbers {
            loses_answers: true,
            ..Numbers::default()
        };
        let results = commit(&numbers, &[2, 4], LIMIT).await;
        assert_eq!(results, [Err(Fault::Unclear), Err(Fault::Unclear)]);
        assert_eq!(*numbers.written.lock().unwrap(), [[2, 4]]);
    }

    #[tokio::test]
    async fn what_nobody_is_in_a_hurry_for_waits_for_company_until_no_more_fits() {
        let numbers = Numbers::default();
        let line = Line::patient(&numbers, Duration::from_hours(1));
        let many = u32::try_from(MOST).unwrap();
        let found = futures::future::join_all((0..many).map(|number| line.commit(number * 2))).await;
        assert!(found.iter().all(Result::is_ok));
        let batches: Vec<usize> = numbers.written.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(batches, [MOST]);
    }

    #[tokio::test]
    async fn everybody_else_waits_for_nobody() {
        let numbers = Numbers::default();
        assert_eq!(Line::start(&numbers).commit(2).await, Ok(20));
    }
    #[tokio::test]
    async fn a_panic_costs_the_entries_of_one_commit_and_nobody_elses() {
        let numbers = Numbers::default();
        let line = Line::start(&numbers);
        let found = tokio::join!(line.commit(2), line.commit(FATAL));
        assert_eq!(found, (Err(Fault::Unclear), Err(Fault::Unclear)));
        assert_eq!(line.commit(4).await, Ok(40));
    }

    #[tokio::test]
    async fn a_panic_over_one_that_is_tried_alone_costs_that_one() {
        let numbers = Numbers::default();
        let results = commit(&numbers, &[2, 3, FATAL, 4], LIMIT).await;
        let unclear = Err(Fault::Unclear);
        assert_eq!(results, [Ok(20), Err(Fault::Odd), unclear, Ok(40)]);
    }

    #[tokio::test]
    async fn a_database_that_never_answers_is_given_up_and_the_next_commit_has_its_turn() {
        let line = Line::limited(&Numbers::default(), Duration::from_millis(50));
        assert_eq!(line.commit(ENDLESS).await, Err(Fault::Unclear));
        assert_eq!(line.commit(4).await, Ok(40));
    }
}
