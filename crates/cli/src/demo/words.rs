//! Text for a terminal: wrapped, shortened, and with passes and phone numbers masked.

/// The longest text of a card or message that is told.
const LONGEST_QUOTE: usize = 400;

/// In quotation marks, shortened where it is very long.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", shortened(text.trim(), LONGEST_QUOTE))
}

/// Its lines without the blank ones.
pub(super) fn dense(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// The lines of `text`, none wider than `width` where its words allow it.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.trim().lines() {
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines
}

/// The first `longest` characters, and a sign where there were more.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest).chain(['…']).collect()
}

/// `+447700900102` -> `+44•••••102`, as the services write it: always five dots, so that the length tells nothing. For
/// the simulated company, whose country codes have two digits.
pub(super) fn mask_number(number: &str) -> String {
    let characters: Vec<char> = number.chars().collect();
    let (Some(country), Some(last)) = (characters.first_chunk::<3>(), characters.last_chunk::<3>()) else {
        return "•••••".to_owned();
    };
    country.iter().chain(&['•'; 5]).chain(last).collect()
}

/// A pass in a text becomes dots: by its value where the directory still knows it, and by its looks in any case.
pub(super) fn mask_pass(body: &str, passes: &[String]) -> String {
    let known = passes.iter().fold(body.to_owned(), |body, pass| {
        body.replace(pass.as_str(), "••••••••")
    });
    let word = |word: &str| {
        let letters = word.chars().filter(char::is_ascii_alphabetic).count();
        let others = word.chars().filter(|c| !c.is_ascii_alphabetic()).count();
        if word.chars().count() >= 8 && letters > 0 && others > 1 {
            "••••••••".to_owned()
        } else {
            word.to_owned()
        }
    };
    known.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_masked_by_value_and_by_looks() {
        let body = "Your pass is Tb8#kQ2x9 until 14:30, Adele. Details: contoso.";
        let by_value = mask_pass(body, &["Tb8#kQ2x9".to_owned()]);
        let by_looks = mask_pass(body, &[]);
        assert_eq!(
            by_value,
            "Your pass is •••••••• until 14:30, Adele. Details: contoso."
        );
        assert_eq!(by_looks, by_value);
    }

    #[test]
    fn a_number_keeps_its_country_and_its_last_digits() {
        assert_eq!(mask_number("+447700900102"), "+44•••••102");
    }

    #[test]
    fn long_sentences_wrap_between_words() {
        assert_eq!(wrapped("one two three\nfour", 8), ["one two", "three", "four"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
    }
}
