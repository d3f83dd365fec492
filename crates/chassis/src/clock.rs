//! Keeps the fleet's time: asks Postgres what time it is, and tells [`common::clock`].
//!
//! Every new connection is asked before it is used, so nothing that was read from the database meets a clock that was not
//! compared with it; and one again and again, because clocks drift and are set.

use std::time::Duration;

use common::clock::{self, Change, Reading};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::sessions::Sessions;

/// So often clocks are compared.
const EVERY: Duration = Duration::from_secs(30);
/// Longest wait for a database at the start: without it the service starts all the same.
const START_LIMIT: Duration = Duration::from_secs(2);
/// A change that deserves attention; anything smaller is drift.
const JUMP: time::Duration = time::Duration::SECOND;

/// Compare clocks before anything is served, where the database is there already.
pub(crate) async fn first(options: &PgConnectOptions) {
    let comparing = async {
        let mut connection = options.connect().await?;
        compare(&mut connection).await?;
        connection.close().await
    };
    match tokio::time::timeout(START_LIMIT, comparing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "could not ask the database for its time yet"),
        Err(_) => tracing::debug!("the database did not tell its time yet"),
    }
}

/// Compare clocks until `stopping`. While the database is away, what was last known goes on.
pub(crate) async fn keep(pool: Sessions, stopping: CancellationToken) {
    let keeping = async {
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let compared = async { compare(&mut *pool.acquire().await?).await };
            if let Err(error) = compared.await {
                tracing::debug!(%error, "could not ask the database for its time");
            }
        }
    };
    stopping.run_until_cancelled(keeping).await;
}

/// Ask what time it is at the other end of `connection`, and go by it.
///
/// # Errors
/// It did not answer.
pub(crate) async fn compare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let asked = clock::machine();
    // Not `now()`, which is when the transaction began.
    let there: OffsetDateTime = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(connection)
        .await?;
    let answered = clock::machine();
    let changed = clock::learn(Reading {
        asked,
        there,
        answered,
    });
    if let Some(change) = changed {
        tell(change);
    }
    Ok(())
}

fn tell(Change { before, after }: Change) {
    metrics::gauge!("firstline_clock_ahead_seconds").set(after.as_seconds_f64());
    if (after - before).abs() < JUMP {
        return;
    }
    tracing::warn!(
        ahead_s = after.as_seconds_f64(),
        before_s = before.as_seconds_f64(),
        "this machine's clock and the database's differ: the database's is gone by; look at NTP on both"
    );
}
