//! A hostile requester: whoever can write a ticket in somebody's name, or in a name that looks like it.

use simulators::entra::Push;
use simulators::halo::NewTicket;
use simulators::teams::CardReaction;

use super::{DOUBTED, assert_left_to_people, assert_no_effects, assert_on_record, codes_of};
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
    // Joni's manager has no account any more, and the others' do not answer.
    let unproven = ["denied", "timed_out no_answer", "impossible manager_disabled"];
    let reasons = [&DOUBTED[..], &unproven].concat();
    for (nth, script) in SCRIPTS.iter().enumerate() {
        // One of them is awake and says no.
        fleet.world().entra().push(VICTIMS[nth], Push::deny());
        let mut tickets = vec![];
        for victim in VICTIMS {
            tickets.push(fleet.file_ticket(victim, script));
        }
        for ticket in tickets {
            let ended = fleet.wait_for_end(ticket).await;
            assert_left_to_people(&fleet, &ended, &reasons).await;
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
    for (nth, alike) in [
        "adele@contos0.example",
        // Cyrillic a, a zero-width space, a full-width commercial at, another domain below ours.
        "\u{0430}dele@contoso.example",
        "adele\u{200b}@contoso.example",
        "adele@contoso.example.attacker.example",
        "adele+help@contoso.example",
    ]
    .into_iter()
    .enumerate()
    {
        let desk = fleet.world().halo();
        let letter = NewTicket::new(alike, "I can't log in");
        // A stranger; a message from there under her name, as a mail rule or an agent links it; and a user that the desk made
        // of whoever wrote, with her name and that address.
        let unlinked = desk.file_ticket(letter.clone());
        let under_her_name = desk.file_ticket(letter.clone().linked_to(ADELE));
        desk.register("Adele Vance", alike);
        let registered = desk.file_ticket(letter);
        for (ticket, code) in [
            (unlinked, "no_requester"),
            (under_her_name, "sender_unverified"),
            (registered, "requester_not_in_directory"),
        ] {
            let ended = fleet.wait_for_end(ticket).await;
            assert_eq!(automation(&ended), "manual", "{alike:?}");
            assert_left_to_people(&fleet, &ended, &[code]).await;
        }
        let proofs = codes_of(&fleet, &["verification.asked", "execution.accepted"]).await;
        assert!(proofs.is_empty(), "after {} of them: {proofs:?}", nth + 1);
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
    let ends = ["timed_out no_answer", "impossible manager_is_subject"];
    assert_left_to_people(&fleet, &ended, &ends).await;
    assert_on_record(&fleet, &[("verification.ended", "manager_is_subject")]).await;
    assert!(
        fleet.world().teams().cards().is_empty(),
        "no card for their own approval"
    );
    assert!(texts_to(&fleet, ALEX).is_empty(), "nor a text");
    assert_no_effect(&fleet, ALEX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ticket_asks_nobody_but_the_manager_who_said_no() {
    let fleet = fleet().await;
    fleet.world().entra().push(ALEX, Push::no_answer());
    fleet.world().teams().react(MEGAN, CardReaction::deny());
    for _ in 0..2 {
        let ticket = fleet.file_ticket(ALEX, "I can't log in");
        let ended = fleet.wait_for_end(ticket).await;
        assert_eq!(automation(&ended), "escalated");
        let ends = ["timed_out no_answer", "denied"];
        assert_left_to_people(&fleet, &ended, &ends).await;
    }
    let cards = fleet.world().teams().cards();
    assert!(cards.iter().all(|card| card.email == MEGAN), "{cards:?}");
    assert_no_effect(&fleet, ALEX);
}
