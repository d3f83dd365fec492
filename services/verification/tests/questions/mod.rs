//! Questions to the requester through the service's doors: the card, the answers that count, those that do not.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::time::Duration;

use common::client::PeerError;
use common::{Outcome, Service, StepRequest, StepResult};
use launcher::testing::step_request;
use serde_json::{Value, json};
use simulators::teams::{CardReaction, CardView, Choice, Form, Press, PressAnswer, Presser};
use time::OffsetDateTime;

use crate::house::{ADELE, House, MEGAN};

const ASK: &str = "verification.ask";

/// Where Adele is working from.
pub(crate) fn where_she_is(house: &House) -> StepRequest {
    let choices = json!({"office": "In the office", "home": "At home or on the road"});
    asking(
        house,
        &json!({"question": "Where are you working from?", "choices": choices}),
    )
}

fn asking(house: &House, parameters: &Value) -> StepRequest {
    let user = house.world.person(ADELE).id.to_string();
    StepRequest {
        parameters: parameters.as_object().unwrap().clone(),
        ..step_request("where", ASK, &user)
    }
}

/// Her card once it was replaced.
async fn closed_card(house: &House) -> CardView {
    let closed = |card: &CardView| card.email == ADELE && card.updates > 0;
    house
        .wait("the closed card", || {
            house.world.teams().cards().into_iter().find(closed)
        })
        .await
}

async fn press(house: &House, card: &CardView, choice: Choice) -> PressAnswer {
    house.world.teams().press(card, Press::new(choice)).await
}

