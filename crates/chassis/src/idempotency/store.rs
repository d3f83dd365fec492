//! Keys in Redis: claimed in one command, kept while work goes on, replaced by the answer in one script.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::clock;
use common::{Digest, Service};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{RedisError, Script};
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// How long an answer is replayed (design, section 3).
const KEEP_S: u64 = 24 * 60 * 60;
/// An in-flight mark whose owner died is gone after this; owners renew theirs three times as often.
const IN_FLIGHT: Duration = Duration::from_secs(15);
/// Redis answers in well under a millisecond or is as good as away.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// A key that says only that keys are taken is gone after this.
const PROBE: Duration = Duration::from_secs(1);
/// After a failure, requests go on at once for this long instead of each waiting for the limit.
const PAUSE_MS: i64 = 1_000;

/// Only whoever set the mark may replace it: a mark that expired may be somebody else's by now.
const FINISH: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end";
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end";
const RENEW: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end";

/// What a key stands for.
pub(crate) enum Claim {
    /// Ours: do the work.
    Fresh(Ticket),
    /// Done before: answer this.
    Replay(Stored),
    /// Being done, or a mark was left behind by work that came to nothing: it says nothing of bodies, and expires soon.
    InFlight,
    /// Done with another body.
    Mismatch,
    /// Redis is away: do the work, Postgres keeps it right.
    Skipped,
}

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A claimed key and the mark that proves it is ours.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    name: String,
    mark: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Entry {
    InFlight {
        owner: Uuid,
    },
    Done {
        digest: Digest,
        status: u16,
        content_type: Option<String>,
        body: String,
    },
}

/// The keys of one service.
#[derive(Clone)]
pub(crate) struct Store {
    redis: ConnectionManager,
    service: Service,
    /// Milliseconds since the epoch until which Redis is not asked.
    paused_until: Arc<AtomicI64>,
}

impl Store {
    /// Connects at the first use, and again whenever the connection was lost.
    pub(crate) fn new(url: &str, service: Service) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER_LIMIT))
            .set_response_timeout(Some(ANSWER_LIMIT))
            .set_number_of_retries(0);
        let redis = ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?;
        Ok(Self {
            redis,
            service,
            paused_until: Arc::default(),
        })
    }

    /// The connection, for others who need one.
    pub(crate) fn redis(&self) -> ConnectionManager {
        self.redis.clone()
    }

    /// Whether Redis takes keys right now. A full one, a standby and one that is too old answer `PING` and take none.
    pub(crate) async fn takes_keys(&self) -> bool {
        let name = format!("firstline:ready:{}", self.service.name());
        self.set(&name, "", PROBE).await.is_some()
    }

    /// The text under `name`, which gets this one where there was none; `None` outside where Redis does not do it.
    async fn set(&self, name: &str, text: &str, keep: Duration) -> Option<Option<String>> {
        let mut redis = self.redis.clone();
        let mut command = redis::cmd("SET");
        command
            .arg(name)
            .arg(text)
            .arg("NX")
            .arg("GET")
            .arg("PX")
            .arg(millis(keep));
        self.note(command.query_async(&mut redis).await)
    }

    pub(crate) async fn claim(&self, name: &str, digest: &Digest) -> Claim {
        if now_ms() < self.paused_until.load(Ordering::Relaxed) {
            return Claim::Skipped;
        }
        let entry = Entry::InFlight {
            owner: clock::fresh_id(),
        };
        let mark = serde_json::to_string(&entry).unwrap_or_default();
        match self.set(name, &mark, IN_FLIGHT).await {
            None => Claim::Skipped,
            Some(None) => Claim::Fresh(Ticket {
                name: name.to_owned(),
                mark,
                digest: digest.clone(),
            }),
            Some(Some(text)) => judge(&text, digest),
        }
    }

    /// Hold the key while its work goes on.
    pub(crate) fn keep(&self, ticket: Ticket) -> Working {
        let stop = CancellationToken::new();
        let (store, held, stopped) = (self.clone(), ticket.clone(), stop.clone());
        tokio::spawn(async move {
            let renewing = async {
                loop {
                    tokio::time::sleep(IN_FLIGHT / 3).await;
                    store
                        .script(RENEW, &held, &[&millis(IN_FLIGHT).to_string()])
                        .await;
                }
            };
            stopped.run_until_cancelled(renewing).await;
        });
        Working {
            store: self.clone(),
            ticket,
            _renewal: stop.drop_guard(),
        }
    }

    async fn script(&self, script: &str, ticket: &Ticket, arguments: &[&str]) {
        let mut redis = self.redis.clone();
        let script = Script::new(script);
        let mut invocation = script.key(&ticket.name);
        invocation.arg(&ticket.mark);
        for argument in arguments {
            invocation.arg(*argument);
        }
        let answer: Result<redis::Value, _> = invocation.invoke_async(&mut redis).await;
        self.note(answer);
    }

    /// The answer, with whether there was one written down for everybody to see.
    fn note<T>(&self, answer: Result<T, RedisError>) -> Option<T> {
        let up = metrics::gauge!("firstline_redis_up", "service" => self.service.name());
        match answer {
            Ok(answer) => {
                up.set(1.0);
                self.paused_until.store(0, Ordering::Relaxed);
                Some(answer)
            }
            Err(error) => {
                up.set(0.0);
                let before = self.paused_until.swap(now_ms() + PAUSE_MS, Ordering::Relaxed);
                if before == 0 {
                    tracing::warn!(error = %error, "redis is away: answers are not replayed meanwhile");
                }
                None
            }
        }
    }
}

/// A key whose work is under way. Dropped without an end (a panic), its mark expires by itself.
pub(crate) struct Working {
    store: Store,
    ticket: Ticket,
    _renewal: DropGuard,
}

impl Working {
    /// The work is done: replay this from now on.
    pub(crate) async fn finish(self, stored: &Stored) {
        let entry = Entry::Done {
            digest: self.ticket.digest.clone(),
            status: stored.status,
            content_type: stored.content_type.clone(),
            body: STANDARD.encode(&stored.body),
        };
        let text = serde_json::to_string(&entry).unwrap_or_default();
        self.store
            .script(FINISH, &self.ticket, &[&text, &KEEP_S.to_string()])
            .await;
    }

    /// The work came to nothing that should be repeated to the caller: let them try again.
    pub(crate) async fn release(self) {
        self.store.script(RELEASE, &self.ticket, &[]).await;
    }
}

fn judge(text: &str, digest: &Digest) -> Claim {
    match serde_json::from_str(text) {
        // Whatever its body: where the mark could not be deleted after an outage, a repeat with a fresh deadline must wait
        // for it to expire, and not be refused for good.
        Ok(Entry::InFlight { .. }) => Claim::InFlight,
        Ok(Entry::Done { digest: other, .. }) if other != *digest => Claim::Mismatch,
        Ok(Entry::Done {
            status,
            content_type,
            body,
            ..
        }) => STANDARD.decode(body).map_or(Claim::Skipped, |body| {
            Claim::Replay(Stored {
                status,
                content_type,
                body,
            })
        }),
        // Written by a version that we do not know: as if Redis had been away.
        Err(_) => Claim::Skipped,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Since this process first asked; never 0, which says that there is no pause.
fn now_ms() -> i64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(BEGAN.elapsed().as_millis())
        .unwrap_or(i64::MAX)
        .max(1)
}
