//! Findings: their codes, and the collector that keeps a hostile document from producing a million of them.

use common::{Finding, Severity, StepId};

use crate::yaml::Position;

/// The stable codes of findings.
pub mod code {
    /// The document is not YAML that a playbook may be written in.
    pub const SYNTAX: &str = "syntax";
    /// A key appears twice in one mapping.
    pub const DUPLICATE_KEY: &str = "duplicate-key";
    /// A field that the language does not know there.
    pub const UNKNOWN_FIELD: &str = "unknown-field";
    /// A field that must be there.
    pub const MISSING_FIELD: &str = "missing-field";
    /// A value that its field cannot hold.
    pub const BAD_VALUE: &str = "bad-value";
    /// Two steps of the same id.
    pub const DUPLICATE_STEP: &str = "duplicate-step";
    /// An edge to a step that is not there.
    pub const UNDEFINED_STEP: &str = "undefined-step";
    /// A step that no path from the start reaches.
    pub const UNREACHABLE_STEP: &str = "unreachable-step";
    /// A service or an action that nobody offers.
    pub const UNKNOWN_SERVICE: &str = "unknown-service";
    /// An edge for an outcome that the action never has.
    pub const UNKNOWN_OUTCOME: &str = "unknown-outcome";
    /// An outcome of the action without an edge.
    pub const MISSING_OUTCOME: &str = "missing-outcome";
    /// A parameter that the action does not have.
    pub const UNKNOWN_PARAMETER: &str = "unknown-parameter";
    /// A parameter that the action asks for.
    pub const MISSING_PARAMETER: &str = "missing-parameter";
    /// A template where none may be, or with a name that templates do not know.
    pub const BAD_TEMPLATE: &str = "bad-template";
    /// A condition that compares what cannot be compared, or names what there is not.
    pub const BAD_CONDITION: &str = "bad-condition";
    /// A `depends_on` that cannot be kept.
    pub const BAD_DEPENDENCY: &str = "bad-dependency";
    /// An edge into or out of a branch, or a branch that does what a branch must not.
    pub const BAD_BRANCH: &str = "bad-branch";
    /// A playbook to call that is not there.
    pub const UNKNOWN_PLAYBOOK: &str = "unknown-playbook";
    /// A playbook that calls itself, directly or not.
    pub const CYCLIC_CALL: &str = "cyclic-call";
    /// A call of a playbook that cannot be read, or is too large.
    pub const BAD_CALL: &str = "bad-call";
    /// An untrusted value that would decide who or what is acted on, where something is sent, or who may say yes.
    pub const UNTRUSTED_TARGET: &str = "untrusted-target";
    /// A credential that would go elsewhere than to a delivery.
    pub const SECRET_LEAK: &str = "secret-leak";
    /// An action that does not take back what it stands for, or stands as a step of its own.
    pub const BAD_UNDO: &str = "bad-undo";
    /// A privileged step that could be taken back and says not how (a warning).
    pub const MISSING_UNDO: &str = "missing-undo";
    /// A path that may take longer than the playbook's budget.
    pub const OVER_BUDGET: &str = "over-budget";
    /// A loop that nothing bounds.
    pub const UNBOUNDED_LOOP: &str = "unbounded-loop";
    /// A step from which no ending can be reached.
    pub const NEVER_ENDS: &str = "never-ends";
    /// A privileged step that some path enters without enough assurance.
    pub const UNVERIFIED_PRIVILEGED_STEP: &str = "unverified-privileged-step";
    /// A privileged step that some path enters although somebody said no.
    pub const PRIVILEGED_AFTER_DENIAL: &str = "privileged-after-denial";
    /// A delivery that some path enters with nothing to deliver.
    pub const MISSING_CREDENTIAL: &str = "missing-credential";
    /// A privileged step that some path enters although its permit is for another step, or spent (a warning).
    pub const MISSING_PERMIT: &str = "missing-permit";
}

/// More than anybody reads; the rest is dropped.
const MOST: usize = 200;
/// Steps and edges in all paths together: a large playbook may have a long path to each of many findings.
const LONGEST_PATHS: usize = 20_000;

/// Patterns in one document.
pub(crate) const MOST_PATTERNS: usize = 200;

/// Findings as they are made.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Finding>,
    errors: bool,
    in_paths: usize,
    patterns: usize,
}

impl Findings {
    /// Add an error.
    pub(crate) fn error(&mut self, code: &'static str, at: Position, message: impl Into<String>) {
        self.add(finding(code, Severity::Error, at, message));
    }

    /// Add whatever it is. The first error is kept however many warnings there are: a refusal has a reason.
    pub(crate) fn add(&mut self, mut finding: Finding) {
        let error = finding.severity == Severity::Error;
        if self.found.len() < MOST || (error && !self.errors) {
            self.in_paths = self.in_paths.saturating_add(finding.path.len());
            if self.in_paths > LONGEST_PATHS {
                finding.path = Vec::new();
            }
            self.found.push(finding);
        }
        self.errors |= error;
    }

