//! What the judged decisions of a playbook are worth: whether they earn it to act by itself, and when they lose it that.
//!
//! Bounds are exact (Clopper-Pearson): where little is known they say little, and that never counts in favour.

use std::fmt;

use common::PlaybookName;
use common::modes::{Bar, Standing};
use triage::bound::{lower, upper};

/// Of what is shown and held against the bar.
pub const CONFIDENCE: f64 = 0.95;
/// Looked at after each judged ticket, so it must be harder to reach: one chance in a hundred each time.
const DRIFT_CONFIDENCE: f64 = 0.99;
/// What changed lately shows here first.
const NEWEST: usize = 30;
/// What was measured before these is history: the tickets, the playbook and the classifier were others.
const LEAST_WINDOW: u32 = 200;

/// On how many of the newest judged decisions the standing rests: at least 200, and twice what it takes to reach the bar
/// without an error, for there will be errors.
pub fn window(bar: Bar) -> u32 {
    let without_an_error = ((1.0 - CONFIDENCE).ln() / bar.share().ln()).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bar is 0.5 to 0.999, so this is 5 to 2995"
    )]
    let without_an_error = without_an_error as u32;
    LEAST_WINDOW.max(without_an_error.saturating_mul(2))
}

/// What was measured, held against the bar. `judged`: whether each was right, the newest first, of one [`window`].
pub fn standing(playbook: &PlaybookName, judged: &[bool], bar: Bar) -> Standing {
    let (agreed, all) = count(judged);
    Standing {
        playbook: playbook.clone(),
        judged: all,
        agreed,
        precision: share(agreed, all),
        lower_bound: lower(agreed, all, CONFIDENCE),
        bar,
        needed: needed(judged, bar),
    }
}

/// So many more right ones until the bound reaches the bar. The oldest leave the window meanwhile.
fn needed(judged: &[bool], bar: Bar) -> u64 {
    let window = usize::try_from(window(bar)).unwrap_or(usize::MAX);
    let judged = judged.get(..window).unwrap_or(judged);
    let reaches = |more: &usize| {
        let kept = judged.get(..window.saturating_sub(*more)).unwrap_or(judged);
        let (agreed, all) = count(kept);
        let more = u64::try_from(*more).unwrap_or(u64::MAX);
        lower(agreed + more, all + more, CONFIDENCE) >= bar.share()
    };
    // A right one more never lowers the bound, and neither does an old one less.
    let (mut below, mut reached) = (0, window);
    if reaches(&0) {
        return 0;
    }
    while reached - below > 1 {
        let middle = usize::midpoint(below, reached);
        if reaches(&middle) {
            reached = middle;
        } else {
            below = middle;
        }
    }
    u64::try_from(reached).unwrap_or(u64::MAX)
}

/// Right ones, and all.
fn count(judged: &[bool]) -> (u64, u64) {
    let agreed = judged.iter().filter(|right| **right).count();
    let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
    (number(agreed), number(judged.len()))
}

/// None of nothing.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "counts of tickets are far below 2^53")]
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// On what it rests that a playbook acts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Its numbers: they must go on reaching the bar.
    Earned,
    /// The fleet's default: nothing was shown, so only what speaks against it counts.
    Default,
}

/// Why a playbook must not act by itself any more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Drift {
    /// The bound over the whole window is below the bar.
    BelowBar {
        /// Right ones.
        agreed: u64,
        /// Of so many.
        judged: u64,
        /// The bound.
        lower_bound: f64,
        /// What it had to reach.
        bar: Bar,
    },
    /// The newest are worse than the bar, and not by chance.
    Lately {
        /// Right ones.
        agreed: u64,
        /// Of so many.
        judged: u64,
        /// The highest precision that this leaves plausible.
        upper_bound: f64,
        /// What it had to reach.
        bar: Bar,
    },
}

impl Drift {
    /// For the audit.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BelowBar { .. } => "below_bar",
            Self::Lately { .. } => "worse_lately",
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowBar {
                agreed,
                judged,
                lower_bound,
                bar,
            } => write!(
                f,
                "{agreed} of the newest {judged} judged decisions were right: at least {lower_bound:.3} with 95 % \
                 confidence, and the bar is {bar}"
            ),
            Self::Lately {
                agreed,
                judged,
                upper_bound,
                bar,
            } => write!(
                f,
                "{agreed} of the newest {judged} judged decisions were right: at most {upper_bound:.3} with 99 % \
                 confidence, and the bar is {bar}"
            ),
        }
    }
}

