//! Webhooks: proof first, every change once, nothing believed.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use simulators::halo::{WebhookMode, WebhookPayload};
use simulators::settings::WebhookAuth;
use simulators::{Secrets, WorldSettings};

use crate::story::Story;

pub(crate) const CREATED: &str = "/webhooks/halopsa/ticket_created";
const UPDATED: &str = "/webhooks/halopsa/ticket_updated";

pub(crate) fn signed(story: &Story, body: &[u8]) -> HeaderMap {
    use base64::Engine as _;
    use hmac::{KeyInit as _, Mac as _};
    let secrets = story.world.secrets();
    let key = secrets.halo_webhook_secret.as_bytes();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(body);
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let name: http::HeaderName = secrets.halo_webhook_header.parse().unwrap();
    HeaderMap::from_iter([(name, HeaderValue::from_str(&signature).unwrap())])
}

pub(crate) fn envelope(delivery: &str, ticket: i64, event: &str, agent: i64) -> String {
    serde_json::json!({
        "id": delivery, "event": event, "object_id": ticket, "agent_id": agent, "timestamp": "2026-11-22T00:00:00Z",
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_proof_gets_the_bare_status_and_leaves_nothing() {
    let story = Story::begin(&[]).await;
    let body = envelope("d-1", 1, "new ticket logged", 1);
    for path in [CREATED, UPDATED] {
        let unsigned = story.push(path, HeaderMap::new(), body.clone()).await;
        assert_eq!(
            (
                unsigned.status().as_u16(),
                unsigned.text().await.unwrap().as_str()
            ),
            (401, "")
        );
        let of_another = signed(&story, b"another body");
        assert_eq!(story.push(path, of_another, body.clone()).await.status(), 401);
    }
    assert_eq!(
        story.count("ticket_events").await + story.count("tickets").await,
        0
    );
}

/// A help desk that proves its webhooks in another way than by a signature.
async fn proven_by(auth: WebhookAuth) -> Story {
    let world = WorldSettings::default();
    let secrets = Secrets {
        halo_webhook_auth: auth,
        ..Secrets::derived(world.seed)
    };
    let world = WorldSettings {
        secrets: Some(secrets),
        ..world
    };
    Story::begin_in(world, &[]).await
}

fn authorization(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_proven_by_a_password_or_a_token_is_taken_and_by_any_other_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for auth in [WebhookAuth::Basic, WebhookAuth::Bearer] {
        let story = proven_by(auth).await;
        let secrets = story.world.secrets();
        let (name, secret) = (&secrets.halo_webhook_username, &secrets.halo_webhook_secret);
        let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
        let (by_password, by_token) = (basic(format!("{name}:{secret}")), format!("Bearer {secret}"));
        let (good, other) = match auth {
            WebhookAuth::Basic => (by_password, by_token),
            _ => (by_token, by_password),
        };
        let body = envelope("d-1", 987_002, "new ticket logged", 1);
        let mut refused = vec![
            ("nothing", HeaderMap::new()),
            ("the other way", authorization(&other)),
            ("a signature", signed(&story, body.as_bytes())),
            ("a secret cut short", authorization(&good[..good.len() - 4])),
            ("a secret and more", authorization(&format!("{good}AAAA"))),
            ("the scheme alone", authorization(good.split(' ').next().unwrap())),
        ];
        for text in [
            format!("{name}:{secret}x"),
            format!("x{name}:{secret}"),
            format!("{name}:"),
            format!(":{secret}"),
            secret.clone(),
        ] {
            refused.push(("another name or password", authorization(&basic(text))));
        }
        for (what, headers) in refused {
            let answer = story.push(CREATED, headers, body.clone()).await;
            assert_eq!(answer.status(), 401, "{auth:?}: {what}");
            assert_eq!(answer.text().await.unwrap(), "", "{auth:?}: {what}");
        }
        assert_eq!(story.count("ticket_events").await, 0, "{auth:?}: nothing is left");
        let answer = story.push(CREATED, authorization(&good), body).await;
        assert_eq!(answer.status(), 202, "{auth:?}");
        let ticket = story.file("adele@contoso.example", "I can't log in");
        assert_eq!(
            story.settled(ticket).await,
            "DONE",
            "{auth:?}: the help desk's own"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_and_oversized_bodies_are_refused_and_leave_nothing() {
    let story = Story::begin(&[]).await;
    for body in ["{", "[]", r#"{"hello": 1}"#] {
        let answer = story.push(CREATED, signed(&story, body.as_bytes()), body).await;
        assert_eq!(answer.status(), 400, "{body}");
    }
    let large = vec![b' '; 2 * 1024 * 1024 + 1];
    let answer = story.push(CREATED, signed(&story, &large), large).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(
        story.count("ticket_events").await + story.count("tickets").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_for_a_ticket_that_nobody_knows_is_accepted_recorded_and_ignored() {
    let story = Story::begin(&[]).await;
    let body = envelope("d-1", 987_654, "new ticket logged", 1);
    assert_eq!(
        story
            .push(CREATED, signed(&story, body.as_bytes()), body)
            .await
            .status(),
        202
    );
    assert_eq!(story.settled(987_654).await, "UNKNOWN");
    assert_eq!(story.audit(987_654).await, ["ticket.unknown"]);
    assert_eq!(story.count("classification_results").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_delivered_five_times_makes_one_execution() {
    let story = Story::begin(&[]).await;
    let five = WebhookMode {
        duplicates: 4,
        ..WebhookMode::default()
    };
    story.world.halo().webhooks(five);
    let ticket = story.file("adele@contoso.example", "I can't log in");
    assert_eq!(story.settled(ticket).await, "DONE");
    let sent = || {
        story
            .world
            .halo()
            .deliveries()
            .iter()
            .filter(|delivery| delivery.status == Some(202))
            .count()
    };
    story
        .until("five deliveries", async || (sent() >= 5).then_some(()))
        .await;
    assert_eq!(story.executions().await.len(), 1);
    assert_eq!(story.count("classification_results").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_change_told_by_two_deliveries_is_kept_once_and_our_own_changes_are_not_news() {
    let story = Story::begin(&[]).await;
    let own: i64 = story.world.secrets().halo_agent_id;
    for (delivery, agent) in [("d-1", 1), ("d-1", 1), ("d-2", 1)] {
        let body = envelope(delivery, 987_001, "new ticket logged", agent);
        assert_eq!(
            story
                .push(CREATED, signed(&story, body.as_bytes()), body)
                .await
                .status(),
            202
        );
    }
    let body = envelope("d-3", 987_002, "ticket updated", own);
    assert_eq!(
        story
            .push(UPDATED, signed(&story, body.as_bytes()), body)
            .await
            .status(),
        202
    );
    assert_eq!(story.count("ticket_events").await, 2);
    assert_eq!(story.count("tickets").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_bare_events_is_taken_in_and_each_ticket_decided() {
    let story = Story::begin(&[]).await;
    let batches = WebhookMode {
        payload: WebhookPayload::EventOnly,
        batch: Some(2),
        ..WebhookMode::default()
    };
    story.world.halo().webhooks(batches);
    let one = story.file("adele@contoso.example", "I can't log in");
    let other = story.file("alex@contoso.example", "My laptop screen is broken");
    assert!(story.decision(one).await.automated);
    assert!(!story.decision(other).await.automated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_decided_ticket_is_recorded_and_changes_nothing() {
    let story = Story::begin(&[]).await;
    let ticket = story.file("adele@contoso.example", "My laptop screen is broken");
    assert_eq!(story.settled(ticket).await, "DONE");
    let first = story.decision(ticket).await;
    story.world.halo().user_note(ticket, "I also forgot my password");
    story
        .until("the change on record", async || {
            let query = "SELECT count(*) FROM ticket_events WHERE taken = 'ALREADY_DECIDED'";
            let seen: i64 = sqlx::query_scalar(query)
                .fetch_one(&story.database.owner().await)
                .await
                .unwrap();
            (seen > 0).then_some(())
        })
        .await;
    assert_eq!(story.decision(ticket).await, first);
    assert!(story.executions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_whose_webhook_never_came_is_found_by_the_poll() {
    let story = Story::begin(&[("HALOPSA_POLL_INTERVAL_S", "1")]).await;
    let silent = WebhookMode {
        silent: true,
        ..WebhookMode::default()
    };
    story.world.halo().webhooks(silent);
    let ticket = story.file("adele@contoso.example", "I forgot my password");
    assert!(story.decision(ticket).await.automated);
    assert_eq!(story.settled(ticket).await, "DONE");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poll_goes_by_the_help_desks_clock_however_far_it_is_from_ours() {
    let mut story = Story::prepare(&[("HALOPSA_POLL_INTERVAL_S", "1")]).await;
    let silent = WebhookMode {
        silent: true,
        ..WebhookMode::default()
    };
    story.world.halo().webhooks(silent);
    story.world.run_behind(Duration::from_mins(10));
    story.start();
    // Until then the only clock that is known is ours.
    story
        .until("the first look", async || {
            (story.count("ticket_polls").await > 0).then_some(())
        })
        .await;
    for text in ["I forgot my password", "I forgot my password again"] {
        let ticket = story.file("adele@contoso.example", text);
        assert!(story.decision(ticket).await.automated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_long_ago_of_tickets_done_with_is_archived_whole() {
    let mut story = Story::prepare(&[("RETENTION_DAYS", "30")]).await;
    let owner = story.database.owner().await;
    for (ticket, days) in [("1", 31), ("2", 31), ("3", 29)] {
        // As `clock::fresh_id` makes them: the first 48 bits are the milliseconds of the time.
        let query = "INSERT INTO ticket_events (tenant_id, id, ticket_id, source, deduplication_key, event, received_at, taken)
             SELECT 'default',
                    (lpad(to_hex((EXTRACT(EPOCH FROM at) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid,
                    $1, 'POLL', $1, 'a phrase', at, 'WORK'
             FROM (SELECT now() - make_interval(days => $2) AS at) AS told";
        sqlx::query(query)
            .bind(ticket)
            .bind(days)
            .execute(&owner)
            .await
            .unwrap();
    }
    // Of the second one nobody knows yet what becomes of it.
    let waits = "INSERT INTO tickets (tenant_id, ticket_id, state, first_seen_at, changed_at, work_at)
         VALUES ('default', '2', 'SEEN', now(), now(), now() + interval '1 day')";
    sqlx::query(waits).execute(&owner).await.unwrap();
    story.start();
    story
        .until("something archived", async || {
            (story.count("archived_ticket_events").await > 0).then_some(())
        })
        .await;
    let left: Vec<String> = sqlx::query_scalar("SELECT ticket_id FROM ticket_events ORDER BY ticket_id")
        .fetch_all(&owner)
        .await
        .unwrap();
    assert_eq!(left, ["2", "3"]);
    let record: Value = sqlx::query_scalar("SELECT record FROM archived_ticket_events")
        .fetch_one(&owner)
        .await
        .unwrap();
    assert_eq!(
        (&record["ticket_id"], &record["event"]),
        (&"1".into(), &"a phrase".into())
    );
}
