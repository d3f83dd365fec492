//! While nobody can be asked because the outside is away, the time of a step does not run; for a while.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is no test")]

mod late;

use common::Outcome;
use launcher::testing::until;
use simulators::System;
use simulators::faults::{Fault, FaultKind};
use simulators::teams::CardReaction;
use simulators::twilio::Reply;

use crate::approver::how_it_stands;
use crate::house::{ADELE, House, MEGAN};
use crate::{MANAGER, MFA};

/// What time would do: that of every step is over.
async fn time_passes(house: &House) {
    sqlx::query("UPDATE verifications SET deadline = now() WHERE state = 'open'")
        .execute(&house.owner)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_cannot_be_sent_waits_for_the_connector_and_not_for_the_deadline() {
    let house = House::new().await;
    let running = house.run(&[]);
    let away = Fault::new(FaultKind::Status(503)).on("BeginTwoWayAuthentication");
    let away = house.world.faults(System::Entra).inject(away);
    let request = house.request(MFA, ADELE);
    let pending = house.begin(&running, &request).await;
    house.audited("verification.postponed").await;
    time_passes(&house).await;
    assert_eq!(
        how_it_stands(&house, &running, &pending).await,
        "outside_unavailable"
    );
    assert_eq!(house.orchestration.heard(), [], "nothing has ended");
    house.world.faults(System::Entra).lift(away);
    let result = house.told(&pending).await;
    assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
    house.permit(&request, &result);
    assert_eq!(house.world.entra().pushes(ADELE), 1);
    assert!(house.orchestration.looks() > 0, "it was asked whether it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_whom_nothing_reaches_has_all_their_time_once_something_does() {
    let house = House::new().await;
    let running = house.run(&[("APPROVAL_SMS_AFTER_S", "1")]);
    let number = house.world.person(MEGAN).e164().unwrap();
    house.world.teams().react(MEGAN, CardReaction::ignore());
    house.world.twilio().reply(&number, Reply::Ignore);
    for system in [System::Teams, System::Twilio] {
        house
            .world
            .faults(system)
            .inject(Fault::new(FaultKind::TooManyRequests { retry_after: Some(1) }));
    }
    let request = house.request(MANAGER, ADELE);
    let pending = house.begin(&running, &request).await;
    house.audited("verification.postponed").await;
    time_passes(&house).await;
    // Between two tries; during one, nobody knows yet whether she is being asked.
    until("nothing that reaches her", async || {
        how_it_stands(&house, &running, &pending).await == "outside_unavailable"
    })
    .await;
    assert_eq!(house.orchestration.heard(), [], "nothing has ended");
    house.world.faults(System::Twilio).lift_all();
    house.audited("verification.sms_sent").await;
    assert_eq!(
        how_it_stands(&house, &running, &pending).await,
        "operation_postponed",
        "she has been asked, and has her time"
    );
    let text = house
        .wait("the text", || {
            house.world.twilio().inbox(&number).into_iter().next()
        })
        .await
        .body;
    let code = &text.split("YES ").nth(1).unwrap()[..4];
    let yes = house
        .world
        .twilio()
        .receive(&number, &format!("YES {code}"))
        .await;
    assert_eq!(yes, Some(200));
    let result = house.told(&pending).await;
    assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
    let shown: String = sqlx::query_scalar("SELECT shown ->> 'expires' FROM verifications")
        .fetch_one(&house.owner)
        .await
        .unwrap();
    assert!(
        text.contains(&shown),
        "what is on record is what she read: {text}"
    );
    house.permit(&request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_outside_for_ever() {
    let house = House::new().await;
    let running = house.run(&[("OUTSIDE_PATIENCE_S", "4000")]);
    let away = Fault::new(FaultKind::Status(503)).on("BeginTwoWayAuthentication");
    house.world.faults(System::Entra).inject(away);
    let pending = house.begin(&running, &house.request(MFA, ADELE)).await;
    house.audited("verification.postponed").await;
    let as_set: bool =
        sqlx::query_scalar("SELECT latest = asked_at + interval '4000 seconds' FROM verifications")
            .fetch_one(&house.owner)
            .await
            .unwrap();
    assert!(as_set);
    // What four thousand seconds would do, between two tries.
    until("a moment between two tries", async || {
        let passed = sqlx::query(
            "UPDATE verifications
             SET deadline = now(), moved_deadline = now(), latest = now(), push_at = now(), wake_at = now()
             WHERE NOT push_open AND leased_until IS NULL",
        )
        .execute(&house.owner)
        .await
        .unwrap();
        passed.rows_affected() == 1
    })
    .await;
    sqlx::query("SELECT pg_notify('verification', '')")
        .execute(&house.owner)
        .await
        .unwrap();
    let result = house.told(&pending).await;
    assert_eq!(
        (result.outcome, result.explanation.as_str()),
        (
            Outcome::Timeout,
            "Adele Vance could not be asked in time: the sign-in request service did not answer, or another request was on \
             their phone."
        )
    );
}
