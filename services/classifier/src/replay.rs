//! Deciding again what was decided before, with something changed: what would have come of it? Nothing is written, and
//! nobody is acted on.
//!
//! The rules, the blockers and the verdict are the gate's own. The world is as it was then: who asked, what was under way,
//! which switch was off.

use common::explain::{Check, Said};
use common::playbook::PlaybookView;
use common::{Blocker, Decision, PlaybookRef};

use crate::admission;
use crate::classify::{Category, Classify, ClassifyError};
use crate::considered::Considered;
use crate::decide::{Answer, Verdict, decide, weigh, worth_reading};
use crate::embedded;
use crate::facts::{Admission, Facts, NotAsked, Offered, Reading};
use crate::gate::conclude::OTHER;

/// What is changed.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The confidence that is needed; as it was where there is none.
    pub threshold: Option<f64>,
    /// The active playbooks; as they were where there are none.
    pub playbooks: Option<&'a [PlaybookView]>,
    /// Who reads texts.
    pub reader: Reader<'a>,
}

/// Who reads texts again, and when.
#[derive(Clone, Copy)]
pub enum Reader<'a> {
    /// Every text, whatever it was read as before.
    Every(&'a dyn Classify),
    /// Only where the categories on offer are not what they were, by the embedded classifier, where it read the text then.
    WhereOffersDiffer(&'a dyn Classify),
}

/// What came of a decision, as far as decisions can differ.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// Nothing spoke against it.
    pub automated: bool,
    /// As in the decision.
    pub category: String,
    /// As in the decision.
    pub sub_category: Option<String>,
    /// As in the decision.
    pub confidence: f64,
    /// As in the decision.
    pub playbook: Option<PlaybookRef>,
    /// Every reason against it.
    pub blockers: Vec<Blocker>,
}

/// Why a decision cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum Unrepeatable {
    /// Retention has taken the text away.
    #[error("its text has been erased")]
    Erased,
    /// The document that it was decided by is not there any more.
    #[error("playbook {} {} of then is not there any more", .0.name, .0.version)]
    DocumentGone(PlaybookRef),
    /// The categories on offer differ, and another classifier read it.
    #[error(
        "it was read by {0}, and other categories are on offer: name that head by --head, or a classifier by --model"
    )]
    OtherReader(String),
    /// The classifier gave no answer.
    #[error("the classifier gave no answer")]
    Unread(#[source] ClassifyError),
}

impl Outcome {
    /// What was recorded.
    pub fn recorded(decision: &Decision) -> Self {
        Self {
            automated: decision.automated,
            category: decision.category.clone(),
            sub_category: decision.sub_category.clone(),
            confidence: decision.confidence,
            playbook: decision.playbook.clone(),
            blockers: decision.blockers.clone(),
        }
    }

