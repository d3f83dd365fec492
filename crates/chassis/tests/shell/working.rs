//! Workers, audit and readiness on a real Postgres.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::{AuditEvent, Did, Refusal, SentBy};
use common::Service;
use tokio::sync::{Notify, mpsc};

use crate::world::{Sample, World, ask, get, post, serve, text};

/// Far longer than any test: what happens before, a notification did.
const NEVER: Duration = Duration::from_hours(1);

async fn within_reason<F: Future>(what: &str, happens: F) -> F::Output {
    let waited = tokio::time::timeout(Duration::from_secs(20), happens).await;
    waited.unwrap_or_else(|_| panic!("{what} did not happen"))
}

#[tokio::test]
async fn a_notification_wakes_a_worker_at_once() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Delivery, &database).await;
    let (looked, mut looks) = mpsc::unbounded_channel();
    shell
        .worker("sample", "sample_channel")
        .slow_poll(NEVER)
        .spawn(move || {
            let looked = looked.clone();
            async move {
                let _ = looked.send(());
                Ok::<_, std::io::Error>(Did::Nothing)
            }
        });
    // Once at the start, once when it listens.
    within_reason("the first look", looks.recv()).await;
    within_reason("the look after listening", looks.recv()).await;
    let owner = database.owner().await;
    sqlx::query("NOTIFY sample_channel")
        .execute(&owner)
        .await
        .unwrap();
    within_reason("the look after the notification", looks.recv()).await;
    world.shutdown.cancel();
}

#[tokio::test]
async fn a_worker_that_is_told_when_there_will_be_work_looks_then() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Delivery, &database).await;
    let (looked, mut looks) = mpsc::unbounded_channel();
    let wake = shell
        .worker("sample", "sample_channel")
        .slow_poll(NEVER)
        .spawn(move || {
            let looked = looked.clone();
            async move {
                let _ = looked.send(());
                Ok::<_, std::io::Error>(Did::Nothing)
            }
        });
    within_reason("the first look", looks.recv()).await;
    within_reason("the look after listening", looks.recv()).await;
    // The soonest counts, whatever is said after it.
    wake.wake_in(Duration::from_millis(10));
    wake.wake_in(NEVER);
    wake.wake_in(Duration::MAX);
    within_reason("the look at the time", looks.recv()).await;
    world.shutdown.cancel();
}

#[tokio::test]
async fn a_worker_outlives_errors_and_panics_and_takes_several_pieces_at_once() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Delivery, &database).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let (at_once, all_there) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, together, full) = (Arc::clone(&calls), Arc::clone(&at_once), Arc::clone(&all_there));
    shell
        .worker("sample", "sample_channel")
        .slow_poll(NEVER)
        .at_once(3)
        .spawn(move || {
            let (count, together, full) = (Arc::clone(&count), Arc::clone(&together), Arc::clone(&full));
            async move {
                match count.fetch_add(1, Ordering::SeqCst) {
                    0 => return Err(std::io::Error::other("first")),
                    1 => panic!("second"),
                    2 => return Ok(Did::Work),
                    _ => {}
                }
                if together.fetch_add(1, Ordering::SeqCst) + 1 >= 2 {
                    full.notify_one();
                }
                std::future::pending().await
            }
        });
    within_reason("two pieces at once", all_there.notified()).await;
    assert!(calls.load(Ordering::SeqCst) <= 6, "no more than three at once");
}

#[tokio::test]
async fn a_step_without_end_is_broken_off_and_repeated() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Delivery, &database).await;
    let (calls, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, second) = (Arc::clone(&calls), Arc::clone(&again));
    shell
        .worker("sample", "sample_channel")
        .slow_poll(NEVER)
        .patience(Duration::from_millis(20))
        .spawn(move || {
            let (count, second) = (Arc::clone(&count), Arc::clone(&second));
            async move {
                if count.fetch_add(1, Ordering::SeqCst) > 0 {
                    second.notify_one();
                    return Ok::<_, std::io::Error>(Did::Nothing);
                }
                std::future::pending().await
            }
        });
    within_reason("the second try", again.notified()).await;
}

