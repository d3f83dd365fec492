//! What opens a door and what does not: tokens, permits, ids. Who may pass which one is in `matrix.rs`.

use common::Service;
use common::problem::Problem;
use launcher::testing::TestFleet;
use time::OffsetDateTime;

use crate::{ADELE, assert_no_effect, fleet};

/// Ask the service `at` the other end as `caller` would, with a token over exactly this body. Answers status and text.
pub(crate) async fn call(
    fleet: &TestFleet,
    caller: Service,
    at: Service,
    method: &str,
    path: &str,
    body: &[u8],
    key: Option<&str>,
) -> (u16, String) {
    let identity = fleet.identity(caller);
    let now = OffsetDateTime::now_utc();
    let token = trust::token::issue(&identity, at.name(), body, now, uuid::Uuid::now_v7()).unwrap();
    knock(fleet, at, method, path, body, Some(&token), key).await
}

pub(crate) async fn knock(
    fleet: &TestFleet,
    callee: Service,
    method: &str,
    path: &str,
    body: &[u8],
    token: Option<&str>,
    key: Option<&str>,
) -> (u16, String) {
    let url = fleet.fleet.url(callee).join(path).unwrap();
    let http = common::client::http_client(crate::SOON).unwrap();
    let mut request = http
        .request(method.parse().unwrap(), url)
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let response = request.body(body.to_vec()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_body_its_callee_and_its_minute() {
    let fleet = fleet().await;
    let identity = fleet.identity(Service::Classifier);
    let now = OffsetDateTime::now_utc();
    let path = "/api/v1/orchestration/execute_playbook";
    let issue = |audience: &str, body: &[u8], at: OffsetDateTime| {
        trust::token::issue(&identity, audience, body, at, uuid::Uuid::now_v7()).unwrap()
    };
    let sound = issue("orchestration", b"{}", now);
    let (status, _) = knock(
        &fleet,
        Service::Orchestration,
        "POST",
        path,
        b"{}",
        Some(&sound),
        None,
    )
    .await;
    assert!(
        matches!(status, 400 | 422),
        "past the door, the body is judged: {status}"
    );
    for (why, token, body) in [
        ("another body", issue("orchestration", b"{\"a\":1}", now), b"{}"),
        ("another callee", issue("executor", b"{}", now), b"{}"),
        (
            "expired",
            issue("orchestration", b"{}", now - time::Duration::minutes(3)),
            b"{}",
        ),
        (
            "not yet",
            issue("orchestration", b"{}", now + time::Duration::minutes(3)),
            b"{}",
        ),
        ("no token at all", "e30.e30.e30".to_owned(), b"{}"),
    ] {
        let (status, text) = knock(
            &fleet,
            Service::Orchestration,
            "POST",
            path,
            body,
            Some(&token),
            None,
        )
        .await;
        assert_eq!(status, 401, "{why}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_executor_does_nothing_for_an_orchestrator_without_a_permit() {
    let fleet = fleet().await;
    let person = fleet.world().person(ADELE);
    let request = |permit: serde_json::Value| {
        serde_json::json!({
            "tenant_id": "default", "execution_id": uuid::Uuid::now_v7(), "ticket_id": "1",
            "step": {"id": "reset_password", "visit": 1, "attempt": 1}, "action": "executor.reset_password",
            "subject": {"tenant_id": "default", "user_id": person.id}, "parameters": {},
            "deadline": "2100-01-01T00:00:00Z", "permit": permit,
        })
    };
    for permit in [
        serde_json::Value::Null,
        "".into(),
        "e30.e30.".into(),
        "x".repeat(100_000).into(),
    ] {
        let body = request(permit).to_string();
        let path = "/api/v1/executor/reset_password";
        let (status, text) = call(
            &fleet,
            Service::Orchestration,
            Service::Executor,
            "POST",
            path,
            body.as_bytes(),
            None,
        )
        .await;
        assert!((400..500).contains(&status), "{status}: {text}");
    }
    assert_no_effect(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_tells_how_it_is_and_what_it_offers() {
    let fleet = fleet().await;
    for service in Service::ALL {
        for (path, expected) in [
            ("/healthz", "alive"),
            ("/readyz", "degraded"),
            ("/metrics", "# TYPE"),
            ("/openapi.json", "\"openapi\""),
            ("/docs", "<html"),
        ] {
            let (status, text) = knock(&fleet, service, "GET", path, b"", None, None).await;
            assert_eq!(status, 200, "{service}{path}: {text}");
            assert!(
                text.contains(expected),
                "{service}{path} says `{expected}`: {}",
                &text[..text.len().min(300)]
            );
        }
        let (status, text) = knock(&fleet, service, "GET", "/api/v1/nowhere", b"", None, None).await;
        assert_eq!(status, 404);
        assert!(serde_json::from_str::<Problem>(&text).is_ok(), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_is_refused_with_a_problem() {
    let fleet = fleet().await;
    let token = fleet
        .world()
        .token_for("grady@contoso.example", &["admin", "operator", "auditor"]);
    for (service, path, code) in [
        (Service::Classifier, "/api/v1/decisions/%00", "path_invalid"),
        (
            Service::Orchestration,
            "/api/v1/orchestration/executions/abc",
            "path_invalid",
        ),
        (
            Service::Playbook,
            "/api/v1/playbooks/password_reset?versoin=1.2",
            "query_invalid",
        ),
        (
            Service::Playbook,
            "/api/v1/playbooks/password_reset?version=1&version=2",
            "query_invalid",
        ),
    ] {
        let (status, text) = knock(&fleet, service, "GET", path, b"", Some(&token), None).await;
        assert_eq!(status, 400, "{path}: {text}");
        assert_eq!(
            serde_json::from_str::<Problem>(&text).unwrap().code,
            code,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_of_each_service_says_what_its_doors_do() {
    let fleet = fleet().await;
    for service in Service::ALL {
        let (_, text) = knock(&fleet, service, "GET", "/openapi.json", b"", None, None).await;
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(
            document["info"]["contact"].is_null(),
            "{service} belongs to nobody else"
        );
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                for (status, response) in responses {
                    let described = response["description"]
                        .as_str()
                        .is_some_and(|text| !text.is_empty());
                    assert!(described, "{service}: {method} {path} {status} is described");
                }
                // A link on a ticket proves itself by its code, to a person with a browser.
                if path.starts_with("/webhooks/") || path.starts_with("/suggestions/") {
                    continue;
                }
                assert!(
                    operation["security"].is_array(),
                    "{service}: {method} {path} asks for a token"
                );
                let refusal = &responses["401"]["content"]["application/problem+json"]["schema"];
                assert!(
                    refusal.is_object(),
                    "{service}: {method} {path} refuses with a problem"
                );
                let keyed = operation["parameters"].to_string().contains("Idempotency-Key");
                assert_eq!(keyed, method == "post", "{service}: {method} {path} takes a key");
            }
        }
    }
}
