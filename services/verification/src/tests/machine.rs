//! The state machine: stories for what matters, properties for what must always hold.

use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::approval::{MAX_WRONG_CODES, Sms, SmsReport};
use crate::approver::Standing;
use crate::mfa::{MAX_PUSHES, PushAnswer};
use crate::operation::{Command, Ended, Ending, Event, Note, Obstacle, Silence};
use crate::patience::Postponed;
use crate::posting::{Card, CardReport};

/// An operation, and everything that it asked for.
pub(super) struct Story {
    pub(super) operation: Operation,
    commands: Vec<Command>,
    pub(super) notes: Vec<Note>,
}

impl Story {
    pub(super) fn of(operation: Operation) -> Self {
        Self {
            operation,
            commands: vec![],
            notes: vec![],
        }
    }

    /// Apply `event` at second `when`; answers what is commanded then.
    pub(super) fn then(&mut self, when: i64, event: Event) -> Vec<Command> {
        let (operation, commands, notes) = self
            .operation
            .clone()
            .apply(event, permit_id(), at(when))
            .unwrap();
        self.operation = operation;
        self.notes.extend(notes);
        self.commands.extend(commands.clone());
        commands
    }

    pub(super) fn ended(&self) -> &Ended {
        self.operation.state.ended().expect("it has not ended")
    }

    /// Megan says yes at second `when`, and the directory says at once that she still may.
    fn approved(&mut self, when: i64, channel: Channel) {
        self.then(when, Event::Answered(answer(Verdict::Approve, channel)));
        self.then(when, Event::Approver(Standing::Stands));
    }

    fn wakes_at(&self) -> i64 {
        let wake = self.operation.state.wake_at().expect("it never wakes");
        (wake - START).whole_seconds()
    }

    fn postponed(&self, when: i64) -> Option<Postponed> {
        self.operation.postponed(at(when))
    }

    fn pushes(&self) -> usize {
        self.commands
            .iter()
            .filter(|command| matches!(command, Command::Push { .. }))
            .count()
    }
}

fn after(seconds: i64) -> Duration {
    Duration::seconds(seconds)
}

#[test]
fn an_approved_push_ends_well_with_a_permit_and_a_signal() {
    let mut story = Story::of(push_operation());
    assert!(matches!(story.then(0, Event::Woken)[..], [Command::Push { .. }]));
    story.then(20, Event::Push(PushAnswer::Approved));
    assert!(matches!(
        story.ended().ending,
        Ending::Approved {
            channel: Channel::Push,
            ..
        }
    ));
    let permit = story.operation.permit.clone().unwrap();
    assert_eq!(permit.expires_at - permit.issued_at, Duration::minutes(10));
    assert_eq!(story.then(20, Event::Woken), [Command::Signal]);
    story.then(21, Event::SignalTaken);
    assert_eq!(story.operation.state.wake_at(), None, "nothing is left to do");
}

#[test]
fn an_approval_that_authorizes_nothing_has_no_permit() {
    let mut operation = push_operation();
    operation.facts.authorizes = None;
    let mut story = Story::of(operation);
    story.then(0, Event::Woken);
    story.then(1, Event::Push(PushAnswer::Approved));
    assert_eq!(story.operation.permit, None);
}

#[test]
fn denied_fraud_no_answer_and_impossible_are_told_apart() {
    for (answer, expected) in [
        (PushAnswer::Denied, "denied"),
        (PushAnswer::Fraud, "fraud"),
        (PushAnswer::NoAnswer, "no answer"),
        (PushAnswer::Impossible(Obstacle::NoMethod), "impossible"),
    ] {
        let mut story = Story::of(push_operation());
        story.then(0, Event::Woken);
        story.then(60, Event::Push(answer));
        let seen = match &story.ended().ending {
            Ending::Denied { fraud: false, .. } => "denied",
            Ending::Denied { fraud: true, .. } => "fraud",
            Ending::TimedOut(Silence::NoAnswer) => "no answer",
            Ending::Impossible(Obstacle::NoMethod) => "impossible",
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, expected);
        assert_eq!(story.operation.permit, None);
    }
}

#[test]
fn after_a_crash_in_the_middle_of_a_push_one_more_follows_and_then_none() {
    let mut story = Story::of(push_operation());
    for when in [0, 30] {
        assert!(matches!(
            story.then(when, Event::Woken)[..],
            [Command::Push { .. }]
        ));
    }
    assert_eq!(story.then(60, Event::Woken), []);
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::AnswerLost));
    assert_eq!(story.pushes(), usize::from(MAX_PUSHES));
}

