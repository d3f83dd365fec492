//! The embedded classifier: needs no network, gives the same answer to the same text, and says why.
//!
//! A head that was learned from labelled tickets tells ten kinds apart, by words and, where these leave doubt, by meaning. Its
//! confidence is calibrated on tickets that it had not seen, and its thresholds are what these tickets carry. Turns of phrase that
//! speak against automation cannot be outweighed by anything. It never acts on what a text says, it only weighs it.

pub mod corpus;
pub mod examples;
mod shipped;

use std::sync::Arc;

use triage::letter::{Letter, Thread};
use triage::{Head, Kind, NotAHead, SOMEBODY_ELSE, likeness, objection};

use crate::classify::{About, Category, Text};
pub use shipped::{meaning_of, warm_up};

/// How decisions name this classifier.
pub const MODEL: &str = "embedded/2";

/// Reads nearly like an example that the playbook's author gave: the author's word for it, not a measured probability.
const LIKE_AN_EXAMPLE: f64 = 0.90;
/// Likeness from which a text counts as a variant of an example: above it, at most a word or two differ.
const SAME_AS_EXAMPLE: f64 = 0.72;
/// Something speaks against it: always below any sensible threshold.
const DOUBTFUL: f64 = 0.40;
/// From here on it is plainly the requester's own account. How sure that is counts in the confidence as well.
const PLAINLY: f64 = 0.5;

/// A head with the model behind it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedded {
    head: Arc<Head>,
    /// Which head it is, for decisions.
    version: Arc<str>,
}

/// What the classifier makes of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Index into the offers; `None` where none fits.
    pub choice: Option<usize>,
    /// 0 to 1. Of the choice, or of there being none.
    pub confidence: f64,
    /// From how sure on the choice may be automated, where that was measured.
    pub threshold: Option<f64>,
    /// How much speaks for each offer, in their order.
    pub scores: Vec<f64>,
    /// Whom the request is for.
    pub about: About,
    /// One sentence made of our own words only, so that nothing a ticket says travels further in it.
    pub reasoning: String,
    /// What the head says of it, whatever is on offer.
    pub of_head: triage::Reading,
}

impl Embedded {
    /// With the head that comes with this release.
    pub fn shipped() -> Self {
        shipped::embedded()
    }

    /// With a head of one's own, as `firstline eval train` wrote it.
    ///
    /// # Errors
    /// It is no head, or damaged.
    pub fn with_head(bytes: &[u8]) -> Result<Self, NotAHead> {
        Ok(Self::of(Head::from_bytes(bytes)?, bytes))
    }

    fn of(head: Head, bytes: &[u8]) -> Self {
        let digest = common::Digest::of(bytes).to_string();
        let short: String = digest.chars().take(12).collect();
        Self {
            head: Arc::new(head),
            version: format!("head/{short}").into(),
        }
    }

    /// Which head it is; recorded with each decision, as a prompt's version is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Weigh a ticket against what is on offer. May take a tenth of a second of a processor.
    pub fn read(&self, text: Text<'_>, offers: &[Category]) -> Reading {
        let letter = triage::letter::read(text.summary, text.details);
        let like = offers
            .iter()
            .enumerate()
            .find(|(_, offer)| like_an_example(offer, &letter));
        // The author of an example has said what it means.
        let meaning = || {
            if like.is_some() {
                None
            } else {
                meaning_of(&letter.whole())
            }
        };
        let read = self.head.read(&letter.subject, &letter.text, meaning);
        let scores = offers.iter().map(|offer| score(offer, &letter, &read)).collect();
        let of_kind = offers
            .iter()
            .enumerate()
            .find(|(_, offer)| kind_of(offer) == Some(read.kind));
        let chosen = like
            .map(|(at, offer)| (at, offer, true))
            .or(of_kind.map(|(at, offer)| (at, offer, false)));
        let Some((choice, offer, by_example)) = chosen else {
            return nothing_fits(read, offers, scores);
        };
        let kind = kind_of(offer).unwrap_or(Kind::Other);
        let objection = objection_to(kind, &letter);
        let about = match objection {
            Some(SOMEBODY_ELSE) => About::SomebodyElse,
            _ => about(kind, &read, &letter, by_example),
        };
        let (confidence, threshold, reasoning) = match (objection, by_example) {
            (Some(objection), _) => against(kind, &read, objection),
            (None, true) => by_its_example(),
            (None, false) => self.by_its_kind(kind, &read),
        };
        Reading {
            choice: Some(choice),
            confidence,
            threshold,
            scores,
            about,
            reasoning,
            of_head: read,
        }
    }

