//! What can be asked on the command line; `--help` is written here.

mod evaluate;
mod gate;
mod modes;
mod operate;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use url::Url;

pub(crate) use evaluate::{Attacks, Eval, Judging, Reader, Subject as EvalSubject, Tickets, Train};
pub(crate) use gate::{Gate, Model, Replay};
pub(crate) use modes::{Report, Review, Terms};
pub(crate) use operate::{Operate, Scope, Switch, Which};

/// Firstline answers first-line IT support tickets.
///
/// Exit codes: 0 all is well, 1 findings or failure, 2 the input makes no sense.
#[derive(Debug, Parser)]
#[command(name = "firstline", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch three tickets go their ways through a fleet of their own, then look at what remains of each.
    Demo(Demo),
    /// Keep a fleet with a simulated outside world running until Ctrl-C.
    Up(Up),
    /// Tickets: file one in the simulated help desk, and ask why one was decided as it was.
    #[command(subcommand)]
    Ticket(Ticket),
    /// Playbooks: check, publish, activate, look.
    #[command(subcommand)]
    Playbook(Playbook),
    /// Executions: what was done for a ticket, step by step, and what operators do about it.
    #[command(subcommand)]
    Execution(Execution),
    /// Measure how well tickets are told apart, on labelled ones of your own. Needs no fleet.
    ///
    /// Exit codes: 0 measured, whatever the figures; 1 it could not be; 2 a file or an option makes no sense.
    Eval(Eval),
    /// The gate: which tickets are automated, how well that does, and what would change it.
    #[command(subcommand)]
    Gate(Gate),
    /// Measure what gets done on this machine, beside what its Postgres gets done on the same disk in the same minute.
    ///
    /// Starts a fleet of its own: real processes, a private Postgres as durable as it comes out of the box. Exit codes: 0
    /// measured, whatever the figures; 1 something was lost or done twice; 2 the input makes no sense.
    Bench(Bench),
    /// Kill switches: let no step begin, globally, for the tenant or for one playbook.
    #[command(subcommand)]
    Switch(Switch),
    /// Let everything go wrong that can, from a seed, on a fleet of its own; then check what must hold by the world's records.
    ///
    /// Services are killed, Postgres crashes, Redis forgets, vendors are away, slow, or break off after they acted,
    /// webhooks come five times or never. Exit codes: 0 everything holds, 1 something does not, 2 the input makes no sense.
    Torture(Torture),
    /// Keys of a fleet.
    #[command(subcommand)]
    Keys(Keys),
    /// Bring the database to the newest schema and make the service roles. Safe to repeat.
    ///
    /// The password of each role comes from DB_PASSWORD_CLASSIFIER, DB_PASSWORD_PLAYBOOK and so on, or from the file that
    /// DB_PASSWORD_CLASSIFIER_FILE names; a role without one needs a database that trusts it.
    Migrate(Migrate),
    /// The record of who did what: whether it is whole, and what of it proves a ticket's story elsewhere.
    #[command(subcommand)]
    Audit(Audit),
    /// Write what retention has archived to stdout as JSON Lines, the oldest first: `{of, tenant_id, id, archived_at, record}`.
    Archive(Archive),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Show the services' logs too (on stderr) instead of writing them to a file, which is kept only where a ticket
    /// did not end as it should.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) home: Home,
    /// Directory of playbooks (*.yml), loaded at the first start.
    #[arg(long, value_name = "DIR")]
    pub(crate) playbooks: Option<PathBuf>,
    /// Show the services' logs too (on stderr) instead of writing them to a file.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Where `firstline up` keeps what it needs.
#[derive(Debug, Args)]
pub(crate) struct Home {
    /// Directory with database, keys and addresses of the fleet.
    #[arg(long, value_name = "DIR", default_value = ".firstline")]
    pub(crate) data: PathBuf,
}

