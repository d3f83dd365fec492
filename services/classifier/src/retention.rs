//! Keeps the table small in which news is told apart from what was told before.

use std::time::Duration;

use chassis::Did;

use crate::store::{Store, StoreError};

/// Events moved in one transaction: short enough that nobody notices.
const BATCH: u16 = 1000;

/// Move a batch.
pub(crate) async fn step(store: &Store, age: Duration) -> Result<Did, StoreError> {
    let moved = store.archive(age, i64::from(BATCH)).await?;
    if moved > 0 {
        tracing::info!(events = moved, "archived what was told long ago");
        metrics::counter!("firstline_ticket_events_archived_total").increment(moved);
    }
    Ok(if moved < u64::from(BATCH) {
        Did::Nothing
    } else {
        Did::Work
    })
}
