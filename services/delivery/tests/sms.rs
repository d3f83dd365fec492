//! `delivery.sms` through its doors, on a real database and the simulated SMS gateway.

mod house;
mod keys;

use std::sync::atomic::Ordering;

use common::{Outcome, Service, StepAnswer, StepRequest};
use house::{House, NUMBER, PASS, PATH, pending};
use launcher::testing::{next_attempt, refusal, until};
use simulators::faults::{Fault, FaultKind};
use simulators::twilio::Fate;
use simulators::{Event, System};
use time::{Duration, OffsetDateTime};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What a hostile caller makes of an honest request.
type Spoil<'a> = Box<dyn Fn(&mut StepRequest) + 'a>;

#[tokio::test(flavor = "multi_thread")]
async fn the_pass_arrives_once_orchestration_hears_of_it_and_the_gateway_forgets_it() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request();

    let operation = pending(house.ask(&running, &request).await);
    let signal = house.signal().await;

    assert_eq!(signal.operation, operation);
    assert_eq!(signal.step, request.step);
    assert_eq!(signal.result.outcome, Outcome::Success);
    let text = house.only_text().await;
    assert!(
        text.contains(PASS) && text.contains("Contoso IT") && text.contains("4242"),
        "{text}"
    );
    assert_eq!(
        house.view(&running, operation).await.unwrap().result,
        Some(signal.result)
    );
    house
        .world
        .journal()
        .wait_for(PATIENCE, |event| matches!(event, Event::SmsRedacted { .. }))
        .await
        .unwrap();
    assert_eq!(
        house.audit(&request).await,
        ["delivery.intended", "delivery.sent", "delivery.done"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_for_the_same_visit_it_sends_nothing_more() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request();

    let first = pending(house.ask(&running, &request).await);
    let repeated = pending(house.ask(&running, &request).await);
    house.signal().await;
    let StepAnswer::Done(retried) = house.ask(&running, &next_attempt(&request)).await.unwrap() else {
        panic!("it has ended")
    };

    assert_eq!(first, repeated);
    assert_eq!(retried.outcome, Outcome::Success);
    house.only_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sealed_for_here_and_now_stays_shut() {
    let house = House::new().await;
    let running = house.run();
    let honest = house.request();
    let soon = OffsetDateTime::now_utc() + Duration::HOUR;
    let cases: [(&str, Spoil<'_>); 5] = [
        ("sealed_missing", Box::new(|request| request.sealed = None)),
        (
            "sealed_unreadable",
            Box::new(|request| request.sealed.clone_from(&honest.sealed)),
        ),
        (
            "sealed_expired",
            Box::new(|request| {
                request.sealed = Some(house.sealed(request, Service::Executor, OffsetDateTime::now_utc()));
            }),
        ),
        (
            "sealed_unreadable",
            Box::new(|request| {
                request.sealed = Some(house.sealed(request, Service::Executor, soon));
                request.subject = honest.subject.clone();
            }),
        ),
        (
            "sealed_malformed",
            Box::new(|request| {
                request.sealed = Some(common::SealedCredential::from_text("tel:+447700900123"));
            }),
        ),
    ];
    for (expected, spoil) in cases {
        let mut request = house.request();
        spoil(&mut request);
        assert_eq!(refusal(house.ask(&running, &request).await), expected);
        assert_eq!(house.audit(&request).await, ["delivery.refused"], "{expected}");
    }
    assert!(house.world.twilio().messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_opened_for_one_visit_only() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request();
    pending(house.ask(&running, &request).await);

    let mut second_visit = request.clone();
    second_visit.step.visit = 2;

    assert_eq!(
        refusal(house.ask(&running, &second_visit).await),
        "sealed_opened_before"
    );
    assert_eq!(house.world.twilio().messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_orchestration_may_ask() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request();
    for service in Service::ALL {
        if service == Service::Orchestration {
            continue;
        }
        let answer = house.client(&running, service).perform(PATH, &request).await;
        assert!(
            matches!(answer, Err(common::client::PeerError::Refused { problem, .. }) if problem.status == 403)
        );
    }
    assert!(house.world.twilio().messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_delivered_is_a_failure() {
    let house = House::new().await;
    let running = house.run();
    for fate in [Fate::Failed(30003), Fate::Undelivered(30005)] {
        house.world.twilio().fate(NUMBER, fate);
        let request = house.request();
        pending(house.ask(&running, &request).await);
        let signal = house.signal().await;
        // A carrier may take a message and give it back: then `sent` was the end.
        if matches!(fate, Fate::Failed(_)) {
            assert_eq!(signal.result.outcome, Outcome::Failure);
            assert!(!signal.result.explanation.contains(NUMBER));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_the_gateway_refuses_fails_at_once_and_for_good() {
    let house = House::new().await;
    let running = house.run();
    house.world.twilio().fate(NUMBER, Fate::Refused(21610));
    let request = house.request();

    let StepAnswer::Done(result) = house.ask(&running, &request).await.unwrap() else {
        panic!("not the end")
    };

    assert_eq!(result.outcome, Outcome::Failure);
    assert!(result.explanation.contains("opted out"), "{}", result.explanation);
    assert_eq!(
        house.ask(&running, &next_attempt(&request)).await.unwrap(),
        StepAnswer::Done(result)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_only_queued_when_time_runs_out_succeeds_and_says_so() {
    let house = House::new().await;
    let running = house.run();
    house.world.twilio().fate(NUMBER, Fate::Stuck);
    let mut request = house.request();
    request.deadline = OffsetDateTime::now_utc() + Duration::seconds(4);

    pending(house.ask(&running, &request).await);
    let signal = house.signal().await;

    assert!(
        OffsetDateTime::now_utc() < request.deadline,
        "orchestration must hear in time"
    );
    assert_eq!(signal.result.outcome, Outcome::Success);
    assert!(
        signal.result.explanation.contains("had not confirmed"),
        "{}",
        signal.result.explanation
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_callback_the_message_is_read_back() {
    let house = House::new().await;
    let running = house.run_without_callbacks();

    pending(house.ask(&running, &house.request()).await);

    assert_eq!(house.signal().await.result.outcome, Outcome::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_out_of_order_and_repeated_tell_one_result() {
    let house = House::new().await;
    let running = house.run();
    for fate in [Fate::OutOfOrder, Fate::Repeated] {
        house.world.twilio().fate(NUMBER, fate);
        let request = house.request();
        let operation = pending(house.ask(&running, &request).await);
        let signal = house.signal().await;
        assert_eq!(
            (signal.operation, signal.result.outcome),
            (operation, Outcome::Success)
        );
        assert_eq!(
            house
                .audit(&request)
                .await
                .iter()
                .filter(|kind| *kind == "delivery.done")
                .count(),
            1
        );
    }
    assert!(house.signals.lock().await.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_the_gateway_never_makes_two_texts() {
    let house = House::new().await;
    let running = house.run();
    house.world.faults(System::Twilio).inject(
        Fault::new(FaultKind::DropAfter)
            .on("Messages")
            .method("POST")
            .times(1),
    );
    let request = house.request();

    pending(house.ask(&running, &request).await);
    house.signal().await;

    house.only_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_that_cannot_be_looked_up_is_looked_up_before_the_next_try() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Twilio);
    faults.inject(
        Fault::new(FaultKind::DropAfter)
            .on("Messages")
            .method("POST")
            .times(1),
    );
    let blind = faults.inject(Fault::new(FaultKind::Status(503)).on("Messages").method("GET"));
    let request = house.request();

    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    faults.lift(blind);
    let again = house.ask(&running, &request).await.unwrap();

    if let StepAnswer::Pending(_) = again {
        house.signal().await;
    }
    assert_eq!(house.world.twilio().messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_deadline_a_text_that_may_be_out_is_looked_for_before_anybody_says_that_none_is() {
    let house = House::new().await;
    let running = house.run();
    let faults = house.world.faults(System::Twilio);
    let lost = faults.inject(Fault::new(FaultKind::DropAfter).on("Messages").method("POST"));
    let blind = faults.inject(Fault::new(FaultKind::Status(503)).on("Messages").method("GET"));
    let mut request = house.request();
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    request.deadline = OffsetDateTime::now_utc() - Duration::SECOND;
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable",
        "nobody knows"
    );
    faults.lift(blind);
    faults.lift(lost);
    let answer = house.ask(&running, &request).await.unwrap();

    let out = match answer {
        StepAnswer::Pending(_) => true,
        StepAnswer::Done(result) => result.outcome == Outcome::Success,
    };
    assert!(out, "it is out, and not too late");
    house.only_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_deadline_a_message_that_was_begun_and_never_sent_is_given_up() {
    let house = House::new().await;
    let running = house.run();
    let gateway = house.world.faults(System::Twilio);
    gateway.outage(true);
    let mut request = house.request();
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    gateway.outage(false);
    request.deadline = OffsetDateTime::now_utc() - Duration::SECOND;
    let StepAnswer::Done(result) = house.ask(&running, &request).await.unwrap() else {
        panic!("not the end")
    };
    assert_eq!(result.outcome, Outcome::Timeout);
    assert!(house.world.twilio().messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_costs_nothing_but_time() {
    let house = House::new().await;
    let running = house.run();
    house.world.faults(System::Twilio).outage(true);
    let request = house.request();
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    house.world.faults(System::Twilio).outage(false);

    pending(house.ask(&running, &request).await);
    house.signal().await;

    house.only_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_at_once_one_sends() {
    let house = House::new().await;
    let running = house.run();
    let latency = std::time::Duration::from_millis(300);
    house.world.faults(System::Twilio).inject(
        Fault::new(FaultKind::Latency(latency))
            .on("Messages")
            .method("POST"),
    );
    let request = house.request();
    let attempts = [1, 2, 3].map(|attempt| {
        let mut request = request.clone();
        request.step.attempt = attempt;
        request
    });

    let [a, b, c] = &attempts;
    let (a, b, c) = tokio::join!(
        house.ask(&running, a),
        house.ask(&running, b),
        house.ask(&running, c)
    );

    let answers = [a, b, c];
    let (done, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for other in others {
        assert_eq!(refusal(other), "delivery_in_flight");
    }
    house.signal().await;
    house.only_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orchestration_is_told_until_it_has_heard_also_by_a_successor() {
    let house = House::new().await;
    let running = house.run();
    house.deaf.store(true, Ordering::SeqCst);
    let request = house.request();
    pending(house.ask(&running, &request).await);
    until("it has ended", || async {
        house.audit(&request).await.contains(&"delivery.done".to_owned())
    })
    .await;
    drop(running);
    house.deaf.store(false, Ordering::SeqCst);
    // What the killed one had in its hands comes free when its patience is over.
    sqlx::query("UPDATE deliveries SET work_at = now()")
        .execute(&house.owner)
        .await
        .unwrap();

    let _successor = house.run();

    assert_eq!(house.signal().await.result.outcome, Outcome::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_twilio_did_not_sign_is_refused_bare() {
    let house = House::new().await;
    let running = house.run();
    let url = running.base.join("/webhooks/twilio/sms_status").unwrap();
    let http = common::client::http_client(PATIENCE).unwrap();
    for signature in [None, Some("RSOYDt4T1cUTdK1PDd93/VVr8B8="), Some("")] {
        let mut call = http
            .post(url.clone())
            .form(&[("MessageSid", "SM1"), ("MessageStatus", "delivered")]);
        if let Some(signature) = signature {
            call = call.header("X-Twilio-Signature", signature);
        }
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), 403);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_another_account_is_refused_though_its_signature_is_good() {
    let house = House::new().await;
    let other = format!("AC{}", "0".repeat(32));
    let _running = house.run_with(&[("TWILIO_ACCOUNT_SID", &other)]);
    // The account that Twilio knows sends a message and wants its callbacks here.
    let twilio = house.world.settings_map();
    let account = &twilio["TWILIO_ACCOUNT_SID"];
    let base = twilio["TWILIO_URL"].trim_end_matches('/');
    let callback = format!(
        "{}/webhooks/twilio/sms_status",
        twilio["PUBLIC_URL"].trim_end_matches('/')
    );
    let sent = common::client::http_client(PATIENCE)
        .unwrap()
        .post(format!("{base}/2010-04-01/Accounts/{account}/Messages.json"))
        .basic_auth(account, Some(&twilio["TWILIO_AUTH_TOKEN"]))
        .form(&[
            ("To", NUMBER),
            ("From", twilio["TWILIO_FROM"].as_str()),
            ("Body", "Hello"),
            ("StatusCallback", callback.as_str()),
        ])
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 201);

    let refused = async || {
        sqlx::query_scalar::<_, String>(
            "SELECT detail ->> 'reason' FROM audit_events WHERE kind = 'webhook.refused'",
        )
        .fetch_optional(&house.owner)
        .await
        .unwrap()
    };
    let reason = launcher::testing::seen_within(PATIENCE, refused).await;
    assert_eq!(reason.as_deref(), Some("another_account"));
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_deadline_nothing_is_sent() {
    let house = House::new().await;
    let running = house.run();
    let mut request = house.request();
    request.deadline = OffsetDateTime::now_utc() - Duration::SECOND;

    let StepAnswer::Done(result) = house.ask(&running, &request).await.unwrap() else {
        panic!("not the end")
    };

    assert_eq!(result.outcome, Outcome::Timeout);
    assert!(house.world.twilio().messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_ever_holds_the_pass_or_the_number() {
    let house = House::new().await;
    let running = house.run();
    let request = house.request();
    pending(house.ask(&running, &request).await);
    house.signal().await;
    for table in ["deliveries", "audit_events"] {
        let everything: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT string_agg(t::text, ' ') FROM {table} t"
        )))
        .fetch_one(&house.owner)
        .await
        .unwrap();
        let everything = everything.unwrap();
        assert!(
            !everything.contains(PASS) && !everything.contains(&NUMBER[4..]),
            "{table}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_switch_is_off_no_replica_sends_anything_and_afterwards_the_same_credential_is_good() {
    let house = House::new().await;
    let replicas = [house.run(), house.run()];
    let off = "INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason)
         VALUES ('default', 'tenant', '', now(), 'service:verification', 'Possible attack.')";
    sqlx::query(off).execute(&house.owner).await.unwrap();
    let request = house.request();
    for replica in &replicas {
        assert_eq!(refusal(house.ask(replica, &request).await), "switched_off");
    }
    assert_eq!(house.audit(&request).await, ["delivery.refused"; 2]);
    sqlx::query("DELETE FROM switches")
        .execute(&house.owner)
        .await
        .unwrap();
    pending(house.ask(&replicas[1], &request).await);
    house.only_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_begun_is_not_gone_on_with_while_a_switch_is_off() {
    let house = House::new().await;
    let running = house.run();
    let gateway = house.world.faults(System::Twilio);
    gateway.outage(true);
    let request = house.request();
    assert_eq!(
        refusal(house.ask(&running, &request).await),
        "outside_unavailable"
    );
    gateway.outage(false);
    let off = "INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason)
         VALUES ('', 'global', '', now(), 'Grady Archie', 'Something is odd.')";
    sqlx::query(off).execute(&house.owner).await.unwrap();
    assert_eq!(refusal(house.ask(&running, &request).await), "switched_off");
    sqlx::query("DELETE FROM switches")
        .execute(&house.owner)
        .await
        .unwrap();
    pending(house.ask(&running, &request).await);
    house.only_text().await;
}