    /// Whether a further error would change anything. What costs time is only looked for as long as it would.
    pub(crate) fn room(&self) -> bool {
        self.found.len() < MOST || !self.errors
    }

    /// `; did you mean ...?`, or nothing. Looking costs time, so nobody looks for findings that are dropped anyway.
    pub(crate) fn did_you_mean<'k>(&self, word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
        if self.found.len() >= MOST {
            return String::new();
        }
        nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    }

    /// Whether one pattern more may be compiled: that takes long, and a document of nothing else would take seconds.
    pub(crate) fn another_pattern(&mut self) -> bool {
        self.patterns = self.patterns.saturating_add(1);
        self.patterns <= MOST_PATTERNS
    }

    /// Whether anything stops publication.
    pub(crate) fn any_error(&self) -> bool {
        self.errors
    }

    /// Take over what was found elsewhere.
    pub(crate) fn extend(&mut self, found: impl IntoIterator<Item = Finding>) {
        found.into_iter().for_each(|finding| self.add(finding));
    }

    /// All of them, in the order of the document.
    pub(crate) fn in_order(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| (finding.line, finding.column));
        self.found
    }
}

/// A finding without step and path.
pub(crate) fn finding(
    code: &'static str,
    severity: Severity,
    at: Position,
    message: impl Into<String>,
) -> Finding {
    Finding {
        code: code.to_owned(),
        severity,
        line: at.line,
        column: at.column,
        step: None,
        message: message.into(),
        path: Vec::new(),
    }
}

/// An error about a step.
pub(crate) fn about(step: &StepId, code: &'static str, at: Position, message: impl Into<String>) -> Finding {
    Finding {
        step: Some(step.clone()),
        ..finding(code, Severity::Error, at, message)
    }
}

/// The one of `known` that `word` was most likely meant to be; of several as near as each other, the first.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A third of the letters may be wrong, three at most: `on_sucess` is near, `colour` is not near anything.
    let letters: Vec<char> = word.chars().take(64).collect();
    let tolerable = (letters.len() / 3).clamp(1, 3);
    let counted = counts(letters.iter().copied());
    known
        .into_iter()
        .filter(|candidate| may_be_near(letters.len(), &counted, candidate, tolerable))
        .filter_map(|candidate| Some((distance(&letters, candidate, tolerable)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters were put in, left out, changed or swapped with their neighbour; `None` where more than `most`.
/// Only as much of the table is filled as can matter, so that thousands of long ids are looked through in no time.
fn distance(word: &[char], candidate: &str, most: usize) -> Option<usize> {
    let candidate: Vec<char> = candidate.chars().collect();
    let far = most.saturating_add(1);
    let width = candidate.len().saturating_add(1);
    let mut before: Vec<usize> = vec![far; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (row, letter) in word.iter().enumerate() {
        let mut here = vec![far; width];
        if let Some(first) = here.first_mut() {
            *first = row.saturating_add(1);
        }
        let band = row.saturating_sub(most)..row.saturating_add(far).min(candidate.len());
        let mut least = row.saturating_add(1);
        for column in band {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(far);
            let other = candidate.get(column);
            let changed = at(&last, column).saturating_add(usize::from(other != Some(letter)));
            let one_more = at(&last, column.saturating_add(1))
                .min(at(&here, column))
                .saturating_add(1);
            let swapped = match (row.checked_sub(1), column.checked_sub(1)) {
                (Some(above), Some(left))
                    if word.get(above) == other && candidate.get(left) == Some(letter) =>
                {
                    at(&before, left).saturating_add(1)
                }
                _ => far,
            };
            let value = changed.min(one_more).min(swapped);
            least = least.min(value);
            if let Some(slot) = here.get_mut(column.saturating_add(1)) {
                *slot = value;
            }
        }
        if least > most {
            return None;
        }
        before = std::mem::replace(&mut last, here);
    }
    last.last().copied().filter(|distance| *distance <= most)
}

/// How often each letter is there, some letters thrown together.
fn counts(letters: impl Iterator<Item = char>) -> [i16; 64] {
    let mut counts = [0_i16; 64];
    for letter in letters {
        if let Some(count) = counts.get_mut(letter as usize % 64) {
            *count = count.saturating_add(1);
        }
    }
    counts
}

/// Each letter wrong changes the length by one at most, and the letters that are there by two.
fn may_be_near(length: usize, counted: &[i16; 64], candidate: &str, tolerable: usize) -> bool {
    let most = length.saturating_add(tolerable);
    let other = candidate.chars().take(most.saturating_add(1)).count();
    if other > most || other.saturating_add(tolerable) < length {
        return false;
    }
    let differ: usize = counts(candidate.chars())
        .iter()
        .zip(counted)
        .map(|(one, other)| usize::from(one.abs_diff(*other)))
        .sum();
    differ <= tolerable.saturating_mul(2)
}

/// A text from the document, short enough and plain enough to be repeated in a message.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}
