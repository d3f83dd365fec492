//! Where everything stands: boxes in layers from top to bottom, each arrow down where it can.
//!
//! After Sugiyama: edges that lead back are turned round, every box gets the layer of its longest way from the start,
//! arrows across several layers get a place to pass in each, and the order within layers is swept by barycentres until
//! few arrows cross. Linear in the size of the picture, but for the sorting.

use std::collections::VecDeque;

use super::picture::{Look, Picture};

/// How wide one letter of the title and of a line is, roughly; generous, so that text stays inside.
const TITLE_LETTER: usize = 8;
const LINE_LETTER: usize = 7;
/// Longer texts are cut.
pub(super) const MOST_LETTERS: usize = 34;
const LINE_HEIGHT: usize = 17;
const MARGIN: usize = 24;
const BETWEEN_BOXES: usize = 36;
const BETWEEN_LAYERS: usize = 74;
/// What an arrow takes where it only passes.
const PASSING: usize = 26;
/// Enough for the order to settle; more changes little.
const SWEEPS: usize = 12;
/// Room for the title above.
pub(super) const HEAD: usize = 70;
/// Room for the legend below.
const LEGEND: usize = 74;

/// A box in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Placed {
    pub(super) const fn middle(&self) -> usize {
        self.x + self.width / 2
    }

    pub(super) const fn bottom(&self) -> usize {
        self.y + self.height
    }
}

/// An arrow's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// From the box that it leaves to the one that it enters.
    pub(super) points: Vec<(usize, usize)>,
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Placed>,
    pub(super) ways: Vec<Way>,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Layout {
    pub(super) fn of(picture: &Picture) -> Self {
        let layered = Layered::of(picture);
        let places = layered.placed(picture);
        let count = picture.boxes.len();
        let boxes: Vec<Placed> = places.iter().take(count).copied().collect();
        let mut ways: Vec<Way> = picture
            .arrows
            .iter()
            .zip(&layered.chains)
            .map(|(arrow, chain)| way(chain, &places, arrow.from == arrow.to))
            .collect();
        part(picture, &boxes, &mut ways);
        let width = places
            .iter()
            .map(|place| place.x + place.width)
            .max()
            .unwrap_or_default()
            + MARGIN
            + PASSING;
        let height = places.iter().map(Placed::bottom).max().unwrap_or_default() + LEGEND;
        Self {
            boxes,
            ways,
            width: width.max(620),
            height,
        }
    }
}

/// The size of each box from its text.
fn sizes(picture: &Picture) -> Vec<(usize, usize)> {
    picture
        .boxes
        .iter()
        .map(|shown| {
            let letters = |text: &str| text.chars().count().min(MOST_LETTERS);
            let title = letters(&shown.title).saturating_mul(TITLE_LETTER);
            let lines = shown
                .lines
                .iter()
                .map(|line| letters(line))
                .max()
                .unwrap_or_default();
            let text = title.max(lines.saturating_mul(LINE_LETTER));
            // Slanted and pointed shapes lose room at their sides.
            let sides = match shown.look {
                Look::Decision => 90,
                Look::Escalation | Look::Delivery => 52,
                Look::Start => 26,
                _ => 34,
            };
            let height = LINE_HEIGHT.saturating_mul(shown.lines.len().saturating_add(1)) + 18;
            let height = if shown.look == Look::Decision {
                height + 26
            } else {
                height
            };
            (text.max(40) + sides, height)
        })
        .collect()
}

/// Boxes and the places where arrows pass, in layers.
struct Layered {
    /// By layer, in order; numbers from the count of boxes up are passing places.
    layers: Vec<Vec<usize>>,
    /// For each arrow: what it touches, from above or below, in its own direction.
    chains: Vec<Vec<usize>>,
}

