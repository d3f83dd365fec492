//! `executor.reset_password` through its door.

use common::{Outcome, Service, StepRequest};
use launcher::testing::{next_attempt, refusal, seen_within, until};
use secrecy::ExposeSecret as _;
use serde_json::json;
use simulators::System;
use simulators::company::GLOBAL_ADMINISTRATOR;
use simulators::entra::TapPolicy;
use simulators::faults::{Fault, FaultKind};
use time::{Duration, OffsetDateTime};

use crate::house::{ADELE, ALEX, House, path};

const CREATE: &str = "temporaryAccessPassMethods";

/// What a hostile caller makes of an honest request.
type Spoil<'a> = Box<dyn Fn(&mut StepRequest) + 'a>;

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_gives_one_pass_that_only_delivery_can_read() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request(ADELE);

    let result = house.ask(&running, &request).await.unwrap();

    assert_eq!(result.outcome, Outcome::Success);
    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
    let opened = house
        .open(&request, result.sealed.as_ref().unwrap())
        .ok()
        .unwrap();
    assert_eq!(
        Some(opened.destination().expose_secret()),
        house.world.person(ADELE).e164().as_deref()
    );
    assert_eq!(
        house.audit(&request).await,
        ["permit.spent", "effect.intended", "effect.done"]
    );
    assert!(house.world.entra().live_passes(ADELE)[0].once);
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_for_the_same_visit_it_answers_the_same_and_makes_nothing() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request(ADELE);

    let first = house.ask(&running, &request).await.unwrap();
    let repeated = house.ask(&running, &request).await.unwrap();
    let mut retried = next_attempt(&request);
    // A retry belongs to the intent that burned the permit and needs no other.
    retried.permit = None;
    let retried = house.ask(&running, &retried).await.unwrap();

    assert_eq!(first, repeated);
    assert_eq!(first, retried);
    assert_eq!(house.world.entra().passes_created(ADELE), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table, to be read in one piece")]
async fn without_the_right_proof_nothing_is_made_and_the_audit_says_why() {
    let house = House::new().await;
    let running = house.run();
    let other = house.request(ALEX);
    let now = OffsetDateTime::now_utc();
    let unsigned = |text: &str| Some(common::PermitToken::from_text(text));
    let cases: [(&str, Spoil<'_>); 16] = [
        ("permit_missing", Box::new(|request| request.permit = None)),
        (
            "permit_malformed",
            Box::new(|request| request.permit = Some(common::PermitToken::from_text(""))),
        ),
        (
            "permit_malformed",
            Box::new(|request| request.permit = unsigned(&"a".repeat(1_000_000))),
        ),
        (
            "permit_malformed",
            Box::new(|request| {
                let text = request.permit.as_ref().unwrap().as_text();
                request.permit = unsigned(text.rsplit_once('.').unwrap().0);
            }),
        ),
        (
            "permit_signature",
            Box::new(|request| {
                let text = request.permit.as_ref().unwrap().as_text();
                request.permit = unsigned(&text[..text.len() - 2]);
            }),
        ),
        (
            "permit_algorithm",
            Box::new(|request| request.permit = unsigned("eyJhbGciOiJub25lIn0.e30.")),
        ),
        (
            "permit_algorithm",
            Box::new(|request| request.permit = Some(house.permit_by_mac(request))),
        ),
        (
            "permit_issuer",
            Box::new(|request| request.permit = Some(House::permit_of_another_fleet(request))),
        ),
        (
            "permit_not_yet_valid",
            Box::new(|request| {
                request.permit = Some(house.permit(request, |claims| {
                    claims.issued = now + Duration::minutes(2);
                    claims.expires = now + Duration::minutes(12);
                }));
            }),
        ),
        (
            "permit_mismatch",
            Box::new(|request| request.permit.clone_from(&other.permit)),
        ),
        (
            "permit_mismatch",
            Box::new(|request| request.subject = other.subject.clone()),
        ),
        (
            "permit_mismatch",
            Box::new(|request| request.ticket_id = "4243".parse().unwrap()),
        ),
        (
            "permit_mismatch",
            Box::new(|request| {
                request
                    .parameters
                    .insert("lifetime_minutes".to_owned(), json!(480));
            }),
        ),
        (
            "permit_too_weak",
            Box::new(|request| {
                request.permit =
                    Some(house.permit(request, |claims| claims.assurance = common::Assurance::Low));
            }),
        ),
        (
            "permit_expired",
            Box::new(|request| {
                request.permit = Some(house.permit(request, |claims| {
                    claims.issued = now - Duration::minutes(11);
                    claims.expires = now - Duration::minutes(1);
                }));
            }),
        ),
        (
            "permit_signature",
            Box::new(|request| {
                let text = request.permit.as_ref().unwrap().as_text();
                let (message, _) = text.rsplit_once('.').unwrap();
                let (_, signature) = other.permit.as_ref().unwrap().as_text().rsplit_once('.').unwrap();
                request.permit = Some(common::PermitToken::from_text(format!("{message}.{signature}")));
            }),
        ),
    ];
    for (expected, spoil) in cases {
        let mut request = house.request(ADELE);
        spoil(&mut request);
        assert_eq!(refusal(house.ask(&running, &request).await), expected);
        assert_eq!(house.audit(&request).await, ["permit.refused"], "{expected}");
    }
    assert_eq!(house.world.entra().passes_created(ADELE), 0);
    assert_eq!(house.world.entra().passes_created(ALEX), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_permit_is_good_for_nothing_else() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request(ADELE);
    house.ask(&running, &request).await.unwrap();

    let mut second_visit = request.clone();
    second_visit.step.visit = 2;

    assert_eq!(refusal(house.ask(&running, &second_visit).await), "permit_spent");
    assert_eq!(house.world.entra().passes_created(ADELE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_permit_in_a_common_transaction_harms_nobody_else() {
    let house = House::new().await;
    let running = house.run();
    let first = house.request(ADELE);
    house.ask(&running, &first).await.unwrap();
    let mut spent = first.clone();
    spent.step.visit = 2;
    let people = [ALEX, "megan@contoso.example", ADELE, ADELE].map(|email| house.request(email));
    let looked_up = || {
        let asked = house.world.requests(System::Entra).into_iter();
        asked
            .filter(|asked| asked.path.ends_with("/phoneMethods") && asked.status.is_some())
            .count()
    };
    // Until this ends no intent is written: the first waits for it, and the others go down together behind it.
    let mut locked = house.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE effects IN SHARE MODE")
        .execute(&mut *locked)
        .await
        .unwrap();
    let before = looked_up();
    let [a, b, c, d] = &people;
    let behind = async {
        until("a transaction that waits", async || {
            let waiting =
                "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'effects'::regclass";
            sqlx::query_scalar(waiting).fetch_one(&house.owner).await.unwrap()
        })
        .await;
        let unlocking = async {
            until("all of them are in line", async || looked_up() >= before + 5).await;
            locked.rollback().await.unwrap();
        };
        tokio::join!(
            house.ask(&running, &spent),
            house.ask(&running, b),
            house.ask(&running, c),
            house.ask(&running, d),
            unlocking
        )
    };
    let (a, (spent, b, c, d, ())) = tokio::join!(house.ask(&running, a), behind);

    assert_eq!(refusal(spent), "permit_spent");
    for result in [a, b, c, d] {
        assert_eq!(result.unwrap().outcome, Outcome::Success);
    }
    for request in &people {
        assert_eq!(
            house.audit(request).await,
            ["permit.spent", "effect.intended", "effect.done"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_orchestration_may_ask() {
    let house = House::new().await;
    let running = house.run();
    let reset = house.request(ADELE);
    let undo = House::undo_of(&reset);
    let wrong = Service::ALL
        .into_iter()
        .filter(|service| *service != Service::Orchestration);
    for (service, request) in wrong.flat_map(|service| [(service, &reset), (service, &undo)]) {
        let answer = house
            .client(&running, service)
            .perform(&path(request), request)
            .await;
        assert!(
            matches!(answer, Err(common::client::PeerError::Refused { problem, .. }) if problem.status == 403)
        );
    }
    assert_eq!(house.world.entra().passes_created(ADELE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_whom_a_program_must_not_touch_are_left_to_people() {
    let house = House::new().await;
    let running = house.run();
    house.world.entra().add_eligible_role(
        "joni@contoso.example",
        "Global Administrator",
        GLOBAL_ADMINISTRATOR,
    );
    for (email, expected) in [
        ("diego@contoso.example", "subject_disabled"),
        ("grady@contoso.example", "subject_protected"),
        ("joni@contoso.example", "subject_protected"),
        ("lynne@contoso.example", "subject_has_no_mobile"),
        ("gus@fabrikam.example", "subject_guest"),
    ] {
        let request = house.request(email);
        assert_eq!(refusal(house.ask(&running, &request).await), expected);
        assert_eq!(house.world.entra().passes_created(email), 0);
        assert_eq!(house.audit(&request).await, ["effect.refused"], "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lifetime_is_clamped_to_the_tenant_s_policy() {
    let house = House::new().await;
    let running = house.run();
    house.world.entra().tap_policy(TapPolicy {
        minimum_minutes: 30,
        maximum_minutes: 120,
        ..TapPolicy::default()
    });
    for (wanted, given) in [(10, 30), (45, 45), (4_000, 120)] {
        let mut request = house.unproven(ADELE);
        request
            .parameters
            .insert("lifetime_minutes".to_owned(), json!(wanted));
        request.permit = Some(house.permit(&request, |_| {}));
        house.ask(&running, &request).await.unwrap();
        assert_eq!(house.world.entra().live_passes(ADELE)[0].minutes, given);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_made_up_for_and_the_delivered_pass_is_the_one_that_lives() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    faults.inject(
        Fault::new(FaultKind::DropAfter)
            .on(CREATE)
            .method("POST")
            .times(1),
    );
    let request = house.request(ADELE);

    let result = house.ask(&running, &request).await.unwrap();

    assert_eq!(house.world.entra().passes_created(ADELE), 2);
    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_a_lost_answer_leaves_no_pass_behind() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    for kind in [FaultKind::DropAfter, FaultKind::Status(403)] {
        faults.inject(Fault::new(kind).on(CREATE).method("POST").times(1));
    }
    let request = house.request(ADELE);

    let result = house.ask(&running, &request).await.unwrap();

    assert_eq!(result.outcome, Outcome::Failure);
    assert_eq!(
        house.world.entra().passes_created(ADELE),
        1,
        "and nobody heard of it"
    );
    assert!(house.world.entra().live_passes(ADELE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_pass_that_nobody_got_is_not_deleted_nobody_says_that_there_is_none() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    for kind in [FaultKind::DropAfter, FaultKind::Status(403)] {
        faults.inject(Fault::new(kind).on(CREATE).method("POST").times(1));
    }
    let stuck = faults.inject(Fault::new(FaultKind::Status(503)).on(CREATE).method("DELETE"));
    let request = house.request(ADELE);
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    assert_eq!(house.world.entra().live_passes(ADELE).len(), 1);

    faults.lift(stuck);
    let result = house.ask(&running, &next_attempt(&request)).await.unwrap();
    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_the_directory_never_lets_go_of_is_left_to_people_who_are_told_of_it() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    for kind in [FaultKind::DropAfter, FaultKind::Status(403)] {
        faults.inject(Fault::new(kind).on(CREATE).method("POST").times(1));
    }
    faults.inject(Fault::new(FaultKind::Status(403)).on(CREATE).method("DELETE"));
    let request = house.request(ADELE);

    let result = house.ask(&running, &request).await.unwrap();

    assert_eq!(result.outcome, Outcome::Failure);
    assert!(
        result
            .explanation
            .ends_with("delete the person's Temporary Access Pass by hand."),
        "{}",
        result.explanation
    );
    assert_eq!(house.world.entra().live_passes(ADELE).len(), 1);

    // One that nobody could use anyway, as well.
    house.world.entra().tap_policy(TapPolicy {
        delay_minutes: 5,
        ..TapPolicy::default()
    });
    let result = house.ask(&running, &house.request(ALEX)).await.unwrap();
    assert_eq!(result.outcome, Outcome::Failure);
    assert!(
        result.explanation.contains("do that by hand"),
        "{}",
        result.explanation
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_cannot_be_used_is_gone_before_the_ticket_says_so() {
    let house = House::new().await;
    let running = house.run();
    house.world.entra().tap_policy(TapPolicy {
        delay_minutes: 5,
        ..TapPolicy::default()
    });
    let faults = house.world.faults(System::Entra);
    let stuck = faults.inject(Fault::new(FaultKind::Status(503)).on(CREATE).method("DELETE"));
    let request = house.request(ADELE);
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );

    faults.lift(stuck);
    let result = house.ask(&running, &next_attempt(&request)).await.unwrap();
    assert_eq!(result.outcome, Outcome::Failure);
    assert!(
        result.explanation.contains("(NotYetValid); it was deleted"),
        "{}",
        result.explanation
    );
    assert!(house.world.entra().live_passes(ADELE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_more_than_a_day_ago_is_given_up_with_what_it_left() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    let silence = faults.inject(Fault::new(FaultKind::DropAfter).on(CREATE).method("POST"));
    let request = house.request(ADELE);
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    faults.lift(silence);
    sqlx::query("UPDATE effects SET intended_at = intended_at - interval '25 hours'")
        .execute(&house.owner)
        .await
        .unwrap();

    let result = house.ask(&running, &next_attempt(&request)).await.unwrap();

    assert_eq!(result.outcome, Outcome::Failure);
    assert!(
        result.explanation.contains("must prove again who they are"),
        "{}",
        result.explanation
    );
    assert!(house.world.entra().live_passes(ADELE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_renew_their_lease_stops_acting_before_another_takes_over() {
    let house = House::new().await;
    let running = house.run();
    let latency = std::time::Duration::from_secs(30);
    house.world.faults(System::Entra).inject(
        Fault::new(FaultKind::Latency(latency))
            .on(CREATE)
            .method("POST")
            .times(1),
    );
    let request = house.request(ADELE);
    let asking = house.ask(&running, &request);
    tokio::pin!(asking);
    tokio::select! {
        answer = &mut asking => panic!("too soon: {answer:?}"),
        () = until("the directory is being asked", || house.is_asking(&request)) => {}
    }
    // From here on every renewal hangs.
    let mut hold = house.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM effects FOR UPDATE")
        .execute(&mut *hold)
        .await
        .unwrap();
    assert_eq!(refusal(asking.await), "effect_in_flight");
    hold.rollback().await.unwrap();
    // A renewal that was given up may still come through, and then there is a lease to wait for.
    let again = next_attempt(&request);
    let answer = seen_within(std::time::Duration::from_secs(30), async || {
        house.let_leases_run_out().await;
        house.ask(&running, &again).await.ok()
    });
    let result = answer.await.expect("an answer in time");
    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_stays_silent_parks_the_work_and_the_intent_goes_on_later() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    let silence = faults.inject(Fault::new(FaultKind::DropAfter).on(CREATE).method("POST"));
    let request = house.request(ADELE);

    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    faults.lift(silence);
    let mut again = request.clone();
    again.permit = None;
    let result = house.ask(&running, &again).await.unwrap();

    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_away_costs_neither_the_permit_nor_anything_else() {
    let house = House::new().await;
    let running = house.run();
    house.world.faults(System::Entra).outage(true);
    let request = house.request(ADELE);

    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    assert!(house.audit(&request).await.is_empty());
    house.world.faults(System::Entra).outage(false);

    let result = house.ask_until_answered(&running, &request).await;
    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_at_once_one_acts() {
    let house = House::new().await;
    let running = house.run();
    let latency = std::time::Duration::from_millis(300);
    house
        .world
        .faults(System::Entra)
        .inject(Fault::new(FaultKind::Latency(latency)).on(CREATE).method("POST"));
    let request = house.request(ADELE);
    let attempts = [1, 2, 3, 4].map(|attempt| {
        let mut request = request.clone();
        request.step.attempt = attempt;
        request
    });

    let [a, b, c, d] = &attempts;
    let (a, b, c, d) = tokio::join!(
        house.ask(&running, a),
        house.ask(&running, b),
        house.ask(&running, c),
        house.ask(&running, d)
    );

    let answers = [a, b, c, d];
    let (done, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for other in others {
        assert_eq!(refusal(other), "effect_in_flight");
    }
    assert_eq!(house.world.entra().passes_created(ADELE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_in_the_middle_of_the_act_one_pass_lives_and_it_is_the_delivered_one() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request(ADELE);
    let latency = std::time::Duration::from_secs(1);
    house.world.faults(System::Entra).inject(
        Fault::new(FaultKind::Latency(latency))
            .on(CREATE)
            .method("POST")
            .times(1),
    );
    let asked = {
        let client = house.client(&running, Service::Orchestration);
        let request = request.clone();
        tokio::spawn(async move { client.perform("/api/v1/executor/reset_password", &request).await })
    };
    until("the directory is being asked", || house.is_asking(&request)).await;
    // From here on its maker can write nothing more: the pass is made, and dies with them.
    let mut hold = house.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM effects FOR UPDATE")
        .execute(&mut *hold)
        .await
        .unwrap();
    until("the pass is made", || async {
        house.world.entra().passes_created(ADELE) == 1
    })
    .await;
    drop(running);
    asked.abort();
    hold.rollback().await.unwrap();

    let restarted = house.run();
    let early = house.ask(&restarted, &next_attempt(&request)).await;
    assert_eq!(refusal(early), "effect_in_flight");
    house.let_leases_run_out().await;
    let result = house.ask(&restarted, &next_attempt(&request)).await.unwrap();

    assert_eq!(house.world.entra().passes_created(ADELE), 2);
    house.assert_delivers_the_one_live_pass(ADELE, &request, &result);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_disabled_since_the_crash_gets_no_pass_and_loses_the_lost_one() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    faults.inject(Fault::new(FaultKind::DropAfter).on(CREATE).method("POST"));
    let request = house.request(ADELE);
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    faults.lift_all();
    house.world.entra().set_enabled(ADELE, false);

    let result = house.ask(&running, &request).await.unwrap();

    assert_eq!(result.outcome, Outcome::Failure);
    assert!(house.world.entra().live_passes(ADELE).is_empty());
    assert_eq!(
        house.audit(&request).await.last().map(String::as_str),
        Some("effect.failed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_deadline_nothing_is_begun() {
    let house = House::new().await;
    let running = house.run();
    let mut request = house.request(ADELE);
    request.deadline = OffsetDateTime::now_utc() - Duration::SECOND;

    let result = house.ask(&running, &request).await.unwrap();

    assert_eq!(result.outcome, Outcome::Timeout);
    assert_eq!(house.world.entra().passes_created(ADELE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_ever_holds_the_pass_or_the_number() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request(ADELE);
    let result = house.ask(&running, &request).await.unwrap();
    let opened = house
        .open(&request, result.sealed.as_ref().unwrap())
        .ok()
        .unwrap();

    for table in ["effects", "spent_permits", "audit_events"] {
        let everything: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT string_agg(t::text, ' ') FROM {table} t"
        )))
        .fetch_one(&house.owner)
        .await
        .unwrap();
        let everything = everything.unwrap();
        assert!(!everything.contains(opened.secret().expose_secret()), "{table}");
        assert!(
            !everything.contains(&opened.destination().expose_secret()[4..]),
            "{table}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_directory_itself_is_a_failure_that_stands() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Entra);
    faults.inject(
        Fault::new(FaultKind::Status(403))
            .on(CREATE)
            .method("POST")
            .times(1),
    );
    let request = house.request(ADELE);

    let result = house.ask(&running, &request).await.unwrap();

    assert_eq!(result.outcome, Outcome::Failure);
    assert_eq!(
        house.ask(&running, &next_attempt(&request)).await.unwrap(),
        result
    );
    assert_eq!(house.world.entra().passes_created(ADELE), 0);
    assert_eq!(
        house.audit(&request).await,
        ["permit.spent", "effect.intended", "effect.failed"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_executor_reaches_the_ledger_and_not_even_it_unspends_a_permit() {
    let house = House::new().await;
    let running = house.run();
    house.ask(&running, &house.request(ADELE)).await.unwrap();
    let own = house.pool(Service::Executor).await;
    for forbidden in [
        "DELETE FROM spent_permits",
        "UPDATE spent_permits SET id = gen_random_uuid()",
        "DELETE FROM effects",
        "DELETE FROM effect_undos",
        "UPDATE audit_events SET kind = 'nothing'",
    ] {
        let error = sqlx::query(forbidden).execute(&own).await.unwrap_err();
        assert!(
            error.to_string().contains("permission denied"),
            "{forbidden}: {error}"
        );
    }
    for service in Service::ALL {
        if service == Service::Executor {
            continue;
        }
        let pool = house.pool(service).await;
        for table in ["SELECT FROM effects", "SELECT FROM effect_undos"] {
            let error = sqlx::query(table).execute(&pool).await.unwrap_err();
            assert!(
                error.to_string().contains("permission denied"),
                "{service}: {error}"
            );
        }
    }
}
