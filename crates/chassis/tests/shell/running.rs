//! Limits, refusals, health, pages, traces and the end.

use std::sync::atomic::Ordering;

use common::Service;
use http::Request;
use http::header::CONTENT_LENGTH;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Sample, World, ask, get, post, problem, serve, text};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_body_of_two_mebibytes_passes_and_one_byte_more_is_413() {
    let shell = World::new().shell(Service::Classifier, None).await;
    let fits = ask(&shell, post("/webhooks/vendor/event", None, vec![b'x'; 2 * MIB])).await;
    assert_eq!(fits.status(), 202);
    let refused = ask(
        &shell,
        post("/webhooks/vendor/event", None, vec![b'x'; 2 * MIB + 1]),
    )
    .await;
    assert_eq!(refused.headers()["connection"], "close");
    assert_eq!(problem(refused).await.code, "body_too_large");
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_unread() {
    let shell = World::new().shell(Service::Classifier, None).await;
    let request = Request::post("/webhooks/vendor/event")
        .header(CONTENT_LENGTH, 3 * MIB)
        .body(axum::body::Body::from("little"))
        .unwrap();
    assert_eq!(problem(ask(&shell, request).await).await.status, 413);
}

#[tokio::test]
async fn who_writes_too_much_can_read_why_it_was_refused() {
    let world = World::new();
    let shell = world.shell(Service::Classifier, None).await;
    let (url, serving) = serve(shell, &Sample::default()).await;
    let mut stream = TcpStream::connect(url.socket_addrs(|| None).unwrap()[0])
        .await
        .unwrap();
    let head = format!(
        "POST /webhooks/vendor/event HTTP/1.1\r\nhost: firstline\r\ncontent-length: {}\r\n\r\n",
        12 * MIB
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // More than the socket's buffers hold: were the body left unread, the writing would fail before anything is read.
    stream.write_all(&vec![b'x'; 12 * MIB]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
    world.shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn broken_json_unknown_paths_and_wrong_methods_are_problems() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    let broken = "{\"what\":";
    let token = world.token(Service::Orchestration, "executor", broken.as_bytes());
    let answer = problem(ask(&shell, post("/api/v1/sample/act", Some(&token), broken)).await).await;
    assert_eq!((answer.status, answer.code.as_str()), (400, "json_broken"));
    let answer = problem(ask(&shell, get("/nowhere")).await).await;
    assert_eq!((answer.status, answer.code.as_str()), (404, "no_such_path"));
    let answer = problem(ask(&shell, get("/api/v1/sample/act")).await).await;
    assert_eq!((answer.status, answer.code.as_str()), (405, "method_not_allowed"));
}

#[tokio::test]
async fn what_breaks_inside_is_a_500_that_tells_nothing() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    for path in ["/api/v1/sample/panic", "/api/v1/sample/fail"] {
        for key in [None, Some("k")] {
            let token = world.token(Service::Orchestration, "executor", b"");
            let mut request = post(path, Some(&token), "");
            if let Some(key) = key {
                request
                    .headers_mut()
                    .insert("idempotency-key", key.parse().unwrap());
            }
            let answer = problem(ask(&shell, request).await).await;
            assert_eq!(answer.code, "internal_error");
            assert!(!answer.to_string().contains("4711"));
            assert!(answer.instance.is_some(), "the request id leads to the log");
        }
    }
}

#[tokio::test]
async fn without_redis_keyed_requests_go_on_and_bad_keys_are_refused() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    let body = r#"{"what":"x"}"#;
    for (key, status) in [("a/b/1/1", 200), ("with space", 400), (&*"k".repeat(256), 400)] {
        let token = world.token(Service::Orchestration, "executor", body.as_bytes());
        let mut request = post("/api/v1/sample/act", Some(&token), body);
        request
            .headers_mut()
            .insert("idempotency-key", key.parse().unwrap());
        assert_eq!(ask(&shell, request).await.status(), status, "{key}");
    }
}

#[tokio::test]
async fn without_postgres_the_service_lives_and_is_not_ready() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    assert_eq!(ask(&shell, get("/healthz")).await.status(), 200);
    shell.readiness().degraded("mail", "no answer");
    let answer = ask(&shell, get("/readyz")).await;
    assert_eq!(answer.status(), 503);
    let report: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
    assert!(report["waiting_for"]["postgres"].is_string(), "{report}");
    assert_eq!(report["degraded"], serde_json::json!(["redis", "mail"]));
}

