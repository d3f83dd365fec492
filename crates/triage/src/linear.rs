//! A linear classifier: one weight for each feature and class, learned by multinomial logistic regression.

use crate::descent::{Patience, minimise};

/// A row to learn from or to judge: positions with their values, sorted or not, each at most once.
pub(crate) type Row = Vec<(usize, f32)>;

/// How it is learned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learning {
    /// What a squared weight costs, against the mean loss of a row.
    pub(crate) penalty: f32,
    pub(crate) patience: Patience,
}

/// Something learned: a score for each class is the sum of weights times values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    classes: usize,
    /// By position, then class; one position more than there are features, for what holds of any text.
    weights: Vec<f32>,
}

/// One row of an example: its class and how much it counts.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) row: Row,
    pub(crate) class: usize,
    pub(crate) counts: f32,
}

impl Linear {
    /// Weights as they were stored; `None` where they are not whole.
    pub(crate) fn from_weights(classes: usize, weights: Vec<f32>) -> Option<Self> {
        let whole = classes > 0 && weights.len() >= classes && weights.len().is_multiple_of(classes);
        (whole && weights.iter().all(|weight| weight.is_finite())).then_some(Self { classes, weights })
    }

    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// As a file will give it back: what is measured is what is used later.
    pub(crate) fn rounded(mut self) -> Self {
        self.weights = crate::head::rounded(&self.weights);
        self
    }

    /// A score for each class.
    pub(crate) fn scores(&self, row: &Row) -> Vec<f32> {
        scores(&self.weights, self.classes, row)
    }

    /// Learn from `examples`, whose rows have positions below `features`. The same examples give the same weights.
    pub(crate) fn learn(examples: &[Example], classes: usize, features: usize, learning: Learning) -> Self {
        let start = vec![0.0; (features + 1) * classes];
        let all: f32 = examples.iter().map(|example| example.counts).sum();
        let weights = minimise(start, learning.patience, |weights, gradient| {
            gradient.fill(0.0);
            let mut loss = 0.0;
            for example in examples {
                loss += example.add_gradient(weights, classes, gradient);
            }
            let bias = features * classes;
            let mut squares = 0.0;
            for (at, (slope, weight)) in gradient.iter_mut().zip(weights).enumerate() {
                *slope /= all;
                if at < bias {
                    squares += weight * weight;
                    *slope += learning.penalty * weight;
                }
            }
            loss / all + 0.5 * learning.penalty * squares
        });
        Self { classes, weights }
    }
}

impl Example {
    /// Adds this row's part of the gradient and gives its part of the loss.
    fn add_gradient(&self, weights: &[f32], classes: usize, gradient: &mut [f32]) -> f32 {
        let scores = scores(weights, classes, &self.row);
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut shares: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
        let sum: f32 = shares.iter().sum();
        let loss = sum.ln() + highest - scores.get(self.class).copied().unwrap_or(highest);
        for (class, share) in shares.iter_mut().enumerate() {
            *share = self.counts * (*share / sum - f32::from(u8::from(class == self.class)));
        }
        let bias = gradient.len() - classes;
        let positions = self.row.iter().map(|(at, value)| (at * classes, *value));
        for (from, value) in positions.chain([(bias, 1.0)]) {
            if let Some(slopes) = gradient.get_mut(from..from + classes) {
                slopes
                    .iter_mut()
                    .zip(&shares)
                    .for_each(|(slope, share)| *slope += value * share);
            }
        }
        self.counts * loss
    }
}

fn scores(weights: &[f32], classes: usize, row: &Row) -> Vec<f32> {
    let bias = weights.len() - classes;
    let mut scores: Vec<f32> = weights.get(bias..).unwrap_or_default().to_vec();
    for (at, value) in row {
        if let Some(weights) = weights
            .get(at * classes..(at + 1) * classes)
            .filter(|_| at * classes < bias)
        {
            scores
                .iter_mut()
                .zip(weights)
                .for_each(|(score, weight)| *score += value * weight);
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEARNING: Learning = Learning {
        penalty: 1e-4,
        patience: Patience {
            steps: 100,
            gain: 1e-6,
        },
    };

    fn example(row: &[(usize, f32)], class: usize) -> Example {
        Example {
            row: row.to_vec(),
            class,
            counts: 1.0,
        }
    }

    #[test]
    fn what_was_learned_is_told_apart() {
        let examples = [
            example(&[(0, 1.0)], 0),
            example(&[(1, 1.0)], 1),
            example(&[(2, 1.0)], 2),
            example(&[(0, 1.0), (2, 0.1)], 0),
        ];
        let linear = Linear::learn(&examples, 3, 3, LEARNING);
        for example in &examples {
            let scores = linear.scores(&example.row);
            assert!(
                scores.iter().all(|score| *score <= scores[example.class]),
                "{scores:?}"
            );
        }
        assert_eq!(linear, Linear::learn(&examples, 3, 3, LEARNING));
    }

    #[test]
    fn what_no_feature_tells_is_told_by_how_often_it_comes() {
        let examples = [example(&[], 1), example(&[], 1), example(&[], 0)];
        let scores = Linear::learn(&examples, 2, 1, LEARNING).scores(&vec![]);
        assert!((scores[1] - scores[0] - 2.0_f32.ln()).abs() < 1e-2, "{scores:?}");
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let example = example(&[(0, 0.7), (1, -1.3)], 1);
        let weights: Vec<f32> = (0..9_u8).map(|n| 0.1 * f32::from(n) - 0.3).collect();
        let mut gradient = vec![0.0; 9];
        let loss = example.add_gradient(&weights, 3, &mut gradient);
        for at in 0..9 {
            let mut moved = weights.clone();
            moved[at] += 1e-2;
            let slope = (example.add_gradient(&moved, 3, &mut [0.0; 9]) - loss) / 1e-2;
            assert!(
                (slope - gradient[at]).abs() < 5e-3,
                "{at}: {slope} {}",
                gradient[at]
            );
        }
    }

    #[test]
    fn weights_that_are_not_whole_are_refused() {
        assert!(Linear::from_weights(3, vec![0.0; 7]).is_none());
        assert!(Linear::from_weights(2, vec![0.0, f32::NAN]).is_none());
        assert!(Linear::from_weights(0, vec![]).is_none());
    }
}
