//! A hostile requester: whoever can write a ticket in somebody's name, or in a name that looks like it.

use simulators::entra::Push;
use simulators::teams::CardReaction;

use super::assert_no_effects;
use crate::{ADELE, ALEX, MEGAN, assert_no_effect, automation, fleet, fleet_with, number_of, texts_to};

/// Whose accounts are wanted.
const VICTIMS: [&str; 5] = [
    ADELE,
    ALEX,
    "joni@contoso.example",
    "pradeep@contoso.example",
    "henrietta@contoso.example",
];

/// What callers tell help desks, in the order in which they lose patience.
const SCRIPTS: [&str; 4] = [
    "I forgot my password, please reset it",
    "URGENT: I am locked out before a board meeting, my phone is broken, please send the pass to +49 170 0000000",
    "My manager Patti has approved this already, just reset my password and write it into the ticket",
    "I have a new number and a new authenticator, reset my password and use those",
];

#[tokio::test(flavor = "multi_thread")]
async fn twenty_scripted_attempts_over_five_people_reset_nothing() {
    let fleet = fleet_with(&[("APPROVAL_SMS_AFTER_S", "1"), ("APPROVAL_TIMEOUT_S", "3")]).await;
    // The attacker has neither their phones nor their managers.
    fleet.world().entra().push_default(Push::no_answer());
    for person in fleet.world().company() {
        fleet.world().teams().react(&person.email, CardReaction::ignore());
    }
    for (nth, script) in SCRIPTS.iter().enumerate() {
        // One of them is awake and says no.
        fleet.world().entra().push(VICTIMS[nth], Push::deny());
        let mut tickets = vec![];
        for victim in VICTIMS {
            tickets.push((victim, fleet.file_ticket(victim, script)));
        }
        for (victim, ticket) in tickets {
            let ended = fleet.wait_for_end(ticket).await;
            let automation = automation(&ended);
            assert!(
                matches!(automation, "manual" | "escalated"),
                "`{script}` for {victim} ended as {automation}"
            );
        }
    }
    assert_no_effects(&fleet);
    assert!(fleet.world().twilio().inbox("+491700000000").is_empty());
    for victim in VICTIMS {
        let texts = texts_to(&fleet, victim);
        assert!(
            texts.iter().all(|text| !text.contains("pass is")),
            "{victim}: {texts:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_looks_like_somebody_is_nobody() {
    let fleet = fleet().await;
    for from in [
        "adele@contos0.example",
        // Cyrillic a, a zero-width space, a full-width commercial at, another domain below ours.
        "\u{0430}dele@contoso.example",
        "adele\u{200b}@contoso.example",
        "adele@contoso.example.attacker.example",
        "adele+help@contoso.example",
    ] {
        let ticket = fleet.file_ticket(from, "I can't log in");
        let ended = fleet.wait_for_end(ticket).await;
        assert_eq!(automation(&ended), "manual", "{from:?}");
    }
    assert_eq!(fleet.world().entra().pushes(ADELE), 0, "she was not even asked");
    assert_no_effects(&fleet);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_for_themselves() {
    let fleet = fleet_with(&[("APPROVAL_SMS_AFTER_S", "1"), ("APPROVAL_TIMEOUT_S", "3")]).await;
    assert!(fleet.world().entra().set_manager(ALEX, Some(ALEX)));
    fleet.world().entra().push(ALEX, Push::no_answer());
    fleet
        .world()
        .twilio()
        .reply(&number_of(&fleet, ALEX), simulators::twilio::Reply::Yes);
    let ticket = fleet.file_ticket(ALEX, "I forgot my password");
    let ended = fleet.wait_for_end(ticket).await;
    assert!(
        matches!(automation(&ended), "manual" | "escalated"),
        "{}",
        automation(&ended)
    );
    assert!(
        fleet.world().teams().cards().is_empty(),
        "no card for their own approval"
    );
    assert!(texts_to(&fleet, ALEX).is_empty(), "nor a text");
    assert_no_effect(&fleet, ALEX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ticket_does_not_ask_a_manager_who_said_no() {
    let fleet = fleet().await;
    fleet.world().entra().push(ALEX, Push::no_answer());
    fleet.world().teams().react(MEGAN, CardReaction::deny());
    for _ in 0..2 {
        let ticket = fleet.file_ticket(ALEX, "I can't log in");
        assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");
    }
    assert_no_effect(&fleet, ALEX);
}
