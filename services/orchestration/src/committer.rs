//! Group commit: what several have to write at the same moment goes down in one transaction (`chassis::group_commit`).

use std::time::Duration;

use chassis::group_commit::{Failure, Ledger, Line, refused};

use crate::outbox::Hand;
use crate::store::{Closing, Committed, Entry, Left, Store, StoreError, Take, Write, Written};

/// How long it waits for company that a ticket was told how its execution ended. Should the process die meanwhile, whoever
/// takes the ticket over looks at what stands there.
const PATIENCE: Duration = Duration::from_millis(500);

impl Failure for StoreError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Database(error) => refused(error),
            Self::Corrupt { .. } | Self::Fenced => true,
            Self::Stopped | Self::Unclear => false,
        }
    }

    fn unclear() -> Self {
        Self::Unclear
    }

    fn stopped() -> Self {
        Self::Stopped
    }
}

/// Steps of executions.
#[derive(Debug, Clone)]
struct Steps {
    store: Store,
    hand: Hand,
}

impl Ledger for Steps {
    type Entry = Entry;
    /// `None` where nothing of it was written.
    type Found = Option<Written>;
    type Error = StoreError;

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
    /// `None` where it was ours no longer.
    type Found = Option<Left>;
    type Error = StoreError;

    async fn commit(&self, closings: &[Closing]) -> Result<Vec<Option<Left>>, StoreError> {
        self.close(closings).await
    }
}

/// Where drives hand in what they write. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Committer(Line<Steps>);

impl Committer {
    /// Over `store`. Tickets that are to be told something go to `hand`.
    pub(crate) fn start(store: &Store, hand: &Hand) -> Self {
        let (store, hand) = (store.seated(), hand.clone());
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
pub(crate) struct Closer {
    now: Line<Store>,
    later: Line<Store>,
}

impl Closer {
    /// Over `store`.
    pub(crate) fn start(store: &Store) -> Self {
        Self {
            now: Line::start(&store.seated()),
            later: Line::patient(store, PATIENCE),
        }
    }

    /// Put down what a ticket was told, and let go of it or keep it.
    pub(crate) async fn close(&self, closing: Closing) -> Result<Left, StoreError> {
        let left = self.now.commit(closing).await?;
        left.ok_or(StoreError::Fenced)
    }

    /// The same of a ticket that is hardly told anything more: in company, within a moment.
    pub(crate) async fn close_later(&self, closing: Closing) -> Result<Left, StoreError> {
        let left = self.later.commit(closing).await?;
        left.ok_or(StoreError::Fenced)
    }
}
