//! Characters: those that show nothing, those that look like others, and runs that are no words.

use unicode_normalization::UnicodeNormalization;

/// A text, and whether it was longer.
pub(super) struct Cut {
    pub(super) text: String,
    pub(super) truncated: bool,
}

/// The first `most` characters.
pub(super) fn cut(mut text: String, most: usize) -> Cut {
    let end = text.char_indices().nth(most).map(|(end, _)| end);
    if let Some(end) = end {
        text.truncate(end);
        text.truncate(text.trim_end().len());
    }
    Cut {
        text,
        truncated: end.is_some(),
    }
}

/// A run of base64 or hexadecimal digits this long is no word of any language.
const LONGEST_WORD: usize = 64;

/// Text in visible characters: compatibility forms folded (full-width and styled letters are the plain ones),
/// every kind of white space a space or a line end, images and encoded files left out.
pub(super) fn text(raw: &str) -> String {
    let folded: String = lines_unified(raw).nfkc().filter(|c| !is_invisible(*c)).collect();
    let mut out = String::with_capacity(folded.len());
    let mut encoded = false;
    for line in folded.split('\n') {
        let line = without_references(line);
        // The last line of an encoded file is a short one.
        let was_encoded = std::mem::take(&mut encoded);
        let mut kept = 0_usize;
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            if is_encoded(word) || (was_encoded && kept == 0 && word.ends_with('=')) {
                encoded = true;
                continue;
            }
            if kept > 0 {
                out.push(' ');
            }
            kept += 1;
            out.push_str(word);
        }
        if kept > 0 || !encoded {
            out.push('\n');
        }
    }
    out
}

/// Without lines that only rule, without blank lines at either end or in a row.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            blank = true;
        } else if !is_rule(line) {
            if !out.is_empty() {
                out.push_str(if blank { "\n\n" } else { "\n" });
            }
            blank = false;
            out.push_str(line);
        }
    }
    out
}

/// Whether a text has characters that show nothing and have no honest use between the letters of a word: those
/// that turn its direction, that carry hidden letters, and zero-width ones that split a Latin word.
pub(super) fn is_disguised(text: &str) -> bool {
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let splits = is_zero_width(c)
            && before.is_ascii_alphabetic()
            && chars.peek().is_some_and(char::is_ascii_alphabetic);
        if splits || matches!(c, '\u{202D}' | '\u{202E}' | '\u{E0020}'..='\u{E007E}') && !is_emoji(before) {
            return true;
        }
        before = c;
    }
    false
}

/// Flags of regions are spelled with tag characters after a black flag.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1F3F4}' | '\u{E0020}'..='\u{E007F}')
}

fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{034F}' | '\u{180E}')
}

fn lines_unified(raw: &str) -> impl Iterator<Item = char> + '_ {
    let mut chars = raw.chars().peekable();
    std::iter::from_fn(move || {
        let c = chars.next()?;
        Some(match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                '\n'
            }
            '\n' | '\u{0B}' | '\u{0C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
            c if c.is_whitespace() || c == '\u{2800}' => ' ',
            c => c,
        })
    })
    .filter(|c| !is_invisible(*c))
}

/// Characters that show nothing, but for the space and the line end.
fn is_invisible(c: char) -> bool {
    match c {
        '\n' => false,
        // Joiners, fillers, marks of direction, selectors of a glyph, notes between the lines, hidden letters.
        '\u{AD}'
        | '\u{034F}'
        | '\u{061C}'
        | '\u{115F}'..='\u{1160}'
        | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}' => true,
        c => c.is_control(),
    }
}

fn is_encoded(word: &str) -> bool {
    word.len() >= LONGEST_WORD
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'))
}

fn is_rule(line: &str) -> bool {
    line.len() >= 3
        && line
            .chars()
            .all(|c| matches!(c, '*' | '=' | '_' | '-' | '~' | '#' | '+' | '|' | '─' | '—'))
}

/// Leave out `[cid:...]`, `<file:///...>`, `[image001.png]`, `<https://...>` behind a word that already says it,
/// and `data:` addresses with all they hold.
fn without_references(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut square = Closing {
        bracket: ']',
        left: None,
    };
    let mut angle = Closing {
        bracket: '>',
        left: None,
    };
    while let Some(at) = rest.find(['[', '<', ':']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let behind = match from.as_bytes().first() {
            Some(b'[') => square.behind_reference(from),
            Some(b'<') => angle.behind_reference(from),
            _ => behind_data(&mut out, from),
        };
        rest = behind.unwrap_or_else(|| {
            out.push_str(from.get(..1).unwrap_or_default());
            from.get(1..).unwrap_or_default()
        });
    }
    out.push_str(rest);
    out
}

/// The next closing bracket of a kind, looked for once however many open before it.
struct Closing {
    bracket: char,
    /// How many bytes are left of the line at that bracket: none where no bracket closes.
    left: Option<usize>,
}

impl Closing {
    /// What follows a reference in brackets.
    fn behind_reference<'a>(&mut self, from: &'a str) -> Option<&'a str> {
        if self.left.is_none_or(|left| left > from.len()) {
            self.left = Some(from.find(self.bracket).map_or(0, |at| from.len() - at));
        }
        let end = from.len() - self.left.filter(|left| *left > 0)?;
        is_reference(from.get(1..end)?).then(|| from.get(end + 1..))?
    }
}

