//! The lines: from a port on one box, through their label, to a port on another.

use std::collections::HashMap;

use super::flat::{Flat, Part};
use super::net::{Course, Net};
use super::{Contour, Rect, Size, Tie, at, float, place, put};

/// How far a line from a box to itself stands out.
pub(super) const LOOP: f64 = 34.0;
/// Between two lines at the same side of a box.
const BETWEEN_PORTS: f64 = 16.0;

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Where an arrow points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heading {
    Down,
    Up,
    Left,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Piece {
    Straight(Point),
    /// Two handles, and the end.
    Curve(Point, Point, Point),
}

/// The way of one line.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Route {
    pub(crate) start: Point,
    pub(crate) pieces: Vec<Piece>,
    /// The middle of its label.
    pub(crate) label: Point,
    /// `None` where it ends in another line's trunk.
    pub(crate) arrow: Option<(Point, Heading)>,
}

impl Route {
    pub(super) fn shift(&mut self, dx: f64, dy: f64) {
        let move_by = |point: &mut Point| {
            point.x += dx;
            point.y += dy;
        };
        move_by(&mut self.start);
        move_by(&mut self.label);
        for piece in &mut self.pieces {
            match piece {
                Piece::Straight(end) => move_by(end),
                Piece::Curve(one, other, end) => {
                    move_by(one);
                    move_by(other);
                    move_by(end);
                }
            }
        }
        if let Some((tip, _)) = &mut self.arrow {
            move_by(tip);
        }
    }

    /// Through these points, upright at each of them.
    fn through(points: &[Point]) -> Self {
        let mut route = Self::default();
        let Some(start) = points.first() else { return route };
        route.start = *start;
        let mut last = *start;
        for point in points.iter().skip(1) {
            if (point.x - last.x).abs() < 0.5 {
                route.pieces.push(Piece::Straight(*point));
            } else {
                let middle = f64::midpoint(last.y, point.y);
                let handle = |x| Point { x, y: middle };
                route
                    .pieces
                    .push(Piece::Curve(handle(last.x), handle(point.x), *point));
            }
            last = *point;
        }
        route
    }
}

struct Drawing<'n> {
    net: &'n Net,
    parts: &'n [Part],
    boxes: Vec<Rect>,
    columns: &'n [f64],
    rows: &'n [(f64, f64)],
    /// Where the line between this node and this neighbour meets the node.
    ports: HashMap<(usize, usize), f64>,
}

pub(super) fn finish(
    net: &Net,
    parts: &[Part],
    ties: &[Tie],
    layers: &[Vec<usize>],
    columns: &[f64],
    rows: &[(f64, f64)],
) -> Flat {
    let width = net
        .vertices
        .iter()
        .zip(columns)
        .map(|(vertex, x)| x + vertex.size.width / 2.0)
        .fold(0.0, f64::max);
    let height = rows.last().map_or(0.0, |(top, height)| top + height);
    let mut drawing = Drawing {
        net,
        parts,
        boxes: Vec::new(),
        columns,
        rows,
        ports: HashMap::new(),
    };
    drawing.place_boxes(layers, width);
    drawing.place_ports();
    let routes = drawing.routes(ties);
    Flat {
        boxes: drawing.boxes,
        routes,
        size: Size { width, height },
    }
}

