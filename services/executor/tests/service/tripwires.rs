//! Limits, freezes and people who are left to people: an executor that believes nobody else has looked.

#![expect(clippy::unwrap_used, reason = "a test may")]

use common::Outcome;
use common::client::PeerError;
use launcher::testing::{next_attempt, refusal, until};
use simulators::System;
use simulators::faults::{Fault, FaultKind};
use time::{Duration, OffsetDateTime};

use crate::house::{ADELE, ALEX, House};

const CREATE: &str = "temporaryAccessPassMethods";

impl House {
    /// Switch the tenant, or everything, off or on: what orchestration does for an operator.
    async fn switch(&self, scope: &str, off: bool) {
        let tenant = if scope == "global" { "" } else { "default" };
        let statement = if off {
            "INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason)
             VALUES ($1, $2, '', now(), 'Grady Archie', 'Something is odd.')"
        } else {
            "DELETE FROM switches WHERE tenant_id = $1 AND scope = $2"
        };
        sqlx::query(statement)
            .bind(tenant)
            .bind(scope)
            .execute(&self.owner)
            .await
            .unwrap();
    }

    async fn off_by(&self) -> Option<(String, String)> {
        sqlx::query_as("SELECT off_by, reason FROM switches WHERE scope = 'tenant'")
            .fetch_optional(&self.owner)
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_resets_for_one_person_in_a_day_three_are_made_whatever_redis_remembers() {
    let house = House::with(&[("VELOCITY_PER_SUBJECT", "3/86400")]).await;
    let running = house.run();
    for number in 1..=20 {
        let request = house.request(ADELE);
        let answer = house.ask(&running, &request).await;
        if number <= 3 {
            assert_eq!(answer.unwrap().outcome, Outcome::Success);
        } else {
            assert_eq!(refusal(answer), "velocity_subject");
            assert_eq!(house.audit(&request).await, ["effect.refused"]);
        }
        house.wipe_redis().await;
    }
    assert_eq!(house.world.entra().passes_created(ADELE), 3);
    house.reset(&running, ALEX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_keeps_the_permit_and_is_told_from_when_it_would_be_good() {
    let house = House::with(&[("VELOCITY_PER_SUBJECT", "1/3600")]).await;
    let running = house.run();
    house.reset(&running, ADELE).await;
    let request = house.request(ADELE);
    let refused = house.ask(&running, &request).await.unwrap_err().to_string();
    assert!(
        refused.contains("there were already 1 automated changes for this person in 1 hour")
            && refused.contains("the next is possible from"),
        "{refused}"
    );
    sqlx::query("UPDATE effect_windows SET uses = '[]'")
        .execute(&house.owner)
        .await
        .unwrap();
    let later = next_attempt(&request);
    assert_eq!(
        house.ask(&running, &later).await.unwrap().outcome,
        Outcome::Success
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_never_give_the_last_place_twice() {
    let house = House::with(&[
        ("VELOCITY_PER_SUBJECT", "3/86400"),
        ("VELOCITY_PER_TENANT", "4/86400"),
    ])
    .await;
    let replicas = [house.run(), house.run()];
    let mut requests: Vec<_> = (0..8).map(|_| house.request(ADELE)).collect();
    requests.extend((0..6).map(|_| house.request(ALEX)));
    let asked = requests
        .iter()
        .zip(replicas.iter().cycle())
        .map(|(request, replica)| house.ask(replica, request));
    let answers = futures::future::join_all(asked).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let made = |email| house.world.entra().passes_created(email);
    assert_eq!((done, made(ADELE) + made(ALEX)), (4, 4));
    assert!(made(ADELE) <= 3 && made(ALEX) <= 3);
    for answer in answers.into_iter().filter(Result::is_err) {
        let code = refusal(answer);
        assert!(
            ["velocity_subject", "velocity_tenant"].contains(&code.as_str()),
            "{code}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_phone_gets_no_more_than_its_share_whosever_it_is_and_its_number_is_nowhere() {
    let house = House::with(&[("VELOCITY_PER_DESTINATION", "2/86400")]).await;
    let running = house.run();
    let shared = house.world.person(ADELE).mobile.unwrap();
    house.world.entra().set_mobile(ALEX, Some(&shared));
    house.reset(&running, ADELE).await;
    house.reset(&running, ALEX).await;
    let third = house.request("megan@contoso.example");
    house
        .world
        .entra()
        .set_mobile("megan@contoso.example", Some(&shared));
    assert_eq!(refusal(house.ask(&running, &third).await), "velocity_destination");
    let kept: String = sqlx::query_scalar("SELECT string_agg(effect_windows::text, '') FROM effect_windows")
        .fetch_one(&house.owner)
        .await
        .unwrap();
    let digits: String = shared.chars().filter(char::is_ascii_digit).collect();
    assert!(!kept.contains(&digits) && !kept.contains(&digits[4..]), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_switch_is_off_no_replica_makes_anything_and_afterwards_the_same_permit_is_good() {
    let house = House::new().await;
    let replicas = [house.run(), house.run()];
    for scope in ["global", "tenant"] {
        let request = house.request(ADELE);
        let before = house.world.entra().passes_created(ADELE);
        house.switch(scope, true).await;
        for replica in &replicas {
            // At once: nothing had to reach them.
            let refused = house.ask(replica, &request).await;
            assert_eq!(refusal(refused), "switched_off", "{scope}");
        }
        assert_eq!(house.world.entra().passes_created(ADELE), before);
        assert_eq!(house.audit(&request).await, ["effect.refused"; 2]);
        house.switch(scope, false).await;
        let result = house.ask(&replicas[0], &request).await.unwrap();
        house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
    }
    let only_a_playbook = "INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason)
         VALUES ('default', 'playbook', 'password_reset', now(), 'Grady', 'Odd.')";
    sqlx::query(only_a_playbook).execute(&house.owner).await.unwrap();
    house.reset(&replicas[1], ADELE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_whose_actor_died_is_not_gone_on_with_while_a_switch_is_off() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    let slow = faults.inject(
        Fault::new(FaultKind::Latency(std::time::Duration::from_secs(30)))
            .on(CREATE)
            .method("POST")
            .times(1),
    );
    let request = house.request(ADELE);
    let client = house.client(&running, common::Service::Orchestration);
    let path = crate::house::path(&request);
    let asking = tokio::spawn({
        let request = request.clone();
        async move { client.perform(&path, &request).await }
    });
    // Told so by the directory itself: what was only about to be asked would be done once it is quick again.
    until("the directory is asked", async || !faults.is_armed(slow)).await;
    running.kill();
    asking.abort();
    house.let_leases_run_out().await;
    house.switch("tenant", true).await;

    let successor = house.run();
    let again = next_attempt(&request);
    assert_eq!(refusal(house.ask(&successor, &again).await), "switched_off");
    assert_eq!(house.world.entra().passes_created(ADELE), 0);
    house.switch("tenant", false).await;
    let result = house.ask_until_answered(&successor, &again).await;

    assert_eq!(house.world.entra().passes_created(ADELE), 1);
    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_that_do_not_hold_freeze_the_tenant_which_says_so_until_a_person_lifts_it() {
    let house = House::with(&[("ANOMALY_REFUSALS", "3/3600")]).await;
    let replicas = [house.run(), house.run()];
    let expired = |request: &common::StepRequest| {
        house.permit(request, |claims| {
            claims.issued = OffsetDateTime::now_utc() - Duration::minutes(11);
            claims.expires = OffsetDateTime::now_utc() - Duration::minutes(1);
        })
    };
    for _ in 0..4 {
        // Work that was parked for long is no attack.
        let mut request = house.unproven(ADELE);
        request.permit = Some(expired(&request));
        assert_eq!(refusal(house.ask(&replicas[0], &request).await), "permit_expired");
    }
    assert_eq!(house.off_by().await, None);
    let mut told = vec![];
    let mut last = house.unproven(ADELE);
    for replica in [&replicas[0], &replicas[1], &replicas[0]] {
        assert_eq!(house.off_by().await, None);
        last = house.unproven(ADELE);
        let Err(PeerError::Refused { problem, .. }) = house.ask(replica, &last).await else {
            panic!("not refused");
        };
        assert_eq!(problem.code, "permit_missing");
        told.push(problem.detail);
    }
    // The ticket that tripped it says so, and no other.
    insta::assert_snapshot!(told.join("\n"), @r"
    The step came without a permit, so nothing was reset.
    The step came without a permit, so nothing was reset.
    The step came without a permit, so nothing was reset. With this, Firstline froze the whole tenant: nothing more is done until a person switches it on. Possible attack: requests came with a proof that does not hold (ANOMALY_REFUSALS 3/3600). Look into these tickets before switching on.
    ");
    let (by, reason) = house.off_by().await.unwrap();
    assert_eq!(by, "service:executor");
    assert_eq!(
        reason,
        "Possible attack: requests came with a proof that does not hold (ANOMALY_REFUSALS 3/3600). Look into these \
         tickets before switching on."
    );
    assert_eq!(house.audit(&last).await, ["permit.refused", "switch.off"]);
    let honest = house.request(ADELE);
    assert_eq!(refusal(house.ask(&replicas[1], &honest).await), "switched_off");
    assert_eq!(house.world.entra().passes_created(ADELE), 0);

    house.switch("tenant", false).await;
    assert_eq!(
        house.ask(&replicas[1], &honest).await.unwrap().outcome,
        Outcome::Success
    );
    // The count begins anew.
    let another = house.unproven(ADELE);
    assert_eq!(refusal(house.ask(&replicas[0], &another).await), "permit_missing");
    assert_eq!(house.off_by().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_people_get_no_pass_however_good_the_proof_is() {
    let mut house = House::new().await;
    let entra = house.world.entra();
    let board = entra.add_to_group("megan@contoso.example", "Board");
    entra.set_restricted("joni@contoso.example", true);
    house.set(
        "PROTECTED_USERS",
        format!("{}, isaiah@CONTOSO.example", house.world.person(ALEX).id),
    );
    house.set("PROTECTED_GROUPS", board.to_string());
    let running = house.run();
    for email in [
        ALEX,
        "isaiah@contoso.example",
        "megan@contoso.example",
        "joni@contoso.example",
        "allan@contoso.example",
        "debra@contoso.example",
    ] {
        let request = house.request(email);
        assert_eq!(
            refusal(house.ask(&running, &request).await),
            "subject_protected",
            "{email}"
        );
        assert_eq!(house.world.entra().passes_created(email), 0);
    }
    house.reset(&running, ADELE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_too_new_is_not_believed_and_an_unknown_date_is_not_new() {
    let mut house = House::new().await;
    let entra = house.world.entra();
    let day = |days| Some(OffsetDateTime::now_utc() - Duration::days(days));
    let running = house.run();
    entra.set_mobile_since(ADELE, day(6));
    entra.set_authenticator_since(ALEX, day(1));
    for email in [ADELE, ALEX] {
        let request = house.request(email);
        let refused = house.ask(&running, &request).await;
        assert_eq!(refusal(refused), "subject_method_changed", "{email}");
        assert_eq!(house.world.entra().passes_created(email), 0);
    }
    entra.set_mobile_since(ADELE, day(8));
    entra.set_authenticator_since(ALEX, None);
    // A pass of ours, made just now, is none either.
    for email in [ADELE, ALEX, ADELE] {
        house.reset(&running, email).await;
    }
    entra.set_mobile_since(ADELE, day(0));
    house.set("METHOD_CHANGE_DAYS", "0");
    let careless = house.run();
    house.reset(&careless, ADELE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_further_places_under_another_name() {
    let house = House::with(&[("VELOCITY_PER_SUBJECT", "1/86400")]).await;
    let running = house.run();
    house.reset(&running, ADELE).await;
    let id = house.world.person(ADELE).id.to_string();
    for (name, code) in [
        (ADELE.to_owned(), "subject_unknown"),
        (id.to_uppercase(), "velocity_subject"),
    ] {
        let mut request = house.unproven(ADELE);
        request.subject.user_id = name.parse().unwrap();
        request.permit = Some(house.permit(&request, |_| {}));
        assert_eq!(refusal(house.ask(&running, &request).await), code, "{name}");
    }
    assert_eq!(house.world.entra().passes_created(ADELE), 1);
}
