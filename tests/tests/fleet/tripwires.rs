//! What stops an attack that passes every single check: too much of it, and people who say no.

use std::time::Duration;

use common::operate::{Position, SetSwitch};
use common::{Outcome, Service, Switch};
use launcher::testing::seen_within;
use simulators::entra::Push;
use simulators::teams::CardReaction;

use crate::journeys::blockers;
use crate::{ADELE, ALEX, MEGAN, SOON, assert_no_effect, automation, fleet, fleet_with};

const RESET: &str = "I can't log in";

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_resets_for_five_people_each_gets_no_more_than_three() {
    let fleet = fleet_with(&[("VELOCITY_PER_REQUESTER", "3/86400")]).await;
    let people = [
        ADELE,
        ALEX,
        "isaiah@contoso.example",
        "lidia@contoso.example",
        "emily@contoso.example",
    ];
    let tickets: Vec<i64> = people
        .iter()
        .cycle()
        .take(20)
        .map(|email| fleet.file_ticket(email, RESET))
        .collect();
    let mut manual = 0;
    for ticket in tickets {
        let ended = fleet.wait_for_end(ticket).await;
        if automation(&ended) == "manual" {
            assert_eq!(blockers(&fleet, ticket).await, ["velocity_requester"]);
            manual += 1;
        } else {
            assert_eq!(automation(&ended), "resolved");
        }
    }
    assert_eq!(manual, 5);
    for email in people {
        assert_eq!(fleet.world().entra().passes_created(email), 3, "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gate_lets_through_is_stopped_by_whoever_acts_and_a_person_reads_why() {
    for (setting, value, words) in [
        (
            "PUSHES_PER_USER",
            "1/86400",
            "asked as often in a short time as automation may ask",
        ),
        (
            "VELOCITY_PER_SUBJECT",
            "1/86400",
            "as many requests in a short time as automation may see to",
        ),
        (
            "VELOCITY_PER_DESTINATION",
            "1/86400",
            "there were already 1 credentials to this phone number in 24 hours",
        ),
    ] {
        let fleet = fleet_with(&[(setting, value), ("VELOCITY_PER_APPROVER", "1/3600")]).await;
        let first = fleet.file_ticket(ADELE, RESET);
        assert_eq!(automation(&fleet.wait_for_end(first).await), "resolved");
        // The one question that her manager may be asked is used up.
        fleet.world().entra().push_next(ALEX, Push::no_answer());
        fleet.world().teams().react(MEGAN, CardReaction::approve());
        let other = fleet.file_ticket(ALEX, RESET);
        fleet.wait_for_end(other).await;

        let second = fleet.file_ticket(ADELE, RESET);
        let ended = fleet.wait_for_end(second).await;
        assert_eq!(automation(&ended), "escalated", "{setting}");
        assert_eq!(fleet.world().entra().passes_created(ADELE), 1);
        let told = format!("{:?}", ended.notes);
        assert!(told.contains(words), "{setting}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people_who_say_no_freeze_the_tenant_until_a_person_lifts_it() {
    let fleet = fleet_with(&[("ANOMALY_DENIALS", "3/3600")]).await;
    let victims = [ADELE, ALEX, "isaiah@contoso.example"];
    for (nth, email) in (1..).zip(victims) {
        fleet.world().entra().push(email, Push::deny());
        let ticket = fleet.file_ticket(email, RESET);
        let ended = fleet.wait_for_end(ticket).await;
        assert_eq!(automation(&ended), "escalated");
        // The one that tripped it says so.
        let told = ended
            .notes
            .iter()
            .any(|note| note.text.contains("Firstline froze the whole tenant"));
        assert_eq!(told, nth == victims.len(), "{email}: {:#?}", ended.notes);
    }
    let operator = fleet.orchestration(&["admin"]);
    let tenant = operator
        .switches()
        .await
        .unwrap()
        .into_iter()
        .find(|view| view.switch == Switch::Tenant)
        .and_then(|view| view.off)
        .expect("the tenant is frozen");
    assert_eq!(tenant.name, "service:verification");
    assert!(tenant.reason.starts_with("Possible attack:"), "{}", tenant.reason);

    let next = fleet.file_ticket("lidia@contoso.example", RESET);
    assert_eq!(automation(&fleet.wait_for_end(next).await), "manual");
    assert_eq!(blockers(&fleet, next).await, ["switched_off"]);
    assert_no_effect(&fleet, "lidia@contoso.example");

    let on = SetSwitch {
        switch: Switch::Tenant,
        position: Position::On,
        reason: "Looked into: a test of ours.".parse().unwrap(),
    };
    operator.switch(&on).await.unwrap();
    let after = fleet.file_ticket("lidia@contoso.example", RESET);
    assert_eq!(automation(&fleet.wait_for_end(after).await), "resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_stands_still_while_everything_is_off_and_goes_on_afterwards() {
    let mut fleet = fleet().await;
    let operator = fleet.orchestration(&["admin"]);
    let set = |position| SetSwitch {
        switch: Switch::Global,
        position,
        reason: "Something is odd.".parse().unwrap(),
    };
    // Begun, and not yet asked for a push.
    fleet.fleet().stop(Service::Verification).await.unwrap();
    let ticket = fleet.file_ticket(ADELE, RESET);
    let begun = seen_within(SOON, async || fleet.execution(ticket).await).await;
    assert!(begun.is_some());
    operator.switch(&set(Position::Off)).await.unwrap();
    fleet.fleet().start_service(Service::Verification).await.unwrap();
    assert_no_effect(&fleet, ADELE);
    operator.switch(&set(Position::On)).await.unwrap();
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_eq!(fleet.world().entra().passes_created(ADELE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_that_is_switched_off_between_two_steps_makes_nothing_until_it_is_on_again() {
    let fleet = fleet().await;
    let operator = fleet.orchestration(&["admin"]);
    let set = |position| SetSwitch {
        switch: Switch::Playbook {
            name: "password_reset".parse().unwrap(),
        },
        position,
        reason: "Something is odd.".parse().unwrap(),
    };
    // Proven, and not reset yet: the proof comes a moment after the switch.
    let moment = Push::approve().after(Duration::from_secs(2));
    fleet.world().entra().push_next(ADELE, moment);
    let ticket = fleet.file_ticket(ADELE, RESET);
    let asked = seen_within(SOON, async || {
        (fleet.world().entra().pushes(ADELE) == 1).then_some(())
    })
    .await;
    assert!(asked.is_some());
    operator.switch(&set(Position::Off)).await.unwrap();
    let held = seen_within(SOON, async || {
        let view = fleet.execution(ticket).await?;
        let proven = view
            .steps
            .iter()
            .any(|step| step.outcome == Some(Outcome::Success));
        (proven && view.standstill.is_some()).then_some(())
    })
    .await;
    assert!(held.is_some(), "{:#?}", fleet.execution(ticket).await);
    assert_no_effect(&fleet, ADELE);
    operator.switch(&set(Position::On)).await.unwrap();
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_eq!(fleet.world().entra().passes_created(ADELE), 1);
}