impl Drawing<'_> {
    fn place_boxes(&mut self, layers: &[Vec<usize>], width: f64) {
        for (index, part) in self.parts.iter().enumerate() {
            let (top, height) = at(self.rows, self.net.rank(index));
            let alone = layers
                .get(self.net.rank(index))
                .is_some_and(|layer| layer.len() == 1);
            let Size {
                width: own,
                height: tall,
            } = part.size;
            let y = top + (height - tall) / 2.0;
            self.boxes.push(if part.contour == Contour::Bar && alone {
                Rect {
                    x: 0.0,
                    y,
                    width,
                    height: tall,
                }
            } else {
                Rect {
                    x: at(self.columns, index) - own / 2.0,
                    y,
                    width: own,
                    height: tall,
                }
            });
        }
    }

    /// Each line meets its box straight above or below its next vertex where the box is wide enough for that.
    fn place_ports(&mut self) {
        for (index, part) in self.parts.iter().enumerate() {
            let rect = at(&self.boxes, index);
            let inset = match part.contour {
                Contour::Box { inset } => inset,
                Contour::Diamond => rect.width * 0.28,
                Contour::Bar => 6.0,
            };
            let (least, most) = (rect.x + inset, (rect.right() - inset).max(rect.x + inset));
            for up in [true, false] {
                let mut neighbours: Vec<(f64, usize)> = self
                    .net
                    .neighbours(index, up)
                    .iter()
                    .map(|(other, _)| (at(self.columns, *other), *other))
                    .collect();
                neighbours.sort_by(|one, other| one.0.total_cmp(&other.0));
                neighbours.dedup_by_key(|(_, other)| *other);
                let count = neighbours.len();
                let gap = ((most - least) / float(count.saturating_sub(1).max(1))).min(BETWEEN_PORTS);
                let wishes: Vec<f64> = neighbours.iter().map(|(x, _)| x.clamp(least, most)).collect();
                let placed = place::spread(&wishes, &vec![1.0; count], &vec![gap; count]);
                for (place, ((_, other), x)) in neighbours.iter().zip(placed).enumerate() {
                    // The block may have grown over a corner; push it back in.
                    let before = gap * float(place);
                    let after = gap * float(count - 1 - place);
                    let x = x.max(least + before).min(most - after);
                    self.ports.insert((index, *other), x);
                }
            }
        }
    }

    fn port(&self, node: usize, neighbour: usize, top: bool) -> Point {
        let rect = at(&self.boxes, node);
        let x = self
            .ports
            .get(&(node, neighbour))
            .copied()
            .unwrap_or(rect.middle().x);
        let depth = match self.parts.get(node).map(|part| part.contour) {
            Some(Contour::Diamond) => (x - rect.middle().x).abs() * rect.height / rect.width.max(1.0),
            _ => 0.0,
        };
        let y = if top {
            rect.y + depth
        } else {
            rect.bottom() - depth
        };
        Point { x, y }
    }

    fn routes(&self, ties: &[Tie]) -> Vec<Route> {
        let mut routes = vec![Route::default(); ties.len()];
        let mut drawn = vec![false; self.net.vertices.len()];
        let mut first: Vec<(usize, &Tie)> = ties.iter().enumerate().collect();
        first.sort_by_key(|(_, tie)| !tie.first);
        for (index, tie) in first {
            let course = self.net.courses.get(index).copied().unwrap_or(Course::Nowhere);
            let route = match course {
                Course::Along { label } => self.along(tie, label, &mut drawn),
                Course::Jump { label } => self.jump(tie, label),
                Course::Loop => self.bow(tie),
                Course::Nowhere => Route::default(),
            };
            put(&mut routes, index, route);
        }
        routes
    }

    /// The near and the far end of a rank, for a line that goes down (or up).
    fn pass(&self, vertex: usize, down: bool) -> (f64, f64) {
        let (top, height) = at(self.rows, self.net.rank(vertex));
        if down {
            (top, top + height)
        } else {
            (top + height, top)
        }
    }

    fn leave(&self, tie: &Tie, label: usize) -> (Vec<Point>, bool) {
        let down = self.net.rank(tie.from) < self.net.rank(label);
        let port = self.port(tie.from, label, !down);
        let (_, far) = self.pass(tie.from, down);
        (vec![port, Point { x: port.x, y: far }], down)
    }

    fn middle(&self, vertex: usize) -> Point {
        let (top, height) = at(self.rows, self.net.rank(vertex));
        Point {
            x: at(self.columns, vertex),
            y: top + height / 2.0,
        }
    }

    fn along(&self, tie: &Tie, label: usize, drawn: &mut [bool]) -> Route {
        let (mut points, down) = self.leave(tie, label);
        let mut last = label;
        let mut arrow = None;
        let mut next = Some(label);
        while let Some(vertex) = next {
            let (near, far) = self.pass(vertex, down);
            if vertex == tie.to {
                let port = self.port(vertex, last, down);
                points.push(Point { x: port.x, y: near });
                points.push(port);
                arrow = Some((port, if down { Heading::Down } else { Heading::Up }));
                break;
            }
            let x = at(self.columns, vertex);
            points.push(Point { x, y: near });
            if at(drawn, vertex) {
                break;
            }
            put(drawn, vertex, true);
            points.push(Point { x, y: far });
            last = vertex;
            next = self.net.onward.get(vertex).copied().flatten();
        }
        Route {
            label: self.middle(label),
            arrow,
            ..Route::through(&points)
        }
    }

    fn jump(&self, tie: &Tie, label: usize) -> Route {
        let (mut points, down) = self.leave(tie, label);
        let (near, far) = self.pass(label, down);
        let x = at(self.columns, label);
        let port = self.port(tie.to, label, down);
        points.extend([Point { x, y: near }, Point { x, y: far }, port]);
        Route {
            label: self.middle(label),
            arrow: Some((port, if down { Heading::Down } else { Heading::Up })),
            ..Route::through(&points)
        }
    }

    /// Out of the right side, and back into it.
    fn bow(&self, tie: &Tie) -> Route {
        let rect = at(&self.boxes, tie.from);
        let (out, back) = (rect.height * 0.3, rect.height * 0.7);
        let edge = |y: f64| Point {
            x: match self.parts.get(tie.from).map(|part| part.contour) {
                Some(Contour::Diamond) => rect.right() - rect.width * 0.2,
                _ => rect.right(),
            },
            y: rect.y + y,
        };
        let handle = |y: f64| Point {
            x: rect.right() + LOOP,
            y: rect.y + y,
        };
        Route {
            start: edge(out),
            pieces: vec![Piece::Curve(handle(out - 6.0), handle(back + 6.0), edge(back))],
            label: Point {
                x: rect.right() + LOOP - 6.0 + tie.label.width / 2.0,
                y: rect.middle().y,
            },
            arrow: Some((edge(back), Heading::Left)),
        }
    }
}
