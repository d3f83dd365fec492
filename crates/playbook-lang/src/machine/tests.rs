//! The machine by example: each test tells one short story of the shipped playbook.

pub(crate) mod build;
mod decide;
mod filling;
mod operate;
mod parallel;
mod pause;
pub(crate) mod rehearsal;
mod undo;

use std::time::Duration;

use common::{
    Ending, ExecutionStatus, OperationId, Outcome, Pending, PermitToken, SealedCredential, StepCall,
};

use super::*;
use rehearsal::{Rehearsal, START, reset, result, verified};

const SHIPPED: &str = include_str!("../../../../playbooks/password_reset.yml");

#[test]
fn an_approved_push_resets_delivers_and_resolves() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Queued);

    let call = rehearsal.called();
    assert_eq!(call.path, "/api/v1/verification/mfa");
    assert_eq!(call.deadline, START + Duration::from_mins(5));
    let authorizes = call.authorizes.unwrap();
    assert_eq!(authorizes.action.as_str(), "executor.reset_password");
    assert_eq!(authorizes.step.as_str(), "reset_password");
    assert_eq!(call.permit, None);
    rehearsal.tell(Event::Answered {
        call: call.call,
        result: verified(),
    });

    let call = rehearsal.called();
    assert_eq!(call.permit, Some(PermitToken::from_text("permit")));
    assert_eq!(call.sealed, None);
    rehearsal.tell(Event::Answered {
        call: call.call,
        result: reset(),
    });
    assert_eq!(rehearsal.state.permits(), [], "spent");

    let call = rehearsal.called();
    assert_eq!(
        (call.permit, call.sealed),
        (None, Some(SealedCredential::from_text("sealed")))
    );
    let commands = rehearsal.tell(Event::Answered {
        call: call.call,
        result: result(Outcome::Success),
    });
    assert_eq!(commands, [Command::Ended(Ending::Resolved)]);
    assert_eq!(
        rehearsal.path(),
        ["verify_mfa", "reset_password", "deliver_credentials", "resolved"]
    );
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Resolved);
    assert_eq!(rehearsal.state.due_at(), None);
    assert_eq!(rehearsal.state.credentials(), [], "nothing is kept");
}

#[test]
fn a_denied_push_raises_the_alarm_and_never_asks_the_manager() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    rehearsal.answers(result(Outcome::Denied));
    assert_eq!(rehearsal.path(), ["verify_mfa", "escalate_denied"]);
}

#[test]
fn silence_is_asked_after_before_it_is_a_time_out_and_then_the_manager_is_asked() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    let call = rehearsal.called().call;
    let operation = OperationId::fresh();
    let pending = Pending {
        operation,
        explanation: "A push was sent.".to_owned(),
    };
    let accepted = Event::Accepted {
        call: call.clone(),
        pending,
    };
    let ask_at = START + Duration::from_secs(301);
    assert_eq!(rehearsal.tell(accepted.clone()), [Command::WakeAt(ask_at)]);
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Waiting);
    assert_eq!(rehearsal.tell(accepted), [], "twice is once");

    // Too early changes nothing, and after a restart the timer is set again.
    assert_eq!(rehearsal.tell(Event::Claimed), [Command::WakeAt(ask_at)]);
    let commands = rehearsal.wait();
    assert!(
        matches!(commands.as_slice(), [Command::AskOperation { .. }]),
        "{commands:?}"
    );
    // The service is away just then: nobody may be declared silent who was not asked.
    rehearsal.tell(Event::Unreached {
        call,
        retry_after: None,
    });
    assert!(matches!(rehearsal.state.phase(), Phase::Waiting { .. }));
    assert!(matches!(
        rehearsal.wait().as_slice(),
        [Command::AskOperation { .. }]
    ));
    rehearsal.tell(Event::OperationSeen {
        operation,
        result: None,
    });
    assert_eq!(rehearsal.path(), ["verify_mfa"]);
    assert_eq!(rehearsal.called().path, "/api/v1/verification/manager_approval");
}

#[test]
fn a_lost_callback_costs_nothing_but_time() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    let call = rehearsal.called().call;
    let operation = OperationId::fresh();
    let pending = Pending {
        operation,
        explanation: "A push was sent.".to_owned(),
    };
    rehearsal.tell(Event::Accepted { call, pending });
    rehearsal.wait();
    rehearsal.tell(Event::OperationSeen {
        operation,
        result: Some(verified()),
    });
    assert_eq!(rehearsal.called().action.as_str(), "executor.reset_password");
}

