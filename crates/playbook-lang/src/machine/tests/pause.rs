//! Waits.

use std::time::Duration;

use common::{ExecutionStatus, Outcome};
use serde_json::json;

use super::build::{action, escalation, playbook, terminal, wait_for, wait_until};
use super::rehearsal::{Rehearsal, START, result};
use crate::Step;
use crate::machine::*;
use crate::roots::Facts;

fn waiting(wait: Step) -> Rehearsal {
    Rehearsal::playing(playbook([
        action("look", "house.look").on("success", "wait"),
        wait.on("success", "done"),
        terminal("done"),
        escalation("person"),
    ]))
}

#[test]
fn a_wait_wakes_up_when_its_time_has_passed_and_not_before() {
    let mut rehearsal = waiting(wait_for("wait", Duration::from_mins(10)));
    let until = START + Duration::from_mins(10);
    let call = rehearsal.called();
    let commands = rehearsal.answer(&call, result(Outcome::Success));
    assert_eq!(commands, [Command::WakeAt(until)]);
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Waiting);
    assert_eq!(rehearsal.state.step().unwrap().as_str(), "wait");
    assert!(
        matches!(rehearsal.story.last(), Some(Record::Pausing { call, until: told }) if call.id.as_str() == "wait" && *told == until)
    );
    rehearsal.restart();
    assert_eq!(rehearsal.tell(Event::Claimed), [Command::WakeAt(until)]);
    assert_eq!(rehearsal.tell(Event::TimerFired), [Command::WakeAt(until)]);
    rehearsal.wait();
    assert_eq!(rehearsal.path(), ["look", "wait", "done"]);
}

#[test]
fn a_wait_may_be_for_a_point_in_time_that_is_not_waited_for_once_it_has_passed() {
    for (text, path) in [
        ("2026-11-22T07:00:00Z", vec!["look", "wait", "done"]),
        ("2026-11-22T11:00:00+01:00", vec!["look"]),
        ("{{ inputs.leaves }}", vec!["look"]),
        ("{{ inputs.gone }}", vec!["look", "-"]),
        ("{{ inputs.name }}", vec!["look", "-"]),
        ("tomorrow", vec!["look", "-"]),
    ] {
        let mut rehearsal = waiting(wait_until("wait", text));
        rehearsal.facts = Facts::default()
            .with("inputs.leaves", json!("2026-11-22T09:00:00Z"))
            .with("inputs.name", json!("Adele"));
        rehearsal.answers(result(Outcome::Success));
        assert_eq!(rehearsal.path(), path, "{text}");
        if path.ends_with(&["-"]) {
            assert!(rehearsal.reason().contains("point in time"), "{text}");
        }
    }
}

#[test]
fn a_wait_longer_than_the_budget_ends_with_a_person_when_the_budget_ends() {
    let mut rehearsal = waiting(wait_for("wait", Duration::from_hours(30)));
    rehearsal.answers(result(Outcome::Success));
    assert_eq!(rehearsal.state.due_at(), Some(START + Duration::from_hours(24)));
    rehearsal.wait();
    assert!(rehearsal.reason().contains("time budget"));
}

#[test]
fn a_playbook_may_begin_with_a_wait() {
    let wait = wait_for("wait", Duration::from_mins(1)).on("success", "done");
    let mut rehearsal = Rehearsal::playing(playbook([wait, terminal("done")]));
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Queued);
    rehearsal.tell(Event::Claimed);
    rehearsal.wait();
    assert_eq!(rehearsal.path(), ["wait", "done"]);
}
