//! From scores to probabilities that can be believed: temperature scaling.
//!
//! Guo et al., On Calibration of Modern Neural Networks (ICML 2017): one number divides all scores, chosen so that held-out
//! tickets are as likely as can be. It changes how sure an answer is and never which it is.

/// Tickets that are told apart without an error would be called certain, and nothing is.
const COLDEST: f64 = 0.25;
/// Sure of nothing.
const HOTTEST: f64 = 20.0;

/// Divides scores before they become probabilities; above one, it takes sureness away.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Temperature(f64);

/// A temperature that divides by nothing sensible.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is no temperature: it is a number above zero")]
pub struct NotATemperature(f64);

impl TryFrom<f64> for Temperature {
    type Error = NotATemperature;

    fn try_from(degrees: f64) -> Result<Self, Self::Error> {
        if degrees.is_finite() && degrees > 0.0 {
            Ok(Self(degrees))
        } else {
            Err(NotATemperature(degrees))
        }
    }
}

impl From<Temperature> for f64 {
    fn from(temperature: Temperature) -> Self {
        temperature.0
    }
}

impl Temperature {
    /// Scores as they are.
    pub const NEUTRAL: Self = Self(1.0);

    /// The temperature at which `held_out`, pairs of scores and the index of the truth, is most likely.
    pub fn fit(held_out: &[(Vec<f32>, usize)]) -> Self {
        if held_out.is_empty() {
            return Self::NEUTRAL;
        }
        let surprise = |temperature: f64| {
            held_out
                .iter()
                .map(|(scores, truth)| {
                    let share = Self(temperature).probabilities(scores).get(*truth).copied();
                    -share.unwrap_or(0.0).max(1e-12).ln()
                })
                .sum::<f64>()
        };
        Self(lowest(COLDEST, HOTTEST, surprise))
    }

    /// Less sure of everything, by a factor of at least one.
    pub(crate) fn hotter(self, factor: f64) -> Self {
        Self(self.0 * factor.max(1.0))
    }

    /// The less sure of two.
    pub(crate) fn at_least(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Probabilities of `scores`; they sum to one.
    pub fn probabilities(self, scores: &[f32]) -> Vec<f64> {
        let scaled: Vec<f64> = scores.iter().map(|score| f64::from(*score) / self.0).collect();
        let highest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scaled.iter().map(|score| (score - highest).exp()).collect();
        let all: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / all).collect()
    }
}

/// Where `function`, which has one valley, is lowest between `low` and `high`: golden section over the logarithm.
fn lowest(low: f64, high: f64, function: impl Fn(f64) -> f64) -> f64 {
    const SECTIONS: u32 = 60;
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (low.ln(), high.ln());
    for _ in 0..SECTIONS {
        let width = golden * (high - low);
        let (left, right) = (high - width, low + width);
        if function(left.exp()) <= function(right.exp()) {
            high = right;
        } else {
            low = left;
        }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_is_too_sure_is_cooled_down_to_what_is_true() {
        // Always says 98 % (ln 49 apart), is right three times in four: the truth is ln 3 apart.
        let scores = vec![49.0_f32.ln(), 0.0];
        let held_out: Vec<_> = (0..400)
            .map(|n| (scores.clone(), usize::from(n % 4 == 0)))
            .collect();
        let temperature = Temperature::fit(&held_out);
        let sure = temperature.probabilities(&scores)[0];
        assert!((sure - 0.75).abs() < 1e-3, "{sure}");
    }

    #[test]
    fn nothing_held_out_changes_nothing_and_nonsense_is_refused() {
        assert_eq!(Temperature::fit(&[]), Temperature::NEUTRAL);
        assert!(Temperature::try_from(0.0).is_err() && Temperature::try_from(f64::NAN).is_err());
    }

    proptest::proptest! {
        #[test]
        fn probabilities_sum_to_one_and_keep_the_order(scores in proptest::collection::vec(-50.0_f32..50.0, 1..12), t in 0.1_f64..10.0) {
            let shares = Temperature(t).probabilities(&scores);
            proptest::prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (a, b) in scores.iter().zip(&shares) {
                for (c, d) in scores.iter().zip(&shares) {
                    proptest::prop_assert!(a <= c || b >= d);
                }
            }
        }
    }
}
