//! One level: nodes and lines without frames.

use super::{Contour, Rect, Route, Size, Tie, net::Net, order, place, route};

#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) size: Size,
    pub(super) contour: Contour,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Flat {
    pub(super) boxes: Vec<Rect>,
    pub(super) routes: Vec<Route>,
    pub(super) size: Size,
}

pub(super) fn flat(parts: &[Part], ties: &[Tie]) -> Flat {
    if parts.is_empty() {
        return Flat::default();
    }
    let net = Net::of(parts, ties);
    let layers = order::order(&net);
    let columns = place::columns(&net, &layers);
    let rows = place::rows(&net, &layers, &columns);
    route::finish(&net, parts, ties, &layers, &columns, &rows)
}
