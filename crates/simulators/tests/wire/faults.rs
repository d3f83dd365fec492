//! Faults on the wire, the log of requests, scripting over HTTP, and an end that leaves nothing behind.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::faults::{Fault, FaultKind};
use simulators::{Listen, System, World, WorldSettings};
use tokio::net::TcpListener;

use crate::support::{client, graph_token, quick, read, setting, world};

async fn create_pass(world: &World, token: &str) -> reqwest::Result<reqwest::Response> {
    let url = format!(
        "{}/users/adele@contoso.example/authentication/temporaryAccessPassMethods",
        setting(world, "GRAPH_URL")
    );
    client()
        .post(url)
        .bearer_auth(token)
        .json(&json!({}))
        .send()
        .await
}

#[tokio::test]
async fn a_connection_breaks_before_or_after_the_deed() {
    let world = world().await;
    let token = graph_token(&world).await;
    let passes = || world.entra().passes_created("adele@contoso.example");
    world.faults(System::Entra).inject(
        Fault::new(FaultKind::DropBefore)
            .times(1)
            .on("temporaryAccessPass"),
    );
    assert!(create_pass(&world, &token).await.is_err());
    assert_eq!(passes(), 0, "nothing was done");
    world
        .faults(System::Entra)
        .inject(Fault::new(FaultKind::DropAfter).times(1).method("POST"));
    assert!(create_pass(&world, &token).await.is_err());
    assert_eq!(passes(), 1, "it was done, and nobody heard");
    world
        .faults(System::Entra)
        .inject(Fault::new(FaultKind::CutBody).times(1));
    let answer = create_pass(&world, &token).await.unwrap();
    assert_eq!(answer.status(), 201);
    assert!(answer.bytes().await.is_err(), "half a body");
    assert_eq!(
        create_pass(&world, &token).await.unwrap().status(),
        201,
        "faults were counted"
    );
    world.shutdown().await;
}

#[tokio::test]
async fn throttling_errors_and_latency_are_in_the_vendors_words() {
    let world = world().await;
    let token = graph_token(&world).await;
    let faults = world.faults(System::Entra);
    faults.inject(Fault::new(FaultKind::TooManyRequests { retry_after: Some(3) }).times(1));
    let answer = create_pass(&world, &token).await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "3")
    );
    assert_eq!(read(answer).await.1["error"]["code"], "TooManyRequests");
    faults.inject(Fault::new(FaultKind::Status(503)).times(1));
    assert_eq!(create_pass(&world, &token).await.unwrap().status(), 503);
    let slow = Duration::from_millis(80);
    faults.inject(Fault::new(FaultKind::Latency(slow)).times(1));
    let before = std::time::Instant::now();
    assert_eq!(create_pass(&world, &token).await.unwrap().status(), 201);
    assert!(before.elapsed() >= slow);

    let halo = format!("{}/Status", setting(&world, "HALOPSA_URL"));
    let standing = world
        .faults(System::Halo)
        .inject(Fault::new(FaultKind::TooManyRequests { retry_after: None }));
    let text = client().get(&halo).send().await.unwrap().text().await.unwrap();
    assert_eq!(
        text,
        "Rate Limit Reached - 300 Requests per rolling 5 minute window."
    );
    world.faults(System::Halo).lift(standing);
    assert_eq!(client().get(&halo).send().await.unwrap().status(), 401);
    world
        .faults(System::Twilio)
        .inject(Fault::new(FaultKind::Status(500)));
    let (_, body) = read(client().get(setting(&world, "TWILIO_URL")).send().await.unwrap()).await;
    assert_eq!(body["code"], 20_500);
    world.shutdown().await;
}