#[test]
fn a_signal_may_overtake_the_answer_that_announces_it_and_comes_twice() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    let call = rehearsal.called().call;
    let operation = OperationId::fresh();
    let signal = Event::Signalled {
        call: call.clone(),
        operation,
        result: verified(),
    };
    rehearsal.tell(signal.clone());
    let after = rehearsal.state.clone();
    rehearsal.tell(signal);
    let pending = Pending {
        operation,
        explanation: "A push was sent.".to_owned(),
    };
    rehearsal.tell(Event::Accepted { call, pending });
    assert_eq!(rehearsal.state, after);
    assert_eq!(rehearsal.path(), ["verify_mfa"]);
}

#[test]
fn an_approval_that_comes_after_the_time_out_changes_nothing() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    let call = rehearsal.called().call;
    rehearsal.tell(Event::Answered {
        call: call.clone(),
        result: result(Outcome::Timeout),
    });
    rehearsal.called();
    let asking_the_manager = rehearsal.state.clone();
    rehearsal.tell(Event::Answered {
        call: call.clone(),
        result: verified(),
    });
    rehearsal.tell(Event::Signalled {
        call,
        operation: OperationId::fresh(),
        result: verified(),
    });
    assert_eq!(rehearsal.state, asking_the_manager);
}

/// Up to the reset.
fn verified_rehearsal() -> Rehearsal {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    rehearsal.answers(verified());
    rehearsal
}

#[test]
fn a_crash_during_a_call_makes_the_very_same_call_again_within_its_deadline() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    rehearsal.now += Duration::from_secs(59);
    let stored = serde_json::to_string(&rehearsal.state).unwrap();
    rehearsal.state = serde_json::from_str(&stored).unwrap();
    assert_eq!(rehearsal.called(), first);
}

#[test]
fn a_crash_that_outlasts_the_deadline_asks_afresh_in_the_same_visit_and_spends_nothing() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    rehearsal.now += Duration::from_hours(1);
    let again = rehearsal.called();
    assert_eq!(
        (again.call.visit, again.call.attempt),
        (1, 2),
        "another body needs another key"
    );
    assert_eq!(again.permit, first.permit);
    assert_eq!(again.deadline, rehearsal.now + Duration::from_mins(1));
    assert_eq!(rehearsal.state.phase().attempt().unwrap().failures, 0);
    rehearsal.tell(Event::Answered {
        call: again.call,
        result: reset(),
    });
    assert_eq!(rehearsal.path(), ["verify_mfa", "reset_password"]);
}

#[test]
fn failures_are_tried_again_with_backoff_and_the_same_permit_and_then_followed() {
    let mut rehearsal = verified_rehearsal();
    let mut waits = Vec::new();
    let mut call = rehearsal.called();
    for attempt in 1..=3 {
        assert_eq!((call.call.attempt, call.call.visit), (attempt, 1));
        assert_eq!(call.permit, Some(PermitToken::from_text("permit")));
        rehearsal.tell(Event::Answered {
            call: call.call.clone(),
            result: result(Outcome::Failure),
        });
        if attempt < 3 {
            waits.push(rehearsal.state.due_at().unwrap() - rehearsal.now);
            rehearsal.now = rehearsal.state.due_at().unwrap();
            call = rehearsal.calls(Event::TimerFired);
        }
    }
    assert_eq!(waits, [time::Duration::seconds(2), time::Duration::seconds(4)]);
    assert_eq!(
        rehearsal.path(),
        ["verify_mfa", "reset_password", "escalate_reset_failed"]
    );
}

#[test]
fn a_refusal_is_certain_and_not_tried_again() {
    let mut rehearsal = verified_rehearsal();
    let call = rehearsal.called().call;
    rehearsal.tell(Event::Refused {
        call,
        explanation: "The permit ran out.".to_owned(),
    });
    assert_eq!(
        rehearsal.path(),
        ["verify_mfa", "reset_password", "escalate_reset_failed"]
    );
}

