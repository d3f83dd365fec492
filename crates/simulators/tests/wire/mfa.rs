//! The MFA connector: the secret, the v1 token, the order of the elements, and every way a push can end.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::entra::{Push, PushAnswer};
use simulators::{Event, World};

use crate::support::{SOON, client, graph_token, read, setting, world};

const APP: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";
const RESOURCE: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";

async fn add_secret(world: &World) -> (String, Value) {
    let token = graph_token(world).await;
    let graph = setting(world, "GRAPH_URL");
    let filter = format!("{graph}/servicePrincipals?$filter=appId%20eq%20'{APP}'&$select=id,appId");
    let (_, found) = read(client().get(filter).bearer_auth(&token).send().await.unwrap()).await;
    let principal = format!(
        "{graph}/servicePrincipals/{}",
        found["value"][0]["id"].as_str().unwrap()
    );
    let body = json!({"passwordCredential": {"displayName": "firstline mfa push", "endDateTime": "2099-01-01T00:00:00Z"}});
    let add = client()
        .post(format!("{principal}/addPassword"))
        .bearer_auth(&token)
        .json(&body);
    let (status, secret) = read(add.send().await.unwrap()).await;
    assert_eq!(status, 200, "{secret}");
    (principal, secret)
}

async fn connector_token(world: &World, secret: &Value) -> (u16, Value) {
    let url = format!(
        "{}/{}/oauth2/token",
        setting(world, "ENTRA_LOGIN_URL"),
        setting(world, "ENTRA_TENANT_ID")
    );
    let form = [
        ("resource", RESOURCE),
        ("client_id", APP),
        ("client_secret", secret["secretText"].as_str().unwrap()),
        ("grant_type", "client_credentials"),
        ("scope", "openid"),
    ];
    read(client().post(url).form(&form).send().await.unwrap()).await
}