    /// The codes of its reasons.
    pub fn codes(&self) -> Vec<&str> {
        let mut codes: Vec<&str> = self
            .blockers
            .iter()
            .map(|blocker| blocker.code.as_str())
            .collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// Another verdict, another category, another document, or other reasons. How sure the classifier is does not count by
    /// itself.
    pub fn differs(&self, other: &Self) -> bool {
        self.automated != other.automated
            || self.category != other.category
            || self.sub_category != other.sub_category
            || self.playbook != other.playbook
            || self.codes() != other.codes()
    }
}

/// Decide again. `documents`: every playbook that may have been active then.
///
/// # Errors
/// It cannot be: what it takes is not kept, or nobody reads the text.
pub async fn again(
    decision: &Decision,
    considered: &Considered,
    documents: &[PlaybookView],
    change: Change<'_>,
) -> Result<Outcome, Unrepeatable> {
    let remembered = &considered.facts;
    let circumstances = considered.circumstances();
    let requester = remembered.requester.requester();
    let then = remembered
        .playbooks
        .clone()
        .map_or(Admission::Unread, Admission::Of);
    let admission = match change.playbooks {
        // A service that could not be read then would not have answered with other playbooks either.
        None => then.clone(),
        Some(_) if then == Admission::Unread => Admission::Unread,
        Some(playbooks) => {
            let looks = playbooks.iter().any(|playbook| playbook.trigger.is_some());
            if looks && considered.personal.is_none() {
                return Err(Unrepeatable::Erased);
            }
            admission::admit(playbooks, &circumstances)
        }
    };
    let read_then = considered.reading();
    let same_offers = then.admitted().eq(admission.admitted());
    let asked = !matches!(read_then, Reading::NotAsked(_));
    let (reading, offers) = match (
        worth_reading(remembered.desk, &requester, &admission),
        change.reader,
    ) {
        (Err(why), _) => (Reading::NotAsked(why), vec![]),
        // Something else was away then, and is in the facts: it still leaves the ticket to a person, unread.
        (Ok(()), _) if read_then == Reading::NotAsked(NotAsked::Unread) => (read_then, vec![]),
        (Ok(()), Reader::WhereOffersDiffer(_)) if same_offers => (read_then, offered_then(considered)),
        (Ok(()), Reader::WhereOffersDiffer(_)) if asked && considered.view.model != embedded::MODEL => {
            return Err(Unrepeatable::OtherReader(considered.view.model.clone()));
        }
        (Ok(()), Reader::WhereOffersDiffer(reader)) => {
            let documents = change.playbooks.unwrap_or(documents);
            let read = read(reader, considered, documents, &admission).await?;
            // Another head may read it otherwise for itself, and not for what is on offer.
            let then = &considered.view.prompt_version;
            match &read.0 {
                Reading::Read(now) if asked && now.prompt_version != *then => {
                    return Err(Unrepeatable::OtherReader(then.clone()));
                }
                _ => read,
            }
        }
        (Ok(()), Reader::Every(reader)) => {
            let documents = change.playbooks.unwrap_or(documents);
            read(reader, considered, documents, &admission).await?
        }
    };
    let plan = admission::plan_of(&reading, &offers, &admission);
    let facts = Facts {
        desk: remembered.desk,
        requester,
        admission,
        reading,
        plan,
        execution: remembered.execution,
        circumstances,
    };
    Ok(outcome(decision, considered, &facts, change.threshold))
}

/// The categories that were on offer, as far as it takes them to find a playbook.
fn offered_then(considered: &Considered) -> Vec<Category> {
    let scores = considered.view.scores.iter();
    scores
        .map(|scored| Category {
            category: scored.category.clone(),
            sub_category: scored.sub_category.clone(),
            description: String::new(),
            examples: vec![],
            // Nobody reads a text with these.
            privileged: true,
        })
        .collect()
}

async fn read(
    reader: &dyn Classify,
    considered: &Considered,
    documents: &[PlaybookView],
    admission: &Admission,
) -> Result<(Reading, Vec<Category>), Unrepeatable> {
    let gone = |offered: &&Offered| {
        documents
            .iter()
            .all(|document| document.playbook != offered.playbook)
    };
    if let Some(gone) = admission.admitted().find(gone) {
        return Err(Unrepeatable::DocumentGone(gone.playbook.clone()));
    }
    let text = &considered.personal.as_ref().ok_or(Unrepeatable::Erased)?.text;
    let offers = admission::categories(documents, admission);
    match reader.classify(text.text(), &offers).await {
        Ok(classification) => Ok((Reading::Read(classification), offers)),
        Err(ClassifyError::Declined(_)) => Ok((Reading::Declined, offers)),
        Err(error) => Err(Unrepeatable::Unread(error)),
    }
}

fn outcome(decision: &Decision, considered: &Considered, facts: &Facts, threshold: Option<f64>) -> Outcome {
    let threshold = threshold.unwrap_or_else(|| facts.reading.threshold(considered.view.threshold));
    let mut answers = weigh(facts, threshold, None);
    // What recording it ran into then, it would have run into again.
    for (check, answer) in [
        (Check::Switch, &mut answers.switch),
        (Check::Velocity, &mut answers.velocity),
    ] {
        if let Some(blocker) = said_against(considered, check) {
            *answer = Answer::Against(blocker);
        }
    }
    let mut blockers = match decide(answers) {
        Verdict::Automate => vec![],
        Verdict::Manual { against } => against,
    };
    blockers.extend(beside_the_checks(decision, considered));
    let offered = facts.plan.offered();
    let confidence = match &facts.reading {
        Reading::Read(read) => read.confidence,
        Reading::Declined | Reading::Unread | Reading::NotAsked(_) => 0.0,
    };
    Outcome {
        automated: blockers.is_empty(),
        category: offered.map_or(OTHER, |offered| &offered.category).to_owned(),
        sub_category: offered.and_then(|offered| offered.sub_category.clone()),
        confidence,
        playbook: offered.map(|offered| offered.playbook.clone()),
        blockers,
    }
}

fn said_against(considered: &Considered, check: Check) -> Option<Blocker> {
    let mut checks = considered.view.checks.iter();
    checks.find_map(|checked| match &checked.said {
        Said::Against { code, detail } if checked.check == check => Some(Blocker {
            code: code.clone(),
            detail: detail.clone(),
        }),
        _ => None,
    })
}

/// What stood against it and was no check's answer: it stands as it stood.
fn beside_the_checks<'a>(
    decision: &'a Decision,
    considered: &'a Considered,
) -> impl Iterator<Item = Blocker> + 'a {
    let checks = &considered.view.checks;
    let is_a_checks = |blocker: &Blocker| {
        checks
            .iter()
            .any(|checked| matches!(&checked.said, Said::Against { code, .. } if *code == blocker.code))
    };
    let recorded = decision.blockers.iter();
    recorded
        .filter(move |blocker| blocker.code != "check_unanswered" && !is_a_checks(blocker))
        .cloned()
}

#[cfg(test)]
mod tests;
