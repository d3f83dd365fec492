//! Taking back.

use std::time::Duration;

use common::{ExecutionStatus, OperationId, Outcome, Pending, StepResult};
use serde_json::{Value, json};

use super::build::*;
use super::rehearsal::{Rehearsal, reset, result, verified};
use crate::machine::*;

/// Two steps that are done and a third that fails.
fn failing(undo: impl Fn(crate::Step) -> crate::Step) -> Rehearsal {
    Rehearsal::playing(playbook([
        action("verify", "verification.mfa")
            .on("success", "reset")
            .authorizing("reset"),
        action("reset", "executor.reset_password")
            .on("success", "look")
            .undone_by("reset.undo"),
        action("look", "house.look")
            .on("success", "deliver")
            .undone_by("look.undo"),
        action("deliver", "delivery.sms")
            .on("success", "done")
            .on("failure", "person"),
        terminal("done"),
        escalation("person"),
        undo(action("reset.undo", "executor.delete_pass").with(&json!({"why": "{{ requester.name }}"}))),
        undo(action("look.undo", "house.look")),
    ]))
}

/// Up to the delivery's failure.
fn failed(rehearsal: &mut Rehearsal) {
    rehearsal.answers(verified());
    rehearsal.answers(reset());
    rehearsal.answers(result(Outcome::Success));
    rehearsal.answers(result(Outcome::Failure));
}

#[test]
fn what_was_done_is_taken_back_newest_first_before_a_person_takes_over() {
    let mut rehearsal = failing(|undo| undo);
    rehearsal.facts = rehearsal.facts.with("requester.name", json!("Adele"));
    failed(&mut rehearsal);
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Running);
    assert_eq!(
        (rehearsal.state.permits(), rehearsal.state.credentials()),
        (&[][..], &[][..])
    );
    rehearsal.restart();

    let call = rehearsal.called();
    assert_eq!(call.call.id.as_str(), "look.undo");
    assert_eq!(
        Value::Object(call.parameters.clone()),
        json!({"step": "look", "visit": 1})
    );
    assert_eq!(rehearsal.called(), call, "the same again");
    rehearsal.answer(&call, result(Outcome::Success));

    let call = rehearsal.called();
    assert_eq!((call.permit.clone(), call.sealed.clone()), (None, None));
    assert_eq!(
        Value::Object(call.parameters.clone()),
        json!({"why": "Adele", "step": "reset", "visit": 1})
    );
    rehearsal.answer(&call, result(Outcome::Success));
    assert_eq!(
        rehearsal.path(),
        [
            "verify",
            "reset",
            "look",
            "deliver",
            "look.undo",
            "reset.undo",
            "person"
        ]
    );
    assert_eq!(rehearsal.reason(), "Because of person.");
    let ended = rehearsal.state.clone();
    rehearsal.answer(&call, result(Outcome::Success));
    assert_eq!(rehearsal.state, ended, "late");
}

#[test]
fn what_ends_well_is_not_taken_back() {
    let mut rehearsal = failing(|undo| undo);
    rehearsal.answers(verified());
    rehearsal.answers(reset());
    rehearsal.answers(result(Outcome::Success));
    rehearsal.answers(result(Outcome::Success));
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Resolved);
}

#[test]
fn what_could_not_be_taken_back_is_named_to_the_person() {
    let mut rehearsal = failing(|undo| undo.trying(2));
    failed(&mut rehearsal);
    let call = rehearsal.called();
    rehearsal.answer(&call, result(Outcome::Failure));
    rehearsal.now = rehearsal.state.due_at().unwrap();
    let again = rehearsal.calls(Event::TimerFired);
    assert_eq!((again.call.visit, again.call.attempt), (1, 2));
    rehearsal.answer(&again, result(Outcome::Failure));
    rehearsal.answers(result(Outcome::Success));
    assert_eq!(
        rehearsal.reason(),
        "Because of person. Undoing `Step look` did not succeed (It was so); a person must do it."
    );
}

#[test]
fn an_outage_is_waited_for_an_hour_and_the_next_step_has_its_own() {
    let mut rehearsal = failing(|undo| undo);
    failed(&mut rehearsal);
    // Not subject to the playbook's budget.
    rehearsal.now += Duration::from_hours(30);
    let call = rehearsal.called();
    let began = rehearsal.now;
    rehearsal.tell(Event::OutsideAway {
        call: call.call,
        retry_after: None,
        explanation: "Away.".to_owned(),
    });
    rehearsal.now = began + Duration::from_mins(59);
    let call = rehearsal.calls(Event::TimerFired);
    assert_eq!(
        call.deadline,
        began + Duration::from_hours(1),
        "no longer than that"
    );
    let operation = OperationId::fresh();
    let pending = Pending {
        operation,
        explanation: "Begun.".to_owned(),
    };
    rehearsal.tell(Event::Accepted {
        call: call.call.clone(),
        pending,
    });
    rehearsal.wait();
    rehearsal.tell(Event::Unanswered { call: call.call });
    let next = rehearsal.called();
    assert_eq!(next.call.id.as_str(), "reset.undo");
    rehearsal.answer(&next, result(Outcome::Success));
    assert!(
        rehearsal.reason().contains("Undoing `Step look`"),
        "{}",
        rehearsal.reason()
    );
}

#[test]
fn each_visit_that_was_done_is_taken_back() {
    let mut rehearsal = Rehearsal::playing(playbook([
        action("look", "house.look")
            .at_most(2)
            .on("success", "look")
            .undone_by("look.undo"),
        action("look.undo", "house.look"),
    ]));
    rehearsal.answers(result(Outcome::Success));
    rehearsal.answers(result(Outcome::Success));
    for visit in [2, 1] {
        let call = rehearsal.called();
        assert_eq!(
            (call.call.id.as_str(), call.call.visit, &call.parameters["visit"]),
            ("look.undo", visit, &json!(visit))
        );
        rehearsal.answer(&call, result(Outcome::Success));
    }
    assert!(rehearsal.reason().contains("more often"));
}

#[test]
fn a_late_signal_changes_nothing_while_things_are_taken_back_and_a_made_up_one_is_illegal() {
    let mut rehearsal = failing(|undo| undo);
    let first = rehearsal.called();
    let machine = Machine::new(&rehearsal.playbook, &rehearsal.rules, &rehearsal.facts);
    let undone = Event::Answered {
        call: StepCall {
            id: id("reset.undo"),
            visit: 1,
            attempt: 1,
        },
        result: result(Outcome::Success),
    };
    let moment = Moment::at(rehearsal.now);
    assert!(
        machine
            .apply(rehearsal.state.clone(), undone.clone(), moment)
            .is_err()
    );
    failed(&mut rehearsal);
    rehearsal.called();
    let closing = rehearsal.state.clone();
    let late: StepResult = verified();
    rehearsal.tell(Event::Signalled {
        call: first.call,
        operation: OperationId::fresh(),
        result: late,
    });
    rehearsal.tell(undone);
    assert_eq!(rehearsal.state, closing);
}

#[test]
fn a_state_of_the_version_before_is_still_read() {
    let stored = json!({
        "started_at": "2026-11-22T08:00:00Z",
        "phase": {"is": "ready", "step": "verify", "visit": 1},
        "proof": "unverified",
        "visits": {"verify": 1},
    });
    let state: State = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(
        state,
        State::begin(&failing(|undo| undo).playbook, super::rehearsal::START).unwrap()
    );
    assert_eq!(serde_json::to_value(&state).unwrap(), stored);
}
