//! The doors that vendors knock at: forged, broken, too large, unknown. Nothing stored, nothing done.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::Service;
use hmac::{Hmac, KeyInit, Mac};
use launcher::testing::TestFleet;
use sha2::Sha256;
use simulators::Event;

use crate::attacks::assert_on_record;
use crate::{ADELE, SOON, automation, fleet};

const CREATED: &str = "/webhooks/halopsa/ticket_created";

fn event(ticket: i64) -> String {
    serde_json::json!({
        "id": uuid::Uuid::now_v7(), "event": "new ticket logged", "object_id": ticket,
        "timestamp": "2026-09-25T06:44:00.0000000Z",
    })
    .to_string()
}

fn signature(fleet: &TestFleet, body: &[u8]) -> String {
    let secret = fleet.world().settings_map()["HALOPSA_WEBHOOK_SECRET"].clone();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

async fn deliver(fleet: &TestFleet, body: Vec<u8>, signature: Option<&str>) -> (u16, String) {
    let http = common::client::http_client(SOON).unwrap();
    let url = fleet.fleet.url(Service::Classifier).join(CREATED).unwrap();
    let mut request = http
        .post(url)
        .header("content-type", "application/json")
        .body(body);
    if let Some(signature) = signature {
        request = request.header("Token", signature);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn events(fleet: &TestFleet) -> i64 {
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM ticket_events")
        .fetch_one(fleet.owner())
        .await
        .unwrap();
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_broken_webhook_is_refused_and_leaves_nothing() {
    let fleet = fleet().await;
    let body = event(1).into_bytes();
    let sound = signature(&fleet, &body);
    let mut edited = body.clone();
    edited.push(b' ');
    for (why, body, signature, expected) in [
        ("no signature", body.clone(), None, 401),
        ("nonsense", body.clone(), Some("nonsense"), 401),
        ("edited after signing", edited, Some(sound.as_str()), 401),
    ] {
        let (status, text) = deliver(&fleet, body, signature).await;
        assert_eq!(status, expected, "{why}");
        assert!(text.is_empty(), "vendors get the bare status, not `{text}`");
    }
    for (why, body, expected) in [
        ("broken JSON", b"{\"id\": ".to_vec(), 400),
        ("not an event", b"[1, 2]".to_vec(), 400),
        ("NUL bytes", vec![0; 64], 400),
    ] {
        let signed = signature(&fleet, &body);
        let (status, _) = deliver(&fleet, body, Some(&signed)).await;
        assert_eq!(status, expected, "{why}");
    }
    let large = vec![b' '; 2 * 1024 * 1024 + 1];
    let signed = signature(&fleet, &large);
    let (status, _) = deliver(&fleet, large, Some(&signed)).await;
    assert_eq!(status, 413, "over 2 MiB");
    assert_eq!(events(&fleet).await, 0, "nothing of it was stored");
    let refused = ["proof_missing", "proof", "no_event"].map(|why| ("webhook.refused", why));
    assert_on_record(&fleet, &refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_for_a_ticket_that_nobody_knows_is_accepted_recorded_and_ignored() {
    let fleet = fleet().await;
    let body = event(987_654).into_bytes();
    let signed = signature(&fleet, &body);
    assert_eq!(deliver(&fleet, body, Some(&signed)).await.0, 202);
    // A real ticket filed afterwards goes its way: the stranger blocked nothing.
    let ticket = fleet.file_ticket(ADELE, "My laptop screen is broken");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "manual");
    let (decided,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM classification_results WHERE ticket_id = '987654'")
            .fetch_one(fleet.owner())
            .await
            .unwrap();
    assert_eq!(decided, 0);
    let (recorded,): (i64,) = sqlx::query_as("SELECT count(*) FROM ticket_events WHERE ticket_id = '987654'")
        .fetch_one(fleet.owner())
        .await
        .unwrap();
    assert_eq!(recorded, 1, "the event is on record");
    assert_on_record(&fleet, &[("ticket.unknown", "")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_without_twilios_signature_is_refused() {
    let fleet = fleet().await;
    let http = common::client::http_client(SOON).unwrap();
    for (service, path) in [
        (Service::Verification, "/webhooks/twilio/sms_response"),
        (Service::Delivery, "/webhooks/twilio/sms_status"),
    ] {
        let url = fleet.fleet.url(service).join(path).unwrap();
        for signature in [None, Some("RSOYDt4T1cUTdK1PDd93/VVr8B8=")] {
            let mut request = http
                .post(url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body("MessageSid=SM1&AccountSid=AC1&From=%2B447700900123&Body=YES+4821&MessageStatus=delivered");
            if let Some(signature) = signature {
                request = request.header("X-Twilio-Signature", signature);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), 403, "{path} with {signature:?}");
            assert!(response.text().await.unwrap().is_empty());
        }
    }
    let refused = ["signature_missing", "signature"].map(|why| ("webhook.refused", why));
    assert_on_record(&fleet, &refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_writes_do_not_start_anything() {
    let fleet = fleet().await;
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    fleet.wait_for_end(ticket).await;
    let journal = fleet.world().journal();
    let status_event = |event: &Event| matches!(event, Event::StatusChanged { to, .. } if to == "Resolved");
    journal.wait_for(SOON, status_event).await.unwrap();
    let (executions,): (i64,) = sqlx::query_as("SELECT count(*) FROM playbook_executions")
        .fetch_one(fleet.owner())
        .await
        .unwrap();
    assert_eq!(executions, 1);
}
