//! What is away is waited for; what stops is taken up again; nothing is lost and nothing is done twice.

use std::time::Duration;

use common::Problem;
use http::{Method, StatusCode};
use serde_json::Value;
use simulators::System;
use simulators::faults::{Fault, FaultKind};
use simulators::openai::Scripted;

use crate::story::{Story, codes};

const RESET: &str = "I forgot my password";

#[tokio::test(flavor = "multi_thread")]
async fn a_help_desk_that_is_away_is_waited_for_longer_than_any_patience() {
    let story = Story::begin(&[("GATE_PATIENCE_S", "1")]).await;
    story.world.faults(System::Halo).outage(true);
    let ticket = story.file("adele@contoso.example", RESET);
    story
        .until("three tries in vain", async || {
            let tries: Option<i32> = sqlx::query_scalar("SELECT tries FROM tickets")
                .fetch_optional(&story.database.owner().await)
                .await
                .unwrap();
            (tries? >= 3).then_some(())
        })
        .await;
    assert_eq!(story.state(ticket).await.as_deref(), Some("SEEN"));
    story.world.faults(System::Halo).outage(false);
    assert!(story.decision(ticket).await.automated);
    assert_eq!(story.settled(ticket).await, "DONE");
}

async fn readiness(story: &Story) -> (StatusCode, Value) {
    let answer = story.request(Method::GET, "/readyz").send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_taken_in_by_a_classifier_that_starts_while_the_help_desk_is_away() {
    let mut story = Story::prepare(&[]).await;
    story.accept_executions().await;
    story.world.faults(System::Halo).outage(true);
    story.start();
    let named = async || {
        let (status, report) = readiness(&story).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        let degraded = report["degraded"].as_array()?;
        degraded.iter().any(|what| what == "halopsa_fields").then_some(())
    };
    story.until("the missing fields named", named).await;
    let ticket = story.file("adele@contoso.example", RESET);
    story
        .until("the ticket on record", async || story.state(ticket).await)
        .await;
    story.world.faults(System::Halo).outage(false);
    assert!(story.decision(ticket).await.automated);
    assert_eq!(story.settled(ticket).await, "DONE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_help_desk_does_not_have_is_a_fault_of_the_settings() {
    let story = Story::begin(&[("HALOPSA_FIELD_STATUS", "CFno_such_field")]).await;
    let blocked = async || {
        let (status, report) = readiness(&story).await;
        let why = report["waiting_for"]["halopsa_fields"].as_str()?;
        (status == StatusCode::SERVICE_UNAVAILABLE && why.contains("CFno_such_field")).then_some(())
    };
    story.until("the missing field named", blocked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_stays_away_ends_the_patience_and_never_in_automation() {
    let story = Story::begin(&[("GATE_PATIENCE_S", "2")]).await;
    story.world.faults(System::Entra).outage(true);
    let ticket = story.file("adele@contoso.example", RESET);
    let decision = story.decision(ticket).await;
    assert_eq!(codes(&decision), ["directory_unavailable"]);
    assert_eq!(story.settled(ticket).await, "DONE");
    assert_eq!(
        story.field(ticket, "CFautomation_status").as_deref(),
        Some("manual")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_the_help_desk_always_fails_to_mark_goes_on_unmarked() {
    let story = Story::begin(&[]).await;
    let fails = Fault::new(FaultKind::Status(500)).on("/Tickets").method("POST");
    story.world.faults(System::Halo).inject(fails);
    let ticket = story.file("adele@contoso.example", RESET);
    // As after some minutes, once it is decided.
    story
        .until("many tries", async || {
            let tried = sqlx::query(
                "UPDATE tickets SET tries = 12 WHERE state = 'DECIDED' AND tries BETWEEN 1 AND 3",
            )
            .execute(&story.database.owner().await)
            .await
            .unwrap();
            (tried.rows_affected() == 1).then_some(())
        })
        .await;
    assert_eq!(story.settled(ticket).await, "DONE");
    assert_eq!(story.field(ticket, "CFautomation_status"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_whose_history_the_help_desk_refuses_to_show_is_left_to_a_person() {
    let story = Story::begin(&[("GATE_PATIENCE_S", "2")]).await;
    let refuses = Fault::new(FaultKind::Status(403)).on("/Actions");
    story.world.faults(System::Halo).inject(refuses);
    let ticket = story.file("adele@contoso.example", RESET);
    assert_eq!(codes(&story.decision(ticket).await), ["ticket_unreadable"]);
    assert_eq!(story.settled(ticket).await, "DONE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_comes_back_in_time_costs_nothing_but_time() {
    let story = Story::begin(&[]).await;
    story.world.faults(System::Entra).outage(true);
    let ticket = story.file("adele@contoso.example", RESET);
    story
        .until("the wait", async || {
            let waiting: Option<Option<String>> = sqlx::query_scalar("SELECT waiting_for FROM tickets")
                .fetch_optional(&story.database.owner().await)
                .await
                .unwrap();
            (waiting??.contains("the directory")).then_some(())
        })
        .await;
    story.world.faults(System::Entra).outage(false);
    assert!(story.decision(ticket).await.automated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_talks_nonsense_is_asked_again() {
    let mut story = Story::prepare(&[]).await;
    story.accept_executions().await;
    story.use_model();
    story.start();
    story.world.openai().script(Scripted::HalfJson);
    story.world.openai().script(Scripted::Content(
        serde_json::json!({"category": "PASSWORD_RESET"}),
    ));
    let ticket = story.file("adele@contoso.example", RESET);
    assert!(story.decision(ticket).await.automated);
    assert!(story.world.openai().calls() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_answers_as_agreed_ends_the_patience_and_never_in_automation() {
    let mut story = Story::prepare(&[("GATE_PATIENCE_S", "2")]).await;
    story.accept_executions().await;
    story.use_model();
    // More than any patience asks for, each of another kind.
    for _ in 0..100 {
        story.world.openai().script(Scripted::HalfJson);
        story
            .world
            .openai()
            .script(Scripted::Text("It is a password reset.".to_owned()));
        story.world.openai().script(Scripted::Empty);
    }
    story.start();
    let ticket = story.file("adele@contoso.example", RESET);
    let decision = story.decision(ticket).await;
    assert_eq!(codes(&decision), ["classifier_unavailable"]);
    assert!(!decision.automated);
    assert!(story.world.openai().calls() >= 2, "it was asked again");
    assert_eq!(story.settled(ticket).await, "DONE");
    assert_eq!(
        story.field(ticket, "CFautomation_status").as_deref(),
        Some("manual")
    );
    assert!(story.executions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_says_nothing_at_all_ends_the_patience_and_never_in_automation() {
    let mut story = Story::prepare(&[("GATE_PATIENCE_S", "2"), ("OPENAI_TIMEOUT_S", "1")]).await;
    story.accept_executions().await;
    story.use_model();
    let silent = Fault::new(FaultKind::Latency(Duration::from_mins(1)));
    story.world.faults(System::OpenAi).inject(silent);
    story.start();
    let ticket = story.file("adele@contoso.example", RESET);
    let decision = story.decision(ticket).await;
    assert_eq!(codes(&decision), ["classifier_unavailable"]);
    assert_eq!(story.settled(ticket).await, "DONE");
    assert!(story.executions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_classifier_goes_on_where_it_was_with_the_very_same_request() {
    let mut story = Story::prepare(&[]).await;
    let away = Problem::outside_unavailable("orchestration", Some(1));
    story.executions_answer(503, away, u64::MAX).await;
    story.start();
    let ticket = story.file("adele@contoso.example", RESET);
    story
        .until("a request in vain", async || {
            (!story.executions().await.is_empty()).then_some(())
        })
        .await;
    story.kill();
    let before = story.executions().await;

    story.peers.reset().await;
    story.accept_executions().await;
    story.start();
    assert_eq!(story.settled(ticket).await, "DONE");
    let after = story.executions().await;
    assert_eq!(after.len(), 1);
    assert_eq!(after[0], before[0], "same key, same body");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_whose_execution_was_started_by_a_classifier_that_died_is_not_called_queued_again() {
    let mut story = Story::begin(&[]).await;
    let ticket = story.file("adele@contoso.example", RESET);
    assert_eq!(story.settled(ticket).await, "DONE");
    story.kill();
    // As it stands where it dies before it writes down that the execution is under way.
    sqlx::query(
        "UPDATE tickets SET state = 'DECIDED', execution_id = NULL, work_at = now(), leased_until = NULL
         WHERE ticket_id = $1",
    )
    .bind(ticket.to_string())
    .execute(&story.database.owner().await)
    .await
    .unwrap();
    story.execution_is_under_way(ticket).await;
    // Whoever writes to the ticket now waits for ever.
    let deaf = Fault::new(FaultKind::Status(503)).on("ickets").method("POST");
    story.world.faults(System::Halo).inject(deaf);
    story.start();
    assert_eq!(story.settled(ticket).await, "DONE");
    let executions = story.executions().await;
    assert_eq!(executions.len(), 2);
    assert_eq!(executions[0], executions[1], "same key, same body");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_taken_in_before_a_stop_is_decided_after_it() {
    let mut story = Story::begin(&[]).await;
    story.world.faults(System::Halo).outage(true);
    let ticket = story.file("adele@contoso.example", RESET);
    story
        .until("the ticket on record", async || story.state(ticket).await)
        .await;
    story.stop().await;
    story.world.faults(System::Halo).outage(false);
    story.start();
    assert!(story.decision(ticket).await.automated);
    assert_eq!(story.settled(ticket).await, "DONE");
    assert_eq!(story.executions().await.len(), 1);
}
