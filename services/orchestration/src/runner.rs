//! The runner: claims executions that are due, drives as many at once as there are places, and keeps its lease.
//!
//! A waiting execution costs a row and nothing here. Any number of runners may work on one database.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chassis::{Did, Shell, Wake};
use common::clock;
use common::{ExecutionId, Signal};
use playbook_lang::{Playbook, Rules, State};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drive::{Answered, Driver, Left};
use crate::store::{
    self, Arrival, Claimed, NewExecution, Presence, RunnerId, SignalRefused, Store, StoreError,
};

/// Executions claimed in one statement: enough for a burst, few enough for the others to get some.
const BATCH: usize = 64;
/// At shutdown calls under way get this long to answer; then the next runner asks for the answer.
const LAST_CALLS: Duration = Duration::from_secs(2);
/// Whoever is gone is noticed this soon.
const LOOK_AFTER_OTHERS: Duration = Duration::from_secs(1);
/// Of executions that we are about to take: no claim has this fence.
const UNCLAIMED: i64 = 0;
/// Due now, and in somebody else's hands: do not look again at once.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// Claims and drives.
pub(crate) struct Runner {
    store: Store,
    driver: Driver,
    lease: Duration,
    places: Arc<Semaphore>,
    /// Who we are, once registered. Held while claiming and while saying what we drive, so that neither sees the other
    /// half done.
    identity: tokio::sync::Mutex<Option<Presence>>,
    /// The same, for whoever must not wait.
    known_as: Mutex<Option<RunnerId>>,
    /// What our tasks drive, under which fence.
    driven: Arc<Mutex<HashMap<ExecutionId, i64>>>,
    drives: TaskTracker,
    stopping: CancellationToken,
    /// Wakes our own worker, once there is one.
    worker: Arc<OnceLock<Wake>>,
}

impl Runner {
    /// `places` executions at once; a lease of `lease`.
    pub(crate) fn new(shell: &Shell, driver: Driver, places: usize, lease: Duration) -> Self {
        Self {
            store: driver.store.clone(),
            driver,
            lease,
            places: Arc::new(Semaphore::new(places)),
            identity: tokio::sync::Mutex::default(),
            known_as: Mutex::default(),
            driven: Arc::default(),
            drives: TaskTracker::new(),
            stopping: shell.stopping().clone(),
            worker: Arc::default(),
        }
    }