#[tokio::test]
async fn the_api_describes_itself_as_a_document_and_as_a_page_without_outside_help() {
    let shell = World::new().shell(Service::Executor, None).await;
    let document: serde_json::Value =
        serde_json::from_str(&text(ask(&shell, get("/openapi.json")).await).await).unwrap();
    assert_eq!(document["info"]["title"], "Firstline executor");
    assert!(document["paths"]["/api/v1/sample/act"]["post"].is_object());
    let page = text(ask(&shell, get("/docs")).await).await;
    assert!(page.contains("/api/v1/sample/act") && page.contains("Do something."));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
}

#[tokio::test]
async fn metrics_tell_services_and_routes_apart() {
    let shell = World::new().shell(Service::Verification, None).await;
    let _ = ask(&shell, get("/api/v1/sample/look")).await;
    let metrics = text(ask(&shell, get("/metrics")).await).await;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("firstline_http_requests_total") && line.contains("verification"));
    assert!(
        line.is_some_and(|line| line.contains("/api/v1/sample/look") && line.contains("401")),
        "{metrics}"
    );
}

#[tokio::test]
async fn one_call_from_service_to_service_is_one_trace_and_one_request_id() {
    chassis::telemetry::install_quiet();
    let world = World::new();
    let executor = world.shell(Service::Executor, None).await;
    let caller = world.shell(Service::Orchestration, None).await;
    let (url, serving) = serve(executor, &Sample::default()).await;
    let mut headers = http::HeaderMap::new();
    let body = br#"{"what":"x"}"#;
    let span = tracing::info_span!("ticket");
    chassis::telemetry::adopt(
        &span,
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    );
    let outbound = chassis::request_id::scope("ticket-7".to_owned(), async {
        span.in_scope(|| caller.outbound().decorate("executor", body, &mut headers));
        caller
            .http()
            .post(url.join("/api/v1/sample/act").unwrap())
            .headers(headers)
            .header("content-type", "application/json")
            .body(body.to_vec())
            .send()
            .await
            .unwrap()
    });
    let answer: serde_json::Value = outbound.await.json().await.unwrap();
    assert_eq!(answer["request"], "ticket-7");
    let trace = answer["trace"].as_str().unwrap();
    assert!(
        trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{trace}"
    );
    world.shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_request_under_way_finishes_when_the_service_is_told_to_stop() {
    let world = World::new();
    let shell = world.shell(Service::Executor, None).await;
    let sample = Sample::default();
    let (url, serving) = serve(shell.clone(), &sample).await;
    let token = world.token(Service::Orchestration, "executor", b"");
    let slow = shell
        .http()
        .get(url.join("/api/v1/sample/slow").unwrap())
        .bearer_auth(token);
    let asking = tokio::spawn(async move { slow.send().await.unwrap().text().await.unwrap() });
    sample.entered.notified().await;
    world.shutdown.cancel();
    // New callers are turned away while the old one is still served.
    while TcpStream::connect(url.socket_addrs(|| None).unwrap()[0])
        .await
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    assert!(!asking.is_finished() && !serving.is_finished());
    sample.leave.notify_one();
    assert_eq!(asking.await.unwrap(), "finished");
    serving.await.unwrap();
    assert_eq!(sample.done.load(Ordering::SeqCst), 0);
}