async fn token(world: &World) -> String {
    let (_, secret) = add_secret(world).await;
    connector_token(world, &secret).await.1["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn begin(upn: &str) -> String {
    format!(
        "<BeginTwoWayAuthenticationRequest><Version>1.0</Version><UserPrincipalName>{upn}</UserPrincipalName>\
         <Lcid>en-us</Lcid><AuthenticationMethodProperties xmlns:a=\"http://schemas.microsoft.com/2003/10/Serialization/Arrays\">\
         <a:KeyValueOfstringstring><a:Key>OverrideVoiceOtp</a:Key><a:Value>false</a:Value></a:KeyValueOfstringstring>\
         </AuthenticationMethodProperties><ContextId>4be1c1a5-3c07-4d05-9a4d-4b8a7f1a9c11</ContextId>\
         <SyncCall>true</SyncCall><RequireUserMatch>true</RequireUserMatch><CallerName>radius</CallerName>\
         <CallerIP>UNKNOWN:</CallerIP></BeginTwoWayAuthenticationRequest>"
    )
}

async fn ask(world: &World, token: &str, body: String) -> (u16, String) {
    let url = format!("{}/BeginTwoWayAuthentication", setting(world, "MFA_URL"));
    let request = client()
        .post(url)
        .bearer_auth(token)
        .header("content-type", "application/xml")
        .body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_secret_is_shown_once_spreads_slowly_and_can_be_removed() {
    let world = world().await;
    world.entra().secret_propagation(2);
    let (principal, secret) = add_secret(&world).await;
    for _ in 0..2 {
        let (status, body) = connector_token(&world, &secret).await;
        assert_eq!((status, &body["error_codes"][0]), (401, &json!(7_000_215)));
    }
    let (status, body) = connector_token(&world, &secret).await;
    assert_eq!(
        (status, &body["expires_in"], &body["resource"]),
        (200, &json!("3599"), &json!(RESOURCE))
    );
    assert_eq!(world.entra().secrets_on_mfa_principal(), 1);
    let token = graph_token(&world).await;
    let (_, shown) = read(client().get(&principal).bearer_auth(&token).send().await.unwrap()).await;
    assert!(shown["passwordCredentials"][0]["secretText"].is_null());
    let remove = client()
        .post(format!("{principal}/removePassword"))
        .bearer_auth(&token)
        .json(&json!({"keyId": secret["keyId"]}));
    assert_eq!(remove.send().await.unwrap().status(), 204);
    assert_eq!(connector_token(&world, &secret).await.0, 401);
    assert_eq!(world.entra().secrets_on_mfa_principal(), 0);
    world.shutdown().await;
}

#[tokio::test]
async fn every_ending_of_a_push_has_its_words_and_only_approval_says_true() {
    let world = world().await;
    let token = token(&world).await;
    let adele = "adele@contoso.example";
    let endings = [
        (
            Push::approve(),
            "<Value>Success</Value>",
            "<AuthenticationResult>true</AuthenticationResult>",
        ),
        (
            Push::deny(),
            "<Value>PhoneAppDenied</Value>",
            "<AuthenticationResult>false</AuthenticationResult>",
        ),
        (
            Push::fraud(),
            "<Value>PhoneAppFraud</Value>",
            "<AuthenticationResult>false</AuthenticationResult>",
        ),
        (
            Push::no_answer().after(Duration::ZERO),
            "<Value>PhoneAppNoResponse</Value>",
            "false</AuthenticationResult>",
        ),
        (
            Push::no_method(),
            "<Value>NoDefaultAuthenticationMethodIsConfigured</Value>",
            "false</AuthenticationResult>",
        ),
        (
            Push::challenge(),
            "<Value>Success</Value>",
            "<AuthenticationResult>challenge</AuthenticationResult>",
        ),
        (
            Push::success_without_true(),
            "<Value>Success</Value>",
            r#"<AuthenticationResult i:nil="true"/>"#,
        ),
        (
            Push::new(PushAnswer::Other("UserIsBlocked".into())),
            "<Value>UserIsBlocked</Value>",
            "false</AuthenticationResult>",
        ),
    ];
    for (push, value, result) in endings {
        world.entra().push_next(adele, push.clone());
        let (status, body) = ask(&world, &token, begin(adele)).await;
        assert_eq!(status, 200);
        assert!(body.contains(value) && body.contains(result), "{push:?}: {body}");
        assert!(body.contains("<UserPrincipalName>adele@contoso.example</UserPrincipalName>"));
    }
    world.entra().push_next(adele, Push::malformed());
    let (_, body) = ask(&world, &token, begin(adele)).await;
    assert!(
        !body.contains("</BeginTwoWayAuthenticationResponse>"),
        "no XML: {body}"
    );
    assert_eq!(
        world.entra().pushes(adele),
        8,
        "without a method nothing is shown"
    );
    let (_, body) = ask(&world, &token, begin("gus_fabrikam.example#EXT#@contoso.example")).await;
    assert!(
        body.contains("NoDefaultAuthenticationMethodIsConfigured"),
        "a guest has no phone here"
    );
    world.shutdown().await;
}

#[tokio::test]
async fn a_request_out_of_order_or_without_its_token_never_reaches_a_phone() {
    let world = world().await;
    let token = token(&world).await;
    let adele = begin("adele@contoso.example");
    assert_eq!(ask(&world, "made-up", adele.clone()).await.0, 401);
    assert_eq!(
        ask(&world, &graph_token(&world).await, adele.clone()).await.0,
        401,
        "another audience"
    );
    let swapped = adele
        .replace("<Version>1.0</Version>", "")
        .replace("<Lcid>", "<Version>1.0</Version><Lcid>");
    let unknown = adele.replace("<Lcid>", "<Surprise>1</Surprise><Lcid>");
    let no_context = adele.replace("4be1c1a5-3c07-4d05-9a4d-4b8a7f1a9c11", "not a guid");
    for wrong in [swapped, unknown, no_context] {
        let (status, body) = ask(&world, &token, wrong).await;
        assert!(
            status == 200 && body.contains("StrongAuthenticationServiceInvalidParameter"),
            "{body}"
        );
    }
    let (_, body) = ask(&world, &token, begin("nobody@contoso.example")).await;
    assert!(body.contains("<Value>UserNotFound</Value>"));
    assert_eq!(ask(&world, &token, "<Begin>".into()).await.0, 400);
    let url = format!("{}/BeginTwoWayAuthentication", setting(&world, "MFA_URL"));
    let json = client()
        .post(url)
        .bearer_auth(&token)
        .header("content-type", "application/json")
        .body(adele);
    assert_eq!(json.send().await.unwrap().status(), 415);
    assert_eq!(world.entra().pushes("adele@contoso.example"), 0);
    world.shutdown().await;
}

#[tokio::test]
async fn the_call_blocks_while_the_person_thinks_and_ends_with_the_world() {
    let world = world().await;
    let token = token(&world).await;
    world.entra().push(
        "adele@contoso.example",
        Push::approve().after(Duration::from_hours(1)),
    );
    let url = format!("{}/BeginTwoWayAuthentication", setting(&world, "MFA_URL"));
    let request = client()
        .post(url)
        .bearer_auth(&token)
        .header("content-type", "application/xml");
    let waiting = tokio::spawn(request.body(begin("adele@contoso.example")).send());
    let shown = |event: &Event| matches!(event, Event::PushShown { .. });
    world.journal().wait_for(SOON, shown).await.unwrap();
    assert!(!waiting.is_finished());
    world.shutdown().await;
    assert!(waiting.await.unwrap().is_err(), "the connection broke");
}

#[tokio::test]
async fn the_asynchronous_form_is_polled_until_the_person_answered() {
    let world = world().await;
    let token = token(&world).await;
    world.entra().push(
        "adele@contoso.example",
        Push::approve().after(Duration::from_millis(30)),
    );
    let begin = begin("adele@contoso.example").replace("<SyncCall>true", "<SyncCall>false");
    let (_, body) = ask(&world, &token, begin).await;
    assert!(body.contains("<Value>AuthenticationPending</Value>") && body.contains("<Retry>true</Retry>"));
    let between = |open: &str, close: &str| {
        body.split(open)
            .nth(1)
            .unwrap()
            .split(close)
            .next()
            .unwrap()
            .to_owned()
    };
    let (session, affinity) = (between("<SessionId>", "<"), between("<AffinityUrl>", "<"));
    let answered = |event: &Event| {
        matches!(
            event,
            Event::PushAnswered {
                answer: PushAnswer::Approve,
                ..
            }
        )
    };
    world.journal().wait_for(SOON, answered).await.unwrap();
    let end = format!(
        "<EndTwoWayAuthenticationRequest><Version>1.0</Version><SessionId>{session}</SessionId></EndTwoWayAuthenticationRequest>"
    );
    let poll = client()
        .post(affinity)
        .bearer_auth(&token)
        .header("content-type", "text/xml")
        .body(end);
    let body = poll.send().await.unwrap().text().await.unwrap();
    assert!(
        body.contains("<AuthenticationResult>true</AuthenticationResult>"),
        "{body}"
    );
    world.shutdown().await;
}