impl Layered {
    fn of(picture: &Picture) -> Self {
        let count = picture.boxes.len();
        let back = back_edges(picture);
        let layer = layers(picture, &back);
        let deepest = layer.iter().copied().max().unwrap_or_default();
        let mut layers: Vec<Vec<usize>> = vec![Vec::new(); deepest.saturating_add(1)];
        for (node, layer) in layer.iter().enumerate() {
            if let Some(members) = layers.get_mut(*layer) {
                members.push(node);
            }
        }
        let mut next = count;
        let mut chains = Vec::with_capacity(picture.arrows.len());
        let mut links: Vec<(usize, usize)> = Vec::new();
        for arrow in &picture.arrows {
            let at = |node: usize| layer.get(node).copied().unwrap_or_default();
            let (from, to) = (at(arrow.from), at(arrow.to));
            let mut chain = vec![arrow.from];
            let between: Vec<usize> = if from < to {
                (from.saturating_add(1)..to).collect()
            } else {
                (to.saturating_add(1)..from).rev().collect()
            };
            for passed in between {
                if let Some(members) = layers.get_mut(passed) {
                    members.push(next);
                }
                chain.push(next);
                next = next.saturating_add(1);
            }
            chain.push(arrow.to);
            links.extend(chain.iter().copied().zip(chain.iter().copied().skip(1)));
            chains.push(chain);
        }
        let mut layered = Self { layers, chains };
        layered.untangle(next, &links);
        layered
    }

    /// Order each layer by where its neighbours stand, downwards and upwards in turn.
    fn untangle(&mut self, count: usize, links: &[(usize, usize)]) {
        let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (one, other) in links {
            for (a, b) in [(*one, *other), (*other, *one)] {
                if let Some(list) = neighbours.get_mut(a) {
                    list.push(b);
                }
            }
        }
        let mut layer_of = vec![0_usize; count];
        let mut position = vec![0.0_f64; count];
        for (index, layer) in self.layers.iter().enumerate() {
            for (place, node) in layer.iter().enumerate() {
                set(&mut layer_of, *node, index);
                set(&mut position, *node, as_float(place));
            }
        }
        let depth = self.layers.len();
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            for step in 1..depth {
                let index = if down { step } else { depth - 1 - step };
                let beside = if down {
                    index.wrapping_sub(1)
                } else {
                    index.saturating_add(1)
                };
                let Some(layer) = self.layers.get_mut(index) else {
                    continue;
                };
                let mut keyed: Vec<(f64, usize)> = layer
                    .iter()
                    .map(|node| {
                        let own = position.get(*node).copied().unwrap_or_default();
                        let near: Vec<f64> = neighbours
                            .get(*node)
                            .into_iter()
                            .flatten()
                            .filter(|other| layer_of.get(**other) == Some(&beside))
                            .filter_map(|other| position.get(*other).copied())
                            .collect();
                        let key = if near.is_empty() {
                            own
                        } else {
                            near.iter().sum::<f64>() / as_float(near.len())
                        };
                        (key, *node)
                    })
                    .collect();
                keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
                *layer = keyed.into_iter().map(|(_, node)| node).collect();
                // Relative places, so that a layer of two lies under the middle of one of ten.
                let width = as_float(layer.len().max(1));
                for (place, node) in layer.iter().enumerate() {
                    set(&mut position, *node, (as_float(place) + 0.5) / width);
                }
            }
        }
    }

    /// Coordinates: each layer in order, as near to the middle of its neighbours above as the ones beside it allow.
    fn placed(&self, picture: &Picture) -> Vec<Placed> {
        let sizes = sizes(picture);
        let count = self
            .layers
            .iter()
            .flatten()
            .copied()
            .max()
            .map_or(0, |most| most.saturating_add(1));
        let size = |node: usize| sizes.get(node).copied().unwrap_or((PASSING, 0));
        let mut places = vec![
            Placed {
                x: 0,
                y: 0,
                width: 0,
                height: 0
            };
            count
        ];
        let widths: Vec<usize> = self
            .layers
            .iter()
            .map(|layer| {
                let boxes: usize = layer.iter().map(|node| size(*node).0).sum();
                boxes + BETWEEN_BOXES.saturating_mul(layer.len().saturating_sub(1))
            })
            .collect();
        let widest = widths.iter().copied().max().unwrap_or_default();
        let mut y = HEAD;
        for (layer, width) in self.layers.iter().zip(&widths) {
            let tallest = layer.iter().map(|node| size(*node).1).max().unwrap_or_default();
            let mut x = MARGIN + (widest - width) / 2;
            for node in layer {
                let (width, height) = size(*node);
                if let Some(place) = places.get_mut(*node) {
                    *place = Placed {
                        x,
                        y: y + (tallest - height.min(tallest)) / 2,
                        width,
                        height,
                    };
                }
                x += width + BETWEEN_BOXES;
            }
            y += tallest + BETWEEN_LAYERS;
        }
        self.draw_together(&mut places, widest);
        places
    }

    /// Move boxes under what leads to them, left to right, without passing each other.
    fn draw_together(&self, places: &mut [Placed], widest: usize) {
        let mut above: Vec<Vec<usize>> = vec![Vec::new(); places.len()];
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); places.len()];
        for chain in &self.chains {
            for (one, other) in chain.iter().copied().zip(chain.iter().copied().skip(1)) {
                let (Some(first), Some(second)) = (places.get(one), places.get(other)) else {
                    continue;
                };
                let (upper, lower) = if first.y <= second.y {
                    (one, other)
                } else {
                    (other, one)
                };
                if let Some(list) = above.get_mut(lower) {
                    list.push(upper);
                }
                if let Some(list) = below.get_mut(upper) {
                    list.push(lower);
                }
            }
        }
        let end = MARGIN + widest;
        for sweep in 0..6 {
            let near = if sweep % 2 == 0 { &above } else { &below };
            let order: Vec<&Vec<usize>> = if sweep % 2 == 0 {
                self.layers.iter().collect()
            } else {
                self.layers.iter().rev().collect()
            };
            for layer in order {
                let wanted: Vec<usize> = layer.iter().map(|node| wish(*node, near, places)).collect();
                spread(layer, &wanted, places, end);
            }
        }
    }
}

