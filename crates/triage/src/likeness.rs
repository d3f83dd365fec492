//! How like a text is to the examples of a playbook: overlap of words and of neighbouring word pairs (Dice).

use std::collections::BTreeSet;

use crate::phrase::Words;

/// The greatest likeness, 0 to 1, of a whole ticket to any example.
///
/// The whole of it, for a subject alone says little: "Cannot log on" stands over what turns out to be a network that is down.
pub fn likeness(text: &str, examples: &[String]) -> f64 {
    let text = shape(&Words::of(text));
    examples
        .iter()
        .map(|example| dice(&text, &shape(&Words::of(example))))
        .fold(0.0, f64::max)
}

type Shape<'a> = BTreeSet<(&'a str, &'a str)>;

fn shape(words: &Words) -> BTreeSet<(String, String)> {
    let words: Vec<&str> = words.iter().collect();
    let singles: Shape<'_> = words.iter().map(|word| (*word, "")).collect();
    let pairs: Shape<'_> = words.iter().copied().zip(words.iter().copied().skip(1)).collect();
    singles
        .union(&pairs)
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "sets of some hundred words")]
fn dice(a: &BTreeSet<(String, String)>, b: &BTreeSet<(String, String)>) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    2.0 * a.intersection(b).count() as f64 / (a.len() + b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ticket_says_beside_an_example_makes_it_less_like_it() {
        let examples = ["Print job is stuck in the queue".to_owned()];
        assert!((likeness("print job is STUCK in the queue!", &examples) - 1.0).abs() < f64::EPSILON);
        let more = "Print job is stuck in the queue\nNo, the guest network of the canteen is gone since noon";
        assert!(likeness(more, &examples) < 0.6);
        assert!(likeness("", &examples).abs() < f64::EPSILON);
        assert!(likeness("print job", &[]).abs() < f64::EPSILON);
    }
}
