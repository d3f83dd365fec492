//! The record of who did what, after a ticket went its way: whole, provable elsewhere, and no change of it goes unseen.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use common::Service;
use launcher::testing::{TestFleet, TestFleetSettings, seen_within};
use serde_json::Value;
use simulators::WorldSettings;
use sqlx::AssertSqlSafe;

const ADELE: &str = "adele@contoso.example";
const ALEX: &str = "alex@contoso.example";

/// Seals are made every few seconds.
const SEALED_WITHIN: Duration = Duration::from_mins(1);

struct Archive {
    fleet: TestFleet,
    directory: tempfile::TempDir,
}

impl Archive {
    /// A fleet in which two tickets have ended.
    async fn of_two_tickets() -> (Self, i64) {
        let world = WorldSettings {
            teams_auto_install: true,
            think: Duration::from_millis(20),
            ..WorldSettings::default()
        };
        let fleet = TestFleet::with(TestFleetSettings {
            world,
            ..TestFleetSettings::default()
        })
        .await;
        let other = fleet.file_ticket(ALEX, "I forgot my password");
        let ticket = fleet.file_ticket(ADELE, "I can't log in");
        for ticket in [other, ticket] {
            assert_eq!(fleet.wait_for_end(ticket).await.status, "Resolved");
        }
        let archive = Self {
            fleet,
            directory: tempfile::tempdir().unwrap(),
        };
        (archive, ticket)
    }

    fn keys(&self) -> PathBuf {
        self.fleet.keys().file("trusted.json")
    }

    fn firstline(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_firstline"))
            .args(arguments)
            .env("DATABASE_URL", self.fleet.database.owner_url().as_str())
            .env("TRUSTED_KEYS_FILE", self.keys())
            .output()
            .unwrap()
    }

    fn verify(&self) -> (bool, Value) {
        let ran = self.firstline(&["audit", "verify", "--json"]);
        let told = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)));
        (ran.status.success(), told)
    }

    /// Everything is signed.
    async fn sealed(&self) {
        let sealed = seen_within(SEALED_WITHIN, async || {
            let (whole, told) = self.verify();
            assert!(whole, "{told}");
            (told["unsealed"] == 0).then_some(told)
        });
        let told = sealed.await.expect("sealed in time");
        assert!(told["events"].as_u64().unwrap() > 20, "{told}");
    }

    async fn tamper(&self, change: &str) {
        let done = sqlx::query(AssertSqlSafe(change.to_owned()))
            .execute(self.fleet.owner())
            .await
            .unwrap();
        assert!(done.rows_affected() > 0, "{change} changes something");
    }

    fn broken(&self) -> String {
        let (whole, told) = self.verify();
        assert!(!whole, "{told}");
        told["broken"].as_str().unwrap().to_owned()
    }
}

