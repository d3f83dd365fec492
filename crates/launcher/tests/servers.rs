//! Private servers serve, are ours alone, and leave nothing behind however their user ends.

use std::path::Path;
use std::time::{Duration, Instant};

use common::Service;
use launcher::Servers;
use sqlx::{Connection, PgConnection, Row};

const SILENT: &dyn Fn(&str) = &|_| {};

/// Wait until `done`, at most 20 s.
async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come true in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn runs_below(home: &Path) -> Vec<String> {
    let processes = std::process::Command::new("ps")
        .args(["-eo", "pid,args"])
        .output()
        .expect("`ps` runs");
    let text = String::from_utf8_lossy(&processes.stdout);
    let home = home.to_string_lossy();
    text.lines()
        .filter(|line| line.contains(&*home))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn temporary_servers_are_gone_with_their_files_when_dropped() {
    let servers = Servers::temporary(SILENT).await.unwrap();
    let home = servers.home().to_owned();
    let mut connection = PgConnection::connect(servers.owner_url("postgres").as_str())
        .await
        .unwrap();
    let answer: i32 = sqlx::query("SELECT 42")
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0);
    assert_eq!(answer, 42);
    assert_ne!(runs_below(&home), Vec::<String>::new());
    drop(connection);
    drop(servers);
    assert_eq!(runs_below(&home), Vec::<String>::new());
    assert!(!home.exists(), "{} is still there", home.display());
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let servers = Servers::temporary(SILENT).await.unwrap();
    let mut url = servers.owner_url("postgres");
    url.set_password(Some("guess")).unwrap();
    assert!(PgConnection::connect(url.as_str()).await.is_err());
    let mut url = servers.redis_url(0);
    url.set_password(None).unwrap();
    let client = redis::Client::open(url).unwrap();
    let refused = match client.get_multiplexed_async_connection().await {
        Ok(mut connection) => redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
            .is_err(),
        Err(_) => true,
    };
    assert!(refused);
}

#[tokio::test]
async fn lasting_servers_keep_what_was_written_and_leave_no_process() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("data");
    let servers = Servers::lasting(&data, SILENT).await.unwrap();
    let mut connection = PgConnection::connect(servers.owner_url("postgres").as_str())
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE kept (); ")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let home = servers.home().to_owned();
    drop(servers);
    assert_eq!(runs_below(&home), Vec::<String>::new());
    let servers = Servers::lasting(&data, SILENT).await.unwrap();
    let mut connection = PgConnection::connect(servers.owner_url("postgres").as_str())
        .await
        .unwrap();
    sqlx::raw_sql("SELECT FROM kept")
        .execute(&mut connection)
        .await
        .unwrap();
    drop((connection, servers));
    if !home.starts_with(&data) {
        std::fs::remove_dir_all(home).unwrap();
    }
}

/// Runs this very test again as a child that holds servers until it is killed.
#[tokio::test]
async fn servers_end_when_their_user_is_killed() {
    const CHILD: &str = "FIRSTLINE_TEST_HOLDS_SERVERS";
    if let Ok(report) = std::env::var(CHILD) {
        let servers = Servers::temporary(SILENT).await.unwrap();
        std::fs::write(format!("{report}.part"), servers.home().to_str().unwrap()).unwrap();
        std::fs::rename(format!("{report}.part"), report).unwrap();
        std::future::pending::<()>().await;
    }
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("home");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_end_when_their_user_is_killed"])
        .env(CHILD, &report)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the child has servers", || report.exists()).await;
    let home = std::path::PathBuf::from(std::fs::read_to_string(&report).unwrap());
    assert_ne!(runs_below(&home), Vec::<String>::new());
    child.kill().unwrap(); // SIGKILL: nothing of the child runs any more
    child.wait().unwrap();
    eventually("no process of the servers remains", || {
        runs_below(&home).is_empty()
    })
    .await;
    eventually("their files are gone", || !home.exists()).await;
}

#[tokio::test]
async fn each_test_has_a_migrated_database_and_an_empty_redis_of_its_own() {
    let (one, other) = tokio::join!(launcher::testing::database(), launcher::testing::database());
    assert_ne!(one.url(Service::Playbook), other.url(Service::Playbook));
    assert_ne!(one.redis_url(), other.redis_url());
    let owner = one.owner().await;
    sqlx::raw_sql("CREATE TABLE mine ()")
        .execute(&owner)
        .await
        .unwrap();
    let theirs = other.owner().await;
    assert!(sqlx::raw_sql("SELECT FROM mine").execute(&theirs).await.is_err());
}

