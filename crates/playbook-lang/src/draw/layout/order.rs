//! The order of the vertices on each rank, with few crossings.

use super::net::Net;
use super::{at, float, put};

/// More sweeps do not help the graphs that people draw, nor do more that bring nothing.
const SWEEPS: usize = 12;
const IDLE_SWEEPS: usize = 3;
/// Trying every pair of neighbours is worth it up to here.
const SMALL: usize = 1500;
/// Give up trying pairs after so many rounds; most graphs settle after two.
const ROUNDS: usize = 6;

/// The ranks from top to bottom, each from left to right.
pub(super) fn order(net: &Net) -> Vec<Vec<usize>> {
    let mut layers = first(net);
    let mut places = vec![0; net.vertices.len()];
    note(&layers, &mut places);
    let mut best = (crossings(net, &layers, &places), layers.clone());
    let mut idle = 0;
    for sweep in 0..SWEEPS {
        if best.0 == 0 || idle == IDLE_SWEEPS {
            break;
        }
        let up = sweep % 2 == 0;
        let rows: Vec<usize> = if up {
            (0..layers.len()).collect()
        } else {
            (0..layers.len()).rev().collect()
        };
        for row in rows {
            if let Some(layer) = layers.get_mut(row) {
                settle(net, layer, &mut places, up);
            }
        }
        if net.vertices.len() <= SMALL {
            swap(net, &mut layers, &mut places);
        }
        let crossed = crossings(net, &layers, &places);
        idle += 1;
        if crossed < best.0 {
            best = (crossed, layers.clone());
            idle = 0;
        }
    }
    best.1
}

/// As a walk from the start meets them, success first: so the way that things should go is on the left.
fn first(net: &Net) -> Vec<Vec<usize>> {
    let ranks = net
        .vertices
        .iter()
        .map(|vertex| vertex.rank + 1)
        .max()
        .unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); ranks];
    let mut seen = vec![false; net.vertices.len()];
    let mut roots: Vec<usize> = (0..net.vertices.len()).collect();
    roots.sort_by_key(|vertex| net.rank(*vertex));
    for root in roots {
        let mut stack = vec![root];
        while let Some(vertex) = stack.pop() {
            if at(&seen, vertex) {
                continue;
            }
            put(&mut seen, vertex, true);
            if let Some(layer) = layers.get_mut(net.rank(vertex)) {
                layer.push(vertex);
            }
            let mut below = net.neighbours(vertex, false).to_vec();
            below.sort_by(|one, other| one.1.total_cmp(&other.1));
            stack.extend(below.iter().map(|(vertex, _)| *vertex));
        }
    }
    layers
}

fn note(layers: &[Vec<usize>], places: &mut [usize]) {
    for layer in layers {
        for (place, vertex) in layer.iter().enumerate() {
            put(places, *vertex, place);
        }
    }
}

/// Each vertex below (or above) the middle of its neighbours.
fn settle(net: &Net, layer: &mut [usize], places: &mut [usize], up: bool) {
    let mut hoped: Vec<(f64, usize)> = layer
        .iter()
        .map(|vertex| {
            let neighbours = net.neighbours(*vertex, up);
            let sum: f64 = neighbours
                .iter()
                .map(|(other, _)| float(at(places, *other)))
                .sum();
            let place = if neighbours.is_empty() {
                float(at(places, *vertex))
            } else {
                sum / float(neighbours.len())
            };
            (place, *vertex)
        })
        .collect();
    hoped.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (place, ((_, vertex), slot)) in hoped.iter().zip(layer.iter_mut()).enumerate() {
        *slot = *vertex;
        put(places, *vertex, place);
    }
}

/// Exchange neighbours wherever that saves a crossing.
fn swap(net: &Net, layers: &mut [Vec<usize>], places: &mut [usize]) {
    for _ in 0..ROUNDS {
        let mut better = false;
        for layer in layers.iter_mut() {
            for left in 0..layer.len().saturating_sub(1) {
                let (one, other) = (at(layer, left), at(layer, left + 1));
                let now = between(net, places, one, other);
                if now > 0 && between(net, places, other, one) < now {
                    layer.swap(left, left + 1);
                    put(places, one, left + 1);
                    put(places, other, left);
                    better = true;
                }
            }
        }
        if !better {
            break;
        }
    }
}

/// How often the lines of two vertices cross while `left` stands to the left of `right`.
fn between(net: &Net, places: &[usize], left: usize, right: usize) -> usize {
    [true, false]
        .into_iter()
        .map(|up| {
            let rights = net.neighbours(right, up);
            net.neighbours(left, up)
                .iter()
                .map(|(one, _)| {
                    rights
                        .iter()
                        .filter(|(other, _)| at(places, *other) < at(places, *one))
                        .count()
                })
                .sum::<usize>()
        })
        .sum()
}

/// All crossings, counted with a tree of sums.
fn crossings(net: &Net, layers: &[Vec<usize>], places: &[usize]) -> usize {
    let mut crossed = 0;
    for (layer, below) in layers.iter().zip(layers.iter().skip(1)) {
        let mut sums = vec![0_usize; below.len() + 1];
        let mut inserted = 0;
        for vertex in layer {
            let mut targets: Vec<usize> = net
                .neighbours(*vertex, false)
                .iter()
                .map(|(target, _)| at(places, *target))
                .collect();
            targets.sort_unstable();
            for target in &targets {
                let mut index = target + 1;
                let mut before = 0;
                while index > 0 {
                    before += at(&sums, index);
                    index &= index - 1;
                }
                crossed += inserted - before;
            }
            for target in &targets {
                let mut index = target + 1;
                while index < sums.len() {
                    let sum = at(&sums, index) + 1;
                    put(&mut sums, index, sum);
                    index += index & index.wrapping_neg();
                }
                inserted += 1;
            }
        }
    }
    crossed
}
