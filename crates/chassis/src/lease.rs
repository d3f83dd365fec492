//! Working under a lease in the database: as long as it is renewed, and not a moment longer.
//!
//! Whoever goes on after their lease acts beside whoever took it over, and an outside system that knows no fence does what
//! both say. So the clock that counts is ours, from before the lease was asked for: it ends before the database's does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::chain;

/// Until when a lease is certainly ours.
#[derive(Debug)]
pub struct Held {
    length: Duration,
    until: Mutex<Instant>,
}

impl Held {
    /// A lease of `length` that was asked for at `asked`, and given since. The last tenth of it is left alone: what was
    /// just sent needs a moment to arrive before another one looks.
    pub fn since(asked: Instant, length: Duration) -> Self {
        let length = length * 9 / 10;
        Self {
            length,
            until: Mutex::new(asked + length),
        }
    }

    /// From when on nothing is done under it.
    pub fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renewed(&self, asked: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = asked + self.length;
    }

    /// Do `work`, renewing the lease by `renew` meanwhile. `None`: it is lost (`renew` says `false`), or ran out because
    /// nobody could renew it; `work` is broken off where it stands.
    pub async fn during<T, E, R>(&self, work: impl Future<Output = T>, renew: impl Fn() -> R) -> Option<T>
    where
        R: Future<Output = Result<bool, E>>,
        E: std::error::Error + 'static,
    {
        // It may have been long in coming, and nothing may be begun under one that is over.
        let third = self.length / 3;
        if self.until() < Instant::now() + 2 * third {
            let kept = self.renew_once(renew(), Instant::now() + third).await;
            if kept != Ok(true) {
                return None;
            }
        }
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.keep(renew) => None,
        }
    }

    /// Renew whenever a third of it is over; ends once it is no longer ours.
    async fn keep<E, R>(&self, renew: impl Fn() -> R)
    where
        R: Future<Output = Result<bool, E>>,
        E: std::error::Error + 'static,
    {
        loop {
            sleep_until(self.until() - 2 * self.length / 3).await;
            // A connection that hangs must not use up what is left.
            let enough = self.until().min(Instant::now() + self.length / 3);
            match self.renew_once(renew(), enough).await {
                Ok(true) => continue,
                Ok(false) => break,
                Err(error) => tracing::warn!(error, "could not renew a lease"),
            }
            sleep_until(self.until().min(Instant::now() + self.length / 10)).await;
            if Instant::now() >= self.until() {
                break;
            }
        }
        tracing::warn!("a lease is lost, so the work is broken off");
    }

    async fn renew_once<E>(
        &self,
        renewal: impl Future<Output = Result<bool, E>>,
        enough: Instant,
    ) -> Result<bool, String>
    where
        E: std::error::Error + 'static,
    {
        let asked = Instant::now();
        match timeout_at(enough, renewal).await {
            Ok(Ok(kept)) => {
                if kept {
                    self.renewed(asked);
                }
                Ok(kept)
            }
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const LENGTH: Duration = Duration::from_millis(600);

    fn held() -> Held {
        Held::since(Instant::now(), LENGTH)
    }

    #[tokio::test]
    async fn work_of_any_length_is_done_while_the_lease_is_renewed() {
        let (renewals, enough) = (AtomicU32::new(0), Notify::new());
        let renew = || async {
            if renewals.fetch_add(1, Ordering::Relaxed) == 9 {
                enough.notify_one();
            }
            Ok::<_, Infallible>(true)
        };
        let held = held();
        let first = held.until();
        assert_eq!(held.during(enough.notified(), renew).await, Some(()));
        assert!(
            held.until() >= first + LENGTH,
            "it was ours for longer than one lease"
        );
    }

    #[tokio::test]
    async fn under_a_lease_that_was_over_when_it_came_nothing_is_begun_before_it_is_renewed() {
        let begun = AtomicU32::new(0);
        let begin = || async { begun.fetch_add(1, Ordering::Relaxed) };
        let over = || Held::since(Instant::now() - 2 * LENGTH, LENGTH);
        let lost = over();
        let lost = lost.during(begin(), || async { Ok::<_, Infallible>(false) });
        assert_eq!(lost.await, None);
        let away = over();
        let away = away.during(begin(), || async {
            Err::<bool, _>(std::io::Error::other("away"))
        });
        assert_eq!(away.await, None);
        assert_eq!(begun.load(Ordering::Relaxed), 0);
        let kept = over();
        let kept = kept.during(begin(), || async { Ok::<_, Infallible>(true) });
        assert_eq!(kept.await, Some(0));
    }

    #[tokio::test]
    async fn work_is_broken_off_once_somebody_else_has_the_lease() {
        let held = held();
        let lost = held.during(pending::<()>(), || async { Ok::<_, Infallible>(false) });
        assert_eq!(lost.await, None);
        assert!(
            Instant::now() < held.until(),
            "at once, and not when it would have run out"
        );
    }

    #[tokio::test]
    async fn work_is_broken_off_where_the_database_fails_or_does_not_answer() {
        let failed = held();
        let tries = AtomicU32::new(0);
        let renew = || async {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<bool, _>(std::io::Error::other("away"))
        };
        assert_eq!(failed.during(pending::<()>(), renew).await, None);
        assert!(tries.into_inner() > 1, "it is tried again while there is time");
        assert!(Instant::now() >= failed.until());

        let silent = held();
        let renew = || pending::<Result<bool, Infallible>>();
        assert_eq!(silent.during(pending::<()>(), renew).await, None);
        assert!(Instant::now() >= silent.until());
    }

    #[tokio::test]
    async fn a_failure_that_passes_breaks_nothing_off() {
        let (tries, enough) = (AtomicU32::new(0), Notify::new());
        let renew = || async {
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 => return Err(std::io::Error::other("away")),
                5 => enough.notify_one(),
                _ => {}
            }
            Ok(true)
        };
        assert_eq!(held().during(enough.notified(), renew).await, Some(()));
    }
}
