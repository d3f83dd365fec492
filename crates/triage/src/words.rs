//! Figures and names as people read them.

use crate::Kind;
use crate::measure::{Passed, Share, Subject, Unanswered};

/// `password reset`: the name of a kind for a table or a chart.
pub(crate) fn label(kind: Kind) -> String {
    kind.name().to_lowercase().replace('_', " ")
}

/// `85.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `.853`, without a unit, for what is no share of anything.
pub(crate) fn decimal(value: f64) -> String {
    format!("{value:.3}")
}

/// `78.1 to 90.6 %`.
pub(crate) fn interval(share: Share) -> String {
    format!("{:.1} to {}", share.low * 100.0, percent(share.high))
}

/// `2 of 53`.
pub(crate) fn wrong(passed: Passed) -> String {
    format!("{} of {}", passed.wrong, passed.automated)
}

/// What the count of wrong ones says about their rate.
pub(crate) fn bound(passed: Passed) -> String {
    if passed.automated == 0 {
        "none automated: nothing is known".to_owned()
    } else {
        format!("rate at most {}", percent(passed.bound))
    }
}

/// What was measured with what.
pub(crate) fn subject(subject: &Subject, tickets: u64) -> String {
    let folds = subject.folds.map_or_else(String::new, |folds| {
        format!(", trained and tested in {folds} folds")
    });
    format!(
        "{tickets} tickets of {}, classifier {}{folds}",
        subject.files.join(", "),
        subject.classifier
    )
}

/// `3 without an answer (1 declined, 2 malformed), not in the figures`; `None` where all were answered.
pub(crate) fn unanswered(unanswered: Unanswered) -> Option<String> {
    let parts: Vec<String> = [
        (unanswered.declined, "declined"),
        (unanswered.malformed, "malformed"),
        (unanswered.away, "away"),
    ]
    .into_iter()
    .filter(|(tickets, _)| *tickets > 0)
    .map(|(tickets, how)| format!("{tickets} {how}"))
    .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "{} more without an answer ({}), not in the figures: they would go to a person",
            unanswered.all(),
            parts.join(", ")
        )
    })
}