/// As an auditor would, on a machine that has nothing but the file and the public keys.
fn elsewhere(file: &Path, keys: &Path) -> (Option<i32>, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_firstline"))
        .args(["audit", "verify"])
        .arg(file)
        .arg("--keys")
        .arg(keys)
        .env_clear()
        .output()
        .unwrap();
    (
        ran.status.code(),
        String::from_utf8_lossy(&ran.stdout).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_ticket_is_proven_on_another_machine_and_a_changed_byte_is_named() {
    let (archive, ticket) = Archive::of_two_tickets().await;
    archive.sealed().await;
    let file = archive.directory.path().join("evidence.json");
    let out = file.display().to_string();
    let ran = archive.firstline(&["audit", "export", &ticket.to_string(), "--out", &out]);
    assert!(ran.status.success(), "{ran:?}");

    let (code, told) = elsewhere(&file, &archive.keys());
    assert_eq!(code, Some(0), "{told}");
    for kind in [
        "decision.recorded",
        "execution.accepted",
        "permit.issued",
        "effect.done",
        "delivery.done",
        "ticket_update.sent",
        "execution.ended",
    ] {
        assert!(
            told.contains(&format!("  {kind}  ")),
            "{kind} is in the story:\n{told}"
        );
    }
    assert!(!told.contains("not signed yet"), "{told}");

    let sound = std::fs::read_to_string(&file).unwrap();
    let alex = archive.fleet.world().person(ALEX).id.to_string();
    assert!(
        !sound.contains(&alex),
        "nothing of the other ticket is in it but digests"
    );
    for (change, into, named) in [
        (
            "\"kind\": \"permit.issued\"",
            "\"kind\": \"permit.denied\"",
            "was changed",
        ),
        (
            "\"actor\": \"service:executor\"",
            "\"actor\": \"person:somebody\"",
            "was changed",
        ),
    ] {
        assert!(sound.contains(change));
        std::fs::write(&file, sound.replacen(change, into, 1)).unwrap();
        let (code, told) = elsewhere(&file, &archive.keys());
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(named), "{told}");
    }
    // Keys of another fleet prove nothing.
    std::fs::write(&file, &sound).unwrap();
    let strangers = launcher::testing::TestKeys::fresh();
    let (code, told) = elsewhere(&file, &strangers.file("trusted.json"));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("not signed by a key of this fleet"), "{told}");
    // What is no evidence is told apart from what is broken.
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(elsewhere(&file, &archive.keys()).0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_write_everything_is_seen_to_have_written() {
    let (archive, _) = Archive::of_two_tickets().await;
    archive.sealed().await;
    archive
        .tamper("UPDATE audit_events SET detail = '{}' WHERE kind = 'permit.issued'")
        .await;
    let broken = archive.broken();
    assert!(
        broken.starts_with("verification's chain of execution"),
        "{broken}"
    );
    assert!(broken.contains("`permit.issued`) was changed"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_out_is_missed_also_where_the_ends_were_mended() {
    let (archive, _) = Archive::of_two_tickets().await;
    archive.sealed().await;
    // The last event of each of the executor's chains, and the ends made to fit.
    archive
        .tamper(
            "DELETE FROM audit_events event USING audit_heads head
             WHERE head.service = 'executor' AND event.service = 'executor' AND event.execution_id = head.chain
               AND event.seq = head.seq",
        )
        .await;
    let broken = archive.broken();
    assert!(broken.contains("executor's chain of execution"), "{broken}");
    archive
        .tamper(
            "UPDATE audit_heads head SET seq = event.seq, link = event.link
             FROM audit_events event
             WHERE head.service = 'executor' AND event.service = 'executor' AND event.execution_id = head.chain
               AND event.seq = head.seq - 1",
        )
        .await;
    let broken = archive.broken();
    assert!(
        broken.contains("events, and"),
        "the seals remember more: {broken}"
    );
    archive
        .tamper("UPDATE audit_seals SET seal = left(seal, -1) WHERE service = 'executor'")
        .await;
    let broken = archive.broken();
    assert!(broken.starts_with("seal 1 of executor (default): "), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_adds_to_its_own_chains_and_does_nothing_else_to_any() {
    let database = launcher::testing::database().await;
    let executor = database.pool(Service::Executor).await;
    let append = |service: &str| {
        AssertSqlSafe(format!(
            "SELECT audit_append('default', '{service}', ARRAY[gen_random_uuid()], ARRAY[NULL], ARRAY[NULL::uuid],
                 ARRAY['a.b'], ARRAY['service:{service}'], ARRAY['{{}}'::jsonb], ARRAY[sha256('x')], now())"
        ))
    };
    let own: i64 = sqlx::query_scalar(append("executor"))
        .fetch_one(&executor)
        .await
        .unwrap();
    assert_eq!(own, 1);
    let refused = sqlx::query(append("verification"))
        .execute(&executor)
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("does not write the audit of verification"),
        "{refused}"
    );
    for statement in [
        "INSERT INTO audit_events (tenant_id, id, service, kind, actor, detail, at)
         VALUES ('default', gen_random_uuid(), 'executor', 'a.b', 'x', '{}', now())",
        "UPDATE audit_events SET kind = 'x'",
        "DELETE FROM audit_events",
        "UPDATE audit_heads SET seq = 0",
        "DELETE FROM audit_seals",
        "SELECT * FROM audit_events",
    ] {
        let refused = sqlx::query(statement).execute(&executor).await;
        assert!(refused.is_err(), "{statement}");
    }
    // What is rolled back leaves no gap.
    let mut transaction = executor.begin().await.unwrap();
    sqlx::query(append("executor"))
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    let both =
        futures::future::join_all((0..20).map(|_| sqlx::query(append("executor")).execute(&executor))).await;
    assert!(both.iter().all(Result::is_ok));
    let places: Vec<i64> = sqlx::query_scalar("SELECT seq FROM audit_events ORDER BY seq")
        .fetch_all(&database.owner().await)
        .await
        .unwrap();
    assert_eq!(places, (1..=21).collect::<Vec<i64>>());
}
