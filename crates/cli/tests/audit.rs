//! The record of who did what, after a ticket went its way: whole, provable elsewhere, and no change of it goes unseen.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use common::Service;
use launcher::testing::{TestFleet, TestFleetSettings, seen_within};
use serde_json::{Value, json};
use simulators::WorldSettings;
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::TrustedKeys;
use trust::audit::{Event, Hash, Seal};
use uuid::Uuid;

const ADELE: &str = "adele@contoso.example";
const ALEX: &str = "alex@contoso.example";

/// Seals are made every few seconds.
const SEALED_WITHIN: Duration = Duration::from_mins(1);

#[derive(sqlx::FromRow)]
struct Rewritten {
    tenant_id: String,
    id: Uuid,
    ticket_id: Option<String>,
    execution_id: Option<Uuid>,
    kind: String,
    detail: Value,
    at: OffsetDateTime,
    seq: i64,
}

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

    /// All events of `service` an hour earlier and saying something else, linked anew, and none of its seals left: what
    /// whoever owns the database, and no key, can do.
    async fn rewrite(&self, service: Service) {
        let owner = self.fleet.owner();
        let rows: Vec<Rewritten> = sqlx::query_as(
            "SELECT tenant_id, id, ticket_id, execution_id, kind, detail, at, seq
             FROM audit_events
             WHERE service = $1
             ORDER BY execution_id, seq",
        )
        .bind(service.name())
        .fetch_all(owner)
        .await
        .unwrap();
        let mut ends: BTreeMap<Option<Uuid>, Hash> = BTreeMap::new();
        for row in rows {
            let event = Event {
                tenant: row.tenant_id.parse().unwrap(),
                service,
                id: row.id,
                ticket: row.ticket_id,
                execution: row.execution_id,
                kind: row.kind,
                actor: "person:somebody".to_owned(),
                detail: row.detail,
                at: row.at - Duration::from_hours(1),
            };
            let digest = event.digest().unwrap();
            let end = ends.entry(event.execution).or_insert(Hash::NONE);
            *end = end.then(digest);
            sqlx::query("UPDATE audit_events SET actor = $2, at = $3, digest = $4, link = $5 WHERE id = $1")
                .bind(event.id)
                .bind(&event.actor)
                .bind(event.at)
                .bind(digest.0)
                .bind(end.0)
                .execute(owner)
                .await
                .unwrap();
            sqlx::query("UPDATE audit_heads SET link = $3 WHERE service = $1 AND chain = $2 AND seq = $4")
                .bind(service.name())
                .bind(event.execution.unwrap_or_default())
                .bind(end.0)
                .bind(row.seq)
                .execute(owner)
                .await
                .unwrap();
        }
        sqlx::query("DELETE FROM audit_seals WHERE service = $1")
            .bind(service.name())
            .execute(owner)
            .await
            .unwrap();
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

/// A file of evidence but for when it was exported.
fn of_no_time(evidence: &str) -> Value {
    let mut evidence: Value = serde_json::from_str(evidence).unwrap();
    evidence["exported_at"].take();
    evidence
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

/// The service that signed a seal.
fn signed_by(seal: &Value, trusted: &TrustedKeys) -> Service {
    Seal::open(seal.as_str().unwrap(), trusted).unwrap().iss
}

/// A file as of a time, with some of its seals.
fn shown(sound: &Value, exported_at: OffsetDateTime, seals: impl Fn(&Value) -> bool) -> Value {
    let mut shown = sound.clone();
    shown["exported_at"] = exported_at.format(&Rfc3339).unwrap().into();
    shown["seals"].as_array_mut().unwrap().retain(seals);
    shown
}

/// What anybody can write about a ticket: links need no key. With the seals of a real file.
fn invented(sound: &Value, ticket: i64) -> Value {
    let event = Event {
        tenant: "default".parse().unwrap(),
        service: Service::Verification,
        id: Uuid::now_v7(),
        ticket: Some(ticket.to_string()),
        execution: None,
        kind: "permit.issued".to_owned(),
        actor: "service:verification".to_owned(),
        detail: json!({}),
        at: OffsetDateTime::now_utc(),
    };
    let digest = event.digest().unwrap();
    let entry = json!({"seq": 1, "digest": digest, "link": Hash::NONE.then(digest), "event": event});
    let mut invented = shown(sound, event.at, |_| true);
    invented["records"] = json!([]);
    invented["stretches"] = json!([{
        "service": "verification", "execution": null, "after": {"seq": 0, "link": Hash::NONE}, "entries": [entry],
    }]);
    invented
}

/// A file without what `service` wrote of its executions, and without the records of that; all of its stretches go where
/// its seals went too, or they would begin where nobody signed.
fn without(sound: &Value, service: Service, seals_too: Option<&TrustedKeys>) -> Value {
    let mut without = sound.clone();
    if let Some(trusted) = seals_too {
        let seals = without["seals"].as_array_mut().unwrap();
        seals.retain(|seal| signed_by(seal, trusted) != service);
    }
    let mut gone = vec![];
    without["stretches"].as_array_mut().unwrap().retain(|stretch| {
        let of_execution = !stretch["execution"].is_null();
        let goes = stretch["service"] == service.name() && (of_execution || seals_too.is_some());
        if goes {
            let entries = stretch["entries"].as_array().unwrap().iter();
            gone.extend(entries.map(|entry| entry["event"]["id"].clone()));
        }
        !goes
    });
    let records = without["records"].as_array_mut().unwrap();
    records.retain(|record| !gone.contains(&record["event"]));
    without
}

impl Archive {
    /// The file is found to be that, with these words.
    fn is_found(&self, found: &str, evidence: &Value, words: &str) {
        let (code, told) = self.checked_elsewhere(evidence);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.starts_with(found) && told.contains(words), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_proves_what_is_signed_in_it_whole_and_of_its_own_ticket() {
    let (archive, ticket) = Archive::of_two_tickets().await;
    let early = archive.exported(ticket);
    assert!(
        early.contains("execution.ended"),
        "unsigned or not, it is exported"
    );
    archive.sealed().await;
    let sound: Value = serde_json::from_str(&archive.exported(ticket)).unwrap();
    let trusted = TrustedKeys::from_json(&std::fs::read(archive.keys()).unwrap()).unwrap();

    let nobody = "no service signed for any event of this file";
    let mut invented = invented(&sound, ticket);
    archive.is_found("UNPROVEN  ", &invented, nobody);
    invented["seals"] = json!([]);
    archive.is_found("UNPROVEN  ", &invented, nobody);
    invented["stretches"] = json!([]);
    archive.is_found("UNPROVEN  ", &invented, nobody);

    // All that a service wrote, taken out: the others tell of it, and its seals where they are left.
    for service in [
        Service::Verification,
        Service::Executor,
        Service::Delivery,
        Service::Orchestration,
    ] {
        let with_seals = without(&sound, service, None);
        archive.is_found(
            "BROKEN  ",
            &with_seals,
            "a seal of the file says that there is one",
        );
        let wholly = without(&sound, service, Some(&trusted));
        archive.is_found("BROKEN  ", &wholly, &format!("{service}'s chain of execution "));
        archive.is_found("BROKEN  ", &wholly, " is missing: event ");
    }
    let mut cut = sound.clone();
    let stretches = cut["stretches"].as_array_mut().unwrap().iter_mut();
    let mut of_executor = stretches.filter(|stretch| stretch["service"] == "executor");
    let entries = of_executor.next().unwrap()["entries"].as_array_mut().unwrap();
    entries.pop();
    archive.is_found("BROKEN  ", &cut, "the chain has ");

    // Of another ticket than it says.
    let mut other = sound.clone();
    other["ticket"] = (ticket + 1).to_string().into();
    let words = format!("is of ticket {ticket}, and the file is said to be of ticket");
    archive.is_found("BROKEN  ", &other, &words);

    // What was written in the seconds before the export may be unsigned; what is older was to be signed.
    let exported_at = OffsetDateTime::parse(sound["exported_at"].as_str().unwrap(), &Rfc3339).unwrap();
    let of_others = |seal: &Value| signed_by(seal, &trusted) != Service::Delivery;
    let (code, told) = archive.checked_elsewhere(&shown(&sound, exported_at, of_others));
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("  not signed yet  delivery  delivery.done  "),
        "{told}"
    );
    assert!(
        told.contains("they prove nothing until it is exported again"),
        "{told}"
    );
    let later = exported_at + Duration::from_mins(5);
    let unsigned = shown(&sound, later, of_others);
    archive.is_found("UNPROVEN  ", &unsigned, "delivery's chain of execution ");
    archive.is_found("UNPROVEN  ", &unsigned, "nobody signed for event ");
    let (code, told) = archive.checked_elsewhere(&shown(&sound, later, |_| true));
    assert_eq!(code, Some(0), "what is signed may be of any age: {told}");
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
    assert_eq!(
        of_no_time(&archive.exported(ticket)),
        of_no_time(&sound),
        "the archive has the same words"
    );

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
async fn what_no_seal_covers_is_no_record_once_there_was_time_to_sign_it() {
    let (archive, _) = Archive::of_two_tickets().await;
    archive.sealed().await;
    archive.rewrite(Service::Verification).await;
    let (whole, told) = archive.verify();
    assert!(!whole, "{told}");
    assert!(told["broken"].is_null(), "every link holds: {told}");
    let unproven = told["unproven"].as_str().unwrap();
    assert!(
        unproven.starts_with("nobody signed for these events"),
        "{unproven}"
    );
    assert!(
        unproven.contains(" of verification (from event 1 of verification's chain"),
        "{unproven}"
    );
    assert!(!unproven.contains(" of executor"), "{unproven}");

    // Nor is what stands beside the chains.
    archive
        .tamper(
            "UPDATE audit_events SET seq = NULL, link = NULL, digest = NULL, at = now() WHERE kind = 'verification.ended'",
        )
        .await;
    archive
        .tamper("DELETE FROM audit_events WHERE service = 'verification' AND seq IS NOT NULL")
        .await;
    archive
        .tamper("DELETE FROM audit_heads WHERE service = 'verification'")
        .await;
    let broken = archive.broken();
    assert!(broken.contains("an event after that stands in none"), "{broken}");
    for change in [
        "UPDATE audit_events SET seq = NULL, link = NULL, digest = NULL",
        "DELETE FROM audit_heads",
        "DELETE FROM audit_seals",
    ] {
        archive.tamper(change).await;
    }
    let (whole, told) = archive.verify();
    assert!(!whole, "{told}");
    let unproven = told["unproven"].as_str().unwrap();
    assert!(unproven.contains("stands in a chain"), "{unproven}");
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
    let append_with = |service: &str, digest: &str| {
        AssertSqlSafe(format!(
            "SELECT audit_append('default', '{service}', ARRAY[ROW(gen_random_uuid(), NULL, NULL, 'a.b', 'service:{service}',
                 '{{}}'::jsonb, {digest})::audit_entry], now())"
        ))
    };
    let append = |service: &str| append_with(service, "sha256('x')");
    for no_digest in ["'short'::bytea", "NULL::bytea"] {
        let refused = sqlx::query(append_with("executor", no_digest))
            .execute(&executor)
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("is not one of SHA-256"), "{refused}");
    }
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
