//! Learning a head from labelled tickets, and finding out on tickets it did not learn from how sure it may be.
//!
//! There are two sets. The **base** is learned from and nothing else. The tickets of **one's own** are learned from too, but not
//! before each has been judged by a head that had not seen it (cross-validation): by these answers the head is calibrated, by
//! these the thresholds are chosen, and these are what its figures are about.

use std::collections::BTreeMap;

use crate::Kind;
use crate::calibration::Temperature;
use crate::descent::Patience;
use crate::features::Features;
use crate::folds;
use crate::head::{
    Card, Head, OWN, Reading, Scores, Source, Temperatures, View, WHOSE, meaning_row, together,
};
use crate::labelled::{Labelled, digest};
use crate::linear::{Example, Learning, Linear};
use crate::objections::objection;
use crate::threshold::{Risk, Scored, ThresholdError, choose};
use crate::vocabulary::Vocabulary;

/// Parts that one's own tickets are cut into; each is judged by what the others taught.
const FOLDS: usize = 5;
/// One's own ticket teaches more about one's own queue than one that was written for everybody.
const OWN_COUNTS: f32 = 4.0;
/// As much as is usual for texts (C = 5 in the words of LIBLINEAR, for some thousand rows); half or twice of it changes little.
const LEARNING: Learning = Learning {
    penalty: 4e-5,
    patience: Patience {
        steps: 60,
        gain: 1e-4,
    },
};
/// Some hundred directions: the same.
const LEARNING_MEANING: Learning = LEARNING;
/// Few rows and a plain question: hold back more.
const LEARNING_WHOSE: Learning = Learning {
    penalty: 2e-4,
    patience: Patience {
        steps: 60,
        gain: 1e-4,
    },
};
/// What people write down as examples is a little easier than what comes in: never quite as sure as such tickets allow.
const CAUTION: f64 = 1.15;
/// With fewer tickets of one's own, there is nothing to find out on.
pub const NEEDED: usize = 50;

/// Why nothing was learned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearnError {
    /// Calibration would be a guess.
    #[error(
        "{0} labelled tickets are too few to find out how sure the classifier may be: give at least {NEEDED}"
    )]
    TooFew(usize),
    /// Nothing to tell apart.
    #[error("all tickets are of one category: give some of at least two, `OTHER` among them")]
    OneKind,
    /// Risks out of range.
    #[error(transparent)]
    Risk(#[from] ThresholdError),
}

/// What came of learning.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// Learned from everything.
    pub head: Head,
    /// What was said of each of one's own tickets by a head that had not seen it, calibrated; in their order.
    pub held_out: Vec<Reading>,
}

/// A labelled ticket with what its text means.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// The ticket, as [`crate::letter`] reads it.
    pub ticket: Labelled,
    /// The direction of its text: the same model's for all lessons and, later, for all tickets.
    pub meaning: Vec<f32>,
}

/// Where the tickets of one's own come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Out of a queue.
    Queue,
    /// Written as examples of one.
    Written,
}

/// Learn. Takes seconds; the same lessons give the same head.
pub fn learn(base: &[Lesson], own: &[Lesson], origin: Origin, risk: Risk) -> Result<Learned, LearnError> {
    if own.len() < NEEDED {
        return Err(LearnError::TooFew(own.len()));
    }
    let first = own.first().map(|lesson| lesson.ticket.kind);
    if own.iter().all(|lesson| Some(lesson.ticket.kind) == first) {
        return Err(LearnError::OneKind);
    }
    let base: Vec<Seen<'_>> = base.iter().map(|lesson| Seen::of(lesson, 1.0)).collect();
    let own: Vec<Seen<'_>> = own.iter().map(|lesson| Seen::of(lesson, OWN_COUNTS)).collect();
    let raw = held_out(&base, &own);
    let at = temperatures(&own, &raw, origin);
    let readings: Vec<Reading> = raw.into_iter().map(|raw| raw.reading(&at)).collect();
    let data = digest(&tickets(&own));
    let mut thresholds = BTreeMap::new();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Other) {
        thresholds.insert(
            kind,
            choose(&scored(kind, &own, &readings), risk.of(kind), &data)?,
        );
    }
    let card = Card {
        learned_from: [tickets(&base), tickets(&own)]
            .iter()
            .map(|set| Source {
                digest: digest(set),
                tickets: set.len(),
            })
            .collect(),
        words_at: at.words,
        kinds_at: at.both,
        whose_at: at.whose,
        thresholds,
    };
    let all: Vec<&Seen<'_>> = base.iter().chain(&own).collect();
    let head = Head {
        card,
        view: View::learn(&all),
    };
    Ok(Learned {
        head,
        held_out: readings,
    })
}