/// Where the middle of a box would like to be.
fn wish(node: usize, near: &[Vec<usize>], places: &[Placed]) -> usize {
    let own = places.get(node).map(Placed::middle).unwrap_or_default();
    let mut middles: Vec<usize> = near
        .get(node)
        .into_iter()
        .flatten()
        .filter_map(|other| places.get(*other).map(Placed::middle))
        .collect();
    middles.sort_unstable();
    // The median: one far neighbour draws nobody away from two near ones.
    middles.get(middles.len() / 2).copied().unwrap_or(own)
}

/// Put a layer as near to its wishes as its order, its gaps and the edges of the picture allow.
fn spread(layer: &[usize], wanted: &[usize], places: &mut [Placed], end: usize) {
    let gap = |a: usize, b: usize| a + b;
    // The least that each can have from the left, the most from the right; the wish in between.
    let widths: Vec<usize> = layer
        .iter()
        .map(|node| places.get(*node).map_or(0, |place| place.width))
        .collect();
    let mut most = vec![0; layer.len()];
    let mut right = end;
    for (index, width) in widths.iter().enumerate().rev() {
        right = right.saturating_sub(*width);
        set(&mut most, index, right);
        right = right.saturating_sub(BETWEEN_BOXES);
    }
    let mut left = MARGIN;
    for (index, node) in layer.iter().enumerate() {
        let width = widths.get(index).copied().unwrap_or_default();
        let middle = wanted.get(index).copied().unwrap_or_default();
        let wish = middle.saturating_sub(width / 2);
        let limit = most.get(index).copied().unwrap_or(left);
        let x = wish.min(limit).max(left);
        if let Some(place) = places.get_mut(*node) {
            place.x = x;
        }
        left = gap(x + width, BETWEEN_BOXES);
    }
}

/// Arrows that leave a box downwards leave it side by side, in the order of where they go, so that their labels part.
fn part(picture: &Picture, boxes: &[Placed], ways: &mut [Way]) {
    let mut leaving: Vec<Vec<(usize, usize)>> = vec![Vec::new(); boxes.len()];
    for (index, (arrow, way)) in picture.arrows.iter().zip(ways.iter()).enumerate() {
        let (Some((_, y)), Some((next, below))) = (way.points.first(), way.points.get(1)) else {
            continue;
        };
        if y < below
            && let Some(list) = leaving.get_mut(arrow.from)
        {
            list.push((*next, index));
        }
    }
    for (place, mut list) in boxes.iter().zip(leaving) {
        list.sort_unstable();
        // The middle half of the edge: pointed shapes have no more.
        let (left, room) = (place.x + place.width / 4, place.width / 2);
        for (rank, (_, index)) in list.iter().enumerate() {
            let x = left + room * (2 * rank + 1) / (2 * list.len());
            if let Some(first) = ways.get_mut(*index).and_then(|way| way.points.first_mut()) {
                first.0 = x;
            }
        }
    }
}

