//! Whose time counts. A program of its own, because what is known of clocks belongs to the whole process.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what fails here fails the test"
)]

#[path = "shell/world.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod world;

use common::Service;
use common::clock::{self, Reading};
use time::Duration;

use world::{World, ask, post, problem};

const BODY: &str = r#"{"what":"x"}"#;

/// From here on the machine's clock is off by as much.
fn put_off_by(ahead: Duration) {
    let now = clock::machine();
    let reading = Reading {
        asked: now,
        there: now + ahead,
        answered: now,
    };
    clock::learn(reading);
    assert_eq!(clock::ahead(), Some(ahead));
}

fn is_right() -> bool {
    clock::ahead().is_some_and(|ahead| ahead.abs() < Duration::SECOND)
}

#[tokio::test]
async fn a_service_goes_by_the_clock_of_its_database_from_the_start_and_with_every_connection() {
    let world = World::new();
    let call = || {
        let token = world.token(Service::Orchestration, "executor", BODY.as_bytes());
        post("/api/v1/sample/act", Some(&token), BODY)
    };

    put_off_by(Duration::minutes(3));
    let alone = world.shell(Service::Executor, None).await;
    assert_eq!(problem(ask(&alone, call()).await).await.code, "token_expired");
    put_off_by(Duration::minutes(-3));
    assert_eq!(
        problem(ask(&alone, call()).await).await.code,
        "token_not_yet_valid"
    );

    let database = launcher::testing::database().await;
    let shell = world.grounded(Service::Executor, &database).await;
    assert!(is_right(), "{:?}", clock::ahead());

    put_off_by(Duration::minutes(3));
    shell.pool().acquire().await.unwrap();
    assert!(is_right(), "{:?}", clock::ahead());
    assert!(ask(&shell, call()).await.status().is_success());
}