#[test]
fn nobody_is_prompted_who_would_have_seconds_to_say_no() {
    // The first prompt's answer was lost; what they say to it may still be heard.
    let mut story = Story::of(push_operation());
    story.then(0, Event::Woken);
    assert_eq!(story.then(541, Event::Woken), []);
    assert_eq!(story.wakes_at(), 600);
    let mut heard = Story::of(story.operation.clone());
    heard.then(599, Event::Push(PushAnswer::Denied));
    assert!(matches!(heard.ended().ending, Ending::Denied { .. }));
    assert_eq!(story.then(600, Event::Woken), []);
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::AnswerLost));

    // The phone was in use all the time; there is nothing left to hear.
    let mut story = Story::of(push_operation());
    story.then(0, Event::Woken);
    story.then(539, Event::PromptOpenElsewhere);
    assert_eq!(story.then(544, Event::Woken), []);
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::Unreachable));

    // A step that leaves them a minute and a half asks in its first half.
    let mut operation = push_operation();
    operation.facts.deadline = at(90);
    if let State::Mfa(mfa) = &mut operation.state {
        mfa.patience = operation.facts.patience();
    }
    for (when, pushes) in [(45, 1), (46, 0)] {
        let mut story = Story::of(operation.clone());
        story.then(when, Event::Woken);
        assert_eq!(story.pushes(), pushes, "at {when}");
    }
}

#[test]
fn a_lost_answer_counts_as_a_push_and_a_busy_connector_does_not() {
    let mut story = Story::of(push_operation());
    for when in [0, 10, 30, 60, 100] {
        assert!(
            matches!(story.then(when, Event::Woken)[..], [Command::Push { .. }]),
            "at {when}"
        );
        story.then(when, Event::Push(PushAnswer::Busy { retry_after: None }));
    }
    story.then(200, Event::Woken);
    story.then(200, Event::Push(PushAnswer::Lost));
    assert_eq!(
        story.operation.state.wake_at(),
        Some(at(215)),
        "what broke may mend meanwhile"
    );
    story.then(215, Event::Woken);
    story.then(215, Event::Push(PushAnswer::Lost));
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::AnswerLost));
    assert_eq!(
        story
            .notes
            .iter()
            .filter(|note| matches!(note, Note::Pushed(2)))
            .count(),
        1
    );
}

#[test]
fn a_connector_that_stays_away_ends_in_a_time_out_that_says_so() {
    let mut story = Story::of(push_operation());
    story.then(0, Event::Woken);
    let away = |seconds| PushAnswer::Away {
        retry_after: Some(after(seconds)),
    };
    story.then(1, Event::Push(away(60)));
    assert_eq!(story.wakes_at(), 61, "it waits as long as it was asked to");
    let mut when = 61;
    while when <= 7200 - 60 {
        assert!(
            matches!(story.then(when, Event::Woken)[..], [Command::Push { .. }]),
            "at {when}"
        );
        story.then(when, Event::Push(away(120)));
        if when > 600 {
            let away = Postponed::Away("the sign-in request service");
            assert_eq!(
                story.postponed(when),
                Some(away),
                "nobody is silent who was not asked"
            );
        }
        when = story.wakes_at();
    }
    assert!(when <= 7200, "nobody waits for ever");
    story.then(when, Event::Woken);
    assert_eq!(story.postponed(when), None);
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::Unreachable));
    let postponed = |note: &&Note| **note == Note::Postponed(at(7200));
    assert_eq!(story.notes.iter().filter(postponed).count(), 1, "told once");
}

#[test]
fn whoever_could_not_be_asked_for_a_while_has_all_their_time_from_when_they_can_be() {
    let mut story = Story::of(push_operation());
    let mut when = 0;
    while when < 900 {
        story.then(when, Event::Woken);
        story.then(when, Event::Push(PushAnswer::Away { retry_after: None }));
        when = story.wakes_at();
    }
    let asked = when;
    story.then(asked, Event::Woken);
    assert_eq!(story.operation.deadline(), at(asked + 600));
    assert_eq!(story.postponed(599), None, "its step's time is not over");
    assert_eq!(story.postponed(asked), Some(Postponed::Asked));
    let mut silent = Story::of(story.operation.clone());
    silent.then(asked + 600, Event::Push(PushAnswer::Approved));
    assert_eq!(silent.ended().ending, Ending::TimedOut(Silence::NoAnswer));
    story.then(asked + 599, Event::Push(PushAnswer::Approved));
    assert!(matches!(story.ended().ending, Ending::Approved { .. }));
    assert_eq!(story.postponed(asked + 599), None, "it has its answer");
}

