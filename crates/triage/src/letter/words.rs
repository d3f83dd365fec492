//! Words without case and punctuation.

/// The words of a text: runs of letters and digits, in lower case.
pub(super) fn of(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| word.replace('’', "'").to_lowercase())
}

/// Whether the first words of a text are those of another, which has some.
pub(super) fn begins_with(text: &str, start: &str) -> bool {
    let mut all = of(text);
    let mut any = false;
    for word in of(start) {
        any = true;
        if all.next().as_deref() != Some(word.as_str()) {
            return false;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_punctuation_do_not_make_another_text() {
        assert!(begins_with("VPN: not working!! since 9.", "vpn not working"));
        assert!(!begins_with("vpnclient is slow", "vpn"));
        assert!(!begins_with("anything", " - "));
        assert!(!begins_with("vpn", "vpn not working"));
    }
}