fn pick(title: &str) -> Choice {
    Choice::Pick(title.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_comes_back_as_its_word_and_the_card_shows_it_without_buttons() {
    let house = House::new().await;
    let running = house.run(&[]);
    house
        .world
        .teams()
        .react(ADELE, CardReaction::pick("In the office"));
    let request = where_she_is(&house);

    let pending = house.begin(&running, &request).await;
    assert_eq!(pending.explanation, "Adele Vance was asked a question in Teams.");
    let result = house.told(&pending).await;

    assert_eq!(result.outcome, Outcome::from("office"));
    assert_eq!(Value::Object(result.output.clone()), json!({"answer": "office"}));
    assert_eq!((&result.permit, &result.sealed), (&None, &None));
    let card = closed_card(&house).await;
    assert!(card.card.to_string().contains("Action.Execute"));
    assert!(!card.current.to_string().contains("Action."), "{}", card.current);
    assert!(card.text.contains("You answered: In the office"), "{}", card.text);
    let view = house.look(&running, &pending).await;
    assert_eq!(view.result, Some(result), "asked again it answers alike");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_told_so_and_the_question_stays_open() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.teams().react(ADELE, CardReaction::ignore());
    for (kind, unfit, words, fit) in [
        ("date", "yesterday", "date", "2026-11-20"),
        ("number", "many", "number", "12.5"),
        ("text", &"x".repeat(501), "500 characters", "the scanner"),
    ] {
        let mut request = asking(&house, &json!({"question": "Which one?", "answer": kind}));
        request.step.id = format!("ask_{kind}").parse().unwrap();
        let before = house.world.teams().cards().len();
        let pending = house.begin(&running, &request).await;
        let card = house
            .wait("the card", || house.world.teams().cards().into_iter().nth(before))
            .await;
        let told = press(&house, &card, Choice::Type(unfit.to_owned())).await;
        assert!(
            told.status == 200 && told.seen.contains(words),
            "{kind}: {told:?}"
        );
        assert_eq!(house.look(&running, &pending).await.result, None, "{kind}");
        let taken = press(&house, &card, Choice::Type(fit.to_owned())).await;
        assert_eq!(taken.seen, "card", "{taken:?}");
        let result = house.told(&pending).await;
        assert_eq!(result.outcome, Outcome::Success);
        assert_eq!(Value::Object(result.output), json!({ "answer": fit }));
    }
    let recorded = house.audit().await;
    let refused = recorded
        .iter()
        .filter(|kind| *kind == "verification.attempt_refused");
    assert_eq!(refused.count(), 3, "{recorded:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_choices_are_a_list_and_an_old_client_picks_from_it_too() {
    let house = House::new().await;
    let running = house.run(&[]);
    house
        .world
        .teams()
        .react(ADELE, CardReaction::pick("Printer 7").by_submit());
    let choices: serde_json::Map<String, Value> = (1..=9)
        .map(|n| (format!("p{n}"), json!(format!("Printer {n}"))))
        .collect();
    let request = asking(&house, &json!({"question": "Which printer?", "choices": choices}));
    let pending = house.begin(&running, &request).await;
    assert_eq!(house.told(&pending).await.outcome, Outcome::from("p7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_person_who_was_asked_answers_and_only_once() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.teams().react(ADELE, CardReaction::ignore());
    let pending = house.begin(&running, &where_she_is(&house)).await;
    let card = house.card_of(ADELE).await;
    house.audited("verification.card_sent").await;
    for by in [
        Presser::Person(MEGAN.to_owned()),
        Presser::WithoutObjectId,
        Presser::OtherTenant,
        Presser::OtherChannelTenant,
    ] {
        for form in [Form::Execute, Form::Submit] {
            let press = Press {
                by: by.clone(),
                form,
                ..Press::new(pick("In the office"))
            };
            assert_eq!(house.world.teams().press(&card, press).await.status, 200);
        }
    }
    let other_card = Press {
        reply_to: Some("1".to_owned()),
        ..Press::new(pick("In the office"))
    };
    house.world.teams().press(&card, other_card).await;
    let approve = Press {
        verb: Some("firstline.approval.approve".to_owned()),
        ..Press::new(pick("In the office"))
    };
    house.world.teams().press(&card, approve).await;
    assert_eq!(
        house.look(&running, &pending).await.result,
        None,
        "nothing of all that counted"
    );
    house.audited("verification.attempt_refused").await;

    press(&house, &card, pick("In the office")).await;
    assert_eq!(house.told(&pending).await.outcome, Outcome::from("office"));
    let again = press(&house, &card, pick("At home or on the road")).await;
    assert!(
        again.body.contains("In the office") && again.body.contains("changes nothing"),
        "{again:?}"
    );
    let after = house.look(&running, &pending).await.result.unwrap();
    assert_eq!(after.outcome, Outcome::from("office"));
    house.audited("verification.answered_late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_time_out_when_the_step_says_so_and_no_sooner() {
    let house = House::new().await;
    // Rules for approvals are none for questions.
    let running = house.run(&[("APPROVAL_TIMEOUT_S", "1"), ("MFA_TIMEOUT_S", "1")]);
    house.world.teams().react(ADELE, CardReaction::ignore());
    let mut request = where_she_is(&house);
    request.deadline = OffsetDateTime::now_utc() + Duration::from_hours(48);
    let pending = house.begin(&running, &request).await;
    let view = house.look(&running, &pending).await;
    assert!(
        (view.deadline - request.deadline).abs() < time::Duration::seconds(1),
        "{view:?}"
    );
    house.audited("verification.card_sent").await;
    // What two days would do.
    sqlx::query("UPDATE verifications SET deadline = now(), wake_at = now()")
        .execute(&house.owner)
        .await
        .unwrap();
    sqlx::query("SELECT pg_notify('verification', '')")
        .execute(&house.owner)
        .await
        .unwrap();

    let result = house.told(&pending).await;

    assert_eq!(result.outcome, Outcome::Timeout);
    assert_eq!(
        result.explanation,
        "Adele Vance did not answer the question in time."
    );
    let card = closed_card(&house).await;
    assert!(card.text.contains("Expired without an answer"), "{}", card.text);
    let late = press(&house, &card, pick("In the office")).await;
    assert!(late.body.contains("changes nothing"), "{late:?}");
    let after = house.look(&running, &pending).await.result.unwrap();
    assert_eq!(after.outcome, Outcome::Timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_asked_fails_the_step_with_words() {
    let house = House::new().await;
    let running = house.run(&[("TEAMS_CATALOG_APP_ID", "")]);
    let pending = house.begin(&running, &where_she_is(&house)).await;
    let refused = house.told(&pending).await;
    assert_eq!(refused.outcome, Outcome::Failure);
    assert!(refused.explanation.contains("bot"), "{}", refused.explanation);

    let about = |user: &str| StepRequest {
        subject: step_request("where", ASK, user).subject,
        ..where_she_is(&house)
    };
    let diego = house.world.person("diego@contoso.example").id.to_string();
    for (user, why) in [
        (diego.as_str(), "The account of Diego Siciliani is disabled."),
        (
            "00000000-0000-4000-8000-000000000000",
            "The requester was not found in the directory.",
        ),
    ] {
        let mut request = about(user);
        request.step.visit = if user == diego { 2 } else { 3 };
        let StepResult {
            outcome, explanation, ..
        } = house.refused(&running, &request).await;
        assert_eq!((outcome, explanation.as_str()), (Outcome::Failure, why));
    }
    assert!(house.world.teams().cards().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_in_the_middle_of_a_question_loses_nothing() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.teams().react(ADELE, CardReaction::ignore());
    let pending = house.begin(&running, &where_she_is(&house)).await;
    house.audited("verification.card_sent").await;
    running.stop().await;
    let _running = house.run(&[]);
    let card = house.card_of(ADELE).await;
    press(&house, &card, pick("At home or on the road")).await;
    assert_eq!(house.told(&pending).await.outcome, Outcome::from("home"));
    assert_eq!(house.world.teams().cards().len(), 1, "it was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_refused_before_anybody_is_asked() {
    let house = House::new().await;
    let running = house.run(&[]);
    let refusal = async |request: &StepRequest| match house
        .client(&running, Service::Orchestration)
        .perform("/api/v1/verification/ask", request)
        .await
    {
        Err(PeerError::Refused { problem, .. }) => (problem.status, problem.code),
        other => panic!("{other:?}"),
    };
    let unanswerable = asking(&house, &json!({"question": "Which one?"}));
    assert_eq!(refusal(&unanswerable).await, (422, "no_question".to_owned()));
    let authorizing = StepRequest {
        authorizes: house.request(ASK, ADELE).authorizes,
        ..where_she_is(&house)
    };
    assert_eq!(
        refusal(&authorizing).await,
        (422, "step_misdirected".to_owned()),
        "an answer allows nothing"
    );
    let refused: Vec<String> = house.refusals().await.into_iter().map(|(code, _)| code).collect();
    assert_eq!(refused, ["no_question", "step_misdirected"]);
    assert!(house.world.teams().cards().is_empty());
}
