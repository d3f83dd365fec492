//! What comes twice, or five times, is done once.

use common::problem::{IDEMPOTENCY_MISMATCH, Problem};
use common::{ExecutePlaybook, Service};
use launcher::testing::TestFleet;
use simulators::Event;
use simulators::halo::WebhookMode;

use crate::access::call;
use crate::attacks::{assert_on_record, codes_of};
use crate::{ADELE, ALEX, assert_one_pass_delivered, automation, count, fleet};

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_delivered_five_times_makes_one_execution() {
    let fleet = fleet().await;
    fleet.world().halo().webhooks(WebhookMode {
        duplicates: 4,
        ..WebhookMode::default()
    });
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");

    assert!(
        count(&fleet, |event| matches!(
            event,
            Event::WebhookDelivered {
                status: Some(202),
                ..
            }
        )) >= 5
    );
    assert_eq!(rows(&fleet, "playbook_executions").await, 1);
    assert_eq!(rows(&fleet, "classification_results").await, 1);
    assert_eq!(fleet.world().entra().pushes(ADELE), 1);
    assert_eq!(fleet.world().entra().passes_created(ADELE), 1);
    assert_one_pass_delivered(&fleet, ADELE);
    // And the audit tells of one.
    for kind in [
        "decision.recorded",
        "execution.accepted",
        "permit.spent",
        "effect.done",
    ] {
        assert_eq!(codes_of(&fleet, &[kind]).await.len(), 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_in_one_batch_are_all_taken() {
    let fleet = fleet().await;
    fleet.world().halo().webhooks(WebhookMode {
        batch: Some(2),
        ..WebhookMode::default()
    });
    let first = fleet.file_ticket(ADELE, "I can't log in");
    let second = fleet.file_ticket(ALEX, "My laptop screen is broken");
    assert_eq!(automation(&fleet.wait_for_end(first).await), "resolved");
    assert_eq!(automation(&fleet.wait_for_end(second).await), "manual");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_post_that_comes_twice_with_one_key_is_done_once() {
    let fleet = fleet().await;
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    fleet.wait_for_end(ticket).await;

    // The very requests that made it happen, once more, as their callers would after a lost answer.
    let request = execute_request(&fleet, ticket).await;
    let path = "/api/v1/orchestration/execute_playbook";
    let key = format!("decision/{}", request.decision_id);
    let body = serde_json::to_vec(&request).unwrap();
    let first = call(
        &fleet,
        Service::Classifier,
        Service::Orchestration,
        "POST",
        path,
        &body,
        Some(&key),
    )
    .await;
    let again = call(
        &fleet,
        Service::Classifier,
        Service::Orchestration,
        "POST",
        path,
        &body,
        Some(&key),
    )
    .await;
    assert_eq!((first.0, again.0), (202, 202));
    assert_eq!(first.1, again.1);
    assert_eq!(rows(&fleet, "playbook_executions").await, 1);
    assert_eq!(fleet.world().entra().passes_created(ADELE), 1);

    // The same key for something else is a mistake that is told.
    let mut other = request;
    other.requester_name = "Somebody Else".into();
    let body = serde_json::to_vec(&other).unwrap();
    let (status, text) = call(
        &fleet,
        Service::Classifier,
        Service::Orchestration,
        "POST",
        path,
        &body,
        Some(&key),
    )
    .await;
    assert_eq!(status, 422);
    assert_eq!(
        serde_json::from_str::<Problem>(&text).unwrap().code,
        IDEMPOTENCY_MISMATCH
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_published_twice_is_one_version_and_other_content_is_refused() {
    let fleet = fleet().await;
    let playbooks = fleet.playbooks(&["admin"]);
    let source = playbooks
        .playbook(&"password_reset".parse().unwrap(), None)
        .await
        .unwrap()
        .source
        .unwrap();
    let first = playbooks.publish(&source, "once").await.unwrap();
    let again = playbooks.publish(&source, "twice").await.unwrap();
    assert_eq!(first, again);
    let changed = source.replace("Automated password reset", "Another thing");
    assert_ne!(changed, source);
    let refused = playbooks.publish(&changed, "thrice").await.unwrap_err();
    assert!(refused.to_string().contains("409"), "{refused}");
    assert_on_record(&fleet, &[("playbook.refused", "playbook_version_published")]).await;
}

async fn execute_request(fleet: &TestFleet, ticket: i64) -> ExecutePlaybook {
    let view = fleet.execution(ticket).await.unwrap();
    let row: (uuid::Uuid, String, String, serde_json::Value, serde_json::Value) = sqlx::query_as(
        "SELECT decision_id, subject_id, requester_name, ticket, facts FROM playbook_executions WHERE ticket_id = $1",
    )
    .bind(ticket.to_string())
    .fetch_one(fleet.owner())
    .await
    .unwrap();
    ExecutePlaybook {
        tenant_id: view.tenant_id.clone(),
        ticket_id: view.ticket_id,
        decision_id: common::DecisionId(row.0),
        playbook: view.playbook,
        subject: common::Subject {
            tenant_id: view.tenant_id,
            user_id: row.1.parse().unwrap(),
        },
        requester_name: row.2,
        requester_mail: serde_json::from_value(row.4["requester_mail"].clone()).unwrap(),
        manager: serde_json::from_value(row.4["manager"].clone()).unwrap(),
        ticket: serde_json::from_value(row.3).unwrap(),
        inputs: common::Values::new(),
    }
}

async fn rows(fleet: &TestFleet, table: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let (count,): (i64,) = sqlx::query_as(sql).fetch_one(fleet.owner()).await.unwrap();
    count
}
