//! HaloPSA: strictness of the REST API, and webhooks that prove themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::Sha256;
use simulators::halo::{HaloOptions, NewTicket, WebhookMode, WebhookPayload};
use simulators::{Event, System, World};

use crate::support::{SOON, client, heard, read, setting, world};

async fn token_with(world: &World, scope: &str) -> String {
    let form = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", setting(world, "HALOPSA_CLIENT_ID")),
        ("client_secret", setting(world, "HALOPSA_CLIENT_SECRET")),
        ("scope", scope.to_owned()),
    ];
    let url = format!(
        "{}/token?tenant={}",
        setting(world, "HALOPSA_AUTH_URL"),
        setting(world, "HALOPSA_TENANT")
    );
    let (status, body) = read(client().post(url).form(&form).send().await.unwrap()).await;
    assert_eq!((status, &body["expires_in"]), (200, &json!(3600)));
    body["access_token"].as_str().unwrap().to_owned()
}

fn get(world: &World, token: &str, path: &str) -> RequestBuilder {
    client()
        .get(format!("{}{path}", setting(world, "HALOPSA_URL")))
        .bearer_auth(token)
}

fn post(world: &World, token: &str, path: &str, body: &Value) -> RequestBuilder {
    client()
        .post(format!("{}{path}", setting(world, "HALOPSA_URL")))
        .bearer_auth(token)
        .json(body)
}

async fn ask(request: RequestBuilder) -> (u16, Value) {
    read(request.send().await.unwrap()).await
}

fn cannot_log_in() -> NewTicket {
    NewTicket::new("adele@contoso.example", "I can't log in").details("Please help. Adele")
}

#[tokio::test]
async fn the_token_endpoint_refuses_a_wrong_secret_and_a_missing_tenant() {
    let world = world().await;
    let auth = setting(&world, "HALOPSA_AUTH_URL");
    let form = |secret: &str| {
        let id = setting(&world, "HALOPSA_CLIENT_ID");
        [
            ("grant_type", "client_credentials".into()),
            ("client_id", id),
            ("client_secret", secret.to_owned()),
            ("scope", "all".to_owned()),
        ]
    };
    let wrong = client()
        .post(format!("{auth}/token?tenant=contoso"))
        .form(&form("wrong"));
    let (status, body) = ask(wrong).await;
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
    let secret = setting(&world, "HALOPSA_CLIENT_SECRET");
    let (status, _) = ask(client().post(format!("{auth}/token")).form(&form(&secret))).await;
    assert_eq!(status, 400, "the tenant is missing");
    let (status, _) = ask(client()
        .post(format!("{auth}/token?tenant=contoso"))
        .json(&json!({})))
    .await;
    assert_eq!(status, 400, "not a form");
    world.shutdown().await;
}

#[tokio::test]
async fn a_caller_without_a_live_token_gets_401_and_one_without_the_scope_an_empty_403() {
    let world = world().await;
    let ticket = world.halo().file_ticket(cannot_log_in());
    assert_eq!(ask(get(&world, "made-up", "/Tickets")).await.0, 401);
    let reader = token_with(&world, "read:tickets").await;
    assert_eq!(
        ask(get(&world, &reader, &format!("/Tickets/{ticket}"))).await.0,
        200
    );
    let answer = post(&world, &reader, "/Actions", &json!([]))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap()),
        (403, String::new())
    );
    assert_eq!(ask(get(&world, &reader, "/Users?search=adele")).await.0, 403);
    world.halo().expire_tokens();
    assert_eq!(
        ask(get(&world, &reader, "/Tickets")).await.0,
        401,
        "expired early"
    );
    world.shutdown().await;
}

