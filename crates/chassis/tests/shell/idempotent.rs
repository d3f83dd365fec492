//! The same key and body does the thing once; on a real Redis.

use std::sync::atomic::Ordering;

use axum::body::Body;
use chassis::Shell;
use common::Service;
use http::Request;
use launcher::testing::TestDatabase;

use crate::world::{Sample, World, ask_of, post, problem, text};

const ACT: &str = "/api/v1/sample/act";
const BODY: &str = r#"{"what":"reset the password of 4711"}"#;

struct Story {
    world: World,
    database: TestDatabase,
    shell: Shell,
    sample: Sample,
}

impl Story {
    async fn begin() -> Self {
        let world = World::new();
        let database = launcher::testing::database().await;
        let shell = world.grounded(Service::Executor, &database).await;
        Self {
            world,
            database,
            shell,
            sample: Sample::default(),
        }
    }

    fn request(&self, caller: Service, path: &str, key: &str, body: &'static str) -> Request<Body> {
        let token = self.world.token(caller, "executor", body.as_bytes());
        let mut request = post(path, Some(&token), body);
        request
            .headers_mut()
            .insert("idempotency-key", key.parse().unwrap());
        request
    }

    async fn act(&self, caller: Service, key: &str, body: &'static str) -> axum::response::Response {
        ask_of(&self.shell, &self.sample, self.request(caller, ACT, key, body)).await
    }

    fn done(&self) -> usize {
        self.sample.done.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_same_key_and_body_replays_the_stored_answer() {
    let story = Story::begin().await;
    let first = story.act(Service::Orchestration, "k", BODY).await;
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let first = text(first).await;
    let again = story.act(Service::Orchestration, "k", BODY).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.headers()["content-type"], "application/json");
    assert_eq!(text(again).await, first);
    assert_eq!(story.done(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_422_and_does_nothing() {
    let story = Story::begin().await;
    let _ = story.act(Service::Orchestration, "k", BODY).await;
    let refused = problem(story.act(Service::Orchestration, "k", r#"{"what":"else"}"#).await).await;
    assert_eq!(
        (refused.status, refused.code.as_str()),
        (422, "idempotency_mismatch")
    );
    assert_eq!(story.done(), 1);
}

#[tokio::test]
async fn keys_belong_to_their_caller_and_no_stored_answer_passes_a_door() {
    let story = Story::begin().await;
    let _ = story.act(Service::Orchestration, "k", BODY).await;
    let other = story.act(Service::Classifier, "k", BODY).await;
    assert!(text(other).await.contains("service:classifier"));
    assert_eq!(story.done(), 2);
    let stranger = problem(story.act(Service::Delivery, "k", BODY).await).await;
    assert_eq!(stranger.status, 403);
}

#[tokio::test]
async fn an_outage_is_not_stored_and_the_same_key_may_come_again_with_another_body() {
    let story = Story::begin().await;
    let away = story.request(
        Service::Orchestration,
        "/api/v1/sample/away_once",
        "k",
        r#"{"deadline":1}"#,
    );
    assert_eq!(ask_of(&story.shell, &story.sample, away).await.status(), 503);
    let again = story.request(
        Service::Orchestration,
        "/api/v1/sample/away_once",
        "k",
        r#"{"deadline":2}"#,
    );
    assert_eq!(
        text(ask_of(&story.shell, &story.sample, again).await).await,
        "here"
    );
}

#[tokio::test]
async fn a_key_in_flight_is_409_and_its_work_ends_though_the_caller_went_away() {
    let story = Story::begin().await;
    let slow = || story.request(Service::Orchestration, "/api/v1/sample/slow_act", "k", "");
    let mut first = Box::pin(ask_of(&story.shell, &story.sample, slow()));
    tokio::select! {
        () = story.sample.entered.notified() => {}
        _ = &mut first => panic!("it ends only when told"),
    }
    let refused = ask_of(&story.shell, &story.sample, slow()).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await.code, "idempotency_in_flight");
    drop(first);
    story.sample.leave.notify_one();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            let answer = ask_of(&story.shell, &story.sample, slow()).await;
            if answer.status() == 200 {
                return answer;
            }
        }
    })
    .await
    .expect("the answer is stored before long");
    assert_eq!(answer.headers()["idempotent-replayed"], "true");
    assert_eq!(story.done(), 1);
}

#[tokio::test]
async fn another_body_is_refused_only_once_there_is_an_answer() {
    let story = Story::begin().await;
    let slow = |body| story.request(Service::Orchestration, "/api/v1/sample/slow_act", "k", body);
    let mut first = Box::pin(ask_of(&story.shell, &story.sample, slow("deadline 1")));
    tokio::select! {
        () = story.sample.entered.notified() => {}
        _ = &mut first => panic!("it ends only when told"),
    }
    let meanwhile = problem(ask_of(&story.shell, &story.sample, slow("deadline 2")).await).await;
    assert_eq!(
        (meanwhile.status, meanwhile.code.as_str()),
        (409, "idempotency_in_flight")
    );
    story.sample.leave.notify_one();
    assert_eq!(first.await.status(), 200);
    let afterwards = problem(ask_of(&story.shell, &story.sample, slow("deadline 2")).await).await;
    assert_eq!(
        (afterwards.status, afterwards.code.as_str()),
        (422, "idempotency_mismatch")
    );
    assert_eq!(story.done(), 1);
}

#[tokio::test]
async fn redis_never_sees_what_was_asked() {
    let story = Story::begin().await;
    let away = story.request(Service::Orchestration, "/api/v1/sample/away_once", "k", BODY);
    let _ = ask_of(&story.shell, &story.sample, away).await;
    let again = story.request(
        Service::Orchestration,
        "/api/v1/sample/away_once",
        "secret-key",
        BODY,
    );
    let _ = ask_of(&story.shell, &story.sample, again).await;
    let client = redis::Client::open(story.database.redis_url().as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    assert_eq!(names.len(), 1, "the outage left nothing: {names:?}");
    let entry: String = redis::cmd("GET")
        .arg(&names[0])
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(
        !entry.contains("4711") && !names[0].contains("secret-key"),
        "{names:?} {entry}"
    );
    let seconds: i64 = redis::cmd("TTL")
        .arg(&names[0])
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!((86_000..=86_400).contains(&seconds), "{seconds}");
}