#[test]
fn an_outage_after_somebody_may_have_been_asked_moves_nothing() {
    let mut story = Story::of(push_operation());
    story.then(0, Event::Woken);
    story.then(0, Event::Push(PushAnswer::Lost));
    story.then(15, Event::Woken);
    story.then(15, Event::Push(PushAnswer::Away { retry_after: None }));
    assert_eq!(story.operation.deadline(), at(600));

    let mut story = Story::of(approval_operation());
    story.then(0, Event::Woken);
    story.then(0, Event::Card(CardReport::Lost));
    story.then(1, Event::Woken);
    story.then(1, Event::Card(CardReport::Busy { retry_after: None }));
    assert_eq!(story.operation.deadline(), at(600));
    // Neither does a phone that is in use, for that is no outage.
    let mut story = Story::of(push_operation());
    story.then(0, Event::Woken);
    story.then(0, Event::Push(PushAnswer::Busy { retry_after: None }));
    assert_eq!(story.operation.deadline(), at(600));
}

#[test]
fn while_neither_teams_nor_twilio_answers_a_manager_s_time_does_not_run_and_the_card_says_until_when() {
    let mut story = Story::of(approval_operation());
    let mut when = 0;
    while when < 1500 {
        for command in story.then(when, Event::Woken) {
            story.then(
                when,
                match command {
                    Command::SendCard => Event::Card(CardReport::Busy { retry_after: None }),
                    Command::SendSms => Event::Sms(SmsReport::Busy { retry_after: None }),
                    other => panic!("{other:?}"),
                },
            );
        }
        when = story.wakes_at();
    }
    let away = Postponed::Away("what reaches the manager");
    assert_eq!(story.postponed(when), Some(away));
    let commands = story.then(when, Event::Woken);
    let until = story.operation.deadline();
    let (early, late) = (at(when + 590), at(when + 630));
    assert!(
        early <= until && until <= late,
        "{until} for {commands:?} at {when}"
    );
    let request = story.operation.state.request().unwrap();
    assert_eq!(request.shown.expires, words::clock(until));
    match commands[0] {
        Command::SendCard => {
            story.then(when, Event::Card(CardReport::Sent(card_message())));
        }
        _ => {
            story.then(when, Event::Sms(SmsReport::Intended(code())));
        }
    }
    assert_eq!(story.postponed(when), Some(Postponed::Asked));
    assert_eq!(story.operation.deadline(), until, "now it runs");
    story.approved(when + 5, Channel::Teams);
    let ended = story.ended().clone();
    assert!(matches!(ended.ending, Ending::Approved { .. }), "{ended:?}");
    let claims = crate::permit::claims(&story.operation).unwrap();
    let shown = &ended.request().unwrap().shown;
    assert_eq!(shown.expires, words::clock(until));
    assert_eq!(claims.shown, Some(shown.digest()), "what was shown is bound");
}

