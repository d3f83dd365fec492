//! What operators do by hand, on a fleet as it runs: every verb and every switch, what people read, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use common::{ExecutionId, ExecutionStatus, ExecutionView, Service};
use launcher::testing::{TestFleet, TestFleetSettings, seen_within};
use regex::Regex;
use simulators::entra::Push;
use simulators::{System, WorldSettings};

const ADELE: &str = "adele@contoso.example";
const ALEX: &str = "alex@contoso.example";
const SOON: Duration = Duration::from_mins(1);

/// A fleet, a person before it, and what they typed and read.
struct Terminal {
    fleet: TestFleet,
    transcript: String,
}

impl Terminal {
    /// A fleet whose people answer at once or never, and that looks after an outside system only where somebody asks.
    async fn open() -> Self {
        let patient = [("MFA_TIMEOUT_S", "300"), ("CIRCUIT_PROBE_S", "600")];
        let fleet = TestFleet::with(TestFleetSettings {
            world: WorldSettings {
                think: Duration::from_millis(20),
                ..WorldSettings::default()
            },
            settings: patient
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..TestFleetSettings::default()
        })
        .await;
        Self {
            fleet,
            transcript: String::new(),
        }
    }

    /// Say what comes next.
    fn chapter(&mut self, title: &str) {
        writeln!(self.transcript, "# {title}\n").unwrap();
    }

    /// Type it as an operator, and read it.
    fn types(&mut self, line: &str) {
        self.types_as(&["operator"], line);
    }

    /// Type it as somebody with these roles.
    fn types_as(&mut self, roles: &[&str], line: &str) {
        let token = self.fleet.world().token_for("megan@contoso.example", roles);
        let ran = Command::new(env!("CARGO_BIN_EXE_firstline"))
            .args(words(line))
            .env(
                "FIRSTLINE_URL",
                self.fleet.fleet.url(Service::Orchestration).as_str(),
            )
            .env("FIRSTLINE_TOKEN", token)
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8(ran.stdout).unwrap(),
            String::from_utf8(ran.stderr).unwrap(),
        );
        writeln!(self.transcript, "$ firstline {line}").unwrap();
        for told in [out, err].iter().filter(|told| !told.is_empty()) {
            writeln!(self.transcript, "{}", told.trim_end()).unwrap();
        }
        let code = ran.status.code().unwrap();
        writeln!(self.transcript, "[exit {code}]\n").unwrap();
    }

    /// Wait until the execution of `ticket` is as wanted.
    async fn sees(&self, ticket: i64, wanted: impl Fn(&ExecutionView) -> bool) -> ExecutionId {
        let seen = seen_within(SOON, async || self.fleet.execution(ticket).await.filter(&wanted));
        let Some(view) = seen.await else {
            panic!("not as wanted: {:#?}", self.fleet.execution(ticket).await);
        };
        view.execution_id
    }

    async fn waits_for_somebody(&self, ticket: i64) -> ExecutionId {
        self.sees(ticket, |view| view.status == ExecutionStatus::Waiting)
            .await
    }
}

