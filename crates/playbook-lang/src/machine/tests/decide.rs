//! Decisions.

use common::Outcome;
use serde_json::json;

use super::build::{action, decision, escalation, is, playbook, terminal};
use super::rehearsal::Rehearsal;
use crate::machine::*;
use crate::roots::Facts;

fn sorting() -> Rehearsal {
    let sort = decision(
        "sort",
        &[
            ("vpn", is("ticket.category", json!("VPN"))),
            ("mail", is("ticket.category", json!("Mail"))),
        ],
    );
    Rehearsal::playing(playbook([
        sort.on("vpn", "look").on("otherwise", "person"),
        action("look", "house.look").on("success", "done"),
        terminal("done"),
        escalation("person"),
    ]))
}

#[test]
fn a_decision_takes_the_first_case_that_holds_and_says_so_in_the_authors_words() {
    let mut rehearsal = sorting();
    rehearsal.facts = Facts::default().with("ticket.category", json!("vpn"));
    let call = rehearsal.called();
    assert_eq!(call.call.id.as_str(), "look");
    let Record::Finished {
        call,
        outcome,
        explanation,
        next,
        ..
    } = &rehearsal.story[0]
    else {
        panic!("{:?}", rehearsal.story);
    };
    assert_eq!((call.id.as_str(), call.visit, call.attempt), ("sort", 1, 1));
    assert_eq!(*outcome, Outcome::Word("vpn".to_owned()));
    assert_eq!(explanation, "The case `vpn` holds: ticket.category is \"VPN\".");
    assert_eq!(next.as_ref().unwrap().as_str(), "look");
}

#[test]
fn where_no_case_holds_it_goes_the_other_way_and_a_case_without_an_edge_ends_with_a_person() {
    let mut rehearsal = sorting();
    rehearsal.tell(Event::Claimed);
    assert_eq!(rehearsal.path(), ["sort", "person"]);
    assert!(
        matches!(&rehearsal.story[0], Record::Finished { explanation, .. } if explanation == "No case holds.")
    );

    let mut rehearsal = sorting();
    rehearsal.facts = Facts::default().with("ticket.category", json!("Mail"));
    rehearsal.tell(Event::Claimed);
    assert!(
        rehearsal.reason().contains("ended in `mail`"),
        "{}",
        rehearsal.reason()
    );
}

#[test]
fn a_decision_counts_its_visits_and_a_circle_of_decisions_ends() {
    let again = || decision("again", &[]).on("otherwise", "again");
    let mut rehearsal = Rehearsal::playing(playbook([again().at_most(3)]));
    rehearsal.tell(Event::Claimed);
    assert_eq!(rehearsal.path(), ["again", "again", "again", "-"]);
    assert!(rehearsal.reason().contains("more often"));

    let mut rehearsal = Rehearsal::playing(playbook([again()]));
    rehearsal.tell(Event::Claimed);
    assert!(rehearsal.reason().contains("goes round"));
}
