//! A limit of calls that all replicas of all services share, counted in Redis.

use std::pin::Pin;
use std::time::Duration;

use common::clock;
use common::window::{RollingWindow, Taken};
use redis::Script;
use redis::aio::ConnectionManager;

/// Calls that were sent, by Redis's own clock. Answers the milliseconds until there is room, 0 where the call counts.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - length)
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], now, ARGV[3])
    redis.call('PEXPIRE', KEYS[1], length)
    return 0
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return math.max(1, tonumber(first[2]) + length - now)";

/// A rolling window in Redis.
#[derive(Clone)]
pub(crate) struct Window {
    redis: ConnectionManager,
    name: String,
    limit: u32,
    length: Duration,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Window {
    pub(crate) const fn new(redis: ConnectionManager, name: String, limit: u32, length: Duration) -> Self {
        Self {
            redis,
            name,
            limit,
            length,
        }
    }

    async fn count(&self) -> Option<Taken> {
        let script = Script::new(TAKE);
        let mut call = script.key(&self.name);
        let length_ms = u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX);
        call.arg(self.limit)
            .arg(length_ms)
            .arg(clock::fresh_id().to_string());
        let mut redis = self.redis.clone();
        match call.invoke_async::<u64>(&mut redis).await {
            Ok(0) => Some(Taken::Counted),
            Ok(wait_ms) => Some(Taken::Full {
                wait: Duration::from_millis(wait_ms),
            }),
            Err(error) => {
                tracing::debug!(%error, window = self.name, "redis is away: this process counts for itself");
                None
            }
        }
    }
}

impl RollingWindow for Window {
    fn take(&self) -> Pin<Box<dyn Future<Output = Option<Taken>> + Send + '_>> {
        Box::pin(self.count())
    }
}
