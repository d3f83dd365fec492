//! Twilio, against the vendor's own document.

use std::time::Duration;

use connectors::twilio::{MessageStatus, Sms, Twilio, TwilioSettings};
use connectors::{CallError, http_client};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use time::macros::datetime;
use wiremock::{MockServer, ResponseTemplate};

use crate::spec::Spec;
use crate::support::{answer, arrived, form, header, on, once, only, pairs, query};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const SID: &str = "SM7f3c2a1b0d9e8f7a6b5c4d3e2f1a0b9c";

fn spec() -> Spec {
    Spec::new(include_str!("../specs/twilio-api-v2010-messages.json"), "")
}

async fn start() -> (MockServer, Twilio) {
    let server = MockServer::start().await;
    let settings = TwilioSettings {
        url: server.uri().parse().unwrap(),
        account_sid: ACCOUNT.to_owned(),
        auth_token: "our-token".into(),
        from: "+447400000001".parse().unwrap(),
    };
    let twilio = Twilio::new(settings, http_client().unwrap());
    (server, twilio)
}

fn messages() -> String {
    format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
}

fn one() -> String {
    format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{SID}.json")
}

fn resource(sid: &str, body: &str, created: &str) -> Value {
    json!({
        "sid": sid, "account_sid": ACCOUNT, "from": "+447400000001", "to": "+447700900123", "body": body,
        "status": "queued", "direction": "outbound-api", "num_segments": "1", "date_created": created,
        "date_sent": null, "price": null, "error_code": null, "error_message": null,
    })
}

fn sms() -> Sms {
    Sms {
        to: "+447700900123".parse().unwrap(),
        body: "Your pass: Tc5?v&A+9k".into(),
        status_callback: Some(
            "https://firstline.example/webhooks/twilio/sms_status"
                .parse()
                .unwrap(),
        ),
        validity: Duration::from_mins(10),
    }
}

#[tokio::test]
async fn a_message_is_sent_as_the_vendor_documents_and_to_the_letter() {
    let (server, twilio) = start().await;
    let created = resource(SID, "Your pass", "Mon, 02 Mar 2026 09:21:07 +0000");
    on(&server, "POST", &messages(), answer(201, &created)).await;
    let sent = twilio.send(&sms()).await.unwrap();
    assert_eq!((sent.sid.as_str(), sent.status), (SID, MessageStatus::Queued));
    assert_eq!(sent.created, Some(datetime!(2026-03-02 09:21:07 UTC)));

    let request = only(&server).await;
    spec().check(&request);
    // base64 of `{account}:our-token`
    let expected = "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpvdXItdG9rZW4=";
    assert_eq!(header(&request, "authorization"), expected);
    let expected = [
        ("To", "+447700900123"),
        ("From", "+447400000001"),
        ("Body", "Your pass: Tc5?v&A+9k"),
        ("ValidityPeriod", "600"),
        (
            "StatusCallback",
            "https://firstline.example/webhooks/twilio/sms_status",
        ),
    ];
    assert_eq!(form(&request), pairs(&expected));
}

#[tokio::test]
async fn a_validity_is_kept_within_what_twilio_takes() {
    let (server, twilio) = start().await;
    on(&server, "POST", &messages(), answer(201, &resource(SID, "x", ""))).await;
    for (validity, expected) in [(Duration::ZERO, "5"), (Duration::from_hours(48), "36000")] {
        twilio.send(&Sms { validity, ..sms() }).await.unwrap();
        let request = arrived(&server).await.pop().unwrap();
        spec().check(&request);
        assert_eq!(form(&request)[3].1, expected);
    }
}

#[tokio::test]
async fn a_message_is_never_sent_twice_by_itself() {
    let (server, twilio) = start().await;
    on(&server, "POST", &messages(), ResponseTemplate::new(500)).await;
    let error = twilio.send(&sms()).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert_eq!(arrived(&server).await.len(), 1);
}

#[tokio::test]
async fn throttled_is_not_processed_and_may_be_repeated() {
    let (server, twilio) = start().await;
    let throttled = json!({ "code": 20429, "message": "Too many requests", "status": 429 });
    once(&server, "POST", &messages(), answer(429, &throttled)).await;
    on(&server, "POST", &messages(), answer(201, &resource(SID, "x", ""))).await;
    assert_eq!(twilio.send(&sms()).await.unwrap().sid, SID);
}

