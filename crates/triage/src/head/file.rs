//! A head as a file: a line that says what it is, its card as one line of JSON, then its numbers.
//!
//! ```text
//! firstline head 1\n
//! {card and the shape of what follows}\n
//! features x u32         the numbers of the features, ascending
//! features x f32         how rare each is
//! (features+1) x 10 i16  weights of the kinds by words
//! (directions+1) x 10 i16  weights of the kinds by meaning
//! (features+1) x 2 i16   weights of whose account it is
//! ```
//! Little-endian throughout; weights in steps that the shape names. The shape carries the SHA-256 of the numbers, so that a file cut short or changed is refused.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Card, Head, View, WHOSE};
use crate::Kind;
use crate::linear::Linear;
use crate::vocabulary::Vocabulary;

const FIRST_LINE: &[u8] = b"firstline head 1\n";

/// Why a file is no head.
#[derive(Debug, thiserror::Error)]
pub enum NotAHead {
    /// Something else altogether, or of a later version.
    #[error("it is no head that this version reads; `firstline eval train FILE... --out HEAD` makes one")]
    Foreign,
    /// The card cannot be read.
    #[error("its card cannot be read")]
    Card(#[source] serde_json::Error),
    /// Cut short, or changed.
    #[error("it is damaged ({0}); make it again with `firstline eval train`")]
    Damaged(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preface {
    card: Card,
    features: usize,
    directions: usize,
    /// Of the weights by words, by meaning, and of whose account.
    steps: [f32; 3],
    sha256: String,
}

impl Head {
    /// As a file holds it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let view = &self.view;
        let [words, meaning, whose] =
            [&view.words, &view.meaning, &view.whose].map(|linear| in_steps(linear.weights()));
        let mut numbers = vec![];
        for bucket in view.vocabulary.buckets() {
            numbers.extend(bucket.to_le_bytes());
        }
        for rarity in view.vocabulary.rarities() {
            numbers.extend(rarity.to_le_bytes());
        }
        for weight in words.1.iter().chain(&meaning.1).chain(&whose.1) {
            numbers.extend(weight.to_le_bytes());
        }
        let preface = Preface {
            card: self.card.clone(),
            features: view.vocabulary.len(),
            directions: (meaning.1.len() / Kind::ALL.len()).saturating_sub(1),
            steps: [words.0, meaning.0, whose.0],
            sha256: hex::encode(Sha256::digest(&numbers)),
        };
        // Plain data: numbers, strings, a map by names.
        let preface = serde_json::to_vec(&preface).unwrap_or_default();
        [FIRST_LINE, &preface, b"\n", &numbers].concat()
    }

    /// As [`Head::to_bytes`] wrote it.
    ///
    /// # Errors
    /// It is no head, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAHead> {
        let rest = bytes.strip_prefix(FIRST_LINE).ok_or(NotAHead::Foreign)?;
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(NotAHead::Damaged("it has no card"))?;
        let (preface, numbers) = rest.split_at(end);
        let preface: Preface = serde_json::from_slice(preface).map_err(NotAHead::Card)?;
        let numbers = numbers.get(1..).unwrap_or_default();
        if hex::encode(Sha256::digest(numbers)) != preface.sha256 {
            return Err(NotAHead::Damaged("its numbers do not match its card"));
        }
        let mut numbers = Numbers(numbers);
        let buckets = numbers.take(preface.features, u32::from_le_bytes)?;
        let rarity = numbers.take(preface.features, f32::from_le_bytes)?;
        let [words, meaning, whose] = preface.steps;
        let words = numbers.linear(preface.features, Kind::ALL.len(), words)?;
        let meaning = numbers.linear(preface.directions, Kind::ALL.len(), meaning)?;
        let whose = numbers.linear(preface.features, WHOSE, whose)?;
        let vocabulary = Vocabulary::from_parts(buckets, rarity)
            .ok_or(NotAHead::Damaged("its features are out of order"))?;
        Ok(Self {
            card: preface.card,
            view: View {
                vocabulary,
                words,
                meaning,
                whose,
            },
        })
    }
}

/// Weights as multiples of the smallest step at which the greatest of them still fits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded, and within an i16 by the choice of the step"
)]
fn in_steps(weights: &[f32]) -> (f32, Vec<i16>) {
    let greatest = weights
        .iter()
        .fold(0.0_f32, |greatest, weight| greatest.max(weight.abs()));
    let step = (greatest / f32::from(i16::MAX)).max(f32::MIN_POSITIVE);
    let steps = weights.iter().map(|weight| (weight / step).round() as i16);
    (step, steps.collect())
}

fn from_steps(steps: Vec<i16>, step: f32) -> Vec<f32> {
    steps.into_iter().map(|n| f32::from(n) * step).collect()
}

/// The same weights as a file will give back: what is measured is what is used later.
pub(crate) fn rounded(weights: &[f32]) -> Vec<f32> {
    let (step, steps) = in_steps(weights);
    from_steps(steps, step)
}

struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn linear(&mut self, features: usize, classes: usize, step: f32) -> Result<Linear, NotAHead> {
        let count = features.saturating_add(1).saturating_mul(classes);
        let steps = self.take(count, i16::from_le_bytes)?;
        Linear::from_weights(classes, from_steps(steps, step))
            .ok_or(NotAHead::Damaged("its weights are no numbers"))
    }

    fn take<T, const SIZE: usize>(
        &mut self,
        count: usize,
        read: fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, NotAHead> {
        let (ours, rest) = count
            .checked_mul(SIZE)
            .and_then(|bytes| self.0.split_at_checked(bytes))
            .ok_or(NotAHead::Damaged("it is cut short"))?;
        self.0 = rest;
        Ok(ours
            .as_chunks::<SIZE>()
            .0
            .iter()
            .map(|bytes| read(*bytes))
            .collect())
    }
}
