//! Branches that are walked at once.

use std::time::Duration;

use common::{ExecutionStatus, OperationId, Outcome, Pending, StepResult};
use serde_json::json;

use super::build::*;
use super::rehearsal::{Rehearsal, START, reset, result, verified};
use crate::machine::*;
use crate::{Join, Step};

/// `both` with the branches `a` (one look) and `b` (a look and a second one).
fn both(join: Join) -> Vec<Step> {
    let within = |step: Step, branch| step.within("both", branch);
    vec![
        parallel("both", join, &[("a", "a1"), ("b", "b1")])
            .on("success", "done")
            .on("failure", "person"),
        within(
            action("a1", "house.look")
                .on("success", "a_well")
                .on("failure", "a_ill"),
            "a",
        ),
        within(terminal("a_well"), "a"),
        within(escalation("a_ill"), "a"),
        within(
            action("b1", "house.look")
                .on("success", "b2")
                .on("failure", "b_ill"),
            "b",
        ),
        within(
            action("b2", "house.look")
                .on("success", "b_well")
                .on("failure", "b_ill"),
            "b",
        ),
        within(terminal("b_well"), "b"),
        within(escalation("b_ill"), "b"),
        terminal("done"),
        escalation("person"),
    ]
}

fn names(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.call.id.as_str()).collect()
}

fn success() -> StepResult {
    result(Outcome::Success)
}

#[test]
fn all_branches_are_called_at_once_and_waited_for() {
    let mut rehearsal = Rehearsal::playing(playbook(both(Join::All)));
    let calls = rehearsal.commanded(Event::Claimed);
    assert_eq!(names(&calls), ["a1", "b1"]);
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Running);
    assert_eq!(rehearsal.state.step().unwrap().as_str(), "both");
    assert_eq!(rehearsal.state.call().unwrap().id.as_str(), "a1");
    assert_eq!(rehearsal.state.due_at(), Some(START));

    assert_eq!(rehearsal.answer(&calls[0], success()), []);
    rehearsal.restart();
    assert_eq!(rehearsal.state.call().unwrap().id.as_str(), "b1");
    // The next step of a branch begins at once: nobody need take the execution up for it.
    let commands = rehearsal.answer(&calls[1], success());
    let [Command::Call(call)] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!(call.call.id.as_str(), "b2");
    rehearsal.answer(call, success());
    assert_eq!(
        rehearsal.path(),
        ["a1", "a_well", "b1", "b2", "b_well", "both", "done"]
    );
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Resolved);
}

#[test]
fn where_all_must_end_well_one_failure_is_a_failure_after_all_have_ended() {
    let mut rehearsal = Rehearsal::playing(playbook(both(Join::All)));
    let calls = rehearsal.commanded(Event::Claimed);
    rehearsal.answer(&calls[0], result(Outcome::Failure));
    assert_eq!(rehearsal.path(), ["a1", "a_ill"]);
    rehearsal.answer(&calls[1], result(Outcome::Failure));
    assert_eq!(rehearsal.path(), ["a1", "a_ill", "b1", "b_ill", "both", "person"]);
    assert!(rehearsal.story.iter().any(|record| matches!(
        record,
        Record::Finished { call, outcome: Outcome::Failure, explanation, .. }
            if call.id.as_str() == "both" && explanation == "Not every branch ended well: `a`, `b` did not."
    )));
}

#[test]
fn where_any_may_end_well_the_first_success_drops_the_others() {
    let mut rehearsal = Rehearsal::playing(playbook(both(Join::Any)));
    let calls = rehearsal.commanded(Event::Claimed);
    rehearsal.answer(&calls[0], success());
    assert_eq!(rehearsal.path(), ["a1", "a_well", "both", "done"]);
    let dropped: Vec<&Record> = rehearsal
        .story
        .iter()
        .filter(|record| matches!(record, Record::Dropped { .. }))
        .collect();
    assert_eq!(
        dropped,
        [&Record::Dropped {
            call: calls[1].call.clone()
        }]
    );
    let ended = rehearsal.state.clone();
    rehearsal.answer(&calls[1], success());
    assert_eq!(rehearsal.state, ended, "too late");
}

