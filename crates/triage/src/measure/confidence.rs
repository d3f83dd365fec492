//! Whether being sure means being right.

use serde::Serialize;

use super::{Measured, ratio};

const BINS: u8 = 10;

/// Points of the curve at most: a picture shows no more.
const POINTS: usize = 100;

/// The most confident tickets, and how many of them are right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Covered {
    /// Share of all tickets.
    pub coverage: f64,
    /// Share of right ones among them.
    pub precision: f64,
}

/// Tickets by their confidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the mean distance of confidence and accuracy over the bins, weighed by tickets.
    pub error: f64,
    /// Ten of equal width, the empty ones too.
    pub bins: Vec<Bin>,
}

/// Tickets of similar confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// From this confidence.
    pub from: f64,
    /// To below this one; the last bin includes it.
    pub to: f64,
    /// How many tickets.
    pub tickets: u64,
    /// Their mean confidence; 0 of none.
    pub confidence: f64,
    /// The share of right ones; 0 of none.
    pub accuracy: f64,
}

/// The most confident first; equals stay in their order.
fn by_confidence(measured: &[Measured]) -> Vec<&Measured> {
    let mut sorted: Vec<&Measured> = measured.iter().collect();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    sorted
}

pub(super) fn precision_at(measured: &[Measured], percent: usize) -> f64 {
    let covered = (measured.len() * percent).div_ceil(100);
    let right = by_confidence(measured)
        .into_iter()
        .take(covered)
        .filter(|ticket| ticket.is_right())
        .count();
    ratio(right as u64, covered as u64)
}

pub(super) fn curve(measured: &[Measured]) -> Vec<Covered> {
    let all = measured.len();
    let points = all.min(POINTS);
    let mut wanted = (1..=points)
        .map(|point| (all * point).div_ceil(points))
        .peekable();
    let mut right = 0;
    let mut curve = Vec::with_capacity(points);
    for (index, ticket) in by_confidence(measured).into_iter().enumerate() {
        let covered = index as u64 + 1;
        right += u64::from(ticket.is_right());
        if wanted.next_if(|point| *point as u64 == covered).is_some() {
            curve.push(Covered {
                coverage: ratio(covered, all as u64),
                precision: ratio(right, covered),
            });
        }
    }
    curve
}

pub(super) fn calibration(measured: &[Measured]) -> Calibration {
    let bins: Vec<Bin> = (0..BINS).map(|bin| of_bin(measured, bin)).collect();
    let all = measured.len() as u64;
    let error = bins
        .iter()
        .map(|bin| ratio(bin.tickets, all) * (bin.confidence - bin.accuracy).abs())
        .sum();
    Calibration { error, bins }
}

fn of_bin(measured: &[Measured], bin: u8) -> Bin {
    let from = f64::from(bin) / f64::from(BINS);
    let to = f64::from(bin + 1) / f64::from(BINS);
    let last = bin + 1 == BINS;
    let within = |ticket: &&Measured| ticket.confidence >= from && (ticket.confidence < to || last);
    let tickets = measured.iter().filter(within).count() as u64;
    let right = measured
        .iter()
        .filter(within)
        .filter(|ticket| ticket.is_right())
        .count();
    let sum: f64 = measured
        .iter()
        .filter(within)
        .map(|ticket| ticket.confidence)
        .sum();
    Bin {
        from,
        to,
        tickets,
        confidence: sum * ratio(1, tickets),
        accuracy: ratio(right as u64, tickets),
    }
}
