//! Durable-queue workers: woken by NOTIFY, with a slow poll as the safety net; they survive an away database and stop
//! between two pieces of work.
//!
//! The queue is the service's own table: a step claims a row, does its work and answers whether there was any.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::observe::panic_text;
use crate::request_id;
use crate::shell::Shell;

/// First and longest wait after a failed step.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How long a step may take: longer than anything that is waited for outside. A wire to Postgres that dies without a word
/// can keep a transaction waiting for ever, which the kernel does not notice where nothing is left to send.
const PATIENCE: Duration = Duration::from_mins(30);

/// The same of a step that asks nobody but Postgres: well above what a statement may take (`statement_timeout`, 30 s).
pub const PATIENCE_WITH_POSTGRES: Duration = Duration::from_mins(1);

/// Of the spans around steps, which belong into log lines and not into traces.
pub(crate) const TARGET: &str = "chassis::worker";

/// Wakes a worker of this very process, without a round trip through the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wake {
    now: mpsc::Sender<()>,
    later: Arc<Later>,
}

impl Wake {
    /// There may be work. Says nothing to other replicas, which find it with their slow poll.
    pub fn wake(&self) {
        // A full channel already holds a wake-up.
        let _ = self.now.try_send(());
    }

    /// There may be work after this long.
    pub fn wake_in(&self, wait: Duration) {
        // So far away that there is no such time: never.
        if let Some(at) = Instant::now().checked_add(wait) {
            self.later.note(at);
        }
    }
}

/// The soonest time at which there may be work, until the worker knows it.
#[derive(Debug, Default)]
struct Later {
    at: Mutex<Option<Instant>>,
    noted: Notify,
}

impl Later {
    fn note(&self, at: Instant) {
        let mut soonest = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        *soonest = Some(soonest.map_or(at, |known| known.min(at)));
        self.noted.notify_one();
    }

    /// Wait until there is news, and take it.
    async fn news(&self) -> Option<Instant> {
        self.noted.notified().await;
        self.at.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// There was work; look again at once.
    Work,
    /// There was none.
    Nothing,
    /// There was none, and the next is due after this long.
    NothingUntil(Duration),
}

/// A worker about to be started; see [`Shell::worker`].
pub struct Worker {
    shell: Shell,
    name: &'static str,
    channel: &'static str,
    slow_poll: Duration,
    at_once: usize,
    patience: Duration,
}

impl Worker {
    pub(crate) fn new(shell: Shell, name: &'static str, channel: &'static str) -> Self {
        Self {
            shell,
            name,
            channel,
            slow_poll: Duration::from_secs(5),
            at_once: 1,
            patience: PATIENCE,
        }
    }

    /// Give a step up that takes longer than this (30 min): it is broken off where it stands, as by a crash, and repeated.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Look for work at least this often (5 s), should a NOTIFY get lost.
    pub fn slow_poll(mut self, every: Duration) -> Self {
        self.slow_poll = every;
        self
    }

    /// Work on up to this many pieces at the same time (1).
    pub fn at_once(mut self, pieces: usize) -> Self {
        self.at_once = pieces.max(1);
        self
    }

    /// Start it; [`Shell::serve`] waits for its last piece of work. `step` is called again and again: it claims one
    /// piece in its own short transaction, does it, and answers. Its errors are logged and repeated with backoff.
    pub fn spawn<F, Fut, E>(self, step: F) -> Wake
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Did, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (wake, woken) = mpsc::channel(1);
        let later = Arc::<Later>::default();
        let shell = self.shell.clone();
        shell.spawn(listen(shell.clone(), self.channel, wake.clone()));
        shell.spawn(self.run(step, woken, Arc::clone(&later)));
        Wake { now: wake, later }
    }

