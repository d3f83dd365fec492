//! A text as plain lower-case words with their many spellings folded into one, so that phrases match however they were typed.

/// The words of a text, surrounded and separated by single blanks: ` i cannot log in `.
pub(crate) struct Words(String);

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let mut plain = String::with_capacity(text.len() + 2);
        plain.push(' ');
        for letter in text.chars().flat_map(char::to_lowercase) {
            match letter {
                // "can't" and "cant" are one word; so are the typographic forms.
                '\'' | '\u{2019}' | '\u{2018}' | '`' | '\u{b4}' => {}
                letter if letter.is_alphanumeric() => plain.push(letter),
                _ if plain.ends_with(' ') => {}
                _ => plain.push(' '),
            }
        }
        if !plain.ends_with(' ') {
            plain.push(' ');
        }
        Self(fold(plain))
    }

    pub(crate) fn followed_by(&self, other: &Self) -> Self {
        Self(format!("{}{}", self.0, other.0.trim_start()))
    }

    /// Whether `phrase` (plain lower-case words) occurs as whole words.
    pub(crate) fn has(&self, phrase: &str) -> bool {
        self.0.match_indices(phrase).any(|(at, found)| {
            let before = self.0.get(..at).is_some_and(|text| text.ends_with(' '));
            let after = self
                .0
                .get(at + found.len()..)
                .is_some_and(|text| text.starts_with(' '));
            before && after
        })
    }

    pub(crate) fn has_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.has(phrase))
    }

    /// Whether one of `first` comes with one of `then` among the next `within` words: "ignore all of your earlier rules".
    pub(crate) fn has_soon(&self, first: &[&str], within: usize, then: &[&str]) -> bool {
        let words: Vec<&str> = self.iter().collect();
        words.iter().enumerate().any(|(at, word)| {
            let mut next = words.iter().skip(at + 1).take(within);
            first.contains(word) && next.any(|word| then.contains(word))
        })
    }

    /// "cannot login to the travel site": a system with accounts of its own, unlike "to my computer".
    pub(crate) fn names_a_place_to_sign_in(&self) -> bool {
        const FILLERS: [&str; 6] = ["to", "into", "in", "my", "the", "our"];
        const OWN: [&str; 14] = [
            "computer",
            "laptop",
            "pc",
            "windows",
            "account",
            "work",
            "system",
            "machine",
            "desktop",
            "network",
            "workstation",
            "notebook",
            "mac",
            "profile",
        ];
        let mut words = self.iter().skip_while(|word| *word != "login").skip(1).peekable();
        words.next_if(|word| matches!(*word, "to" | "into")).is_some()
            && words
                .find(|word| !FILLERS.contains(word))
                .is_some_and(|place| !OWN.contains(&place))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_whitespace()
    }
}

/// The many ways to write the same few words.
fn fold(text: String) -> String {
    const SAME: [(&str, &str); 18] = [
        (" can not ", " cannot "),
        (" cant ", " cannot "),
        (" could not ", " cannot "),
        (" couldnt ", " cannot "),
        (" unable to ", " cannot "),
        (" not able to ", " cannot "),
        (" am not being able to ", " cannot "),
        (" not possible to ", " cannot "),
        (" pasword ", " password "),
        (" passwort ", " password "),
        (" passwd ", " password "),
        (" pwd ", " password "),
        (" kennwort ", " password "),
        (" log in ", " login "),
        (" log on ", " login "),
        (" logon ", " login "),
        (" sign in ", " login "),
        (" signin ", " login "),
    ];
    SAME.iter().fold(text, |text, (from, to)| {
        if text.contains(from) {
            text.replace(from, to)
        } else {
            text
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_fold_into_one() {
        for text in [
            "I can't log in!",
            "i cant login",
            "I can\u{2019}t  sign-in",
            "I CAN NOT LOG ON",
        ] {
            assert!(Words::of(text).has("cannot login"), "{text}");
        }
    }

    #[test]
    fn two_words_are_near_each_other_in_their_order_only() {
        let near = |text: &str| Words::of(text).has_soon(&["skip", "omit"], 4, &["proof"]);
        assert!(near("please skip the proof") && near("omit, this once, the PROOF!"));
        assert!(!near("a proof to skip") && !near("skip one two three four proof") && !near("skip"));
    }

    #[test]
    fn a_phrase_is_found_as_whole_words_only() {
        assert!(!Words::of("pineapple").has("pin"));
        assert!(Words::of("my pin.").has("pin"));
        assert!(!Words::of("").has("pin"));
    }
}
