//! From how sure on does a ticket of a kind go to the automation: as early as the data allow, and no earlier.
//!
//! **What is promised.** With probability at least `1 - delta` over the draw of the held-out tickets, the share of wrong
//! ones among all tickets of the stream that pass the chosen threshold is at most `alpha`. It holds for any classifier
//! and any size of data, as long as the held-out tickets come from the same stream, were not trained on, and each stands
//! for itself. It says nothing of a stream that has changed since; drift is watched elsewhere.
//!
//! **How.** Fixed-sequence testing (learn then test): a list of thresholds, strict ones first, is fixed before anything
//! is known of errors; each in turn is tested for "the rate of errors above it is more than `alpha`" by the exact binomial
//! bound at `delta`; the first that cannot be refuted ends the sequence, and the last refuted one is taken. As the order
//! is fixed beforehand, testing many costs nothing, and stopping is what keeps the promise: a lower threshold that looks
//! good after one that did not is luck until proven otherwise.
//!
//! The list is made of ranks: the threshold that the strictest `n` scores pass, then `n + 1`, and so on, where `n` is the
//! first number that could refute anything at all (without an error). It follows from `alpha` and `delta` alone. Above
//! the score at a rank, tickets are a sample of all that score higher, so that the binomial bound is valid for it; and
//! the sequence is exact for as long as a higher score never means a higher rate of errors, which calibration sees to.
//!
//! Sources: A. Angelopoulos, S. Bates, E. Candes, M. Jordan, L. Lei, "Learn then Test" (2021), section 3 (fixed-sequence
//! testing); Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks" (2017) for selection with
//! guaranteed risk.

use serde::{Deserialize, Serialize};

use crate::bound;

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
    /// What the held-out tickets were: [`crate::labelled::digest`].
    pub data: String,
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