#[test]
fn an_outage_costs_patience_and_no_attempt() {
    let mut rehearsal = verified_rehearsal();
    let mut last = rehearsal.called();
    for hour in 1..=20 {
        let away = Event::OutsideAway {
            call: last.call.clone(),
            retry_after: Some(Duration::from_mins(10)),
            explanation: "The directory does not answer.".to_owned(),
        };
        rehearsal.tell(away);
        assert_eq!(rehearsal.state.status(), ExecutionStatus::Waiting);
        assert_eq!(
            rehearsal.state.due_at(),
            Some(rehearsal.now + Duration::from_mins(10))
        );
        rehearsal.now = START + Duration::from_secs(3600 * hour);
        let again = rehearsal.calls(Event::TimerFired);
        assert_eq!(
            again.deadline,
            rehearsal.now + Duration::from_mins(1),
            "a fresh deadline"
        );
        assert_eq!(
            (again.call.visit, again.call.attempt),
            (1, last.call.attempt + 1),
            "needs a fresh key, in the same visit"
        );
        let spent = rehearsal.state.phase().attempt().map(|attempt| attempt.failures);
        assert_eq!(spent, Some(0), "no attempt is spent");
        last = again;
    }
    rehearsal.tell(Event::Answered {
        call: last.call,
        result: reset(),
    });
    assert_eq!(rehearsal.path(), ["verify_mfa", "reset_password"]);
}

#[test]
fn an_outage_longer_than_the_budget_ends_with_a_person() {
    let mut rehearsal = verified_rehearsal();
    let call = rehearsal.called().call;
    rehearsal.now = START + Duration::from_secs(24 * 3600 - 5);
    let away = Event::OutsideAway {
        call,
        retry_after: None,
        explanation: "Away.".to_owned(),
    };
    rehearsal.tell(away);
    assert_eq!(rehearsal.state.due_at(), Some(START + Duration::from_hours(24)));
    rehearsal.wait();
    // Nobody knows for certain what became of a reset that was asked for, so it is taken back first.
    let undo = rehearsal.called();
    assert_eq!(undo.call.id.as_str(), "reset_password.undo");
    rehearsal.tell(Event::Answered {
        call: undo.call,
        result: StepResult::new(Outcome::Success, "There was nothing to take back."),
    });
    let Phase::Ended {
        ending: Ending::Escalated { reason },
        ..
    } = rehearsal.state.phase()
    else {
        panic!("{:?}", rehearsal.state);
    };
    assert!(reason.contains("time budget"), "{reason}");
}

#[test]
fn what_is_parked_asks_again_as_soon_as_the_outside_is_back_and_spends_no_attempt() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    rehearsal.tell(Event::OutsideAway {
        call: first.call.clone(),
        retry_after: Some(Duration::from_mins(1)),
        explanation: "The directory does not answer.".to_owned(),
    });
    assert_eq!(rehearsal.commanded(Event::Claimed), [], "too early by itself");
    let second = rehearsal.calls(Event::OutsideBack);
    assert_eq!(second.call.attempt, 2);
    assert_eq!(
        rehearsal.commanded(Event::OutsideBack),
        [],
        "it is told of a call that is out"
    );
    let attempt = rehearsal.state.phase().attempt().unwrap();
    assert_eq!(attempt.failures, 0);
}

#[test]
fn a_service_that_cannot_be_reached_gets_the_same_call_until_its_deadline_and_then_a_fresh_one() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    rehearsal.tell(Event::Unreached {
        call: first.call.clone(),
        retry_after: None,
    });
    rehearsal.now = rehearsal.state.due_at().unwrap();
    assert_eq!(rehearsal.calls(Event::TimerFired), first);

    rehearsal.now = first.deadline;
    rehearsal.tell(Event::Unreached {
        call: first.call.clone(),
        retry_after: None,
    });
    rehearsal.now = rehearsal.state.due_at().unwrap();
    let second = rehearsal.calls(Event::TimerFired);
    assert_eq!(second.call.attempt, 2, "another body needs another key");
    let Some(attempt) = rehearsal.state.phase().attempt() else {
        panic!("{:?}", rehearsal.state);
    };
    assert_eq!(attempt.failures, 0, "no attempt is spent");
}