#[test]
fn where_any_may_end_well_all_must_fail_for_a_failure() {
    let mut rehearsal = Rehearsal::playing(playbook(both(Join::Any)));
    let calls = rehearsal.commanded(Event::Claimed);
    rehearsal.answer(&calls[1], result(Outcome::Failure));
    rehearsal.answer(&calls[0], result(Outcome::Failure));
    assert_eq!(rehearsal.path().last().unwrap(), "person");
}

#[test]
fn each_branch_keeps_its_own_time_and_its_own_operation() {
    let mut rehearsal = Rehearsal::playing(playbook(both(Join::All)));
    let calls = rehearsal.commanded(Event::Claimed);
    let operation = OperationId::fresh();
    let pending = Pending {
        operation,
        explanation: "Asked.".to_owned(),
    };
    let ask_at = START + Duration::from_secs(61);
    let accepted = Event::Accepted {
        call: calls[0].call.clone(),
        pending,
    };
    assert_eq!(rehearsal.tell(accepted), [Command::WakeAt(ask_at)]);
    rehearsal.tell(Event::Unreached {
        call: calls[1].call.clone(),
        retry_after: None,
    });
    let soon = START + Duration::from_secs(2);
    assert_eq!(rehearsal.state.due_at(), Some(soon));
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Waiting);
    // Both are told; the first one only says how long it waits.
    rehearsal.now = soon;
    let commands = rehearsal.tell(Event::TimerFired);
    assert_eq!(commands[0], Command::WakeAt(ask_at));
    assert!(
        matches!(&commands[1], Command::Call(call) if **call == calls[1]),
        "{commands:?}"
    );
    rehearsal.answer(&calls[1], result(Outcome::Failure));
    rehearsal.now = ask_at;
    assert!(matches!(
        rehearsal.tell(Event::TimerFired)[..],
        [Command::AskOperation { .. }]
    ));
    rehearsal.tell(Event::OperationSeen {
        operation,
        result: Some(success()),
    });
    assert_eq!(rehearsal.path().last().unwrap(), "person");
}

#[test]
fn branches_may_branch_again_decide_and_wait() {
    let inner = |step: Step, branch| step.within("inner", branch);
    let mut rehearsal = Rehearsal::playing(playbook([
        parallel("outer", Join::All, &[("x", "which"), ("y", "rest")]).on("success", "done"),
        decision("which", &[])
            .on("otherwise", "inner")
            .within("outer", "x"),
        parallel("inner", Join::Any, &[("p", "p1"), ("q", "q1")])
            .on("success", "x_well")
            .within("outer", "x"),
        inner(
            action("p1", "house.look")
                .on("success", "p_well")
                .on("failure", "p_ill"),
            "p",
        ),
        inner(terminal("p_well"), "p"),
        inner(escalation("p_ill"), "p"),
        inner(action("q1", "house.look").on("success", "q_well"), "q"),
        inner(terminal("q_well"), "q"),
        terminal("x_well").within("outer", "x"),
        wait_for("rest", Duration::from_mins(1))
            .on("success", "y_well")
            .within("outer", "y"),
        terminal("y_well").within("outer", "y"),
        terminal("done"),
    ]));
    let calls = rehearsal.commanded(Event::Claimed);
    assert_eq!(names(&calls), ["p1", "q1"]);
    rehearsal.restart();
    rehearsal.answer(&calls[0], result(Outcome::Failure));
    rehearsal.answer(&calls[1], success());
    rehearsal.wait();
    assert_eq!(
        rehearsal.path(),
        [
            "which", "p1", "p_ill", "q1", "q_well", "inner", "x_well", "rest", "y_well", "outer", "done"
        ]
    );
}

