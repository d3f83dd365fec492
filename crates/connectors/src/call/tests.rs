//! What the sender promises for every client: when it repeats, when it gives up, and where it never goes.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const SHORT: Duration = Duration::from_millis(150);

fn caller() -> Caller {
    Caller::new(System::HaloPsa, http_client().unwrap())
}

fn get(caller: &Caller, url: &str) -> Call {
    Call::new("test", Repeat::Safe, caller.http.get(url)).within(SHORT)
}

fn post(caller: &Caller, url: &str) -> Call {
    Call::new("test", Repeat::Never, caller.http.post(url).body("x")).within(SHORT)
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/")).respond_with(answer).mount(&server).await;
    server
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_question_is_repeated_after_a_time_out_and_an_act_is_not() {
    let slow = server(ResponseTemplate::new(200).set_delay(Duration::from_secs(30))).await;
    let caller = caller();
    let asked = caller.call(get(&caller, &slow.uri())).await.err().unwrap();
    assert!(asked.is_busy(), "{asked}");
    assert_eq!(requests(&slow).await, 3);

    let acted = caller.call(post(&caller, &slow.uri())).await.err().unwrap();
    assert!(matches!(acted, CallError::Unknown { .. }), "{acted}");
    assert_eq!(requests(&slow).await, 4);
}

#[tokio::test]
async fn a_question_is_repeated_after_5xx_and_an_act_is_not() {
    let caller = caller();
    for status in [500, 502, 503, 504] {
        let failing = server(ResponseTemplate::new(status)).await;
        assert!(
            caller
                .call(get(&caller, &failing.uri()))
                .await
                .err()
                .unwrap()
                .is_busy()
        );
        assert_eq!(requests(&failing).await, 3);
        let acted = caller.call(post(&caller, &failing.uri())).await.err().unwrap();
        assert!(matches!(acted, CallError::Unknown { .. }), "{status}: {acted}");
        assert_eq!(requests(&failing).await, 4);
    }
}

#[tokio::test]
async fn a_question_that_succeeds_at_last_is_answered() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let caller = caller();
    assert_eq!(
        caller
            .call(get(&caller, &server.uri()))
            .await
            .ok()
            .unwrap()
            .status
            .as_u16(),
        200
    );
}

#[tokio::test]
async fn a_throttled_act_is_repeated_after_the_wait() {
    let server = MockServer::start().await;
    let throttled = ResponseTemplate::new(429).insert_header("retry-after", "1");
    Mock::given(method("POST"))
        .respond_with(throttled)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(201))
        .mount(&server)
        .await;
    let caller = caller();
    let begun = Instant::now();
    assert_eq!(
        caller
            .call(post(&caller, &server.uri()))
            .await
            .ok()
            .unwrap()
            .status
            .as_u16(),
        201
    );
    assert!(begun.elapsed() >= Duration::from_secs(1), "it did not wait");
}

#[tokio::test]
async fn a_long_wait_is_the_callers_and_an_absurd_one_is_capped() {
    let caller = caller();
    for (header, expected) in [("60", 60), ("86400", LONGEST_WAIT.as_secs())] {
        let server = server(ResponseTemplate::new(429).insert_header("retry-after", header)).await;
        let error = caller.call(get(&caller, &server.uri())).await.err().unwrap();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)));
        assert_eq!(requests(&server).await, 1);
    }
    let until = ResponseTemplate::new(429)
        .insert_header("date", "Tue, 10 Feb 2026 09:00:00 GMT")
        .insert_header("retry-after", "Tue, 10 Feb 2026 09:01:00 GMT");
    let error = caller
        .call(get(&caller, &server(until).await.uri()))
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.retry_after(),
        Some(Duration::from_mins(1)),
        "by their clock"
    );
    let both = ResponseTemplate::new(429)
        .insert_header("retry-after", "60")
        .insert_header("retry-after-ms", "7500");
    let error = caller
        .call(get(&caller, &server(both).await.uri()))
        .await
        .err()
        .unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_millis(7_500)));
}

#[tokio::test]
async fn an_act_that_could_not_connect_did_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let caller = caller();
    let error = caller.call(post(&caller, &address)).await.err().unwrap();
    assert!(error.is_busy(), "{error}");
}

#[tokio::test]
async fn an_act_whose_connection_broke_may_have_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let mut connections = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections += 1;
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            // Half an answer, then nothing.
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
                .await;
            drop(stream);
            if connections == 2 {
                break;
            }
        }
    });
    let caller = caller();
    let error = caller.call(post(&caller, &address)).await.err().unwrap();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert!(!served.is_finished(), "it was sent twice");
    served.abort();
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = server(ResponseTemplate::new(200)).await;
    let here = server(ResponseTemplate::new(307).insert_header("location", elsewhere.uri().as_str())).await;
    let caller = caller();
    let answer = caller.call(get(&caller, &here.uri())).await.ok().unwrap();
    assert_eq!(answer.status.as_u16(), 307);
    assert_eq!(requests(&elsewhere).await, 0);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let endless = server(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 100_000])).await;
    let caller = caller();
    let mut call = post(&caller, &endless.uri()).within(Duration::from_secs(5));
    call.limit_bytes = 10_000;
    let error = caller.call(call).await.err().unwrap();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn our_own_limit_of_requests_is_kept() {
    let server = server(ResponseTemplate::new(200)).await;
    let caller = caller().limited(Some(2), None);
    for _ in 0..2 {
        assert!(caller.call(get(&caller, &server.uri())).await.is_ok());
    }
    let error = caller.call(get(&caller, &server.uri())).await.err().unwrap();
    assert!(error.retry_after().unwrap() > Duration::from_mins(4), "{error}");
    assert_eq!(requests(&server).await, 2);
}

