//! Twilio: what it refuses, how a message travels, and that it signs what it sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha1::Sha1;
use simulators::twilio::{Fate, Reply};
use simulators::{Event, World};

use crate::support::{Received, SOON, client, heard, read, setting, world};

const ADELE: &str = "+447700900102";

fn messages(world: &World) -> String {
    format!(
        "{}/2010-04-01/Accounts/{}/Messages.json",
        setting(world, "TWILIO_URL"),
        setting(world, "TWILIO_ACCOUNT_SID")
    )
}

async fn send(world: &World, form: &[(&str, &str)]) -> (u16, Value) {
    let (account, token) = (
        setting(world, "TWILIO_ACCOUNT_SID"),
        setting(world, "TWILIO_AUTH_TOKEN"),
    );
    let request = client()
        .post(messages(world))
        .basic_auth(account, Some(token))
        .form(form);
    read(request.send().await.unwrap()).await
}

async fn text(world: &World, to: &str, body: &str) -> (u16, Value) {
    let from = setting(world, "TWILIO_FROM");
    let callback = "https://firstline.contoso.example/webhooks/twilio/sms_status";
    send(
        world,
        &[
            ("To", to),
            ("From", &from),
            ("Body", body),
            ("StatusCallback", callback),
        ],
    )
    .await
}

