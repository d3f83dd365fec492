//! What a person said and what was sent outlast a database that fails for a moment, and slowness outside.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it is"
)]

use std::time::Duration;

use common::Outcome;
use launcher::testing::until;
use simulators::System;
use simulators::entra::Push;
use simulators::faults::{Fault, FaultKind};
use simulators::teams::CardReaction;
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use super::{MANAGER, MFA};
use crate::house::{ADELE, House, MEGAN};

/// The database fails the next `times` changes of a verification for which `when` holds, as one does that restarts.
/// A sequence counts them: what is rolled back leaves it as it is.
async fn fail_changes(house: &House, when: &str, times: u32) {
    let sql = format!(
        "CREATE SEQUENCE changes_failed;
         CREATE FUNCTION fail_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
            IF nextval('changes_failed') <= {times} THEN
                RAISE EXCEPTION 'the database is restarting' USING ERRCODE = 'admin_shutdown';
            END IF;
            RETURN NEW;
         END $$;
         CREATE TRIGGER fail_change BEFORE UPDATE ON verifications
         FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION fail_change();"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&house.owner)
        .await
        .unwrap();
}

/// How many changes came to the database that it was to fail, those after the last failure included.
async fn changes_seen(house: &House) -> i64 {
    sqlx::query_scalar("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM changes_failed")
        .fetch_one(&house.owner)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_outlasts_a_database_that_fails_when_it_comes() {
    for no in [Push::deny(), Push::fraud()] {
        let house = House::new().await;
        fail_changes(&house, "NEW.state <> 'open'", 3).await;
        let running = house.run(&[]);
        // Asked a second time, Adele would approve.
        house.world.entra().push_next(ADELE, no);
        let pending = house.begin(&running, &house.request(MFA, ADELE)).await;

        let result = house.told(&pending).await;

        assert_eq!(result.outcome, Outcome::Denied, "{}", result.explanation);
        assert_eq!(house.world.entra().pushes(ADELE), 1);
        assert!(changes_seen(&house).await > 3, "the database did fail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_fails_costs_no_answer() {
    let house = House::new().await;
    let heartbeat = "NEW.leased_until > OLD.leased_until AND NEW.fence = OLD.fence";
    fail_changes(&house, heartbeat, 1).await;
    let running = house.run(&[]);
    let after_a_heartbeat = Push::deny().after(Duration::from_secs(7));
    house.world.entra().push_next(ADELE, after_a_heartbeat);
    let pending = house.begin(&running, &house.request(MFA, ADELE)).await;

    let result = house.told(&pending).await;

    assert_eq!(result.outcome, Outcome::Denied, "{}", result.explanation);
    assert_eq!(house.world.entra().pushes(ADELE), 1);
    assert!(changes_seen(&house).await > 0, "the heartbeat did fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_counts_even_after_another_runner_took_over() {
    let house = House::new().await;
    let running = house.run(&[]);
    let entra = house.world.entra();
    let after_a_heartbeat = Push::deny().after(Duration::from_secs(7));
    entra.push_next(ADELE, after_a_heartbeat);
    let pending = house.begin(&running, &house.request(MFA, ADELE)).await;
    until("the push", async || entra.pushes(ADELE) == 1).await;
    entra.push(ADELE, Push::approve().after(Duration::from_hours(1)));
    // As after a pause that outlasted the lease.
    sqlx::raw_sql("UPDATE verifications SET leased_until = now(); NOTIFY verification")
        .execute(&house.owner)
        .await
        .unwrap();

    let result = house.told(&pending).await;

    assert_eq!(result.outcome, Outcome::Denied, "{}", result.explanation);
    let fence: i64 = sqlx::query_scalar("SELECT fence FROM verifications")
        .fetch_one(&house.owner)
        .await
        .unwrap();
    assert!(fence > 1, "another runner did take over");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_a_card_slowly_keeps_the_lease() {
    let house = House::new().await;
    let running = house.run(&[]);
    house.world.teams().react(MEGAN, CardReaction::ignore());
    let slow = Fault::new(FaultKind::Latency(Duration::from_secs(7)));
    house.world.faults(System::Teams).inject(slow);
    house.begin(&running, &house.request(MANAGER, ADELE)).await;

    let mut first: Option<(i64, OffsetDateTime)> = None;
    until("a lease that is renewed", async || {
        let held: Option<(i64, OffsetDateTime)> = sqlx::query_as(
            "SELECT fence, leased_until
             FROM verifications
             WHERE leased_until IS NOT NULL AND card = 'sending'",
        )
        .fetch_optional(&house.owner)
        .await
        .unwrap();
        let Some((fence, leased_until)) = held else {
            return false;
        };
        let (first_fence, first_until) = *first.get_or_insert((fence, leased_until));
        fence == first_fence && leased_until > first_until
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_in_good_order_takes_the_connector_s_secret_along() {
    let house = House::new().await;
    let running = house.run(&[]);
    let pending = house.begin(&running, &house.request(MFA, ADELE)).await;
    house.told(&pending).await;
    assert_eq!(house.world.entra().secrets_on_mfa_principal(), 1);
    running.stop().await;
    assert_eq!(house.world.entra().secrets_on_mfa_principal(), 0);
}