#[tokio::test]
async fn a_worker_finishes_its_piece_when_the_service_stops() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Delivery, &database).await;
    let (begun, go_on, finished) = (
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(AtomicUsize::new(0)),
    );
    let (a, b, c) = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&finished));
    shell.worker("sample", "sample_channel").spawn(move || {
        let (a, b, c) = (Arc::clone(&a), Arc::clone(&b), Arc::clone(&c));
        async move {
            a.notify_one();
            b.notified().await;
            c.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(Did::Work)
        }
    });
    let (_, serving) = serve(shell, &Sample::default()).await;
    within_reason("the first piece", begun.notified()).await;
    world.shutdown.cancel();
    go_on.notify_one();
    within_reason("the end", serving).await.unwrap();
    assert_eq!(finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn audit_events_are_written_in_the_callers_transaction_and_never_changed() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Verification, &database).await;
    let event = AuditEvent::new("push.denied", serde_json::json!({"code": 7}))
        .ticket(&"42".parse().unwrap())
        .actor("person:o-1");
    let mut undone = shell.pool().begin().await.unwrap();
    shell.audit().record(&mut undone, &event).await.unwrap();
    undone.rollback().await.unwrap();
    let mut kept = shell.pool().begin().await.unwrap();
    shell.audit().record(&mut kept, &event).await.unwrap();
    kept.commit().await.unwrap();
    let rows: Vec<(String, String, Option<String>, String)> =
        sqlx::query_as("SELECT tenant_id, service, ticket_id, actor FROM audit_events")
            .fetch_all(&database.owner().await)
            .await
            .unwrap();
    let expected = (
        "test".to_owned(),
        "verification".to_owned(),
        Some("42".to_owned()),
        "person:o-1".to_owned(),
    );
    assert_eq!(rows, [expected]);
    for change in [
        "UPDATE audit_events SET kind = 'x'",
        "DELETE FROM audit_events",
        "SELECT * FROM audit_events",
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(change))
            .execute(shell.pool())
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("permission denied"),
            "{change}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_known_caller_at_the_wrong_door_is_put_on_record() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Delivery, &database).await;
    for _ in 0..20 {
        let token = world.token(Service::Executor, "delivery", b"{}");
        let refused = ask(&shell, post("/api/v1/sample/act", Some(&token), "{}")).await;
        assert_eq!(refused.status(), 403);
    }
    // The end of a service waits for what runs beside its answers.
    let (_, serving) = serve(shell, &Sample::default()).await;
    world.shutdown.cancel();
    within_reason("the end", serving).await.unwrap();
    let rows: Vec<(String, String, String, i64)> =
        sqlx::query_as("SELECT kind, actor, detail->>'route', (detail->>'count')::bigint FROM audit_events")
            .fetch_all(&database.owner().await)
            .await
            .unwrap();
    for (kind, actor, route, _) in &rows {
        assert_eq!(
            [kind, actor, route],
            ["access.refused", "service:executor", "POST /api/v1/sample/act"]
        );
    }
    assert_eq!(
        rows.iter().map(|row| row.3).sum::<i64>(),
        20,
        "each of them: {rows:?}"
    );
    assert!(rows.len() <= 3, "and not a row for each: {rows:?}");
}