/// Independent of the simulator's own signer: sorts pairs, as no name repeats here.
fn signature(world: &World, url: &str, received: &Received) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(setting(world, "TWILIO_AUTH_TOKEN").as_bytes()).unwrap();
    mac.update(url.as_bytes());
    for (name, value) in received.form() {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn what_the_vendor_refuses_is_refused_with_its_code() {
    let world = world().await;
    let from = setting(&world, "TWILIO_FROM");
    let cases: [(&[(&str, &str)], u64); 9] = [
        (&[("From", &from), ("Body", "x")], 21604),
        (
            &[("To", "+44 7700 900102"), ("From", &from), ("Body", "x")],
            21211,
        ),
        (&[("To", "07700900102"), ("From", &from), ("Body", "x")], 21211),
        (&[("To", ADELE), ("Body", "x")], 21603),
        (&[("To", ADELE), ("From", "+447400000999"), ("Body", "x")], 21606),
        (&[("To", ADELE), ("From", &from)], 21602),
        (
            &[("To", ADELE), ("From", &from), ("Body", &"x".repeat(1601))],
            21617,
        ),
        (
            &[
                ("To", ADELE),
                ("From", &from),
                ("Body", "x"),
                ("StatusCallback", "/relative"),
            ],
            21609,
        ),
        (
            &[
                ("To", ADELE),
                ("From", &from),
                ("Body", "x"),
                ("ValidityPeriod", "0"),
            ],
            20001,
        ),
    ];
    for (form, code) in cases {
        let (status, body) = send(&world, form).await;
        assert_eq!(
            (status, &body["code"], &body["status"]),
            (400, &json!(code), &json!(400)),
            "{form:?}"
        );
    }
    let bad = client()
        .post(messages(&world))
        .basic_auth("AC1", Some("no"))
        .form(&[("To", ADELE)]);
    let (status, body) = read(bad.send().await.unwrap()).await;
    assert_eq!((status, &body["code"]), (401, &json!(20003)));
    assert!(world.twilio().messages().is_empty(), "nothing was created");
    world.shutdown().await;
}

#[tokio::test]
async fn a_message_travels_and_each_status_is_told_signed() {
    let (world, receiver) = heard().await;
    let (status, created) = text(&world, ADELE, "Tc5?v & <A9k>").await;
    assert_eq!((status, &created["status"]), (201, &json!("queued")));
    assert!(created["error_code"].is_null() && created["num_segments"] == "1" && created["price"].is_null());
    assert!(
        created["date_created"].as_str().unwrap().ends_with("+0000"),
        "RFC 2822"
    );
    let callbacks = receiver.wait(2).await;
    let told: Vec<String> = callbacks
        .iter()
        .map(|one| one.form()["MessageStatus"].clone())
        .collect();
    assert_eq!(told, ["sent", "delivered"]);
    for callback in &callbacks {
        let url = "https://firstline.contoso.example/webhooks/twilio/sms_status";
        assert_eq!(
            callback.header("x-twilio-signature"),
            signature(&world, url, callback)
        );
        assert_eq!(callback.path, "/webhooks/twilio/sms_status");
    }
    assert_eq!(world.twilio().inbox(ADELE)[0].body, "Tc5?v & <A9k>");

    let sid = created["sid"].as_str().unwrap();
    let (account, token) = (
        setting(&world, "TWILIO_ACCOUNT_SID"),
        setting(&world, "TWILIO_AUTH_TOKEN"),
    );
    let one = messages(&world).replace("Messages.json", &format!("Messages/{sid}.json"));
    let redact = client()
        .post(&one)
        .basic_auth(&account, Some(&token))
        .form(&[("Body", "")]);
    let (status, redacted) = read(redact.send().await.unwrap()).await;
    assert_eq!(
        (status, &redacted["body"], &redacted["status"]),
        (200, &json!(""), &json!("delivered"))
    );
    let delete = client()
        .delete(&one)
        .basic_auth(&account, Some(&token))
        .send()
        .await
        .unwrap();
    assert_eq!(delete.status(), 204);
    let gone = client()
        .get(&one)
        .basic_auth(&account, Some(&token))
        .send()
        .await
        .unwrap();
    assert_eq!(read(gone).await.1["code"], 20404);
    world.shutdown().await;
}

#[tokio::test]
async fn fates_are_undelivered_out_of_order_or_expired_in_the_queue() {
    let (world, receiver) = heard().await;
    let statuses = |callbacks: &[Received]| -> Vec<(String, Option<String>)> {
        callbacks
            .iter()
            .map(Received::form)
            .map(|form| (form["MessageStatus"].clone(), form.get("ErrorCode").cloned()))
            .collect()
    };
    let told = |status: &str, code: Option<&str>| (status.to_owned(), code.map(str::to_owned));
    world.twilio().fate(ADELE, Fate::Undelivered(30_003));
    text(&world, ADELE, "one").await;
    assert_eq!(
        statuses(&receiver.wait(2).await),
        [told("sent", None), told("undelivered", Some("30003"))]
    );
    assert!(world.twilio().inbox(ADELE).is_empty());
    world.twilio().fate(ADELE, Fate::OutOfOrder);
    text(&world, ADELE, "two").await;
    assert_eq!(
        statuses(&receiver.wait(4).await[2..]),
        [told("delivered", None), told("sent", None)]
    );
    world.twilio().fate(ADELE, Fate::Stuck);
    let from = setting(&world, "TWILIO_FROM");
    send(
        &world,
        &[
            ("To", ADELE),
            ("From", &from),
            ("Body", "three"),
            ("ValidityPeriod", "1"),
        ],
    )
    .await;
    let expired = |event: &Event| {
        matches!(
            event,
            Event::SmsStatus {
                error: Some(30_036),
                ..
            }
        )
    };
    world.journal().wait_for(SOON, expired).await.unwrap();
    world.twilio().fate(ADELE, Fate::Refused(21_614));
    assert_eq!(text(&world, ADELE, "four").await.1["code"], 21_614);
    world.shutdown().await;
}

#[tokio::test]
async fn a_reader_texts_back_the_code_and_the_text_is_signed_with_its_empty_fields() {
    let (world, receiver) = heard().await;
    receiver.answers(200, "text/xml", "<Response></Response>");
    world.twilio().reply(ADELE, Reply::Yes);
    let from = setting(&world, "TWILIO_FROM");
    send(
        &world,
        &[
            ("To", ADELE),
            ("From", &from),
            ("Body", "Approve? Reply YES 4821 or NO 4821"),
        ],
    )
    .await;
    let answer = receiver.wait(1).await.remove(0);
    let url = "https://firstline.contoso.example/webhooks/twilio/sms_response";
    assert_eq!(
        answer.header("x-twilio-signature"),
        signature(&world, url, &answer)
    );
    let form = answer.form();
    assert_eq!(
        (
            form["Body"].as_str(),
            form["From"].as_str(),
            form["FromCity"].as_str()
        ),
        ("YES 4821", ADELE, "")
    );
    let replied = |event: &Event| {
        matches!(
            event,
            Event::SmsReplied {
                status: Some(200),
                ..
            }
        )
    };
    world.journal().wait_for(SOON, replied).await.unwrap();
    assert_eq!(
        world
            .journal()
            .count(|event| matches!(event, Event::TwilioComplained { .. })),
        0
    );

    receiver.answers(200, "application/json", "{}");
    assert_eq!(world.twilio().receive(ADELE, "  STOP ").await, Some(200));
    let not_twiml = |event: &Event| matches!(event, Event::TwilioComplained { code: 12_300, .. });
    world.journal().wait_for(SOON, not_twiml).await.unwrap();
    assert_eq!(text(&world, ADELE, "hello?").await.1["code"], 21_610, "opted out");
    world.shutdown().await;
}