#[test]
fn a_yes_counts_once_the_directory_vouches_for_its_giver_and_a_no_at_once() {
    for channel in [Channel::Teams, Channel::Sms] {
        let mut story = Story::of(approval_operation());
        story.then(0, Event::Woken);
        story.then(10, Event::Answered(answer(Verdict::Approve, channel)));
        assert_eq!(story.operation.state.ended(), None);
        assert_eq!(
            story.wakes_at(),
            16,
            "whoever took it asks first, and may die meanwhile"
        );
        assert_eq!(story.then(16, Event::Woken), [Command::LookUpApprover]);
        let away = || Event::Approver(Standing::Away { retry_after: None });
        story.then(16, away());
        assert!(matches!(story.notes.last(), Some(Note::Kept(_))));
        let mut when = story.wakes_at();
        assert_eq!(when, 17);
        while when < 1000 {
            assert_eq!(story.then(when, Event::Woken), [Command::LookUpApprover]);
            story.then(when, away());
            when = story.wakes_at();
        }
        assert_eq!(story.postponed(when), Some(Postponed::Away("the directory")));

        let mut denied = Story::of(story.operation.clone());
        denied.then(when, Event::Answered(answer(Verdict::Deny, Channel::Sms)));
        assert!(matches!(denied.ended().ending, Ending::Denied { .. }));
        denied.then(when, Event::Approver(Standing::Stands));
        assert!(matches!(denied.ended().ending, Ending::Denied { .. }));
        assert_eq!(denied.operation.permit, None);

        let mut lapsed = Story::of(story.operation.clone());
        let gone = Obstacle::ManagerReplaced;
        lapsed.then(when, Event::Approver(Standing::Lapsed(gone)));
        assert_eq!(lapsed.ended().ending, Ending::Impossible(gone));
        assert_eq!(lapsed.operation.permit, None);
        assert!(matches!(lapsed.notes[..], [Note::Lapsed(_, why), Note::Ended(_)] if why == gone));

        story.then(when, Event::Approver(Standing::Stands));
        assert_eq!(story.ended().at, at(10), "when they said it");
        let expected = Ending::Approved {
            by: MEGAN.parse().unwrap(),
            channel,
        };
        assert_eq!(story.ended().ending, expected);
        let permit = story.operation.permit.clone().unwrap();
        assert_eq!(permit.issued_at, at(when));
        assert!(permit.expires_at <= at(10) + trust::permit::RENEWABLE);
    }
}

#[test]
fn a_yes_that_nobody_can_judge_grows_too_old() {
    let mut story = Story::of(approval_operation());
    story.then(599, Event::Answered(answer(Verdict::Approve, Channel::Teams)));
    story.then(
        599,
        Event::Approver(Standing::Away {
            retry_after: Some(after(3600)),
        }),
    );
    assert_eq!(
        story.wakes_at(),
        599 + 120,
        "however long it wants to be left alone"
    );
    let old = 599 + 20 * 60;
    let mut vouched = Story::of(story.operation.clone());
    for late in [&mut story, &mut vouched] {
        assert_eq!(late.operation.deadline(), at(old));
    }
    story.then(old, Event::Woken);
    vouched.then(old, Event::Approver(Standing::Stands));
    for late in [story, vouched] {
        assert_eq!(late.ended().ending, Ending::TimedOut(Silence::NotJudged));
        assert_eq!(late.operation.permit, None);
    }
}

#[test]
fn an_approval_after_the_deadline_changes_nothing_even_before_the_timer() {
    let mut story = Story::of(push_operation());
    story.then(0, Event::Woken);
    story.then(600, Event::Push(PushAnswer::Approved));
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::NoAnswer));
    assert_eq!(story.operation.permit, None);
    assert!(
        story
            .notes
            .iter()
            .any(|note| matches!(note, Note::AnsweredLate(_)))
    );
}

#[test]
fn a_prompt_for_another_ticket_waits_and_is_not_counted() {
    let mut story = Story::of(push_operation());
    story.then(0, Event::Woken);
    story.then(0, Event::PromptOpenElsewhere);
    assert_eq!(story.operation.state.wake_at(), Some(at(5)));
    story.then(5, Event::Woken);
    story.then(6, Event::Push(PushAnswer::Lost));
    assert!(
        matches!(story.then(21, Event::Woken)[..], [Command::Push { .. }]),
        "that was the first"
    );
}

#[test]
fn the_manager_is_asked_in_teams_and_later_by_text_and_the_first_answer_counts() {
    let mut story = Story::of(approval_operation());
    assert_eq!(story.then(0, Event::Woken), [Command::SendCard]);
    story.then(1, Event::Card(CardReport::Sent(card_message())));
    assert_eq!(story.operation.state.wake_at(), Some(at(300)));
    assert_eq!(story.then(300, Event::Woken), [Command::SendSms]);
    story.then(300, Event::Sms(SmsReport::Intended(code())));
    story.then(301, Event::Sms(SmsReport::Sent { message: None }));
    assert_eq!(story.operation.state.wake_at(), Some(at(600)));
    story.approved(310, Channel::Sms);
    story.then(311, Event::Answered(answer(Verdict::Deny, Channel::Teams)));
    assert!(matches!(
        story.ended().ending,
        Ending::Approved {
            channel: Channel::Sms,
            ..
        }
    ));
    assert_eq!(
        story.then(311, Event::Woken),
        [Command::CloseCard(card_message()), Command::Signal],
        "the card loses its buttons, whatever way the answer came"
    );
    assert!(matches!(story.notes.last(), Some(Note::AnsweredLate(_))));
}