#[tokio::test]
async fn strangers_are_on_record_the_first_of_a_kind_at_once_and_the_others_by_their_number() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let owner = database.owner().await;
    let shell = world.grounded(Service::Delivery, &database).await;
    let stranger = World::new().token(Service::Orchestration, "delivery", b"{}");
    for _ in 0..20 {
        for token in [None, Some("x.y.z"), Some(stranger.as_str())] {
            let refused = ask(&shell, post("/api/v1/sample/act", token, "{}")).await;
            assert_eq!(refused.status(), 401);
        }
    }
    let webhook = Refusal::Webhook {
        vendor: "twilio",
        sender: SentBy::Stranger,
        reason: "signature",
    };
    shell.refusals().note(webhook);
    for _ in 0..20 {
        shell.refusals().note(Refusal::Holder {
            kind: "sample.refused",
            reason: "unknown",
        });
    }
    // The end of a service waits for what runs beside its answers, and for what was only counted so far.
    let (_, serving) = serve(shell, &Sample::default()).await;
    world.shutdown.cancel();
    within_reason("the end", serving).await.unwrap();
    let rows: Vec<(String, String, String, i64, i64)> = sqlx::query_as(
        "SELECT kind, actor, COALESCE(detail->>'code', detail->>'reason'), count(*),
                sum((detail->>'count')::bigint)::bigint
         FROM audit_events
         GROUP BY 1, 2, 3
         ORDER BY 1, 3",
    )
    .fetch_all(&owner)
    .await
    .unwrap();
    let expected = [
        ("access.unproven", "token_malformed", 20),
        ("access.unproven", "token_missing", 20),
        ("access.unproven", "token_unknown_key", 20),
        ("sample.refused", "unknown", 20),
        ("webhook.refused", "signature", 1),
    ];
    for (row, (kind, code, count)) in rows.iter().zip(expected) {
        let (told, actor, why, events, all) = row;
        assert_eq!(
            (told.as_str(), actor.as_str(), why.as_str()),
            (kind, "stranger", code)
        );
        assert_eq!(*all, count, "each of them: {rows:?}");
        assert!(*events <= 3, "and not a row for each: {rows:?}");
    }
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
}

#[tokio::test]
async fn with_postgres_and_redis_the_service_is_ready_until_it_stops() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let shell = world.grounded(Service::Delivery, &database).await;
    let answer = ask(&shell, get("/readyz")).await;
    assert_eq!(answer.status(), 200, "{}", text(answer).await);
    world.shutdown.cancel();
    assert_eq!(ask(&shell, get("/readyz")).await.status(), 503);
}

#[tokio::test]
async fn a_service_waits_for_a_database_that_is_older_than_itself() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let owner = database.owner().await;
    let schema: i64 = sqlx::query_scalar("SELECT schema_version()")
        .fetch_one(&owner)
        .await
        .unwrap();
    assert_eq!(
        schema,
        chassis::health::SCHEMA,
        "set `SCHEMA` in chassis/src/health.rs"
    );
    let shell = world.grounded(Service::Delivery, &database).await;
    for (older, said) in [
        (
            "DELETE FROM _sqlx_migrations WHERE version = schema_version()",
            "it is at migration ",
        ),
        ("DROP FUNCTION schema_version()", "it is at a schema from before"),
    ] {
        sqlx::raw_sql(older).execute(&owner).await.unwrap();
        let answer = ask(&shell, get("/readyz")).await;
        assert_eq!(answer.status(), 503);
        let report: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
        let why = report["waiting_for"]["postgres"].as_str().unwrap();
        assert!(
            why.starts_with(said) && why.contains("firstline migrate"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_redis_that_answers_and_takes_no_keys_is_none() {
    let (world, database) = (World::new(), launcher::testing::database().await);
    let mut redis = redis::Client::open(database.redis_url().as_str())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    // As a standby does: everything is answered but what writes.
    let user = format!("reader-{}", world.kid(Service::Delivery));
    let mut acl = redis::cmd("ACL");
    acl.arg(&["SETUSER", &user, "on", "nopass", "~*", "+@all", "-@write"]);
    acl.exec_async(&mut redis).await.unwrap();
    let mut url = database.redis_url();
    url.set_username(&user).unwrap();
    url.set_password(Some("any")).unwrap();
    let standing = (database.url(Service::Delivery), url);
    let shell = world
        .standing_on(
            Service::Delivery,
            None,
            (standing.0.as_str(), standing.1.as_str()),
        )
        .await;
    let answer = ask(&shell, get("/readyz")).await;
    let mut acl = redis::cmd("ACL");
    acl.arg(&["DELUSER", &user]).exec_async(&mut redis).await.unwrap();
    assert_eq!(answer.status(), 200, "work goes on without");
    let report: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(report["degraded"], serde_json::json!(["redis"]));
}