/// The lowest threshold for which the promise holds, or [`NEVER`].
///
/// `scored` are the held-out tickets that the classifier called this kind, in any order.
pub fn choose(scored: &[Scored], risk: Risk, data: &str) -> Result<Threshold, ThresholdError> {
    check(scored, risk)?;
    let needed = needed(risk);
    let mut chosen = Threshold {
        score: NEVER,
        risk,
        held_out: count(scored),
        passing: 0,
        errors: 0,
        bound: 1.0,
        needed,
        data: data.to_owned(),
    };
    let mut strictest_first = scored.to_vec();
    strictest_first.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut passing, mut errors) = (0, 0);
    for equals in strictest_first.chunk_by(|a, b| same(a.score, b.score)) {
        // Equal scores pass together or not at all.
        passing += count(equals);
        errors += equals
            .iter()
            .map(|ticket| u64::from(!ticket.correct))
            .sum::<u64>();
        let Some(ticket) = equals.first() else { continue };
        if passing < needed || ticket.score >= NEVER {
            continue;
        }
        let bound = bound::upper(errors, passing, 1.0 - risk.delta);
        if bound > risk.alpha {
            break;
        }
        chosen = Threshold {
            score: ticket.score,
            passing,
            errors,
            bound,
            ..chosen
        };
    }
    Ok(chosen)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RISK: Risk = Risk {
        alpha: 0.1,
        delta: 0.1,
    };

    fn right(score: f64) -> Scored {
        Scored { score, correct: true }
    }

    fn wrong(score: f64) -> Scored {
        Scored {
            score,
            correct: false,
        }
    }

    #[test]
    fn too_little_data_means_never_and_says_how_much_there_must_be() {
        // 0.9^22 = 0.098 is the first below 0.1.
        let chosen = choose(&[right(0.9); 21], RISK, "digest").unwrap();
        assert_eq!((chosen.score, chosen.needed, chosen.held_out), (NEVER, 22, 21));
        assert!(!chosen.admits(1.0));
        let chosen = choose(&[right(0.9); 22], RISK, "digest").unwrap();
        assert_eq!((chosen.score, chosen.passing), (0.9, 22));
        assert!(chosen.bound <= RISK.alpha);
        assert!(chosen.admits(0.9) && !chosen.admits(0.899) && !chosen.admits(f64::NAN));
    }

    #[test]
    fn five_per_cent_at_ninety_five_needs_the_fifty_nine_of_the_books() {
        let risk = Risk {
            alpha: 0.05,
            delta: 0.05,
        };
        assert_eq!(needed(risk), 59);
        let risk = Risk {
            alpha: 0.01,
            delta: 0.05,
        };
        assert_eq!(needed(risk), 299);
    }

    #[test]
    fn luck_below_a_failure_is_not_taken() {
        // Sure of 30, wrong in 8 of the next ten: more than alpha, and the many good ones below come too late.
        let mut tickets = vec![right(0.95); 30];
        tickets.extend([wrong(0.9); 8]);
        tickets.extend([right(0.8); 1_000]);
        let chosen = choose(&tickets, RISK, "").unwrap();
        assert_eq!((chosen.score, chosen.passing, chosen.errors), (0.95, 30, 0));
    }

    #[test]
    fn equal_scores_pass_together_or_not_at_all() {
        let mut tickets = vec![right(0.9); 22];
        tickets.extend([wrong(0.9); 10]);
        let chosen = choose(&tickets, RISK, "").unwrap();
        assert_eq!((chosen.score, chosen.held_out), (NEVER, 32));
    }

    #[test]
    fn what_is_no_risk_or_no_score_is_refused() {
        for risk in [
            Risk { alpha: 0.0, ..RISK },
            Risk { delta: 1.0, ..RISK },
            Risk {
                alpha: f64::NAN,
                ..RISK
            },
        ] {
            assert!(matches!(choose(&[], risk, ""), Err(ThresholdError::Risk { .. })));
        }
        for score in [f64::NAN, f64::INFINITY, 7.0, -0.1] {
            assert!(matches!(
                choose(&[right(0.5), right(score)], RISK, ""),
                Err(ThresholdError::Score { index: 1, .. })
            ));
        }
    }

    #[test]
    fn the_record_is_read_back_as_it_was_written() {
        let chosen = choose(&[right(0.9); 40], RISK, "digest").unwrap();
        let written = serde_json::to_string(&chosen).unwrap();
        assert_eq!(serde_json::from_str::<Threshold>(&written).unwrap(), chosen);
        assert!(written.contains("\"alpha\":0.1"), "{written}");
    }

    fn tickets() -> impl Strategy<Value = Vec<Scored>> {
        let ticket = (0_u32..16, prop::bool::weighted(0.95)).prop_map(|(score, correct)| Scored {
            score: f64::from(score) / 16.0,
            correct,
        });
        prop::collection::vec(ticket, 0..160)
    }

    /// The procedure as a sentence: of all thresholds, the lowest below which none stricter (and testable) fails.
    fn by_trying_all(tickets: &[Scored], risk: Risk) -> f64 {
        let at = |score: f64| {
            let passing: Vec<_> = tickets.iter().filter(|ticket| ticket.score >= score).collect();
            let errors = passing.iter().filter(|ticket| !ticket.correct).count() as u64;
            (passing.len() as u64, errors)
        };
        let testable = |score: f64| bound::upper(0, at(score).0, 1.0 - risk.delta) <= risk.alpha;
        let good = |score: f64| bound::upper(at(score).1, at(score).0, 1.0 - risk.delta) <= risk.alpha;
        let scores = || (0..16).map(|sixteenth| f64::from(sixteenth) / 16.0);
        scores()
            .filter(|score| tickets.iter().any(|ticket| same(ticket.score, *score)))
            .filter(|score| testable(*score))
            .filter(|score| scores().filter(|s| s >= score && testable(*s)).all(good))
            .fold(NEVER, f64::min)
    }

    proptest! {
        #[test]
        fn it_is_the_lowest_that_trying_all_finds(tickets in tickets(), alpha in 0.03..0.3_f64) {
            let risk = Risk { alpha, delta: 0.1 };
            let chosen = choose(&tickets, risk, "").unwrap();
            prop_assert!((chosen.score - by_trying_all(&tickets, risk)).abs() < 1e-12);
            if chosen.score < NEVER {
                prop_assert!(chosen.bound <= alpha);
                prop_assert!(chosen.passing >= chosen.needed);
            }
        }

        #[test]
        fn the_order_of_tickets_is_nothing_to_it(tickets in tickets()) {
            let mut turned = tickets.clone();
            turned.reverse();
            prop_assert_eq!(choose(&tickets, RISK, "").unwrap(), choose(&turned, RISK, "").unwrap());
        }

        #[test]
        fn how_many_are_needed_is_exact(alpha in 0.005..0.5_f64, delta in 0.001..0.5_f64) {
            let risk = Risk { alpha, delta };
            let needed = needed(risk);
            prop_assert!(holds(0, needed, risk));
            prop_assert!(needed == 1 || !holds(0, needed - 1, risk));
            let stricter = Risk { alpha: alpha / 2.0, delta };
            prop_assert!(super::needed(stricter) >= needed, "bearing less takes no less data");
        }
    }

    /// A generator of numbers that is the same everywhere.
    fn numbers(mut state: u64) -> impl FnMut() -> f64 {
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
        }
    }

    #[test]
    fn over_many_draws_the_promise_is_broken_no_more_often_than_delta() {
        // A stream whose error rate above a score s is known: errors fall linearly from 0.4 at 0 to 0 at 1, so the rate
        // among scores of s and more is 0.2 (1 - s).
        let (draws, mut broken) = (300, 0);
        let mut next = numbers(7);
        for _ in 0..draws {
            let tickets: Vec<Scored> = (0..150)
                .map(|_| {
                    let score = next() * 0.999;
                    Scored {
                        score,
                        correct: next() > 0.4 * (1.0 - score),
                    }
                })
                .collect();
            let chosen = choose(&tickets, RISK, "").unwrap();
            if chosen.score < NEVER && 0.2 * (1.0 - chosen.score) > RISK.alpha {
                broken += 1;
            }
        }
        // 10 % of 300, and two standard deviations of what chance may add.
        assert!(broken <= 30 + 11, "{broken} of {draws}");
        assert!(
            broken > 0,
            "a procedure that is never wrong lets less pass than it could"
        );
    }
}
