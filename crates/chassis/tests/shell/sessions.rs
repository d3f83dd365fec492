//! Sessions with a real Postgres: who gets which, and what becomes of one that was broken off.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Sessions, Shell};
use common::Service;
use launcher::testing::{TestDatabase, Wire, database, until};
use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;

use crate::world::World;

/// Long enough for anything that has to answer, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A service whose sessions go over a wire, and a table for numbers.
pub(crate) struct Ground {
    world: World,
    database: TestDatabase,
    pub(crate) wire: Arc<Wire>,
    pub(crate) shell: Shell,
    owner: PgPool,
}

impl Ground {
    pub(crate) async fn lay() -> Self {
        let (world, database) = (World::new(), database().await);
        let owner = database.owner().await;
        sqlx::raw_sql("CREATE TABLE numbers (number int UNIQUE); GRANT SELECT, INSERT ON numbers TO PUBLIC")
            .execute(&owner)
            .await
            .unwrap();
        let wire = Arc::new(Wire::to(&database.url(Service::Delivery)).await);
        let redis = database.redis_url();
        let shell = world
            .standing_on(Service::Delivery, None, (wire.url().as_str(), redis.as_str()))
            .await;
        Self {
            world,
            database,
            wire,
            shell,
            owner,
        }
    }

    /// Apart from the service's own.
    fn sessions(&self) -> Sessions {
        self.shell.pool().seat()
    }

    async fn numbers(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM numbers")
            .fetch_one(&self.owner)
            .await
            .unwrap()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.world.shutdown.cancel();
        let _ = &self.database;
    }
}

async fn backend(session: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(session)
        .await
        .unwrap()
}

async fn insert(session: &mut PgConnection, number: i32) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO numbers VALUES ($1)")
        .bind(number)
        .execute(session)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn the_last_one_given_back_is_the_first_handed_out_and_nothing_is_asked_of_it() {
    let ground = Ground::lay().await;
    let sessions = ground.shell.pool();
    let (mut early, mut late) = (
        sessions.acquire().await.unwrap(),
        sessions.acquire().await.unwrap(),
    );
    let (first, last) = (backend(&mut early).await, backend(&mut late).await);
    assert_ne!(first, last);
    early.give_back();
    late.give_back();
    for _ in 0..3 {
        let mut again = sessions.acquire().await.unwrap();
        assert_eq!(backend(&mut again).await, last);
        again.give_back();
    }

    // Over a wire that carries nothing, whoever asked would wait.
    let seat = ground.sessions();
    let session = seat.acquire().await.unwrap();
    ground.wire.freeze();
    session.give_back();
    assert_eq!((seat.size(), seat.idle()), (1, 1));
    drop(timeout(AT_ONCE, seat.acquire()).await.unwrap().unwrap());
    until("one that does not answer is closed", async || seat.size() == 0).await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_at_once() {
    let ground = Ground::lay().await;
    let sessions = ground.sessions();
    let mut transaction = sessions.begin().await.unwrap();
    let pid = backend(&mut transaction).await;
    insert(&mut transaction, 1).await.unwrap();
    drop(transaction);
    // Somebody else would wait for that row, were the transaction still open.
    let apart = sqlx::query("INSERT INTO numbers VALUES (1)").execute(&ground.owner);
    timeout(AT_ONCE, apart).await.expect("its row is free").unwrap();
    let mut next = sessions.begin().await.unwrap();
    assert_eq!(backend(&mut next).await, pid, "the same session, good again");
    insert(&mut next, 2).await.unwrap();
    next.commit().await.unwrap();

    let mut given_up = sessions.begin().await.unwrap();
    insert(&mut given_up, 3).await.unwrap();
    given_up.rollback().await.unwrap();
    assert_eq!(ground.numbers().await, 2, "the one apart, and what was committed");
}

#[tokio::test]
async fn what_the_server_refused_costs_nobody_else_anything() {
    let ground = Ground::lay().await;
    let sessions = ground.sessions();
    let insert = "INSERT INTO numbers VALUES (1)";
    sqlx::query(insert).execute(&sessions).await.unwrap();
    let refused = sqlx::query(insert).execute(&sessions).await.unwrap_err();
    assert!(refused.as_database_error().unwrap().is_unique_violation());
    let all: Vec<i32> = sqlx::query_scalar("SELECT * FROM numbers")
        .fetch_all(&sessions)
        .await
        .unwrap();
    assert_eq!(all, [1]);
}

#[tokio::test]
async fn a_statement_that_is_broken_off_answers_nobody_else() {
    let ground = Ground::lay().await;
    let sessions = ground.sessions();
    let mut slow = sessions.acquire().await.unwrap();
    let pid = backend(&mut slow).await;
    let mut holder = ground.owner.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(1)")
        .execute(&mut *holder)
        .await
        .unwrap();
    let asked = sqlx::query_scalar::<_, i32>("SELECT 1 FROM pg_advisory_lock(1)").fetch_one(&mut *slow);
    let waits = until("it waits for the lock", async || {
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)";
        let waiting = sqlx::query_scalar(waiting).bind(pid).fetch_one(&ground.owner);
        waiting.await.unwrap()
    });
    tokio::select! {
        answered = asked => panic!("the lock is taken: {answered:?}"),
        () = waits => {}
    }
    // Its answer is on its way when nobody waits for it any more.
    drop(slow);
    sqlx::query("SELECT pg_advisory_unlock(1)")
        .execute(&mut *holder)
        .await
        .unwrap();
    let two: i32 = sqlx::query_scalar("SELECT 2").fetch_one(&sessions).await.unwrap();
    assert_eq!(two, 2);
    let mut next = sessions.acquire().await.unwrap();
    assert_eq!(
        backend(&mut next).await,
        pid,
        "it was waited for, not thrown away"
    );
}

