//! Author text on its way into a picture: cleaned, escaped, measured, cut to fit.

/// No text is looked at beyond this; whatever does not fit a box is cut long before.
const LONGEST: usize = 1000;

/// One line without control characters, without what XML cannot hold and without what turns the reading direction around
/// (a name must not be able to dress up as another one).
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .take(LONGEST)
        .map(|letter| match letter {
            letter if letter.is_whitespace() => ' ',
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => '\u{fffd}',
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect()
}

/// [`clean`], and safe in XML text and in attributes with either quote.
pub(crate) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in clean(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// How wide a font draws it, in parts of the font's size. Nobody knows the viewer's font, so these are on the wide side
/// of the usual sans-serif ones.
fn breadth(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | '\'' | '.' | ',' | ':' | ';' | '|' | '!' | ' ' => 0.32,
        'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '-' | '/' | '"' | '`' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.98,
        '_' => 0.53,
        'A'..='Z' => 0.72,
        letter if letter.is_ascii() => 0.62,
        '\u{0300}'..='\u{036f}' => 0.0,
        '\u{00a0}'..='\u{10ff}' => 0.7,
        _ => 1.05,
    }
}

/// The width of a line at this font size, roughly and rather too much.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(breadth).sum::<f64>() * size
}

/// As much of it as fits, with an ellipsis where that is not all.
pub(crate) fn fit(text: &str, size: f64, room: f64) -> String {
    let text = clean(text);
    let text = text.trim();
    if width(text, size) <= room {
        return text.to_owned();
    }
    let room = room - size;
    let mut used = 0.0;
    let kept: String = text
        .chars()
        .take_while(|letter| {
            used += breadth(*letter) * size;
            used <= room
        })
        .collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// In at most so many lines, broken between words; what does not fit is cut with an ellipsis.
pub(crate) fn wrap(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let text = clean(text);
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    let mut lines = Vec::new();
    while lines.len() + 1 < most && words.peek().is_some() {
        let mut line = String::new();
        while let Some(word) = words.peek() {
            let longer = if line.is_empty() {
                (*word).to_owned()
            } else {
                format!("{line} {word}")
            };
            if !line.is_empty() && width(&longer, size) > room {
                break;
            }
            line = longer;
            words.next();
        }
        lines.push(fit(&line, size, room));
    }
    if words.peek().is_some() {
        lines.push(fit(&words.collect::<Vec<_>>().join(" "), size, room));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_text() {
        assert_eq!(xml("<a b=\"1\">&'"), "&lt;a b=&quot;1&quot;&gt;&amp;&#39;");
        assert_eq!(
            clean("a\nb\u{0}c\u{202e}d\u{ffff}"),
            "a b\u{fffd}c\u{fffd}d\u{fffd}"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        assert_eq!(fit("short", 10.0, 100.0), "short");
        let cut = fit(&"x".repeat(10_000), 10.0, 100.0);
        assert!(cut.ends_with('\u{2026}') && width(&cut, 10.0) <= 102.0);
        let lines = wrap("one two three four five six seven", 10.0, 70.0, 2);
        assert_eq!(lines, ["one two", "three four f\u{2026}"]);
        assert!(wrap("", 10.0, 70.0, 2).is_empty());
    }
}
