//! Who may press which card.

use connectors::teams::inbound::{Activity, Kind, Press, parse};
use serde_json::{Value, json};

use super::*;
use crate::approver::Standing;
use crate::inquiry::{Given, Unfit};
use crate::operation::{Ending, Event};
use crate::posting::{Card, CardReport};
use crate::press::{Proof, Refusal, judge, judge_reply};

fn pressed() -> Value {
    json!({
        "type": "invoke", "name": "adaptiveCard/action", "id": "f:5d1c", "channelId": "msteams",
        "serviceUrl": "https://smba.example/emea/",
        "from": {"id": "29:1bSn", "name": "Megan", "aadObjectId": MEGAN},
        "recipient": {"id": "28:bot"},
        "conversation": {"conversationType": "personal", "tenantId": DIRECTORY, "id": "a:1megan"},
        "channelData": {"tenant": {"id": DIRECTORY}},
        "replyToId": "1772443412345",
        "value": {"trigger": "manual", "action": {"type": "Action.Execute", "verb": "firstline.approval.approve",
            "data": {"approvalId": "apr_AAAAAAAAAAAAAAAAAAAAAA"}}}
    })
}

fn read(body: &Value) -> (Activity, Press) {
    let activity = parse(body.to_string().as_bytes()).unwrap();
    let Kind::Press(press) = activity.kind.clone() else {
        panic!("{:?} is no press", activity.kind)
    };
    (activity, press)
}

fn asked_in_teams() -> Operation {
    let (asked, ..) = approval_operation()
        .apply(Event::Woken, permit_id(), START)
        .unwrap();
    let sent = Event::Card(CardReport::Sent(card_message()));
    asked.apply(sent, permit_id(), START).unwrap().0
}

fn judged(body: &Value, operation: &Operation) -> Result<Answer, Refusal> {
    let (activity, press) = read(body);
    judge(&press, &activity, &proof(), DIRECTORY, operation)
}

fn proof() -> Proof {
    Proof {
        audience: "bot".to_owned(),
        key: "k1".to_owned(),
    }
}

fn with(path: &str, value: Value) -> Value {
    let mut body = pressed();
    *body.pointer_mut(path).unwrap() = value;
    body
}

#[test]
fn the_manager_who_was_asked_may_press() {
    let answer = judged(&pressed(), &asked_in_teams()).unwrap();
    assert_eq!((answer.verdict, answer.by.as_str()), (Verdict::Approve, MEGAN));
    assert_eq!(answer.channel, Channel::Teams);
    let deny = with("/value/action/verb", "firstline.approval.deny".into());
    assert_eq!(judged(&deny, &asked_in_teams()).unwrap().verdict, Verdict::Deny);
}

#[test]
fn everybody_else_is_refused_for_the_first_reason_that_applies() {
    let other = "aaaaaaaa-0000-4000-8000-000000000000";
    for (what, body, expected) in [
        (
            "another tenant",
            {
                let mut body = with("/conversation/tenantId", other.into());
                body["channelData"]["tenant"]["id"] = other.into();
                body
            },
            Refusal::WrongTenant,
        ),
        (
            "two tenants",
            with("/conversation/tenantId", other.into()),
            Refusal::WrongTenant,
        ),
        ("nobody", with("/from/aadObjectId", Value::Null), Refusal::Nobody),
        (
            "somebody else",
            with("/from/aadObjectId", other.into()),
            Refusal::WrongPerson,
        ),
        (
            "the requester",
            with("/from/aadObjectId", ADELE.into()),
            Refusal::IsRequester,
        ),
        ("another card", with("/replyToId", "1".into()), Refusal::WrongCard),
        ("no card", with("/replyToId", Value::Null), Refusal::WrongCard),
        (
            "another conversation",
            with("/conversation/id", "a:other".into()),
            Refusal::WrongCard,
        ),
    ] {
        assert_eq!(judged(&body, &asked_in_teams()), Err(expected), "{what}");
    }
}

#[test]
fn an_automatic_refresh_is_no_press() {
    let activity = parse(with("/value/trigger", "automatic".into()).to_string().as_bytes()).unwrap();
    assert!(!matches!(activity.kind, Kind::Press(_)), "{:?}", activity.kind);
}

#[test]
fn before_a_card_was_sent_no_press_counts() {
    assert_eq!(judged(&pressed(), &approval_operation()), Err(Refusal::WrongCard));
}

#[test]
fn a_card_may_be_pressed_before_we_have_recorded_where_it_lies() {
    let (sending, ..) = approval_operation()
        .apply(Event::Woken, permit_id(), START)
        .unwrap();
    let answer = judged(&pressed(), &sending).unwrap();
    let (kept, ..) = sending
        .apply(Event::Answered(answer), permit_id(), at(1))
        .unwrap();
    let stands = Event::Approver(Standing::Stands);
    let (after, ..) = kept.apply(stands, permit_id(), at(1)).unwrap();
    let ended = after.state.ended().unwrap();
    assert_eq!(
        ended.open_card.as_ref().map(|(card, _)| card),
        Some(&card_message()),
        "it will lose its buttons"
    );
}

