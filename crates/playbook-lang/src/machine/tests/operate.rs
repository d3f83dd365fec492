//! Operators: what stands still, what is cancelled, and what is tried again.

use std::time::Duration;

use common::{ExecutionStatus, OperationId, Outcome, Pending};
use serde_json::json;

use super::build::*;
use super::rehearsal::{Rehearsal, reset, result, verified};
use super::*;

/// A note, then two steps that are done and a text that fails.
fn work() -> Rehearsal {
    Rehearsal::playing(playbook([
        action("look", "house.look")
            .on("success", "tell")
            .on("failure", "person")
            .undone_by("look.undo"),
        action("tell", "house.look")
            .trying(2)
            .on("success", "done")
            .on("failure", "person"),
        terminal("done"),
        escalation("person"),
        action("look.undo", "house.look"),
    ]))
}

fn moment(rehearsal: &Rehearsal) -> Moment {
    Moment::at(rehearsal.now)
}

/// As [`Rehearsal::tell`], standing still.
fn tell_held(rehearsal: &mut Rehearsal, event: Event) -> Vec<Command> {
    let machine = Machine::new(&rehearsal.playbook, &rehearsal.rules, &rehearsal.facts).standing_still();
    let turn = machine
        .apply(rehearsal.state.clone(), event, moment(rehearsal))
        .unwrap();
    rehearsal.state = turn.state;
    rehearsal.story.extend(turn.story);
    turn.commands
}

fn cancel(rehearsal: &mut Rehearsal) -> Vec<Command> {
    rehearsal.tell(Event::Cancelled {
        reason: "Cancelled by Elena: wrong ticket.".to_owned(),
    })
}

fn retry(rehearsal: &mut Rehearsal) -> Result<(), NoRetry> {
    let machine = Machine::new(&rehearsal.playbook, &rehearsal.rules, &rehearsal.facts);
    rehearsal.state = machine.retry(rehearsal.state.clone(), moment(rehearsal))?.state;
    Ok(())
}

fn calls(commands: &[Command]) -> usize {
    let call = |command: &&Command| matches!(command, Command::Call(_));
    commands.iter().filter(call).count()
}

#[test]
fn what_stands_still_hears_the_call_that_is_out_and_begins_no_other() {
    let mut rehearsal = work();
    let look = rehearsal.called();
    let answered = Event::Answered {
        call: look.call,
        result: result(Outcome::Success),
    };
    assert_eq!(calls(&tell_held(&mut rehearsal, answered)), 0);
    assert_eq!(calls(&tell_held(&mut rehearsal, Event::Claimed)), 0);
    assert_eq!(rehearsal.path(), ["look"]);
    assert_eq!(rehearsal.calls(Event::LetGo).call.id.as_str(), "tell");
}

#[test]
fn a_call_that_was_held_back_goes_out_later_as_it_was_and_with_a_fresh_deadline_once_that_has_passed() {
    for late in [false, true] {
        let mut rehearsal = work();
        let look = rehearsal.called();
        let held = Event::HeldBack {
            call: look.call.clone(),
        };
        assert_eq!(calls(&tell_held(&mut rehearsal, held)), 0);
        rehearsal.restart();
        if late {
            rehearsal.now = look.deadline;
        }
        let again = rehearsal.called();
        assert_eq!(again == look, !late);
        assert_eq!(
            (again.call.visit, again.call.attempt),
            (1, if late { 2 } else { 1 })
        );
        assert_eq!(rehearsal.state.phase().attempt().unwrap().failures, 0);
    }
}

#[test]
fn a_lost_call_is_not_repeated_while_standing_still() {
    let mut rehearsal = work();
    let look = rehearsal.called();
    assert_eq!(calls(&tell_held(&mut rehearsal, Event::Claimed)), 0);
    rehearsal.now = look.deadline + Duration::from_secs(1);
    assert_eq!(calls(&tell_held(&mut rehearsal, Event::Claimed)), 0);
    assert_eq!(rehearsal.called().call.attempt, 2);
}

#[test]
fn the_time_of_what_stands_still_runs_out_as_if_it_did_not() {
    let mut rehearsal = work();
    rehearsal.answers(result(Outcome::Success));
    let machine = Machine::new(&rehearsal.playbook, &rehearsal.rules, &rehearsal.facts).standing_still();
    let due = machine.due_at(&rehearsal.state).unwrap();
    assert_eq!(due, START + Duration::from_hours(24));
    rehearsal.now = due;
    assert_eq!(calls(&tell_held(&mut rehearsal, Event::Claimed)), 0);
    // What is to be taken back stands still as well, and after an hour it is a person's affair.
    rehearsal.now += Duration::from_hours(1);
    tell_held(&mut rehearsal, Event::Claimed);
    assert!(
        rehearsal.reason().contains("time budget ran out"),
        "{}",
        rehearsal.reason()
    );
    assert!(
        rehearsal.reason().contains("a person must do it"),
        "{}",
        rehearsal.reason()
    );
}

#[test]
fn what_is_cancelled_takes_back_what_it_did_and_ends_with_the_words_of_whoever_did_it() {
    let mut rehearsal = work();
    rehearsal.answers(result(Outcome::Success));
    cancel(&mut rehearsal);
    let undo = rehearsal.called();
    assert_eq!(undo.call.id.as_str(), "look.undo");
    // Once more, and late.
    cancel(&mut rehearsal);
    rehearsal.answer(&undo, result(Outcome::Success));
    assert_eq!(rehearsal.reason(), "Cancelled by Elena: wrong ticket.");
    assert_eq!(cancel(&mut rehearsal), []);
}

