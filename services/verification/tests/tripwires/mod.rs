//! Limits, freezes and people who are left to people: nobody is asked, whoever wants them to be.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use common::{ExecutionId, Outcome, StepAnswer, StepRequest};
use launcher::testing::{refusal, seen_within};
use simulators::System;
use simulators::entra::Push;
use simulators::faults::{Fault, FaultKind};
use simulators::teams::CardReaction;
use time::OffsetDateTime;

use crate::house::{ADELE, House, MEGAN, PATIENCE};
use crate::{MANAGER, MFA};

const ALEX: &str = "alex@contoso.example";

impl House {
    /// As an operator's switch stands after it.
    async fn switch_off(&self, scope: &str) {
        let tenant = if scope == "global" { "" } else { "default" };
        let off = "INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason)
             VALUES ($1, $2, '', now(), 'Grady Archie', 'Something is odd.')";
        sqlx::query(off)
            .bind(tenant)
            .bind(scope)
            .execute(&self.owner)
            .await
            .unwrap();
    }

    async fn switch_on(&self) {
        sqlx::query("DELETE FROM switches")
            .execute(&self.owner)
            .await
            .unwrap();
    }

    /// Wait until the operation that is open is as `condition` says.
    pub(crate) async fn row_is(&self, condition: &str) {
        let query = format!("SELECT id FROM verifications WHERE state = 'open' AND {condition}");
        let look = async || {
            let query = sqlx::query_scalar::<_, uuid::Uuid>(sqlx::AssertSqlSafe(query.clone()));
            query.fetch_optional(&self.owner).await.unwrap()
        };
        if seen_within(PATIENCE, look).await.is_none() {
            let row: Option<String> =
                sqlx::query_scalar("SELECT to_jsonb(v)::text FROM verifications v WHERE state = 'open'")
                    .fetch_optional(&self.owner)
                    .await
                    .unwrap();
            panic!("waited for `{condition}` in vain: {row:?}");
        }
    }

    /// Who switched the tenant off, and why.
    async fn frozen(&self) -> Option<(String, String)> {
        sqlx::query_as("SELECT off_by, reason FROM switches WHERE scope = 'tenant'")
            .fetch_optional(&self.owner)
            .await
            .unwrap()
    }
}

