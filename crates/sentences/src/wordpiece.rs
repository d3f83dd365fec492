//! Text to the numbers of its pieces, as uncased BERT has them: clean, lower-case, without accents, split at blanks and signs, each
//! word cut into the longest pieces that the vocabulary has.
//!
//! J. Devlin et al., BERT (2018), and the `tokenization.py` published with it; checked against the reference tokenizer below.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A word longer than this is no word (the reference does the same).
const LONGEST_WORD: usize = 100;

/// The pieces by their text.
#[derive(Debug)]
pub(crate) struct WordPiece {
    pieces: HashMap<String, i64>,
    unknown: i64,
    begin: i64,
    end: i64,
}

/// A vocabulary without what every text needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the vocabulary has no piece `{0}`")]
pub struct NotAVocabulary(pub String);

impl WordPiece {
    pub(crate) fn read(vocabulary: &str) -> Result<Self, NotAVocabulary> {
        let pieces: HashMap<String, i64> = vocabulary.lines().map(str::to_owned).zip(0..).collect();
        let find = |piece: &str| {
            pieces
                .get(piece)
                .copied()
                .ok_or_else(|| NotAVocabulary(piece.to_owned()))
        };
        let (unknown, begin, end) = (find("[UNK]")?, find("[CLS]")?, find("[SEP]")?);
        Ok(Self {
            pieces,
            unknown,
            begin,
            end,
        })
    }

    /// Begin, the pieces, end: at most `longest` numbers in all.
    pub(crate) fn ids(&self, text: &str, longest: usize) -> Vec<i64> {
        let room = longest.saturating_sub(2);
        let mut ids = vec![self.begin];
        let words = Words {
            letters: text
                .nfd()
                .filter(|letter| !is_combining_mark(*letter))
                .flat_map(char::to_lowercase),
            sign: None,
        };
        for word in words {
            if ids.len() > room {
                break;
            }
            self.cut(&word, &mut ids);
        }
        ids.truncate(room + 1);
        ids.push(self.end);
        ids
    }

    /// The longest piece first, then the longest of what is left; a word that cannot be cut is unknown as a whole.
    fn cut(&self, word: &str, ids: &mut Vec<i64>) {
        let before = ids.len();
        let ends: Vec<usize> = word
            .char_indices()
            .map(|(at, letter)| at + letter.len_utf8())
            .collect();
        let mut from = 0;
        while from < word.len() && ends.len() <= LONGEST_WORD {
            let piece = ends.iter().rev().filter(|end| **end > from).find_map(|end| {
                let piece = word.get(from..*end)?;
                let found = if from == 0 {
                    self.pieces.get(piece)
                } else {
                    self.pieces.get(&format!("##{piece}"))
                };
                Some((*end, *found?))
            });
            let Some((end, id)) = piece else { break };
            ids.push(id);
            from = end;
        }
        if from < word.len() {
            ids.truncate(before);
            ids.push(self.unknown);
        }
    }
}

/// Words and signs, one after the other.
struct Words<I> {
    letters: I,
    /// Ended the word before.
    sign: Option<char>,
}

impl<I: Iterator<Item = char>> Iterator for Words<I> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if let Some(sign) = self.sign.take() {
            return Some(sign.to_string());
        }
        let mut word = String::new();
        for letter in self.letters.by_ref() {
            if is_sign(letter) {
                if word.is_empty() {
                    return Some(letter.to_string());
                }
                self.sign = Some(letter);
                break;
            }
            if letter.is_whitespace() {
                if word.is_empty() {
                    continue;
                }
                break;
            }
            if !letter.is_control()
                && !matches!(letter, '\u{fffd}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
            {
                word.push(letter);
            }
        }
        if word.is_empty() && self.sign.is_some() {
            return self.next();
        }
        Some(word).filter(|word| !word.is_empty())
    }
}

/// Stands for itself: punctuation, and each Chinese character.
fn is_sign(letter: char) -> bool {
    letter.is_ascii_punctuation()
        || matches!(
            letter,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}'
        )
        || matches!(letter, '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}')
        || matches!(letter, '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
        || matches!(letter, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> WordPiece {
        WordPiece::read(include_str!(
            "../../../services/classifier/models/minilm.vocab.txt"
        ))
        .unwrap()
    }

    /// Numbers by Hugging Face's tokenizer of `all-MiniLM-L6-v2`.
    #[test]
    fn texts_are_cut_as_the_reference_cuts_them() {
        let pieces = pieces();
        for (text, ids) in [
            ("I can't log in!", vec![1045, 2064, 1005, 1056, 8833, 1999, 999]),
            (
                "Ich habe mein Passwort f\u{fc}r das ERP-System vergessen",
                vec![
                    22564, 5292, 4783, 24182, 3413, 12155, 5339, 6519, 8695, 9413, 2361, 1011, 2291, 16079,
                    14416,
                ],
            ),
            (
                "mot de passe oubli\u{e9} \u{2013} merci d'avance",
                vec![
                    9587, 2102, 2139, 3413, 2063, 15068, 16558, 2666, 1516, 21442, 6895, 1040, 1005, 10927,
                    5897,
                ],
            ),
            (
                "\u{6253}\u{5370}\u{673a}\u{574f}\u{4e86} help",
                vec![100, 100, 100, 100, 100, 2393],
            ),
            (
                "\u{17b}\u{f3}\u{142}w \u{142}\u{f3}d\u{17a} \u{f1}and\u{fa}",
                vec![1062, 2080, 18818, 2860, 17814, 16660, 8566],
            ),
            (
                "unbelievablylongcompoundword",
                vec![4895, 8671, 2666, 3567, 6321, 10052, 9006, 6873, 8630, 18351],
            ),
            ("hi\u{200b}dden", vec![5023]),
            ("\u{1f642} thanks", vec![100, 4283]),
            ("", vec![]),
        ] {
            let whole: Vec<i64> = [vec![101], ids, vec![102]].concat();
            assert_eq!(pieces.ids(text, 112), whole, "{text}");
        }
        assert_eq!(pieces.ids(&"x".repeat(120), 112), [101, 100, 102]);
    }

    #[test]
    fn a_vocabulary_without_its_marks_is_none() {
        assert_eq!(
            WordPiece::read("a\nb").unwrap_err(),
            NotAVocabulary("[UNK]".to_owned())
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_longer_than_asked_or_makes_it_panic(text in ".{0,400}", longest in 2_usize..60) {
            let ids = pieces().ids(&text, longest);
            proptest::prop_assert!(ids.len() <= longest);
            proptest::prop_assert_eq!((ids.first(), ids.last()), (Some(&101), Some(&102)));
        }
    }
}
