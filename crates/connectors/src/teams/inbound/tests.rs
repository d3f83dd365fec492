//! The contract's sample activities, and everything that must not pass for one.

use super::*;
use time::Duration;

const EXECUTE: &str = include_str!("../../../tests/data/teams-execute.json");
const SUBMIT: &str = include_str!("../../../tests/data/teams-submit.json");
const APP: &str = "3f1c2d4e-0000-4000-8000-0000000000b0";

fn claims() -> Claims {
    let claims = serde_json::json!({
        "serviceurl": "https://smba.trafficmanager.net/emea/72f9", "nbf": 1_772_443_604, "exp": 1_772_447_204,
        "iss": ISSUER, "aud": APP,
    });
    serde_json::from_value(claims).unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_772_444_000).unwrap()
}

fn teams() -> Vec<String> {
    vec!["msteams".to_owned()]
}

fn changed(change: impl FnOnce(&mut Value)) -> Activity {
    let mut activity: Value = serde_json::from_str(EXECUTE).unwrap();
    change(&mut activity);
    parse(activity.to_string().as_bytes()).unwrap()
}

#[test]
fn a_press_on_execute_is_read() {
    let activity = parse(EXECUTE.as_bytes()).unwrap();
    assert_eq!(activity.tenant_id.as_deref(), Some("72f9"));
    assert_eq!(
        activity.person.as_ref().map(UserId::as_str),
        Some("9d1e7b60-0000-4000-8000-0000000000aa")
    );
    assert_eq!(activity.reply_to_id.as_deref(), Some("1772443412345"));
    let press = Press {
        verb: Verb::Approve,
        approval_id: "apr_01JQ".to_owned(),
        comment: Some("spoke to her".to_owned()),
        form: Form::Execute,
    };
    assert_eq!(activity.kind, Kind::Press(press));
}

#[test]
fn a_press_on_submit_is_read() {
    let activity = parse(SUBMIT.as_bytes()).unwrap();
    let press = Press {
        verb: Verb::Deny,
        approval_id: "apr_01JQ".to_owned(),
        comment: None,
        form: Form::Submit,
    };
    assert_eq!(activity.kind, Kind::Press(press));
}