    /// What the house lays down for the machine.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.driver.rules)
    }

    /// By this it is woken when an execution that began to wait is due.
    pub(crate) fn woken_by(&self, wake: Wake) {
        let _ = self.worker.set(wake);
    }

    /// Claim what is due, as far as there are places, and begin to drive it.
    pub(crate) async fn step(&self) -> Result<Did, StoreError> {
        let first = Arc::clone(&self.places).acquire_owned();
        let Some(Ok(first)) = self.stopping.run_until_cancelled(first).await else {
            return Ok(Did::Nothing);
        };
        let mut places = vec![first];
        while places.len() < BATCH
            && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
        {
            places.push(place);
        }
        let wanted = places.len();
        let Some(claimed) = self.claim(places).await? else {
            return Ok(Did::Work);
        };
        if claimed == wanted {
            return Ok(Did::Work);
        }
        let next = self.store.next_due().await?;
        Ok(next.map_or(Did::Nothing, |wait| Did::NothingUntil(wait.max(SHORTEST_WAIT))))
    }

    /// Claim one execution for each of `places` at most: how many. `None`: we had been declared dead, and are somebody
    /// else from now on.
    async fn claim(&self, places: Vec<OwnedSemaphorePermit>) -> Result<Option<usize>, StoreError> {
        let mut identity = self.identity.lock().await;
        let runner = match &*identity {
            Some(presence) => presence.runner,
            None => identity.insert(self.store.register(self.lease).await?).runner,
        };
        *lock(&self.known_as) = Some(runner);
        let most = i64::try_from(places.len()).unwrap_or(i64::MAX);
        let claimed = match self.store.claim_due(runner, most).await {
            Err(StoreError::Database(error)) if declared_dead(&error) => {
                tracing::warn!("our lease ran out and others have taken over; registering anew");
                *identity = None;
                *lock(&self.known_as) = None;
                return Ok(None);
            }
            claimed => claimed?,
        };
        let count = claimed.len();
        for (execution, place) in claimed.into_iter().zip(places) {
            let driven = self.driven(execution.id, execution.fence);
            self.drive(execution, place, driven);
        }
        Ok(Some(count))
    }

    /// Accept an execution, and begin it at once where there is a place for it; else it waits for one in the database.
    /// `false`: its decision or its ticket has an execution already.
    pub(crate) async fn begin(
        &self,
        mut new: NewExecution,
        playbook: &Playbook,
        state: State,
    ) -> Result<bool, StoreError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let known_as = *lock(&self.known_as);
        let (Ok(place), Some(runner)) = (place, known_as) else {
            return self.queue(new).await;
        };
        if self.stopping.is_cancelled() {
            return self.queue(new).await;
        }
        let claimed = Claimed::new(&new, self.store.tenant(), runner);
        let Some(begun) = self.driver.begin(&claimed, playbook, state) else {
            return self.queue(new).await;
        };
        // Before it is stored: a heartbeat lets go of what we hold and do not drive.
        let driven = self.driven(claimed.id, claimed.fence);
        let claimed = claimed.after(&begun);
        let queued = new.clone();
        new.begun = Some(begun);
        match self
            .driver
            .committer
            .commit(store::Entry::New(Box::new(new)))
            .await
        {
            Ok(Some(written)) => {
                if written.kept {
                    self.drive(claimed, place, driven);
                } else if let Some(worker) = self.worker.get() {
                    // A switch is off: whoever claims it says so on the ticket.
                    worker.wake();
                }
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(StoreError::Database(error)) if declared_dead(&error) => self.queue(queued).await,
            Err(error) => Err(error),
        }
    }

    /// Accept an execution for whoever claims it. `false` as above.
    pub(crate) async fn queue(&self, new: NewExecution) -> Result<bool, StoreError> {
        let committed = self
            .driver
            .committer
            .commit(store::Entry::New(Box::new(new)))
            .await?;
        Ok(committed.is_some())
    }

    /// Take a signal, and go on with its execution at once where there is a place for it and nobody drives it.
    pub(crate) async fn hear(
        &self,
        execution: ExecutionId,
        signal: &Signal,
        sender: &str,
    ) -> Result<(), SignalRefused> {
        let now = clock::now();
        let store = &self.store;
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let known_as = lock(&self.known_as).filter(|_| !self.stopping.is_cancelled());
        // Before it is ours: a heartbeat lets go of what we hold and do not drive.
        let about_to = self.about_to_drive(execution);
        let (Some(place), Some(runner), Some(about_to)) = (place, known_as, about_to) else {
            store.hear(execution, signal, sender, now, None).await?;
            return Ok(());
        };
        if let Some(claimed) = store.waiting(execution, signal, sender, runner).await? {
            let arrival = Arrival {
                signal: signal.clone(),
                sender: sender.to_owned(),
                at: now,
                applied: false,
            };
            match self.driver.answer(claimed, arrival).await {
                Ok(Answered::Taken(claimed)) => {
                    let driven = self.driven(claimed.id, claimed.fence);
                    self.drive(*claimed, place, driven);
                    return Ok(());
                }
                Ok(Answered::LetGo(waits)) => {
                    if let (Some(wait), Some(worker)) = (waits, self.worker.get()) {
                        worker.wake_in(wait);
                    }
                    return Ok(());
                }
                Ok(Answered::NotTaken) => {}
                Err(StoreError::Database(error)) if declared_dead(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let heard = store.hear(execution, signal, sender, now, Some(runner)).await;
        let (_, claimed) = match heard {
            Err(SignalRefused::Store(StoreError::Database(error))) if declared_dead(&error) => {
                store.hear(execution, signal, sender, now, None).await?
            }
            heard => heard?,
        };
        if let Some(claimed) = claimed {
            let driven = self.driven(claimed.id, claimed.fence);
            self.drive(claimed, place, driven);
        }
        drop(about_to);
        Ok(())
    }

    /// `None` where we drive it already.
    fn about_to_drive(&self, id: ExecutionId) -> Option<Done> {
        let mut driven = lock(&self.driven);
        let Entry::Vacant(vacant) = driven.entry(id) else {
            return None;
        };
        vacant.insert(UNCLAIMED);
        Some(Done {
            driven: Arc::clone(&self.driven),
            id,
            fence: UNCLAIMED,
        })
    }

    /// We drive it, until the answer is dropped; also when the drive panics: what nobody drives is let go at the next
    /// heartbeat.
    fn driven(&self, id: ExecutionId, fence: i64) -> Done {
        lock(&self.driven).insert(id, fence);
        let driven = Arc::clone(&self.driven);
        Done { driven, id, fence }
    }

    fn drive(&self, claimed: Claimed, place: OwnedSemaphorePermit, driven: Done) {
        let (driver, worker) = (self.driver.clone(), self.worker.clone());
        self.drives.spawn(async move {
            let left = driver.drive(claimed).await;
            drop((driven, place));
            // It may be due sooner than what our own worker waits for; to look at once would cost two queries.
            if let Left::Waiting(wait) = left
                && let Some(worker) = worker.get()
            {
                worker.wake_in(wait);
            }
        });
    }

    /// Keep the lease until shutdown; then give everything back at once.
    pub(crate) async fn live(&self) {
        let living = async { tokio::join!(self.beat(), self.look_after_others()) };
        Box::pin(self.stopping.run_until_cancelled(living)).await;
        Box::pin(self.leave()).await;
    }

    async fn beat(&self) {
        let mut beat = tokio::time::interval(self.lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            // One that takes longer than the lease says nothing any more; a wire that died in the middle of it says it late.
            match tokio::time::timeout(self.lease, self.heartbeat()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %chassis::chain(&error), "could not renew the lease; will be tried again");
                }
                Err(_) => tracing::warn!("the lease was not renewed in time; will be tried again"),
            }
        }
    }

    /// Take over from whoever is gone. A death sends no notification, so somebody must look.
    async fn look_after_others(&self) {
        let mut look = tokio::time::interval(LOOK_AFTER_OTHERS);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            match self.store.take_over().await {
                Ok(0) => {}
                Ok(runners) => tracing::warn!(runners, "took over from runners that are gone"),
                Err(error) => {
                    tracing::warn!(error = %chassis::chain(&error), "could not look after other runners");
                }
            }
        }
    }

    async fn heartbeat(&self) -> Result<(), StoreError> {
        let mut identity = self.identity.lock().await;
        let Some(presence) = &mut *identity else {
            return Ok(());
        };
        let driven = async || {
            let driven: HashSet<ExecutionId> = lock(&self.driven).keys().copied().collect();
            #[expect(clippy::cast_precision_loss, reason = "a gauge takes floats")]
            metrics::gauge!("firstline_executions_in_hand").set(driven.len() as f64);
            driven
        };
        if !self.store.heartbeat(presence, driven, self.lease).await? {
            *identity = None;
            *lock(&self.known_as) = None;
        }
        Ok(())
    }

    async fn leave(&self) {
        *lock(&self.known_as) = None;
        self.drives.close();
        if tokio::time::timeout(LAST_CALLS, self.drives.wait())
            .await
            .is_err()
        {
            self.driver.abandon.cancel();
            // What still runs is writing to the database; losing that write loses nothing.
            let _ = tokio::time::timeout(LAST_CALLS, self.drives.wait()).await;
        }
        if let Some(presence) = self.identity.lock().await.take()
            && let Err(error) = self.store.leave(presence.runner).await
        {
            tracing::warn!(error = %chassis::chain(&error), "could not give the lease back; it runs out by itself");
        }
    }
}

/// Takes an execution off the list of what is driven, unless it was claimed again meanwhile.
struct Done {
    driven: Arc<Mutex<HashMap<ExecutionId, i64>>>,
    id: ExecutionId,
    fence: i64,
}

impl Drop for Done {
    fn drop(&mut self) {
        let mut driven = lock(&self.driven);
        if driven.get(&self.id) == Some(&self.fence) {
            driven.remove(&self.id);
        }
    }
}

fn lock<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Our row among the runners is gone.
fn declared_dead(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
}
