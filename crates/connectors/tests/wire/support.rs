//! A server that plays a vendor, and looks into what it was sent.

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// Answers with JSON.
pub(crate) fn answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

/// From now on, `verb at` is answered so.
pub(crate) async fn on(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Once, `verb at` is answered so; mount it before what comes after.
pub(crate) async fn once(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .up_to_n_times(1)
        .mount(server)
        .await;
}

/// A token for whoever asks.
pub(crate) async fn tokens(server: &MockServer, at: &str) {
    let granted = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "the-token" });
    on(server, "POST", at, answer(200, &granted)).await;
}

/// Everything that arrived but requests for tokens.
pub(crate) async fn arrived(server: &MockServer) -> Vec<Request> {
    let requests = server.received_requests().await.unwrap();
    requests
        .into_iter()
        .filter(|request| !request.url.path().ends_with("/token"))
        .collect()
}

/// The one request that arrived but requests for tokens.
pub(crate) async fn only(server: &MockServer) -> Request {
    let mut requests = arrived(server).await;
    let seen: Vec<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.url))
        .collect();
    assert_eq!(requests.len(), 1, "{seen:?}");
    requests.remove(0)
}

/// The form of the first request for a token.
pub(crate) async fn token_form(server: &MockServer) -> Vec<(String, String)> {
    let requests = server.received_requests().await.unwrap();
    let request = requests
        .iter()
        .find(|request| request.url.path().ends_with("/token"))
        .unwrap();
    form(request)
}

/// A form.
pub(crate) fn form(request: &Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

/// The value of a header.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The query, decoded.
pub(crate) fn query(request: &Request) -> Vec<(String, String)> {
    request.url.query_pairs().into_owned().collect()
}

/// Pairs as owned text.
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
