//! Limits, switches and people who are left to people, at the gate: a ticket ends with a person before anybody is
//! asked.

use common::Decision;
use launcher::testing::Running;
use simulators::World;
use time::{Duration, OffsetDateTime};

use crate::story::{Story, codes};

const ADELE: &str = "adele@contoso.example";
const ALEX: &str = "alex@contoso.example";
const RESET: &str = "I forgot my password";

impl Story {
    async fn decided(&self, from: &str) -> Decision {
        let ticket = self.file(from, RESET);
        assert_eq!(self.settled(ticket).await, "DONE");
        self.decision(ticket).await
    }

    async fn owner(&self, statement: &'static str) {
        let owner = self.database.owner().await;
        sqlx::query(statement).execute(&owner).await.unwrap();
    }
}

fn days_ago(days: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::days(days)
}

/// The ticket is left alone with this one reason.
fn assert_manual(decision: &Decision, code: &str) {
    assert_eq!(codes(decision), [code], "{decision:?}");
    assert!(!decision.automated && decision.execution_id.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_people_and_new_methods_go_to_a_person_with_the_reason() {
    let mut story = Story::prepare(&[]).await;
    story.accept_executions().await;
    let world: &World = &story.world;
    let entra = world.entra();
    let listed = "isaiah@contoso.example";
    world.halo().set_vip("lidia@contoso.example", true);
    entra.set_restricted("joni@contoso.example", true);
    entra.set_mobile_since("emily@contoso.example", Some(days_ago(3)));
    entra.set_authenticator_since("raul@contoso.example", Some(days_ago(6)));
    entra.set_mobile_since("lee@contoso.example", None);
    let board = entra.add_to_group("megan@contoso.example", "Board");
    let settings = [
        ("PROTECTED_USERS", listed.to_owned()),
        ("PROTECTED_GROUPS", board.to_string()),
    ];
    story
        .extra
        .extend(settings.map(|(name, value)| (name.to_owned(), value)));
    story.start();
    for (email, code, words) in [
        (listed, "protected_user", "on the list of protected users"),
        (
            "lidia@contoso.example",
            "protected_vip",
            "marked as a VIP in the help desk",
        ),
        (
            "megan@contoso.example",
            "protected_group",
            "member of Board, which is on the list",
        ),
        (
            "joni@contoso.example",
            "protected_restricted",
            "in a restricted administrative unit",
        ),
        (
            "grady@contoso.example",
            "protected_role",
            "directory role Global Administrator",
        ),
        (
            "debra@contoso.example",
            "protected_role_assignable_group",
            "member of Privileged Operators",
        ),
        (
            "emily@contoso.example",
            "method_changed",
            "a phone number that was registered only on",
        ),
        (
            "raul@contoso.example",
            "method_changed",
            "an authenticator app that was registered only on",
        ),
    ] {
        let decision = story.decided(email).await;
        assert_manual(&decision, code);
        assert!(decision.blockers[0].detail.contains(words), "{decision:?}");
    }
    assert!(story.decided("lee@contoso.example").await.automated);
    assert_eq!(story.executions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_powers_cannot_be_read_counts_as_powerful() {
    let mut story = Story::prepare(&[("METHOD_CHANGE_DAYS", "0")]).await;
    story.accept_executions().await;
    // The admin has not consented to what lets us read groups and roles.
    story.extra.extend(story.world.entra_settings_for("reader"));
    story.start();
    assert_manual(&story.decided(ADELE).await, "protected_unreadable");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_requests_in_a_day_three_are_automated_whatever_redis_remembers() {
    let story = Story::begin(&[("VELOCITY_PER_REQUESTER", "3/86400")]).await;
    for number in 1..=20 {
        let decision = story.decided(ADELE).await;
        if number <= 3 {
            assert!(decision.automated, "{decision:?}");
        } else {
            assert_manual(&decision, "velocity_requester");
            assert!(decision.blockers[0].detail.contains("the next is possible from"));
        }
        story.database.flush_redis().await;
    }
    assert_eq!(story.executions().await.len(), 3);
    assert!(story.decided(ALEX).await.automated);
    story
        .owner("UPDATE gate_windows SET uses = '[]' WHERE limited = 'requester'")
        .await;
    assert!(story.decided(ADELE).await.automated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_everybody_at_once_stops_at_the_tenants_limit_and_the_playbooks() {
    for (setting, code) in [
        ("VELOCITY_PER_TENANT", "velocity_tenant"),
        ("VELOCITY_PER_PLAYBOOK", "velocity_playbook"),
    ] {
        let story = Story::begin(&[(setting, "4/3600")]).await;
        // A second replica on the same queue.
        let second = Running::start(
            common::Service::Classifier,
            story.settings_now(),
            classifier::serve,
        );
        let people = [ADELE, ALEX, "joni@contoso.example", "isaiah@contoso.example"];
        let tickets: Vec<i64> = people
            .iter()
            .cycle()
            .take(12)
            .map(|from| story.file(from, RESET))
            .collect();
        let mut automated = 0;
        for ticket in tickets {
            assert_eq!(story.settled(ticket).await, "DONE");
            let decision = story.decision(ticket).await;
            if decision.automated {
                automated += 1;
            } else {
                assert_manual(&decision, code);
            }
        }
        assert_eq!(automated, 4, "{setting}");
        drop(second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_comes_while_a_switch_is_off_goes_to_a_person_who_reads_why() {
    let story = Story::begin(&[]).await;
    for (off, words) in [
        (
            "('', 'global', '', now(), 'Grady Archie', 'Odd tickets.')",
            "the global switch has been off since",
        ),
        (
            "('default', 'tenant', '', now(), 'service:verification', 'Possible attack.')",
            "the tenant's switch",
        ),
        (
            "('default', 'playbook', 'password_reset', now(), 'Grady Archie', 'Look.')",
            "`password_reset` has been off",
        ),
    ] {
        let put =
            format!("INSERT INTO switches (tenant_id, scope, name, off_since, off_by, reason) VALUES {off}");
        let owner = story.database.owner().await;
        sqlx::query(sqlx::AssertSqlSafe(put))
            .execute(&owner)
            .await
            .unwrap();
        let decision = story.decided(ADELE).await;
        assert_manual(&decision, "switched_off");
        assert!(decision.blockers[0].detail.contains(words), "{decision:?}");
        story.owner("DELETE FROM switches").await;
    }
    let other =
        "INSERT INTO switches VALUES ('default', 'playbook', 'another', now(), 'Grady Archie', 'Look.')";
    story.owner(other).await;
    assert!(story.decided(ADELE).await.automated);
}