#[test]
fn where_teams_is_impossible_the_text_message_goes_out_at_once() {
    let mut story = Story::of(approval_operation());
    story.then(0, Event::Woken);
    story.then(1, Event::Card(CardReport::Refused));
    assert_eq!(story.operation.state.wake_at(), Some(at(1)));
    assert_eq!(story.then(1, Event::Woken), [Command::SendSms]);
    story.then(2, Event::Sms(SmsReport::Refused));
    assert_eq!(
        story.ended().ending,
        Ending::Impossible(Obstacle::ManagerUnreachable)
    );
}

#[test]
fn while_teams_is_away_the_text_message_still_goes_out_in_its_time() {
    let mut story = Story::of(approval_operation());
    let mut when = 0;
    while when < 300 {
        story.then(when, Event::Woken);
        story.then(when, Event::Card(CardReport::Busy { retry_after: None }));
        when = (story.operation.state.wake_at().unwrap() - START).whole_seconds();
    }
    let commands = story.then(when, Event::Woken);
    assert!(commands.contains(&Command::SendSms), "{commands:?}");
}

#[test]
fn what_a_switch_holds_back_costs_no_try_and_is_due_again_in_a_moment() {
    let mut story = Story::of(approval_operation());
    let mut when = 0;
    while when < 300 {
        let commands = story.then(when, Event::Woken);
        assert_eq!(commands, [Command::SendCard], "{when}");
        story.then(when, Event::Card(CardReport::Held));
        assert_eq!(story.operation.state.wake_at(), Some(at(when + 5)));
        when += 5;
    }
    assert_eq!(
        story.then(when, Event::Woken),
        [Command::SendCard, Command::SendSms]
    );
    story.then(when, Event::Card(CardReport::Held));
    story.then(when, Event::Sms(SmsReport::Held));
    assert_eq!(story.operation.state.wake_at(), Some(at(when + 5)));
    // On again, as if nothing had been.
    assert_eq!(
        story.then(when + 5, Event::Woken),
        [Command::SendCard, Command::SendSms]
    );
    // Nobody was asked: that is another silence than one that was.
    story.then(when + 5, Event::Card(CardReport::Held));
    story.then(600, Event::Woken);
    assert_eq!(story.ended().ending, Ending::TimedOut(Silence::Unreachable));
}

#[test]
fn nobody_reached_and_nobody_answering_are_told_apart() {
    let mut away = Story::of(approval_operation());
    away.then(0, Event::Woken);
    away.then(1, Event::Card(CardReport::Busy { retry_after: None }));
    away.then(600, Event::Woken);
    assert_eq!(away.operation.state.ended(), None, "nobody could be asked");
    away.then(600, Event::Card(CardReport::Busy { retry_after: None }));
    away.then(7200, Event::Woken);
    assert_eq!(away.ended().ending, Ending::TimedOut(Silence::Unreachable));
    let mut silent = Story::of(approval_operation());
    silent.then(0, Event::Woken);
    silent.then(1, Event::Card(CardReport::Sent(card_message())));
    silent.then(600, Event::Woken);
    assert_eq!(silent.ended().ending, Ending::TimedOut(Silence::NoAnswer));
}

#[test]
fn a_card_whose_sending_was_interrupted_is_sent_again() {
    let mut story = Story::of(approval_operation());
    story.then(0, Event::Woken);
    assert_eq!(story.then(15, Event::Woken), [], "it is scheduled again");
    assert_eq!(story.then(17, Event::Woken), [Command::SendCard]);
    let State::Approval(approval) = &story.operation.state else {
        panic!()
    };
    assert_eq!(approval.posting.unconfirmed, 1);
}

#[test]
fn a_text_message_is_sent_twice_at_most() {
    let mut story = Story::of(approval_operation());
    story.then(0, Event::Woken);
    story.then(0, Event::Card(CardReport::Refused));
    for when in [0, 10] {
        assert_eq!(story.then(when, Event::Woken), [Command::SendSms]);
        story.then(when, Event::Sms(SmsReport::Intended(code())));
        story.then(when, Event::Sms(SmsReport::Lost));
    }
    let State::Approval(approval) = &story.operation.state else {
        panic!()
    };
    assert!(
        matches!(approval.sms, Sms::Sent { .. }),
        "it may have arrived: its code counts"
    );
}

