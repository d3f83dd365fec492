//! What must not be told is told to nobody: whole flows on real processes, then a search of every place where anything of
//! them could have been left.
//!
//! The pass may stand in delivery's request to the text gateway and nowhere else; numbers of phones only in requests to that
//! gateway; a vendor's secret only where whoever logs in at that vendor shows it; keys and passwords of our own nowhere at all.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod house;
mod places;

use std::time::Duration;

use simulators::System;
use simulators::entra::Push;
use simulators::halo::NewTicket;
use simulators::teams::CardReaction;
use simulators::twilio::{Fate, Reply};

use crate::house::House;
use crate::places::{Canary, Place, found_in};

const ADELE: &str = "adele@contoso.example";
const ALEX: &str = "alex@contoso.example";
const MEGAN: &str = "megan@contoso.example";
const LEE: &str = "lee@contoso.example";
const JOHANNA: &str = "johanna@contoso.example";
/// Long enough for a busy machine; a wait ends as soon as it sees what it waits for.
const SOON: Duration = Duration::from_mins(2);
/// What somebody writes who should not have: no log, trace or metric repeats what tickets say.
const BLURTED: &str = "Hunter2-Zebra-Sunrise";

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_told_is_told_to_nobody() {
    let mut house = House::open().await;
    let mut tickets = lived_through(&house).await;
    house.ask_the_model().await;
    tickets.push(read_by_a_model(&house).await);
    house.be_refused(&tickets).await;
    let canaries = canaries(&house);
    let places = house.places(&tickets).await;

    assert_searched(&places, &tickets);
    let mut leaks = vec![];
    for canary in &canaries {
        for place in places.iter().filter(|place| !place.may_hold(canary)) {
            leaks.extend(found_in(place, canary));
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));

    let delivered = places.iter().filter(|place| place.is_gateway());
    let held: Vec<&Canary> = canaries.iter().filter(|canary| canary.is_pass()).collect();
    assert_eq!(held.len(), 5, "four were delivered and one taken back");
    for pass in held {
        let texts = delivered
            .clone()
            .filter(|place| !found_in(place, pass).is_empty());
        assert_eq!(texts.count(), 1, "each pass went out, once");
    }
}

/// The simulated model reads a ticket, and what it says is acted on.
async fn read_by_a_model(house: &House) -> i64 {
    let details = format!("My old password was {BLURTED}, if it helps.");
    let ticket = NewTicket::new(JOHANNA, "I forgot my password and can't log in").details(&details);
    let id = house.world.halo().file_ticket(ticket);
    house.ended(id).await;
    id
}

/// Every way a proof and a delivery may go, to its end.
async fn lived_through(house: &House) -> Vec<i64> {
    let world = &house.world;
    world.entra().push(ALEX, Push::no_answer());
    world.entra().push(MEGAN, Push::deny());
    let mut tickets = vec![];
    let mut file = |from: &str, summary: &str| {
        let ticket =
            NewTicket::new(from, summary).details(&format!("My old password was {BLURTED}, if it helps."));
        let id = world.halo().file_ticket(ticket);
        tickets.push(id);
        id
    };
    // A push, and a pass by text.
    let pushed = file(ADELE, "I can't log in");
    // No answer, and the manager in Teams.
    let approved = file(ALEX, "I forgot my password");
    // A "no".
    let denied = file(MEGAN, "I forgot my password");
    // Nobody may automate it.
    let manual = file(ADELE, "My laptop screen is broken");
    for ticket in [pushed, approved, denied, manual] {
        house.ended(ticket).await;
    }
    // The manager by text, who does not look at Teams.
    world.teams().react(MEGAN, CardReaction::ignore());
    world.twilio().reply(&house.number_of(MEGAN), Reply::Yes);
    let by_text = file(ALEX, "Please reset my password");
    house.ended(by_text).await;
    // A pass that cannot be delivered is taken back.
    world
        .twilio()
        .fate(&house.number_of(LEE), Fate::Undelivered(30005));
    let undelivered = file(LEE, "I can't log in");
    house.ended(undelivered).await;
    tickets
}

fn canaries(house: &House) -> Vec<Canary> {
    let mut canaries: Vec<Canary> = house.passes().iter().map(|pass| Canary::pass(pass)).collect();
    for email in [ADELE, ALEX, MEGAN, LEE, JOHANNA] {
        canaries.push(Canary::number(email, &house.number_of(email)));
    }
    canaries.extend(
        house
            .secrets()
            .iter()
            .map(|secret| Canary::secret(&secret.name, secret.of, &secret.value)),
    );
    canaries.push(Canary::words("what a ticket says", BLURTED));
    canaries
}

/// A search finds nothing where there is nothing to search.
fn assert_searched(places: &[Place], tickets: &[i64]) {
    let with = |what: &str, text: &str| {
        let found = places
            .iter()
            .any(|place| place.name.starts_with(what) && place.holds(text));
        assert!(found, "nothing of `{text}` in {what}: nothing was searched");
    };
    for ticket in tickets {
        with("table tickets", &ticket.to_string());
    }
    for service in common::Service::ALL {
        with(&format!("log of {service}"), "TRACE");
        with(&format!("metrics of {service}"), "firstline_");
        with(&format!("process {service}"), "firstline-");
    }
    with("traces", "drive");
    with("Redis", "A Temporary Access Pass for Adele Vance was created");
    with("a refusal", "\"code\"");
    with("an answer", "password_reset");
    // What is shown in a form is seen there; of a header the simulators keep the scheme alone.
    for (name, system) in [
        ("client_secret", System::Halo),
        ("client_secret", System::Entra),
        ("Body", System::Twilio),
    ] {
        with(
            &format!("the credentials and form of a request to {system:?}"),
            name,
        );
    }
    with("a request to OpenAi", BLURTED);
    for system in [
        System::Halo,
        System::Entra,
        System::Teams,
        System::Twilio,
        System::OpenAi,
    ] {
        with(&format!("a request to {system:?}"), "/");
    }
    with("the help desk's ticket", "Adele Vance");
}
