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

    /// The file of a ticket, as text.
    fn exported(&self, ticket: i64) -> String {
        let file = self.directory.path().join("evidence.json");
        let out = file.display().to_string();
        let ran = self.firstline(&["audit", "export", &ticket.to_string(), "--out", &out]);
        assert!(ran.status.success(), "{ran:?}");
        std::fs::read_to_string(&file).unwrap()
    }

    /// What an auditor elsewhere is told of such a file.
    fn checked_elsewhere(&self, evidence: &Value) -> (Option<i32>, String) {
        let file = self.directory.path().join("shown.json");
        std::fs::write(&file, evidence.to_string()).unwrap();
        elsewhere(&file, &self.keys())
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

/// The records of a kind in a file of evidence.
fn records_of<'e>(evidence: &'e mut Value, holds: &str) -> Vec<&'e mut Value> {
    let records = evidence["records"].as_array_mut().unwrap();
    records
        .iter_mut()
        .filter(|record| record["holds"] == holds)
        .collect()
}

/// What somebody does to a record.
type Change = fn(&mut Value);

#[tokio::test(flavor = "multi_thread")]
async fn the_words_and_the_states_are_in_the_evidence_and_none_of_them_can_be_changed_or_taken_out() {
    let (archive, ticket) = Archive::of_two_tickets().await;
    archive.sealed().await;
    let sound: Value = serde_json::from_str(&archive.exported(ticket)).unwrap();
    let (code, told) = archive.checked_elsewhere(&sound);
    assert_eq!(code, Some(0), "{told}");

    // Every note that stands on the ticket, word for word.
    let mut copy = sound.clone();
    let notes: Vec<String> = records_of(&mut copy, "note")
        .into_iter()
        .map(|record| record["content"].as_str().unwrap().to_owned())
        .collect();
    assert!(notes.len() > 2, "{notes:?}");
    // The help desk keeps no blank lines.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let standing = archive.fleet.world().halo().ticket(ticket).unwrap().notes;
    for note in &notes {
        let stands = standing
            .iter()
            .any(|on_ticket| words(&on_ticket.text).contains(&words(note)));
        assert!(stands, "{note}\nin {standing:#?}");
    }
    let before = records_of(&mut copy, "state_before")[0].clone();
    assert_eq!(before["content"]["account_enabled"], true, "{before}");
    let mobile = before["content"]["mobile"].as_str().unwrap();
    assert!(mobile.contains('•'), "{mobile}");
    let after = records_of(&mut copy, "state_after")[0].clone();
    assert!(after["content"]["pass"]["id"].is_string(), "{after}");
    assert!(
        !records_of(&mut copy, "reasoning")[0]["content"]
            .as_str()
            .unwrap()
            .is_empty()
    );

    let changes: [(&str, &str, Change); 4] = [
        ("note", "the words of the note", |content| {
            *content = Value::from(content.as_str().unwrap().replacen(' ', " not ", 1));
        }),
        ("reasoning", "the reasoning", |content| {
            *content = Value::from(format!("{}.", content.as_str().unwrap()));
        }),
        ("state_before", "the state before", |content| {
            content["guest"] = true.into();
        }),
        ("state_after", "the state after", |content| {
            content["pass"]["lifetime_minutes"] = 480.into();
        }),
    ];
    for (holds, named, change) in changes {
        let mut changed = sound.clone();
        change(&mut records_of(&mut changed, holds)[0]["content"]);
        let (code, told) = archive.checked_elsewhere(&changed);
        assert_eq!(code, Some(1), "{holds}: {told}");
        assert!(told.starts_with(&format!("BROKEN  {named} of event ")), "{told}");
        assert!(told.contains("was changed after it was written down"), "{told}");

        let mut without = sound.clone();
        let records = without["records"].as_array_mut().unwrap();
        let nth = records
            .iter()
            .position(|record| record["holds"] == holds)
            .unwrap();
        records.remove(nth);
        let (code, told) = archive.checked_elsewhere(&without);
        assert_eq!(code, Some(1), "{holds}: {told}");
        assert!(told.starts_with(&format!("BROKEN  {named} of event ")), "{told}");
        assert!(told.contains("was taken out of the file"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_is_in_the_evidence_and_what_was_erased_is_said_to_be() {
    let (archive, ticket) = Archive::of_two_tickets().await;
    archive.sealed().await;
    let sound = archive.exported(ticket);
    archive
        .tamper(
            "INSERT INTO archived_executions (tenant_id, id, ticket_id, decision_id, ended_at, record)
             SELECT tenant_id, id, ticket_id, decision_id, ended_at, jsonb_build_object('updates', (
                 SELECT jsonb_agg(to_jsonb(update)) FROM ticket_updates update WHERE update.execution_id = execution.id
             ))
             FROM playbook_executions execution",
        )
        .await;
    archive.tamper("DELETE FROM ticket_updates").await;
    assert_eq!(archive.exported(ticket), sound, "the archive has the same words");

    for erasure in [
        "DELETE FROM archived_executions",
        "UPDATE classification_results SET reasoning = ''",
        "UPDATE effects SET state_before = NULL",
    ] {
        archive.tamper(erasure).await;
    }
    let mut erased: Value = serde_json::from_str(&archive.exported(ticket)).unwrap();
    for holds in ["state_before", "reasoning"] {
        assert_eq!(records_of(&mut erased, holds)[0]["not_kept"], "erased");
    }
    for note in records_of(&mut erased, "note") {
        assert_eq!(note["not_kept"], "row_gone");
    }
    let (code, told) = archive.checked_elsewhere(&erased);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("of their records were erased before this was exported"),
        "{told}"
    );
    assert!(
        told.contains("not in the database any more when this was exported"),
        "{told}"
    );
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