/// Whether it must not act by itself any more. `judged` as for [`standing`].
pub fn drift(judged: &[bool], bar: Bar, basis: Basis) -> Option<Drift> {
    let newest = judged.get(..NEWEST).unwrap_or(judged);
    let (agreed, all) = count(newest);
    let upper_bound = upper(agreed, all, DRIFT_CONFIDENCE);
    if upper_bound < bar.share() {
        return Some(Drift::Lately {
            agreed,
            judged: all,
            upper_bound,
            bar,
        });
    }
    let (agreed, judged) = count(judged);
    let lower_bound = lower(agreed, judged, CONFIDENCE);
    let below = Drift::BelowBar {
        agreed,
        judged,
        lower_bound,
        bar,
    };
    (basis == Basis::Earned && lower_bound < bar.share()).then_some(below)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bar(share: f64) -> Bar {
        share.try_into().unwrap()
    }

    fn name() -> PlaybookName {
        "password_reset".parse().unwrap()
    }

    /// `wrong` of the newest `all` are wrong, the newest first.
    fn judged(all: usize, wrong: usize) -> Vec<bool> {
        (0..all).map(|at| at >= wrong).collect()
    }

    #[test]
    fn fifty_nine_without_an_error_earn_a_bar_of_95_percent() {
        let short = standing(&name(), &judged(58, 0), bar(0.95));
        assert!(!short.is_earned() && short.needed == 1, "{short}");
        let there = standing(&name(), &judged(59, 0), bar(0.95));
        assert!(there.is_earned() && there.needed == 0, "{there}");
        // With one error it takes 93 (tables of the exact binomial).
        let one_wrong = standing(&name(), &judged(59, 1), bar(0.95));
        assert!(!one_wrong.is_earned() && one_wrong.needed == 34, "{one_wrong}");
    }

    #[test]
    fn nothing_judged_earns_nothing() {
        let none = standing(&name(), &[], bar(0.5));
        assert!(!none.is_earned());
        assert_eq!((none.judged, none.precision, none.needed), (0, None, 5));
    }

    #[test]
    fn the_window_is_wide_enough_for_every_bar() {
        assert_eq!(window(bar(0.5)), 200);
        assert_eq!(window(bar(0.95)), 200);
        assert_eq!(window(bar(0.99)), 598);
        assert_eq!(window(bar(0.999)), 5990);
    }

    #[test]
    fn what_was_earned_is_lost_when_the_bound_sinks_below_the_bar() {
        assert_eq!(drift(&judged(200, 0), bar(0.95), Basis::Earned), None);
        // The six wrong ones are old: lately all was well.
        let mut old = judged(200, 6);
        old.reverse();
        assert!(matches!(
            drift(&old, bar(0.95), Basis::Earned),
            Some(Drift::BelowBar {
                agreed: 194,
                judged: 200,
                ..
            })
        ));
        assert_eq!(drift(&old, bar(0.95), Basis::Default), None);
    }

    #[test]
    fn what_goes_wrong_lately_is_lost_on_whatever_basis() {
        for basis in [Basis::Earned, Basis::Default] {
            let drift = drift(&judged(200, 6), bar(0.95), basis);
            assert!(
                matches!(
                    drift,
                    Some(Drift::Lately {
                        agreed: 24,
                        judged: 30,
                        ..
                    })
                ),
                "{drift:?}"
            );
        }
    }

    #[test]
    fn one_wrong_ticket_alone_takes_nothing_from_the_default() {
        assert_eq!(drift(&[false], bar(0.95), Basis::Default), None);
        assert_eq!(drift(&[], bar(0.95), Basis::Default), None);
        assert!(drift(&[false, false], bar(0.95), Basis::Default).is_some());
    }

    proptest! {
        #[test]
        fn the_needed_ones_are_enough_and_one_less_is_not(
            judged in proptest::collection::vec(proptest::bool::weighted(0.95), 0..250),
            share in 0.5..0.97,
        ) {
            let bar = bar(share);
            let window = usize::try_from(window(bar)).unwrap();
            let judged = &judged[..judged.len().min(window)];
            let now = standing(&name(), judged, bar);
            prop_assert_eq!(now.is_earned(), now.needed == 0);
            let after = |more: u64| {
                let mut all = vec![true; usize::try_from(more).unwrap()];
                all.extend(judged);
                all.truncate(window);
                standing(&name(), &all, bar).is_earned()
            };
            prop_assert!(after(now.needed));
            if now.needed > 0 {
                prop_assert!(!after(now.needed - 1));
            }
        }

        #[test]
        fn what_is_earned_now_is_not_lost_now(
            judged in proptest::collection::vec(proptest::bool::weighted(0.97), 0..250),
        ) {
            let bar = Bar::default();
            if standing(&name(), &judged, bar).is_earned() {
                let drift = drift(&judged, bar, Basis::Earned);
                let below = matches!(drift, Some(Drift::BelowBar { .. }));
                prop_assert!(!below);
            }
        }
    }
}
