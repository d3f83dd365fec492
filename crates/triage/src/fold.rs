//! A text as the plain lower-case words that features are made of.

/// The words of `text`, separated by single blanks: letters and digits only, apostrophes dropped ("can't" is `cant`),
/// runs of digits as one `0` each (a number says that there is one, not which).
pub(crate) fn fold(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut digits = false;
    for letter in text.chars().flat_map(char::to_lowercase) {
        let digit = letter.is_numeric();
        match letter {
            '\'' | '\u{2019}' | '\u{2018}' | '`' | '\u{b4}' => continue,
            _ if digit && digits => continue,
            _ if digit => plain.push('0'),
            _ if letter.is_alphanumeric() => plain.push(letter),
            _ if plain.ends_with(' ') || plain.is_empty() => {}
            _ => plain.push(' '),
        }
        digits = digit;
    }
    if plain.ends_with(' ') {
        plain.pop();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_numbers_do_not_matter() {
        assert_eq!(
            fold("  I can\u{2019}t  LOG-IN!\n(since 2026-11-02)"),
            "i cant log in since 0 0 0"
        );
        assert_eq!(fold("PC wk-lap-1932: Stra\u{df}e"), "pc wk lap 0 stra\u{df}e");
        assert_eq!(fold("?!"), "");
    }
}
