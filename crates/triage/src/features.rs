//! What of a text is weighed: its words, its pairs of words and the pieces of its words, each by a hash.
//!
//! Words carry the sense; pieces of three to five letters carry it through typos, inflection and compounds ("druckertreiber").
//! Hashing needs no dictionary; two features that share a number blur each other a little, which costs nothing here.

use std::collections::BTreeMap;

use crate::fold::fold;

/// How many numbers features are hashed to.
pub(crate) const BUCKETS: u32 = 1 << 18;
/// Longest text that is looked at, in characters: what is wanted stands before that.
const LONGEST: usize = 4_000;
/// Lengths of the pieces of a word, in letters; its ends count as letters.
const PIECES: std::ops::RangeInclusive<usize> = 3..=5;

/// How often each feature occurs in a text; words and pieces apart, as each group is scaled by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    pub(crate) words: BTreeMap<u32, u32>,
    pub(crate) pieces: BTreeMap<u32, u32>,
}

impl Features {
    /// Of a subject line and a body, of which one may repeat the other.
    pub fn of(subject: &str, body: &str) -> Self {
        let cut = |text: &str| fold(&text.chars().take(LONGEST).collect::<String>());
        let (subject, body) = (cut(subject), cut(body));
        let mut features = Self::default();
        if !body.starts_with(&subject) {
            features.add(&subject);
        }
        features.add(&body);
        features
    }

    /// Every feature once.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = u32> {
        self.words.keys().chain(self.pieces.keys()).copied()
    }

    fn add(&mut self, folded: &str) {
        let mut before: Option<&str> = None;
        for word in folded.split(' ').filter(|word| !word.is_empty()) {
            count(&mut self.words, hash(b'w', &[word]));
            if let Some(before) = before {
                count(&mut self.words, hash(b'p', &[before, word]));
            }
            before = Some(word);
            self.add_pieces(word);
        }
    }

    fn add_pieces(&mut self, word: &str) {
        let letters: Vec<char> = std::iter::once(' ')
            .chain(word.chars())
            .chain(std::iter::once(' '))
            .collect();
        let mut buffer = String::new();
        for length in PIECES {
            for piece in letters.windows(length) {
                buffer.clear();
                buffer.extend(piece);
                count(&mut self.pieces, hash(b'c', &[&buffer]));
            }
        }
    }
}

fn count(counts: &mut BTreeMap<u32, u32>, feature: u32) {
    *counts.entry(feature).or_default() += 1;
}

/// FNV-1a of the group and the parts, each part ended by a byte that no text holds. The same on every machine, for ever: heads
/// are stored by it.
fn hash(group: u8, parts: &[&str]) -> u32 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    let hash = std::iter::once(group)
        .chain(bytes)
        .fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    // The high half depends on all bytes, the low one of FNV less so.
    u32::try_from((hash ^ (hash >> 32)) & u64::from(BUCKETS - 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_the_body_repeats_counts_once() {
        assert_eq!(
            Features::of("Printer jam", "printer jam on floor 3"),
            Features::of("", "printer jam on floor 3")
        );
        assert_ne!(
            Features::of("Printer jam", "on floor 3"),
            Features::of("", "on floor 3")
        );
    }

    #[test]
    fn words_and_neighbours_count_and_a_pair_does_not_reach_over_the_end_of_the_subject() {
        let together = Features::of("", "reset password");
        let apart = Features::of("reset", "password");
        assert_eq!(together.words.len(), 3);
        assert_eq!(apart.words.len(), 2);
    }

    #[test]
    fn hashes_never_change() {
        assert_eq!(hash(b'w', &["password"]), 24_939);
        assert_ne!(hash(b'p', &["ab", "c"]), hash(b'p', &["a", "bc"]));
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_features_within_the_buckets(subject in ".{0,80}", body in ".{0,300}") {
            let features = Features::of(&subject, &body);
            proptest::prop_assert!(features.distinct().all(|feature| feature < BUCKETS));
        }
    }
}