#[tokio::test]
async fn an_outage_is_of_one_system_and_scripting_goes_on() {
    let world = world().await;
    let token = graph_token(&world).await;
    let sim = format!("{}_sim/faults", world.urls().entra);
    client()
        .post(&sim)
        .json(&json!({"kind": "outage"}))
        .send()
        .await
        .unwrap();
    assert!(create_pass(&world, &token).await.is_err());
    let halo = format!("{}/Status", setting(&world, "HALOPSA_URL"));
    assert_eq!(
        client().get(halo).send().await.unwrap().status(),
        401,
        "the help desk is up"
    );
    client().delete(&sim).send().await.unwrap();
    assert_eq!(create_pass(&world, &token).await.unwrap().status(), 201);
    let log = world.requests(System::Entra);
    let statuses: Vec<Option<u16>> = log.iter().map(|request| request.status).collect();
    assert_eq!(
        statuses,
        [Some(200), None, Some(201)],
        "what broke has no answer, and scripting is not logged"
    );
    assert_eq!(
        log[1].headers["authorization"], "Bearer",
        "of credentials only the scheme"
    );
    world.shutdown().await;
}

#[tokio::test]
async fn the_world_is_scripted_and_read_over_http() {
    let world = world().await;
    let halo = world.urls().halo.clone();
    let new = json!({"from": "adele@contoso.example", "summary": "I forgot my password"});
    let (status, filed) = read(
        client()
            .post(format!("{halo}_sim/tickets"))
            .json(&new)
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(status, 201);
    let id = filed["id"].as_i64().unwrap();
    let note = client()
        .post(format!("{halo}_sim/tickets/{id}/notes"))
        .json(&json!({"text": "I take it"}));
    assert_eq!(note.send().await.unwrap().status(), 204);
    client()
        .post(format!("{halo}_sim/tickets/{id}/assign"))
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    let (_, ticket) = read(
        client()
            .get(format!("{halo}_sim/tickets/{id}"))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        (&ticket["agent_id"], &ticket["notes"][0]["by"]),
        (&json!(3), &json!("Holly Desk"))
    );
    let (_, journal) = read(
        client()
            .get(format!("{halo}_sim/journal?from=0"))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(journal[0]["event"]["kind"], "ticket_filed");
    let (_, company) = read(client().get(format!("{halo}_sim/company")).send().await.unwrap()).await;
    assert!(company.as_array().unwrap().len() >= 20);

    let push = client().put(format!("{}_sim/pushes/adele@contoso.example", world.urls().entra));
    assert_eq!(
        push.json(&json!({"answer": "deny", "after_ms": 5}))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let card = client().put(format!(
        "{}_sim/managers/megan@contoso.example",
        world.urls().teams
    ));
    assert_eq!(
        card.json(&json!({"choice": "approve", "form": "submit", "times": 2}))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let reply = client().put(format!("{}_sim/replies/%2B447700900101", world.urls().twilio));
    assert_eq!(
        reply
            .json(&json!({"reply": {"text": "who is this?"}}))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let answers = client().post(format!("{}_sim/answers", world.urls().openai));
    assert_eq!(
        answers
            .json(&json!({"content": {"category": "other"}}))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    world.shutdown().await;
}

#[tokio::test]
async fn the_same_seed_makes_the_same_world() {
    let ids = async |seed: u64| -> Value {
        let world = World::start(WorldSettings { seed, ..quick() }).await.unwrap();
        let ids = json!([
            world.person("adele").id,
            setting(&world, "TWILIO_AUTH_TOKEN"),
            setting(&world, "ENTRA_TENANT_ID")
        ]);
        world.shutdown().await;
        ids
    };
    assert_eq!(ids(7).await, ids(7).await);
    assert_ne!(ids(7).await, ids(8).await);
}

#[tokio::test]
async fn an_ended_world_frees_its_ports_and_a_taken_port_is_named() {
    let first = world().await;
    let address = format!("127.0.0.1:{}", first.urls().teams.port().unwrap())
        .parse()
        .unwrap();
    let taken = World::start(WorldSettings {
        listen: Listen {
            teams: address,
            ..Listen::ephemeral()
        },
        ..quick()
    })
    .await;
    assert!(taken.unwrap_err().to_string().contains(&address.to_string()));
    // A client keeps its connection open over the end.
    let client = client();
    client.get(first.urls().teams.clone()).send().await.unwrap();
    first.shutdown().await;
    TcpListener::bind(address).await.unwrap();
    assert!(client.get(format!("http://{address}/")).send().await.is_err());
}