/// As a shell would take it apart.
fn words(line: &str) -> Vec<String> {
    let word = Regex::new(r#""([^"]*)"|(\S+)"#).unwrap();
    let words = word.captures_iter(line);
    words
        .map(|word| word.get(1).or(word.get(2)).unwrap().as_str().to_owned())
        .collect()
}

/// What differs from run to run, by what it is.
fn masked(transcript: &str) -> String {
    let masks = [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<an id>"),
        (r"[0-9a-f]{64}", "<a digest>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<a moment>"),
        (r"password_reset \d+\.\d+", "password_reset <a version>"),
        (r"127\.0\.0\.1:\d+", "<an address>"),
    ];
    masks.iter().fold(transcript.to_owned(), |text, (pattern, name)| {
        Regex::new(pattern)
            .unwrap()
            .replace_all(&text, *name)
            .into_owned()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_hold_end_and_repeat_executions_from_the_command_line() {
    let mut terminal = Terminal::open().await;
    switches_are_put_and_told(&mut terminal);
    an_execution_is_paused_resumed_and_cancelled(&mut terminal).await;
    what_waits_for_the_outside_is_tried_at_once(&mut terminal).await;
    slips_and_strangers_are_told(&mut terminal);
    insta::assert_snapshot!(masked(&terminal.transcript));
}

fn switches_are_put_and_told(terminal: &mut Terminal) {
    terminal.chapter("Switches, before anything was executed");
    for line in [
        "execution list",
        "switch list",
        r#"switch off playbook password_reset --reason "The directory behaves oddly.""#,
        r#"switch off tenant --reason "The directory behaves oddly.""#,
        r#"switch off global --reason "So do all others.""#,
        "switch list",
        r#"switch on global --reason "They do not.""#,
        r#"switch on tenant --reason "It is mended.""#,
        r#"switch on playbook password_reset --reason "It is mended.""#,
        r#"switch on playbook password_reset --reason "It was so already.""#,
        "switch list",
    ] {
        terminal.types(line);
    }
}

async fn an_execution_is_paused_resumed_and_cancelled(terminal: &mut Terminal) {
    terminal.chapter("Somebody is asked, and does not answer");
    terminal.fleet.world().entra().push(ADELE, Push::no_answer());
    let ticket = terminal.fleet.file_ticket(ADELE, "I can't log in");
    let id = terminal.waits_for_somebody(ticket).await;
    terminal.types("execution list");
    terminal.types(&format!("execution show {ticket}"));
    terminal.types(&format!(
        r#"execution pause {ticket} --reason "Asked by the user.""#
    ));
    terminal.types(&format!("execution pause {ticket}"));
    terminal.types(&format!("execution show {id}"));
    terminal.types("execution list");
    terminal.types(&format!("execution retry {ticket}"));
    terminal.types(&format!("execution resume {id}"));
    terminal.types(&format!("execution cancel {ticket}"));
    terminal.types(&format!(
        r#"execution cancel #{ticket} --reason "It is the wrong ticket.""#
    ));
    terminal.fleet.wait_for_end(ticket).await;
    terminal.types(&format!("execution show {ticket}"));
    for verb in ["pause", "resume", "retry"] {
        terminal.types(&format!("execution {verb} {ticket}"));
    }
}

async fn what_waits_for_the_outside_is_tried_at_once(terminal: &mut Terminal) {
    terminal.chapter("The SMS gateway is away, comes back, and nobody would look for ten minutes");
    terminal.fleet.world().faults(System::Twilio).outage(true);
    let ticket = terminal.fleet.file_ticket(ALEX, "I can't log in");
    let parked = |view: &ExecutionView| {
        let told = view
            .steps
            .last()
            .map(|step| step.explanation.contains("SMS gateway"));
        view.status == ExecutionStatus::Waiting && told == Some(true)
    };
    terminal.sees(ticket, parked).await;
    terminal.fleet.world().faults(System::Twilio).outage(false);
    terminal.types(&format!(r#"execution retry {ticket} --reason "It is back.""#));
    terminal.fleet.wait_for_end(ticket).await;
    terminal.types(&format!("execution show {ticket}"));
    terminal.types("execution list");
}

fn slips_and_strangers_are_told(terminal: &mut Terminal) {
    terminal.chapter("Slips, and people who may not");
    let nobody = "0199a7c0-0000-7000-8000-000000000002";
    for line in [
        "execution show somewhere",
        "execution pause 999999",
        &format!("execution show {nobody}"),
        &format!("execution pause {nobody}"),
        "switch off tenant password_reset --reason Odd.",
        "switch off playbook --reason Odd.",
        "switch off tenant",
    ] {
        terminal.types(line);
    }
    for line in [
        &format!("execution pause {nobody}"),
        "switch off tenant --reason Odd.",
        "switch list",
    ] {
        terminal.types_as(&["auditor"], line);
    }
}
