//! A decision that somebody asks about, and decisions made again with something changed, on a fleet as it runs.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::process::{Command, Output};

use common::Service;
use launcher::testing::{TestFleet, TestFleetSettings, seen_within};
use serde_json::Value;

const ADELE: &str = "adele@contoso.example";
const DIEGO: &str = "diego@contoso.example";

struct Desk {
    fleet: TestFleet,
    automated: i64,
    disabled: i64,
}

impl Desk {
    /// A fleet that has decided on three tickets.
    async fn of_three_tickets() -> Self {
        let fleet = TestFleet::with(TestFleetSettings::default()).await;
        let automated = fleet.file_ticket(ADELE, "I forgot my password");
        let disabled = fleet.file_ticket(DIEGO, "I forgot my password");
        fleet.file_ticket("alex@contoso.example", "My laptop screen is broken");
        let decided = seen_within(std::time::Duration::from_mins(1), async || {
            let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM classification_results")
                .fetch_one(fleet.owner())
                .await
                .unwrap();
            (count == 3).then_some(())
        });
        decided.await.expect("three decisions in time");
        Self {
            fleet,
            automated,
            disabled,
        }
    }

    fn firstline(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_firstline"))
            .args(arguments)
            .env("DATABASE_URL", self.fleet.database.owner_url().as_str())
            .env(
                "FIRSTLINE_URL",
                self.fleet.fleet.url(Service::Classifier).as_str(),
            )
            .env(
                "FIRSTLINE_TOKEN",
                self.fleet
                    .world()
                    .token_for("megan@contoso.example", &["operator"]),
            )
            .env_remove("OPENAI_API_KEY")
            .output()
            .unwrap()
    }

    fn replay(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let ran = self.firstline(&[&["gate", "replay", "--json"], arguments].concat());
        let told = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)));
        (ran.status.code(), told)
    }
}

fn shipped() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    folder.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_can_be_asked_why_and_made_again() {
    let desk = Desk::of_three_tickets().await;
    a_decision_is_told(&desk);
    with_nothing_changed_nothing_differs(&desk);
    another_threshold_is_another_decision(&desk);
    other_playbooks_are_other_decisions(&desk);
    slips_are_named(&desk);
}

fn a_decision_is_told(desk: &Desk) {
    let told = desk.firstline(&["ticket", "explain", &desk.disabled.to_string()]);
    let page = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{page}");
    for line in [
        "✗ is their account enabled? No: the requester's account is disabled [account_disabled]",
        "✓ is the ticket open?",
        "REQUEST / PASSWORD_RESET",
        "1. the requester's account would have to be enabled",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let told = desk.firstline(&["ticket", "explain", "--json", &desk.automated.to_string()]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["automated"], true);
    assert!(told["considered"]["checks"].as_array().unwrap().len() > 10);
    assert_eq!(
        desk.firstline(&["ticket", "explain", "999999"]).status.code(),
        Some(1)
    );
}

fn with_nothing_changed_nothing_differs(desk: &Desk) {
    let shipped = shipped();
    for unchanged in [
        vec![],
        vec!["--model", "embedded"],
        vec!["--playbooks", &shipped],
        vec!["--threshold", "0.85", "--fail-on-change"],
    ] {
        let (code, told) = desk.replay(&unchanged);
        assert_eq!(code, Some(0), "{unchanged:?}: {told}");
        assert_eq!(
            (&told["decisions"], &told["same"]),
            (&3.into(), &3.into()),
            "{unchanged:?}: {told}"
        );
    }
}

fn another_threshold_is_another_decision(desk: &Desk) {
    let (code, told) = desk.replay(&["--threshold", "1"]);
    assert_eq!(code, Some(0));
    assert_eq!(told["totals"]["would_be_left_to_a_person"], 1, "{told}");
    let differing = told["differ"].as_array().unwrap();
    let of = |ticket: i64| {
        differing
            .iter()
            .find(|one| one["ticket_id"] == *ticket.to_string())
            .unwrap()
    };
    assert_eq!(
        of(desk.automated)["after"]["blockers"][0]["code"],
        "below_threshold"
    );
    assert!(
        of(desk.automated)["why"][0]
            .as_str()
            .unwrap()
            .starts_with("now against it")
    );
    let failed = desk.firstline(&["gate", "replay", "--threshold", "1", "--fail-on-change"]);
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8(failed.stdout).unwrap();
    assert!(
        text.contains("Nothing was written.") && text.contains("-> left to a person"),
        "{text}"
    );
}

fn other_playbooks_are_other_decisions(desk: &Desk) {
    let folder = tempfile::tempdir().unwrap();
    let source = std::fs::read_to_string(format!("{}/password_reset.yml", shipped())).unwrap();
    let source = source.replace(
        "enabled: true\n",
        "enabled: true\ntrigger:\n  on: [status_changed]\n",
    );
    std::fs::write(folder.path().join("password_reset.yml"), source).unwrap();
    let (_, told) = desk.replay(&["--playbooks", &folder.path().display().to_string()]);
    assert_eq!(told["totals"]["would_be_left_to_a_person"], 1, "{told}");
}

fn slips_are_named(desk: &Desk) {
    for (slip, words) in [
        (["--threshold", "85"], "between 0 and 1"),
        (["--since", "yesterday"], "30d"),
        (["--playbooks", "/nowhere"], "no folder with playbooks"),
        (["--model", "openai"], "OPENAI_API_KEY"),
    ] {
        let ran = desk.firstline(&[&["gate", "replay"], slip.as_slice()].concat());
        assert_eq!(ran.status.code(), Some(2), "{slip:?}");
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(said.contains(words), "{slip:?}: {said}");
    }
}
