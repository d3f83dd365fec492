//! What was taken for what, as a map: blue on the diagonal is right, orange beside it is wrong.

use super::pen::Pen;
use crate::measure::{Figures, ratio};
use crate::words::label;

/// Room for the kinds' names at the left, and above.
const LABELS: (f64, f64) = (130.0, 100.0);
const ALL: f64 = 430.0;
/// The faintest that is seen.
const FAINT: f64 = 0.12;

pub(super) fn draw(pen: &mut Pen, figures: &Figures, x: f64, y: f64) {
    pen.heading(
        x,
        y,
        "What was taken for what",
        "rows: what tickets are; columns: what they were called; depth: share of the row",
    );
    let count = u8::try_from(figures.kinds.len()).unwrap_or(10).max(1);
    let cell = (ALL / f64::from(count)).min(60.0);
    let (left, top) = (x + LABELS.0, y + 30.0 + LABELS.1);
    for (column, kind) in figures.kinds.iter().enumerate() {
        let middle = left + place(column) * cell + cell / 2.0;
        pen.slanted(middle - 2.0, top - 8.0, 11.5, &label(kind.kind));
    }
    for (row, truth) in figures.kinds.iter().enumerate() {
        let above = top + place(row) * cell;
        pen.right(
            left - 10.0,
            above + cell / 2.0 + 4.0,
            11.5,
            "muted",
            &label(truth.kind),
        );
        let counts = figures
            .confusion
            .get(truth.kind.index())
            .copied()
            .unwrap_or_default();
        for (column, said) in figures.kinds.iter().enumerate() {
            let tickets = counts.get(said.kind.index()).copied().unwrap_or_default();
            let beside = left + place(column) * cell;
            pen.rect("card", beside, above, cell - 2.0, cell - 2.0, 3.0);
            if tickets == 0 {
                continue;
            }
            let strength = FAINT + (0.6 - FAINT) * ratio(tickets, truth.support);
            let class = if row == column { "good" } else { "bad" };
            pen.tinted(class, beside, above, cell - 2.0, cell - 2.0, 3.0, strength);
            let at = (beside + cell / 2.0 - 1.0, above + cell / 2.0 + 3.5);
            pen.centred(at.0, at.1, 13.0, "600", "", &tickets.to_string());
        }
    }
}

fn place(index: usize) -> f64 {
    f64::from(u8::try_from(index).unwrap_or(u8::MAX))
}
