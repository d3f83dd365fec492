//! What people answer, and what only looks like their answer.

use launcher::testing::TestFleet;
use simulators::Event;
use simulators::entra::Push;
use simulators::teams::{CardReaction, CardView, Choice, Form, Press, Presser, TokenFlaw};

use crate::attacks::assert_on_record;
use crate::{
    ADELE, ALEX, MEGAN, SOON, assert_no_effect, assert_one_pass_delivered, automation, fleet_with, number_of,
    texts_to,
};

/// A fleet in which Alex's ticket waits for Megan, who has the card before her and has pressed nothing.
async fn waiting_for_megan(settings: &[(&str, &str)]) -> (TestFleet, i64, CardView) {
    let mut all = vec![("APPROVAL_SMS_AFTER_S", "600"), ("APPROVAL_TIMEOUT_S", "600")];
    all.extend_from_slice(settings);
    let fleet = fleet_with(&all).await;
    fleet.world().entra().push(ALEX, Push::no_method());
    fleet.world().teams().react(MEGAN, CardReaction::ignore());
    let ticket = fleet.file_ticket(ALEX, "I can't log in");
    fleet
        .world()
        .journal()
        .wait_for(SOON, |event| matches!(event, Event::CardShown { .. }))
        .await
        .unwrap();
    let card = fleet.world().teams().cards().remove(0);
    (fleet, ticket, card)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_with_a_flawed_token_is_refused_and_decides_nothing() {
    let (fleet, ticket, card) = waiting_for_megan(&[]).await;
    for flaw in [
        TokenFlaw::Missing,
        TokenFlaw::WrongScheme,
        TokenFlaw::WrongAudience,
        TokenFlaw::WrongIssuer,
        TokenFlaw::EmulatorIssuer,
        TokenFlaw::ExpiredBy(360),
        TokenFlaw::NotBefore(360),
        TokenFlaw::WrongServiceUrl,
        TokenFlaw::NoServiceUrl,
        TokenFlaw::UnknownKey,
        TokenFlaw::BadSignature,
        TokenFlaw::AlgNone,
        TokenFlaw::Hs256,
    ] {
        let press = Press {
            flaw,
            ..Press::new(Choice::Approve)
        };
        let answer = fleet.world().teams().press(&card, press).await;
        assert!(
            matches!(answer.status, 401 | 403),
            "{flaw:?} was answered {}: {}",
            answer.status,
            answer.body
        );
        assert!(answer.body.is_empty(), "vendors get the bare status");
    }
    assert_no_effect(&fleet, ALEX);
    let refused = [
        "token_issuer",
        "token_audience",
        "token_expired",
        "service_url_differs",
    ];
    assert_on_record(&fleet, &refused.map(|why| ("webhook.refused", why))).await;

    // A clock that is four minutes off is forgiven, as the contract asks.
    let press = Press {
        flaw: TokenFlaw::ExpiredBy(240),
        ..Press::new(Choice::Approve)
    };
    assert_eq!(fleet.world().teams().press(&card, press).await.status, 200);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ALEX);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_manager_who_was_asked_can_approve() {
    let (fleet, ticket, card) = waiting_for_megan(&[]).await;
    for by in [
        Presser::Person(ALEX.into()),
        Presser::Person(ADELE.into()),
        Presser::WithoutObjectId,
        Presser::OtherTenant,
        Presser::OtherChannelTenant,
    ] {
        for form in [Form::Execute, Form::Submit] {
            let press = Press {
                by: by.clone(),
                form,
                ..Press::new(Choice::Approve)
            };
            fleet.world().teams().press(&card, press).await;
        }
    }
    let automatic = Press {
        automatic: true,
        ..Press::new(Choice::Approve)
    };
    fleet.world().teams().press(&card, automatic).await;
    let strange = Press {
        verb: Some("firstline.approval.grant_everything".into()),
        ..Press::new(Choice::Approve)
    };
    fleet.world().teams().press(&card, strange).await;
    assert_no_effect(&fleet, ALEX);
    let view = fleet.execution(ticket).await.unwrap();
    assert_eq!(
        view.current_step.unwrap().id.as_str(),
        "verify_manager",
        "it still waits"
    );

    let answer = fleet.world().teams().press(&card, Press::new(Choice::Deny)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");
    // Denied, then approved: the first answer stands.
    let answer = fleet
        .world()
        .teams()
        .press(&card, Press::new(Choice::Approve))
        .await;
    assert_eq!(answer.status, 200, "the presser is told that it has been decided");
    assert_no_effect(&fleet, ALEX);
    let refused = ["wrong_person", "is_requester", "wrong_tenant", "nobody"];
    assert_on_record(&fleet, &refused.map(|why| ("verification.attempt_refused", why))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_that_comes_twice_counts_once_in_either_client() {
    for form in [Form::Execute, Form::Submit] {
        let (fleet, ticket, card) = waiting_for_megan(&[]).await;
        let press = Press {
            form,
            ..Press::new(Choice::Approve)
        };
        let (first, second) = tokio::join!(
            fleet.world().teams().press(&card, press.clone()),
            fleet.world().teams().press(&card, press)
        );
        assert_eq!((first.status, second.status), (200, 200), "{form:?}");
        assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
        assert_one_pass_delivered(&fleet, ALEX);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_counts_with_its_code_and_from_its_number_only() {
    let (fleet, ticket, _) = waiting_for_megan(&[("APPROVAL_SMS_AFTER_S", "1")]).await;
    let is_question =
        |event: &Event| matches!(event, Event::SmsReceived { body, .. } if body.contains("YES"));
    fleet.world().journal().wait_for(SOON, is_question).await.unwrap();
    let question = texts_to(&fleet, MEGAN).remove(0);
    let code = question
        .split_once("YES ")
        .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        .unwrap();
    assert!(code.len() >= 4, "the code is in the text: {question}");
    let number = |email: &str| number_of(&fleet, email);
    let wrong = if code == "0000" { "1111" } else { "0000" };
    for (from, body) in [
        (number(MEGAN), "YES".to_owned()),
        (number(MEGAN), format!("YES {wrong}")),
        (number(ALEX), format!("YES {code}")),
        (number(ADELE), format!("YES {code}")),
        (number(MEGAN), "what is this?".to_owned()),
        (number(MEGAN), String::new()),
    ] {
        let status = fleet.world().twilio().receive(&from, &body).await;
        assert_eq!(status, Some(200), "politely answered");
    }
    assert_no_effect(&fleet, ALEX);
    let taken = ["unreadable", "wrong_code", "unknown"];
    assert_on_record(
        &fleet,
        &taken.map(|verdict| ("verification.sms_received", verdict)),
    )
    .await;
    assert_eq!(
        fleet
            .execution(ticket)
            .await
            .unwrap()
            .current_step
            .unwrap()
            .id
            .as_str(),
        "verify_manager"
    );

    assert_eq!(
        fleet
            .world()
            .twilio()
            .receive(&number(MEGAN), &format!("  yes{code}. "))
            .await,
        Some(200)
    );
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "resolved");
    assert_one_pass_delivered(&fleet, ALEX);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_its_time_changes_nothing() {
    let (fleet, ticket, card) = waiting_for_megan(&[("APPROVAL_TIMEOUT_S", "2")]).await;
    assert_eq!(automation(&fleet.wait_for_end(ticket).await), "escalated");
    let answer = fleet
        .world()
        .teams()
        .press(&card, Press::new(Choice::Approve))
        .await;
    assert_eq!(answer.status, 200, "the manager is told, not left with an error");
    assert_no_effect(&fleet, ALEX);
    assert_on_record(&fleet, &[("verification.answered_late", "approve")]).await;
    assert_eq!(
        automation(&fleet.world().halo().ticket(ticket).unwrap()),
        "escalated"
    );
}
