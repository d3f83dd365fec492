//! What could not be asked while the outside was away is not asked once nobody waits for the answer any more.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is no test")]

use common::Outcome;
use launcher::testing::until;
use simulators::System;
use simulators::faults::{Fault, FaultKind};
use simulators::teams::CardReaction;
use simulators::twilio::Reply;

use crate::house::{ADELE, House, MEGAN, Stand};
use crate::questions::where_she_is;
use crate::{MANAGER, MFA};

/// Nobody could be asked, and nobody is being asked at this moment: what changes now is seen by the next try.
async fn between_two_tries(house: &House) {
    house.audited("verification.postponed").await;
    until("a moment between two tries", async || {
        let waits: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM verifications
             WHERE state = 'open' AND moved_deadline IS NOT NULL AND leased_until IS NULL AND NOT push_open
                AND COALESCE(card, 'due') = 'due'",
        )
        .fetch_one(&house.owner)
        .await
        .unwrap();
        waits == 1
    })
    .await;
}

/// How the verification ended, as the audit has it.
async fn on_record(house: &House) -> (String, String) {
    sqlx::query_as(
        "SELECT detail->>'outcome', detail->>'reason' FROM audit_events WHERE kind = 'verification.ended'",
    )
    .fetch_one(&house.owner)
    .await
    .unwrap()
}

fn as_words(record: &(String, String)) -> (&str, &str) {
    (&record.0, &record.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_on_their_phone_for_a_ticket_that_was_over_before_the_connector_came_back() {
    for stand in [Stand::Ended, Stand::LeftTheStep, Stand::Gone] {
        let house = House::new().await;
        let running = house.run(&[]);
        let away = Fault::new(FaultKind::Status(503)).on("BeginTwoWayAuthentication");
        let away = house.world.faults(System::Entra).inject(away);
        let pending = house.begin(&running, &house.request(MFA, ADELE)).await;
        between_two_tries(&house).await;
        house.orchestration.executions(stand);
        house.world.faults(System::Entra).lift(away);
        let result = house.told(&pending).await;
        assert_eq!(
            (&result.outcome, result.explanation.as_str()),
            (
                &Outcome::Timeout,
                "The step was over before Adele Vance could be asked; nobody was asked."
            ),
            "{stand:?}"
        );
        assert_eq!(result.permit, None);
        assert_eq!(house.world.entra().pushes(ADELE), 0, "{stand:?}");
        assert_eq!(as_words(&on_record(&house).await), ("timed_out", "called_off"));
        let view = house.look(&running, &pending).await;
        assert_eq!(view.result, Some(result), "the row can be read again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_card_or_a_text_for_a_ticket_that_was_over_before_teams_came_back() {
    for asks_a_manager in [true, false] {
        let house = House::new().await;
        let running = house.run(&[("APPROVAL_SMS_AFTER_S", "1")]);
        for system in [System::Teams, System::Twilio] {
            let away = Fault::new(FaultKind::TooManyRequests { retry_after: Some(1) });
            house.world.faults(system).inject(away);
        }
        let (request, whom) = if asks_a_manager {
            (house.request(MANAGER, ADELE), "Megan Bowen")
        } else {
            (where_she_is(&house), "Adele Vance")
        };
        let pending = house.begin(&running, &request).await;
        between_two_tries(&house).await;
        house.orchestration.executions(Stand::Ended);
        for system in [System::Teams, System::Twilio] {
            house.world.faults(system).lift_all();
        }
        let result = house.told(&pending).await;
        assert_eq!(
            result.explanation,
            format!("The step was over before {whom} could be asked; nobody was asked.")
        );
        assert_eq!(as_words(&on_record(&house).await), ("timed_out", "called_off"));
        assert!(house.world.teams().cards().is_empty());
        let number = house.world.person(MEGAN).e164().unwrap();
        assert!(house.world.twilio().inbox(&number).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_who_has_a_card_gets_no_text_once_the_ticket_is_over_and_the_card_loses_its_buttons() {
    let house = House::new().await;
    let running = house.run(&[("APPROVAL_SMS_AFTER_S", "3600")]);
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.teams().react(MEGAN, CardReaction::ignore());
    house.world.twilio().reply(&number, Reply::Ignore);
    let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
    house.audited("verification.card_sent").await;
    assert_eq!(house.orchestration.looks(), 0, "she was asked at once");
    house.orchestration.executions(Stand::Ended);
    // What a minute would do: the text is due.
    until("nobody works on it", async || {
        let due = "UPDATE verifications
            SET asked_at = asked_at - interval '1 minute', sms_at = now(), wake_at = now()
            WHERE card = 'sent' AND leased_until IS NULL";
        let passed = sqlx::query(due).execute(&house.owner).await.unwrap();
        passed.rows_affected() == 1
    })
    .await;
    sqlx::query("SELECT pg_notify('verification', '')")
        .execute(&house.owner)
        .await
        .unwrap();
    let result = house.told(&pending).await;
    assert_eq!(
        result.explanation,
        "The step was over before Megan Bowen answered; nobody was asked again."
    );
    assert_eq!(as_words(&on_record(&house).await), ("timed_out", "overtaken"));
    assert!(house.world.twilio().inbox(&number).is_empty());
    let closed = house
        .wait("a card without buttons", || {
            let cards = house.world.teams().cards();
            cards.into_iter().find(|card| card.updates == 1)
        })
        .await;
    assert!(closed.text.contains("No longer needed"), "{}", closed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_orchestration_does_not_say_whether_it_is_over_nobody_is_asked_and_nothing_ends() {
    let house = House::new().await;
    let running = house.run(&[]);
    let away = Fault::new(FaultKind::Status(503)).on("BeginTwoWayAuthentication");
    let away = house.world.faults(System::Entra).inject(away);
    let request = house.request(MFA, ADELE);
    let pending = house.begin(&running, &request).await;
    between_two_tries(&house).await;
    house.orchestration.executions(Stand::Unknown);
    house.world.faults(System::Entra).lift(away);
    let looks = house.orchestration.looks();
    until("two looks in vain", async || {
        house.orchestration.looks() >= looks + 2
    })
    .await;
    assert_eq!(house.world.entra().pushes(ADELE), 0);
    assert_eq!(house.orchestration.heard(), [], "nothing has ended");
    house.orchestration.executions(Stand::Wait);
    let result = house.told(&pending).await;
    assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
    house.permit(&request, &result);
    assert_eq!(house.world.entra().pushes(ADELE), 1);
}
