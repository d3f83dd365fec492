//! Waiting for a state, with a deadline.

use std::time::Duration;

/// How often a test looks: often beside what people and services take, seldom beside what a look costs.
const BEAT: Duration = Duration::from_millis(20);

/// Look until there is something to see; `None` where there is nothing within `patience`.
pub async fn seen_within<T>(patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let looking = async {
        let mut beat = tokio::time::interval(BEAT);
        loop {
            beat.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    tokio::time::timeout(patience, looking).await.ok()
}

/// Wait half a minute until `what` holds, and say what was waited for where it never does.
///
/// # Panics
/// It never does.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let seen = seen_within(Duration::from_secs(30), async || holds().await.then_some(())).await;
    assert!(seen.is_some(), "never: {what}");
}
