//! Keeps the tables small in which executions are driven: what ended long ago is archived.

use std::time::Duration;

use chassis::Did;

use crate::store::{Store, StoreError};

/// Executions moved in one transaction: short enough that nobody notices.
const BATCH: u16 = 200;

/// Move a batch. The record of the audit stays where it is.
pub(crate) async fn step(store: &Store, age: Duration) -> Result<Did, StoreError> {
    let moved = store.archive(age, i64::from(BATCH)).await?;
    if moved > 0 {
        tracing::info!(executions = moved, "archived executions that ended long ago");
        metrics::counter!("firstline_executions_archived_total").increment(moved as u64);
    }
    Ok(if moved < usize::from(BATCH) {
        Did::Nothing
    } else {
        Did::Work
    })
}
