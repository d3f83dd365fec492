//! The ways a ticket may go, told as its people live them.

use launcher::testing::TestFleet;
use simulators::Event;
use simulators::entra::Push;
use simulators::openai::Scripted;
use simulators::teams::CardReaction;
use simulators::twilio::Reply;

use crate::{
    ADELE, ALEX, MEGAN, SOON, assert_no_effect, assert_one_pass_delivered, automation, count, fleet,
    fleet_with, number_of, texts_to,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_lockout_is_resolved_by_a_push_and_a_pass() {
    let fleet = fleet().await;
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    let ended = fleet.wait_for_end(ticket).await;

    assert_eq!(
        (automation(&ended), ended.status.as_str()),
        ("resolved", "Resolved")
    );
    assert_eq!(ended.custom_fields["CFplaybook_id"], "password_reset");
    assert!(
        ended.custom_fields["CFautomation_confidence"]
            .parse::<f64>()
            .unwrap()
            >= 0.85
    );
    assert_one_pass_delivered(&fleet, ADELE);
    assert_eq!(fleet.world().entra().pushes(ADELE), 1);
    assert!(
        fleet.world().teams().cards().is_empty(),
        "nobody else was bothered"
    );

    let story: Vec<_> = ended.notes.iter().map(|note| note.text.as_str()).collect();
    let told = |words: &str| story.iter().any(|note| note.contains(words));
    assert!(told("Adele Vance"), "the notes name who was asked: {story:#?}");
    let pass = &fleet.world().entra().live_passes(ADELE)[0].value;
    assert!(!told(pass), "no note holds the pass");

    let view = fleet.execution(ticket).await.unwrap();
    assert!(view.status.ended());
    let path: Vec<_> = view.steps.iter().map(|step| step.call.id.as_str()).collect();
    assert_eq!(
        path,
        ["verify_mfa", "reset_password", "deliver_credentials", "resolved"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_push_goes_to_the_manager_in_teams() {
    let fleet = fleet().await;
    fleet.world().entra().push(ALEX, Push::no_answer());
    let ticket = fleet.file_ticket(ALEX, "I forgot my password");
    let ended = fleet.wait_for_end(ticket).await;

    assert_eq!(
        (automation(&ended), ended.status.as_str()),
        ("resolved", "Resolved")
    );
    assert_one_pass_delivered(&fleet, ALEX);
    let cards = fleet.world().teams().cards();
    assert_eq!(
        cards.iter().map(|card| card.email.as_str()).collect::<Vec<_>>(),
        [MEGAN]
    );
    assert!(
        cards[0].text.contains("Alex Wilber"),
        "the card says who asks: {}",
        cards[0].text
    );
    assert!(
        cards[0].text.contains(&ticket.to_string()),
        "the card says on which ticket: {}",
        cards[0].text
    );
    fleet
        .world()
        .journal()
        .wait_for(SOON, |event| matches!(event, Event::CardUpdated { .. }))
        .await
        .unwrap();
    let path = fleet.execution(ticket).await.unwrap().steps;
    let path: Vec<_> = path.iter().map(|step| step.call.id.as_str()).collect();
    assert_eq!(
        path,
        [
            "verify_mfa",
            "verify_manager",
            "reset_password",
            "deliver_credentials",
            "resolved"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_who_does_not_look_at_teams_answers_by_text() {
    let fleet = fleet_with(&[("APPROVAL_SMS_AFTER_S", "1"), ("APPROVAL_TIMEOUT_S", "30")]).await;
    fleet.world().entra().push(ALEX, Push::no_answer());
    fleet.world().teams().react(MEGAN, CardReaction::ignore());
    fleet
        .world()
        .twilio()
        .reply(&number_of(&fleet, MEGAN), Reply::Yes);
    let ticket = fleet.file_ticket(ALEX, "I forgot my password");
    let ended = fleet.wait_for_end(ticket).await;

    assert_eq!(automation(&ended), "resolved");
    assert_one_pass_delivered(&fleet, ALEX);
    let asked = texts_to(&fleet, MEGAN);
    assert!(
        asked[0].contains("YES"),
        "the text says how to answer: {}",
        asked[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_automated_is_left_alone() {
    let fleet = fleet().await;
    let ticket = fleet.file_ticket(ADELE, "My laptop screen is broken");
    let ended = fleet.wait_for_end(ticket).await;

    assert_eq!((automation(&ended), ended.status.as_str()), ("manual", "New"));
    assert!(ended.notes.is_empty(), "not a word is added: {:#?}", ended.notes);
    assert_eq!(fleet.world().entra().pushes(ADELE), 0);
    assert!(fleet.execution(ticket).await.is_none());
    assert_no_effect(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_push_raises_the_alarm_and_never_asks_the_manager() {
    let fleet = fleet().await;
    fleet.world().entra().push(ADELE, Push::deny());
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    let ended = fleet.wait_for_end(ticket).await;

    assert_eq!(automation(&ended), "escalated");
    assert_ne!(ended.status, "Resolved");
    assert!(fleet.world().teams().cards().is_empty());
    assert_no_effect(&fleet, ADELE);
    assert!(
        fleet.execution(ticket).await.unwrap().reason.is_some(),
        "the person who takes over reads why"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_says_success_without_saying_true_is_no_proof() {
    let fleet = fleet().await;
    fleet.world().entra().push(ADELE, Push::success_without_true());
    fleet.world().teams().react(MEGAN, CardReaction::deny());
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");
    assert_no_effect(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_who_says_no_stops_it() {
    let fleet = fleet().await;
    fleet.world().entra().push(ALEX, Push::no_answer());
    fleet.world().teams().react(MEGAN, CardReaction::deny());
    let ticket = fleet.file_ticket(ALEX, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");
    assert_no_effect(&fleet, ALEX);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answering_anything_ends_with_a_person() {
    let fleet = fleet_with(&[("APPROVAL_SMS_AFTER_S", "1"), ("APPROVAL_TIMEOUT_S", "3")]).await;
    fleet.world().entra().push(ALEX, Push::no_answer());
    fleet.world().teams().react(MEGAN, CardReaction::ignore());
    let ticket = fleet.file_ticket(ALEX, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");
    assert_no_effect(&fleet, ALEX);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_may_not_be_automated_stay_with_a_person() {
    let fleet = fleet().await;
    fleet.world().halo().file_ticket(simulators::halo::NewTicket::new(
        "stranger@elsewhere.example",
        "I can't log in",
    ));
    for (email, why) in [
        ("diego@contoso.example", "account_disabled"),
        ("grady@contoso.example", "protected_role"),
    ] {
        let ticket = fleet.file_ticket(email, "I can't log in");
        let ended = fleet.wait_for_end(ticket).await;
        assert_eq!(automation(&ended), "manual", "{email}");
        let reasons = blockers(&fleet, ticket).await;
        assert!(
            reasons.iter().any(|code| code.contains(why)),
            "{email}: {reasons:?}"
        );
        assert_eq!(
            fleet.world().entra().pushes(email),
            0,
            "{email} was not even asked"
        );
        assert_no_effect(&fleet, email);
    }
    for ticket in fleet.world().halo().tickets() {
        assert_eq!(
            automation(&fleet.wait_for_end(ticket.id).await),
            "manual",
            "{}",
            ticket.from
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_phone_in_the_directory_no_pass_is_made() {
    let fleet = fleet().await;
    let ticket = fleet.file_ticket("lynne@contoso.example", "I can't log in");
    let ended = fleet.wait_for_end(ticket).await;
    assert!(
        matches!(automation(&ended), "manual" | "escalated"),
        "{}",
        automation(&ended)
    );
    assert_no_effect(&fleet, "lynne@contoso.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_letter_that_a_requester_types_loses_the_ticket() {
    let fleet = fleet().await;
    // What shows nothing and turns the direction of reading hides words: that is a person's to read.
    let hiding =
        "I can't log in \u{0}\u{1}\u{7f}\u{202e}<script>alert(1)</script> {{ requester.name }} \u{1f525}";
    let ticket = fleet.file_ticket(ALEX, hiding);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "manual");
    assert_no_effect(&fleet, ALEX);
    let odd = "I can't log in \u{0}\u{1}\u{7f} \u{1f525}";
    let ticket = fleet.file_ticket(ADELE, odd);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ADELE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_decides_where_one_is_configured() {
    let mut fleet = fleet().await;
    crate::ask_a_model(&mut fleet).await;
    let ticket = fleet.file_ticket(ADELE, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert!(fleet.world().openai().calls() >= 1);

    // A model that refuses to answer is a reason for a person, not for a guess.
    fleet.world().openai().script(Scripted::Refusal);
    let ticket = fleet.file_ticket(ALEX, "I can't log in");
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "manual");
    assert_no_effect(&fleet, ALEX);
    assert_eq!(
        count(&fleet, |event| matches!(event, Event::PassCreated { .. })),
        1
    );
}

pub(crate) async fn blockers(fleet: &TestFleet, ticket: i64) -> Vec<String> {
    let rows: Vec<(serde_json::Value,)> =
        sqlx::query_as("SELECT blockers FROM classification_results WHERE ticket_id = $1")
            .bind(ticket.to_string())
            .fetch_all(fleet.owner())
            .await
            .unwrap();
    let codes = rows
        .iter()
        .flat_map(|(row,)| row.as_array().cloned().unwrap_or_default());
    codes
        .filter_map(|blocker| blocker["code"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ticket_is_one_trace_through_the_services() {
    chassis::telemetry::install_quiet();
    let fleet = fleet().await;
    let (adeles, alexs) = (
        fleet.file_ticket(ADELE, "I can't log in"),
        fleet.file_ticket(ALEX, "I can't log in"),
    );
    let mut traces = Vec::new();
    for ticket in [adeles, alexs] {
        fleet.wait_for_end(ticket).await;
        // The classifier began it, orchestration was called by it, delivery two calls further on.
        let rows: Vec<(Option<String>,)> = sqlx::query_as(
            "SELECT traceparent FROM tickets WHERE ticket_id = $1
             UNION ALL SELECT traceparent FROM playbook_executions WHERE ticket_id = $1
             UNION ALL SELECT traceparent FROM deliveries WHERE ticket_id = $1",
        )
        .bind(ticket.to_string())
        .fetch_all(fleet.owner())
        .await
        .unwrap();
        let ids: Vec<_> = rows
            .iter()
            .map(|(row,)| row.as_deref().unwrap().split('-').nth(1).unwrap())
            .collect();
        assert_eq!(ids.len(), 3);
        assert!(ids.iter().all(|id| *id == ids[0]), "one trace: {ids:?}");
        traces.push(ids[0].to_owned());
    }
    assert_ne!(traces[0], traces[1], "and another ticket is another trace");
}