#[tokio::test]
async fn a_ticket_reads_with_its_quirks_and_unlike_a_written_one() {
    let world = world().await;
    let id = world.halo().file_ticket(cannot_log_in());
    let token = token_with(&world, "all").await;
    let (_, bare) = ask(get(&world, &token, &format!("/tickets/{id}"))).await;
    assert!(bare.get("customfields").is_none(), "only with includedetails");
    let (_, read) = ask(get(&world, &token, &format!("/Tickets/{id}?includedetails=true"))).await;
    assert_eq!(read["user_email"], "adele@contoso.example");
    assert_eq!(read["dateclosed"], "1900-01-01T00:00:00");
    assert!(!read["last_update"].as_str().unwrap().ends_with('Z'), "naive");
    assert_eq!(read["agent_id"], 1);
    let update = json!([{"id": id, "tickettype_id": 25, "client_id": 12, "summary": "new"}]);
    let (status, written) = ask(post(&world, &token, "/Tickets", &update)).await;
    assert_eq!(status, 200);
    assert!(
        written["useremail"].is_string() && written.get("user_email").is_none(),
        "other names on writing"
    );
    let (_, users) = ask(get(&world, &token, "/Users?search=adele@contoso.example")).await;
    assert_eq!(users["record_count"], 1);
    assert!(users["users"][0]["site_id"].is_f64(), "a double");
    let (_, priorities) = ask(get(&world, &token, "/Priority")).await;
    assert!(priorities[0]["id"].as_str().unwrap().len() == 36 && priorities[0]["priorityid"] == "1");
    let (status, _) = ask(get(&world, &token, "/Tickets/999999")).await;
    assert_eq!(status, 404);
    world.shutdown().await;
}

#[tokio::test]
async fn writes_are_arrays_of_whole_numbers_with_type_client_and_outcome() {
    let world = world().await;
    let id = world.halo().file_ticket(cannot_log_in());
    let token = token_with(&world, "all").await;
    let write = async |path: &str, body: Value| ask(post(&world, &token, path, &body)).await;

    let (status, body) = write(
        "/Tickets",
        json!({"id": id, "tickettype_id": 25, "client_id": 12}),
    )
    .await;
    assert!(
        status == 400 && body["Message"].as_str().unwrap().contains("JSON array"),
        "{body}"
    );
    let (status, body) = write("/Tickets", json!([{"id": id, "status_id": 10}])).await;
    assert_eq!((status, body), (400, json!("Record not found")));
    let (status, body) = write(
        "/Tickets",
        json!([{"id": id, "tickettype_id": 25, "client_id": 12, "agent_id": 95.0}]),
    )
    .await;
    assert!(status == 400 && body.get("[0].agent_id").is_some(), "{body}");
    let (status, body) = write("/Actions", json!([{"ticket_id": id, "note": "hi"}])).await;
    assert_eq!(
        (status, body),
        (400, json!("An Outcome must be entered for this Action"))
    );
    let (status, _) = write(
        "/Tickets",
        json!([{"id": id, "tickettype_id": 25, "client_id": 12, "agent_id": 2}]),
    )
    .await;
    assert_eq!(status, 400, "an API-only agent takes no tickets");
    let url = format!("{}/Actions", setting(&world, "HALOPSA_URL"));
    let (status, _) = ask(client().post(url).bearer_auth(&token).body("[]")).await;
    assert_eq!(status, 415, "no JSON by its content type");

    let ticket = world.halo().ticket(id).unwrap();
    assert_eq!(
        (ticket.status.as_str(), ticket.notes.len()),
        ("New", 0),
        "nothing of it was done"
    );
    world.shutdown().await;
}