/// The points of an arrow's way.
fn way(chain: &[usize], places: &[Placed], itself: bool) -> Way {
    let at = |node: Option<&usize>| node.and_then(|node| places.get(*node)).copied();
    let (Some(first), Some(last)) = (at(chain.first()), at(chain.last())) else {
        return Way { points: Vec::new() };
    };
    let side = first.x + first.width;
    if itself {
        let (top, bottom) = (first.y + first.height / 3, first.y + first.height * 2 / 3);
        let out = side + PASSING;
        return Way {
            points: vec![(side, top), (out, top), (out, bottom), (side, bottom)],
        };
    }
    let down = first.y < last.y;
    let level = first.y == last.y || (first.bottom() > last.y && last.bottom() > first.y);
    if level {
        let y = first.y + first.height / 2;
        let dip = first.bottom().max(last.bottom()) + 22;
        return Way {
            points: vec![
                (first.middle(), first.bottom()),
                (first.middle(), dip),
                (last.middle(), dip.max(y)),
                (last.middle(), last.bottom()),
            ],
        };
    }
    let mut points = vec![(first.middle(), if down { first.bottom() } else { first.y })];
    let passing = chain.get(1..chain.len().saturating_sub(1)).unwrap_or_default();
    points.extend(
        passing
            .iter()
            .filter_map(|node| places.get(*node))
            .map(|place| (place.middle(), place.y)),
    );
    points.push((last.middle(), if down { last.y } else { last.bottom() }));
    Way { points }
}

/// Arrows that lead back to where a path came from: found in depth, without recursion.
fn back_edges(picture: &Picture) -> Vec<bool> {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); picture.boxes.len()];
    for (index, arrow) in picture.arrows.iter().enumerate() {
        if let Some(list) = out.get_mut(arrow.from) {
            list.push(index);
        }
    }
    let mut back = vec![false; picture.arrows.len()];
    // 0: not seen, 1: on the way, 2: done.
    let mut state = vec![0_u8; picture.boxes.len()];
    for start in 0..picture.boxes.len() {
        if state.get(start) != Some(&0) {
            continue;
        }
        set(&mut state, start, 1);
        let mut stack = vec![(start, 0_usize)];
        while let Some((node, next)) = stack.pop() {
            let Some(edge) = out.get(node).and_then(|list| list.get(next)).copied() else {
                set(&mut state, node, 2);
                continue;
            };
            stack.push((node, next.saturating_add(1)));
            let Some(to) = picture.arrows.get(edge).map(|arrow| arrow.to) else {
                continue;
            };
            match state.get(to) {
                Some(1) => set(&mut back, edge, true),
                Some(0) => {
                    set(&mut state, to, 1);
                    stack.push((to, 0));
                }
                _ => {}
            }
        }
    }
    back
}

/// The layer of each box: its longest way from the top, back edges left out.
fn layers(picture: &Picture, back: &[bool]) -> Vec<usize> {
    let count = picture.boxes.len();
    let mut open = vec![0_usize; count];
    let forward: Vec<(usize, usize)> = picture
        .arrows
        .iter()
        .zip(back)
        .filter(|(_, back)| !**back)
        .map(|(arrow, _)| (arrow.from, arrow.to))
        .collect();
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (from, to) in &forward {
        if let (Some(list), Some(open)) = (out.get_mut(*from), open.get_mut(*to)) {
            list.push(*to);
            *open = open.saturating_add(1);
        }
    }
    let mut layer = vec![0_usize; count];
    let mut ready: VecDeque<usize> = (0..count).filter(|node| open.get(*node) == Some(&0)).collect();
    while let Some(node) = ready.pop_front() {
        let below = layer.get(node).copied().unwrap_or_default().saturating_add(1);
        for to in out.get(node).cloned().unwrap_or_default() {
            if let (Some(layer), Some(open)) = (layer.get_mut(to), open.get_mut(to)) {
                *layer = (*layer).max(below);
                *open = open.saturating_sub(1);
                if *open == 0 {
                    ready.push_back(to);
                }
            }
        }
    }
    layer
}

fn set<T>(list: &mut [T], index: usize, value: T) {
    if let Some(slot) = list.get_mut(index) {
        *slot = value;
    }
}

/// Places are few; a float has them all.
fn as_float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}
