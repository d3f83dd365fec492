//! Which outputs are certainly there, against brute force.

use std::collections::HashMap;

use proptest::prelude::*;

use super::model::{self, Block, Direction, blocks};
use crate::check::expand::Whole;
use crate::check::graph::Graph;
use crate::check::must::Certain;
use crate::findings::Findings;
use crate::{read, yaml};

fn agree(block: &Block) -> Result<(), TestCaseError> {
    let written = model::written(block, Direction::Anywhere, "");
    let spots = &written.flat.spots;
    if spots.len() > 64 {
        return Err(TestCaseError::reject("too many steps"));
    }
    let mut always: HashMap<usize, u64> = HashMap::new();
    let see = |spot, truth: model::Truth| {
        *always.entry(spot).or_insert(u64::MAX) &= truth.brought();
    };
    let seen = model::explore(&written.flat, true, see, |_| {});
    if seen.is_none() {
        return Err(TestCaseError::reject("too many moments"));
    }

    let registry = model::registry();
    let mut findings = Findings::default();
    let document = read::document(
        yaml::parse(&written.source, &mut findings).unwrap(),
        &mut findings,
    );
    let mut whole = Whole::of(&document, &written.shelf, &mut findings);
    let graph = Graph::of(&mut whole, &registry, &mut findings);
    let node = |spot: usize| graph.find(&spots[spot].id.parse().unwrap());
    let sources: Vec<usize> = (0..spots.len()).filter(|spot| spots[*spot].acts).collect();
    let nodes: Vec<_> = sources.iter().map(|spot| node(*spot).unwrap()).collect();
    let certain = Certain::of(&graph, &nodes);
    for (spot, brought) in always {
        let Some(here) = node(spot) else { continue };
        for (place, source) in sources.iter().enumerate() {
            prop_assert_eq!(
                certain.before(place, here),
                brought & (1 << source) != 0,
                "`{}` before `{}` in\n{}",
                &spots[*source].id,
                &spots[spot].id,
                &written.source
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_certain_agrees_with_brute_force_on_small_graphs(block in blocks(5, 0)) {
        agree(&block)?;
    }

    #[test]
    fn what_is_certain_agrees_with_every_interleaving_and_through_calls(block in blocks(3, 1)) {
        agree(&block)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_certain_agrees_within_nested_branches(block in blocks(2, 2)) {
        agree(&block)?;
    }
}
