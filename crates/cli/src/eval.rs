//! `firstline eval`: how well tickets are told apart, measured on labelled ones.
//!
//! What is measured is what the service runs: the same classifier, settings and threshold, and the examples of this release's
//! playbooks. The rules and blockers of the gate need a directory and a help desk and are not part of it; they only ever take away
//! from what is automated here.

mod calibrate;
mod fleet;
mod injection;
mod judge;
mod kinds;
mod train;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use futures::StreamExt;
use serde::Serialize;
use triage::folds;
use triage::labelled::{self, Labelled};
use triage::measure::{self, Figures, Measured, Subject, Unanswered};

use crate::arguments::{Eval, EvalSubject, Tickets};
use crate::exit::{BadInput, Ending};
use crate::terminal;
use judge::{Judge, NoAnswer};

/// More than any hand has labelled; what is larger is another file than was meant.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

pub(crate) async fn run(command: &Eval) -> anyhow::Result<Ending> {
    match &command.subject {
        Some(EvalSubject::Injection(attacks)) => injection::run(attacks).await,
        Some(EvalSubject::Train(wanted)) => train::run(wanted),
        None => match &command.tickets.calibrate {
            Some(out) => calibrate::run(&command.tickets, out).await,
            None => tickets(&command.tickets).await,
        },
    }
}

#[derive(Serialize)]
struct Report<'a> {
    subject: &'a Subject,
    #[serde(flatten)]
    figures: &'a Figures,
}

async fn tickets(command: &Tickets) -> anyhow::Result<Ending> {
    let judge = Judge::of(&command.judging)?;
    let labelled = read(&command.files)?;
    let folds = command.folds.map(usize::from);
    let (measured, unanswered) = match folds {
        None => judged(&judge, &labelled.iter().collect::<Vec<_>>()).await,
        Some(count) => in_folds(&judge, &labelled, count).await?,
    };
    let figures = match measure::figures(&measured) {
        Ok(figures) => figures,
        // It would be said that nothing was measured, and not why.
        Err(measure::MeasureError::Nothing) if unanswered.all() > 0 => anyhow::bail!(
            "not one of {} tickets was answered ({} declined, {} malformed, {} away): see that OPENAI_BASE_URL, \
             OPENAI_MODEL and the key are right",
            unanswered.all(),
            unanswered.declined,
            unanswered.malformed,
            unanswered.away
        ),
        Err(error) => return Err(error.into()),
    };
    let subject = Subject {
        files: command.files.iter().map(|file| name(file)).collect(),
        classifier: judge.name().to_owned(),
        data: labelled::digest(&labelled),
        folds,
        unanswered,
    };
    if let Some(path) = &command.svg {
        std::fs::write(path, triage::page::svg(&subject, &figures))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if command.json {
        terminal::line(&serde_json::to_string_pretty(&Report {
            subject: &subject,
            figures: &figures,
        })?);
    } else {
        terminal::line(&triage::text::text(&subject, &figures));
    }
    Ok(Ending::Well)
}

/// The name of a file as reports show it: where it lies on this machine is nobody's business.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The bytes of a file that a person named.
fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| BadInput(format!("cannot read {}: {error}", file.display()));
    let about = std::fs::metadata(file).map_err(unreadable)?;
    if about.len() > MAX_FILE_BYTES {
        let what = format!(
            "{} has {} bytes, more than 256 MiB: give a part of it",
            file.display(),
            about.len()
        );
        return Err(BadInput(what).into());
    }
    Ok(std::fs::read(file).map_err(unreadable)?)
}

/// All tickets of all files, or every complaint.
fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Labelled>> {
    let mut read = Vec::new();
    for file in files {
        read.push((file.display().to_string(), bytes(file)?));
    }
    let files: Vec<labelled::File<'_>> = read
        .iter()
        .map(|(name, bytes)| labelled::File { name, bytes })
        .collect();
    Ok(labelled::read(&files).map_err(|refused| BadInput(refused.to_string()))?)
}

/// What became of each ticket, as many at a time as the judge bears.
async fn judged(judge: &Judge, tickets: &[&Labelled]) -> (Vec<Measured>, Unanswered) {
    let answers: Vec<Result<Measured, NoAnswer>> = futures::stream::iter(tickets)
        .map(|ticket| of_one(judge, ticket))
        // In their order: it decides among equally confident ones.
        .buffered(judge.at_once())
        .collect()
        .await;
    let mut measured = Vec::with_capacity(answers.len());
    let mut unanswered = Unanswered::default();
    for answer in answers {
        match answer {
            Ok(ticket) => measured.push(ticket),
            Err(NoAnswer::Declined) => unanswered.declined += 1,
            Err(NoAnswer::Malformed) => unanswered.malformed += 1,
            Err(NoAnswer::Away) => unanswered.away += 1,
        }
    }
    (measured, unanswered)
}

async fn of_one(judge: &Judge, ticket: &Labelled) -> Result<Measured, NoAnswer> {
    let began = Instant::now();
    let judged = judge.judge(&ticket.subject, &ticket.body).await?;
    Ok(Measured {
        truth: ticket.kind,
        automatable: ticket.automatable,
        said: judged.kind,
        confidence: judged.confidence,
        automated: judged.automated,
        took: began.elapsed(),
    })
}

/// Each part judged by what was learnt from the others.
async fn in_folds(
    judge: &Judge,
    tickets: &[Labelled],
    count: usize,
) -> anyhow::Result<(Vec<Measured>, Unanswered)> {
    if tickets.len() < count {
        let what = format!(
            "{} tickets cannot be split into {count} folds: give more tickets, or fewer folds",
            tickets.len()
        );
        return Err(BadInput(what).into());
    }
    let folds = folds::split(tickets, count);
    let mut measured = Vec::with_capacity(tickets.len());
    let mut unanswered = Unanswered::default();
    for fold in 0..count {
        let part = |tested: bool| -> Vec<&Labelled> {
            let with_fold = tickets.iter().zip(&folds);
            with_fold
                .filter(|(_, of)| (**of == fold) == tested)
                .map(|(ticket, _)| ticket)
                .collect()
        };
        let learnt = judge.having_learnt(&part(false))?;
        let (more, without) = judged(&learnt, &part(true)).await;
        measured.extend(more);
        unanswered.declined += without.declined;
        unanswered.malformed += without.malformed;
        unanswered.away += without.away;
    }
    Ok((measured, unanswered))
}
