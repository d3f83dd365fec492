//! How things are said.

use std::time::Duration;

use serde_json::Value;

/// `90 s`, `5 min`, `2 h`, `1 day`; what is no whole number of the larger unit is said in the smaller one.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.subsec_millis()),
        _ if seconds.is_multiple_of(86_400) => {
            let days = seconds / 86_400;
            format!("{days} day{}", if days == 1 { "" } else { "s" })
        }
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// A list for reading: `a`, `b` and `c`.
pub(super) fn listed<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = items
        .into_iter()
        .map(|item| format!("`{}`", brief(&item)))
        .collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

/// `1 time`, `2 times`.
pub(super) fn count(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A text of an author's, in quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", window(text, 0))
}

/// A text of the language's own around what an author wrote, cut where it is long.
pub(super) fn brief(text: &impl std::fmt::Display) -> String {
    window(&text.to_string(), 0)
}

/// A value as JSON, cut where it is long.
pub(super) fn value(value: &Value) -> String {
    window(&value.to_string(), 0)
}

/// Two texts that differ, each cut so that the place where they part can be seen.
pub(super) fn contrast(old: &str, new: &str) -> (String, String) {
    let common = old
        .chars()
        .zip(new.chars())
        .take_while(|(one, other)| one == other)
        .count();
    let from = common.saturating_sub(LEAD);
    (window(old, from), window(new, from))
}

/// So much of a text is quoted.
const WINDOW: usize = 100;
/// So much of what two texts share stands before the place where they part.
const LEAD: usize = 30;

/// A part of a text, with ellipses for the rest.
fn window(text: &str, from: usize) -> String {
    let length = text.chars().count();
    let from = if length <= WINDOW { 0 } else { from };
    let shown: String = text.chars().skip(from).take(WINDOW).collect();
    let before = if from > 0 { "\u{2026}" } else { "" };
    let after = if length > from + WINDOW { "\u{2026}" } else { "" };
    visible(&format!("{before}{shown}{after}"))
}

/// With what cannot be seen escaped: a name must not be able to break a sentence, or to dress up as another name.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if seen(letter) {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_unicode());
        }
    }
    shown
}

/// Whether a letter is drawn where it stands: no control character, no odd space, nothing that turns the direction.
fn seen(letter: char) -> bool {
    let hidden = letter.is_control()
        || (letter.is_whitespace() && letter != ' ')
        || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_the_largest_unit_that_fits() {
        let said = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(
            [30, 90, 300, 5400, 7200, 86_400, 172_800].map(said),
            ["30 s", "90 s", "5 min", "90 min", "2 h", "1 day", "2 days"]
        );
    }

    #[test]
    fn what_differs_is_shown_however_long_the_texts_are() {
        let long = "x".repeat(5000);
        let (old, new) = contrast(&format!("{long}a{long}"), &format!("{long}b{long}"));
        assert_ne!(old, new);
        assert!(old.chars().count() < 110);
        let (old, new) = contrast("pay", "pay\u{200b}");
        assert_eq!((old.as_str(), new.as_str()), ("pay", "pay\\u{200b}"));
        let (old, new) = contrast(&long, &format!("{long}y"));
        assert_ne!(old, new);
    }

    #[test]
    fn lists_are_for_reading() {
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(count(1, "attempt"), "1 attempt");
    }
}
