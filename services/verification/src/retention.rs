//! Forgets what people wrote, once what they were asked about is long over. Who was asked, who answered and what came of it
//! stays, as does the audit, which has nothing but digests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// What was not over when it was looked at is looked at again after this long.
const ANEW: Duration = Duration::from_hours(24);

/// How far a pass over the table has come.
struct Pass {
    /// What is below has been looked at.
    beyond: Uuid,
    begun: Instant,
}

impl Pass {
    fn begin() -> Self {
        Self {
            beyond: Uuid::nil(),
            begun: Instant::now(),
        }
    }
}

/// Forget what ended `age` ago or earlier, from now on.
pub(crate) fn keep(shell: &Shell, store: Store, age: Duration) {
    let pass = Arc::new(Mutex::new(Pass::begin()));
    shell
        .worker("retention", CHANNEL)
        .slow_poll(EVERY)
        .spawn(move || {
            let (store, pass) = (store.clone(), Arc::clone(&pass));
            async move { step(&store, &pass, age).await }
        });
}

async fn step(store: &Store, pass: &Mutex<Pass>, age: Duration) -> Result<Did, StoreError> {
    let lock = || pass.lock().unwrap_or_else(PoisonError::into_inner);
    let beyond = lock().beyond;
    let Some(looked) = store.forget(beyond, clock::now() - age, BATCH).await? else {
        let mut pass = lock();
        if pass.begun.elapsed() > ANEW {
            *pass = Pass::begin();
        }
        return Ok(Did::Nothing);
    };
    lock().beyond = looked.upto;
    if looked.forgotten > 0 {
        tracing::info!(
            verifications = looked.forgotten,
            "forgot what people wrote long ago"
        );
    }
    Ok(Did::Work)
}
