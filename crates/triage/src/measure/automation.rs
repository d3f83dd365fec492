//! What went to the automation, and what should not have.

use serde::Serialize;

use super::{Measured, Share, ratio};
use crate::bound;

/// What went to the automation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Automation {
    /// Share of all tickets that did.
    pub coverage: Share,
    /// All of them.
    pub all: Passed,
    /// Those that change how somebody proves who they are.
    pub privileged: Passed,
}

/// Automated tickets, and the wrong ones among them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Passed {
    /// Automated.
    pub automated: u64,
    /// Automated although they are of another kind, or not fit for automation.
    pub wrong: u64,
    /// Share of wrong ones; 0 of none.
    pub rate: f64,
    /// Upper bound of that share with 95 % confidence (one-sided, exact); 1 of none, as nothing is known then.
    pub bound: f64,
}

pub(super) fn of(measured: &[Measured]) -> Automation {
    let automated = measured.iter().filter(|ticket| ticket.automated).count();
    Automation {
        coverage: Share::of(automated as u64, measured.len() as u64),
        all: passed(measured, |_| true),
        privileged: passed(measured, |ticket| ticket.said.is_privileged()),
    }
}

fn passed(measured: &[Measured], counts: impl Fn(&Measured) -> bool) -> Passed {
    let automated: Vec<&Measured> = measured
        .iter()
        .filter(|ticket| ticket.automated && counts(ticket))
        .collect();
    let wrong = automated.iter().filter(|ticket| is_wrong(ticket)).count() as u64;
    let automated = automated.len() as u64;
    Passed {
        automated,
        wrong,
        rate: ratio(wrong, automated),
        bound: bound::upper(wrong, automated, 0.95),
    }
}

/// Where nobody said whether a ticket is fit for automation, its kind alone speaks.
fn is_wrong(ticket: &Measured) -> bool {
    !ticket.is_right() || ticket.automatable == Some(false)
}
