//! The proof against brute force.

use std::collections::BTreeSet;

use common::Outcome;
use proptest::prelude::*;

use super::model::{self, Block, Direction, Flat, Spot, Truth, blocks};
use crate::check::check_calling;
use crate::findings::code;

pub(super) const PROVEN: [&str; 3] = [
    code::UNVERIFIED_PRIVILEGED_STEP,
    code::PRIVILEGED_AFTER_DENIAL,
    code::MISSING_CREDENTIAL,
];

/// The check says exactly what brute force says, and every path that it names is one. Of branches that may be dropped it
/// says at least what brute force sees dropped: there it goes by what is written, whether or not a path comes there.
fn agree(block: &Block) -> Result<(), TestCaseError> {
    let written = model::written(block, Direction::Anywhere, "");
    let Some(wrong) = written.flat.wrong() else {
        return Err(TestCaseError::reject("too many moments"));
    };
    let (lost, wrong): (BTreeSet<_>, BTreeSet<_>) =
        wrong.into_iter().partition(|(_, code)| *code == code::BAD_BRANCH);
    let findings = check_calling(&written.source, &model::registry(), &written.shelf).findings;
    let mut said = BTreeSet::new();
    let mut droppable = BTreeSet::new();
    for finding in &findings {
        if finding.code == code::BAD_BRANCH {
            droppable.insert((finding.step.as_ref().unwrap().to_string(), code::BAD_BRANCH));
        }
        if let Some(code) = PROVEN.into_iter().find(|code| *code == finding.code) {
            let step = finding.step.as_ref().unwrap().to_string();
            replay(&written.flat, &finding.path, code).map_err(|why| {
                TestCaseError::fail(format!("{why} in {:?} of\n{}", finding.path, written.source))
            })?;
            said.insert((step, code));
        }
    }
    prop_assert_eq!(said, wrong, "{}", written.source);
    prop_assert!(
        lost.is_subset(&droppable),
        "{:?} of\n{}",
        lost.difference(&droppable),
        written.source
    );
    Ok(())
}

/// Walk a reported path. What branches add while it stands elsewhere is not on it: there any truth may grow, and that it
/// grows no further than it can is what the agreement is about.
fn replay(flat: &Flat, path: &[String], code: &str) -> Result<(), String> {
    let find = |id: &str| flat.spots.iter().position(|spot| spot.id == id);
    let (first, legs) = path.split_first().ok_or("no path")?;
    let mut here = find(first).ok_or("no such step")?;
    if here != through_calls(flat, flat.start) {
        return Err(format!("`{first}` is not the start"));
    }
    let mut truth = Truth::default();
    // Whether others had a part in it.
    let mut alone = true;
    for leg in legs.chunks(2) {
        let [leg, to] = leg else {
            return Err("half a leg".to_owned());
        };
        let spot = &flat.spots[here];
        let to = find(to).ok_or_else(|| format!("no step `{to}`"))?;
        if leg.starts_with("meanwhile branches.") {
            alone = false;
            if to != here {
                return Err("others led somewhere".to_owned());
            }
        } else if let Some(branch) = leg.strip_prefix("branches.b") {
            let (_, firsts) = spot.fork.as_ref().ok_or("no parallel step")?;
            let first = firsts[branch.parse::<usize>().map_err(|error| error.to_string())?];
            if through_calls(flat, first) != to {
                return Err(format!("`{leg}` does not lead there"));
            }
        } else {
            alone &= spot.fork.is_none();
            let outcome = match leg.as_str() {
                "otherwise" => Outcome::Word("case".to_owned()),
                leg if leg.starts_with("cases.") => Outcome::Word("case".to_owned()),
                leg => Outcome::from(leg.trim_start_matches("on_")),
            };
            let timed_out = outcome == Outcome::Timeout && !leads(flat, spot, &outcome, None);
            let taken = if timed_out { Outcome::Failure } else { outcome };
            if !leads(flat, spot, &taken, Some(to)) {
                return Err(format!("`{leg}` does not lead from `{}` there", spot.id));
            }
            truth = truth.after(spot, here, &taken, false);
        }
        here = to;
    }
    match truth.complaint(&flat.spots[here]) {
        Some(complaint) if complaint == code => Ok(()),
        _ if !alone => Ok(()),
        other => Err(format!("it comes to {other:?}")),
    }
}

fn leads(flat: &Flat, spot: &Spot, outcome: &Outcome, to: Option<usize>) -> bool {
    spot.edges
        .iter()
        .filter(|(known, _)| known == outcome)
        .any(|(_, target)| to.is_none_or(|to| through_calls(flat, *target) == to))
}

/// A call is where what it calls begins.
fn through_calls(flat: &Flat, spot: usize) -> usize {
    match flat.spots[spot].edges.as_slice() {
        [(Outcome::Word(word), first)] if word == "call" => through_calls(flat, *first),
        _ => spot,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_proof_agrees_with_brute_force_on_small_graphs(block in blocks(5, 0)) {
        agree(&block)?;
    }

    #[test]
    fn the_proof_agrees_with_every_interleaving_of_branches_and_through_calls(block in blocks(3, 1)) {
        agree(&block)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_proof_agrees_with_branches_within_branches_and_calls_within_calls(block in blocks(2, 2)) {
        agree(&block)?;
    }
}
