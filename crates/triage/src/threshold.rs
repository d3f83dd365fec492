//! From how sure on does a ticket of a kind go to the automation: as early as the data allow, and no earlier.
//!
//! **What is promised.** With probability at least `1 - delta` over the draw of the held-out tickets, the share of wrong
//! ones among all tickets of the stream that pass the chosen threshold is at most `alpha`. It holds for any classifier
//! and any size of data, as long as the held-out tickets come from the same stream, were not trained on, and each stands
//! for itself. It says nothing of a stream that has changed since; drift is watched elsewhere.
//!
//! **How.** Fixed-sequence testing (learn then test): a list of ranks, strict ones first, is fixed before anything is
//! known of errors. At each in turn the threshold is the score that so many tickets pass, and "the rate of errors above it
//! is more than `alpha`" is tested by the exact binomial bound at `delta`; the first that cannot be refuted ends the
//! sequence, and the last refuted one is taken. As the order is fixed beforehand, testing many costs nothing, and stopping
//! is what keeps the promise: a lower threshold that looks good after one that did not is luck until proven otherwise.
//!
//! **Which ranks** follows from `alpha`, `delta` and the number of held-out tickets alone ([`ranks`]). Only those are worth
//! a test at which one more error is borne than at the one before (29, 46, 61 .. at .1 and .05): a test between them would
//! end the sequence for an error that the next one bears. The first is the one that lies a third down the held-out
//! tickets, where some errors are borne; at the very first, a single one would bar the kind for good. Simulations chose
//! the third (`docs/decisions/0065-embedded-head.md`).
//!
//! **Why it holds.** Given the highest score that does not pass, those that pass are a sample of all that score higher, so
//! that the binomial bound is valid for each rank. The promise is broken only where the first rank whose rate is too high is
//! refuted. Which one that is depends on scores, not on errors, for as long as a higher score never means a higher rate of
//! errors, which calibration sees to; its test is wrong with probability `delta` at most.
//!
//! Sources: A. Angelopoulos, S. Bates, E. Candes, M. Jordan, L. Lei, "Learn then Test" (2021), section 3 (fixed-sequence
//! testing); Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks" (2017) for selection with
//! guaranteed risk.

use serde::{Deserialize, Serialize};

use crate::{Kind, bound};

/// Of a held-out ticket: how sure the classifier was of the kind, and whether automating it would have been right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// 0 to 1.
    pub score: f64,
    /// Whether it was of that kind, and fit for automation.
    pub correct: bool,
}

/// How much error is borne, and how certain that must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    /// The highest share of wrong ones among automated tickets, in (0, 1).
    pub alpha: f64,
    /// With which probability more may slip through unnoticed, in (0, 1).
    pub delta: f64,
}

impl Risk {
    /// What is borne of a kind: where a mistake is a breach, half of what is borne elsewhere.
    #[must_use]
    pub fn of(self, kind: Kind) -> Self {
        let alpha = if kind.is_privileged() {
            self.alpha / 2.0
        } else {
            self.alpha
        };
        Self { alpha, ..self }
    }
}

/// The threshold of one kind, and what it stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Tickets with at least this score pass. [`NEVER`] where the data do not carry any.
    pub score: f64,
    /// The risk that was asked for.
    #[serde(flatten)]
    pub risk: Risk,
    /// Held-out tickets that the classifier called this kind.
    pub held_out: u64,
    /// Those of them that pass.
    pub passing: u64,
    /// The wrong ones among those that pass.
    pub errors: u64,
    /// Upper bound of the share of wrong ones among those that pass, at `1 - delta`; 1 where none pass.
    pub bound: f64,
    /// How many tickets without an error are needed at least; a threshold of [`NEVER`] may have fewer, or errors.
    pub needed: u64,
    /// What was found at the strictest rank; nothing where there were too few tickets for any.
    #[serde(default)]
    pub first: Option<Trial>,
    /// What the held-out tickets were: [`crate::labelled::digest`].
    pub data: String,
}

/// What was found at a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// So many tickets, the surest ones.
    pub passing: u64,
    /// The wrong ones among them.
    pub errors: u64,
}

/// The threshold that no ticket passes: a probability is below one.
pub const NEVER: f64 = 1.0;

/// Why nothing can be chosen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ThresholdError {
    /// A share or a probability out of its range.
    #[error("{name} is `{value}`: give a number between 0 and 1, both excluded")]
    Risk {
        /// `alpha` or `delta`.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// A score that is none.
    #[error("score {index} is `{value}`, not between 0 and 1: the classifier is at fault")]
    Score {
        /// Its place, from 0.
        index: usize,
        /// What it is.
        value: f64,
    },
}