#[tokio::test]
async fn refusals_carry_twilios_number_and_not_the_persons() {
    let (server, twilio) = start().await;
    let refused = |status: u16, code: u32| {
        answer(
            status,
            &json!({ "code": code, "message": "Invalid 'To' Phone Number: +447700900123", "status": status }),
        )
    };
    for (status, code) in [(400, 21211), (401, 20003), (400, 21610), (404, 20404)] {
        once(&server, "POST", &messages(), refused(status, code)).await;
        let error = twilio.send(&sms()).await.unwrap_err();
        assert!(error.is_refused(&code.to_string()), "{error}");
        assert!(!format!("{error:?}").contains("7700900123"), "{error:?}");
    }
    once(&server, "POST", &messages(), refused(400, 21611)).await;
    assert!(twilio.send(&sms()).await.unwrap_err().is_busy());
}

#[tokio::test]
async fn after_an_unknown_outcome_the_message_is_found_by_number_time_and_text() {
    let (server, twilio) = start().await;
    let mut inbound = resource("SM-in", "ref fl-7", "Mon, 02 Mar 2026 09:23:00 +0000");
    inbound["direction"] = json!("inbound");
    let page = json!({ "messages": [
        inbound,
        resource("SM-other", "ref fl-8", "Mon, 02 Mar 2026 09:22:00 +0000"),
        resource("SM-old", "ref fl-7", "Mon, 02 Mar 2026 08:00:00 +0000"),
        resource("SM-first", "ref fl-7", "Mon, 02 Mar 2026 09:21:00 +0000"),
        resource("SM-last", "ref fl-7", "Mon, 02 Mar 2026 09:22:00 +0000"),
    ], "next_page_uri": "https://evil.example/next" });
    on(&server, "GET", &messages(), answer(200, &page)).await;
    let to = "+447700900123".parse().unwrap();
    let since = datetime!(2026-03-02 09:21:10 UTC);
    let found = twilio
        .find_sent(&to, since, &"fl-7".into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.sid, "SM-last");
    assert!(
        twilio
            .find_sent(&to, since, &"fl-9".into())
            .await
            .unwrap()
            .is_none()
    );
    let request = arrived(&server).await.remove(0);
    spec().check(&request);
    let expected = [
        ("To", "+447700900123"),
        ("From", "+447400000001"),
        ("PageSize", "50"),
    ];
    assert_eq!(query(&request), pairs(&expected));
}

#[tokio::test]
async fn what_was_sent_a_moment_ago_is_found_however_far_twilios_clock_is_from_ours() {
    let (server, twilio) = start().await;
    let page = json!({ "messages": [
        resource("SM-old", "ref fl-7", "Mon, 02 Mar 2026 09:21:00 +0000"),
        resource("SM-ours", "ref fl-7", "Mon, 02 Mar 2026 09:22:00 +0000"),
    ] });
    let page = answer(200, &page).insert_header("date", "Mon, 02 Mar 2026 09:22:05 GMT");
    on(&server, "GET", &messages(), page).await;
    let to = "+447700900123".parse().unwrap();
    let find = async |ago| {
        let since = common::clock::now() - Duration::from_secs(ago);
        twilio.find_sent(&to, since, &"fl-7".into()).await.unwrap()
    };
    assert_eq!(find(10).await.unwrap().sid, "SM-ours");
    // Its times have whole seconds, and half a minute of doubt is allowed for.
    assert_eq!(find(0).await.unwrap().sid, "SM-ours");
}

#[tokio::test]
async fn a_message_is_looked_up_redacted_and_deleted() {
    let (server, twilio) = start().await;
    let mut failed = resource(SID, "secret", "Mon, 02 Mar 2026 09:21:07 +0000");
    failed["status"] = json!("undelivered");
    failed["error_code"] = json!(30003);
    once(&server, "GET", &one(), answer(200, &failed)).await;
    on(
        &server,
        "GET",
        &one(),
        answer(404, &json!({ "code": 20404, "status": 404 })),
    )
    .await;
    on(&server, "POST", &one(), answer(200, &resource(SID, "", ""))).await;
    once(&server, "DELETE", &one(), ResponseTemplate::new(204)).await;
    on(
        &server,
        "DELETE",
        &one(),
        answer(404, &json!({ "code": 20404, "status": 404 })),
    )
    .await;

    let found = twilio.fetch(SID).await.unwrap().unwrap();
    assert_eq!(
        (found.status, found.error_code),
        (MessageStatus::Undelivered, Some(30003))
    );
    assert_eq!(found.body.expose_secret(), "secret");
    assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    assert!(twilio.fetch(SID).await.unwrap().is_none());
    twilio.redact(SID).await.unwrap();
    twilio.delete(SID).await.unwrap();
    twilio.delete(SID).await.unwrap();
    let requests = arrived(&server).await;
    for request in &requests {
        spec().check(request);
    }
    assert_eq!(form(&requests[2]), pairs(&[("Body", "")]));
}
