//! Keeps the table small in which news is told apart from what was told before, and what people wrote no longer than
//! is needed.

use std::time::Duration;

use chassis::Did;

use crate::store::{Store, StoreError};

/// Events moved in one transaction: short enough that nobody notices.
const BATCH: u16 = 1000;

/// Move a batch, and forget the words of as many decisions.
pub(crate) async fn step(store: &Store, age: Duration) -> Result<Did, StoreError> {
    let moved = store.archive(age, i64::from(BATCH)).await?;
    if moved > 0 {
        tracing::info!(events = moved, "archived what was told long ago");
        metrics::counter!("firstline_ticket_events_archived_total").increment(moved);
    }
    let forgotten = store.forget(age, i64::from(BATCH)).await?;
    if forgotten > 0 {
        tracing::info!(decisions = forgotten, "forgot what people wrote long ago");
        metrics::counter!("firstline_decision_texts_erased_total").increment(forgotten);
    }
    Ok(if moved.max(forgotten) < u64::from(BATCH) {
        Did::Nothing
    } else {
        Did::Work
    })
}