/// What follows a `data:` address, whose scheme stands at the end of the text so far and is taken off it.
fn behind_data<'a>(out: &mut String, from: &'a str) -> Option<&'a str> {
    const LONGEST_TYPE: usize = 100;
    let text = strip_suffix_ignoring_case(out, "data")?.len();
    let after = from.get(1..)?;
    let ends = |byte: u8| matches!(byte, b',' | b' ' | b'"' | b'\'' | b')' | b'>');
    let kind = after.bytes().take(LONGEST_TYPE).position(ends)?;
    if !after.get(kind..)?.starts_with(',') || !after.get(..kind)?.contains('/') {
        return None;
    }
    let address = after.split([' ', '"', '\'', ')', '>']).next()?;
    out.truncate(text);
    after.get(address.len()..)
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (start, end) = text.split_at_checked(at)?;
    end.eq_ignore_ascii_case(suffix).then_some(start)
}

fn is_reference(inside: &str) -> bool {
    const STARTS: [&str; 9] = [
        "cid:",
        "file:",
        "http://",
        "https://",
        "mailto:",
        "tel:",
        "data:",
        "image:",
        "inline image",
    ];
    const IMAGES: [&str; 7] = [".png", ".jpg", ".jpeg", ".gif", ".bmp", ".svg", ".emz"];
    const LONGEST_NAME: usize = 100;
    let begins = |start: &&str| {
        inside
            .get(..start.len())
            .is_some_and(|is| is.eq_ignore_ascii_case(start))
    };
    if STARTS.iter().any(begins) {
        return true;
    }
    inside.len() <= LONGEST_NAME && !inside.contains(' ') && {
        let inside = inside.to_ascii_lowercase();
        IMAGES.iter().any(|ending| inside.ends_with(ending))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invisible_characters_do_not_split_words() {
        assert_eq!(
            text("pass\u{200B}wo\u{AD}rd re\u{2060}set\u{E0041}").trim(),
            "password reset"
        );
        assert_eq!(text("\u{202E}reset\u{202C} \u{FEFF}vpn\u{7}").trim(), "reset vpn");
    }

    #[test]
    fn look_alikes_of_the_compatibility_forms_are_plain_letters() {
        assert_eq!(text("𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝 ｒｅｓｅｔ ﬁle").trim(), "password reset file");
    }

    #[test]
    fn emoji_and_right_to_left_text_stay() {
        assert_eq!(text("Drucker kaputt 😡🖨\u{FE0F}").trim(), "Drucker kaputt 😡🖨");
        assert_eq!(text("نسيت كلمة المرور").trim(), "نسيت كلمة المرور");
        assert_eq!(text("שכחתי את הסיסמה").trim(), "שכחתי את הסיסמה");
    }

    #[test]
    fn line_ends_and_spaces_of_every_kind_are_one_kind() {
        assert_eq!(text("a\r\nb\rc\u{2028}d\te\u{A0}\u{A0}f"), "a\nb\nc\nd e f\n");
    }

    #[test]
    fn images_and_files_are_left_out() {
        assert_eq!(text("see [cid:image001.png@01DA] here").trim(), "see here");
        assert_eq!(
            text("look <file:///C:/Users/x/a.txt> [image001.png]").trim(),
            "look"
        );
        assert_eq!(
            text("pic data:image/png;base64,iVBORw0KGgo= end").trim(),
            "pic end"
        );
        assert_eq!(
            text("portal<https://portal.example/x?y=1> down").trim(),
            "portal down"
        );
        assert_eq!(
            text("from <anna@example.com> [urgent] data: none").trim(),
            "from <anna@example.com> [urgent] data: none"
        );
    }

    #[test]
    fn encoded_runs_are_left_out_with_their_last_line() {
        let run = "QUJD".repeat(19);
        assert_eq!(
            fold(&text(&format!("log:\n{run}\n{run}\nQUI=\nthat is all"))),
            "log:\nthat is all"
        );
        assert_eq!(
            text("Donaudampfschifffahrtsgesellschaft").trim(),
            "Donaudampfschifffahrtsgesellschaft"
        );
    }

    #[test]
    fn blank_lines_and_rules_are_folded() {
        assert_eq!(fold("\n\n a \n\n\n*****\n\nb\nc\n____\n"), "a\n\nb\nc");
    }

    #[test]
    fn a_disguise_is_told_from_honest_joiners() {
        assert!(is_disguised("pass\u{200B}word"));
        assert!(is_disguised("ab\u{202E}cd"));
        assert!(is_disguised("hi\u{E0041}\u{E0042}"));
        assert!(!is_disguised("👨\u{200D}👩\u{200D}👧 می\u{200C}خواهم"));
        assert!(!is_disguised(
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}"
        ));
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(raw in any::<String>()) {
            let once = fold(&text(&raw));
            prop_assert_eq!(fold(&text(&once)), once.clone());
            prop_assert!(once.chars().all(|c| c == '\n' || !is_invisible(c)));
        }

        #[test]
        fn a_cut_text_is_a_start_of_it(raw in any::<String>(), most in 0_usize..40) {
            let Cut { text, truncated } = cut(raw.clone(), most);
            prop_assert!(raw.starts_with(&text));
            prop_assert!(text.chars().count() <= most);
            prop_assert_eq!(truncated, raw.chars().count() > most);
        }
    }
}
