//! `firstline bench`: what a fleet of real processes gets done on this machine, beside what its Postgres gets done on the
//! same disk in the same minute. Disks and neighbours vary tenfold; the ratio of the two hardly does.

mod caller;
mod ends;
mod engine;
mod figures;
mod gate;
mod ground;
mod hearing;
mod history;
mod house;
mod letters;
mod load;
mod patience;
mod probe;
mod report;
mod rig;
mod steps;
mod ticket;
mod usage;
mod verdict;
mod waiting;

use std::time::Duration;

use crate::arguments::{Bench, Part, Subject};
use crate::exit::{BadInput, Ending};
use crate::{logs, terminal};
use figures::{Figures, Load, Machine, Pace};

/// So many at a time, one after the other.
const AT_ONCE: [u32; 4] = [1, 32, 100, 1000];
/// What an open load is measured against, and what a history slows down.
const MIDDLE: u32 = 32;
/// A load runs for so long before the clock does.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long it works before anything is measured, so that there is something to analyse.
const SETTLING: Duration = Duration::from_secs(1);

pub(crate) async fn run(command: &Bench) -> anyhow::Result<Ending> {
    if cfg!(debug_assertions) && !command.debug_build {
        let advice = "this build is not optimised and would measure that: build with `cargo build --release -p firstline` and \
                      run target/release/firstline, or add --debug-build";
        return Err(BadInput(advice.to_owned()).into());
    }
    let log = logs::temporary_file()?;
    let _telemetry = logs::install(Some(&log))?;
    let mut figures = Figures {
        machine: Machine::this(cfg!(debug_assertions)),
        engine: None,
        ticket: None,
        gate: None,
    };
    if matches!(command.subject, None | Some(Subject::Engine)) {
        figures.engine = Some(engine::measure(command).await?);
    }
    if matches!(command.subject, None | Some(Subject::Ticket)) {
        figures.ticket = Some(ticket::measure(command).await?);
    }
    if matches!(command.subject, None | Some(Subject::Gate)) {
        figures.gate = Some(gate::measure(command).await?);
    }
    let verdicts = verdict::of(&figures);
    if command.json {
        terminal::line(&report::json(&figures, &verdicts)?);
    } else {
        terminal::line(&report::text(&figures, &verdicts));
    }
    // Nothing to look into.
    let _ = std::fs::remove_file(log);
    Ok(if figures.unharmed() {
        Ending::Well
    } else {
        Ending::Findings
    })
}

/// Whether `part` is to be measured.
fn wanted(command: &Bench, part: Part) -> bool {
    command.only.is_none_or(|only| only == part)
}

/// Half of what the middle one of `closed` got done: a rate that it can keep.
fn half_of(closed: &[Load]) -> Option<f64> {
    let middle = closed.iter().find(|load| load.pace == Pace::AtOnce(MIDDLE))?;
    Some((middle.per_second / 2.0).max(1.0))
}

/// What is going on, beside the answer.
fn say(text: &str) {
    terminal::complain(text);
}