/// Which fleet is meant: the one of `firstline up` on this machine, or another at an address.
#[derive(Debug, Args)]
pub(crate) struct Fleet {
    #[command(flatten)]
    pub(crate) home: Home,
    /// Address of another fleet's gateway. FIRSTLINE_TOKEN must then hold your OpenID Connect token.
    #[arg(long, value_name = "URL", env = "FIRSTLINE_URL")]
    pub(crate) url: Option<Url>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ticket {
    /// File a ticket in the simulated help desk of `firstline up`.
    New {
        /// E-mail address of the person who writes, for instance adele@contoso.example.
        #[arg(long, value_name = "EMAIL")]
        from: String,
        /// The subject line, for instance "I forgot my password".
        #[arg(value_name = "TEXT")]
        summary: String,
        /// The text below the subject.
        #[arg(long, value_name = "TEXT", default_value = "")]
        details: String,
        #[command(flatten)]
        home: Home,
    },
    /// Why a ticket was automated or left to a person: everything that was looked at, and what would have had to be
    /// different.
    ///
    /// Exit codes: 0 told, 1 the ticket has not been decided on, 2 the input makes no sense.
    Explain {
        /// The ticket's number.
        #[arg(value_name = "TICKET")]
        id: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        fleet: Fleet,
    },
    /// Say whether the decision on a ticket was right. It goes before every other sign, and counts for what playbooks earn.
    Review(Review),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Playbook {
    /// Check playbooks, without a fleet. Every finding has its line and column.
    ///
    /// Exit codes: 0 clean, 1 findings, 2 a file that cannot be read.
    Check {
        /// The documents, and files of scenarios. Playbooks that they call are looked for beside them.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON array with `{file, ok, findings}` for each file.
        #[arg(long)]
        json: bool,
        /// Add an escalation step for each step that is named and not defined. What looks like a slip of the pen is left
        /// to you.
        #[arg(long)]
        fix: bool,
        #[command(flatten)]
        actions: Actions,
    },
    /// Run the scenarios beside playbooks on the state machine that production runs, and report which edges they cover.
    ///
    /// Exit codes: 0 all pass, 1 a scenario fails or the coverage is too low, 2 a file makes no sense.
    Simulate {
        /// The documents; the scenarios of `NAME.yml` are in `NAME.scenarios.yml`, and may be named along with it.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Fail below so many per cent of the edges.
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
        min_coverage: Option<u8>,
        /// Write scenarios for edges that none covers to the end of the scenario file.
        #[arg(long)]
        generate: bool,
        /// Print one JSON array with one object for each file.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        actions: Actions,
    },
    /// Draw a playbook as a picture: SVG, or Mermaid for wikis.
    Draw {
        /// The document; left out, with `--execution`, the one that the execution runs.
        #[arg(value_name = "FILE", required_unless_present = "execution")]
        file: Option<PathBuf>,
        /// Highlight the way that an execution took: the number of its ticket, or its id.
        #[arg(long, value_name = "TICKET|EXECUTION")]
        execution: Option<String>,
        /// What to draw.
        #[arg(long, value_enum, default_value_t = Format::Svg)]
        format: Format,
        /// Write to this file rather than to the terminal.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        actions: Actions,
        #[command(flatten)]
        fleet: Fleet,
    },
    /// Tell in words what changed from one version of a playbook to another, what matters for security first.
    Diff {
        /// The older document.
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The newer one.
        #[arg(value_name = "NEW")]
        new: PathBuf,
        #[command(flatten)]
        actions: Actions,
    },
    /// Publish a playbook. A version that is published never changes.
    Publish {
        /// The document.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        fleet: Fleet,
    },
    /// Make a version the one that new executions get.
    Activate {
        /// The playbook's `name`.
        name: String,
        /// One of its versions.
        version: String,
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        fleet: Fleet,
    },
    /// Give new executions no version of it. Running ones go on with theirs.
    Deactivate {
        /// The playbook's `name`.
        name: String,
        #[command(flatten)]
        fleet: Fleet,
    },
    /// All active playbooks.
    List {
        #[command(flatten)]
        fleet: Fleet,
    },
    /// One playbook: its versions and its source.
    Show {
        /// The playbook's `name`.
        name: String,
        /// This version rather than the active one.
        #[arg(long)]
        version: Option<String>,
        #[command(flatten)]
        fleet: Fleet,
    },
}

/// What playbooks may call beside what the fleet offers.
#[derive(Debug, Args)]
pub(crate) struct Actions {
    /// File of the actions of your own services.
    #[arg(long, value_name = "FILE", env = "STEP_ACTIONS_FILE")]
    pub(crate) actions: Option<PathBuf>,
}

/// How a playbook is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A picture that every browser shows.
    Svg,
    /// A text that many wikis and GitHub show as a picture.
    Mermaid,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Execution {
    /// The newest executions.
    List {
        #[command(flatten)]
        fleet: Fleet,
    },
    /// One execution, step by step.
    Show {
        /// The number of a ticket, or the id of an execution.
        #[arg(value_name = "TICKET|EXECUTION")]
        id: String,
        #[command(flatten)]
        fleet: Fleet,
    },
    /// Let no step of it begin until it is resumed. A call under way is heard, whoever was asked may still answer, and its
    /// time goes on.
    Pause {
        #[command(flatten)]
        operate: Operate,
    },
    /// Let it go on from where it stood.
    Resume {
        #[command(flatten)]
        operate: Operate,
    },
    /// End it: no further step begins, what was done and can be taken back is taken back, and a person takes over.
    ///
    /// A reason must be given.
    Cancel {
        #[command(flatten)]
        operate: Operate,
    },
    /// Try the step that failed again, or at once what waits for an outside system.
    ///
    /// Refused where something was taken back, where nobody knows whether a privileged step was done, where its proof is
    /// spent, and where somebody else has the ticket.
    Retry {
        #[command(flatten)]
        operate: Operate,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What is measured; left out, all of it.
    #[arg(value_enum)]
    pub(crate) subject: Option<Subject>,
    /// Measure this part only.
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Option<Part>,
    /// How long each load lasts. A short one is mostly what a fleet does only once: 5 show a fifth less than 20.
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Executions or tickets a second of the open loop; left out, half of what the closed loop with 32 got done, and 15
    /// for the gate.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Executions or tickets that wait for an approval at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) waiting: u32,
    /// Finished executions or tickets that lie in the tables for the part `history`.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) history: u32,
    /// Print the figures as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Measure a build that is not optimised, too: its figures say nothing about a release.
    #[arg(long)]
    pub(crate) debug_build: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// Three steps of a service that answers at once, from `execute_playbook` to the end of the execution.
    Engine,
    /// The whole way of a ticket, from the help desk's webhook to the last write-back, through all six services.
    Ticket,
    /// The classifier alone, with the embedded classifier and every playbook in shadow mode: from the help desk's webhook to
    /// the stored decision.
    Gate,
}

/// A part of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// 1, 32, 100 and 1,000 at a time; each is followed by the next.
    Closed,
    /// A fixed number a second, whatever becomes of them.
    Open,
    /// Many wait for an approval; then all are released.
    Waiting,
    /// 1,000 in flight when orchestration is killed.
    Recovery,
    /// Many have finished long ago.
    History,
    /// 1,000 tickets at once, for the gate.
    Burst,
}

#[derive(Debug, Args)]
pub(crate) struct Torture {
    /// How long there is trouble; parts of a minute may be given (0.5).
    #[arg(long, value_name = "MINUTES", default_value = "2", value_parser = minutes)]
    pub(crate) minutes: Duration,
    /// The storm follows from it; left out, it is another one each time.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// How many tickets are filed meanwhile; left out, one a second.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tickets: Option<u32>,
}

/// A day at most: passes of the beginning would otherwise have run out, and much else.
fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1440.0 => Ok(Duration::from_secs_f64(minutes * 60.0)),
        _ => Err("a number of minutes, up to 1440".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make the keys of a fleet: {service}.key for each of the six, trusted.json, seal.key, seal.pub. Existing keys are
    /// never overwritten.
    Init {
        /// Where to; made where it is missing, for its owner only.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Show every key: whose it is, its id, whether it signs, is trusted, replaced or retired, since when, and the file
    /// with its permissions. What is wrong is said with how to mend it (exit code 1).
    Show {
        /// A directory made by `firstline keys init`, or a part of one.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Replace a key while the fleet runs: without an option the new key is made and listed, then `--switch`, then
    /// `--finish`. Each step may be repeated.
    ///
    /// Between two steps every service must have read the changed files: they do so by themselves, and `/readyz` says
    /// under `keys` which list they trust and which key they sign with. `firstline keys show` prints the same.
    Rotate(RotateKey),
}

#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    /// classifier, playbook, orchestration, verification, executor or delivery for the key that it signs with; `seal`
    /// for the key that delivery opens with.
    #[arg(value_name = "SERVICE")]
    pub(crate) what: String,
    /// A directory made by `firstline keys init`.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Use the new key from now on.
    #[arg(long, conflicts_with = "finish")]
    pub(crate) switch: bool,
    /// Give up the old key; refused for as long as what it signed may still be on its way. Retired keys stay listed, for
    /// reading the audit.
    #[arg(long)]
    pub(crate) finish: bool,
    /// Do not wait: somebody else has the old key. Calls, permits and credentials under way fail.
    #[arg(long, requires = "finish")]
    pub(crate) at_once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Address of the database as its owner, who may create roles.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check every event, link and signature: of a whole database, or of one file of evidence with public keys alone.
    ///
    /// What no service has signed is not proven: events of the last minute may be unsigned, older ones are a finding.
    ///
    /// Exit codes: 0 whole and signed, 1 broken or unproven (the first thing that is, is named), 2 the input makes no sense.
    Verify {
        /// A file that `audit export` wrote. Without it the database is checked.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        record: Record,
    },
    /// Write everything that was recorded about a ticket into one file, with the seals that prove it.
    ///
    /// What was written in the last seconds may not be signed yet. It is in the file, and proves nothing: export it again
    /// before you hand it on.
    Export {
        /// The ticket's number at the help desk.
        #[arg(value_name = "TICKET")]
        ticket: String,
        /// Whose ticket.
        #[arg(long, value_name = "TENANT", env = "TENANT_ID", default_value = "default")]
        tenant: String,
        /// Where to write; without it, to stdout.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        record: Record,
    },
}

/// Whose record: the one of `firstline up` on this machine, or another database's.
#[derive(Debug, Args)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(crate) home: Home,
    /// Address of another database, as its owner or as anybody who may read the audit.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The public keys of its fleet; those of `firstline up` where that is meant.
    #[arg(long, value_name = "FILE", env = "TRUSTED_KEYS_FILE")]
    pub(crate) keys: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Archive {
    /// Address of the database as its owner, who may create roles.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_playbooks_switch_takes_its_name_and_every_switch_a_reason() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        assert!(parse("firstline switch off global --reason Odd").is_ok());
        assert!(parse("firstline switch on playbook password_reset --reason Mended").is_ok());
        for nonsense in [
            "firstline switch off global",
            "firstline switch off playbook --reason Odd",
            "firstline switch off everything --reason Odd",
        ] {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
    }
}
