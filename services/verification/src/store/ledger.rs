//! What happens to several operations at the same moment goes down in one transaction.

use std::time::Duration as StdDuration;

use chassis::AuditEvent;
use chassis::group_commit::{Failure, Ledger, Line, refused};
use common::PermitId;
use common::velocity::{Place, Windows};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::change::Hold;
use super::limits::{self, Used};
use super::{Begun, Claim, Store, StoreError, notify};
use crate::operation::{Command, Event, Operation};
use crate::record;

/// What nobody waits for is written down this soon, together with what comes meanwhile.
const UNHURRIED: StdDuration = StdDuration::from_secs(1);

impl Failure for StoreError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Database(error) => refused(error),
            Self::Corrupt { .. }
            | Self::Illegal(_)
            | Self::CodeInUse
            | Self::Full(_)
            | Self::SwitchedOff(_) => true,
            Self::Unclear | Self::Stopped => false,
        }
    }

    fn unclear() -> Self {
        Self::Unclear
    }

    fn stopped() -> Self {
        Self::Stopped
    }
}

/// What is written of one operation.
#[derive(Debug)]
pub enum Entry {
    /// It is begun, and taken up in the same breath.
    Begin {
        /// As it was taken up.
        taken: Box<Operation>,
        /// What is to be done first.
        commands: Vec<Command>,
        /// What happened.
        told: Vec<AuditEvent>,
        /// What it uses up.
        uses: Vec<(Place, Uuid)>,
        /// Until when it is held.
        until: OffsetDateTime,
    },
    /// What became of its last command, under its claim; and what is due now is taken up.
    GoOn {
        /// The claim.
        claim: Box<Claim>,
        /// What happened.
        event: Event,
        /// When.
        now: OffsetDateTime,
        /// How long it is held, if something is due.
        lease: Duration,
    },
}

/// What came of it: the claim as it is now. `None` where its visit of its step has an operation already or its person
/// looks at another prompt; or where somebody else holds it by now. Then nothing was written.
pub type Found = Option<Claim>;

impl Ledger for Store {
    type Entry = Entry;
    type Found = Found;
    type Error = StoreError;

    async fn commit(&self, entries: &[Entry]) -> Result<Vec<Found>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let mut windows = self.open(&mut tx, entries).await?;
        let mut found = Vec::with_capacity(entries.len());
        let mut told = Vec::new();
        for entry in entries {
            found.push(match entry {
                Entry::Begin {
                    taken,
                    commands,
                    told: begun,
                    uses,
                    until,
                } => {
                    let mut taken_from = windows.clone();
                    limits::take(&mut taken_from, uses, taken.facts.asked_at)?;
                    let inserted = self.insert(&mut tx, taken, Some(*until)).await?;
                    if inserted {
                        windows = taken_from;
                    }
                    told.extend(inserted.then(|| begun.clone()).into_iter().flatten());
                    inserted.then(|| Claim::first(taken.as_ref().clone(), commands.clone()))
                }
                Entry::GoOn {
                    claim,
                    event,
                    now,
                    lease,
                } => {
                    let hold = Hold::WhileDue { until: *now + *lease };
                    self.take_on(&mut tx, (claim, event, *now), hold, &mut told)
                        .await?
                }
            });
        }
        // INVARIANT: no push that another entry counted by itself is overwritten: a person has one prompt at a time, so that
        // of two entries about the same phone one does not push.
        self.keep(&mut tx, &windows).await?;
        self.audit.record_all(&mut tx, &told).await?;
        tx.commit().await?;
        Ok(found)
    }
}

impl Store {
    /// Hold what is used up by whatever is begun, before any of its rows; and see whether anything may be.
    async fn open(&self, connection: &mut PgConnection, entries: &[Entry]) -> Result<Windows, StoreError> {
        let begun = |entry: &Entry| match entry {
            Entry::Begin { uses, .. } => Some(uses.clone()),
            Entry::GoOn { .. } => None,
        };
        let begun: Vec<Vec<Used>> = entries.iter().filter_map(begun).collect();
        if begun.is_empty() {
            return Ok(Windows::default());
        }
        let windows = self.hold(connection, &begun.concat()).await?;
        self.may_ask(connection).await?;
        Ok(windows)
    }

    async fn take_on(
        &self,
        connection: &mut PgConnection,
        (claim, event, now): (&Claim, &Event, OffsetDateTime),
        hold: Hold,
        told: &mut Vec<AuditEvent>,
    ) -> Result<Found, StoreError> {
        let Some(operation) = self.lock_held(connection, claim).await? else {
            return Ok(None);
        };
        let (operation, commands, events) = self
            .advance(connection, operation, event.clone(), now, hold)
            .await?;
        told.extend(events);
        if commands.is_empty() && operation.state.wake_at().is_some() {
            // Whoever waits for the next one thinks that this one is held.
            notify(connection).await?;
        }
        Ok(Some(claim.left_with(operation, &commands)))
    }

    /// What begins an operation as ours.
    fn begin_ours(
        &self,
        operation: &Operation,
        now: OffsetDateTime,
        lease: Duration,
    ) -> Result<Entry, StoreError> {
        let (taken, commands, notes) = operation.clone().apply(Event::Woken, PermitId::fresh(), now)?;
        let mut told = record::begun(operation);
        told.extend(record::noted(operation, &taken, &notes));
        Ok(Entry::Begin {
            uses: limits::uses(&self.tripwires, &taken, &commands),
            taken: Box::new(taken),
            commands,
            told,
            until: now + lease,
        })
    }
}

/// Where runners hand in what happened. Cheap to clone.
#[derive(Clone)]
pub struct Committer {
    store: Store,
    line: Line<Store>,
    /// Of operations with which nothing is left to do.
    ends: Line<Store>,
}

impl Committer {
    /// Over `store`.
    pub fn start(store: &Store) -> Self {
        Self {
            store: store.clone(),
            line: Line::start(store),
            ends: Line::patient(store, UNHURRIED),
        }
    }

    /// Begin an operation and take it up in the same breath, for `lease`, so that nobody needs to claim it. Where it is
    /// known, or must wait for another one's prompt, as [`Store::begin`].
    pub async fn begin_ours(
        &self,
        operation: &Operation,
        now: OffsetDateTime,
        lease: Duration,
    ) -> Result<Begun, StoreError> {
        match self
            .line
            .commit(self.store.begin_ours(operation, now, lease)?)
            .await?
        {
            Some(claim) => Ok(Begun::Ours(claim)),
            None => Ok(Begun::Stored(self.store.begin(operation).await?)),
        }
    }

    /// Tell what became of the last command and take up what is due now, under the same claim. Without commands in the
    /// answer nothing is, and the operation was let go. `None` as for [`Store::report`].
    pub async fn go_on(
        &self,
        claim: &Claim,
        event: Event,
        now: OffsetDateTime,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        // Told again, orchestration would only say so: nobody waits for this.
        let line = match event {
            Event::SignalTaken => &self.ends,
            _ => &self.line,
        };
        let claim = Box::new(claim.left_with(claim.operation.clone(), &[]));
        line.commit(Entry::GoOn {
            claim,
            event,
            now,
            lease,
        })
        .await
    }
}
