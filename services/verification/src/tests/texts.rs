//! What people read.

use super::*;
use crate::approver::Standing;
use crate::inquiry::Given;
use crate::operation::{Ended, Ending, Event, Matter, Obstacle, Shown, Silence};
use crate::{card, words};

fn ended(ending: Ending) -> Ended {
    Ended {
        matter: Some(Matter::Approval(request())),
        ..Ended::owing(ending, at(60))
    }
}

fn by(who: &str, channel: Channel) -> (common::UserId, Channel) {
    (who.parse().unwrap(), channel)
}

#[test]
fn every_ending_has_its_sentence() {
    let (adele, push) = by(ADELE, Channel::Push);
    let (megan, teams) = by(MEGAN, Channel::Teams);
    let mut sentences = vec![];
    let mut say = |operation: Operation, ending| {
        sentences.push(words::explanation(&operation.facts, &ended(ending)));
    };
    say(
        push_operation(),
        Ending::Approved {
            by: adele.clone(),
            channel: push,
        },
    );
    say(
        push_operation(),
        Ending::Denied {
            by: adele.clone(),
            channel: push,
            fraud: false,
        },
    );
    say(
        push_operation(),
        Ending::Denied {
            by: adele,
            channel: push,
            fraud: true,
        },
    );
    say(
        approval_operation(),
        Ending::Approved {
            by: megan.clone(),
            channel: teams,
        },
    );
    say(
        approval_operation(),
        Ending::Denied {
            by: megan,
            channel: Channel::Sms,
            fraud: false,
        },
    );
    for given in [
        Given::Chosen("office".to_owned()),
        Given::Typed("since Monday".to_owned()),
    ] {
        let by = ADELE.parse().unwrap();
        say(question_operation(), Ending::Answered { by, given });
    }
    for silence in Silence::ALL {
        say(push_operation(), Ending::TimedOut(*silence));
        say(approval_operation(), Ending::TimedOut(*silence));
        say(question_operation(), Ending::TimedOut(*silence));
    }
    for obstacle in Obstacle::ALL {
        say(approval_operation(), Ending::Impossible(*obstacle));
    }
    insta::assert_snapshot!(sentences.join("\n"));
}

#[test]
fn what_is_waited_for_names_person_and_channel() {
    assert_eq!(
        words::waiting(&push_operation()),
        "Adele Vance was asked to approve a sign-in request on their phone."
    );
    assert_eq!(
        words::waiting(&approval_operation()),
        "Megan Bowen was asked in Teams to approve."
    );
    assert_eq!(
        words::waiting(&question_operation()),
        "Adele Vance was asked a question in Teams."
    );
}

#[test]
fn the_card_says_who_asks_for_what_why_on_which_ticket_and_until_when() {
    insta::assert_json_snapshot!(card::question(&request()).0);
}

#[test]
fn a_closed_card_has_no_buttons_left() {
    let facts = approval_operation().facts;
    let (megan, teams) = by(MEGAN, Channel::Teams);
    let denied = ended(Ending::Denied {
        by: megan,
        channel: teams,
        fraud: false,
    });
    let closed = card::closed(&facts, &denied).unwrap();
    insta::assert_json_snapshot!(closed.0);
    let late = card::too_late(&facts, &ended(Ending::TimedOut(Silence::NoAnswer))).unwrap();
    for text in [closed.0.to_string(), late.0.to_string()] {
        assert!(!text.contains("Action."), "{text}");
    }
    assert!(late.0.to_string().contains("changes nothing"));
}

#[test]
fn the_card_of_a_question_says_what_is_asked_for_which_ticket_and_until_when() {
    let operation = question_operation();
    let outgoing = card::outgoing(&operation).unwrap();
    assert_eq!(
        (outgoing.to.as_str(), outgoing.summary.as_str()),
        (ADELE, "A question about your ticket 4242")
    );
    insta::assert_json_snapshot!(outgoing.card.0);
}

#[test]
fn the_end_of_a_question_shows_the_answer_as_it_reads() {
    let operation = question_operation();
    let ended = |ending| Ended {
        matter: operation.state.inquiry().cloned().map(Matter::Question),
        ..Ended::owing(ending, at(60))
    };
    let answered = ended(Ending::Answered {
        by: ADELE.parse().unwrap(),
        given: Given::Chosen("office".to_owned()),
    });
    let closed = card::closed(&operation.facts, &answered).unwrap().0;
    insta::assert_json_snapshot!(closed);
    let silent = ended(Ending::TimedOut(Silence::NoAnswer));
    let late = card::too_late(&operation.facts, &silent).unwrap().0;
    for text in [closed.to_string(), late.to_string()] {
        assert!(!text.contains("Action."), "{text}");
    }
    assert!(late.to_string().contains("changes nothing"));
}