    fn by_its_kind(&self, kind: Kind, read: &triage::Reading) -> Weighed {
        let threshold = self.head.threshold(kind);
        (read.fitness(kind), Some(threshold), in_words(kind, read))
    }
}

/// How sure, from how sure on, and why.
type Weighed = (f64, Option<f64>, String);

fn against(kind: Kind, read: &triage::Reading, objection: &str) -> Weighed {
    let reasoning = format!("reads like the category, but {objection}");
    (DOUBTFUL.min(read.fitness(kind)), None, reasoning)
}

fn by_its_example() -> Weighed {
    let reasoning = "reads nearly like an example of the playbook".to_owned();
    (LIKE_AN_EXAMPLE, None, reasoning)
}

/// The kind that a category stands for, where it is one that the head knows.
pub(crate) fn kind_of(offer: &Category) -> Option<Kind> {
    let name = offer.sub_category.as_deref().unwrap_or(&offer.category);
    name.parse().ok().filter(|kind| *kind != Kind::Other)
}

fn like_an_example(offer: &Category, letter: &Letter) -> bool {
    likeness(&letter.subject, &letter.text, &offer.examples) >= SAME_AS_EXAMPLE
}

fn score(offer: &Category, letter: &Letter, read: &triage::Reading) -> f64 {
    match kind_of(offer) {
        Some(kind) => read.of(kind),
        None => likeness(&letter.subject, &letter.text, &offer.examples),
    }
}

/// A letter passed on is somebody else's until a person has looked.
fn about(kind: Kind, read: &triage::Reading, letter: &Letter, by_example: bool) -> About {
    if letter.thread == Thread::Forwarded {
        return About::Unclear;
    }
    if !kind.is_privileged() || by_example || read.own_account >= PLAINLY {
        About::Requester
    } else {
        About::Unclear
    }
}

/// What speaks against it, in what the requester says and in what a reader of the letter would not see at once.
fn objection_to(kind: Kind, letter: &Letter) -> Option<&'static str> {
    if letter.disguised {
        return Some("it holds signs that nobody sees");
    }
    objection(kind, &letter.subject, &letter.text)
        .or_else(|| objection(Kind::Other, &letter.quoted, &letter.hidden))
}

fn nothing_fits(read: triage::Reading, offers: &[Category], scores: Vec<f64>) -> Reading {
    let offered: f64 = offers.iter().filter_map(kind_of).map(|kind| read.of(kind)).sum();
    let reasoning = if offers.is_empty() {
        "no playbook is active, so no category is on offer".to_owned()
    } else {
        format!(
            "reads like {}, which no playbook on offer covers",
            plain(read.kind)
        )
    };
    Reading {
        choice: None,
        confidence: (1.0 - offered).clamp(0.0, 1.0),
        threshold: None,
        scores,
        about: About::Unclear,
        reasoning,
        of_head: read,
    }
}

fn in_words(kind: Kind, read: &triage::Reading) -> String {
    let by = if read.by_words {
        "by its words"
    } else {
        "by its words and its meaning"
    };
    if !kind.is_privileged() {
        return format!("reads like {} {by}", plain(kind));
    }
    let whose = if read.own_account >= PLAINLY {
        "plainly the requester's own"
    } else {
        "not plainly the requester's own"
    };
    format!("reads like {} {by}, and is {whose}", plain(kind))
}

/// `a password reset`.
pub(crate) fn plain(kind: Kind) -> &'static str {
    match kind {
        Kind::PasswordReset => "a password reset",
        Kind::AccountUnlock => "an account to be unlocked",
        Kind::MfaReset => "a second factor to be registered anew",
        Kind::SoftwareInstall => "software to be installed",
        Kind::AccessRequest => "a request for access",
        Kind::VpnNetwork => "trouble with the network",
        Kind::EmailIssue => "trouble with mail",
        Kind::HardwareIssue => "trouble with a device",
        Kind::Printer => "trouble with a printer",
        Kind::Other => "something else",
    }
}

#[cfg(test)]
mod tests;