#[test]
fn a_call_that_is_out_is_heard_before_it_is_taken_back() {
    let mut rehearsal = work();
    let look = rehearsal.called();
    assert_eq!(cancel(&mut rehearsal), []);
    rehearsal.restart();
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Running);
    rehearsal.answer(&look, result(Outcome::Success));
    assert_eq!(rehearsal.called().call.id.as_str(), "look.undo");
    assert!(
        !rehearsal
            .story
            .iter()
            .any(|record| matches!(record, Record::Dropped { .. }))
    );
}

#[test]
fn a_call_whose_answer_was_lost_is_taken_back_without_being_made_again() {
    let mut rehearsal = work();
    rehearsal.called();
    cancel(&mut rehearsal);
    assert_eq!(rehearsal.called().call.id.as_str(), "look.undo");
}

#[test]
fn nobody_waits_for_a_person_any_more_and_a_late_answer_changes_nothing() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    let call = rehearsal.called().call;
    let operation = OperationId::fresh();
    rehearsal.tell(Event::Accepted {
        call: call.clone(),
        pending: Pending {
            operation,
            explanation: "Asked.".to_owned(),
        },
    });
    cancel(&mut rehearsal);
    assert_eq!(rehearsal.reason(), "Cancelled by Elena: wrong ticket.");
    let ended = rehearsal.state.clone();
    rehearsal.tell(Event::Signalled {
        call,
        operation,
        result: verified(),
    });
    assert_eq!(rehearsal.state, ended);
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::NothingFailed));
}

#[test]
fn a_success_that_would_have_ended_it_well_does_not_outvote_the_operator_and_an_alarm_is_not_lost() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    let call = rehearsal.called();
    cancel(&mut rehearsal);
    rehearsal.answer(&call, result(Outcome::Denied));
    let reason = rehearsal.reason();
    assert!(
        reason.starts_with("Cancelled by Elena: wrong ticket. The request was denied"),
        "{reason}"
    );

    let mut rehearsal = work();
    rehearsal.answers(result(Outcome::Success));
    let tell = rehearsal.called();
    cancel(&mut rehearsal);
    rehearsal.answer(&tell, result(Outcome::Success));
    assert_eq!(rehearsal.called().call.id.as_str(), "look.undo");
}

#[test]
fn a_step_that_failed_is_tried_again_in_a_further_visit_with_attempts_of_its_own() {
    let mut rehearsal = work();
    rehearsal.answers(result(Outcome::Failure));
    assert_eq!(rehearsal.reason(), "Because of person.");
    assert_eq!(retry(&mut rehearsal), Ok(()));
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Running);
    rehearsal.restart();
    let again = rehearsal.called();
    assert_eq!(
        (again.call.id.as_str(), again.call.visit, again.call.attempt),
        ("look", 2, 1)
    );
    rehearsal.answer(&again, result(Outcome::Success));
    rehearsal.answers(result(Outcome::Success));
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Resolved);
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::NothingFailed));
}

#[test]
fn what_waits_for_the_outside_is_tried_at_once_and_what_is_under_way_is_left_alone() {
    let mut rehearsal = work();
    let look = rehearsal.called();
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::UnderWay));
    rehearsal.tell(Event::OutsideAway {
        call: look.call,
        retry_after: Some(Duration::from_mins(10)),
        explanation: "Away.".to_owned(),
    });
    assert_eq!(calls(&rehearsal.tell(Event::Claimed)), 0);
    assert_eq!(retry(&mut rehearsal), Ok(()));
    assert_eq!(rehearsal.called().call.attempt, 2);
}

#[test]
fn nothing_is_tried_again_where_it_could_do_harm() {
    let privileged = |undo: bool| {
        let step = action("reset", "executor.reset_password")
            .on("success", "tag")
            .on("failure", "person");
        let tag = action("tag", "house.look").on("failure", "person");
        Rehearsal::playing(playbook([
            action("verify", "verification.mfa")
                .on("success", "reset")
                .on("denied", "person")
                .authorizing("reset"),
            if undo { step.undone_by("reset.undo") } else { step },
            tag,
            escalation("person"),
            action("reset.undo", "executor.delete_pass").with(&json!({})),
        ]))
    };
    // The permit is spent.
    let mut rehearsal = privileged(false);
    rehearsal.answers(verified());
    rehearsal.answers(result(Outcome::Failure));
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::NeedsNewProof(id("reset"))));
    // The credential that later steps may want is gone.
    let mut rehearsal = privileged(false);
    rehearsal.answers(verified());
    rehearsal.answers(reset());
    rehearsal.answers(result(Outcome::Failure));
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::NeedsNewProof(id("tag"))));
    // What was done was taken back.
    let mut rehearsal = privileged(true);
    rehearsal.answers(verified());
    rehearsal.answers(reset());
    rehearsal.answers(result(Outcome::Failure));
    rehearsal.answers(result(Outcome::Success));
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::TakenBack));
    // It may have been done.
    let mut rehearsal = privileged(false);
    rehearsal.answers(verified());
    rehearsal.answers(result(Outcome::Timeout));
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::InDoubt(id("reset"))));
    // A "No" is no failure.
    let mut rehearsal = privileged(false);
    rehearsal.answers(result(Outcome::Denied));
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::NothingFailed));
    // Too late.
    let mut rehearsal = work();
    rehearsal.answers(result(Outcome::Failure));
    rehearsal.now += Duration::from_hours(24);
    assert_eq!(retry(&mut rehearsal), Err(NoRetry::OutOfBudget));
}
