//! What the shipped head learned from, and what every head of one's own learns from beside one's own tickets.
//!
//! Short tickets that the project wrote itself (`models/corpus/README.md`), and the examples of the playbooks that come with it.
//! What their texts mean is kept beside them, in steps of a byte, since working it out for all of them takes minutes.

use std::collections::BTreeMap;

use triage::labelled::{self, File, Labelled, Refused, digest};
use triage::learn::Lesson;
use triage::letter;

use super::examples::{self, ExamplesError};

/// Components of a direction lie well within this; steps are a 127th of it.
const REACH: f32 = 0.32;
/// How long a direction is.
const WIDTH: usize = 384;
/// The letters that the digest of a set has.
const DIGEST: usize = 64;

/// The tickets that are learned from, and those that the shipped head is calibrated on.
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    /// Learned from and nothing else.
    pub base: Vec<Lesson>,
    /// Written by others than the base, as what really comes in.
    pub held_out: Vec<Lesson>,
}

/// Why there is no corpus.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file of it is bad.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A playbook of this release has no examples that could be read.
    #[error(transparent)]
    Examples(#[from] ExamplesError),
    /// Made for other tickets.
    #[error(
        "the meanings were made for other tickets: make them anew with `firstline eval train --corpus DIR --out HEAD`"
    )]
    Stale,
}

/// Names of the files whose tickets are held out begin with this.
const HELD_OUT: &str = "heldout_";

static FILES: [(&str, &[u8]); 9] = [
    (
        "hardware_printer.jsonl",
        include_bytes!("../../models/corpus/hardware_printer.jsonl"),
    ),
    (
        "heldout_accounts.jsonl",
        include_bytes!("../../models/corpus/heldout_accounts.jsonl"),
    ),
    (
        "heldout_manufacturer.jsonl",
        include_bytes!("../../models/corpus/heldout_manufacturer.jsonl"),
    ),
    (
        "heldout_proofs.jsonl",
        include_bytes!("../../models/corpus/heldout_proofs.jsonl"),
    ),
    (
        "heldout_provider.jsonl",
        include_bytes!("../../models/corpus/heldout_provider.jsonl"),
    ),
    (
        "identity.jsonl",
        include_bytes!("../../models/corpus/identity.jsonl"),
    ),
    (
        "network_mail.jsonl",
        include_bytes!("../../models/corpus/network_mail.jsonl"),
    ),
    ("other.jsonl", include_bytes!("../../models/corpus/other.jsonl")),
    (
        "software_access.jsonl",
        include_bytes!("../../models/corpus/software_access.jsonl"),
    ),
];
static MEANINGS: &[u8] = include_bytes!("../../models/corpus/meanings.bin");

impl Corpus {
    /// The one that comes with this release.
    ///
    /// # Errors
    /// It is not whole; a test of the release finds that.
    pub fn shipped() -> Result<Self, CorpusError> {
        let files = FILES
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect();
        let mut meanings = Meanings::read(MEANINGS)?;
        let corpus = Self::of(&files, |_| meanings.next())?;
        if meanings.digest == corpus.digest() {
            Ok(corpus)
        } else {
            Err(CorpusError::Stale)
        }
    }