#[tokio::test]
async fn a_note_with_a_status_and_custom_fields_by_id_are_kept_and_told() {
    let world = world().await;
    let id = world.halo().file_ticket(cannot_log_in());
    let token = token_with(&world, "all").await;
    let fields = json!([{"id": id, "tickettype_id": 25, "client_id": 12,
        "customfields": [{"id": 178, "value": "running"}, {"name": "CFplaybook_id", "value": "by name"}, {"id": 9, "value": 1}]}]);
    assert_eq!(ask(post(&world, &token, "/Tickets", &fields)).await.0, 200);
    let note =
        json!([{"ticket_id": id, "outcome_id": 7, "note_html": "<p>Adele &amp; co</p>", "new_status": 10}]);
    let (status, action) = ask(post(&world, &token, "/Actions?returnall=true", &note)).await;
    assert_eq!(
        (status, &action[0]["id"], &action[0]["hiddenfromuser"]),
        (200, &json!(1), &json!(true))
    );
    assert_eq!(
        action[0]["ticket"],
        json!(null),
        "shown to whoever asks for it only"
    );
    let ticket = world.halo().ticket(id).unwrap();
    assert_eq!(ticket.status, "Resolved");
    assert_eq!(ticket.notes[0].text, "Adele & co");
    assert_eq!(
        ticket.custom_fields.len(),
        1,
        "by name and unknown ones are ignored: {:?}",
        ticket.custom_fields
    );
    let moved = Event::StatusChanged {
        ticket: id,
        from: "New".into(),
        to: "Resolved".into(),
        by: "Firstline API".into(),
    };
    world
        .journal()
        .wait_for(SOON, |event| *event == moved)
        .await
        .unwrap();
    let (_, list) = ask(get(&world, &token, &format!("/Actions?ticket_id={id}"))).await;
    assert_eq!(
        (
            &list["record_count"],
            &list["actions"][0]["actionby_application_id"]
        ),
        (&json!(1), &json!(setting(&world, "HALOPSA_CLIENT_ID")))
    );
    world.shutdown().await;
}

#[tokio::test]
async fn the_poller_reads_pages_in_order_of_change() {
    let world = world().await;
    let ids: Vec<i64> = (0..3)
        .map(|_| world.halo().file_ticket(cannot_log_in()))
        .collect();
    world.halo().agent_note(ids[0], "looking at it");
    world.halo().set_status(ids[1], "Closed");
    let token = token_with(&world, "read:tickets").await;
    let page = async |page: usize| {
        let path = format!(
            "/Tickets?open_only=true&lastupdatefromdate=2026-01-01T00:00:00.000Z&order=lastupdate&orderdesc=false&pageinate=true&page_size=1&page_no={page}"
        );
        let (_, body) = ask(get(&world, &token, &path)).await;
        assert_eq!(body["record_count"], 2);
        body["tickets"][0]["id"].clone()
    };
    assert_eq!(
        [page(1).await, page(2).await],
        [json!(ids[2]), json!(ids[0])],
        "the note came last"
    );
    world.shutdown().await;
}

#[tokio::test]
async fn options_switch_between_versions_of_the_vendor() {
    let world = world().await;
    let id = world.halo().file_ticket(cannot_log_in());
    let token = token_with(&world, "all").await;
    world.halo().options(HaloOptions {
        posts_answer_as_array: true,
        unknown_ticket_is_empty_object: true,
        workflow_refuses_bare_status: true,
        warning: Some("careful".into()),
        ..HaloOptions::default()
    });
    let update =
        |status: Value| json!([{"id": id, "tickettype_id": 25, "client_id": 12, "status_id": status}]);
    let (_, written) = ask(post(&world, &token, "/Tickets", &update(Value::Null))).await;
    assert_eq!(written[0]["_warning"], "careful");
    assert_eq!(
        ask(post(&world, &token, "/Tickets", &update(json!(10)))).await.0,
        400
    );
    assert_eq!(ask(get(&world, &token, "/Tickets/1")).await, (200, json!({})));
    let note = json!([{"ticket_id": id, "outcome_id": 7, "note": "done", "new_status": 10, "_includeticketinresponse": true}]);
    let (_, shown) = ask(post(&world, &token, "/Actions", &note)).await;
    assert_eq!(shown[0]["ticket"]["status_id"], 10, "as the action left it");
    world.halo().options(HaloOptions {
        actions_show_tickets: false,
        ..HaloOptions::default()
    });
    let (_, shown) = ask(post(&world, &token, "/Actions", &note)).await;
    assert_eq!((&shown["id"], &shown["ticket"]), (&json!(2), &Value::Null));
    world.halo().options(HaloOptions {
        rate_per_5min: Some(1),
        retry_after: Some(7),
        ..HaloOptions::default()
    });
    // The window is a rolling one, and begins where counting began.
    assert_eq!(get(&world, &token, "/Status").send().await.unwrap().status(), 200);
    let answer = get(&world, &token, "/Status").send().await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "7")
    );
    assert!(answer.text().await.unwrap().starts_with("Rate Limit Reached"));
    world.shutdown().await;
}

