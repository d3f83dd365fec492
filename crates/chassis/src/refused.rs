//! Whoever was refused at our doors, on record: strangers, who could not show who they are, and those we know, at a door that is
//! not theirs.
//!
//! The first of a kind is written down at once; those that follow within a minute are counted, and their number is written
//! down when the minute is over. So every attempt is in the audit, and a flood of them adds a row a minute, not a row each:
//! or anybody could fill the record, and the disk. How many kinds there are is up to us, never to strangers; somebody we know
//! has as many as there are routes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::sessions::Sessions;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{AuditEvent, AuditLog};

/// How long attempts of one kind are counted before their number is written down.
const SPAN: Duration = Duration::from_mins(1);
/// Who it was, as `audit_events.actor` writes it.
const STRANGER: &str = "stranger";

/// Who sent a webhook that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SentBy {
    /// Whoever it was, the proof did not show that it was the vendor.
    Stranger,
    /// The vendor, with something that cannot be taken.
    Vendor,
}

/// What somebody was refused for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A caller of the API whose token is missing or not believed.
    Caller {
        /// The problem's code.
        code: String,
    },
    /// Somebody we know, who may not do this.
    Known {
        /// As `audit_events.actor` writes it.
        actor: String,
        /// `POST /api/v1/...`.
        route: String,
    },
    /// A webhook in a vendor's name.
    Webhook {
        /// Whose name.
        vendor: &'static str,
        /// Whether it was theirs.
        sender: SentBy,
        /// Stable word for what is wrong with it.
        reason: &'static str,
    },
    /// Somebody at a door that is open to whoever holds something, without it.
    Holder {
        /// Of the event: `suggestion.refused`.
        kind: &'static str,
        /// Stable word for what is wrong with what they hold.
        reason: &'static str,
    },
}

impl Refusal {
    /// So many of them.
    fn event(&self, count: u64) -> AuditEvent {
        match self {
            Self::Caller { code } => {
                AuditEvent::new("access.unproven", json!({ "code": code, "count": count })).actor(STRANGER)
            }
            Self::Known { actor, route } => {
                AuditEvent::new("access.refused", json!({ "route": route, "count": count })).actor(actor)
            }
            Self::Webhook {
                vendor,
                sender,
                reason,
            } => {
                let detail = json!({ "vendor": vendor, "reason": reason, "count": count });
                let event = AuditEvent::new("webhook.refused", detail);
                match sender {
                    SentBy::Stranger => event.actor(STRANGER),
                    SentBy::Vendor => event.actor(format!("vendor:{vendor}")),
                }
            }
            Self::Holder { kind, reason } => {
                AuditEvent::new(kind, json!({ "reason": reason, "count": count })).actor(STRANGER)
            }
        }
    }
}

/// Attempts of each kind since the last one that was written down; a kind is in it while somebody watches over its minute.
#[derive(Debug, Default)]
struct Tally(HashMap<Refusal, u64>);

impl Tally {
    /// One more; whether it is the first, whose minute begins.
    fn add(&mut self, refusal: &Refusal) -> bool {
        let first = !self.0.contains_key(refusal);
        *self.0.entry(refusal.clone()).or_default() += 1;
        first
    }

    /// What there is to write down.
    fn take(&mut self, refusal: &Refusal) -> u64 {
        self.0.get_mut(refusal).map(std::mem::take).unwrap_or_default()
    }

    /// They could not be written down and count again.
    fn put_back(&mut self, refusal: &Refusal, count: u64) {
        *self.0.entry(refusal.clone()).or_default() += count;
    }

    /// Nobody watches any more, unless one came meanwhile.
    fn close(&mut self, refusal: &Refusal) -> bool {
        let none = self.0.get(refusal).is_none_or(|count| *count == 0);
        if none {
            self.0.remove(refusal);
        }
        none
    }
}

/// Puts refusals on record. Cheap to clone.
#[derive(Clone)]
pub struct Refusals(Arc<Inner>);

struct Inner {
    pool: Sessions,
    audit: AuditLog,
    tasks: TaskTracker,
    stopping: CancellationToken,
    tally: Mutex<Tally>,
}

