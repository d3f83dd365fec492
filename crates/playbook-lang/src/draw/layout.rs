//! Where everything stands: a layered drawing from top to bottom, as a pure value.
//!
//! After Sugiyama: break the cycles, give each node a layer, put the nodes of each layer in an order with few crossings,
//! then place them. Our own, because the crates there are either panic on graphs of their own choosing or give no route
//! for an edge that passes several layers. Two things differ from the book: a label is a node of its own, so labels never
//! cover each other; and edges to the same target share one trunk, so thirty steps that escalate to one step make one
//! line and not thirty.

mod flat;
mod net;
mod order;
mod place;
mod route;

pub(crate) use route::{Heading, Piece, Point, Route};

/// A width and a height, in pixels like all lengths here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Size {
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A rectangle by its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rect {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    pub(crate) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    pub(crate) fn middle(&self) -> Point {
        Point {
            x: self.x + self.width / 2.0,
            y: self.y + self.height / 2.0,
        }
    }
}

/// Where lines may meet a box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Contour {
    /// At its top and bottom, this far from its corners.
    Box { inset: f64 },
    /// On the sides of a rhombus.
    Diamond,
    /// A bar as wide as what it stands above.
    Bar,
}

/// One node as the layout sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Item {
    /// Of a frame: the least that it needs.
    pub(crate) size: Size,
    pub(crate) contour: Contour,
    /// The frame it stands in. The caller sees to it that frames do not stand in themselves.
    pub(crate) frame: Option<usize>,
    /// It is a frame, and keeps so much room free at its top.
    pub(crate) header: Option<f64>,
}

/// One line as the layout sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tie {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) label: Size,
    /// Lines to the same node share a trunk where this is the same.
    pub(crate) trunk: u8,
    /// How much it should be straight.
    pub(crate) pull: f64,
    /// Its trunk is drawn as its own, and others join it.
    pub(crate) first: bool,
}

/// The finished drawing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Layout {
    /// In the order of the items.
    pub(crate) boxes: Vec<Rect>,
    /// In the order of the ties.
    pub(crate) routes: Vec<Route>,
    pub(crate) size: Size,
}

/// Between a frame and what stands in it.
const PADDING: f64 = 20.0;

impl Layout {
    pub(crate) fn of(items: &[Item], ties: &[Tie]) -> Self {
        let mut layout = Self {
            boxes: items
                .iter()
                .map(|item| Rect {
                    width: item.size.width,
                    height: item.size.height,
                    ..Rect::default()
                })
                .collect(),
            routes: vec![Route::default(); ties.len()],
            size: Size::default(),
        };
        let lifted: Vec<_> = ties.iter().map(|tie| lift(items, tie)).collect();
        let mut frames: Vec<usize> = (0..items.len())
            .filter(|index| items.get(*index).is_some_and(|item| item.header.is_some()))
            .collect();
        // Inner frames first: the outer ones must know their sizes.
        frames.sort_by_key(|frame| std::cmp::Reverse(above(items, *frame).count()));
        for frame in &frames {
            layout.fill(items, ties, &lifted, Some(*frame));
        }
        layout.size = layout.fill(items, ties, &lifted, None);
        // Outer frames first: so far everything in a frame is placed as if the frame stood in the corner.
        for frame in frames.iter().rev() {
            layout.shift(items, &lifted, *frame);
        }
        layout
    }

    /// Lay out what stands directly in a frame, or in none.
    fn fill(&mut self, items: &[Item], ties: &[Tie], lifted: &[Lifted], frame: Option<usize>) -> Size {
        let members: Vec<usize> = (0..items.len())
            .filter(|index| items.get(*index).is_some_and(|item| item.frame == frame))
            .collect();
        let mut local = vec![usize::MAX; items.len()];
        let mut parts = Vec::new();
        for (place, member) in members.iter().enumerate() {
            put(&mut local, *member, place);
            let rect = at(&self.boxes, *member);
            parts.push(flat::Part {
                size: Size {
                    width: rect.width,
                    height: rect.height,
                },
                contour: items.get(*member).map_or(Contour::Bar, |item| item.contour),
            });
        }
        let mut own = Vec::new();
        let mut strands = Vec::new();
        for (index, (tie, lifted)) in ties.iter().zip(lifted).enumerate() {
            if lifted.frame == frame {
                own.push(index);
                strands.push(Tie {
                    from: at(&local, lifted.from),
                    to: at(&local, lifted.to),
                    ..*tie
                });
            }
        }
        let flat = flat::flat(&parts, &strands);
        let header = frame.and_then(|frame| items.get(frame)?.header);
        let least = frame.map_or(0.0, |frame| at(&self.boxes, frame).width - 2.0 * PADDING);
        let (dx, dy) = match header {
            Some(header) => (PADDING + (least - flat.size.width).max(0.0) / 2.0, header),
            None => (0.0, 0.0),
        };
        for (member, rect) in members.iter().zip(flat.boxes) {
            put(&mut self.boxes, *member, moved(rect, dx, dy));
        }
        for (index, mut route) in own.iter().zip(flat.routes) {
            route.shift(dx, dy);
            put(&mut self.routes, *index, route);
        }
        if let Some(frame) = frame {
            let size = Rect {
                width: flat.size.width.max(least) + 2.0 * PADDING,
                height: flat.size.height + dy + PADDING,
                ..Rect::default()
            };
            put(&mut self.boxes, frame, size);
        }
        flat.size
    }

    fn shift(&mut self, items: &[Item], lifted: &[Lifted], frame: usize) {
        let Rect { x, y, .. } = at(&self.boxes, frame);
        for (item, rect) in items.iter().zip(&mut self.boxes) {
            if item.frame == Some(frame) {
                *rect = moved(*rect, x, y);
            }
        }
        for (lifted, route) in lifted.iter().zip(&mut self.routes) {
            if lifted.frame == Some(frame) {
                route.shift(x, y);
            }
        }
    }
}

/// A tie between two nodes that stand in the same frame, or in none.
#[derive(Debug, Clone, Copy)]
struct Lifted {
    from: usize,
    to: usize,
    frame: Option<usize>,
}

/// A line into a frame, or out of one, is drawn at the frame: nothing passes its border.
fn lift(items: &[Item], tie: &Tie) -> Lifted {
    for from in above(items, tie.from) {
        for to in above(items, tie.to) {
            let frame = items.get(from).and_then(|item| item.frame);
            if items.get(to).and_then(|item| item.frame) == frame {
                return Lifted { from, to, frame };
            }
        }
    }
    Lifted {
        from: tie.from,
        to: tie.to,
        frame: None,
    }
}

/// The item, the frame around it, the frame around that one, ...
fn above(items: &[Item], item: usize) -> impl Iterator<Item = usize> + '_ {
    std::iter::successors(Some(item), |item| items.get(*item)?.frame).take(items.len())
}

fn moved(rect: Rect, dx: f64, dy: f64) -> Rect {
    Rect {
        x: rect.x + dx,
        y: rect.y + dy,
        ..rect
    }
}

/// The element there. Indices here are the layout's own; one that is wrong makes a poor drawing, not a panic.
fn at<T: Copy + Default>(all: &[T], index: usize) -> T {
    all.get(index).copied().unwrap_or_default()
}

fn put<T>(all: &mut [T], index: usize, value: T) {
    if let Some(place) = all.get_mut(index) {
        *place = value;
    }
}

/// A number of things as a length.
fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}