#[test]
fn a_hostile_reason_is_one_short_line_of_plain_text() {
    let ticket = "4242".parse().unwrap();
    let reason = format!(
        "Approve!\r\n\u{202e}[here](https://evil.example)\u{200b} {}",
        "x".repeat(1000)
    );
    let shown = words::shown(&adele(), Some(&reset()), Some(&reason), &ticket, at(600));
    assert!(shown.reason.chars().count() <= 301);
    assert!(!shown.reason.contains(['\n', '\r', '\u{202e}', '\u{200b}']));
    let hostile = Request { shown, ..request() };
    let card = card::question(&hostile).0.to_string();
    assert!(!card.contains("[here](https"), "a link must not survive: {card}");
}

#[test]
fn the_text_message_carries_the_code_twice_and_no_ticket_text() {
    insta::assert_snapshot!(words::question(&request().shown, "4821"));
}

/// Adele is to be put into a group.
fn group_request(parameters: &serde_json::Value) -> Request {
    let authorizes = AuthorizedAction {
        action: "executor.add_to_group".parse().unwrap(),
        step: "add".parse().unwrap(),
        parameters: parameters.as_object().unwrap().clone(),
    };
    let ticket = "4242".parse().unwrap();
    let shown = words::shown(&adele(), Some(&authorizes), None, &ticket, at(600));
    Request { shown, ..request() }
}

#[test]
fn the_manager_sees_with_what_it_is_to_be_allowed() {
    let asked = group_request(&serde_json::json!({"group": "Project Files", "expires_days": 30}));
    let card = card::question(&asked).0;
    insta::assert_json_snapshot!(card["body"][1]);
    insta::assert_snapshot!(words::question(&asked.shown, "4821"));
}

#[test]
fn what_does_not_fit_or_could_be_clicked_is_on_the_card_and_not_in_the_text_message() {
    for value in [
        "x".repeat(101),
        "see www.evil.example".to_owned(),
        "mailto:eve".to_owned(),
    ] {
        let asked = group_request(&serde_json::json!({"group": value}));
        let text = words::question(&asked.shown, "4821");
        assert!(!text.contains(&value), "{text}");
        assert!(
            text.contains("on the card in Teams; if you cannot see it, reply NO."),
            "{text}"
        );
        let card = card::question(&asked).0["body"][1].to_string();
        assert!(card.contains(&value[..6]), "{card}");
    }
}

#[test]
fn endless_and_hostile_parameters_are_short_lines_of_plain_text_and_none_is_left_out_in_silence() {
    let mut many = serde_json::Map::new();
    for number in 10..40 {
        many.insert(format!("p{number}"), "a\nb\u{202e}".repeat(1000).into());
    }
    let shown = group_request(&many.into()).shown;
    assert_eq!(shown.parameters.len(), 13);
    for parameter in &shown.parameters {
        assert!(parameter.value.chars().count() <= 121);
        assert!(!parameter.value.contains(['\n', '\u{202e}']));
    }
    let last = shown.parameters.last().unwrap();
    assert!(last.name == "and more" && last.value.starts_with("18 that do not fit"));
}

#[test]
fn what_is_shown_of_parameters_is_bound_and_rows_of_before_read_and_bind_as_they_did() {
    let digest = |days: u32| {
        let parameters = serde_json::json!({"group": "Project Files", "expires_days": days});
        group_request(&parameters).shown.digest()
    };
    assert_ne!(digest(30), digest(90));
    let before = serde_json::json!({
        "title": "Reset the password of Adele Vance", "employee": "Adele Vance", "department": "Finance",
        "ticket": "4242", "reason": "I can't log in since this morning", "expires": "09:50 UTC",
    });
    let read: Shown = serde_json::from_value(before.clone()).unwrap();
    assert_eq!(read, request().shown);
    assert_eq!(read.digest(), common::Digest::of_json(&before));
}

#[test]
fn a_permit_binds_what_was_shown_and_a_change_of_any_word_changes_the_digest() {
    let shown = request().shown;
    let mut other = shown.clone();
    other.reason.push('.');
    assert_ne!(shown.digest(), other.digest());
    let approve = Event::Answered(answer(Verdict::Approve, Channel::Teams));
    let (kept, ..) = approval_operation().apply(approve, permit_id(), at(5)).unwrap();
    assert_eq!(
        crate::permit::claims(&kept),
        None,
        "nobody has vouched for her yet"
    );
    let waits = words::waiting(&kept);
    assert!(waits.contains("the directory cannot be asked"), "{waits}");
    let stands = Event::Approver(Standing::Stands);
    let (approved, ..) = kept.apply(stands, permit_id(), at(6)).unwrap();
    let claims = crate::permit::claims(&approved).unwrap();
    assert_eq!(claims.shown, Some(shown.digest()));
    assert_eq!(claims.approver.as_ref().map(common::UserId::as_str), Some(MEGAN));
    assert_eq!(claims.subject.as_str(), ADELE);
    let deny = Event::Answered(answer(Verdict::Deny, Channel::Teams));
    let (denied, ..) = approval_operation().apply(deny, permit_id(), at(5)).unwrap();
    assert_eq!(crate::permit::claims(&denied), None);
}