#[test]
fn a_service_that_says_when_to_come_back_is_not_asked_before() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    let told = |seconds| Event::Unreached {
        call: first.call.clone(),
        retry_after: Some(Duration::from_secs(seconds)),
    };
    // Within the deadline it is the same call.
    rehearsal.tell(told(8));
    rehearsal.now = rehearsal.state.due_at().unwrap();
    let waited = (rehearsal.now - START).as_seconds_f64();
    assert!((8.0..=10.0).contains(&waited), "waited {waited} s");
    assert_eq!(rehearsal.calls(Event::TimerFired), first);

    // The deadline would pass meanwhile: it is parked, and costs no attempt.
    rehearsal.tell(told(300));
    let asked = rehearsal.now + Duration::from_mins(5);
    assert_eq!(rehearsal.state.due_at(), Some(asked));
    assert!(matches!(rehearsal.state.phase(), Phase::Parked { .. }));
    rehearsal.now = asked;
    let second = rehearsal.calls(Event::TimerFired);
    assert_eq!((second.call.visit, second.call.attempt), (1, 2));
    let spent = rehearsal.state.phase().attempt().map(|attempt| attempt.failures);
    assert_eq!(spent, Some(0));
}

#[test]
fn those_that_could_not_be_reached_do_not_all_come_back_at_the_same_moment() {
    for retry_after in [None, Some(Duration::from_secs(8))] {
        let due = [0.0, 0.5, 1.0].map(|chance| {
            let mut rehearsal = verified_rehearsal();
            rehearsal.chance = chance;
            let call = rehearsal.called().call;
            rehearsal.tell(Event::Unreached { call, retry_after });
            rehearsal.state.due_at()
        });
        assert!(due.is_sorted() && due[0] < due[1] && due[1] < due[2], "{due:?}");
    }
}

#[test]
fn that_a_call_got_no_usable_answer_is_on_record_once_however_often_it_is_repeated() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    for _ in 0..5 {
        rehearsal.tell(Event::Unanswered {
            call: first.call.clone(),
        });
        rehearsal.now = rehearsal.state.due_at().unwrap();
        assert_eq!(rehearsal.calls(Event::TimerFired), first);
    }
    let unanswered = |rehearsal: &Rehearsal| {
        let story = rehearsal.story.iter();
        story
            .filter(|record| matches!(record, Record::Unanswered { .. }))
            .count()
    };
    assert_eq!(unanswered(&rehearsal), 1);
    // The next attempt is another call.
    rehearsal.now = first.deadline;
    let call = first.call;
    rehearsal.tell(Event::Unanswered { call });
    rehearsal.now = rehearsal.state.due_at().unwrap();
    let second = rehearsal.calls(Event::TimerFired);
    rehearsal.tell(Event::Unanswered { call: second.call });
    assert_eq!(unanswered(&rehearsal), 2);
}

#[test]
fn a_lost_answer_is_asked_for_with_the_same_key_and_once_more_after_the_deadline() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    rehearsal.tell(Event::Unanswered {
        call: first.call.clone(),
    });
    rehearsal.now = rehearsal.state.due_at().unwrap();
    assert_eq!(rehearsal.calls(Event::TimerFired), first);

    let mut rehearsal = verified_rehearsal();
    let mut call = rehearsal.called();
    for (attempt, failures) in [(2, 0), (3, 1)] {
        rehearsal.now = call.deadline;
        rehearsal.tell(Event::Unanswered { call: call.call });
        rehearsal.now = rehearsal.state.due_at().unwrap();
        call = rehearsal.calls(Event::TimerFired);
        assert_eq!(call.call.attempt, attempt);
        assert_eq!(rehearsal.state.phase().attempt().unwrap().failures, failures);
    }
}

#[test]
fn rubbish_at_once_is_asked_again_until_the_deadline_and_then_the_attempt_is_spent() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    let mut asked = 0;
    loop {
        rehearsal.tell(Event::Unanswered {
            call: first.call.clone(),
        });
        rehearsal.now = rehearsal.state.due_at().unwrap();
        let next = rehearsal.calls(Event::TimerFired);
        if next.call != first.call {
            assert_eq!(next.call.attempt, 2);
            break;
        }
        assert_eq!(next, first, "the same key and body");
        assert!(rehearsal.now < first.deadline);
        asked += 1;
    }
    assert!(asked > 1, "{asked}");
    let Some(attempt) = rehearsal.state.phase().attempt() else {
        panic!("{:?}", rehearsal.state);
    };
    assert_eq!(attempt.failures, 1);
}

#[test]
fn a_call_whose_caller_died_past_its_deadline_goes_on_as_a_further_attempt_and_the_story_says_so() {
    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    rehearsal.now = first.deadline;
    let second = rehearsal.calls(Event::Claimed);
    assert_eq!(second.call.attempt, 2, "another body needs another key");
    let last_two = &rehearsal.story[rehearsal.story.len() - 2..];
    assert!(
        matches!(
            last_two,
            [Record::Renewed { call }, Record::Began { call: began, .. }]
                if *call == second.call && *began == second.call
        ),
        "{last_two:?}"
    );
}

