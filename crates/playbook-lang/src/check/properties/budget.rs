//! The budget against brute force: every path, its time added up by hand.

use proptest::prelude::*;

use super::model::{self, Block, Direction, Flat, blocks};
use crate::check::check_calling;
use crate::findings::code;

/// The longest way from a spot to any end of its playbook or branch. Only for what leads forward.
fn longest(flat: &Flat, spot: usize) -> u64 {
    let here = &flat.spots[spot];
    let own = match &here.fork {
        Some((_, firsts)) => firsts.iter().map(|first| longest(flat, *first)).max().unwrap(),
        None => here.seconds,
    };
    let onward = here.edges.iter().map(|(_, to)| longest(flat, *to)).max();
    own + onward.unwrap_or_default()
}

/// As [`longest`], entering each step twice at most.
fn longest_with_loops(flat: &Flat, spot: usize, visits: &mut Vec<u32>) -> u64 {
    let here = &flat.spots[spot];
    let bounded = !here.edges.is_empty();
    if bounded && visits[spot] == 2 {
        return 0;
    }
    visits[spot] += 1;
    let onward = here
        .edges
        .iter()
        .map(|(_, to)| longest_with_loops(flat, *to, visits))
        .max();
    visits[spot] -= 1;
    here.seconds + onward.unwrap_or_default()
}

/// Whether a playbook of this budget is said to take too long.
fn over(block: &Block, direction: Direction, seconds: u64) -> bool {
    let head = format!("budget: {seconds}\n");
    let written = model::written(block, direction, &head);
    check_calling(&written.source, &model::registry(), &written.shelf)
        .findings
        .iter()
        .any(|finding| finding.code == code::OVER_BUDGET)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_longest_way_agrees_with_brute_force_where_there_is_no_loop(block in blocks(4, 2)) {
        let flat = model::written(&block, Direction::Forward, "").flat;
        let seconds = longest(&flat, flat.start);
        prop_assume!(seconds > 1);
        prop_assert!(!over(&block, Direction::Forward, seconds));
        prop_assert!(over(&block, Direction::Forward, seconds - 1));
    }

    #[test]
    fn no_way_round_a_loop_takes_longer_than_is_said(block in blocks(4, 0)) {
        let flat = model::written(&block, Direction::Anywhere, "").flat;
        let seconds = longest_with_loops(&flat, flat.start, &mut vec![0; flat.spots.len()]);
        prop_assume!(seconds > 1);
        prop_assert!(over(&block, Direction::Anywhere, seconds - 1));
    }
}
