//! Sign-offs, signatures, legal notices and the advertising of telephones.

mod phrases;

use super::words;

/// A text taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) said: String,
    pub(super) closing: String,
}

/// Signatures end within this many lines.
const MOST_SIGNATURE_LINES: usize = 14;
/// A longer line says something.
const LONGEST_SIGNATURE_LINE: usize = 90;

/// Take the closing off a text. Words that follow a signature, such as a postscript, stay.
pub(super) fn split(text: &str) -> Parts {
    let lines: Vec<&str> = text.lines().collect();
    let mut said: Vec<&str> = Vec::new();
    let mut closing: Vec<&str> = Vec::new();
    let mut begun = false;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        begun |= said.last().is_some_and(|line| !line.trim().is_empty());
        let length = if is_from_outside(line) {
            1
        } else if is_notice(line) {
            paragraph(&lines, at)
        } else if !begun {
            0
        } else if is_advertising(line) {
            1
        } else if is_delimiter(line) {
            lines.len() - at
        } else if is_sign_off(line) {
            signature(&lines, at)
        } else {
            0
        };
        if length == 0 {
            said.push(line);
            at += 1;
        } else {
            closing.extend(lines.iter().skip(at).take(length));
            at += length;
        }
    }
    Parts {
        said: said.join("\n"),
        closing: closing.join("\n"),
    }
}

/// The line that parts a signature from a text by convention.
fn is_delimiter(line: &str) -> bool {
    matches!(line.trim(), "--" | "—" | "––")
}

/// One line that a mail server sets above letters from outside.
fn is_from_outside(line: &str) -> bool {
    let line = line.trim();
    let lower = start(line.trim_start_matches(['*', '[', ' ', '!']));
    !line.is_empty() && phrases::EXTERNAL.iter().any(|phrase| lower.starts_with(phrase))
}

/// "Sent from my telephone": one short line.
fn is_advertising(line: &str) -> bool {
    const MOST_WORDS: usize = 7;
    let lower = start(line.trim());
    phrases::SENT_FROM.iter().any(|phrase| lower.starts_with(phrase))
        && words::of(line).take(MOST_WORDS + 1).count() <= MOST_WORDS
}

/// The first characters of a line, in lower case.
fn start(line: &str) -> String {
    line.chars().take(60).collect::<String>().to_lowercase()
}

/// Whether a legal notice begins at a line.
fn is_notice(line: &str) -> bool {
    let lower = line
        .get(..600.min(line.len()))
        .unwrap_or(line)
        .replace('’', "'")
        .to_lowercase();
    !lower.trim().is_empty() && phrases::NOTICES.iter().any(|phrase| lower.contains(phrase))
}

/// The lines up to the next blank one.
fn paragraph(lines: &[&str], at: usize) -> usize {
    lines
        .iter()
        .skip(at)
        .take_while(|line| !line.trim().is_empty())
        .count()
        .max(1)
}

fn is_sign_off(line: &str) -> bool {
    const MOST_WORDS: usize = 7;
    let line = line.trim();
    if line.is_empty() || line.len() > LONGEST_SIGNATURE_LINE || line.ends_with('?') {
        return false;
    }
    let all: Vec<String> = words::of(line).take(MOST_WORDS + 1).collect();
    if all.len() > MOST_WORDS {
        return false;
    }
    let Some(first) = all.first() else { return false };
    phrases::SIGN_OFFS
        .iter()
        .filter(|phrase| phrase.starts_with(first.as_str()))
        .any(|phrase| {
            let mut rest = all.iter();
            let starts = phrase
                .split(' ')
                .all(|word| rest.next().is_some_and(|said| said == word));
            // "Thanks, Anna" closes; "Best printer in the house" does not.
            let quiet = !rest.clone().any(|word| is_speech(word));
            starts && quiet && (rest.len() == 0 || (rest.len() <= 4 && is_continued(line, phrase)))
        })
}

/// Whether a sign-off goes on after a comma, or with a place or another sign-off.
fn is_continued(line: &str, phrase: &str) -> bool {
    let rest = line.get(phrase.len()..).unwrap_or_default().trim_start();
    let next = words::of(rest).next().unwrap_or_default();
    rest.starts_with([',', '!', '.', ';', '-', '–', '/'])
        || phrases::LINKS.contains(&next.as_str())
        || (phrase.contains(' ') && rest.chars().next().is_some_and(char::is_uppercase))
}

/// How many lines a sign-off and the signature under it take.
fn signature(lines: &[&str], at: usize) -> usize {
    let below = lines
        .iter()
        .skip(at + 1)
        .take(MOST_SIGNATURE_LINES)
        .take_while(|line| line.trim().is_empty() || is_signature_line(line))
        .count();
    1 + below
}

/// A name, a title, a place, a number: short, and no speech.
fn is_signature_line(line: &str) -> bool {
    const MOST_WORDS: usize = 10;
    /// In whose name a German signs.
    const DEPUTIES: [&str; 5] = ["i. A.", "i.A.", "i. V.", "i.V.", "ppa."];
    let line = line.trim();
    if line.len() > LONGEST_SIGNATURE_LINE || line.ends_with(['?', ':']) {
        return false;
    }
    let line = DEPUTIES
        .iter()
        .find_map(|deputy| line.strip_prefix(deputy))
        .unwrap_or(line);
    let all: Vec<String> = words::of(line).take(MOST_WORDS + 1).collect();
    all.len() <= MOST_WORDS && !all.iter().any(|word| is_speech(word))
}

fn is_speech(word: &str) -> bool {
    phrases::SPEECH.contains(&word)
}

#[cfg(test)]
mod tests;