#[test]
fn wrong_codes_close_the_text_channel_and_leave_the_card() {
    let mut story = Story::of(approval_operation());
    story.then(0, Event::Woken);
    story.then(1, Event::Card(CardReport::Sent(card_message())));
    story.then(300, Event::Woken);
    story.then(300, Event::Sms(SmsReport::Intended(code())));
    story.then(301, Event::Sms(SmsReport::Sent { message: None }));
    for _ in 0..MAX_WRONG_CODES {
        story.then(302, Event::WrongCode);
    }
    let State::Approval(approval) = &story.operation.state else {
        panic!()
    };
    assert_eq!(
        (&approval.sms, &approval.posting.card),
        (&Sms::Off, &Card::Sent(card_message()))
    );
    assert!(story.notes.contains(&Note::SmsLocked));
}

#[test]
fn a_card_that_arrives_after_the_answer_loses_its_buttons_too() {
    let mut story = Story::of(approval_operation());
    story.then(0, Event::Woken);
    story.then(
        1,
        Event::Answered(Answer {
            card: None,
            ..answer(Verdict::Deny, Channel::Sms)
        }),
    );
    story.then(2, Event::Card(CardReport::Sent(card_message())));
    let commands = story.then(2, Event::Woken);
    assert!(
        commands.contains(&Command::CloseCard(card_message())),
        "{commands:?}"
    );
    story.then(
        3,
        Event::CardNotClosed {
            retry_after: Some(after(9)),
        },
    );
    story.then(3, Event::SignalTaken);
    assert_eq!(story.operation.state.wake_at(), Some(at(12)));
    story.then(12, Event::CardClosed);
    assert_eq!(story.operation.state.wake_at(), None);
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Woken),
        1 => prop_oneof![
            Just(PushAnswer::Approved), Just(PushAnswer::Denied), Just(PushAnswer::Fraud), Just(PushAnswer::NoAnswer),
            Just(PushAnswer::Busy { retry_after: None }), Just(PushAnswer::Lost),
            Just(PushAnswer::Away { retry_after: None }),
            Just(PushAnswer::Impossible(Obstacle::NoMethod)),
        ].prop_map(Event::Push),
        1 => Just(Event::PromptOpenElsewhere),
        1 => Just(Event::CalledOff),
        2 => prop_oneof![
            Just(CardReport::Sent(card_message())), Just(CardReport::Busy { retry_after: None }), Just(CardReport::Held),
            Just(CardReport::Lost), Just(CardReport::Refused),
        ].prop_map(Event::Card),
        3 => prop_oneof![
            Just(SmsReport::Intended(code())), Just(SmsReport::Sent { message: None }),
            Just(SmsReport::Busy { retry_after: None }), Just(SmsReport::Held), Just(SmsReport::Lost), Just(SmsReport::Refused),
            Just(SmsReport::Shared),
        ].prop_map(Event::Sms),
        1 => prop_oneof![
            Just(answer(Verdict::Approve, Channel::Teams)), Just(answer(Verdict::Deny, Channel::Teams)),
            Just(answer(Verdict::Approve, Channel::Sms)), Just(answer(Verdict::Deny, Channel::Sms)),
        ].prop_map(Event::Answered),
        1 => prop_oneof![
            Just(Standing::Stands), Just(Standing::Away { retry_after: None }),
            Just(Standing::Lapsed(Obstacle::ManagerReplaced)),
        ].prop_map(Event::Approver),
        1 => prop_oneof![Just(reply("1")), Just(reply("2"))].prop_map(Event::Replied),
        1 => Just(Event::WrongCode),
        1 => Just(Event::CardClosed),
        1 => Just(Event::CardNotClosed { retry_after: None }),
        1 => Just(Event::SignalTaken),
        1 => Just(Event::SignalNotTaken { retry_after: None }),
    ]
}

fn any_story() -> impl Strategy<Value = (Method, Vec<(i64, Event)>)> {
    (
        prop::sample::select(vec![Method::Mfa, Method::Manager, Method::Question]),
        prop::collection::vec((0_i64..90, any_event()), 0..60),
    )
}

fn begun(method: Method) -> Operation {
    match method {
        Method::Mfa => push_operation(),
        Method::Manager => approval_operation(),
        Method::Question => question_operation(),
    }
}

/// Every state that a story of any events passes through, illegal ones refused.
fn play(method: Method, events: Vec<(i64, Event)>) -> Vec<Seen> {
    let played = play_out(method, events);
    played.into_iter().map(|(seen, _)| seen).collect()
}

