//! The MFA connector: how we come to hold its token, against the extract of Graph; and the push, against the contract.

use std::time::Duration;

use connectors::entra::Entra;
use connectors::entra::mfa::{Mfa, NotPossible, Push, PushOutcome};
use connectors::{CallError, http_client};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use wiremock::{MockServer, ResponseTemplate};

use crate::entra::{settings, spec};
use crate::support::{answer, form, header, on, once, pairs, tokens};

const UPN: &str = "maya.okafor@northwind.example";
const CONNECTOR: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";
const V1: &str = "/login/contoso/oauth2/token";
const BEGIN: &str = "/StrongAuthenticationService.svc/Connector/BeginTwoWayAuthentication";

fn push(wait: Duration) -> Push {
    Push {
        user_principal_name: UPN.to_owned(),
        context: Uuid::new_v4(),
        wait,
    }
}

fn said(value: &str, result: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(
        format!(
            "<BeginTwoWayAuthenticationResponse><Result><Value>{value}</Value><Retry>false</Retry></Result>\
             <AuthenticationResult>{result}</AuthenticationResult><UserPrincipalName>{UPN}</UserPrincipalName>\
             </BeginTwoWayAuthenticationResponse>"
        ),
        "application/xml",
    )
}

fn v1_token() -> ResponseTemplate {
    answer(
        200,
        &json!({ "token_type": "Bearer", "expires_in": "3599", "access_token": "mfa-token" }),
    )
}

fn not_known_yet() -> ResponseTemplate {
    answer(
        401,
        &json!({ "error": "invalid_client", "error_codes": [7_000_215] }),
    )
}

fn connector(server: &MockServer) -> Url {
    let connector = format!("{}/StrongAuthenticationService.svc/Connector", server.uri());
    connector.parse().unwrap()
}

async fn start() -> (MockServer, Mfa) {
    let server = MockServer::start().await;
    tokens(&server, "/login/contoso/oauth2/v2.0/token").await;
    let added = json!({ "keyId": "f0b0b335-0000-4000-8000-000000000020", "secretText": "q7D8Q~" });
    on(
        &server,
        "POST",
        "/v1.0/servicePrincipals/sp-1/addPassword",
        answer(200, &added),
    )
    .await;
    on(
        &server,
        "POST",
        "/v1.0/servicePrincipals/sp-1/removePassword",
        ResponseTemplate::new(204),
    )
    .await;
    let entra = Entra::new(settings(&server), http_client().unwrap());
    let mfa = Mfa::new(
        &connector(&server),
        &settings(&server),
        entra,
        http_client().unwrap(),
    );
    (server, mfa)
}

async fn registered(server: &MockServer) {
    let found = json!({ "value": [{ "id": "sp-1", "appId": CONNECTOR }] });
    on(server, "GET", "/v1.0/servicePrincipals", answer(200, &found)).await;
}

#[tokio::test]
async fn a_push_is_approved_after_the_whole_way_through_setup() {
    let (server, mfa) = start().await;
    on(
        &server,
        "GET",
        "/v1.0/servicePrincipals",
        answer(200, &json!({ "value": [] })),
    )
    .await;
    on(
        &server,
        "POST",
        "/v1.0/servicePrincipals",
        answer(201, &json!({ "id": "sp-1", "appId": CONNECTOR })),
    )
    .await;
    // A fresh secret is not known everywhere at once.
    once(&server, "POST", V1, not_known_yet()).await;
    on(&server, "POST", V1, v1_token()).await;
    on(&server, "POST", BEGIN, said("Success", "true")).await;

    let push = push(Duration::from_secs(20));
    assert_eq!(mfa.push(&push).await.unwrap(), PushOutcome::Approved);
    assert_eq!(mfa.push(&push).await.unwrap(), PushOutcome::Approved);

    let requests = server.received_requests().await.unwrap();
    let seen: Vec<&str> = requests.iter().map(|request| request.url.path()).collect();
    let expected = [
        "/login/contoso/oauth2/v2.0/token",
        "/v1.0/servicePrincipals",
        "/v1.0/servicePrincipals",
        "/v1.0/servicePrincipals/sp-1/addPassword",
        V1,
        V1,
        BEGIN,
        // The second push needs nothing but itself.
        BEGIN,
    ];
    assert_eq!(seen, expected);
    for request in requests
        .iter()
        .filter(|request| request.url.path().starts_with("/v1.0"))
    {
        spec().check(request);
    }
    let expected = [
        (
            "resource",
            "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector",
        ),
        ("client_id", CONNECTOR),
        ("client_secret", "q7D8Q~"),
        ("grant_type", "client_credentials"),
        ("scope", "openid"),
    ];
    assert_eq!(form(&requests[4]), pairs(&expected));
    let begin = &requests[6];
    assert_eq!(header(begin, "authorization"), "Bearer mfa-token");
    assert_eq!(header(begin, "content-type"), "application/xml");
    let body = String::from_utf8(begin.body.clone()).unwrap();
    assert!(
        body.contains(&format!("<UserPrincipalName>{UPN}</UserPrincipalName>")),
        "{body}"
    );
    assert!(
        body.contains(&format!("<ContextId>{}</ContextId>", push.context)),
        "{body}"
    );
}

