//! Tickets in parts of which each is measured by what was learnt from the others.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use crate::labelled::Labelled;

/// For each ticket the fold that it is tested in, 0 to `folds - 1`.
///
/// Each kind is spread evenly, and tickets that say the same in letters and digits stay together: what was learnt by
/// heart is not to be mistaken for what was understood. The same tickets are split the same way in whatever order.
pub fn split(tickets: &[Labelled], folds: usize) -> Vec<usize> {
    let texts: Vec<[u8; 32]> = tickets.iter().map(text).collect();
    // One ticket speaks for all that say the same; where their labels differ, the first kind does.
    let mut groups: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    for (ticket, text) in tickets.iter().zip(&texts) {
        let kind = ticket.kind.index();
        let of_group = groups.entry(*text).or_insert(kind);
        *of_group = (*of_group).min(kind);
    }
    let mut dealt: HashMap<usize, usize> = HashMap::new();
    let mut fold_of: HashMap<[u8; 32], usize> = HashMap::new();
    for (text, kind) in groups {
        // Each kind begins at another fold, so that the odd ones do not all fall into the first.
        let next = dealt.entry(kind).or_insert(kind);
        fold_of.insert(text, *next % folds.max(1));
        *next += 1;
    }
    texts
        .iter()
        .map(|text| fold_of.get(text).copied().unwrap_or_default())
        .collect()
}

fn text(ticket: &Labelled) -> [u8; 32] {
    let letters = |text: &str| -> String {
        text.chars()
            .filter(|letter| letter.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let mut hash = Sha256::new();
    hash.update(letters(&ticket.subject));
    hash.update(letters(&ticket.body));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Kind;

    fn ticket(body: &str, kind: Kind) -> Labelled {
        Labelled {
            id: None,
            subject: String::new(),
            body: body.to_owned(),
            kind,
            automatable: None,
            row: 1,
        }
    }

    #[test]
    fn what_says_the_same_is_never_both_learnt_and_tested() {
        let tickets: Vec<Labelled> = (0..40)
            .map(|number| ticket(&format!("Printer {} is jammed!", number / 2), Kind::Printer))
            .collect();
        let folds = split(&tickets, 5);
        assert!(folds.chunks(2).all(|pair| pair[0] == pair[1]), "{folds:?}");
        let shouted = ticket("PRINTER 3 IS JAMMED", Kind::Printer);
        assert_eq!(
            split(&[tickets[6].clone(), shouted], 5)[0],
            split(&tickets[6..8], 5)[1]
        );
    }

    proptest! {
        #[test]
        fn every_kind_is_spread_evenly_in_whatever_order(
            bodies in prop::collection::hash_set("[a-z]{8}", 20..80), folds in 2_usize..8
        ) {
            let tickets: Vec<Labelled> = bodies
                .iter()
                .enumerate()
                .map(|(index, body)| ticket(body, Kind::ALL[index % 3]))
                .collect();
            let split_up = split(&tickets, folds);
            for kind in &Kind::ALL[..3] {
                let count = |fold: usize| {
                    let here = tickets.iter().zip(&split_up);
                    here.filter(|(ticket, of)| ticket.kind == *kind && **of == fold).count()
                };
                let counts: Vec<usize> = (0..folds).map(count).collect();
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{counts:?}");
            }
            let mut turned = tickets.clone();
            turned.reverse();
            let mut split_turned = split(&turned, folds);
            split_turned.reverse();
            prop_assert_eq!(split_up, split_turned);
        }
    }
}
