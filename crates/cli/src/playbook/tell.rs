//! Findings for people: where, what, and the line itself with the place underlined.

use std::path::Path;

use common::{Finding, Severity};
use owo_colors::OwoColorize;

use crate::terminal;

/// Every finding, in order.
pub(super) fn findings(file: &Path, source: &str, findings: &[Finding]) {
    let lines: Vec<&str> = source.lines().collect();
    for finding in findings {
        terminal::line(&told(file, &lines, finding, terminal::colours()));
    }
}

/// `file:line:column: error[code]: message`, as compilers and editors have it, and the source below.
fn told(file: &Path, lines: &[&str], finding: &Finding, colours: bool) -> String {
    let severity = match finding.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut head = format!("{severity}[{}]", finding.code);
    if colours {
        head = match finding.severity {
            Severity::Warning => head.yellow().bold().to_string(),
            Severity::Error => head.red().bold().to_string(),
        };
    }
    let mut told = format!(
        "{}:{}:{}: {head}: {}",
        file.display(),
        finding.line,
        finding.column,
        finding.message
    );
    if let Some(line) = finding.line.checked_sub(1).and_then(|index| lines.get(index)) {
        told.push_str(&underlined(finding.line, finding.column, line, colours));
    }
    if !finding.path.is_empty() {
        told.push_str("\n    on the path ");
        told.push_str(&finding.path.join(" -> "));
    }
    told
}

/// The line, and a mark under what stands at the column.
fn underlined(number: usize, column: usize, line: &str, colours: bool) -> String {
    /// Longer lines are cut around the place.
    const WIDEST: usize = 100;
    let letters: Vec<char> = line
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let start = column.saturating_sub(1).min(letters.len());
    let length = letters
        .get(start..)
        .unwrap_or_default()
        .iter()
        .take_while(|letter| !letter.is_whitespace() && !matches!(letter, ',' | '}' | ']'))
        .count()
        .max(1);
    let skipped = start.saturating_sub(WIDEST / 2);
    let shown: String = letters.iter().skip(skipped).take(WIDEST).collect();
    let margin = " ".repeat(number.to_string().len());
    let mark = "^".repeat(length.min(WIDEST / 2));
    let mark = if colours {
        mark.red().bold().to_string()
    } else {
        mark
    };
    format!(
        "\n {margin} |\n {number} | {}\n {margin} | {}{mark}",
        shown.trim_end(),
        " ".repeat(start - skipped)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_underlined() {
        let source = "steps:\n  - id: a\n    on_failure: nowhere   # lost\n";
        let lines: Vec<&str> = source.lines().collect();
        let finding = Finding {
            code: "undefined-step".to_owned(),
            severity: Severity::Error,
            line: 3,
            column: 17,
            step: None,
            message: "no step has the id `nowhere`".to_owned(),
            path: vec!["a".to_owned(), "on_failure".to_owned(), "nowhere".to_owned()],
        };
        let expected = "\
p.yml:3:17: error[undefined-step]: no step has the id `nowhere`
   |
 3 |     on_failure: nowhere   # lost
   |                 ^^^^^^^
    on the path a -> on_failure -> nowhere";
        assert_eq!(told(Path::new("p.yml"), &lines, &finding, false), expected);
    }

    #[test]
    fn a_place_beyond_the_line_and_a_line_without_end_are_shown_somehow() {
        let long = "x".repeat(5000);
        for (line, column) in [("", 1), ("ab", 9), (long.as_str(), 4000)] {
            let shown = underlined(1, column, line, false);
            assert!(shown.contains('^') && shown.len() < 400, "{shown}");
        }
    }
}