#[test]
fn a_refresh_and_unknown_verbs_and_names_are_no_press() {
    let refresh = changed(|activity| activity["value"]["trigger"] = "automatic".into());
    assert_eq!(refresh.kind, Kind::UnknownInvoke);
    let verb = changed(|activity| activity["value"]["action"]["verb"] = "firstline.approval.refresh".into());
    assert_eq!(verb.kind, Kind::UnknownInvoke);
    let name = changed(|activity| activity["name"] = "signin/verifyState".into());
    assert_eq!(name.kind, Kind::UnknownInvoke);
    let number = changed(|activity| activity["value"]["action"]["data"]["approvalId"] = 7.into());
    assert_eq!(number.kind, Kind::UnknownInvoke);
    assert_eq!(
        parse(br#"{"type":"conversationUpdate"}"#).unwrap().kind,
        Kind::Other
    );
    assert_eq!(
        parse(br#"{"type":"message","text":"hi"}"#).unwrap().kind,
        Kind::Other
    );
    assert_eq!(parse(b"[]").unwrap_err(), NotAnActivity);
    assert_eq!(parse(b"{").unwrap_err(), NotAnActivity);
}

#[test]
fn an_answer_to_a_question_is_read_from_either_client() {
    let data = |answer: Value| {
        changed(|activity| {
            activity["value"]["action"]["verb"] = "firstline.question.answer".into();
            activity["value"]["action"]["data"] = json!({"questionId": "qst_01JQ", "answer": answer});
        })
        .kind
    };
    let reply = |answer: &str, form| {
        Kind::Reply(Reply {
            question_id: "qst_01JQ".to_owned(),
            answer: answer.to_owned(),
            form,
        })
    };
    assert_eq!(data("2".into()), reply("2", Form::Execute));
    assert_eq!(data(12.into()), reply("12", Form::Execute));
    assert_eq!(data(Value::Null), reply("", Form::Execute), "left out");
    assert_eq!(data(json!(["2"])), Kind::UnknownInvoke);
    let mut submitted: Value = serde_json::from_str(SUBMIT).unwrap();
    submitted["value"] =
        json!({"verb": "firstline.question.answer", "questionId": "qst_01JQ", "answer": " since May "});
    let activity = parse(submitted.to_string().as_bytes()).unwrap();
    assert_eq!(activity.kind, reply(" since May ", Form::Submit));
}

#[test]
fn without_object_id_nobody_pressed_and_disagreeing_tenants_are_none() {
    let nobody = changed(|activity| activity["from"]["aadObjectId"] = Value::Null);
    assert_eq!(nobody.person, None);
    let foreign = changed(|activity| activity["channelData"]["tenant"]["id"] = "other".into());
    assert_eq!(foreign.tenant_id, None);
    let missing = changed(|activity| activity["channelData"] = json!({}));
    assert_eq!(missing.tenant_id, None);
}

#[test]
fn the_connectors_token_for_this_activity_is_authentic() {
    let activity = parse(EXECUTE.as_bytes()).unwrap();
    assert_eq!(
        authenticate(&claims(), Some(&teams()), &activity, APP, now()),
        Ok(())
    );
    assert_eq!(
        authenticate(&claims(), None, &activity, &APP.to_uppercase(), now()),
        Ok(())
    );
    let spelled: Claims = serde_json::from_value(serde_json::json!({
        "serviceUrl": "https://SMBA.trafficmanager.net/emea/72f9/", "nbf": 0, "exp": 1_772_447_204, "iss": ISSUER, "aud": APP,
    }))
    .unwrap();
    assert_eq!(authenticate(&spelled, None, &activity, APP, now()), Ok(()));
}

#[test]
fn any_claim_that_does_not_fit_is_refused() {
    let activity = parse(EXECUTE.as_bytes()).unwrap();
    let refused = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        authenticate(&claims, Some(&teams()), &activity, APP, now()).unwrap_err()
    };
    assert_eq!(
        refused(|claims| claims.iss = "https://sts.windows.net/x/".to_owned()),
        Unauthentic::Issuer
    );
    assert_eq!(
        refused(|claims| claims.aud = "other".to_owned()),
        Unauthentic::Audience
    );
    assert_eq!(
        refused(|claims| claims.serviceurl = None),
        Unauthentic::ServiceUrl
    );
    assert_eq!(
        refused(|claims| claims.serviceurl = Some("https://evil.example/".to_owned())),
        Unauthentic::ServiceUrl
    );
    assert_eq!(
        refused(|claims| claims.serviceurl = Some("https://smba.trafficmanager.net/amer/".to_owned())),
        Unauthentic::ServiceUrl
    );
    let other = ["webchat".to_owned()];
    assert_eq!(
        authenticate(&claims(), Some(&other), &activity, APP, now()),
        Err(Unauthentic::Endorsement)
    );
    let webchat = changed(|activity| activity["channelId"] = "webchat".into());
    assert_eq!(
        authenticate(&claims(), None, &webchat, APP, now()),
        Err(Unauthentic::Channel)
    );
    let nowhere = changed(|activity| activity["serviceUrl"] = Value::String(String::new()));
    assert_eq!(
        authenticate(&claims(), None, &nowhere, APP, now()),
        Err(Unauthentic::ServiceUrl)
    );
    let no_app = Claims {
        aud: String::new(),
        ..claims()
    };
    assert_eq!(
        authenticate(&no_app, None, &activity, "", now()),
        Err(Unauthentic::Audience)
    );
}

#[test]
fn clocks_may_differ_by_five_minutes_and_not_by_six() {
    let activity = parse(EXECUTE.as_bytes()).unwrap();
    let at = |second: i64, off: Duration| {
        let now = OffsetDateTime::from_unix_timestamp(second).unwrap() + off;
        authenticate(&claims(), None, &activity, APP, now)
    };
    let (begin, end) = (claims().nbf, claims().exp);
    assert_eq!(at(end, Duration::minutes(4)), Ok(()));
    assert_eq!(at(end, Duration::minutes(6)), Err(Unauthentic::Time));
    assert_eq!(at(begin, -Duration::minutes(4)), Ok(()));
    assert_eq!(at(begin, -Duration::minutes(6)), Err(Unauthentic::Time));
}

#[test]
fn an_invoke_is_answered_as_the_protocol_wants() {
    assert_eq!(
        invoke_message("Recorded")["type"],
        "application/vnd.microsoft.activity.message"
    );
    assert_eq!(
        invoke_failure("This approval has expired.")["value"]["message"],
        "This approval has expired."
    );
    assert_eq!(
        invoke_card(&Card(json!({"type": "AdaptiveCard"})))["value"]["type"],
        "AdaptiveCard"
    );
}
