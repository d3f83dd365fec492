//! The figures for a terminal: plain lines, no colour needed to read them.

use crate::Kind;
use crate::measure::{Figures, Subject};
use crate::words::{self, decimal, interval, label, percent};

/// All figures, each with what it means.
pub fn text(subject: &Subject, figures: &Figures) -> String {
    let mut lines = vec![words::subject(subject, figures.tickets)];
    lines.extend(words::unanswered(subject.unanswered));
    lines.push(format!("data {}", subject.data));
    lines.push(String::new());
    lines.extend(columns(&headline(figures)));
    lines.push(String::new());
    lines.extend(columns(&kinds(figures)));
    lines.push("\nRows: what tickets are. Columns: what they were called.".to_owned());
    lines.extend(columns(&confusion(figures)));
    lines.push("\nHow sure, and how often right:".to_owned());
    lines.extend(columns(&calibration(figures)));
    lines.join("\n")
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn headline(figures: &Figures) -> Vec<Vec<String>> {
    let automation = &figures.automation;
    let latency = figures.latency;
    vec![
        row(&[
            "accuracy",
            &percent(figures.accuracy.share),
            &interval(figures.accuracy),
        ]),
        row(&[
            "macro-F1",
            &decimal(figures.macro_f1),
            "mean over the kinds that have tickets",
        ]),
        row(&[
            "precision at 50 % coverage",
            &percent(figures.precision_at_50),
            "of the more confident half",
        ]),
        row(&[
            "precision at 80 % coverage",
            &percent(figures.precision_at_80),
            "of the most confident four fifths",
        ]),
        row(&[
            "calibration error",
            &decimal(figures.calibration.error),
            "mean distance of confidence and accuracy",
        ]),
        row(&[
            "automated",
            &percent(automation.coverage.share),
            &format!(
                "{} of {}, {}",
                automation.coverage.count,
                automation.coverage.of,
                interval(automation.coverage)
            ),
        ]),
        row(&[
            "wrong automations",
            &words::wrong(automation.all),
            &words::bound(automation.all),
        ]),
        row(&[
            "  of them privileged",
            &words::wrong(automation.privileged),
            &words::bound(automation.privileged),
        ]),
        out_of_scope(figures),
        row(&[
            "time for a ticket",
            &format!("{:.1} ms", latency.p50_ms),
            &format!("95 %: {:.1} ms, longest {:.1} ms", latency.p95_ms, latency.max_ms),
        ]),
    ]
}

fn out_of_scope(figures: &Figures) -> Vec<String> {
    let scope = &figures.out_of_scope;
    let rest: Vec<String> = scope
        .taken_for
        .iter()
        .map(|taken| format!("{} {}", taken.tickets, label(taken.kind)))
        .collect();
    let rest = if rest.is_empty() {
        "none taken for a known kind".to_owned()
    } else {
        format!("taken for {}", rest.join(", "))
    };
    let stayed = format!("{} of {}", scope.stayed.count, scope.stayed.of);
    row(&["OTHER that stayed so", &stayed, &rest])
}

fn kinds(figures: &Figures) -> Vec<Vec<String>> {
    let mut rows = vec![row(&["kind", "tickets", "precision", "recall", "F1"])];
    rows.extend(figures.kinds.iter().map(|kind| {
        // Of no tickets there is no recall, and of none called so no precision.
        let of = |value: f64, tickets: u64| {
            if tickets == 0 {
                "-".to_owned()
            } else {
                percent(value)
            }
        };
        vec![
            label(kind.kind),
            kind.support.to_string(),
            of(kind.precision, kind.said),
            of(kind.recall, kind.support),
            decimal(kind.f1),
        ]
    }));
    rows
}

fn confusion(figures: &Figures) -> Vec<Vec<String>> {
    let shown: Vec<Kind> = figures.kinds.iter().map(|kind| kind.kind).collect();
    let mut head = vec![String::new()];
    head.extend(shown.iter().map(|kind| initials(*kind)));
    let mut rows = vec![head];
    for truth in &shown {
        let counts = figures.confusion.get(truth.index()).copied().unwrap_or_default();
        let mut cells = vec![format!("{:2}  {}", initials(*truth), label(*truth))];
        cells.extend(shown.iter().map(
            |said| match counts.get(said.index()).copied().unwrap_or_default() {
                0 => ".".to_owned(),
                tickets => tickets.to_string(),
            },
        ));
        rows.push(cells);
    }
    rows
}

/// `PR` of `PASSWORD_RESET`: tells all kinds apart.
fn initials(kind: Kind) -> String {
    kind.name()
        .split('_')
        .filter_map(|word| word.chars().next())
        .collect()
}

fn calibration(figures: &Figures) -> Vec<Vec<String>> {
    let mut rows = vec![row(&["confidence", "tickets", "said", "right"])];
    let filled = figures.calibration.bins.iter().filter(|bin| bin.tickets > 0);
    rows.extend(filled.map(|bin| {
        vec![
            format!("{:.1} to {:.1}", bin.from, bin.to),
            bin.tickets.to_string(),
            percent(bin.confidence),
            percent(bin.accuracy),
        ]
    }));
    rows
}

/// Cells that line up, two blanks between them.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Unanswered, figures, tests::ten};

    #[test]
    fn initials_tell_all_kinds_apart() {
        let all: std::collections::BTreeSet<String> = Kind::ALL.into_iter().map(initials).collect();
        assert_eq!(all.len(), Kind::ALL.len());
    }

    #[test]
    fn a_person_reads_the_figures_with_what_they_mean() {
        let subject = Subject {
            files: vec!["tickets.csv".to_owned()],
            classifier: "embedded/2".to_owned(),
            data: "5a0c".to_owned(),
            folds: None,
            unanswered: Unanswered {
                declined: 1,
                malformed: 2,
                away: 0,
            },
        };
        insta::assert_snapshot!(text(&subject, &figures(&ten()).unwrap()));
    }
}
