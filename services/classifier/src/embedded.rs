//! The embedded classifier: needs no network, gives the same answer to the same text, and says why.
//!
//! A head that was learned from labelled tickets tells ten kinds apart, by words and, where these leave doubt, by meaning. Its
//! confidence is calibrated on tickets that it had not seen, and its thresholds are what these tickets carry. Turns of phrase that
//! speak against automation cannot be outweighed by anything. It never acts on what a text says, it only weighs it.
//!
//! The examples of a playbook have taught the head. Beside it they speak for a letter that as a whole is nearly one of them, and
//! only where nobody's account is at stake: there the measured thresholds are the promise, and nothing goes round them.

pub mod corpus;
pub mod examples;
mod shipped;

use std::sync::Arc;

use triage::letter::{Letter, Thread};
use triage::threshold::NEVER;
use triage::{Head, Kind, NotAHead, SOMEBODY_ELSE, likeness, objection};

use crate::classify::{About, Category, Text};
pub use shipped::{meaning_of, warm_up};

/// How decisions name this classifier.
pub const MODEL: &str = "embedded/2";

/// Reads nearly like an example that the playbook's author gave: the author's word for it, not a measured probability. Never for
/// what acts on accounts.
const LIKE_AN_EXAMPLE: f64 = 0.90;
/// Likeness from which a text counts as a variant of an example: above it, at most a word or two differ.
const SAME_AS_EXAMPLE: f64 = 0.72;
/// Something speaks against it: always below any sensible threshold.
const DOUBTFUL: f64 = 0.40;
/// From here on it is plainly the requester's own account. How sure that is counts in the confidence as well.
const PLAINLY: f64 = 0.5;
/// From here on the head is so sure of another kind that an example's author is not taken at their word: where two readers
/// contradict each other, a person decides. As for a language model's second reader.
const SURE_OF_ANOTHER: f64 = 0.8;
/// From here on a body is about something else than its subject: a little below what the prior alone says of words never seen
/// (.90), and none of the 169 held-out resets that pass has such a body.
const BODY_OF_ANOTHER: f64 = 0.7;
/// A sentence to which the head gives less than this for all kinds of accounts together is about something else; shorter ones are
/// mostly greetings and thanks. Of the 168 held-out resets that pass without it, 7 have such a sentence, some of them a second request.
const SENTENCE_OF_ANOTHER: f64 = 0.03;
/// Words of a sentence from which it is looked at.
const A_SENTENCE: usize = 8;
/// Below it, what the body says is plainly not about the requester's own account, whatever the subject says.
const BODY_OF_SOMEBODY: f64 = 0.2;

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
        self.read_letter(&triage::letter::read(text.summary, text.details), offers)
    }

    /// The same of a letter that was taken out of its mail already.
    pub(crate) fn read_letter(&self, letter: &Letter, offers: &[Category]) -> Reading {
        let read = self.of_letter(letter, || meaning_of(&letter.whole()));
        let scores = offers.iter().map(|offer| score(offer, letter, &read)).collect();
        let of_kind = offers
            .iter()
            .enumerate()
            .find(|(_, offer)| kind_of(offer) == Some(read.kind));
        let chosen = self
            .by_example(offers, letter, &read)
            .map(|(at, offer)| (at, offer, true))
            .or(of_kind.map(|(at, offer)| (at, offer, false)));
        let Some((choice, offer, by_example)) = chosen else {
            return nothing_fits(read, offers, scores);
        };
        let kind = kind_of(offer).unwrap_or(Kind::Other);
        let objection = objection_to(kind, letter).or_else(|| self.objection_of_body(kind, letter));
        let about = match objection {
            Some(SOMEBODY_ELSE) => About::SomebodyElse,
            _ => about(kind, &read, letter),
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

    fn of_letter(&self, letter: &Letter, meaning: impl FnOnce() -> Option<Vec<f32>>) -> triage::Reading {
        self.head.read(&letter.subject, &letter.text, meaning)
    }

    /// The offer with the example that the whole letter is most like, where an example may decide.
    fn by_example<'a>(
        &self,
        offers: &'a [Category],
        letter: &Letter,
        read: &triage::Reading,
    ) -> Option<(usize, &'a Category)> {
        offers
            .iter()
            .enumerate()
            .filter(|(_, offer)| self.may_decide_by_example(offer, read))
            .map(|(at, offer)| (likeness(&letter.whole(), &offer.examples), at, offer))
            .filter(|(like, ..)| *like >= SAME_AS_EXAMPLE)
            .max_by(|(one, ..), (other, ..)| one.total_cmp(other))
            .map(|(_, at, offer)| (at, offer))
    }

    /// Where an account is at stake, an example decides nothing that was measured: not for a kind of accounts, and for a category
    /// of one's own only where the letter is plainly about the requester's and what it reads like may be automated at all. Else
    /// the author's word counts, unless the head is sure of another kind.
    fn may_decide_by_example(&self, offer: &Category, read: &triage::Reading) -> bool {
        match examples::taught(offer.sub_category.as_deref().unwrap_or(&offer.category)) {
            Some(kind) if kind.is_privileged() || read.kind.is_privileged() => false,
            Some(kind) => kind == read.kind || read.confidence() < SURE_OF_ANOTHER,
            None if read.kind.is_privileged() => {
                read.own_account >= PLAINLY && self.head.threshold(read.kind) < NEVER
            }
            None => true,
        }
    }

    /// A subject such as "reset my password" outweighs nearly any body, and the body is where people say whose it is and what
    /// of; and in a body that asks for a reset, one more sentence weighs little. So before an account is touched, the body has
    /// its say alone, and each longer sentence of it; by their words, which costs next to nothing.
    fn objection_of_body(&self, kind: Kind, letter: &Letter) -> Option<&'static str> {
        if !kind.is_privileged() {
            return None;
        }
        let alone = |text: &str| self.head.read("", text, || None);
        if !letter.subject.is_empty() && !letter.text.is_empty() {
            let body = alone(&letter.text);
            if !body.kind.is_privileged() && body.confidence() >= BODY_OF_ANOTHER {
                return Some("its body by itself reads like something else");
            }
            if body.own_account < BODY_OF_SOMEBODY {
                return Some("its body by itself is not about the requester's own account");
            }
        }
        let mut sentences = letter.text.split(['.', '!', '?', ';', '\n']);
        sentences
            .any(|sentence| {
                sentence.split_whitespace().count() >= A_SENTENCE
                    && of_accounts(&alone(sentence)) < SENTENCE_OF_ANOTHER
            })
            .then_some("a sentence of it by itself reads like something else")
    }

    fn by_its_kind(&self, kind: Kind, read: &triage::Reading) -> Weighed {
        let threshold = self.head.threshold(kind);
        (read.fitness(kind), Some(threshold), in_words(kind, read))
    }
}

/// How much speaks for all kinds of accounts together.
fn of_accounts(read: &triage::Reading) -> f64 {
    let of = Kind::ALL.into_iter().filter(|kind| kind.is_privileged());
    of.map(|kind| read.of(kind)).sum()
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

fn score(offer: &Category, letter: &Letter, read: &triage::Reading) -> f64 {
    match kind_of(offer) {
        Some(kind) => read.of(kind),
        None => likeness(&letter.whole(), &offer.examples),
    }
}

/// A letter passed on is somebody else's until a person has looked.
fn about(kind: Kind, read: &triage::Reading, letter: &Letter) -> About {
    if letter.thread == Thread::Forwarded {
        return About::Unclear;
    }
    if !kind.is_privileged() || read.own_account >= PLAINLY {
        About::Requester
    } else {
        About::Unclear
    }
}

/// Whether it is plainly about the requester's own account. Says something of privileged kinds alone.
pub(crate) fn is_plainly_own(read: &triage::Reading) -> bool {
    read.own_account >= PLAINLY
}

/// What speaks against it, in what the requester says and in what a reader of the letter would not see at once.
pub(crate) fn objection_to(kind: Kind, letter: &Letter) -> Option<&'static str> {
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
mod floor;
#[cfg(test)]
mod tests;
