//! Coordinates: as straight as the order allows.

use super::net::{Net, What};
use super::{Size, at, float, put};

/// Lines get straighter with every sweep, ever more slowly; a large graph is not made beautiful anyway.
const SWEEPS: usize = 90;
const SWEEPS_OF_LARGE: usize = 14;
const LARGE: usize = 3000;
/// Between two boxes; between anything else.
const BETWEEN_BOXES: f64 = 34.0;
const BETWEEN: f64 = 18.0;
/// Between two ranks, and how much more where lines go far to the side.
const GAP: f64 = 15.0;
const MORE_GAP: f64 = 26.0;
const SLOPE: f64 = 0.06;

/// The middle of each vertex, from left to right.
pub(super) fn columns(net: &Net, layers: &[Vec<usize>]) -> Vec<f64> {
    let mut columns = vec![0.0; net.vertices.len()];
    for layer in layers {
        let wishes = vec![0.0; layer.len()];
        let pulls = vec![1.0; layer.len()];
        for (vertex, x) in layer.iter().zip(spread(&wishes, &pulls, &apart(net, layer))) {
            put(&mut columns, *vertex, x);
        }
    }
    let sweeps = if net.vertices.len() > LARGE {
        SWEEPS_OF_LARGE
    } else {
        SWEEPS
    };
    for sweep in 0..sweeps {
        // The last sweep goes down, so that what follows stands straight below what it follows.
        let down = (sweeps - sweep) % 2 == 1;
        let sides: &[bool] = match sweep {
            _ if down => &[true],
            _ if sweep % 3 == 0 => &[true, false],
            _ => &[false],
        };
        let rows: Vec<&Vec<usize>> = if down {
            layers.iter().collect()
        } else {
            layers.iter().rev().collect()
        };
        for layer in rows {
            let (wishes, pulls): (Vec<f64>, Vec<f64>) = layer
                .iter()
                .map(|vertex| wish(net, &columns, *vertex, sides))
                .unzip();
            for (vertex, x) in layer.iter().zip(spread(&wishes, &pulls, &apart(net, layer))) {
                put(&mut columns, *vertex, x);
            }
        }
    }
    let left = net
        .vertices
        .iter()
        .zip(&columns)
        .map(|(vertex, x)| x - vertex.size.width / 2.0)
        .fold(f64::INFINITY, f64::min);
    columns.iter().map(|x| x - left).collect()
}

/// Where a vertex would like to stand, and how much: at the middle of those neighbours that pull most.
fn wish(net: &Net, columns: &[f64], vertex: usize, sides: &[bool]) -> (f64, f64) {
    let neighbours = || sides.iter().flat_map(|up| net.neighbours(vertex, *up));
    let most = neighbours().map(|(_, pull)| *pull).fold(0.0, f64::max);
    let strongest = || neighbours().filter(|(_, pull)| *pull >= most);
    let count = strongest().count();
    if count == 0 {
        return (at(columns, vertex), 0.5);
    }
    let sum: f64 = strongest().map(|(other, _)| at(columns, *other)).sum();
    (sum / float(count), most)
}

/// The least distances of the middles of neighbours.
fn apart(net: &Net, layer: &[usize]) -> Vec<f64> {
    layer
        .iter()
        .zip(layer.iter().skip(1))
        .map(|(left, right)| {
            let boxes = net.is(*left, What::Node) && net.is(*right, What::Node);
            let gap = if boxes { BETWEEN_BOXES } else { BETWEEN };
            f64::midpoint(net.size(*left).width, net.size(*right).width) + gap
        })
        .collect()
}

/// Positions as near to the wishes as the order and the distances allow, by least squares: neighbours that get in each
/// other's way form a block, and the block stands at the mean of its wishes.
pub(super) fn spread(wishes: &[f64], pulls: &[f64], apart: &[f64]) -> Vec<f64> {
    struct Block {
        mean: f64,
        pull: f64,
        members: usize,
    }
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(wishes.len());
    let mut blocks: Vec<Block> = Vec::new();
    for (index, (wish, pull)) in wishes.iter().zip(pulls).enumerate() {
        if index > 0 {
            offset += at(apart, index - 1);
        }
        offsets.push(offset);
        let mut block = Block {
            mean: wish - offset,
            pull: pull.max(0.01),
            members: 1,
        };
        while let Some(before) = blocks.pop_if(|before| before.mean > block.mean) {
            let pull = before.pull + block.pull;
            block = Block {
                mean: (before.mean * before.pull + block.mean * block.pull) / pull,
                pull,
                members: before.members + block.members,
            };
        }
        blocks.push(block);
    }
    blocks
        .iter()
        .flat_map(|block| std::iter::repeat_n(block.mean, block.members))
        .zip(offsets)
        .map(|(mean, offset)| mean + offset)
        .collect()
}

/// The top and the height of each rank.
pub(super) fn rows(net: &Net, layers: &[Vec<usize>], columns: &[f64]) -> Vec<(f64, f64)> {
    let mut y = 0.0;
    let mut rows = Vec::with_capacity(layers.len());
    for layer in layers {
        let height = layer
            .iter()
            .map(|vertex| net.size(*vertex))
            .map(|Size { height, .. }| height)
            .fold(0.0, f64::max);
        rows.push((y, height));
        let far = layer
            .iter()
            .flat_map(|vertex| {
                net.neighbours(*vertex, false)
                    .iter()
                    .map(move |(below, _)| (vertex, below))
            })
            .map(|(vertex, below)| (at(columns, *vertex) - at(columns, *below)).abs())
            .fold(0.0, f64::max);
        y += height + GAP + (far * SLOPE).min(MORE_GAP);
    }
    rows
}
