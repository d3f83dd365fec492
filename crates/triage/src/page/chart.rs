//! Two curves: how precise the most confident tickets are, and whether a confidence is what it says.

use super::pen::Pen;
use crate::measure::Figures;
use crate::words::percent;

const LEFT: f64 = 46.0;
const WIDE: f64 = 390.0;
const HIGH: f64 = 180.0;
const BELOW_HEADING: f64 = 44.0;

/// Where the unit square lies on the page, and from which share on its height shows it.
struct Frame {
    left: f64,
    bottom: f64,
    from: f64,
}

impl Frame {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let up = ((y - self.from) / (1.0 - self.from)).clamp(0.0, 1.0);
        (self.left + x * WIDE, self.bottom - up * HIGH)
    }
}

fn frame(pen: &mut Pen, x: f64, y: f64, from: f64) -> Frame {
    let frame = Frame {
        left: x + LEFT,
        bottom: y + BELOW_HEADING + HIGH,
        from,
    };
    for step in 0..=5_u8 {
        let part = f64::from(step) / 5.0;
        let share = from + part * (1.0 - from);
        let class = if step == 0 { "axis" } else { "grid" };
        pen.line(class, frame.at(0.0, share), frame.at(1.0, share), false);
        let (left, at) = frame.at(0.0, share);
        pen.right(left - 8.0, at + 4.0, 11.0, "muted", &whole_percent(share));
        let (middle, bottom) = frame.at(part, from);
        pen.centred(middle, bottom + 18.0, 11.0, "400", "muted", &whole_percent(part));
    }
    frame
}

fn whole_percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Precision over coverage, the most confident tickets first.
pub(super) fn coverage(pen: &mut Pen, figures: &Figures, x: f64, y: f64) {
    pen.heading(
        x,
        y,
        "Right among the most confident",
        "precision over the share of tickets, the most confident first",
    );
    // A curve between 80 and 100 % says nothing at the top edge of a frame from 0.
    let lowest = figures
        .curve
        .iter()
        .map(|point| point.precision)
        .fold(1.0, f64::min);
    let from = if lowest >= 0.5 { 0.5 } else { 0.0 };
    let frame = frame(pen, x, y, from);
    let points: Vec<(f64, f64)> = figures
        .curve
        .iter()
        .map(|point| frame.at(point.coverage, point.precision))
        .collect();
    pen.path(&points);
    for (share, precision) in [(0.5, figures.precision_at_50), (0.8, figures.precision_at_80)] {
        let at = frame.at(share, precision);
        pen.dot("good", at, 5.0);
        // Below the curve where there is room, as it mostly falls.
        let below = if at.1 + 24.0 < frame.bottom { 22.0 } else { -12.0 };
        pen.centred(at.0, at.1 + below, 12.0, "600", "", &percent(precision));
    }
}

/// Accuracy over confidence: on the dashed line a confidence is what it says.
pub(super) fn reliability(pen: &mut Pen, figures: &Figures, x: f64, y: f64) {
    pen.heading(
        x,
        y,
        "Whether a confidence is what it says",
        "bars: accuracy of each tenth; dots: its mean confidence; dashed: honest",
    );
    let frame = frame(pen, x, y, 0.0);
    for bin in figures.calibration.bins.iter().filter(|bin| bin.tickets > 0) {
        let (left, top) = frame.at(bin.from, bin.accuracy);
        let (right, _) = frame.at(bin.to, bin.accuracy);
        pen.tinted(
            "good",
            left + 2.0,
            top,
            right - left - 4.0,
            frame.bottom - top,
            2.0,
            0.55,
        );
        let above = top.min(frame.at(0.0, bin.confidence).1) - 9.0;
        pen.centred(
            f64::midpoint(left, right),
            above,
            10.5,
            "400",
            "muted",
            &bin.tickets.to_string(),
        );
    }
    pen.line("axis", frame.at(0.0, 0.0), frame.at(1.0, 1.0), true);
    for bin in figures.calibration.bins.iter().filter(|bin| bin.tickets > 0) {
        let middle = f64::midpoint(bin.from, bin.to);
        pen.dot("bad", frame.at(middle, bin.confidence), 4.0);
    }
}
