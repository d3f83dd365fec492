//! Which kinds are taken for which.

use serde::Serialize;

use super::{Measured, Share, ratio};
use crate::Kind;

/// How well one kind is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KindFigures {
    /// Which.
    pub kind: Kind,
    /// Tickets that are of it.
    pub support: u64,
    /// Tickets that were called it.
    pub said: u64,
    /// Of those called it, the share that is; 0 where none was.
    pub precision: f64,
    /// Of those that are, the share called it; 0 where none is.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

/// What became of the tickets whose kind is `OTHER`: a model that has not learned to say "I do not know" shows here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutOfScope {
    /// Those that stayed `OTHER`.
    pub stayed: Share,
    /// What the rest were taken for, the most frequent first.
    pub taken_for: Vec<TakenFor>,
}

/// A kind that tickets were wrongly taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TakenFor {
    /// Which.
    pub kind: Kind,
    /// How many.
    pub tickets: u64,
}

pub(super) fn confusion(measured: &[Measured]) -> [[u64; 10]; 10] {
    Kind::ALL.map(|truth| {
        Kind::ALL.map(|said| {
            let here = |ticket: &&Measured| ticket.truth == truth && ticket.said == said;
            measured.iter().filter(here).count() as u64
        })
    })
}

pub(super) fn of_each(confusion: &[[u64; 10]; 10]) -> Vec<KindFigures> {
    Kind::ALL
        .into_iter()
        .zip(confusion)
        .filter_map(|(kind, row)| {
            let support: u64 = row.iter().sum();
            let said: u64 = confusion.iter().filter_map(|row| row.get(kind.index())).sum();
            let both = row.get(kind.index()).copied().unwrap_or_default();
            (support + said > 0).then(|| KindFigures {
                kind,
                support,
                said,
                precision: ratio(both, said),
                recall: ratio(both, support),
                f1: ratio(2 * both, support + said),
            })
        })
        .collect()
}

pub(super) fn macro_f1(kinds: &[KindFigures]) -> f64 {
    let with_rows: Vec<f64> = kinds
        .iter()
        .filter(|kind| kind.support > 0)
        .map(|kind| kind.f1)
        .collect();
    with_rows.iter().sum::<f64>() / f64::from(u8::try_from(with_rows.len()).unwrap_or(u8::MAX).max(1))
}

pub(super) fn out_of_scope(confusion: &[[u64; 10]; 10]) -> OutOfScope {
    let row = confusion.get(Kind::Other.index()).copied().unwrap_or_default();
    let stayed = row.get(Kind::Other.index()).copied().unwrap_or_default();
    let mut taken_for: Vec<TakenFor> = Kind::ALL
        .into_iter()
        .zip(row)
        .filter(|(kind, tickets)| *kind != Kind::Other && *tickets > 0)
        .map(|(kind, tickets)| TakenFor { kind, tickets })
        .collect();
    taken_for.sort_by_key(|taken| std::cmp::Reverse(taken.tickets));
    OutOfScope {
        stayed: Share::of(stayed, row.iter().sum()),
        taken_for,
    }
}
