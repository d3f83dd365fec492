//! How well each kind is told: precision, recall and F1 as bars.

use super::pen::Pen;
use crate::measure::Figures;
use crate::words::label;

const LABELS: f64 = 130.0;
const WIDE: f64 = 350.0;
const ROW: f64 = 28.0;

/// Answers where they end.
pub(super) fn draw(pen: &mut Pen, figures: &Figures, x: f64, y: f64) -> f64 {
    pen.heading(
        x,
        y,
        "How well each kind is told",
        "and how many tickets are of it",
    );
    let mut along = x + 252.0;
    for (class, name) in [("good", "precision"), ("second", "recall"), ("third", "F1")] {
        pen.rect(class, along, y + 11.0, 10.0, 10.0, 2.0);
        pen.text(along + 15.0, y + 20.0, 12.0, "400", "muted", name);
        along += 84.0;
    }
    let left = x + LABELS;
    let mut top = y + 38.0;
    for kind in &figures.kinds {
        pen.right(left - 10.0, top + 14.0, 11.5, "muted", &label(kind.kind));
        pen.rect("card", left, top, WIDE, ROW - 8.0, 2.0);
        let bars = [
            ("good", kind.precision, 0.0, 7.0),
            ("second", kind.recall, 7.0, 7.0),
            ("third", kind.f1, 14.0, 6.0),
        ];
        for (class, share, down, high) in bars {
            pen.rect(class, left, top + down, WIDE * share, high, 1.0);
        }
        pen.text(
            left + WIDE + 10.0,
            top + 14.0,
            11.5,
            "400",
            "",
            &kind.support.to_string(),
        );
        top += ROW;
    }
    top
}
