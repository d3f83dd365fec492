//! What calls are filled with: facts, outputs, credentials.

use common::{Outcome, SealedCredential, StepResult};
use serde_json::{Value, json};

use super::build::{action, decision, id, is, playbook, terminal};
use super::rehearsal::{Rehearsal, reset, result, verified};
use crate::machine::*;
use crate::roots::Facts;

fn seen(outcome: Outcome, colour: &str) -> StepResult {
    StepResult {
        output: json!({"colour": colour, "secret": "x"})
            .as_object()
            .unwrap()
            .clone(),
        ..result(outcome)
    }
}

#[test]
fn a_call_shows_facts_and_what_steps_before_it_answered_and_comes_out_the_same_again() {
    let mut rehearsal = Rehearsal::playing(playbook([
        action("look", "house.look").on("up", "tell"),
        action("tell", "ticket.note")
            .with(&json!({"text": "{{ requester.name }}: {{ steps.look.output.colour }}{{ steps.look.output.secret }}"})),
    ]));
    rehearsal.facts = Facts::default().with("requester.name", json!("Adele"));
    rehearsal.answers(seen("up".into(), "red {{ requester.name }}"));
    assert_eq!(
        rehearsal.state.outputs(&id("look")).unwrap().len(),
        1,
        "declared ones"
    );
    let call = rehearsal.called();
    assert_eq!(
        Value::Object(call.parameters.clone()),
        json!({"text": "Adele: red {{ requester.name }}"})
    );
    rehearsal.restart();
    assert_eq!(rehearsal.called(), call);
}

#[test]
fn only_a_success_and_an_own_word_leave_outputs_and_only_of_the_declared_kind() {
    for (answer, kept) in [
        (seen(Outcome::Success, "red"), true),
        (seen("down".into(), "red"), true),
        (
            StepResult {
                output: json!({"colour": 3}).as_object().unwrap().clone(),
                ..seen(Outcome::Success, "")
            },
            false,
        ),
        (seen(Outcome::Failure, "red"), false),
        (seen(Outcome::Denied, "red"), false),
        (seen(Outcome::Timeout, "red"), false),
    ] {
        let look = action("look", "house.look");
        let edges = ["success", "failure", "denied", "down"];
        let look = edges.iter().fold(look, |look, edge| look.on(edge, "next"));
        let mut rehearsal = Rehearsal::playing(playbook([look, action("next", "house.look")]));
        rehearsal.answers(answer.clone());
        assert_eq!(rehearsal.state.outputs(&id("look")).is_some(), kept, "{answer:?}");
    }
}

#[test]
fn a_decision_may_look_at_an_output() {
    let mut rehearsal = Rehearsal::playing(playbook([
        action("look", "house.look").on("success", "which"),
        decision("which", &[("red", is("steps.look.output.colour", json!("red")))]).on("red", "done"),
        terminal("done"),
    ]));
    rehearsal.answers(seen(Outcome::Success, "Red"));
    assert_eq!(rehearsal.path(), ["look", "which", "done"]);
}

#[test]
fn the_privileged_call_is_filled_with_what_the_verification_was_told() {
    let mut rehearsal = Rehearsal::playing(playbook([
        action("verify", "verification.mfa")
            .on("success", "reset")
            .authorizing("reset"),
        action("reset", "executor.reset_password")
            .on("success", "done")
            .with(&json!({"lifetime_minutes": "{{ inputs.minutes }}"})),
        terminal("done"),
    ]));
    rehearsal.facts = Facts::default().with("inputs.minutes", json!(30));
    let authorized = rehearsal.called().authorizes.unwrap().parameters;
    assert_eq!(Value::Object(authorized.clone()), json!({"lifetime_minutes": 30}));
    rehearsal.answers(verified());
    assert_eq!(rehearsal.called().parameters, authorized);
}

/// Two credentials, and a delivery of the first one.
fn two_credentials(deliver: crate::Step) -> Rehearsal {
    let yielding = |id: &str, next: &str| {
        [
            action(&format!("verify_{id}"), "verification.mfa")
                .on("success", id)
                .authorizing(id),
            action(id, "executor.reset_password").on("success", next),
        ]
    };
    let steps = yielding("one", "verify_two")
        .into_iter()
        .chain(yielding("two", "deliver"))
        .chain([deliver, terminal("done")]);
    let mut rehearsal = Rehearsal::playing(playbook(steps));
    for sealed in ["first", "second"] {
        rehearsal.answers(verified());
        rehearsal.answers(StepResult {
            sealed: Some(SealedCredential::from_text(sealed)),
            ..reset()
        });
    }
    rehearsal
}

#[test]
fn a_delivery_gets_the_credential_that_it_names_else_the_latest_and_no_parameter_for_it() {
    let deliver = || {
        action("deliver", "delivery.sms")
            .on("success", "done")
            .with(&json!({"credential": "{{ steps.one.output.credential }}"}))
    };
    let call = two_credentials(deliver().delivering("one")).called();
    assert_eq!(call.sealed, Some(SealedCredential::from_text("first")));
    assert!(call.parameters.is_empty(), "{:?}", call.parameters);
    let call = two_credentials(deliver()).called();
    assert_eq!(call.sealed, Some(SealedCredential::from_text("second")));

    let mut rehearsal = two_credentials(deliver().delivering("nobody"));
    rehearsal.tell(Event::Claimed);
    assert!(rehearsal.reason().contains("without a credential"));
}