#[tokio::test]
async fn a_session_that_the_server_ended_is_handed_out_once_at_most() {
    let ground = Ground::lay().await;
    let sessions = ground.sessions();
    let mut session = sessions.acquire().await.unwrap();
    let pid = backend(&mut session).await;
    session.give_back();
    sqlx::query("SELECT pg_terminate_backend($1, 10000)")
        .bind(pid)
        .execute(&ground.owner)
        .await
        .unwrap();
    // Just used, it counts as good.
    let first = sqlx::query("SELECT 1").execute(&sessions).await;
    let second = sqlx::query("SELECT 1").execute(&sessions).await;
    assert!(second.is_ok(), "{first:?}, then {second:?}");
}

#[tokio::test]
async fn where_one_session_was_ended_those_that_rest_are_not_handed_out() {
    let ground = Ground::lay().await;
    let sessions = ground.shell.pool();
    let (mut one, mut other) = (
        sessions.acquire().await.unwrap(),
        sessions.acquire().await.unwrap(),
    );
    let pids = [backend(&mut one).await, backend(&mut other).await];
    one.give_back();
    other.give_back();
    sqlx::query("SELECT pg_terminate_backend(pid, 10000) FROM UNNEST($1::int[]) AS pid")
        .bind(&pids[..])
        .execute(&ground.owner)
        .await
        .unwrap();
    let _lost = sqlx::query("SELECT 1").execute(sessions).await;
    until("both are closed", async || sessions.size() == 0).await;
    assert!(sqlx::query("SELECT 1").execute(sessions).await.is_ok());
}

#[tokio::test]
async fn a_statement_over_a_dead_wire_is_given_up() {
    let ground = Ground::lay().await;
    let sessions = ground.sessions().patient(Duration::from_millis(100));
    let session = sessions.acquire().await.unwrap();
    ground.wire.freeze();
    session.give_back();
    let silent = sqlx::query("SELECT 1").execute(&sessions).await.unwrap_err();
    assert!(
        matches!(&silent, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut),
        "{silent:?}"
    );
    // Its session is closed, and the next one is made over what carries.
    let sessions = sessions.patient(AT_ONCE);
    assert!(sqlx::query("SELECT 1").execute(&sessions).await.is_ok());
}

#[tokio::test]
async fn whoever_finds_no_place_in_time_is_told() {
    let ground = Ground::lay().await;
    let sessions = ground.sessions();
    let held = sessions.acquire().await.unwrap();
    let refused = sessions.acquire().await.unwrap_err();
    assert!(matches!(refused, sqlx::Error::PoolTimedOut), "{refused:?}");
    held.give_back();
    assert!(sessions.acquire().await.is_ok());
    sessions.close();
    let closed = sessions.acquire().await.unwrap_err();
    assert!(matches!(closed, sqlx::Error::PoolClosed), "{closed:?}");
}
