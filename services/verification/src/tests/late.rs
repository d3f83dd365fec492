//! Nobody waits for an answer any more: who was about to be asked is not.

use super::machine::Story;
use super::*;
use crate::card;
use crate::mfa::PushAnswer;
use crate::operation::{Command, Ending, Event, Note, Silence};
use crate::posting::CardReport;

fn begun() -> [Operation; 3] {
    [push_operation(), approval_operation(), question_operation()]
}

/// What the outside being away is to each of [`begun`].
fn away(operation: &Operation) -> Event {
    match operation.facts.method {
        Method::Mfa => Event::Push(PushAnswer::Away { retry_after: None }),
        Method::Manager | Method::Question => Event::Card(CardReport::Busy { retry_after: None }),
    }
}

/// Called off at second `when`: how it ended, and that nothing is sent from then on.
fn called_off(story: &mut Story, when: i64) -> Silence {
    assert_eq!(story.then(when, Event::CalledOff), []);
    let Ending::TimedOut(silence) = story.ended().ending else {
        panic!("{:?}", story.ended());
    };
    let ended = Note::Ended(Ending::TimedOut(silence));
    assert_eq!(story.notes.last(), Some(&ended), "it is on record");
    for command in story.then(when, Event::Woken) {
        assert_eq!(command.asks_by(), None, "{command:?}");
    }
    silence
}

#[test]
fn who_is_asked_at_once_costs_no_look_and_who_is_asked_late_does() {
    for operation in begun() {
        let mut story = Story::of(operation);
        assert!(!story.operation.may_be_over(at(0)));
        story.then(0, Event::Woken);
        assert!(!story.operation.may_be_over(at(1)), "while it is being asked");
        assert!(
            story.operation.may_be_over(at(10)),
            "a further channel, or once more"
        );
        let event = away(&story.operation);
        story.then(1, event);
        assert!(
            story.operation.may_be_over(at(2)),
            "however soon: nobody could be asked"
        );
    }
}

#[test]
fn whoever_could_not_be_asked_in_time_is_not_asked_once_it_is_over() {
    for operation in begun() {
        let method = operation.facts.method;
        let mut story = Story::of(operation);
        story.then(0, Event::Woken);
        let event = away(&story.operation);
        story.then(1, event);
        let [command] = &story.then(7, Event::Woken)[..] else {
            panic!("{method:?} is tried again");
        };
        assert!(command.asks_by().is_some());
        assert_eq!(called_off(&mut story, 7), Silence::CalledOff, "{method:?}");
        assert_eq!(story.operation.permit, None);
        assert_eq!(story.then(7, Event::Woken), [Command::Signal]);
        story.then(8, Event::SignalTaken);
        assert_eq!(story.operation.state.wake_at(), None, "nothing is left to do");
    }
}

#[test]
fn whoever_was_asked_already_is_not_asked_again_and_a_card_loses_its_buttons() {
    let mut phone = Story::of(push_operation());
    phone.then(0, Event::Woken);
    phone.then(1, Event::Push(PushAnswer::Lost));
    assert!(matches!(phone.then(16, Event::Woken)[..], [Command::Push { .. }]));
    assert_eq!(called_off(&mut phone, 16), Silence::Overtaken);

    let mut manager = Story::of(approval_operation());
    manager.then(0, Event::Woken);
    manager.then(1, Event::Card(CardReport::Sent(card_message())));
    assert_eq!(manager.then(300, Event::Woken), [Command::SendSms]);
    assert_eq!(called_off(&mut manager, 300), Silence::Overtaken);
    assert_eq!(
        manager.then(300, Event::Woken),
        [Command::CloseCard(card_message()), Command::Signal]
    );
    let closed = card::closed(&manager.operation.facts, manager.ended()).unwrap();
    let closed = closed.0.to_string();
    assert!(closed.contains("No longer needed"), "{closed}");

    let mut question = Story::of(question_operation());
    question.then(0, Event::Woken);
    question.then(1, Event::Card(CardReport::Lost));
    assert_eq!(question.then(60, Event::Woken), [Command::SendCard]);
    assert_eq!(
        called_off(&mut question, 60),
        Silence::Overtaken,
        "it may lie there"
    );
    question.then(70, Event::Replied(reply("1")));
    assert_eq!(question.notes.last(), Some(&Note::RepliedLate(reply("1"))));
}

#[test]
fn a_yes_that_waits_for_the_directory_is_not_called_off() {
    let mut story = Story::of(approval_operation());
    story.then(0, Event::Woken);
    story.then(1, Event::Card(CardReport::Sent(card_message())));
    story.then(300, Event::Woken);
    story.then(301, Event::Answered(answer(Verdict::Approve, Channel::Teams)));
    let kept = story.operation.clone();
    assert_eq!(story.then(301, Event::CalledOff), []);
    assert_eq!(story.operation, kept);
}