#[tokio::test]
async fn what_the_person_did_is_what_comes_back() {
    let (server, mfa) = start().await;
    registered(&server).await;
    on(&server, "POST", V1, v1_token()).await;
    for (value, result, expected) in [
        ("PhoneAppDenied", "false", PushOutcome::Denied { fraud: false }),
        ("PhoneAppNoResponse", "false", PushOutcome::NoAnswer),
        (
            "Success",
            "false",
            PushOutcome::NotPossible(NotPossible::NeedsCode),
        ),
        ("AuthenticationThrottled", "false", PushOutcome::Throttled),
    ] {
        once(&server, "POST", BEGIN, said(value, result)).await;
        assert_eq!(mfa.push(&push(Duration::from_secs(20))).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn nobody_is_waited_for_longer_than_was_asked() {
    let (server, mfa) = start().await;
    registered(&server).await;
    on(&server, "POST", V1, v1_token()).await;
    on(
        &server,
        "POST",
        BEGIN,
        said("Success", "true").set_delay(Duration::from_secs(30)),
    )
    .await;
    assert_eq!(
        mfa.push(&push(Duration::from_millis(200))).await.unwrap(),
        PushOutcome::NoAnswer
    );
}

#[tokio::test]
async fn an_answer_that_can_not_be_read_is_unknown_and_nobody_is_asked_twice() {
    let (server, mfa) = start().await;
    registered(&server).await;
    on(&server, "POST", V1, v1_token()).await;
    once(
        &server,
        "POST",
        BEGIN,
        ResponseTemplate::new(200).set_body_string("<Value>Success</Value>"),
    )
    .await;
    once(&server, "POST", BEGIN, ResponseTemplate::new(502)).await;
    for _ in 0..2 {
        let error = mfa.push(&push(Duration::from_secs(20))).await.unwrap_err();
        assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    }
    assert_eq!(begun(&server).await, 2);
}

#[tokio::test]
async fn one_push_asks_once_and_a_503_that_took_its_time_may_have_asked() {
    let (server, mfa) = start().await;
    registered(&server).await;
    on(&server, "POST", V1, v1_token()).await;
    for (status, delay, nobody_was_asked) in [(503, 0, true), (429, 0, true), (503, 6, false)] {
        let before = begun(&server).await;
        let refused = ResponseTemplate::new(status).set_delay(Duration::from_secs(delay));
        once(&server, "POST", BEGIN, refused).await;
        let error = mfa.push(&push(Duration::from_secs(20))).await.unwrap_err();
        assert_eq!(
            error.is_busy(),
            nobody_was_asked,
            "{status} after {delay} s: {error}"
        );
        assert_eq!(begun(&server).await, before + 1, "{status} after {delay} s");
    }
}

async fn begun(server: &MockServer) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .filter(|request| request.url.path() == BEGIN)
        .count()
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_replaced_once() {
    let (server, mfa) = start().await;
    registered(&server).await;
    on(&server, "POST", V1, v1_token()).await;
    once(&server, "POST", BEGIN, ResponseTemplate::new(401)).await;
    on(&server, "POST", BEGIN, said("Success", "true")).await;
    assert_eq!(
        mfa.push(&push(Duration::from_secs(20))).await.unwrap(),
        PushOutcome::Approved
    );
    let requests = server.received_requests().await.unwrap();
    assert_eq!(
        requests.iter().filter(|request| request.url.path() == V1).count(),
        2
    );
}

#[tokio::test]
async fn a_tenant_that_forbids_the_secret_is_a_matter_of_setup() {
    let server = MockServer::start().await;
    tokens(&server, "/login/contoso/oauth2/v2.0/token").await;
    registered(&server).await;
    let refused = json!({ "error": { "code": "CredentialInvalidLifetimeAsPerAppPolicy", "message": "no" } });
    on(
        &server,
        "POST",
        "/v1.0/servicePrincipals/sp-1/addPassword",
        answer(400, &refused),
    )
    .await;
    let entra = Entra::new(settings(&server), http_client().unwrap());
    let mfa = Mfa::new(
        &connector(&server),
        &settings(&server),
        entra,
        http_client().unwrap(),
    );
    assert!(mfa.prepare().await.unwrap_err().is_refused("mfa_setup"));
}

#[tokio::test]
async fn while_the_setup_fails_nobody_has_been_asked() {
    let (server, mfa) = start().await;
    registered(&server).await;
    on(&server, "POST", V1, ResponseTemplate::new(503)).await;
    let error = mfa.push(&push(Duration::from_secs(20))).await.unwrap_err();
    assert!(error.is_busy(), "{error}");
}

#[tokio::test]
async fn the_secret_is_taken_away_again() {
    let (server, mfa) = start().await;
    registered(&server).await;
    on(&server, "POST", V1, v1_token()).await;
    mfa.prepare().await.unwrap();
    mfa.retire().await.unwrap();
    mfa.retire().await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let removed: Vec<_> = requests
        .iter()
        .filter(|request| request.url.path().ends_with("removePassword"))
        .collect();
    assert_eq!(removed.len(), 1);
    spec().check(removed[0]);
    let body: Value = removed[0].body_json().unwrap();
    assert_eq!(body, json!({ "keyId": "f0b0b335-0000-4000-8000-000000000020" }));
}