#[tokio::test]
async fn migrating_again_and_at_the_same_time_changes_nothing() {
    let database = launcher::testing::database().await;
    let owner = database.owner_url().as_str().parse().unwrap();
    let none = launcher::migrate::RolePasswords::new();
    let (one, other) = tokio::join!(
        launcher::migrate(&owner, &none, &|_| {}),
        launcher::migrate(&owner, &none, &|_| {})
    );
    one.unwrap();
    other.unwrap();
    // Roles keep the password they have.
    database.pool(Service::Classifier).await;
}

#[tokio::test]
async fn a_migration_waits_for_a_table_that_is_in_use_and_nobody_waits_behind_it() {
    let database = launcher::testing::database().await;
    let owner = database.owner().await;
    sqlx::raw_sql(
        "DROP INDEX verifications_said_no;
         DELETE FROM _sqlx_migrations WHERE version = 20261201000010;",
    )
    .execute(&owner)
    .await
    .unwrap();
    let mut at_work = owner.begin().await.unwrap();
    let write = "LOCK TABLE verifications IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(write).execute(&mut *at_work).await.unwrap();

    let (url, none) = (
        database.owner_url().as_str().parse().unwrap(),
        launcher::migrate::RolePasswords::new(),
    );
    let waits = tokio::sync::Notify::new();
    let say = |_: &str| waits.notify_one();
    let migrating = launcher::migrate(&url, &none, &say);
    tokio::pin!(migrating);
    tokio::select! {
        done = &mut migrating => panic!("it cannot be done yet: {done:?}"),
        () = waits.notified() => {}
    }
    let mut another = owner.begin().await.unwrap();
    let at_once = format!("{write} NOWAIT");
    sqlx::raw_sql(sqlx::AssertSqlSafe(at_once))
        .execute(&mut *another)
        .await
        .unwrap();
    another.rollback().await.unwrap();
    at_work.rollback().await.unwrap();
    migrating.await.unwrap();
    let there: bool = sqlx::query_scalar("SELECT to_regclass('verifications_said_no') IS NOT NULL")
        .fetch_one(&owner)
        .await
        .unwrap();
    assert!(there);
}

#[tokio::test]
async fn a_cut_wire_fails_for_one_test_only_and_works_again_once_mended() {
    let database = launcher::testing::database().await;
    let wire = launcher::testing::Wire::to(&database.redis_url()).await;
    let ping = async |url: &url::Url| {
        let client = redis::Client::open(url.clone()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    };
    ping(wire.url()).await.unwrap();
    wire.cut();
    assert!(ping(wire.url()).await.is_err());
    ping(&database.redis_url()).await.unwrap();
    wire.mend();
    ping(wire.url()).await.unwrap();
}

#[tokio::test]
async fn a_crashed_postgres_comes_back_with_what_was_committed_and_a_crashed_redis_comes_back_empty() {
    let mut servers = Servers::crashing(SILENT).await.unwrap();
    let home = servers.home().to_owned();
    let url = servers.owner_url("postgres");
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept AS SELECT 42 AS answer")
        .execute(&mut connection)
        .await
        .unwrap();
    let client = redis::Client::open(servers.redis_url(0)).unwrap();
    let mut known = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET")
        .arg("known")
        .arg(1)
        .query_async::<()>(&mut known)
        .await
        .unwrap();

    servers.crash_postgres().await.unwrap();
    servers.crash_redis().await.unwrap();
    assert!(
        sqlx::raw_sql("SELECT 1").execute(&mut connection).await.is_err(),
        "a session outlived its server"
    );
    assert!(client.get_multiplexed_async_connection().await.is_err());

    servers.start_postgres_again().await.unwrap();
    servers.start_redis_again().await.unwrap();
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    let answer: i32 = sqlx::query("SELECT answer FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0);
    assert_eq!(answer, 42);
    let mut known = client.get_multiplexed_async_connection().await.unwrap();
    let keys: i64 = redis::cmd("DBSIZE").query_async(&mut known).await.unwrap();
    assert_eq!(keys, 0);

    drop(connection);
    drop(servers);
    assert_eq!(runs_below(&home), Vec::<String>::new());
    assert!(!home.exists(), "{} is still there", home.display());
}