fn proof(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn a_new_ticket_is_announced_once_and_signed_over_its_raw_body() {
    let (world, receiver) = heard().await;
    let id = world.halo().file_ticket(cannot_log_in());
    let webhook = receiver.wait(1).await.remove(0);
    assert_eq!(webhook.path, "/webhooks/halopsa/ticket_created");
    assert_eq!(
        webhook.header("token"),
        proof(&setting(&world, "HALOPSA_WEBHOOK_SECRET"), &webhook.body)
    );
    let body = webhook.json();
    assert_eq!(
        (&body["object_id"], &body["event"]),
        (&json!(id), &json!("new ticket logged"))
    );
    assert_eq!(body["ticket"]["useremail"], "adele@contoso.example");
    let told = |event: &Event| {
        matches!(
            event,
            Event::WebhookDelivered {
                system: System::Halo,
                status: Some(200),
                ..
            }
        )
    };
    world.journal().wait_for(SOON, told).await.unwrap();
    assert_eq!(receiver.all().len(), 1, "never repeated by itself");
    assert_eq!(world.halo().deliveries()[0].status, Some(200));
    world.shutdown().await;
}

#[tokio::test]
async fn webhooks_come_twice_in_batches_in_disorder_bare_or_never() {
    let (world, receiver) = heard().await;
    world.halo().webhooks(WebhookMode {
        duplicates: 4,
        payload: WebhookPayload::EventOnly,
        ..WebhookMode::default()
    });
    world.halo().file_ticket(cannot_log_in());
    let five = receiver.wait(5).await;
    assert!(
        five.iter().all(|one| one.body == five[0].body),
        "the same delivery five times"
    );
    assert!(five[0].json().get("ticket").is_none(), "event information only");

    world.halo().webhooks(WebhookMode {
        batch: Some(2),
        ..WebhookMode::default()
    });
    let batched = [
        world.halo().file_ticket(cannot_log_in()),
        world.halo().file_ticket(cannot_log_in()),
    ];
    let batch = receiver.wait(6).await.remove(5).json();
    assert_eq!(
        [&batch[0]["object_id"], &batch[1]["object_id"]],
        [&json!(batched[0]), &json!(batched[1])]
    );

    world.halo().webhooks(WebhookMode {
        reorder: Some(2),
        display_values: true,
        ..WebhookMode::default()
    });
    let (first, second) = (
        world.halo().file_ticket(cannot_log_in()),
        world.halo().file_ticket(cannot_log_in()),
    );
    let late = receiver.wait(8).await;
    assert_eq!(
        [&late[6].json()["object_id"], &late[7].json()["object_id"]],
        [&json!(second), &json!(first)]
    );
    assert_eq!(
        late[7].json()["ticket"]["status_id"],
        "New",
        "a name instead of an id"
    );

    world.halo().webhooks(WebhookMode {
        silent: true,
        ..WebhookMode::default()
    });
    world.halo().file_ticket(cannot_log_in());
    let delivery = world.halo().deliveries().remove(0);
    world.halo().webhooks(WebhookMode::default());
    assert_eq!(
        world.halo().resend(&delivery.id).await,
        Some(200),
        "an admin sends it again"
    );
    assert_eq!(receiver.all().len(), 9, "the silent one never came");
    world.shutdown().await;
}