    /// Of `files` by their names and of the examples of this release's playbooks, where `meaning` tells what a text means.
    ///
    /// # Errors
    /// One of them is bad, or a text has no meaning.
    pub fn of(
        files: &BTreeMap<String, Vec<u8>>,
        mut meaning: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Result<Self, CorpusError> {
        let tickets = |held_out: bool| -> Result<Vec<Labelled>, CorpusError> {
            let mut tickets = vec![];
            for (name, bytes) in files
                .iter()
                .filter(|(name, _)| name.starts_with(HELD_OUT) == held_out)
            {
                tickets.extend(labelled::read(&[File { name, bytes }])?);
            }
            Ok(tickets)
        };
        let mut base = tickets(false)?;
        base.extend(examples::shipped()?.tickets);
        let mut lessons = |tickets: Vec<Labelled>| -> Result<Vec<Lesson>, CorpusError> {
            let lessons = tickets.into_iter().map(|ticket| lesson(ticket, &mut meaning));
            lessons.collect::<Option<_>>().ok_or(CorpusError::Stale)
        };
        Ok(Self {
            base: lessons(base)?,
            held_out: lessons(tickets(true)?)?,
        })
    }

    /// What its meanings are kept as, for [`Corpus::shipped`].
    pub fn meanings(&self) -> Vec<u8> {
        let parts = self
            .base
            .iter()
            .chain(&self.held_out)
            .flat_map(|lesson| &lesson.meaning);
        let steps = parts.map(|part| step(*part).cast_unsigned());
        self.digest().into_bytes().into_iter().chain(steps).collect()
    }

    fn digest(&self) -> String {
        let all: Vec<Labelled> = self
            .base
            .iter()
            .chain(&self.held_out)
            .map(|lesson| lesson.ticket.clone())
            .collect();
        digest(&all)
    }
}

/// The tickets that are held out, with all that surrounds what their writers say: for measurements of the whole gate.
///
/// # Errors
/// One of the files is bad; a test of the release finds that.
pub fn held_out_as_written() -> Result<Vec<Labelled>, Refused> {
    let files: Vec<File<'_>> = FILES
        .iter()
        .filter(|(name, _)| name.starts_with(HELD_OUT))
        .map(|&(name, bytes)| File { name, bytes })
        .collect();
    labelled::read(&files)
}

/// A labelled ticket as the classifier reads it, what the writer says and nothing around it, with what `meaning` makes of that.
pub fn lesson(ticket: Labelled, meaning: impl FnOnce(&str) -> Option<Vec<f32>>) -> Option<Lesson> {
    let letter = letter::read(&ticket.subject, &ticket.body);
    let meaning = meaning(&letter.whole())?;
    let ticket = Labelled {
        subject: letter.subject,
        body: letter.text,
        ..ticket
    };
    Some(Lesson { ticket, meaning })
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to what a byte holds")]
fn step(part: f32) -> i8 {
    (part / REACH * 127.0).round().clamp(-127.0, 127.0) as i8
}

struct Meanings<'a> {
    digest: String,
    rest: &'a [u8],
}

impl<'a> Meanings<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, CorpusError> {
        let (digest, rest) = bytes.split_at_checked(DIGEST).ok_or(CorpusError::Stale)?;
        Ok(Self {
            digest: String::from_utf8_lossy(digest).into_owned(),
            rest,
        })
    }

    fn next(&mut self) -> Option<Vec<f32>> {
        let (ours, rest) = self.rest.split_at_checked(WIDTH)?;
        self.rest = rest;
        Some(
            ours.iter()
                .map(|byte| f32::from(byte.cast_signed()) * REACH / 127.0)
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use triage::Kind;

    use super::*;

    #[test]
    fn a_letter_is_read_once_and_means_what_its_writer_says() {
        let ticket = Labelled {
            id: None,
            subject: "Re: Printer".to_owned(),
            // Read twice, the bold words would be taken for a tag.
            body: "<p>The sign says &lt;b&gt;out of order</p><p>> is it fixed?</p>".to_owned(),
            kind: Kind::Printer,
            automatable: None,
            row: 1,
        };
        let mut asked = vec![];
        let lesson = lesson(ticket.clone(), |text| {
            asked.push(text.to_owned());
            Some(vec![1.0])
        })
        .unwrap();
        let letter = letter::read(&ticket.subject, &ticket.body);
        assert_eq!(asked, [letter.whole()]);
        assert!(asked[0].contains("<b>"), "{asked:?}");
        assert_eq!(
            (lesson.ticket.subject, lesson.ticket.body),
            (letter.subject, letter.text)
        );
        assert_eq!(super::lesson(ticket, |_| None), None);
    }
}
