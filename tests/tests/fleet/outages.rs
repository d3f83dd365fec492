//! The world goes away for a while, or a service dies: the ticket waits and then ends as it should.

use common::Service;
use common::operate::CancelExecution;
use launcher::testing::{TestFleet, TestFleetSettings, until};
use simulators::entra::Push;
use simulators::faults::{Fault, FaultKind};
use simulators::teams::CardReaction;
use simulators::{Event, System};
use std::time::Duration;

use crate::{
    ADELE, ALEX, MEGAN, SOON, assert_one_pass_delivered, automation, count, fleet, fleet_with, quick_world,
};

/// An outside system is away from the moment `during` happens until it has been asked in vain three times.
async fn survives_outage(system: System, during: impl FnMut(&Event) -> bool) {
    let fleet = fleet().await;
    // People take their time, so that the outage begins before they answer.
    fleet
        .world()
        .entra()
        .push(ADELE, Push::approve().after(Duration::from_millis(300)));
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    fleet.world().journal().wait_for(SOON, during).await.unwrap();
    let away_since = fleet.world().journal().position();
    fleet.world().faults(system).outage(true);
    let in_vain =
        |event: &Event| matches!(event, Event::FaultStruck { system: struck, .. } if *struck == system);
    let mut seen = 0;
    let third = |event: &Event| {
        seen += usize::from(in_vain(event));
        seen >= 3
    };
    fleet
        .world()
        .journal()
        .wait_from(away_since, SOON, third)
        .await
        .unwrap();
    fleet.world().faults(system).outage(false);
    let ended = fleet.wait_for_end(ticket).await;
    assert_eq!(
        (automation(&ended), ended.status.as_str()),
        ("resolved", "Resolved"),
        "after {system:?} was away"
    );
    assert_one_pass_delivered(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn halopsa_away_during_a_run_costs_time_and_nothing_else() {
    survives_outage(System::Halo, |event| matches!(event, Event::PushShown { .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_away_during_a_run_costs_time_and_nothing_else() {
    survives_outage(System::Entra, |event| matches!(event, Event::PushAnswered { .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twilio_away_during_a_run_costs_time_and_nothing_else() {
    survives_outage(System::Twilio, |event| matches!(event, Event::PushShown { .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_told_once_that_something_is_away_for_long_and_then_ends_well() {
    const PARKED: &str = "It is tried again until the playbook's time is up.";
    let fleet = fleet_with(&[("OUTAGE_NOTE_AFTER_S", "1")]).await;
    fleet.world().faults(System::Twilio).outage(true);
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    let notes_of_it = || {
        let seen = fleet.world().halo().ticket(ticket).expect("the ticket");
        let told = seen.notes.into_iter().filter(|note| note.text.contains(PARKED));
        told.collect::<Vec<_>>()
    };
    until("the ticket is told", async || !notes_of_it().is_empty()).await;
    // Twilio is asked in vain more often than that, and nobody tells the ticket again.
    let told_at = fleet.world().journal().position();
    let mut seen = 0;
    let third = |event: &Event| {
        seen += usize::from(matches!(
            event,
            Event::FaultStruck {
                system: System::Twilio,
                ..
            }
        ));
        seen >= 3
    };
    fleet
        .world()
        .journal()
        .wait_from(told_at, SOON, third)
        .await
        .unwrap();
    fleet.world().faults(System::Twilio).outage(false);

    let ended = fleet.wait_for_end(ticket).await;
    assert_eq!(
        (automation(&ended), ended.status.as_str()),
        ("resolved", "Resolved")
    );
    assert_one_pass_delivered(&fleet, ADELE);
    let notes = notes_of_it();
    let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
    // Several may have become one note.
    let told = texts.concat().matches(PARKED).count();
    assert_eq!(told, 1, "{texts:#?}");
    assert!(
        texts[0].contains(
            "The SMS gateway does not answer at the moment, and nothing was done. It is tried again"
        ),
        "{texts:#?}"
    );
    assert!(notes[0].private, "what is away is the help desk's affair");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_is_away_for_longer_than_a_step_may_take_sends_nobody_to_the_manager() {
    let fleet = fleet_with(&[("MFA_TIMEOUT_S", "2")]).await;
    let away = Fault::new(FaultKind::Status(503)).on("BeginTwoWayAuthentication");
    let away = fleet.world().faults(System::Entra).inject(away);
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    // Long enough for orchestration to have asked how it stands.
    until("a step whose time is long over", async || {
        sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (
                SELECT FROM verifications
                WHERE method = 'mfa' AND state = 'open' AND deadline < now() - interval '4 seconds')",
        )
        .fetch_one(fleet.owner())
        .await
        .unwrap()
    })
    .await;
    fleet.world().faults(System::Entra).lift(away);
    let ended = fleet.wait_for_end(ticket).await;
    assert_eq!(
        (automation(&ended), ended.status.as_str()),
        ("resolved", "Resolved")
    );
    assert_one_pass_delivered(&fleet, ADELE);
    assert_eq!(fleet.world().entra().pushes(ADELE), 1);
    assert!(
        fleet.world().teams().cards().is_empty(),
        "the manager was not needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_comes_back_after_its_ticket_was_cancelled_asks_nobody() {
    let fleet = fleet().await;
    let away = Fault::new(FaultKind::Status(503)).on("BeginTwoWayAuthentication");
    let away = fleet.world().faults(System::Entra).inject(away);
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    until("a push that waits for the connector", async || {
        let audit = fleet.audit(ticket).await;
        audit.iter().any(|(kind, ..)| kind == "verification.postponed")
    })
    .await;
    let execution = fleet.execution(ticket).await.unwrap().execution_id;
    let cancel = CancelExecution {
        reason: "She remembered it.".parse().unwrap(),
    };
    let operator = fleet.orchestration(&["operator"]);
    operator.cancel(execution, &cancel).await.unwrap();
    let ended = fleet.wait_for_end(ticket).await;
    assert_eq!(automation(&ended), "escalated");
    fleet.world().faults(System::Entra).lift(away);
    until("the end of the verification", async || {
        let audit = fleet.audit(ticket).await;
        let end = audit.iter().find(|(kind, ..)| kind == "verification.ended");
        end.is_some_and(|(_, _, detail)| {
            assert_eq!(detail["reason"], "called_off");
            true
        })
    })
    .await;
    assert_eq!(fleet.world().entra().pushes(ADELE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn halopsa_away_when_the_ticket_comes_costs_time_and_nothing_else() {
    let fleet = fleet().await;
    fleet
        .world()
        .faults(System::Halo)
        .inject(Fault::new(FaultKind::Status(503)).on("ickets").times(8));
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_obeyed_and_survived() {
    let fleet = fleet().await;
    for system in [System::Halo, System::Entra, System::Twilio] {
        let fault = Fault::new(FaultKind::TooManyRequests { retry_after: Some(1) }).times(2);
        fleet.world().faults(system).inject(fault);
    }
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_the_pass_was_made_leaves_one_pass_and_it_is_the_one_delivered() {
    let fleet = fleet().await;
    let lost = Fault::new(FaultKind::DropAfter)
        .method("POST")
        .on("temporaryAccessPassMethods")
        .times(1);
    fleet.world().faults(System::Entra).inject(lost);
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_the_text_was_sent_does_not_send_it_twice() {
    let fleet = fleet().await;
    let lost = Fault::new(FaultKind::DropAfter)
        .method("POST")
        .on("Messages.json")
        .times(1);
    fleet.world().faults(System::Twilio).inject(lost);
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
    assert_eq!(
        count(&fleet, |event| matches!(event, Event::SmsReceived { .. })),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_a_note_was_written_does_not_write_it_twice() {
    let fleet = fleet().await;
    let lost = Fault::new(FaultKind::DropAfter)
        .method("POST")
        .on("ctions")
        .times(2);
    fleet.world().faults(System::Halo).inject(lost);
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    let ended = fleet.wait_for_end(ticket).await;
    assert_eq!(automation(&ended), "resolved");
    let mut notes: Vec<_> = ended.notes.iter().map(|note| note.text.clone()).collect();
    let written = notes.len();
    notes.sort();
    notes.dedup();
    assert_eq!(notes.len(), written, "no note stands there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_fleet_goes_on_and_says_so() {
    // Nothing listens there: Redis is away from the start.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let redis = ("REDIS_URL".to_owned(), format!("redis://{address}/"));
    let overrides = Service::ALL.map(|service| (service, [redis.clone()].into()));
    let settings = TestFleetSettings {
        world: quick_world(),
        overrides: overrides.into(),
        ..TestFleetSettings::default()
    };
    let fleet = TestFleet::with(settings).await;
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
    let path = "/readyz";
    let (status, text) = crate::access::knock(&fleet, Service::Executor, "GET", path, b"", None, None).await;
    assert_eq!(status, 200, "it can still work correctly");
    assert!(text.contains("redis"), "and says what is missing: {text}");
    let (_, metrics) =
        crate::access::knock(&fleet, Service::Executor, "GET", "/metrics", b"", None, None).await;
    assert!(metrics.contains("firstline_redis_up"), "in a metric too");
}

/// Each service dies in the middle of a run, as in a power cut, and comes back.
async fn survives_crash(service: Service, during: impl FnMut(&Event) -> bool) {
    let mut fleet = fleet().await;
    fleet.world().entra().push(ALEX, Push::no_answer());
    fleet
        .world()
        .teams()
        .react(MEGAN, CardReaction::approve().after(Duration::from_millis(200)));
    let ticket = fleet.file_ticket(ALEX, "I can't log in");
    fleet.world().journal().wait_for(SOON, during).await.unwrap();
    fleet.fleet().crash(service);
    fleet.fleet().start_service(service).await.unwrap();
    let ended = fleet.wait_for_end(ticket).await;
    assert_eq!(
        (automation(&ended), ended.status.as_str()),
        ("resolved", "Resolved"),
        "after {service} died"
    );
    assert_one_pass_delivered(&fleet, ALEX);
    assert_eq!(
        count(&fleet, |event| matches!(event, Event::TicketFiled { .. })),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_classifier_may_die() {
    survives_crash(Service::Classifier, |event| {
        matches!(
            event,
            Event::WebhookDelivered {
                status: Some(202),
                ..
            }
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orchestration_may_die() {
    survives_crash(Service::Orchestration, |event| {
        matches!(event, Event::CardShown { .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_may_die() {
    survives_crash(Service::Verification, |event| {
        matches!(event, Event::CardShown { .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_executor_may_die() {
    survives_crash(Service::Executor, |event| {
        matches!(event, Event::PassCreated { .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_may_die() {
    survives_crash(Service::Delivery, |event| {
        matches!(event, Event::SmsQueued { .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_playbook_service_is_not_needed_once_a_run_began() {
    let mut fleet = fleet().await;
    fleet
        .world()
        .entra()
        .push(ADELE, Push::approve().after(Duration::from_millis(500)));
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    fleet
        .world()
        .journal()
        .wait_for(SOON, |event| matches!(event, Event::PushShown { .. }))
        .await
        .unwrap();
    fleet.fleet().crash(Service::Playbook);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
}
