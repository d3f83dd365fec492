//! Group commit on a real Postgres, behind a wire that goes dead.

use std::sync::Arc;
use std::time::Duration;

use chassis::group_commit::{Failure, Ledger, Lent, Line, refused};
use common::Service;
use launcher::testing::{Wire, seen_within};
use sqlx::PgPool;

use crate::world::World;

/// Long enough for a connection to be made on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);
/// With this number in hand, the wire goes dead.
const LAST: i32 = 13;

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("unclear")]
    Unclear,
    #[error("stopped")]
    Stopped,
}

impl Failure for Fault {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(error) if refused(error))
    }

    fn unclear() -> Self {
        Self::Unclear
    }

    fn stopped() -> Self {
        Self::Stopped
    }
}

#[derive(Clone)]
struct Numbers {
    pool: PgPool,
    wire: Arc<Wire>,
}

impl Ledger for Numbers {
    type Entry = i32;
    type Found = ();
    type Error = Fault;

    async fn commit(&self, entries: &[i32]) -> Result<Vec<()>, Fault> {
        let mut lent = Lent::from(&self.pool).await?;
        if entries.contains(&LAST) {
            self.wire.freeze();
        }
        let written = sqlx::query("INSERT INTO numbers SELECT UNNEST($1::int[])")
            .bind(entries)
            .execute(&mut *lent)
            .await;
        lent.give_back();
        written?;
        Ok(entries.iter().map(|_| ()).collect())
    }
}

#[tokio::test]
async fn a_commit_over_a_dead_connection_is_given_up_and_the_connection_with_it() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let owner = database.owner().await;
    sqlx::raw_sql("CREATE TABLE numbers (number int); GRANT INSERT ON numbers TO PUBLIC")
        .execute(&owner)
        .await
        .unwrap();
    let wire = Wire::to(&database.url(Service::Delivery)).await;
    let redis = database.redis_url();
    let shell = world
        .standing_on(Service::Delivery, None, (wire.url().as_str(), redis.as_str()))
        .await;
    let numbers = Numbers {
        pool: shell.pool().clone(),
        wire: Arc::new(wire),
    };
    let line = Line::limited(&numbers, LIMIT);
    line.commit(1).await.unwrap();
    let idle = async || (shell.pool().num_idle() == 1).then_some(());
    assert!(
        seen_within(4 * LIMIT, idle).await.is_some(),
        "it is not given back"
    );
    let given_up = line.commit(LAST).await;
    assert!(matches!(given_up, Err(Fault::Unclear)), "{given_up:?}");
    assert_eq!(
        shell.pool().size(),
        0,
        "the dead connection would take a place of the pool"
    );
    line.commit(2).await.unwrap();
    assert_eq!(shell.pool().size(), 1);
    world.shutdown.cancel();
}
