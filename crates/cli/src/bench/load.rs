//! Two ways to make a load: so many at a time, or so many a second.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// After a failure, so that one that comes at once does not keep the machine busy.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// A clock that waits for enough of them does not wait for longer.
const RUNS_ON: Duration = Duration::from_mins(1);
/// Failures that are told; they are mostly the same.
const TOLD: usize = 3;

/// What became of a load.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// How long each took that ended while the clock ran.
    pub(super) took: Vec<Duration>,
    /// All that ended well, also before the clock and after.
    pub(super) all: usize,
    pub(super) failed: usize,
    /// Some of the reasons.
    pub(super) reasons: Vec<String>,
    /// How long the clock ran.
    pub(super) clock: Duration,
}

impl Outcomes {
    /// Ended well, for each second that the clock ran.
    pub(super) fn per_second(&self) -> f64 {
        f64::from(super::figures::count(self.took.len())) / self.clock.as_secs_f64()
    }

    fn note(&mut self, clock: &Clock, ended: &Result<Instant, anyhow::Error>, began: Instant) {
        match ended {
            Ok(at) => {
                self.all += 1;
                if clock.counts(*at) {
                    self.took.push(at.saturating_duration_since(began));
                }
            }
            Err(error) => {
                self.failed += 1;
                if self.reasons.len() < TOLD {
                    self.reasons.push(format!("{error:#}"));
                }
            }
        }
    }

    fn with(mut self, other: Self) -> Self {
        self.took.extend(other.took);
        self.all += other.all;
        self.failed += other.failed;
        self.reasons.extend(other.reasons);
        self.reasons.truncate(TOLD);
        self
    }
}

/// When it is measured: after the load has warmed up, for a while, and until enough have ended to tell anything.
#[derive(Debug, Clone)]
pub(super) struct Clock(Arc<Face>);

#[derive(Debug)]
struct Face {
    from: Instant,
    to: Instant,
    /// It runs on until so many have ended, within reason.
    least: usize,
    ended: AtomicUsize,
    stopped: OnceLock<Instant>,
}

impl Clock {
    /// For `window`, after `warm_up`, and until at least `least` have ended.
    pub(super) fn new(warm_up: Duration, window: Duration, least: u32) -> Self {
        let from = Instant::now() + warm_up;
        Self(Arc::new(Face {
            from,
            to: from + window,
            least: usize::try_from(least).unwrap_or(usize::MAX),
            ended: AtomicUsize::new(0),
            stopped: OnceLock::new(),
        }))
    }

    /// Whether one that ends now counts among the measured; looks at the clock once more afterwards.
    fn counts(&self, at: Instant) -> bool {
        let Face {
            from,
            to,
            least,
            ended,
            stopped,
        } = &*self.0;
        if at < *from || stopped.get().is_some() {
            return false;
        }
        let enough = ended.fetch_add(1, Ordering::Relaxed) + 1 >= *least;
        if at >= *to && (enough || at >= *to + RUNS_ON) {
            // Somebody else may just have done so.
            let _ = stopped.set(at);
        }
        true
    }

    fn stopped(&self) -> bool {
        let Face { to, stopped, .. } = &*self.0;
        stopped.get().is_some() || Instant::now() >= *to + RUNS_ON
    }

    fn ran(&self) -> Duration {
        let Face {
            from, to, stopped, ..
        } = &*self.0;
        stopped.get().unwrap_or(to).saturating_duration_since(*from)
    }
}

/// `at_once` at a time: whoever is done begins another one, until the clock stops. `one` answers when it ended.
pub(super) async fn closed<O, F>(at_once: u32, clock: Clock, one: O) -> Outcomes
where
    O: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = anyhow::Result<Instant>> + Send,
{
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let (one, clock) = (one.clone(), clock.clone());
        workers.spawn(async move {
            let mut outcomes = Outcomes::default();
            while !clock.stopped() {
                let began = Instant::now();
                let ended = one().await;
                outcomes.note(&clock, &ended, began);
                if ended.is_err() {
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
            outcomes
        });
    }
    sum(&clock, workers.join_all().await)
}

/// `per_second` of them for `window`, however long each takes. What it took is counted from the moment when it was due, so
/// that a machine that falls behind cannot hide it.
pub(super) async fn open<O, F>(per_second: f64, window: Duration, one: O) -> Outcomes
where
    O: Fn() -> F,
    F: Future<Output = anyhow::Result<Instant>> + Send + 'static,
{
    let clock = Clock::new(Duration::ZERO, window, u32::MAX);
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut begun = JoinSet::new();
    loop {
        let due = ticks.tick().await.into_std();
        if due >= clock.0.to {
            break;
        }
        let (one, clock) = (one(), clock.clone());
        begun.spawn(async move {
            let mut outcomes = Outcomes::default();
            outcomes.note(&clock, &one.await, due);
            outcomes
        });
    }
    let last = begun.join_all().await;
    // All that were begun are measured, so the time in which they ended is what counts.
    let _ = clock.0.stopped.set(Instant::now());
    sum(&clock, last)
}

fn sum(clock: &Clock, parts: Vec<Outcomes>) -> Outcomes {
    let sum = parts.into_iter().fold(Outcomes::default(), Outcomes::with);
    Outcomes {
        clock: clock.ran(),
        ..sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ends_before_the_clock_runs_counts_among_all_and_not_among_the_measured() {
        let clock = Clock::new(Duration::from_millis(50), Duration::from_millis(10), 1);
        let outcomes = closed(2, clock, || async {
            tokio::task::yield_now().await;
            Ok(Instant::now())
        })
        .await;
        assert!(outcomes.all > outcomes.took.len(), "{outcomes:?}");
        assert!(!outcomes.took.is_empty(), "{outcomes:?}");
    }

    #[tokio::test]
    async fn the_clock_runs_on_until_enough_have_ended() {
        let clock = Clock::new(Duration::ZERO, Duration::ZERO, 3);
        let outcomes = closed(1, clock, || async { Ok(Instant::now()) }).await;
        assert_eq!(outcomes.took.len(), 3);
    }

    #[tokio::test]
    async fn an_open_load_keeps_its_rate_however_long_each_takes() {
        let end = Instant::now() + Duration::from_millis(250);
        let outcomes = open(100.0, Duration::from_millis(200), || async move {
            tokio::time::sleep_until(end.into()).await;
            anyhow::bail!("too late")
        })
        .await;
        assert_eq!((outcomes.failed, outcomes.reasons.len()), (20, TOLD));
    }
}