    async fn run<F, Fut, E>(self, step: F, mut woken: mpsc::Receiver<()>, later: Arc<Later>)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Did, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let stopping = self.shell.stopping().clone();
        let mut steps = JoinSet::new();
        let mut pace = Pace::new(self.slow_poll);
        loop {
            if pace.wanted > 0 && steps.len() < self.at_once {
                pace.wanted -= 1;
                steps.spawn(self.attempt(step()));
                continue;
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                Some(done) = steps.join_next() => pace.note(done.unwrap_or(Attempt::Failed)),
                Some(()) = woken.recv() => pace.want(),
                at = later.news() => pace.look_by(at),
                () = tokio::time::sleep_until(pace.look_at) => pace.overdue(),
            }
        }
        // What is under way finishes; a claim without an end would only wait for its lease.
        while steps.join_next().await.is_some() {}
    }

    /// One step, with a request id of its own; never panics.
    fn attempt<Fut, E>(&self, step: Fut) -> impl Future<Output = Attempt> + Send + 'static
    where
        Fut: Future<Output = Result<Did, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (service, worker) = (self.shell.service().name(), self.name);
        let work = request_id::scope(request_id::fresh(), step);
        let work = tokio::time::timeout(self.patience, AssertUnwindSafe(work).catch_unwind());
        // Tells log lines of several services in one process apart.
        let span = tracing::info_span!(target: TARGET, "worker", service, worker);
        let attempt = async move {
            let attempt = match work.await {
                Ok(Ok(Ok(did))) => Attempt::Did(did),
                Ok(Ok(Err(error))) => {
                    tracing::warn!(error = %crate::chain(&error), "a step failed and will be repeated");
                    Attempt::Failed
                }
                Err(_) => {
                    tracing::error!("a step took too long, was broken off and will be repeated");
                    Attempt::Failed
                }
                Ok(Err(panic)) => {
                    let panic = panic_text(panic.as_ref());
                    tracing::error!(panic, "a step panicked and will be repeated");
                    Attempt::Failed
                }
            };
            let result = attempt.name();
            metrics::counter!("firstline_worker_steps_total", "service" => service, "worker" => worker, "result" => result)
                .increment(1);
            attempt
        };
        attempt.instrument(span)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Did(Did),
    Failed,
}

impl Attempt {
    fn name(self) -> &'static str {
        match self {
            Self::Did(Did::Work) => "work",
            Self::Did(Did::Nothing | Did::NothingUntil(_)) => "nothing",
            Self::Failed => "failed",
        }
    }
}

/// When to look next, and how many steps may begin now.
struct Pace {
    slow_poll: Duration,
    look_at: Instant,
    wanted: usize,
    backoff: Duration,
}

impl Pace {
    fn new(slow_poll: Duration) -> Self {
        Self {
            slow_poll,
            look_at: Instant::now() + slow_poll,
            wanted: 1,
            backoff: BACKOFF.0,
        }
    }

    fn want(&mut self) {
        // Two are enough: one for the news, one for news that came while a step was looking.
        self.wanted = (self.wanted + 1).min(2);
    }

    fn look_by(&mut self, at: Option<Instant>) {
        self.look_at = at.map_or(self.look_at, |at| self.look_at.min(at));
    }

    fn overdue(&mut self) {
        self.want();
        self.look_at = Instant::now() + self.slow_poll;
    }

    fn note(&mut self, attempt: Attempt) {
        match attempt {
            Attempt::Did(Did::Work) => {
                self.backoff = BACKOFF.0;
                // Where there was one piece there may be more: that is how a burst spreads over free places.
                self.wanted = 2;
            }
            Attempt::Did(Did::Nothing) => self.backoff = BACKOFF.0,
            Attempt::Did(Did::NothingUntil(wait)) => {
                self.backoff = BACKOFF.0;
                self.look_by(Instant::now().checked_add(wait));
            }
            Attempt::Failed => {
                self.look_at = self.look_at.min(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(BACKOFF.1);
            }
        }
    }
}

/// Turn notifications into wake-ups; after each (re)connection wake once, for what was missed meanwhile.
async fn listen(shell: Shell, channel: &'static str, wake: mpsc::Sender<()>) {
    let stopping = shell.stopping().clone();
    let listening = async {
        let mut wait = BACKOFF.0;
        loop {
            match listen_once(&shell, channel, &wake).await {
                Err(error) => {
                    tracing::debug!(service = shell.service().name(), channel, %error, "not listening; will try again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BACKOFF.1);
                }
                Ok(()) => wait = BACKOFF.0,
            }
        }
    };
    stopping.run_until_cancelled(listening).await;
}

/// Listen until the connection is lost.
async fn listen_once(shell: &Shell, channel: &str, wake: &mpsc::Sender<()>) -> Result<(), sqlx::Error> {
    let mut listener = shell.pool().listener().await?;
    listener.listen(channel).await?;
    loop {
        // A full channel already holds a wake-up.
        let _ = wake.try_send(());
        if listener.try_recv().await?.is_none() {
            return Ok(());
        }
    }
}
