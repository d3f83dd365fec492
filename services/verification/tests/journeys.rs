//! Both ways of proof, and questions, through the service's doors: real database, simulated Entra, Teams and Twilio.

mod approver;
mod away;
mod hiccups;
mod house;
mod questions;
mod renewal;
mod retention;
mod tokens;
mod tripwires;

use std::time::Duration;

use common::client::PeerError;
use common::{Outcome, Service, StepAnswer};
use house::{ADELE, House, MEGAN};
use simulators::entra::Push;
use simulators::faults::{Fault, FaultKind};
use simulators::teams::{CardReaction, Choice, Form, Press, Presser, TokenFlaw};
use simulators::twilio::Reply;
use simulators::{Event, System};
use trust::Method;

const MFA: &str = "verification.mfa";
const MANAGER: &str = "verification.manager";
/// Text messages at once, for those who do not want to wait five minutes for them.
const SMS_SOON: &[(&str, &str)] = &[("APPROVAL_SMS_AFTER_S", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_push_brings_a_signal_with_a_permit_for_exactly_what_was_asked() {
    let house = House::new().await;
    let running = house.run(&[]);
    let request = house.request(MFA, ADELE);

    let pending = house.begin(&running, &request).await;
    assert_eq!(
        pending.explanation,
        "Adele Vance was asked to approve a sign-in request on their phone."
    );
    let result = house.told(&pending).await;

    assert_eq!(result.outcome, Outcome::Success);
    assert_eq!(
        result.explanation,
        "Adele Vance approved the sign-in request on their phone."
    );
    let claims = house.permit(&request, &result);
    assert_eq!((claims.method, claims.approver), (Method::MfaPush, None));
    let view = house.look(&running, &pending).await;
    assert_eq!(
        view.result,
        Some(result),
        "asked again it answers with the very same permit"
    );
    assert_eq!(
        house.orchestration.looks(),
        0,
        "who is asked at once waits for nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_silence_and_a_missing_method_are_three_different_things() {
    let house = House::new().await;
    let running = house.run(&[]);
    for (email, push, expected) in [
        (ADELE, Push::deny(), Outcome::Denied),
        ("alex@contoso.example", Push::fraud(), Outcome::Denied),
        (
            MEGAN,
            Push::no_answer().after(Duration::from_secs(1)),
            Outcome::Timeout,
        ),
        ("lynne@contoso.example", Push::no_method(), Outcome::Failure),
        (
            "isaiah@contoso.example",
            Push::success_without_true(),
            Outcome::Failure,
        ),
    ] {
        house.world.entra().push(email, push);
        let pending = house.begin(&running, &house.request(MFA, email)).await;
        let result = house.told(&pending).await;
        assert_eq!(result.outcome, expected, "{email}: {}", result.explanation);
        assert_eq!(result.permit, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_s_deadline_ends_a_push_that_nobody_answers() {
    let house = House::new().await;
    let running = house.run(&[("MFA_TIMEOUT_S", "2")]);
    house
        .world
        .entra()
        .push(ADELE, Push::approve().after(Duration::from_hours(1)));
    let pending = house.begin(&running, &house.request(MFA, ADELE)).await;
    let result = house.told(&pending).await;
    assert_eq!(result.outcome, Outcome::Timeout, "{}", result.explanation);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_directory_does_not_vouch_for_is_not_asked() {
    let house = House::new().await;
    let running = house.run(&[]);
    for (action, email, why) in [
        (
            MFA,
            "diego@contoso.example",
            "The account of Diego Siciliani is disabled.",
        ),
        (
            MANAGER,
            "diego@contoso.example",
            "The account of Diego Siciliani is disabled.",
        ),
        (
            MANAGER,
            "nestor@contoso.example",
            "The directory has no manager for Nestor Wilke.",
        ),
        (
            MANAGER,
            "joni@contoso.example",
            "The account of the manager of Joni Sherman is disabled.",
        ),
    ] {
        let result = house.refused(&running, &house.request(action, email)).await;
        assert_eq!(
            (result.outcome, result.explanation.as_str()),
            (Outcome::Failure, why)
        );
    }
    let mut stranger = house.request(MFA, ADELE);
    stranger.subject.user_id = "00000000-0000-4000-8000-000000000000".parse().unwrap();
    let result = house.refused(&running, &stranger).await;
    assert_eq!(
        result.explanation,
        "The requester was not found in the directory."
    );
    assert!(house.world.teams().cards().is_empty());
    assert_eq!(house.orchestration.heard(), [], "the answer was the result");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_it_is_the_same_operation_and_one_push() {
    let house = House::new().await;
    let running = house.run(&[]);
    let mut request = house.request(MFA, ADELE);
    let first = house.begin(&running, &request).await;
    assert_eq!(house.begin(&running, &request).await.operation, first.operation);
    request.step.attempt = 2;
    let answer = house.ask(&running, &request).await.unwrap();
    if let StepAnswer::Pending(again) = answer {
        assert_eq!(again.operation, first.operation);
    }
    house.told(&first).await;
    assert_eq!(house.world.entra().pushes(ADELE), 1);
    request.step.attempt = 3;
    let result = house.refused(&running, &request).await;
    assert_eq!(
        result.outcome,
        Outcome::Success,
        "once ended, asking is answered with the result"
    );
    request.step.attempt = 4;
    let other = common::StepRequest {
        subject: house.request(MFA, MEGAN).subject,
        ..request
    };
    let error = house.ask(&running, &other).await.unwrap_err();
    assert!(
        matches!(error, PeerError::Refused { ref problem, .. } if problem.code == "verification_taken"),
        "{error}"
    );
    let refused = house.refusals().await;
    assert_eq!(
        refused,
        [("verification_taken".to_owned(), Some(other.execution_id.0))]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_in_the_middle_of_a_push_one_more_follows_and_only_its_answer_counts() {
    let house = House::new().await;
    let running = house.run(&[]);
    house
        .world
        .entra()
        .push_next(ADELE, Push::approve().after(Duration::from_hours(1)));
    let request = house.request(MFA, ADELE);
    let pending = house.begin(&running, &request).await;
    house
        .wait("the push", || {
            (house.world.entra().pushes(ADELE) == 1).then_some(())
        })
        .await;
    drop(running);
    // What time would do: the dead runner's lease is over.
    sqlx::query("UPDATE verifications SET leased_until = now()")
        .execute(&house.owner)
        .await
        .unwrap();

    let _running = house.run(&[]);
    let result = house.told(&pending).await;

    assert_eq!(result.outcome, Outcome::Success);
    house.permit(&request, &result);
    assert_eq!(house.world.entra().pushes(ADELE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_in_the_middle_of_a_push_waits_for_no_lease() {
    let house = House::new().await;
    let running = house.run(&[]);
    house
        .world
        .entra()
        .push_next(ADELE, Push::deny().after(Duration::from_hours(1)));
    let pending = house.begin(&running, &house.request(MFA, ADELE)).await;
    house
        .wait("the push", || {
            (house.world.entra().pushes(ADELE) == 1).then_some(())
        })
        .await;
    running.stop().await;
    let _running = house.run(&[]);
    assert_eq!(house.told(&pending).await.outcome, Outcome::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_cost_time_and_nothing_else() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.faults(System::Entra).outage(true);
    let request = house.request(MFA, ADELE);
    let error = house.ask(&running, &request).await.unwrap_err();
    assert!(
        matches!(error, PeerError::Busy { ref code, .. } if code.as_deref() == Some("outside_unavailable")),
        "{error}"
    );
    house.world.faults(System::Entra).outage(false);
    let fault = Fault::new(FaultKind::TooManyRequests { retry_after: Some(1) })
        .on("BeginTwoWayAuthentication")
        .times(2);
    house.world.faults(System::Entra).inject(fault);
    house.orchestration.answers(503);

    let pending = house.begin_once_it_is_back(&running, &request).await;
    house.told(&pending).await;
    house.orchestration.answers(202);
    house
        .wait("an acknowledged signal", || {
            (house.orchestration.heard().len() >= 2).then_some(())
        })
        .await;

    let heard = house.orchestration.heard();
    assert!(
        heard.iter().all(|signal| *signal == heard[0]),
        "every repeat says the same: {heard:?}"
    );
    assert_eq!(heard[0].result.outcome, Outcome::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_approves_in_teams_and_the_card_loses_its_buttons() {
    let house = House::new().await;
    let running = house.run(&[]);
    let request = house.request(MANAGER, ADELE);

    let pending = house.begin(&running, &request).await;
    assert_eq!(pending.explanation, "Megan Bowen was asked in Teams to approve.");
    let result = house.told(&pending).await;

    assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
    assert_eq!(result.explanation, "Megan Bowen approved in Teams.");
    let claims = house.permit(&request, &result);
    assert_eq!(claims.method, Method::ManagerTeams);
    let megan = house.world.person(MEGAN).id.to_string();
    assert_eq!(claims.approver.map(|approver| approver.to_string()), Some(megan));
    assert!(claims.shown.is_some());
    let card = house
        .wait("the closed card", || {
            house
                .world
                .teams()
                .cards()
                .into_iter()
                .find(|card| card.updates > 0)
        })
        .await;
    assert!(card.card.to_string().contains("Action.Execute"));
    assert!(!card.current.to_string().contains("Action."), "{}", card.current);
    assert!(card.text.contains("by Megan Bowen in Teams"), "{}", card.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_who_does_not_look_gets_a_text_message_and_answers_with_its_code() {
    let house = House::new().await;
    let running = house.run(SMS_SOON);
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.teams().react(MEGAN, CardReaction::ignore());
    house.world.twilio().reply(&number, Reply::Yes);
    let request = house.request(MANAGER, ADELE);

    let pending = house.begin(&running, &request).await;
    let result = house.told(&pending).await;

    assert_eq!(result.explanation, "Megan Bowen approved by text message.");
    assert_eq!(house.permit(&request, &result).method, Method::ManagerSms);
    house
        .wait("the closed card", || {
            house
                .world
                .teams()
                .cards()
                .iter()
                .any(|card| card.updates > 0)
                .then_some(())
        })
        .await;
    let texts = house.world.twilio().inbox(&number);
    assert!(
        texts[0].body.contains("Reset the password of Adele Vance"),
        "{texts:?}"
    );
    assert!(!texts[0].body.contains("log in"), "no ticket text: {texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_a_denial_by_either_way_and_stays_one() {
    let house = House::new().await;
    let running = house.run(SMS_SOON);
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.teams().react(MEGAN, CardReaction::ignore());
    house.world.twilio().reply(&number, Reply::No);
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    let result = house.told(&pending).await;
    assert_eq!((result.outcome, result.permit), (Outcome::Denied, None));

    let card = house.card_of(MEGAN).await;
    let answer = house
        .world
        .teams()
        .press(&card, Press::new(Choice::Approve))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.body.contains("Denied") && answer.body.contains("changes nothing"),
        "{answer:?}"
    );
    let after = house.look(&running, &pending).await.result.unwrap();
    assert_eq!((after.outcome, after.permit), (Outcome::Denied, None));
    house.audited("verification.answered_late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_teams_the_text_message_goes_out_at_once() {
    let house = House::new().await;
    let running = house.run(&[("TEAMS_CATALOG_APP_ID", "")]);
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.twilio().reply(&number, Reply::Yes);
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    let result = house.told(&pending).await;
    assert_eq!(
        result.explanation, "Megan Bowen approved by text message.",
        "five minutes were not waited"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_sound_token_and_the_right_person_press_the_button() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.teams().react(MEGAN, CardReaction::ignore());
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    let card = house.card_of(MEGAN).await;
    house.audited("verification.card_sent").await;
    let before = house.audit().await;
    let press = async |change: &dyn Fn(&mut Press)| {
        let mut press = Press::new(Choice::Approve);
        change(&mut press);
        house.world.teams().press(&card, press).await
    };
    for (flaw, status) in [
        (TokenFlaw::Missing, 401),
        (TokenFlaw::WrongScheme, 401),
        (TokenFlaw::WrongAudience, 401),
        (TokenFlaw::WrongIssuer, 401),
        (TokenFlaw::EmulatorIssuer, 401),
        (TokenFlaw::ExpiredBy(360), 401),
        (TokenFlaw::NotBefore(360), 401),
        (TokenFlaw::WrongServiceUrl, 403),
        (TokenFlaw::NoServiceUrl, 403),
        (TokenFlaw::UnknownKey, 401),
        (TokenFlaw::BadSignature, 401),
        (TokenFlaw::AlgNone, 401),
        (TokenFlaw::Hs256, 401),
    ] {
        let answer = press(&|press| press.flaw = flaw).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{flaw:?}");
    }
    let mut since = house.audit().await;
    since.retain(|kind| kind != "webhook.refused");
    assert_eq!(
        since, before,
        "a bad token is refused before anything else is looked at"
    );
    for by in [
        Presser::Person(ADELE.to_owned()),
        Presser::Person("alex@contoso.example".to_owned()),
        Presser::WithoutObjectId,
        Presser::OtherTenant,
        Presser::OtherChannelTenant,
    ] {
        let answer = press(&|press| press.by = by.clone()).await;
        assert!(
            answer.status == 200 && answer.body.contains("\"statusCode\":400"),
            "{by:?}: {answer:?}"
        );
    }
    let other_card = press(&|press| press.reply_to = Some("1".to_owned())).await;
    assert!(other_card.body.contains("\"statusCode\":400"), "{other_card:?}");
    let refresh = press(&|press| press.automatic = true).await;
    assert!(refresh.body.contains("\"statusCode\":400"), "{refresh:?}");
    assert_eq!(
        house.look(&running, &pending).await.result,
        None,
        "nothing of all that counted"
    );
    house.audited("verification.attempt_refused").await;

    let sound = press(&|press| press.flaw = TokenFlaw::ExpiredBy(240)).await;
    assert_eq!(sound.status, 200, "four minutes of skew are forgiven: {sound:?}");
    assert_eq!(house.told(&pending).await.outcome, Outcome::Success);
    let again = press(&|press| press.choice = Choice::Deny).await;
    assert!(
        again.body.contains("Approved"),
        "a second press shows how it ended: {again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_s_submit_counts_too() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.teams().react(MEGAN, CardReaction::ignore());
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    let card = house.card_of(MEGAN).await;
    let mut press = Press::new(Choice::Deny);
    press.form = Form::Submit;
    let answer = house.world.teams().press(&card, press).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(house.told(&pending).await.outcome, Outcome::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_and_no_other_words_answer_by_text() {
    let house = House::new().await;
    let running = house.run(SMS_SOON);
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.teams().react(MEGAN, CardReaction::ignore());
    house.world.twilio().reply(&number, Reply::Ignore);
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    house.audited("verification.sms_sent").await;
    let text = house
        .wait("the text", || {
            house.world.twilio().inbox(&number).into_iter().next()
        })
        .await
        .body;
    let code = text.split("YES ").nth(1).unwrap()[..4].to_owned();
    let wrong = if code == "0000" { "0001" } else { "0000" };
    for (from, body) in [
        ("+447700900999", format!("YES {code}")),
        (&number, "YES".to_owned()),
        (&number, format!("YES {wrong}")),
        (&number, format!("please do not: yes {code}")),
    ] {
        assert_eq!(
            house.world.twilio().receive(from, &body).await,
            Some(200),
            "{body}"
        );
    }
    assert_eq!(house.look(&running, &pending).await.result, None);
    let said = format!("  no{code}! ");
    assert_eq!(house.world.twilio().receive(&number, &said).await, Some(200));
    assert_eq!(house.told(&pending).await.outcome, Outcome::Denied);
    let replies: Vec<String> = house
        .world
        .journal()
        .entries()
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::SmsReplied { body, .. } => Some(body),
            _ => None,
        })
        .collect();
    let seen = format!("{replies:?}");
    assert!(!seen.is_empty());
    let kept: String =
        sqlx::query_scalar("SELECT string_agg(verdict, ' ' ORDER BY received_at) FROM verification_messages")
            .fetch_one(&house.owner)
            .await
            .unwrap();
    assert_eq!(kept, "unknown unreadable wrong_code unreadable counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_twilio_did_not_sign_is_a_bare_403() {
    let house = House::new().await;
    let running = house.run(&[]);
    let url = running.base.join("webhooks/twilio/sms_response").unwrap();
    let http = common::client::http_client(Duration::from_secs(5)).unwrap();
    for signature in [None, Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")] {
        let mut post = http.post(url.clone()).form(&[
            ("From", "+447700900123"),
            ("Body", "YES 4821"),
            ("MessageSid", "SM1"),
        ]);
        if let Some(signature) = signature {
            post = post.header("X-Twilio-Signature", signature);
        }
        let answer = post.send().await.unwrap();
        assert_eq!(answer.status(), 403);
        assert_eq!(answer.text().await.unwrap(), "");
    }
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM verification_messages")
        .fetch_one(&house.owner)
        .await
        .unwrap();
    assert_eq!((stored, house.audit().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_of_another_account_is_a_bare_403_though_its_signature_is_good() {
    let house = House::new().await;
    let other = format!("AC{}", "0".repeat(32));
    let _running = house.run(&[("TWILIO_ACCOUNT_SID", &other)]);
    let received = house.world.twilio().receive("+447700900123", "YES 4821").await;
    assert_eq!(received, Some(403));
    let look = async || {
        sqlx::query_scalar::<_, String>(
            "SELECT detail ->> 'reason' FROM audit_events WHERE kind = 'webhook.refused'",
        )
        .fetch_optional(&house.owner)
        .await
        .unwrap()
    };
    let reason = launcher::testing::seen_within(house::PATIENCE, look).await;
    assert_eq!(reason.as_deref(), Some("another_account"));
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM verification_messages")
        .fetch_one(&house.owner)
        .await
        .unwrap();
    assert_eq!(stored, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_orchestration_may_ask() {
    let house = House::new().await;
    let running = house.run(&[]);
    let request = house.request(MFA, ADELE);
    for service in [
        Service::Executor,
        Service::Delivery,
        Service::Classifier,
        Service::Playbook,
    ] {
        let error = house
            .client(&running, service)
            .perform("/api/v1/verification/mfa", &request)
            .await
            .unwrap_err();
        assert!(
            matches!(error, PeerError::Refused { ref problem, .. } if problem.status == 403),
            "{service}: {error}"
        );
    }
    let bare = reqwest::Client::builder().build().unwrap();
    let url = running.base.join("api/v1/verification/mfa").unwrap();
    assert_eq!(bare.post(url).json(&request).send().await.unwrap().status(), 401);
    let mut elsewhere = house.request(MFA, ADELE);
    elsewhere.subject.tenant_id = "another".parse().unwrap();
    let error = house.ask(&running, &elsewhere).await.unwrap_err();
    assert!(
        matches!(error, PeerError::Refused { ref problem, .. } if problem.code == "step_misdirected"),
        "{error}"
    );
    let refused = house.refusals().await;
    assert_eq!(
        refused,
        [("step_misdirected".to_owned(), None)],
        "another tenant's execution is none of ours"
    );
    assert_eq!(house.world.entra().pushes(ADELE), 0);
}
