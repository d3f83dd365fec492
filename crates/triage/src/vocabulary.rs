//! Which features count, and how much each tells: what occurs in every ticket tells little (inverse document frequency).

use std::collections::BTreeMap;

use crate::features::Features;
use crate::linear::Row;

/// A feature of a single ticket teaches nothing about others.
const SEEN_AT_LEAST: u32 = 2;

/// The features that are weighed, by their numbers in ascending order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Vocabulary {
    buckets: Vec<u32>,
    rarity: Vec<f32>,
}

impl Vocabulary {
    /// As it was stored; `None` where it is not in order.
    pub(crate) fn from_parts(buckets: Vec<u32>, rarity: Vec<f32>) -> Option<Self> {
        let fits = buckets.len() == rarity.len() && buckets.is_sorted_by(|a, b| a < b);
        (fits && rarity.iter().all(|rarity| rarity.is_finite())).then_some(Self { buckets, rarity })
    }

    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a Features>) -> Self {
        let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
        let mut all = 0_u32;
        for text in texts {
            all += 1;
            text.distinct()
                .for_each(|feature| *seen.entry(feature).or_default() += 1);
        }
        let counted = seen.into_iter().filter(|(_, times)| *times >= SEEN_AT_LEAST);
        let (buckets, rarity) = counted
            .map(|(bucket, times)| (bucket, rarity(all, times)))
            .unzip();
        Self { buckets, rarity }
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(crate) fn buckets(&self) -> &[u32] {
        &self.buckets
    }

    pub(crate) fn rarities(&self) -> &[f32] {
        &self.rarity
    }

    /// The features of a text that are known here, words and pieces each scaled to a length of one, so that a long ticket does not
    /// shout a short one down.
    pub(crate) fn row(&self, text: &Features) -> Row {
        let mut row = self.scaled(&text.words);
        row.extend(self.scaled(&text.pieces));
        row
    }

    fn scaled(&self, counts: &BTreeMap<u32, u32>) -> Row {
        let mut row: Row = counts
            .iter()
            .filter_map(|(bucket, times)| {
                let at = self.buckets.binary_search(bucket).ok()?;
                Some((at, (1.0 + as_f32(*times).ln()) * self.rarity.get(at)?))
            })
            .collect();
        let length = row.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            for (_, value) in &mut row {
                *value /= length;
            }
        }
        row
    }
}

/// Smoothed, as if one more ticket held every feature.
fn rarity(all: u32, times: u32) -> f32 {
    ((1.0 + as_f32(all)) / (1.0 + as_f32(times))).ln() + 1.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of words and tickets")]
fn as_f32(count: u32) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_tells_more_and_what_came_once_tells_nothing() {
        let texts = ["printer jam", "printer toner", "printer jam again"].map(|text| Features::of("", text));
        let vocabulary = Vocabulary::of(&texts);
        let alone = |word: &str| {
            vocabulary.row(&Features {
                pieces: BTreeMap::new(),
                ..Features::of("", word)
            })
        };
        assert_eq!(alone("toner"), []);
        let rarity = |word: &str| vocabulary.rarity[alone(word)[0].0];
        assert!(rarity("jam") > rarity("printer"));
        assert!((alone("jam")[0].1 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn parts_out_of_order_are_refused() {
        assert!(Vocabulary::from_parts(vec![2, 1], vec![1.0, 1.0]).is_none());
        assert!(Vocabulary::from_parts(vec![1, 1], vec![1.0, 1.0]).is_none());
        assert!(Vocabulary::from_parts(vec![1, 2], vec![1.0]).is_none());
    }
}
