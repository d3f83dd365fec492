//! How well a classifier told labelled tickets: the figures that `firstline eval` prints.
//!
//! Every share stands beside the interval that so many tickets allow for. Figures are of tickets as they were labelled: what
//! a labeller got wrong counts as the classifier's mistake.

mod automation;
mod confidence;
mod kinds;

use std::time::Duration;

use serde::Serialize;

pub use automation::{Automation, Passed};
pub use confidence::{Bin, Calibration, Covered};
pub use kinds::{KindFigures, OutOfScope, TakenFor};

use crate::{Kind, bound};

/// What became of one labelled ticket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// What it is.
    pub truth: Kind,
    /// Whether it may be automated; `None` where nobody said.
    pub automatable: Option<bool>,
    /// What the classifier called it.
    pub said: Kind,
    /// How sure it was, 0 to 1.
    pub confidence: f64,
    /// Whether it would have gone to the automation.
    pub automated: bool,
    /// How long that took.
    pub took: Duration,
}

/// What was measured, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The files, as they were named.
    pub files: Vec<String>,
    /// The classifier with its version, as decisions name it.
    pub classifier: String,
    /// Digest of the tickets: [`crate::labelled::digest`].
    pub data: String,
    /// Into how many folds they were split for training and testing; `None`: nothing was trained on them.
    pub folds: Option<usize>,
    /// Tickets without an answer. They would go to a person; the figures are without them.
    pub unanswered: Unanswered,
}

/// Tickets that a model did not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// It would not, or was cut off.
    pub declined: u64,
    /// It answered otherwise than was agreed.
    pub malformed: u64,
    /// It could not be reached, or not in time.
    pub away: u64,
}

impl Unanswered {
    /// All of them.
    pub fn all(self) -> u64 {
        self.declined + self.malformed + self.away
    }
}

/// All figures of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Tickets measured.
    pub tickets: u64,
    /// Tickets that were called what they are.
    pub accuracy: Share,
    /// Mean of F1 over the kinds that have tickets, each weighing the same.
    pub macro_f1: f64,
    /// Of each kind that has tickets or was said, in the order of [`Kind::ALL`].
    pub kinds: Vec<KindFigures>,
    /// Tickets by what they are (row) and what they were called (column), both in the order of [`Kind::ALL`].
    pub confusion: [[u64; 10]; 10],
    /// Accuracy of the more confident half.
    pub precision_at_50: f64,
    /// Accuracy of the most confident four fifths.
    pub precision_at_80: f64,
    /// Accuracy of the most confident ones, from few to all.
    pub curve: Vec<Covered>,
    /// Whether a confidence is what it says.
    pub calibration: Calibration,
    /// What went to the automation.
    pub automation: Automation,
    /// What became of tickets that are no known kind.
    pub out_of_scope: OutOfScope,
    /// How long tickets took.
    pub latency: Latency,
}

/// A share of tickets, and where it lies with 95 % confidence (two-sided, exact).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How many of them.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// The share itself; 0 of none.
    pub share: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Share {
    pub(crate) fn of(count: u64, of: u64) -> Self {
        // What 95 % leave, on either side.
        const EACH_SIDE: f64 = 0.975;
        Self {
            count,
            of,
            share: ratio(count, of),
            low: bound::lower(count, of, EACH_SIDE),
            high: bound::upper(count, of, EACH_SIDE),
        }
    }
}

/// How long one ticket took, in milliseconds: nearest ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half took no longer.
    pub p50_ms: f64,
    /// Nineteen of twenty took no longer.
    pub p95_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Why there are no figures.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum MeasureError {
    /// No tickets.
    #[error("there is nothing to measure: no ticket was classified")]
    Nothing,
    /// A confidence that is none. Averaging it would spoil every figure without a trace.
    #[error("the confidence of ticket {index} is `{value}`, not between 0 and 1: the classifier is at fault")]
    Confidence {
        /// Its place, from 0.
        index: usize,
        /// What it is.
        value: f64,
    },
}

/// The figures of what was measured; of equally confident tickets those that come first count as more confident.
pub fn figures(measured: &[Measured]) -> Result<Figures, MeasureError> {
    if measured.is_empty() {
        return Err(MeasureError::Nothing);
    }
    for (index, ticket) in measured.iter().enumerate() {
        let value = ticket.confidence;
        if !(0.0..=1.0).contains(&value) {
            return Err(MeasureError::Confidence { index, value });
        }
    }
    let confusion = kinds::confusion(measured);
    let kinds = kinds::of_each(&confusion);
    let curve = confidence::curve(measured);
    Ok(Figures {
        tickets: measured.len() as u64,
        accuracy: Share::of(
            measured.iter().filter(|ticket| ticket.is_right()).count() as u64,
            measured.len() as u64,
        ),
        macro_f1: kinds::macro_f1(&kinds),
        precision_at_50: confidence::precision_at(measured, 50),
        precision_at_80: confidence::precision_at(measured, 80),
        calibration: confidence::calibration(measured),
        automation: automation::of(measured),
        out_of_scope: kinds::out_of_scope(&confusion),
        latency: latency(measured),
        kinds,
        confusion,
        curve,
    })
}

impl Measured {
    fn is_right(&self) -> bool {
        self.truth == self.said
    }
}

fn latency(measured: &[Measured]) -> Latency {
    let mut took: Vec<Duration> = measured.iter().map(|ticket| ticket.took).collect();
    took.sort_unstable();
    let rank = |percent: usize| {
        let place = (took.len() * percent).div_ceil(100).saturating_sub(1);
        took.get(place).copied().unwrap_or_default().as_secs_f64() * 1_000.0
    };
    Latency {
        p50_ms: rank(50),
        p95_ms: rank(95),
        max_ms: rank(100),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of tickets are far below 2^53")]
pub(crate) fn ratio(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}

#[cfg(test)]
pub(crate) mod tests;