/// Each is fitted to the answers that it will have to calibrate.
fn temperatures(own: &[Seen<'_>], raw: &[Raw], origin: Origin) -> Temperatures {
    let caution = match origin {
        Origin::Queue => 1.0,
        Origin::Written => CAUTION,
    };
    let all = || raw.iter().zip(own);
    let kind = |seen: &Seen<'_>| seen.ticket.kind.index();
    let words: Vec<_> = all().map(|(raw, seen)| (raw.words.clone(), kind(seen))).collect();
    let both: Vec<_> = all()
        .map(|(raw, seen)| (together(&raw.words, &raw.meaning), kind(seen)))
        .collect();
    let whose: Vec<_> = all()
        .filter_map(|(raw, seen)| Some((raw.whose.clone(), seen.whose()?)))
        .collect();
    Temperatures {
        words: Temperature::fit(&words).hotter(caution),
        both: Temperature::fit(&both).hotter(caution),
        whose: Temperature::fit(&whose).hotter(caution),
    }
}

/// A lesson and what is learned by.
struct Seen<'a> {
    ticket: &'a Labelled,
    meaning: &'a [f32],
    features: Features,
    counts: f32,
}

impl<'a> Seen<'a> {
    fn of(lesson: &'a Lesson, counts: f32) -> Self {
        let ticket = &lesson.ticket;
        Self {
            ticket,
            meaning: &lesson.meaning,
            features: Features::of(&ticket.subject, &ticket.body),
            counts,
        }
    }

    /// Whose account it is about, where that is a question and the label answers it.
    fn whose(&self) -> Option<usize> {
        let own = self
            .ticket
            .automatable
            .filter(|_| self.ticket.kind.is_privileged())?;
        Some(if own { OWN } else { OWN ^ 1 })
    }
}

fn tickets(lessons: &[Seen<'_>]) -> Vec<Labelled> {
    lessons.iter().map(|seen| seen.ticket.clone()).collect()
}

impl View {
    fn learn(lessons: &[&Seen<'_>]) -> Self {
        let vocabulary = Vocabulary::of(lessons.iter().map(|seen| &seen.features));
        let by_words = |seen: &&Seen<'_>, class| Example {
            row: vocabulary.row(&seen.features),
            class,
            counts: seen.counts,
        };
        let by_meaning = |seen: &&Seen<'_>| Example {
            row: meaning_row(seen.meaning),
            class: seen.ticket.kind.index(),
            counts: seen.counts,
        };
        let words: Vec<Example> = lessons
            .iter()
            .map(|seen| by_words(seen, seen.ticket.kind.index()))
            .collect();
        let whose: Vec<Example> = lessons
            .iter()
            .filter_map(|seen| Some(by_words(seen, seen.whose()?)))
            .collect();
        let meaning: Vec<Example> = lessons.iter().map(by_meaning).collect();
        let directions = meaning.iter().map(|example| example.row.len()).max().unwrap_or(0);
        let (kinds, features) = (Kind::ALL.len(), vocabulary.len());
        Self {
            words: Linear::learn(&words, kinds, features, LEARNING).rounded(),
            meaning: Linear::learn(&meaning, kinds, directions, LEARNING_MEANING).rounded(),
            whose: Linear::learn(&whose, WHOSE, features, LEARNING_WHOSE).rounded(),
            vocabulary,
        }
    }

    fn judge(&self, seen: &Seen<'_>) -> Raw {
        let (words, whose) = self.by_words(&seen.features);
        Raw {
            words,
            whose,
            meaning: self.by_meaning(seen.meaning),
        }
    }
}

/// Scores before calibration.
struct Raw {
    words: Vec<f32>,
    whose: Vec<f32>,
    meaning: Vec<f32>,
}

impl Raw {
    fn reading(self, at: &Temperatures) -> Reading {
        let Self {
            words,
            whose,
            meaning,
        } = self;
        Scores {
            words,
            whose,
            meaning: || Some(meaning),
        }
        .reading(at)
    }
}

/// Each of `own` as judged by what the base and the other folds taught, in their order.
fn held_out(base: &[Seen<'_>], own: &[Seen<'_>]) -> Vec<Raw> {
    let folds = folds::split(&tickets(own), FOLDS);
    let judge = &|fold: usize| {
        let here = |at: usize| folds.get(at) == Some(&fold);
        let mut taught: Vec<&Seen<'_>> = base.iter().collect();
        taught.extend(
            own.iter()
                .enumerate()
                .filter(|(at, _)| !here(*at))
                .map(|(_, seen)| seen),
        );
        let view = View::learn(&taught);
        let judged = own.iter().enumerate().filter(|(at, _)| here(*at));
        judged
            .map(|(at, seen)| (at, view.judge(seen)))
            .collect::<Vec<_>>()
    };
    let mut answers: Vec<(usize, Raw)> = std::thread::scope(|scope| {
        let judging: Vec<_> = (0..FOLDS).map(|fold| scope.spawn(move || judge(fold))).collect();
        // A fold that panicked would be missing below, and its tickets with it: panic here instead.
        judging
            .into_iter()
            .flat_map(|fold| {
                fold.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, raw)| raw).collect()
}

/// The tickets that were called `kind` and met no objection: how fit for its automation they seemed, and whether they were.
fn scored(kind: Kind, own: &[Seen<'_>], readings: &[Reading]) -> Vec<Scored> {
    let called = readings.iter().zip(own).filter(|(reading, seen)| {
        reading.kind == kind && objection(kind, &seen.ticket.subject, &seen.ticket.body).is_none()
    });
    called
        .map(|(reading, seen)| {
            let fit = seen.ticket.automatable.unwrap_or(!kind.is_privileged());
            Scored {
                score: reading.fitness(kind),
                correct: seen.ticket.kind == kind && fit,
            }
        })
        .collect()
}