impl Threshold {
    /// Whether a ticket with this score may be automated. NaN may not.
    pub fn admits(&self, score: f64) -> bool {
        self.score < NEVER && score >= self.score
    }
}

/// How many tickets in a row without an error show that the risk holds: ln(delta) / ln(1 - alpha), rounded up.
pub fn needed(risk: Risk) -> u64 {
    let exact = risk.delta.ln() / (-risk.alpha).ln_1p();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and what is beyond any number of tickets saturates"
    )]
    let mut tickets = exact.ceil().max(1.0) as u64;
    // The logarithms round; the bound decides.
    while tickets > 1 && holds(0, tickets - 1, risk) {
        tickets -= 1;
    }
    while tickets < u64::MAX && !holds(0, tickets, risk) {
        tickets += 1;
    }
    tickets
}

fn holds(errors: u64, passing: u64, risk: Risk) -> bool {
    bound::upper(errors, passing, 1.0 - risk.delta) <= risk.alpha
}

/// Of the held-out tickets, how many lie before the first test: the inverse of it.
const BEFORE_THE_FIRST: u64 = 3;

/// How many of the surest tickets pass at each test, strictest first; none where there are too few for any.
///
/// By the number of tickets alone: whoever looked at errors first would choose the ranks that suit them.
pub fn ranks(held_out: u64, risk: Risk) -> Vec<u64> {
    let mut bearing: Vec<u64> = vec![];
    for errors in 0..held_out {
        let after = bearing.last().copied().unwrap_or_default();
        let Some(rank) = (after + 1..=held_out).find(|rank| holds(errors, *rank, risk)) else {
            break;
        };
        bearing.push(rank);
    }
    let first = bearing.partition_point(|rank| *rank < held_out.div_ceil(BEFORE_THE_FIRST));
    // Where even the last lies before it, better that one than none.
    bearing.split_off(first.min(bearing.len().saturating_sub(1)))
}

/// The lowest threshold for which the promise holds, or [`NEVER`].
///
/// `scored` are the held-out tickets that the classifier called this kind, in any order.
pub fn choose(scored: &[Scored], risk: Risk, data: &str) -> Result<Threshold, ThresholdError> {
    check(scored, risk)?;
    let mut chosen = Threshold {
        score: NEVER,
        risk,
        held_out: count(scored),
        passing: 0,
        errors: 0,
        bound: 1.0,
        needed: needed(risk),
        first: None,
        data: data.to_owned(),
    };
    for (score, trial) in trials(scored, &ranks(count(scored), risk)) {
        let Trial { passing, errors } = trial;
        let first = chosen.first.or(Some(trial));
        let bound = bound::upper(errors, passing, 1.0 - risk.delta);
        chosen = Threshold { first, ..chosen };
        if bound > risk.alpha {
            break;
        }
        // A score that calls itself certain is passed over, not admitted.
        if score < NEVER {
            chosen = Threshold {
                score,
                passing,
                errors,
                bound,
                ..chosen
            };
        }
    }
    Ok(chosen)
}

/// What passes at each of `ranks`, with the score that it takes. Equal scores pass together or not at all.
fn trials(scored: &[Scored], ranks: &[u64]) -> Vec<(f64, Trial)> {
    let mut strictest_first = scored.to_vec();
    strictest_first.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut due = ranks.iter().copied().peekable();
    let mut trials = vec![];
    let (mut passing, mut errors) = (0, 0);
    for equals in strictest_first.chunk_by(|a, b| same(a.score, b.score)) {
        let wrong = equals.iter().filter(|ticket| !ticket.correct).count();
        passing += count(equals);
        errors += wrong as u64;
        let mut reached = false;
        while due.next_if(|rank| *rank <= passing).is_some() {
            reached = true;
        }
        if let Some(ticket) = equals.first().filter(|_| reached) {
            trials.push((ticket.score, Trial { passing, errors }));
        }
    }
    trials
}

fn same(a: f64, b: f64) -> bool {
    a.total_cmp(&b).is_eq()
}

fn count(scored: &[Scored]) -> u64 {
    scored.len() as u64
}

fn check(scored: &[Scored], risk: Risk) -> Result<(), ThresholdError> {
    for (name, value) in [("alpha", risk.alpha), ("delta", risk.delta)] {
        if !(value > 0.0 && value < 1.0) {
            return Err(ThresholdError::Risk { name, value });
        }
    }
    match scored
        .iter()
        .position(|ticket| !(0.0..=1.0).contains(&ticket.score))
    {
        Some(index) => {
            let value = scored.get(index).map_or(f64::NAN, |ticket| ticket.score);
            Err(ThresholdError::Score { index, value })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