#[test]
fn a_twin_of_the_card_may_be_pressed_only_where_one_can_exist() {
    let (sending, ..) = approval_operation()
        .apply(Event::Woken, permit_id(), START)
        .unwrap();
    let (lost, ..) = sending
        .apply(Event::Card(CardReport::Lost), permit_id(), at(1))
        .unwrap();
    let (again, ..) = lost.apply(Event::Woken, permit_id(), at(5)).unwrap();
    let sent = Event::Card(CardReport::Sent(card_message()));
    let (twice, ..) = again.apply(sent, permit_id(), at(6)).unwrap();
    assert!(judged(&with("/replyToId", "1".into()), &twice).is_ok());
    let State::Approval(approval) = &twice.state else {
        panic!()
    };
    assert!(matches!(approval.posting.card, Card::Sent(_)));
}

#[test]
fn a_second_press_and_a_press_after_the_end_change_nothing() {
    let operation = asked_in_teams();
    let deny = judged(
        &with("/value/action/verb", "firstline.approval.deny".into()),
        &operation,
    )
    .unwrap();
    let (denied, ..) = operation
        .apply(Event::Answered(deny), permit_id(), at(10))
        .unwrap();
    let approve = judged(&pressed(), &denied).unwrap();
    let (after, ..) = denied
        .clone()
        .apply(Event::Answered(approve), permit_id(), at(11))
        .unwrap();
    assert_eq!(after, denied);
    let late = judged(&pressed(), &asked_in_teams()).unwrap();
    let (expired, ..) = asked_in_teams()
        .apply(Event::Answered(late), permit_id(), at(600))
        .unwrap();
    assert!(matches!(
        expired.state.ended().unwrap().ending,
        Ending::TimedOut(_)
    ));
    assert_eq!(expired.permit, None);
}

/// Adele answers `answer` on the card that she was sent.
fn replied(answer: &str) -> Value {
    let mut body = with("/from/aadObjectId", ADELE.into());
    body["value"]["action"]["verb"] = "firstline.question.answer".into();
    body["value"]["action"]["data"] = json!({"questionId": "qst_AAAAAAAAAAAAAAAAAAAAAA", "answer": answer});
    body
}

fn question_in_teams() -> Operation {
    let (asked, ..) = question_operation()
        .apply(Event::Woken, permit_id(), START)
        .unwrap();
    let sent = Event::Card(CardReport::Sent(card_message()));
    asked.apply(sent, permit_id(), START).unwrap().0
}

fn judged_reply(body: &Value, operation: &Operation) -> Result<Reply, Refusal> {
    let activity = parse(body.to_string().as_bytes()).unwrap();
    let Kind::Reply(reply) = activity.kind.clone() else {
        panic!("{:?} is no answer", activity.kind)
    };
    judge_reply(&reply, &activity, &proof(), DIRECTORY, operation)
}

#[test]
fn the_requester_who_was_asked_may_answer_with_what_was_offered() {
    let reply = judged_reply(&replied("2"), &question_in_teams()).unwrap();
    assert_eq!(
        (reply.given, reply.by.as_str()),
        (Given::Chosen("office".to_owned()), ADELE)
    );
    assert_eq!(reply.card, card_message());
    for unknown in ["3", "office", ""] {
        let refused = judged_reply(&replied(unknown), &question_in_teams());
        assert_eq!(refused, Err(Refusal::Unfit(Unfit::Choice)), "{unknown:?}");
    }
}

#[test]
fn nobody_else_answers_and_no_other_card_is_answered() {
    let other = "aaaaaaaa-0000-4000-8000-000000000000";
    let changed = |path: &str, value: Value| {
        let mut body = replied("1");
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    for (what, body, expected) in [
        (
            "two tenants",
            changed("/conversation/tenantId", other.into()),
            Refusal::WrongTenant,
        ),
        (
            "nobody",
            changed("/from/aadObjectId", Value::Null),
            Refusal::Nobody,
        ),
        (
            "the manager",
            changed("/from/aadObjectId", MEGAN.into()),
            Refusal::WrongPerson,
        ),
        (
            "another card",
            changed("/replyToId", "1".into()),
            Refusal::WrongCard,
        ),
        ("no card", changed("/replyToId", Value::Null), Refusal::WrongCard),
    ] {
        assert_eq!(judged_reply(&body, &question_in_teams()), Err(expected), "{what}");
    }
    assert_eq!(
        judged_reply(&replied("1"), &question_operation()),
        Err(Refusal::WrongCard),
        "before a card was sent"
    );
}

#[test]
fn an_approval_is_not_answered_and_a_question_is_not_approved() {
    assert_eq!(judged(&pressed(), &question_in_teams()), Err(Refusal::Unknown));
    assert_eq!(
        judged_reply(&replied("1"), &asked_in_teams()),
        Err(Refusal::Unknown)
    );
}
