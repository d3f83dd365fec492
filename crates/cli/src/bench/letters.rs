//! Texts for the gate, as varied and as doubtful as real ones. The shipped head has learned the corpus by heart, so a ticket of
//! it would cost next to nothing: each text here is of two tickets that do not belong together.

use triage::labelled::Labelled;

/// Partners of each ticket are so far away from it; the files are in the order of their writers.
const APART: [usize; 4] = [157, 311, 463, 619];

/// Subjects with their bodies: in turn one of which words leave doubt and one that they tell, as it is among real tickets
/// (`docs/decisions/0065-embedded-head.md`). The same for the same tickets.
pub(super) fn letters(
    tickets: &[Labelled],
    leaves_doubt: impl Fn(&str, &str) -> bool,
) -> Vec<(String, String)> {
    let all = APART.iter().flat_map(|apart| mixed(tickets, *apart));
    let (doubtful, plain): (Vec<_>, Vec<_>) = all.partition(|(subject, body)| leaves_doubt(subject, body));
    let in_turn = doubtful.into_iter().zip(plain);
    in_turn.flat_map(|(doubtful, plain)| [doubtful, plain]).collect()
}

fn mixed(tickets: &[Labelled], apart: usize) -> impl Iterator<Item = (String, String)> {
    let partners = tickets.iter().cycle().skip(apart);
    tickets.iter().zip(partners).map(|(one, other)| {
        let body = format!("{}\n{}", half(&one.body).0, half(&other.body).1);
        (other.subject.clone(), body)
    })
}

/// A text in two, at the space that is nearest behind its middle.
fn half(text: &str) -> (&str, &str) {
    let middle = text.len() / 2;
    let space = text
        .char_indices()
        .find(|(at, sign)| *at >= middle && sign.is_whitespace());
    space.map_or((text, ""), |(at, _)| text.split_at(at))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use classifier::embedded::corpus;

    use super::*;

    #[test]
    fn every_second_letter_is_doubtful_and_none_stands_in_the_corpus() {
        let tickets = corpus::held_out_as_written().unwrap();
        let doubtful = |subject: &str, body: &str| (subject.len() + body.len()).is_multiple_of(3);
        let letters = letters(&tickets, doubtful);
        assert!(letters.len() > 2000, "{}", letters.len());
        for (turn, (subject, body)) in letters.iter().enumerate() {
            assert_eq!(doubtful(subject, body), turn % 2 == 0, "{turn}");
        }
        let known: HashSet<&str> = tickets.iter().map(|ticket| ticket.body.as_str()).collect();
        assert!(letters.iter().all(|(_, body)| !known.contains(body.as_str())));
    }

    #[test]
    fn a_text_is_cut_at_a_space_and_nothing_of_it_is_lost() {
        assert_eq!(half("my password is gone"), ("my password", " is gone"));
        assert_eq!(half("Passwörter"), ("Passwörter", ""));
        assert_eq!(half(""), ("", ""));
    }
}
