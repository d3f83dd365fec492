//! A rolling window of five minutes: a vendor's limit, kept on our side so as not to run into theirs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::window::{RollingWindow, Taken};

/// In which HaloPSA counts requests (contract, section 2.2).
pub const LENGTH: Duration = Duration::from_mins(5);

/// The window of this process, and the one that it shares with others.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    sent: Mutex<VecDeque<Instant>>,
    shared: Option<Arc<dyn RollingWindow>>,
}

impl Window {
    pub(crate) fn new(limit: u32, shared: Option<Arc<dyn RollingWindow>>) -> Self {
        Self {
            limit: limit as usize,
            sent: Mutex::default(),
            shared,
        }
    }

    /// Count one call; or, where the window is full, how long until it is not. While the shared window is away each process
    /// keeps the limit by itself.
    pub(crate) async fn take(&self) -> Option<Duration> {
        let shared = match &self.shared {
            Some(shared) => shared.take().await,
            None => None,
        };
        match shared {
            Some(Taken::Counted) => {
                self.count(Instant::now());
                None
            }
            Some(Taken::Full { wait }) => Some(wait),
            None => self.take_alone(Instant::now()),
        }
    }

    fn take_alone(&self, now: Instant) -> Option<Duration> {
        let sent = self.forget(now);
        match sent.front() {
            Some(first) if sent.len() >= self.limit => {
                Some(LENGTH.saturating_sub(now.duration_since(*first)))
            }
            _ => {
                drop(sent);
                self.count(now);
                None
            }
        }
    }

    /// What was sent before is known should the shared window go away.
    fn count(&self, now: Instant) {
        self.forget(now).push_back(now);
    }

    fn forget(&self, now: Instant) -> std::sync::MutexGuard<'_, VecDeque<Instant>> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        while sent
            .front()
            .is_some_and(|first| now.duration_since(*first) >= LENGTH)
        {
            sent.pop_front();
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Counts what the other replicas sent as well.
    #[derive(Debug)]
    struct Crowded(AtomicBool);

    impl RollingWindow for Crowded {
        fn take(&self) -> Pin<Box<dyn Future<Output = Option<Taken>> + Send + '_>> {
            let wait = Duration::from_secs(40);
            let away = self.0.load(Ordering::Relaxed);
            Box::pin(std::future::ready((!away).then_some(Taken::Full { wait })))
        }
    }

    #[tokio::test]
    async fn what_others_sent_counts_and_without_them_each_counts_for_itself() {
        let crowded = Arc::new(Crowded(AtomicBool::new(false)));
        let shared: Arc<dyn RollingWindow> = crowded.clone();
        let window = Window::new(1, Some(shared));
        assert_eq!(window.take().await, Some(Duration::from_secs(40)));
        crowded.0.store(true, Ordering::Relaxed);
        assert_eq!(window.take().await, None, "none of its own yet");
        assert!(window.take().await.is_some_and(|wait| wait > LENGTH / 2));
    }

    #[test]
    fn the_window_rolls() {
        let (window, begun) = (Window::new(2, None), Instant::now());
        let half = LENGTH / 2;
        assert_eq!(window.take_alone(begun), None);
        assert_eq!(window.take_alone(begun + half), None);
        assert_eq!(window.take_alone(begun + half), Some(half));
        assert_eq!(window.take_alone(begun + LENGTH), None);
        assert_eq!(window.take_alone(begun + LENGTH), Some(half));
    }
}
