//! Minimising a smooth convex function of many numbers: L-BFGS with a backtracking line search.
//!
//! Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 3.1. Deterministic: the same input, the same minimum to
//! the last bit.

use std::collections::VecDeque;

/// Steps remembered for the shape of the function.
const MEMORY: usize = 7;
/// Sufficient decrease (Armijo).
const DECREASE: f32 = 1e-4;
/// Halvings of a step before it is given up.
const HALVINGS: u32 = 20;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// At most so many steps.
    pub(crate) steps: u32,
    /// Or when the value falls by less than this share of itself.
    pub(crate) gain: f32,
}

/// Walk from `at` downhill. `function` writes the gradient into its second argument and returns the value.
pub(crate) fn minimise(
    mut at: Vec<f32>,
    patience: Patience,
    mut function: impl FnMut(&[f32], &mut [f32]) -> f32,
) -> Vec<f32> {
    let mut gradient = vec![0.0; at.len()];
    let mut value = function(&at, &mut gradient);
    let mut memory: VecDeque<Curve> = VecDeque::with_capacity(MEMORY);
    for _ in 0..patience.steps {
        let direction = downhill(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        if slope >= 0.0 || !slope.is_finite() {
            break;
        }
        // Before anything is known of its shape, a step as long as one.
        let first = if memory.is_empty() {
            1.0 / dot(&gradient, &gradient).sqrt().max(1.0)
        } else {
            1.0
        };
        let Some(next) = search(&at, &direction, value, slope, first, &mut function) else {
            break;
        };
        let curve = Curve::between(&at, &next.at, &gradient, &next.gradient);
        if memory.len() == MEMORY {
            memory.pop_front();
        }
        memory.extend(curve);
        let gained = value - next.value;
        (at, gradient, value) = (next.at, next.gradient, next.value);
        if gained <= patience.gain * value.abs() {
            break;
        }
    }
    at
}

/// A step taken and how the gradient changed along it.
struct Curve {
    step: Vec<f32>,
    change: Vec<f32>,
    /// One over their product.
    rho: f32,
}

impl Curve {
    /// `None` where the function does not curve upwards there: such a step says nothing.
    fn between(from: &[f32], to: &[f32], gradient_from: &[f32], gradient_to: &[f32]) -> Option<Self> {
        let step = difference(to, from);
        let change = difference(gradient_to, gradient_from);
        let product = dot(&step, &change);
        (product > f32::EPSILON * dot(&change, &change)).then(|| Self {
            step,
            change,
            rho: 1.0 / product,
        })
    }
}

struct Found {
    at: Vec<f32>,
    gradient: Vec<f32>,
    value: f32,
}

fn search(
    at: &[f32],
    direction: &[f32],
    value: f32,
    slope: f32,
    first: f32,
    function: &mut impl FnMut(&[f32], &mut [f32]) -> f32,
) -> Option<Found> {
    let mut length = first;
    let mut gradient = vec![0.0; at.len()];
    for _ in 0..HALVINGS {
        let there: Vec<f32> = at
            .iter()
            .zip(direction)
            .map(|(at, step)| at + length * step)
            .collect();
        let found = function(&there, &mut gradient);
        if found <= value + DECREASE * length * slope {
            return Some(Found {
                at: there,
                gradient,
                value: found,
            });
        }
        length *= 0.5;
    }
    None
}

/// The two-loop recursion (algorithm 7.4).
fn downhill(gradient: &[f32], memory: &VecDeque<Curve>) -> Vec<f32> {
    let mut direction: Vec<f32> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for curve in memory.iter().rev() {
        let share = curve.rho * dot(&curve.step, &direction);
        add(&mut direction, -share, &curve.change);
        shares.push(share);
    }
    if let Some(last) = memory.back() {
        let scale = 1.0 / (last.rho * dot(&last.change, &last.change));
        for part in &mut direction {
            *part *= scale;
        }
    }
    for (curve, share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = curve.rho * dot(&curve.change, &direction);
        add(&mut direction, share - back, &curve.step);
    }
    direction
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn add(to: &mut [f32], times: f32, what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += times * what);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        steps: 200,
        gain: 0.0,
    };

    #[test]
    fn the_bottom_of_a_long_valley_is_found() {
        // Steep one way, shallow the other.
        let found = minimise(vec![5.0, -3.0], PATIENCE, |at, gradient| {
            let (x, y) = (at[0] - 1.0, at[1] - 2.0);
            gradient[0] = 2.0 * x;
            gradient[1] = 200.0 * y;
            x * x + 100.0 * y * y
        });
        assert!(
            (found[0] - 1.0).abs() < 1e-3 && (found[1] - 2.0).abs() < 1e-3,
            "{found:?}"
        );
    }

    #[test]
    fn where_it_is_flat_nothing_moves() {
        let found = minimise(vec![7.0], PATIENCE, |_, gradient| {
            gradient[0] = 0.0;
            3.0
        });
        assert_eq!(found, [7.0]);
    }
}