type Seen = (OffsetDateTime, Event, Operation, Vec<Note>);

/// The same, with what is commanded in each.
fn play_out(method: Method, events: Vec<(i64, Event)>) -> Vec<(Seen, Vec<Command>)> {
    let mut operation = begun(method);
    let mut now = START;
    let mut seen = vec![];
    for (pause, event) in events {
        now += Duration::seconds(pause);
        if let Ok((after, commands, notes)) = operation.clone().apply(event.clone(), permit_id(), now) {
            operation = after;
            seen.push(((now, event, operation.clone(), notes), commands));
        }
    }
    seen
}

proptest! {
    #[test]
    fn what_is_decided_stays_decided((method, events) in any_story()) {
        let mut first: Option<(Ending, Option<_>)> = None;
        for (_, _, operation, notes) in play(method, events) {
            let ended = operation.state.ended().map(|ended| (ended.ending.clone(), operation.permit.clone()));
            if first.is_some() {
                prop_assert_eq!(&ended, &first, "an ending, a denial above all, is never lifted");
                prop_assert!(!notes.iter().any(|note| matches!(note, Note::Answered(_) | Note::Replied(_) | Note::Ended(_))));
            }
            first = first.or(ended);
        }
    }

    #[test]
    fn nobody_is_approved_without_their_own_yes_before_the_deadline((method, events) in any_story()) {
        let at_first = begun(method);
        let seen = play(method, events);
        let approved = seen.iter().position(|(_, _, operation, _)| {
            matches!(operation.state.ended(), Some(ended) if matches!(ended.ending, Ending::Approved { .. }))
        });
        if let Some(at) = approved {
            let (now, event, operation, _) = &seen[at];
            let said = |(_, event, ..): &(_, Event, _, _)| {
                matches!(event, Event::Answered(answer) if answer.verdict == Verdict::Approve)
            };
            let yes = match event {
                Event::Push(PushAnswer::Approved) => Some((*now, at)),
                Event::Approver(Standing::Stands) => {
                    seen[..at].iter().position(said).map(|said| (seen[said].0, said))
                }
                other => panic!("{other:?}"),
            };
            let (spoken, said) = yes.expect("they said yes");
            prop_assert_eq!(operation.state.ended().unwrap().at, spoken);
            let before = said.checked_sub(1).map_or(at_first.deadline(), |before| seen[before].2.deadline());
            prop_assert!(spoken < before);
        }
        for (_, _, operation, _) in &seen {
            let approved = matches!(operation.state.ended(), Some(ended) if matches!(ended.ending, Ending::Approved { .. }));
            prop_assert_eq!(operation.permit.is_some(), approved);
        }
    }

    #[test]
    fn an_open_operation_always_wakes_by_its_deadline_and_then_ends((method, events) in any_story()) {
        for (_, _, operation, _) in play(method, events) {
            if operation.state.ended().is_none() {
                let wake = operation.state.wake_at();
                let late = operation.deadline();
                prop_assert!(wake.is_some_and(|wake| wake <= late));
                // A yes in the last moment waits twenty minutes for the directory.
                prop_assert!(late <= operation.facts.latest + Duration::minutes(20));
                let (after, ..) = operation.apply(Event::Woken, permit_id(), late).unwrap();
                prop_assert!(after.state.ended().is_some(), "the deadline ends it: {:?}", after.state);
            }
        }
    }

    #[test]
    fn whoever_is_prompted_has_a_minute_to_answer((method, events) in any_story()) {
        for ((now, ..), commands) in play_out(method, events) {
            for command in commands {
                if let Command::Push { until, .. } = command {
                    prop_assert!(until - now >= Duration::minutes(1), "{until} at {now}");
                }
            }
        }
    }

    #[test]
    fn a_person_gets_two_prompts_and_two_text_messages_at_most((method, events) in any_story()) {
        let seen = play(method, events);
        let notes: Vec<&Note> = seen.iter().flat_map(|(.., notes)| notes).collect();
        // A push that provably reached nobody may be tried again under the same number.
        prop_assert!(notes.iter().all(|note| !matches!(note, Note::Pushed(number) if *number > MAX_PUSHES)));
        let ends = notes.iter().filter(|note| matches!(note, Note::Ended(_))).count();
        prop_assert!(ends <= 1, "exactly one decision");
    }
}
