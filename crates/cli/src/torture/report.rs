//! The plan before, the verdict after.

use std::collections::BTreeMap;

use launcher::ServersError;

use super::clocks::Clocks;
use super::invariants::Finding;
use super::plan::{Orders, Plan};
use super::trouble::Victim;
use crate::terminal;

/// The command that does the same once more.
pub(super) fn again(orders: Orders) -> String {
    let Orders { seed, storm, tickets } = orders;
    let minutes = storm.as_secs_f64() / 60.0;
    format!("firstline torture --minutes {minutes} --seed {seed} --tickets {tickets}")
}

/// What is going to happen.
pub(super) fn tell_plan(plan: &Plan) {
    terminal::line("How people answer:");
    let rows = plan.habits.iter().map(|habit| {
        vec![
            format!("  {}", habit.email),
            format!("a push: {:?}", habit.push),
            format!("about others: {:?}", habit.asked),
            format!("after {} ms", habit.after.as_millis()),
        ]
    });
    terminal::table(&rows.collect::<Vec<_>>());
    let mut troubles: BTreeMap<String, usize> = BTreeMap::new();
    for spell in &plan.spells {
        *troubles.entry(spell.trouble.begun()).or_default() += 1;
    }
    terminal::line(&format!(
        "\n{} tickets, and {} times trouble, of {} kinds:\n",
        plan.filings.len(),
        plan.spells.len(),
        troubles.len()
    ));
}

/// Whose clock is how far off, or why those of processes are right.
pub(super) fn tell_clocks(clocks: &Clocks, faked: Result<(), ServersError>) {
    let processes = match faked {
        Ok(()) => {
            let off = |(replica, service, skew): &_| format!("{} {skew}", Victim::One(*replica, *service));
            clocks.all().iter().map(off).collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("those of processes are right ({error})"),
    };
    let vendors = clocks.vendors().as_secs();
    terminal::line(&format!("Clocks: {processes}, vendors {vendors} s behind.\n"));
}

/// The verdict. Answers whether everything holds.
pub(super) fn tell_findings(findings: &[Finding], orders: Orders) -> bool {
    let head = ["", "checked", "violations"].map(str::to_owned);
    let rows = findings.iter().map(|finding| {
        vec![
            finding.invariant.to_owned(),
            finding.checked.to_string(),
            finding.violations.len().to_string(),
        ]
    });
    terminal::line("");
    terminal::table(&[vec![head.into()], rows.collect()].concat());
    let violations: Vec<(&str, String)> = findings
        .iter()
        .flat_map(|finding| {
            finding
                .violations
                .iter()
                .map(|violation| (finding.invariant, violation))
        })
        .map(|(invariant, violation)| {
            let ticket = violation
                .ticket
                .map(|ticket| format!("#{ticket} "))
                .unwrap_or_default();
            (invariant, format!("{ticket}{}", violation.what))
        })
        .collect();
    if violations.is_empty() {
        terminal::line("\nEverything holds.");
        return true;
    }
    terminal::line("");
    for (invariant, what) in violations {
        terminal::line(&format!("VIOLATED: {invariant}: {what}"));
    }
    terminal::line(&format!("\nTo have this storm again:\n  {}", again(orders)));
    false
}