#[tokio::test]
async fn an_error_shows_no_address() {
    let caller = caller();
    let error = caller
        .call(get(&caller, "http://127.0.0.1:9/users/maya@northwind.example"))
        .await
        .err()
        .unwrap();
    assert!(!format!("{error} {error:?}").contains("maya"), "{error:?}");
}

fn authorized(server: &MockServer) -> Authorized {
    let form = vec![("client_secret", "s3cret".into())];
    let url = format!("{}/token", server.uri()).parse().unwrap();
    Authorized::new(caller(), System::HaloPsa, url, form, Duration::from_mins(1))
}

async fn token_endpoint(server: &MockServer, life: u64) {
    let granted = serde_json::json!({"access_token": "t", "expires_in": life});
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(granted))
        .mount(server)
        .await;
}

async fn tokens(server: &MockServer) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .filter(|request| request.url.path() == "/token")
        .count()
}

#[tokio::test]
async fn many_callers_share_one_token() {
    let server = server(ResponseTemplate::new(200)).await;
    token_endpoint(&server, 3600).await;
    let authorized = authorized(&server);
    let uri = server.uri();
    let calls = (0..8).map(|_| authorized.call(|| get(&authorized.caller, &uri)));
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(tokens(&server).await, 1);
}

#[tokio::test]
async fn a_401_gets_a_new_token_and_one_more_try_exactly() {
    let server = server(ResponseTemplate::new(401)).await;
    token_endpoint(&server, 3600).await;
    let authorized = authorized(&server);
    let error = authorized
        .call(|| post(&authorized.caller, &server.uri()))
        .await
        .err()
        .unwrap();
    assert!(error.is_refused("unauthorized"), "{error}");
    assert_eq!((tokens(&server).await, requests(&server).await), (2, 4));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let server = server(ResponseTemplate::new(200)).await;
    token_endpoint(&server, 0).await;
    let authorized = authorized(&server);
    for _ in 0..2 {
        assert!(
            authorized
                .call(|| get(&authorized.caller, &server.uri()))
                .await
                .is_ok()
        );
    }
    assert_eq!(tokens(&server).await, 2);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_without_telling_it() {
    let server = MockServer::start().await;
    let refused = serde_json::json!({
        "error": "invalid_client", "error_description": "secret s3cret is wrong", "error_codes": [7_000_215],
    });
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(401).set_body_json(refused))
        .mount(&server)
        .await;
    let authorized = authorized(&server);
    let error = authorized
        .call(|| get(&authorized.caller, &server.uri()))
        .await
        .err()
        .unwrap();
    assert!(error.is_refused("invalid_client"));
    assert!(error.to_string().contains("AADSTS7000215"));
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_token_that_is_still_good_serves_while_its_issuer_is_away() {
    let server = server(ResponseTemplate::new(200)).await;
    // Renewed after half its life, good for the other half.
    let granted = serde_json::json!({"access_token": "t", "expires_in": 4});
    let first = ResponseTemplate::new(200).set_body_json(granted);
    Mock::given(path("/token"))
        .respond_with(first)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&server)
        .await;
    let authorized = authorized(&server);
    let deadline = Instant::now() + Duration::from_millis(3500);
    while tokens(&server).await < 4 && Instant::now() < deadline {
        let answered = authorized.call(|| get(&authorized.caller, &server.uri())).await;
        assert!(answered.is_ok(), "{}", answered.err().unwrap());
    }
    assert!(tokens(&server).await >= 4, "it was not renewed");
}

#[tokio::test]
async fn those_who_queued_behind_a_failed_renewal_fail_with_it() {
    let server = server(ResponseTemplate::new(200)).await;
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&server)
        .await;
    let authorized = authorized(&server);
    let uri = server.uri();
    let calls = (0..8).map(|_| authorized.call(|| get(&authorized.caller, &uri)));
    let failed = futures::future::join_all(calls).await;
    assert!(
        failed
            .iter()
            .all(|failed| failed.as_ref().err().is_some_and(CallError::is_busy))
    );
    assert_eq!(tokens(&server).await, 3);
}

#[tokio::test]
async fn a_503_that_means_not_taken_lets_even_an_act_be_repeated() {
    let server = server(ResponseTemplate::new(503)).await;
    let caller = caller();
    let mut call = post(&caller, &server.uri());
    call.not_taken_on_503 = Some(Duration::MAX);
    let error = caller.call(call).await.err().unwrap();
    assert!(error.is_busy(), "{error}");
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}
