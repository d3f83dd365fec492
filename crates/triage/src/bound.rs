//! What a count of errors says about the rate behind it: exact binomial (Clopper-Pearson) bounds.
//!
//! Exact rather than approximate, because they are read where they matter most: no errors in few tickets, where the
//! normal approximation claims a rate of zero with certainty.
//!
//! Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
//! binomial", Biometrika 26 (1934). Both bounds are quantiles of a beta distribution.

/// The highest rate that `successes` of `trials` leave plausible: one-sided, at `confidence` in (0, 1).
///
/// Between 0 and 1. Where nothing can be said (no trials, more successes than trials, a confidence that is none), 1.
pub fn upper(successes: u64, trials: u64, confidence: f64) -> f64 {
    if !says_something(successes, trials, confidence) || successes == trials {
        return 1.0;
    }
    let (a, b) = (real(successes) + 1.0, real(trials - successes));
    quantile(confidence, a, b).above
}

/// The lowest rate that `successes` of `trials` leave plausible: one-sided, at `confidence` in (0, 1).
///
/// Between 0 and 1. Where nothing can be said (no trials, more successes than trials, a confidence that is none), 0.
/// A two-sided interval of 95 % has both bounds at 97.5 %.
pub fn lower(successes: u64, trials: u64, confidence: f64) -> f64 {
    if !says_something(successes, trials, confidence) || successes == 0 {
        return 0.0;
    }
    let (a, b) = (real(successes), real(trials - successes) + 1.0);
    quantile(1.0 - confidence, a, b).below
}

fn says_something(successes: u64, trials: u64, confidence: f64) -> bool {
    trials > 0 && successes <= trials && confidence > 0.0 && confidence < 1.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of tickets are far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// The two floats around a quantile, so that each bound can err to its own safe side.
struct Bracket {
    below: f64,
    above: f64,
}

/// Where the beta distribution of `a` and `b` reaches `share`, by halving [0, 1].
fn quantile(share: f64, a: f64, b: f64) -> Bracket {
    // 2^-90 is far below the rate that any number of tickets can tell from zero.
    const HALVINGS: usize = 90;
    let scale = log_gamma(a + b) - log_gamma(a) - log_gamma(b);
    let mut bracket = Bracket {
        below: 0.0,
        above: 1.0,
    };
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(bracket.below, bracket.above);
        if beta(middle, a, b, scale) < share {
            bracket.below = middle;
        } else {
            bracket.above = middle;
        }
    }
    bracket
}

