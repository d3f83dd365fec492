//! `firstline eval train`: a head of one's own from one's own labelled tickets.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use classifier::embedded::corpus::{self, Corpus};
use classifier::embedded::examples::{self, Examples};
use classifier::embedded::meaning_of;
use serde::Serialize;
use triage::labelled::Labelled;
use triage::learn::{Learned, Lesson, NEEDED, Origin, learn};
use triage::threshold::{NEVER, Risk, Threshold};
use triage::{Card, Kind};

use super::{bytes, read};
use crate::arguments::Train;
use crate::exit::{BadInput, Ending};
use crate::playbook::documents::all_in;
use crate::terminal;

/// What the shipped head bears: one wrong in ten automated tickets, at 95 %; of privileged kinds one in twenty.
pub(super) const RISK: Risk = Risk {
    alpha: 0.1,
    delta: 0.05,
};

#[derive(Serialize)]
struct Found<'a> {
    card: &'a Card,
    held_out: usize,
    right: usize,
    /// Examples of playbooks that were learned from, and the categories whose examples teach nothing.
    examples: usize,
    left_out: BTreeMap<String, usize>,
    seconds: f64,
}

pub(super) fn run(wanted: &Train) -> anyhow::Result<Ending> {
    let began = Instant::now();
    let risk = Risk {
        alpha: wanted.alpha,
        delta: wanted.delta,
    };
    let examples = match &wanted.playbooks {
        None => Examples::default(),
        Some(folder) => examples::of(&all_in(folder, &wanted.actions)?),
    };
    let Examples { tickets, left_out } = examples;
    let taught = tickets.len();
    let (learned, truth, meanings) = match &wanted.corpus {
        None => {
            let own = read(&wanted.files)?;
            let truth = kinds(&own);
            (learned(own, tickets, risk)?, truth, None)
        }
        Some(folder) => of_corpus(folder, risk)?,
    };
    written(&wanted.out, &learned.head.to_bytes())?;
    if let Some((file, bytes)) = meanings {
        written(&file, &bytes)?;
    }
    let right = learned
        .held_out
        .iter()
        .zip(&truth)
        .filter(|(read, kind)| read.kind == **kind)
        .count();
    let found = Found {
        card: learned.head.card(),
        held_out: truth.len(),
        right,
        examples: taught,
        left_out,
        seconds: began.elapsed().as_secs_f64(),
    };
    if wanted.json {
        terminal::line(&serde_json::to_string_pretty(&found)?);
    } else {
        terminal::line(&told(&found, &wanted.out));
    }
    Ok(Ending::Well)
}

/// From one's own tickets, beside everything that the shipped head learned from and the examples of one's playbooks.
fn learned(tickets: Vec<Labelled>, examples: Vec<Labelled>, risk: Risk) -> anyhow::Result<Learned> {
    let Corpus { mut base, held_out } = Corpus::shipped()?;
    base.extend(held_out);
    base.extend(lessons(examples)?);
    let own = lessons(tickets)?;
    Ok(learn(&base, &own, Origin::Queue, risk).map_err(|error| BadInput(error.to_string()))?)
}

/// The same for a part of them, be it as small as it may: too few to be calibrated on are learned from all the same.
pub(super) fn learned_from_a_part(tickets: Vec<Labelled>) -> anyhow::Result<Learned> {
    if tickets.len() >= NEEDED {
        return learned(tickets, vec![], RISK);
    }
    let Corpus { mut base, held_out } = Corpus::shipped()?;
    base.extend(lessons(tickets)?);
    Ok(learn(&base, &held_out, Origin::Written, RISK)?)
}

fn lessons(tickets: Vec<Labelled>) -> anyhow::Result<Vec<Lesson>> {
    let lessons = tickets
        .into_iter()
        .map(|ticket| corpus::lesson(ticket, meaning_of));
    lessons
        .collect::<Option<_>>()
        .context("the sentence model of this release cannot be run")
}

fn kinds(tickets: &[Labelled]) -> Vec<Kind> {
    tickets.iter().map(|ticket| ticket.kind).collect()
}

type OfCorpus = (Learned, Vec<Kind>, Option<(std::path::PathBuf, Vec<u8>)>);

fn of_corpus(folder: &Path, risk: Risk) -> anyhow::Result<OfCorpus> {
    let unreadable = |error: std::io::Error| BadInput(format!("cannot read {}: {error}", folder.display()));
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            files.insert(super::name(&path), bytes(&path)?);
        }
    }
    let corpus = Corpus::of(&files, meaning_of).map_err(|error| BadInput(error.to_string()))?;
    let learned = learn(&corpus.base, &corpus.held_out, Origin::Written, risk)
        .map_err(|error| BadInput(error.to_string()))?;
    let truth = corpus.held_out.iter().map(|lesson| lesson.ticket.kind).collect();
    Ok((
        learned,
        truth,
        Some((folder.join("meanings.bin"), corpus.meanings())),
    ))
}

/// Whole or not at all: beside it first, then in its place.
pub(super) fn written(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", file.display());
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    beside.write_all(content).with_context(cannot)?;
    beside.as_file().sync_all().with_context(cannot)?;
    beside.persist(file).with_context(cannot)?;
    Ok(())
}

fn told(found: &Found<'_>, out: &Path) -> String {
    let mut lines = vec![format!(
        "{} of {} tickets were told right by heads that had not seen them; learned in {:.1} s. Written to {}.",
        found.right,
        found.held_out,
        found.seconds,
        out.display()
    )];
    let left_out: usize = found.left_out.values().sum();
    if found.examples + left_out > 0 {
        lines.push(format!(
            "Learned from {} of {} examples of playbooks as well.",
            found.examples,
            found.examples + left_out
        ));
    }
    for category in found.left_out.keys() {
        lines.push(format!(
            "Those of category {category} teach nothing, as it is none of the kinds below; likeness to them decides."
        ));
    }
    lines.push(String::new());
    lines.push(format!(
        "{:18} {:>9}  what the tickets carry",
        "category", "threshold"
    ));
    for (kind, threshold) in &found.card.thresholds {
        let (from, why) = carried(threshold);
        lines.push(format!("{:18} {from:>9}  {why}", kind.name()));
    }
    lines.join("\n")
}

/// The threshold, and what it stands on; or why there is none.
pub(super) fn carried(threshold: &Threshold) -> (String, String) {
    if threshold.score < NEVER {
        let why = format!(
            "{} of {} called so pass, {} wrong: at most {:.1} % wrong, at {:.0} %",
            threshold.passing,
            threshold.held_out,
            threshold.errors,
            100.0 * threshold.bound,
            100.0 * (1.0 - threshold.risk.delta)
        );
        return (format!("{:.3}", threshold.score), why);
    }
    let why = match threshold.first {
        Some(first) => format!(
            "{} called so; {} of the {} surest wrong, more than are borne",
            threshold.held_out, first.errors, first.passing
        ),
        None => format!(
            "{} called so; {} without an error would be needed",
            threshold.held_out, threshold.needed
        ),
    };
    ("never".to_owned(), why)
}