#[test]
fn a_success_without_its_permit_or_its_credential_does_not_count() {
    let mut rehearsal = Rehearsal::of(SHIPPED);
    rehearsal.answers(result(Outcome::Success));
    assert_eq!(rehearsal.state.step().unwrap().as_str(), "verify_manager");
    rehearsal.answers(verified());
    rehearsal.answers(result(Outcome::Success));
    // It says that it was done: what it made is taken back before a person takes over.
    assert_eq!(rehearsal.called().call.id.as_str(), "reset_password.undo");
    rehearsal.answers(result(Outcome::Success));
    assert_eq!(rehearsal.path().last().unwrap(), "escalate_reset_failed");
}

#[test]
fn what_an_earlier_call_may_have_done_is_taken_back_though_the_last_one_did_nothing() {
    let refused = |call: &Call| Event::Refused {
        call: call.call.clone(),
        explanation: "The directory refuses.".to_owned(),
    };
    let mut certain = verified_rehearsal();
    let call = certain.called();
    certain.tell(refused(&call));
    assert_eq!(certain.path().last().unwrap(), "escalate_reset_failed");
    assert!(!certain.reason().contains("not known"), "{}", certain.reason());

    let mut rehearsal = verified_rehearsal();
    let first = rehearsal.called();
    rehearsal.answer(&first, result(Outcome::Timeout));
    rehearsal.wait();
    let second = rehearsal.called();
    assert_eq!((second.call.visit, second.call.attempt), (1, 2));
    rehearsal.tell(refused(&second));
    assert_eq!(rehearsal.called().call.id.as_str(), "reset_password.undo");
    rehearsal.answers(result(Outcome::Success));
    let reason = rehearsal.reason();
    assert!(
        reason.ends_with("was done by an earlier attempt is not known."),
        "{reason}"
    );
}

#[test]
fn an_outcome_that_nobody_wrote_an_edge_for_ends_with_a_person() {
    let mut rehearsal = verified_rehearsal();
    rehearsal.answers(result(Outcome::Word("sideways".to_owned())));
    assert_eq!(rehearsal.path(), ["verify_mfa", "reset_password", "-"]);
    assert_eq!(rehearsal.state.status(), ExecutionStatus::Escalated);
}

#[test]
fn the_house_may_shorten_a_time_out_and_never_lengthens_it() {
    for (longest, expected) in [(30, 30), (9000, 300)] {
        let mut rehearsal = Rehearsal::of(SHIPPED);
        rehearsal.rules.longest =
            [("verification.mfa".parse().unwrap(), Duration::from_secs(longest))].into();
        assert_eq!(rehearsal.called().deadline, START + Duration::from_secs(expected));
    }
}

#[test]
fn a_step_is_entered_as_often_as_its_bound_allows() {
    let mut rehearsal = Rehearsal::of(
        "name: t\nversion: \"1\"\nsteps:\n- {id: ask, service: verification.mfa, max_visits: 2, on_success: done, on_failure: ask}\n- {id: done, type: terminal, status: RESOLVED}\n",
    );
    for visit in 1..=2 {
        let call = rehearsal.called().call;
        assert_eq!(call.visit, visit);
        rehearsal.tell(Event::Answered {
            call,
            result: result(Outcome::Failure),
        });
    }
    assert_eq!(rehearsal.path(), ["ask", "ask", "-"]);
}

#[test]
fn an_answer_to_a_call_that_was_never_made_is_illegal() {
    let rehearsal = Rehearsal::of(SHIPPED);
    let machine = Machine::new(&rehearsal.playbook, &rehearsal.rules, &rehearsal.facts);
    for (id, visit) in [
        ("verify_mfa", 2),
        ("verify_mfa", 0),
        ("reset_password", 1),
        ("nowhere", 1),
    ] {
        let call = StepCall {
            id: id.parse().unwrap(),
            visit,
            attempt: 1,
        };
        let event = Event::Answered {
            call,
            result: verified(),
        };
        let refused = machine
            .apply(rehearsal.state.clone(), event, Moment::at(START))
            .unwrap_err();
        assert_eq!((refused.phase, refused.event), ("ready", "answered"));
    }
}
