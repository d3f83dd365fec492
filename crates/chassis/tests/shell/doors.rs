//! Who passes, who does not, and what they are told.

use chassis::{Api, Caller};
use common::Service;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::world::{World, ask, get, post, problem, text};

const ACT: &str = "/api/v1/sample/act";
const BODY: &str = r#"{"what":"reset"}"#;

#[tokio::test]
async fn the_right_service_with_the_right_token_passes_and_is_known() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    let token = world.token(Service::Orchestration, "executor", BODY.as_bytes());
    let answer = ask(&shell, post(ACT, Some(&token), BODY)).await;
    assert_eq!(answer.status(), 200);
    let answer: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(answer["by"], "service:orchestration");
}

#[tokio::test]
async fn no_token_is_401_and_the_wrong_caller_is_403() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    let answer = ask(&shell, post(ACT, None, BODY)).await;
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(problem(answer).await.code, "token_missing");

    let token = world.token(Service::Delivery, "executor", BODY.as_bytes());
    let refused = problem(ask(&shell, post(ACT, Some(&token), BODY)).await).await;
    assert_eq!(
        (refused.status, refused.code.as_str()),
        (403, "caller_not_allowed")
    );
    assert!(refused.detail.contains("service:delivery"), "{}", refused.detail);
}

#[tokio::test]
async fn a_token_for_another_body_another_service_or_of_another_fleet_is_401() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    let tokens = [
        world.token(Service::Orchestration, "executor", b"another body"),
        world.token(Service::Orchestration, "delivery", BODY.as_bytes()),
        World::new().token(Service::Orchestration, "executor", BODY.as_bytes()),
        "rubbish".to_owned(),
    ];
    for token in tokens {
        let refused = problem(ask(&shell, post(ACT, Some(&token), BODY)).await).await;
        assert_eq!(refused.status, 401, "{refused}");
    }
}

#[tokio::test]
async fn a_person_without_an_issuer_is_told_what_to_set() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    let refused = problem(ask(&shell, get("/api/v1/sample/look")).await).await;
    assert_eq!(refused.status, 401);
    assert!(refused.detail.contains("OIDC_ISSUER"), "{}", refused.detail);
}

/// A route that is no webhook.
#[utoipa::path(get, path = "/api/v1/open", responses((status = 200)))]
async fn open(_: Caller) {}

#[tokio::test]
#[should_panic(expected = "`/api/v1/open` is no webhook")]
async fn a_route_cannot_slip_in_among_the_webhooks() {
    let shell = World::new().shell(Service::Executor, None).await;
    let _ = Api::new(&shell).webhooks(OpenApiRouter::new().routes(routes!(open)));
}

#[tokio::test]
#[should_panic(expected = "`GET /api/v1/open` has no door")]
async fn a_route_without_a_row_in_the_table_is_not_mounted() {
    let shell = World::new().shell(Service::Executor, None).await;
    let _ = Api::new(&shell).guarded(OpenApiRouter::new().routes(routes!(open)));
}