/// The same of another ticket.
fn of_another_ticket(request: &StepRequest) -> StepRequest {
    StepRequest {
        execution_id: ExecutionId::fresh(),
        ..request.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_people_and_new_methods_are_not_proven_by_anybody() {
    let house = House::new().await;
    let entra = house.world.entra();
    let board = entra.add_to_group("lidia@contoso.example", "Board").to_string();
    entra.set_restricted("isaiah@contoso.example", true);
    let yesterday = OffsetDateTime::now_utc() - time::Duration::DAY;
    entra.set_mobile_since("emily@contoso.example", Some(yesterday));
    entra.set_mobile_since("lee@contoso.example", None);
    let running = house.run(&[
        ("PROTECTED_USERS", "alex@contoso.example"),
        ("PROTECTED_GROUPS", &board),
    ]);
    for (email, words) in [
        (
            ALEX,
            "Alex Wilber is on the list of people whom automation must not touch",
        ),
        ("lidia@contoso.example", "Lidia Holloway is on the list of people"),
        (
            "isaiah@contoso.example",
            "Isaiah Langer has administrative rights in the directory",
        ),
        (
            "grady@contoso.example",
            "Grady Archie has administrative rights in the directory",
        ),
        (
            "debra@contoso.example",
            "Debra Berger has administrative rights in the directory",
        ),
        (
            "emily@contoso.example",
            "Emily Braun registered a phone or another sign-in method only a few days ago",
        ),
    ] {
        for action in [MFA, MANAGER] {
            let result = house.refused(&running, &house.request(action, email)).await;
            assert_eq!(result.outcome, Outcome::Failure);
            assert!(
                result.explanation.starts_with(words),
                "{email}: {}",
                result.explanation
            );
        }
        assert_eq!(house.world.entra().pushes(email), 0);
    }
    assert!(house.world.teams().cards().is_empty());
    house
        .begin(&running, &house.request(MFA, "lee@contoso.example"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_rings_no_more_often_than_it_may_whatever_redis_remembers() {
    let house = House::new().await;
    let replicas = [
        house.run(&[("PUSHES_PER_USER", "3/86400")]),
        house.run(&[("PUSHES_PER_USER", "3/86400")]),
    ];
    let request = house.request(MFA, ADELE);
    for (number, replica) in (1..=8).zip(replicas.iter().cycle()) {
        let answer = house.ask(replica, &of_another_ticket(&request)).await.unwrap();
        match answer {
            StepAnswer::Pending(pending) if number <= 3 => {
                assert_eq!(house.told(&pending).await.outcome, Outcome::Success);
            }
            StepAnswer::Done(result) if number > 3 => {
                assert_eq!(result.outcome, Outcome::Failure);
                assert!(result.explanation.contains("so many requests can be an attack"));
            }
            answer => panic!("{number}: {answer:?}"),
        }
        house.database.flush_redis().await;
    }
    assert_eq!(house.world.entra().pushes(ADELE), 3);
    house.begin(&replicas[0], &house.request(MFA, ALEX)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_reached_nobody_takes_no_further_place_when_it_is_tried_again() {
    let house = House::new().await;
    let running = house.run(&[("PUSHES_PER_USER", "2/86400")]);
    let away = Fault::new(FaultKind::Status(503)).on("BeginTwoWayAuthentication");
    let away = house.world.faults(System::Entra).inject(away);
    let request = house.request(MFA, ADELE);
    let pending = house.begin(&running, &request).await;
    house.row_is("push_attempts >= 3 AND NOT push_open").await;
    house.world.faults(System::Entra).lift(away);
    let result = house.told(&pending).await;
    assert_eq!(result.outcome, Outcome::Success, "{}", result.explanation);
    // The second has the other place, and the third none.
    let pending = house.begin(&running, &of_another_ticket(&request)).await;
    assert_eq!(house.told(&pending).await.outcome, Outcome::Success);
    let third = house.refused(&running, &of_another_ticket(&request)).await;
    assert_eq!(third.outcome, Outcome::Failure);
    assert_eq!(house.world.entra().pushes(ADELE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_prompt_to_end_finds_the_last_place_taken() {
    let house = House::new().await;
    let running = house.run(&[("PUSHES_PER_USER", "1/86400")]);
    let slow = Push::approve().after(Duration::from_secs(2));
    house.world.entra().push(ADELE, slow);
    let request = house.request(MFA, ADELE);
    let first = house.begin(&running, &request).await;
    let second = house.ask(&running, &of_another_ticket(&request)).await.unwrap();
    let result = match second {
        StepAnswer::Done(result) => result,
        StepAnswer::Pending(pending) => house.told(&pending).await,
    };
    assert_eq!(result.outcome, Outcome::Failure, "{}", result.explanation);
    assert_eq!(house.told(&first).await.outcome, Outcome::Success);
    assert_eq!(house.world.entra().pushes(ADELE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_a_no_for_whatever_else_was_asked_of_her_then() {
    let house = House::new().await;
    let running = house.run(&[]);
    house
        .world
        .entra()
        .push_next(ADELE, Push::deny().after(Duration::from_secs(2)));
    let request = house.request(MFA, ADELE);
    let first = house.begin(&running, &request).await;
    let second = house.begin(&running, &of_another_ticket(&request)).await;
    assert_eq!(house.told(&first).await.outcome, Outcome::Denied);
    let result = house.told(&second).await;
    // The playbook takes it as a no, so that her manager is not asked instead.
    assert_eq!((result.outcome, result.permit), (Outcome::Denied, None));
    assert_eq!(
        result.explanation,
        "Adele Vance said no to another request that was open at the same time, so they were not asked about this one; so \
         many requests can be an attack."
    );
    assert_eq!(house.world.entra().pushes(ADELE), 1);
    // What is asked of her afterwards is another matter.
    let third = house.begin(&running, &of_another_ticket(&request)).await;
    assert_eq!(house.told(&third).await.outcome, Outcome::Success);
    assert_eq!(house.world.entra().pushes(ADELE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_so_many_tickets_proven_and_each_of_them_as_often_as_it_takes() {
    let house = House::new().await;
    let running = house.run(&[("VELOCITY_PER_SUBJECT", "2/86400")]);
    let request = house.request(MFA, ADELE);
    for _ in 0..2 {
        let by_push = of_another_ticket(&request);
        let pending = house.begin(&running, &by_push).await;
        house.told(&pending).await;
        // The same ticket goes on to the manager.
        let mut by_manager = by_push.clone();
        by_manager.action = MANAGER.parse().unwrap();
        by_manager.step.id = "verify_manager".parse().unwrap();
        house.begin(&running, &by_manager).await;
    }
    for action in [MFA, MANAGER] {
        let mut third = of_another_ticket(&request);
        third.action = action.parse().unwrap();
        let result = house.refused(&running, &third).await;
        assert!(
            result
                .explanation
                .starts_with("Adele Vance has had as many requests in a short time"),
            "{}",
            result.explanation
        );
    }
    house.begin(&running, &house.request(MFA, ALEX)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_is_asked_no_more_often_than_they_may_be_even_by_many_at_once() {
    let house = House::new().await;
    let settings: &[(&str, &str)] = &[("VELOCITY_PER_APPROVER", "2/3600")];
    let replicas = [house.run(settings), house.run(settings)];
    house
        .world
        .teams()
        .react(MEGAN, CardReaction::approve().after(Duration::from_hours(1)));
    let people = [ADELE, ALEX, "lynne@contoso.example"];
    let requests: Vec<StepRequest> = (0..6)
        .zip(people.iter().cycle())
        .map(|(_, email)| house.request(MANAGER, email))
        .collect();
    let asked = requests
        .iter()
        .zip(replicas.iter().cycle())
        .map(|(request, replica)| house.ask(replica, request));
    let answers = futures::future::join_all(asked).await;
    let pending = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(StepAnswer::Pending(_))))
        .count();
    assert_eq!(pending, 2, "{answers:?}");
    for answer in answers {
        if let StepAnswer::Done(result) = answer.unwrap() {
            assert!(
                result
                    .explanation
                    .contains("as often in a short time as automation may ask")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_switch_is_off_nobody_is_asked_and_afterwards_the_same_request_is_good() {
    let house = House::new().await;
    let replicas = [house.run(&[]), house.run(&[])];
    for scope in ["global", "tenant"] {
        house.switch_off(scope).await;
        let request = house.request(MFA, ADELE);
        let by_manager = house.request(MANAGER, ADELE);
        let pushes = house.world.entra().pushes(ADELE);
        for replica in &replicas {
            for request in [&request, &by_manager] {
                assert_eq!(refusal(house.ask(replica, request).await), "switched_off");
            }
        }
        assert_eq!(house.world.entra().pushes(ADELE), pushes);
        assert!(house.world.teams().cards().is_empty());
        house.switch_on().await;
        let pending = house.begin(&replicas[0], &request).await;
        assert_eq!(house.told(&pending).await.outcome, Outcome::Success);
    }
    assert_eq!(
        house
            .audit()
            .await
            .iter()
            .filter(|kind| *kind == "verification.refused")
            .count(),
        8
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_phone_is_not_asked_while_a_switch_is_off_and_is_afterwards() {
    let house = House::new().await;
    let running = house.run(&[]);
    house
        .world
        .entra()
        .push_next(ADELE, Push::approve().after(Duration::from_secs(2)));
    let request = house.request(MFA, ADELE);
    let first = house.begin(&running, &request).await;
    let second = house.begin(&running, &of_another_ticket(&request)).await;
    house.switch_off("tenant").await;
    // Whoever was asked may still answer.
    assert_eq!(house.told(&first).await.outcome, Outcome::Success);
    assert_eq!(house.world.entra().pushes(ADELE), 1);
    house.switch_on().await;
    assert_eq!(house.told(&second).await.outcome, Outcome::Success);
    assert_eq!(house.world.entra().pushes(ADELE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_was_on_its_way_when_a_switch_was_put_is_not_sent_before_it_is_on_again() {
    let house = House::new().await;
    let running = house.run(&[("APPROVAL_SMS_AFTER_S", "1")]);
    house.world.teams().react(MEGAN, CardReaction::ignore());
    for scope in ["tenant", "global"] {
        let (sent, texts) = (
            house.world.teams().cards().len(),
            house.world.twilio().messages().len(),
        );
        // Teams takes its time to say where the card is to lie: the switch is put meanwhile.
        let slow = Fault::new(FaultKind::Latency(Duration::from_secs(2))).times(1);
        house.world.faults(System::Teams).inject(slow);
        let pending = house.begin(&running, &house.request(MANAGER, ADELE)).await;
        house.row_is("card = 'sending'").await;
        house.switch_off(scope).await;
        // Neither the card nor, when it is due, the text message: both will be looked at again.
        house
            .row_is("card = 'due' AND card_attempts = 0 AND cards_unconfirmed = 0")
            .await;
        house
            .row_is("sms = 'due' AND sms_at > asked_at + interval '3 seconds'")
            .await;
        assert_eq!(house.world.teams().cards().len(), sent, "{scope}");
        assert_eq!(house.world.twilio().messages().len(), texts, "{scope}");
        assert_eq!(house.look(&running, &pending).await.result, None, "{scope}");

        house.world.teams().react(MEGAN, CardReaction::approve());
        house.switch_on().await;
        let result = house.told(&pending).await;
        assert_eq!(
            result.outcome,
            Outcome::Success,
            "{scope}: {}",
            result.explanation
        );
        assert_eq!(house.world.teams().cards().len(), sent + 1, "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people_who_say_no_freeze_the_tenant_and_a_fourth_is_not_asked() {
    let house = House::new().await;
    let replicas = [
        house.run(&[("ANOMALY_DENIALS", "3/3600")]),
        house.run(&[("ANOMALY_DENIALS", "3/3600")]),
    ];
    house.world.entra().push(ADELE, Push::deny());
    house.world.entra().push(ALEX, Push::fraud());
    house.world.teams().react(MEGAN, CardReaction::deny());
    let request = house.request(MFA, ADELE);
    let (mut last, mut explanations) = (None, vec![]);
    for (request, replica) in [
        request.clone(),
        house.request(MFA, ALEX),
        house.request(MANAGER, "lynne@contoso.example"),
    ]
    .iter()
    .zip(replicas.iter().cycle())
    {
        assert_eq!(house.frozen().await, None);
        let pending = house.begin(replica, request).await;
        let result = house.told(&pending).await;
        assert_eq!(result.outcome, Outcome::Denied);
        // Asked again, it says the same.
        assert_eq!(house.look(replica, &pending).await.result, Some(result.clone()));
        explanations.push(result.explanation);
        last = Some(request.execution_id);
    }
    // The ticket that tripped it says so, and no other.
    insta::assert_snapshot!(explanations.join("\n"), @r"
    Adele Vance denied the sign-in request.
    Alex Wilber denied the sign-in request and reported it as fraud.
    Megan Bowen denied in Teams. With this, Firstline froze the whole tenant: nothing more is done until a person switches it on. Possible attack: people who were asked said that it was not them, or said no (ANOMALY_DENIALS 3/3600). Look into these tickets before switching on.
    ");
    let (by, reason) = house.frozen().await.expect("frozen with the third denial");
    assert_eq!(by, "service:verification");
    assert_eq!(
        reason,
        "Possible attack: people who were asked said that it was not them, or said no (ANOMALY_DENIALS 3/3600). Look \
         into these tickets before switching on."
    );
    let told: (String, serde_json::Value) = sqlx::query_as(
        "SELECT actor, detail FROM audit_events WHERE kind = 'switch.off' AND execution_id = $1",
    )
    .bind(last.map(|execution| execution.0))
    .fetch_one(&house.owner)
    .await
    .unwrap();
    assert_eq!(told.0, "service:verification");
    assert_eq!(told.1["alarm"], "anomaly_denials");
    for replica in &replicas {
        let fourth = house.request(MFA, "joni@contoso.example");
        assert_eq!(refusal(house.ask(replica, &fourth).await), "switched_off");
    }
    // Lifted by a person, it counts anew.
    house.switch_on().await;
    let pending = house.begin(&replicas[0], &of_another_ticket(&request)).await;
    assert_eq!(house.told(&pending).await.outcome, Outcome::Denied);
    assert_eq!(house.frozen().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_service_can_lift_what_it_froze_nor_freeze_everybody() {
    let house = House::new().await;
    for service in [common::Service::Verification, common::Service::Executor] {
        let pool = house.database.pool(service).await;
        let frozen: bool = sqlx::query_scalar("SELECT freeze_tenant('default', 'Odd.')")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(frozen, "{service}");
        let again: bool = sqlx::query_scalar("SELECT freeze_tenant('default', 'Odd.')")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(!again, "{service}");
        let (by, _) = house.frozen().await.unwrap();
        assert_eq!(by, format!("service:{service}"));
        for forbidden in [
            "DELETE FROM switches",
            "UPDATE switches SET reason = ''",
            "INSERT INTO switches VALUES ('', 'global', '', now(), 'me', 'x')",
            "SELECT freeze_tenant('', 'x')",
        ] {
            assert!(
                sqlx::query(forbidden).execute(&pool).await.is_err(),
                "{service}: {forbidden}"
            );
        }
        house.switch_on().await;
    }
    let delivery = house.database.pool(common::Service::Delivery).await;
    assert!(
        sqlx::query("SELECT freeze_tenant('default', 'x')")
            .execute(&delivery)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_further_places_under_another_name() {
    let house = House::new().await;
    let running = house.run(&[("PUSHES_PER_USER", "1/86400")]);
    let request = house.request(MFA, ADELE);
    let pending = house.begin(&running, &request).await;
    house.told(&pending).await;
    for (name, words) in [
        (ADELE.to_owned(), "The requester was not found in the directory."),
        (
            request.subject.user_id.as_str().to_uppercase(),
            "Adele Vance was asked on their phone as often",
        ),
    ] {
        let mut again = of_another_ticket(&request);
        again.subject.user_id = name.parse().unwrap();
        let result = house.refused(&running, &again).await;
        assert!(
            result.explanation.starts_with(words),
            "{name}: {}",
            result.explanation
        );
    }
    assert_eq!(house.world.entra().pushes(ADELE), 1);
}
