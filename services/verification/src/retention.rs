//! Forgets what people wrote, once what they were asked about is long over. Who was asked, who answered and what came of it
//! stays, as does the audit, which has nothing but digests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::{Did, Shell};
use common::clock;
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// Where the worker would be woken; nobody does, because nothing grows old at once.
const CHANNEL: &str = "verification_retention";
/// How often it looks for what has grown old.
const EVERY: Duration = Duration::from_mins(10);
/// Looked at in one statement: short enough that nobody notices.
const BATCH: i64 = 1000;

/// Forget what ended `age` ago or earlier, from now on.
pub(crate) fn keep(shell: &Shell, store: Store, age: Duration) {
    // Where it stands: what is below has been forgotten since the start.
    let beyond = Arc::new(Mutex::new(Uuid::nil()));
    shell
        .worker("retention", CHANNEL)
        .slow_poll(EVERY)
        .spawn(move || {
            let (store, beyond) = (store.clone(), Arc::clone(&beyond));
            async move { step(&store, &beyond, age).await }
        });
}

async fn step(store: &Store, beyond: &Mutex<Uuid>, age: Duration) -> Result<Did, StoreError> {
    let from = *beyond.lock().unwrap_or_else(PoisonError::into_inner);
    let before = clock::first_id_at(clock::now() - age);
    let Some(looked) = store.forget(from, before, BATCH).await? else {
        return Ok(Did::Nothing);
    };
    *beyond.lock().unwrap_or_else(PoisonError::into_inner) = looked.upto;
    if looked.forgotten > 0 {
        tracing::info!(
            verifications = looked.forgotten,
            "forgot what people wrote long ago"
        );
    }
    Ok(Did::Work)
}
