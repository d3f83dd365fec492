//! A playbook that asks the requester, from its publication to the end of a ticket.

use launcher::testing::TestFleet;
use simulators::Event;
use simulators::teams::{CardReaction, Choice, Press};

use crate::{ADELE, SOON, automation, count, fleet};

/// Asks what the lamp does, and where it blinks how often; knows what one number means.
const PROJECTOR: &str = r#"
name: projector
version: "1.0"
description: "Asks what the projector's lamp does, and answers the blinking that is known"
category: INCIDENT
sub_category: PROJECTOR
examples:
  - "The projector in my meeting room stays dark"
budget: 3d
steps:
  - id: lamp
    type: ask
    question: "What does the lamp beside the lens do?"
    choices: {dark: "Nothing", blinks: "It blinks"}
    timeout: WAIT
    outcomes: {dark: no_power, blinks: how_often}
    on_timeout: silent
  - id: how_often
    type: ask
    question: "How often does it blink in a row, {{ requester.name }}?"
    answer: number
    timeout: WAIT
    on_success: known
    on_timeout: silent
  - id: known
    type: decision
    cases:
      - {name: filter, when: {field: steps.how_often.output.answer, operator: equals, value: "31"}, then: tell}
    otherwise: unknown
  - id: tell
    service: ticket.note
    with: {text: "It blinks {{ steps.how_often.output.answer }} times: please clean the filter.", visibility: public}
    on_success: resolved
    on_failure: unknown
  - {id: resolved, type: terminal, status: RESOLVED}
  - {id: no_power, type: escalation, reason: "The projector has no power"}
  - {id: unknown, type: escalation, reason: "Nobody wrote down yet what this blinking means"}
  - {id: silent, type: escalation, reason: "The requester did not answer"}
"#;

const SUMMARY: &str = "The projector in my meeting room stays dark";

/// A fleet that answers tickets about projectors by [`PROJECTOR`], each question waiting so long.
async fn asking(wait: &str) -> TestFleet {
    let fleet = fleet().await;
    let playbooks = fleet.playbooks(&["admin"]);
    let source = PROJECTOR.replace("WAIT", wait);
    let published = playbooks.publish(&source, "projector").await.unwrap();
    playbooks
        .activate(&published.name, &published.version)
        .await
        .unwrap();
    fleet
}

async fn path(fleet: &TestFleet, ticket: i64) -> Vec<String> {
    let view = fleet.execution(ticket).await.unwrap();
    view.steps.iter().map(|step| step.call.id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_asks_twice_and_acts_on_both_answers() {
    let fleet = asking("1d").await;
    let teams = fleet.world().teams();
    teams.react_next(ADELE, CardReaction::pick("It blinks"));
    teams.react_next(ADELE, CardReaction::type_in("31"));

    let ticket = fleet.file_ticket(ADELE, SUMMARY);
    let ended = fleet.wait_for_end(ticket).await;

    assert_eq!(automation(&ended), "resolved", "{:?}", ended.custom_fields);
    assert_eq!(
        path(&fleet, ticket).await,
        ["lamp", "how_often", "known", "tell", "resolved"]
    );
    let told = |words: &str| ended.notes.iter().any(|note| note.text.contains(words));
    assert!(told("It blinks 31 times"), "{:#?}", ended.notes);
    assert!(
        told("`blinks`"),
        "the choice is on the ticket: {:#?}",
        ended.notes
    );
    let cards = fleet.world().teams().cards();
    assert!(cards.iter().all(|card| card.email == ADELE), "{cards:#?}");
    assert!(
        cards[1].card.to_string().contains("in a row, Adele Vance?"),
        "{}",
        cards[1].card
    );
    let closed =
        |event: &Event| matches!(event, Event::CardUpdated { text, .. } if text.contains("You answered: 31"));
    fleet.world().journal().wait_for(SOON, closed).await.unwrap();
    let audit = fleet.audit(ticket).await;
    let of_verification: Vec<_> = audit
        .iter()
        .filter(|(kind, ..)| kind.starts_with("verification."))
        .collect();
    assert!(
        of_verification
            .iter()
            .all(|(.., detail)| !detail.to_string().contains("\"31\"")),
        "what was typed is not in its trail: {of_verification:#?}"
    );
    assert!(
        !audit.iter().any(|(kind, ..)| kind == "permit.issued"),
        "an answer proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_takes_the_way_that_the_playbook_has_for_it_and_a_late_answer_changes_nothing() {
    let fleet = asking("2s").await;
    fleet.world().teams().react(ADELE, CardReaction::ignore());

    let ticket = fleet.file_ticket(ADELE, SUMMARY);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");

    assert_eq!(path(&fleet, ticket).await, ["lamp", "silent"]);
    let card = fleet.world().teams().cards().remove(0);
    let late = Press::new(Choice::Pick("It blinks".to_owned()));
    let answer = fleet.world().teams().press(&card, late).await;
    assert_eq!(answer.seen, "card", "the requester is told how it ended");
    assert_eq!(path(&fleet, ticket).await, ["lamp", "silent"]);
    assert_eq!(count(&fleet, |event| matches!(event, Event::CardShown { .. })), 1);
}