#[test]
fn an_outcome_without_an_edge_ends_all_branches() {
    let mut rehearsal = Rehearsal::playing(playbook(both(Join::All)));
    let calls = rehearsal.commanded(Event::Claimed);
    let commands = rehearsal.answer(&calls[0], result(Outcome::Denied));
    assert!(matches!(commands.as_slice(), [Command::Ended(_)]));
    assert!(rehearsal.reason().contains("ended in `denied`"));
    assert!(
        rehearsal
            .story
            .iter()
            .any(|record| matches!(record, Record::Dropped { call } if *call == calls[1].call))
    );
}

#[test]
fn a_denial_in_one_branch_stops_what_is_privileged_in_another_even_its_repetition() {
    let steps = [
        action("verify", "verification.mfa")
            .on("success", "both")
            .authorizing("reset"),
        parallel("both", Join::All, &[("a", "again"), ("b", "reset")]).on("success", "done"),
        action("again", "verification.manager")
            .on("denied", "a_ill")
            .within("both", "a"),
        escalation("a_ill").within("both", "a"),
        action("reset", "executor.reset_password")
            .on("success", "b_well")
            .within("both", "b"),
        terminal("b_well").within("both", "b"),
        terminal("done"),
    ];
    let mut rehearsal = Rehearsal::playing(playbook(steps));
    rehearsal.answers(verified());
    let calls = rehearsal.commanded(Event::Claimed);
    rehearsal.answer(&calls[0], result(Outcome::Denied));
    assert!(rehearsal.commanded(Event::Claimed).is_empty());
    assert!(rehearsal.reason().contains("without sufficient proof"));
}

#[test]
fn branches_do_not_see_each_others_answers_until_they_have_joined() {
    let text = json!({"text": "{{ steps.a1.output.colour }}"});
    let mut steps = both(Join::All);
    steps[0] = steps[0].clone().on("success", "tell");
    let tell = |id| action(id, "ticket.note").with(&text);
    steps[5] = tell("b2").on("success", "b_well").within("both", "b");
    steps.push(tell("tell").on("success", "done"));
    let mut rehearsal = Rehearsal::playing(playbook(steps));
    let calls = rehearsal.commanded(Event::Claimed);
    let mut seen = success();
    seen.output.insert("colour".to_owned(), json!("red"));
    rehearsal.answer(&calls[0], seen);
    let commands = rehearsal.answer(&calls[1], success());
    let [Command::Call(call)] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert!(call.parameters.is_empty());
    rehearsal.answer(call, success());
    assert_eq!(rehearsal.called().parameters["text"], "red");
}

#[test]
fn a_step_outside_is_not_reached_from_within() {
    let mut steps = both(Join::All);
    steps[1] = steps[1].clone().on("success", "done");
    let mut rehearsal = Rehearsal::playing(playbook(steps));
    let calls = rehearsal.commanded(Event::Claimed);
    rehearsal.answer(&calls[0], success());
    assert!(rehearsal.reason().contains("out of a branch"));
}

#[test]
fn a_dropped_strand_is_taken_back_too() {
    let steps = [
        action("verify", "verification.mfa")
            .on("success", "both")
            .authorizing("reset"),
        parallel("both", Join::Any, &[("a", "look"), ("b", "reset")]).on("success", "person"),
        action("look", "house.look")
            .on("success", "a_well")
            .within("both", "a"),
        terminal("a_well").within("both", "a"),
        action("reset", "executor.reset_password")
            .on("success", "b_well")
            .undone_by("reset.undo")
            .within("both", "b"),
        terminal("b_well").within("both", "b"),
        escalation("person"),
        action("reset.undo", "executor.delete_pass"),
    ];
    let mut rehearsal = Rehearsal::playing(playbook(steps));
    rehearsal.answers(verified());
    let calls = rehearsal.commanded(Event::Claimed);
    rehearsal.answer(&calls[0], success());
    rehearsal.answer(&calls[1], reset());
    let call = rehearsal.called();
    assert_eq!(call.call.id.as_str(), "reset.undo");
    rehearsal.answer(&call, success());
    assert_eq!(rehearsal.path().last().unwrap(), "person");
}
