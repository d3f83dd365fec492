//! The machine of a question to the requester.

use common::Outcome;
use time::Duration;

use super::machine::Story;
use super::*;
use crate::inquiry::Given;
use crate::operation::{Command, Ending, Event, Note, Obstacle, Silence};
use crate::posting::CardReport;
use crate::words;

/// The question, with its card in Teams since second 1.
fn asked() -> Story {
    let mut story = Story::of(question_operation());
    assert_eq!(story.then(0, Event::Woken), [Command::SendCard]);
    story.then(1, Event::Card(CardReport::Sent(card_message())));
    story
}

#[test]
fn a_choice_ends_it_with_the_playbooks_word_and_the_card_loses_its_buttons() {
    let mut story = asked();
    story.then(3600, Event::Replied(reply("2")));
    let result = words::result(&story.operation.facts, story.ended());
    assert_eq!(result.outcome, Outcome::Word("office".to_owned()));
    assert_eq!(result.output.get("answer"), Some(&"office".into()));
    assert_eq!((result.permit, &story.operation.permit), (None, &None));
    assert_eq!(
        story.then(3600, Event::Woken),
        [Command::CloseCard(card_message()), Command::Signal]
    );
    story.then(3601, Event::CardClosed);
    story.then(3601, Event::SignalTaken);
    assert_eq!(story.operation.state.wake_at(), None, "nothing is left to do");
}

#[test]
fn what_is_typed_ends_it_in_success_and_is_in_the_output_alone() {
    let mut story = Story::of(question_of(
        &serde_json::json!({"question": "Since when?", "answer": "date"}),
    ));
    story.then(0, Event::Woken);
    story.then(1, Event::Card(CardReport::Sent(card_message())));
    let reply = reply_to(&story.operation, "2026-11-20");
    story.then(60, Event::Replied(reply));
    let result = words::result(&story.operation.facts, story.ended());
    assert_eq!(result.outcome, Outcome::Success);
    assert_eq!(result.output.get("answer"), Some(&"2026-11-20".into()));
    assert!(!result.explanation.contains("2026"), "{}", result.explanation);
}

#[test]
fn it_waits_as_long_as_its_step_says_and_silence_is_a_time_out() {
    let mut story = asked();
    let deadline = story.operation.facts.deadline;
    assert_eq!(deadline - START, Duration::days(1));
    assert_eq!(
        story.operation.state.wake_at(),
        Some(deadline),
        "nothing else is due"
    );
    story.then(86_399, Event::Woken);
    assert!(story.operation.state.ended().is_none());
    story.then(86_400, Event::Woken);
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::NoAnswer));
    let result = words::result(&story.operation.facts, story.ended());
    assert_eq!(
        (result.outcome, result.output.is_empty()),
        (Outcome::Timeout, true)
    );
}

#[test]
fn an_answer_after_the_end_or_the_deadline_is_recorded_and_changes_nothing() {
    let mut story = asked();
    story.then(10, Event::Replied(reply("2")));
    let answered = story.operation.clone();
    story.then(11, Event::Replied(reply("1")));
    assert_eq!(story.operation, answered);
    assert_eq!(story.notes.last(), Some(&Note::RepliedLate(reply("1"))));

    let mut late = asked();
    late.then(86_400, Event::Replied(reply("1")));
    assert_eq!(late.ended().ending, Ending::TimedOut(Silence::NoAnswer));
    assert!(late.notes.contains(&Note::RepliedLate(reply("1"))));
}

#[test]
fn teams_that_will_not_have_the_card_is_a_failure_at_once_and_teams_away_is_not() {
    let mut refused = Story::of(question_operation());
    refused.then(0, Event::Woken);
    refused.then(1, Event::Card(CardReport::Refused));
    assert_eq!(
        refused.ended().ending,
        Ending::Impossible(Obstacle::SubjectUnreachable)
    );
    let result = words::result(&refused.operation.facts, refused.ended());
    assert_eq!(result.outcome, Outcome::Failure);
    assert!(result.explanation.contains("bot"), "{}", result.explanation);

    let mut away = Story::of(question_operation());
    away.then(0, Event::Woken);
    away.then(1, Event::Card(CardReport::Busy { retry_after: None }));
    assert_eq!(
        away.then(3, Event::Woken),
        [Command::SendCard],
        "later, once more"
    );
    away.then(3, Event::Card(CardReport::Busy { retry_after: None }));
    assert_eq!(
        away.then(86_400, Event::Woken),
        [Command::SendCard],
        "their time has not begun"
    );
    away.then(86_400, Event::Card(CardReport::Busy { retry_after: None }));
    away.then(2 * 86_400, Event::Woken);
    assert_eq!(away.ended().ending, Ending::TimedOut(Silence::Unreachable));
}

#[test]
fn a_card_whose_fate_is_unknown_is_sent_three_times_at_most_and_may_still_be_answered() {
    let mut story = Story::of(question_operation());
    for when in [0, 60, 120] {
        assert_eq!(story.then(when, Event::Woken), [Command::SendCard]);
        story.then(when, Event::Card(CardReport::Lost));
    }
    assert_eq!(story.then(180, Event::Woken), []);
    story.then(200, Event::Replied(reply("1")));
    let chosen = Given::Chosen("home".to_owned());
    assert!(matches!(&story.ended().ending, Ending::Answered { given, .. } if *given == chosen));
    assert_eq!(
        story.then(200, Event::Woken),
        [Command::CloseCard(card_message()), Command::Signal],
        "the press told where it lies"
    );
}
