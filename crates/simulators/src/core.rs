//! What all five systems share: the seed, the secrets, the directory of people, the journal, the tasks.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::Clock;
use crate::company::Directory;
use crate::gateway::Gateway;
use crate::journal::Journal;
use crate::keys::Keyring;
use crate::settings::{Secrets, Urls};
use crate::tokens::Tokens;

/// A mutex that outlives a panicking test: the state behind it stays readable.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names turned into ids and secrets: the same seed gives the same world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn bytes(self, name: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.0.to_be_bytes())
            .chain_update(name)
            .finalize()
            .into()
    }

    pub(crate) fn uuid(self, name: &str) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.bytes(name)[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// 32 lower-case hexadecimal digits.
    pub(crate) fn hex(self, name: &str) -> String {
        hex::encode(&self.bytes(name)[..16])
    }
}

/// Everything spawned, and the one signal that ends it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    ended: CancellationToken,
}

impl Tasks {
    /// Run `work` until it is done or the world ends.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tracker.spawn(async move {
            // What is cut off here was the world's affair alone.
            let _ = ended.run_until_cancelled(work).await;
        });
    }

    /// Run `work`, which heeds the end by itself, and wait for it at the end.
    pub(crate) fn spawn_to_the_end(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(work);
    }

    /// Run `work` after `delay`, unless the world ends before.
    pub(crate) fn later(&self, delay: Duration, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            work.await;
        });
    }

    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    pub(crate) async fn shutdown(&self) {
        self.ended.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// The shared state, one per world.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) seed: Seed,
    pub(crate) secrets: Secrets,
    pub(crate) urls: Urls,
    pub(crate) think: Duration,
    pub(crate) directory: Directory,
    pub(crate) journal: Journal,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) gateway: Gateway,
    pub(crate) tokens: Tokens,
    pub(crate) entra_keys: Keyring,
    pub(crate) bot_keys: Keyring,
    /// E-mail addresses of those who have the bot.
    pub(crate) installed: Shared<BTreeSet<String>>,
    pub(crate) bot_auto_install: bool,
    counter: Shared<u64>,
}

pub(crate) struct CoreParts {
    pub(crate) seed: Seed,
    pub(crate) further_people: u32,
    pub(crate) secrets: Secrets,
    pub(crate) urls: Urls,
    pub(crate) think: Duration,
    pub(crate) gateway: Gateway,
    pub(crate) tasks: Tasks,
    pub(crate) bot_auto_install: bool,
    pub(crate) entra_keys: Keyring,
    pub(crate) bot_keys: Keyring,
}

impl Core {
    pub(crate) fn new(parts: CoreParts) -> Arc<Self> {
        let CoreParts {
            seed,
            further_people,
            secrets,
            urls,
            think,
            gateway,
            tasks,
            bot_auto_install,
            entra_keys,
            bot_keys,
        } = parts;
        Arc::new(Self {
            seed,
            secrets,
            urls,
            think,
            directory: Directory::seeded(seed, further_people),
            journal: Journal::default(),
            clock: Clock::default(),
            tasks,
            gateway,
            tokens: Tokens::default(),
            entra_keys,
            bot_keys,
            installed: Shared::default(),
            bot_auto_install,
            counter: Shared::default(),
        })
    }

    /// A fresh id: unique in this world, and the same in every world of this seed that asked as often before.
    pub(crate) fn fresh(&self, name: &str) -> Uuid {
        self.seed.uuid(&format!("{name}/{}", self.next()))
    }

    /// As [`Core::fresh`], as 32 hexadecimal digits.
    pub(crate) fn fresh_hex(&self, name: &str) -> String {
        self.fresh(name).simple().to_string()
    }

    fn next(&self) -> u64 {
        let mut counter = self.counter.lock();
        *counter += 1;
        *counter
    }
}