impl Refusals {
    pub(crate) fn new(
        pool: Sessions,
        audit: AuditLog,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            pool,
            audit,
            tasks,
            stopping,
            tally: Mutex::default(),
        }))
    }

    /// Put it on record, beside the answer, which does not wait for the database.
    pub fn note(&self, refusal: Refusal) {
        self.count(&refusal);
        if self.tally(|tally| tally.add(&refusal)) {
            let refusals = self.clone();
            self.0
                .tasks
                .spawn(async move { refusals.watch_over(&refusal).await });
        }
    }

    fn count(&self, refusal: &Refusal) {
        // Callers are counted where they are answered, with those who are known.
        if let Refusal::Webhook { vendor, .. } = refusal {
            let service = self.0.audit.service().name();
            metrics::counter!("firstline_refused_webhooks_total", "service" => service, "vendor" => *vendor)
                .increment(1);
        }
    }

    /// Write down what has come, minute by minute, until a minute brings nothing, or the service stops.
    async fn watch_over(&self, refusal: &Refusal) {
        loop {
            let count = self.tally(|tally| tally.take(refusal));
            if count > 0 {
                self.write(refusal, count).await;
            }
            // In this order: what comes while the service stops is written down before this ends.
            if self.0.stopping.is_cancelled() && self.tally(|tally| tally.close(refusal)) {
                return;
            }
            let minute = self
                .0
                .stopping
                .run_until_cancelled(tokio::time::sleep(SPAN))
                .await;
            if minute.is_some() && self.tally(|tally| tally.close(refusal)) {
                return;
            }
        }
    }

    async fn write(&self, refusal: &Refusal, count: u64) {
        let recorded = async {
            let mut connection = self.0.pool.acquire().await?;
            self.0.audit.record(&mut connection, &refusal.event(count)).await
        };
        if let Err(error) = recorded.await {
            tracing::error!(error = %crate::chain(&error), ?refusal, count, "refusals are not on record yet");
            // At the end there is no later to try it again.
            if !self.0.stopping.is_cancelled() {
                self.tally(|tally| tally.put_back(refusal, count));
            }
        }
    }

    fn tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.0.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Attempt,
        Minute,
        MinuteWithoutDatabase,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            5 => Just(Happens::Attempt),
            2 => Just(Happens::Minute),
            1 => Just(Happens::MinuteWithoutDatabase),
        ]
    }

    proptest! {
        /// Watched as `watch_over` does it: written down is what was attempted, never more than once a minute.
        #[test]
        fn every_attempt_is_counted_once(story in proptest::collection::vec(happens(), 0..60)) {
            let refusal = Refusal::Caller { code: "token_missing".to_owned() };
            let mut tally = Tally::default();
            let (mut attempts, mut written, mut rows, mut minutes, mut watched) = (0, 0, 0, 0, false);
            let write = |tally: &mut Tally, written: &mut u64, rows: &mut u64| {
                let count = tally.take(&refusal);
                *written += count;
                *rows += u64::from(count > 0);
            };
            for event in story {
                match event {
                    Happens::Attempt => {
                        attempts += 1;
                        let first = tally.add(&refusal);
                        prop_assert_eq!(first, !watched, "one watcher at a time");
                        if first {
                            watched = true;
                            minutes += 1;
                            write(&mut tally, &mut written, &mut rows);
                        }
                    }
                    Happens::Minute if watched => {
                        minutes += 1;
                        watched = !tally.close(&refusal);
                        if watched {
                            write(&mut tally, &mut written, &mut rows);
                        }
                    }
                    Happens::MinuteWithoutDatabase if watched => {
                        minutes += 1;
                        watched = !tally.close(&refusal);
                        if watched {
                            let count = tally.take(&refusal);
                            tally.put_back(&refusal, count);
                        }
                    }
                    Happens::Minute | Happens::MinuteWithoutDatabase => {}
                }
            }
            write(&mut tally, &mut written, &mut rows);
            prop_assert_eq!(written, attempts);
            prop_assert!(rows <= minutes + 1);
        }
    }
}