/// The regularised incomplete beta function at `x` in (0, 1), given the logarithm of 1/B(a, b).
fn beta(x: f64, a: f64, b: f64, scale: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (scale + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges quickly below the mean only; above it, the mirrored one does.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
///
/// Source: NIST Digital Library of Mathematical Functions, 8.17.22.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    // It needs in the order of the root of the larger parameter: enough for 10^9 tickets.
    const TERMS: u32 = 100_000;
    let mut above = 1.0;
    let mut below = 1.0 / clear_of_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut product = below;
    for term in (1..=TERMS).map(f64::from) {
        let place = a + 2.0 * term;
        let even = term * (b - term) * x / ((place - 1.0) * place);
        let odd = -(a + term) * (a + b + term) * x / (place * (place + 1.0));
        let mut change = 1.0;
        for coefficient in [even, odd] {
            below = 1.0 / clear_of_zero(1.0 + coefficient * below);
            above = clear_of_zero(1.0 + coefficient / above);
            change = above * below;
            product *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    product
}

fn clear_of_zero(value: f64) -> f64 {
    const TINY: f64 = 1e-300;
    if value.abs() < TINY { TINY } else { value }
}

/// The logarithm of the gamma function for `x` >= 1, to 15 digits: Lanczos' approximation with g = 7.
fn log_gamma(x: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const REST: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = FIRST;
    let mut place = x;
    for coefficient in REST {
        place += 1.0;
        sum += coefficient / place;
    }
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn no_error_in_n_tickets_is_bounded_by_the_root_of_what_is_left_of_certainty() {
        // The closed form: (1 - p)^n = 1 - confidence.
        for trials in [1_u64, 10, 59, 299, 3_000, 1_000_000] {
            let closed = -(0.05_f64.ln() / real(trials)).exp_m1();
            near(upper(0, trials, 0.95), closed);
            near(lower(trials, trials, 0.95), 1.0 - closed);
        }
        // The rule of three, as it is taught.
        assert!((upper(0, 300, 0.95) - 0.01).abs() < 1e-4);
    }

    #[test]
    fn it_agrees_with_published_tables() {
        // scipy.stats.binomtest(5, 50).proportion_ci(0.95), and so on.
        for (successes, trials, low, high) in [
            (5, 50, 0.033_275_093_589, 0.218_135_366_434),
            (1, 20, 0.001_265_089_498, 0.248_732_762_772),
            (40, 50, 0.662_816_891_616, 0.899_697_762_528),
            (500, 1_000, 0.468_549_172_972, 0.531_450_827_028),
            (3, 10, 0.066_739_511_178, 0.652_452_850_060),
        ] {
            near(lower(successes, trials, 0.975), low);
            near(upper(successes, trials, 0.975), high);
        }
    }

    #[test]
    fn where_nothing_is_known_everything_is_possible() {
        for (successes, trials, confidence) in [
            (0, 0, 0.95),
            (3, 2, 0.95),
            (1, 2, f64::NAN),
            (1, 2, 1.0),
            (1, 2, 0.0),
        ] {
            near(lower(successes, trials, confidence), 0.0);
            near(upper(successes, trials, confidence), 1.0);
        }
    }

    #[test]
    fn a_million_tickets_are_no_more_than_a_long_sum() {
        let (low, high) = (lower(500_000, 1_000_000, 0.975), upper(500_000, 1_000_000, 0.975));
        assert!(low > 0.499 && high < 0.501, "{low} {high}");
    }

    /// P(X <= most) of a binomial, by adding it up.
    fn at_most(most: u64, trials: u64, rate: f64) -> f64 {
        // In logarithms: the first term of many tickets at a high rate is too small for a float.
        let mut term = real(trials) * (-rate).ln_1p();
        let mut sum = term.exp();
        for k in 0..most {
            term += (real(trials - k) / real(k + 1)).ln() + rate.ln() - (-rate).ln_1p();
            sum += term.exp();
        }
        sum
    }

    fn counts() -> impl Strategy<Value = (u64, u64)> {
        (1_u64..400).prop_flat_map(|trials| (0..=trials, Just(trials)))
    }

    proptest! {
        #[test]
        fn a_bound_contains_the_share_that_was_seen(
            (successes, trials) in counts(), confidence in 0.5..0.999_f64
        ) {
            let share = real(successes) / real(trials);
            prop_assert!(lower(successes, trials, confidence) <= share);
            prop_assert!(upper(successes, trials, confidence) >= share);
        }

        #[test]
        fn more_errors_never_lower_a_bound_and_more_certainty_never_narrows_it(
            (successes, trials) in counts(), confidence in 0.5..0.99_f64
        ) {
            if successes < trials {
                prop_assert!(upper(successes + 1, trials, confidence) >= upper(successes, trials, confidence));
                prop_assert!(lower(successes + 1, trials, confidence) >= lower(successes, trials, confidence));
            }
            prop_assert!(upper(successes, trials + 1, confidence) <= upper(successes, trials, confidence));
            prop_assert!(upper(successes, trials, confidence + 0.009) >= upper(successes, trials, confidence));
            prop_assert!(lower(successes, trials, confidence + 0.009) <= lower(successes, trials, confidence));
        }

        #[test]
        fn at_the_bound_what_was_seen_is_exactly_as_unlikely_as_was_asked(
            (successes, trials) in counts(), confidence in 0.5..0.999_f64
        ) {
            if successes < trials {
                let rate = upper(successes, trials, confidence);
                prop_assert!((at_most(successes, trials, rate) - (1.0 - confidence)).abs() < 1e-7);
            }
            if successes > 0 {
                let rate = lower(successes, trials, confidence);
                prop_assert!((at_most(successes - 1, trials, rate) - confidence).abs() < 1e-7);
            }
        }
    }
}
