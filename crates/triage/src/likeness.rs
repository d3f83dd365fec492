//! How like a text is to the examples of a playbook: overlap of words and of neighbouring word pairs (Dice).

use std::collections::BTreeSet;

use crate::phrase::Words;

/// The greatest likeness, 0 to 1, of the subject alone or of the whole ticket to any example.
pub fn likeness(subject: &str, text: &str, examples: &[String]) -> f64 {
    let subject = Words::of(subject);
    let (summary, all) = (shape(&subject), shape(&subject.followed_by(&Words::of(text))));
    examples
        .iter()
        .map(|example| {
            let example = shape(&Words::of(example));
            dice(&summary, &example).max(dice(&all, &example))
        })
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
