//! One schedule, many of them, or all there are; and the shortest one found that shows what went wrong.

use std::fmt::Write as _;

use super::arena::Arena;
use super::cast::Cast;
use super::choices::{Choice, Choices};
use super::invariants::{self, Violation};
use super::world::{Scene, World};

/// How often a schedule is tried shorter.
const SHORTER: usize = 1_000;

/// How a schedule went.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) violation: Option<Violation>,
    pub(super) made: Vec<Choice>,
    pub(super) trace: Vec<String>,
}

/// Play one schedule: the storm, and the calm after it.
pub(super) fn play(cast: &Cast, scene: &Scene, choices: Choices, told: bool) -> Played {
    let arena = Arena::default();
    let mut world = World::new(cast, &arena, scene, choices, told);
    let mut violation = None;
    for _ in 0..scene.storm {
        if !world.anything() {
            break;
        }
        violation = invariants::after_an_action(&mut world);
        if violation.is_some() {
            break;
        }
    }
    if violation.is_none() {
        world.calm_down();
        world.settle(|world| {
            violation = invariants::after_an_action(world);
            violation.is_some()
        });
        let unsettled = world.ghosts.violation.clone();
        violation = violation.or(unsettled).or_else(|| invariants::at_last(&world));
    }
    Played {
        violation,
        made: std::mem::take(&mut world.choices.made),
        trace: world.trace.take().unwrap_or_default(),
    }
}

/// The first seed of `seeds` whose schedule violates one of `these`, or anything where none are named.
pub(super) fn first_bad(
    cast: &Cast,
    scene: &Scene,
    seeds: std::ops::Range<u64>,
    these: &[&str],
) -> Option<(u64, Played)> {
    seeds.into_iter().find_map(|seed| {
        let played = play(cast, scene, Choices::seeded(seed), false);
        let violation = played.violation.as_ref()?;
        let counts = these.is_empty() || these.contains(&violation.invariant);
        counts.then_some((seed, played))
    })
}

/// A schedule that violates the same with fewer choices out of the ordinary, told.
pub(super) fn shrink(cast: &Cast, scene: &Scene, bad: &Played) -> Played {
    let invariant = bad.violation.as_ref().map(|violation| violation.invariant);
    let mut script: Vec<usize> = bad.made.iter().map(|choice| choice.taken).collect();
    let mut scene = scene.clone();
    let mut tries = SHORTER;
    let mut still_bad = |scene: &Scene, script: &[usize]| {
        tries = tries.saturating_sub(1);
        let played = play(cast, scene, Choices::scripted(script.to_vec()), false);
        tries > 0 && played.violation.map(|violation| violation.invariant) == invariant
    };
    while scene.storm > 1 {
        let shorter = Scene {
            storm: scene.storm * 3 / 4,
            ..scene.clone()
        };
        if !still_bad(&shorter, &script) {
            break;
        }
        scene = shorter;
    }
    for at in 0..script.len() {
        let before = std::mem::take(&mut script[at]);
        if before > 0 && !still_bad(&scene, &script) {
            script[at] = before;
        }
    }
    let mut length = script.len() / 2;
    while length > 0 {
        let mut at = 0;
        while at < script.len() {
            let mut shorter = script.clone();
            shorter.drain(at..(at + length).min(script.len()));
            if still_bad(&scene, &shorter) {
                script = shorter;
            } else {
                at += length;
            }
        }
        length /= 2;
    }
    play(cast, &scene, Choices::scripted(script), true)
}

/// Every schedule of a scene that departs from the ordinary course at most so often, depth first: how many there were, or
/// the first bad one.
pub(super) fn every(cast: &Cast, scene: &Scene, departures: usize) -> Result<u64, Played> {
    let (mut script, mut count) = (vec![], 0);
    loop {
        let played = play(cast, scene, Choices::scripted(script), false);
        count += 1;
        if played.violation.is_some() {
            return Err(played);
        }
        match next(played.made, departures) {
            Some(next) => script = next,
            None => return Ok(count),
        }
    }
}

/// The schedule after this one: the last choice that may be another one is.
fn next(mut made: Vec<Choice>, departures: usize) -> Option<Vec<usize>> {
    loop {
        let last = made.pop()?;
        let before = made.iter().filter(|choice| choice.taken > 0).count();
        if last.taken + 1 < last.of && before < departures {
            let taken = made.iter().map(|choice| choice.taken);
            return Some(taken.chain([last.taken + 1]).collect());
        }
    }
}

/// For whoever has to find out.
pub(super) fn told(seed: Option<u64>, played: &Played) -> String {
    let mut text = String::new();
    if let Some(violation) = &played.violation {
        let _ = writeln!(text, "violated: {}: {}", violation.invariant, violation.how);
    }
    if let Some(seed) = seed {
        let _ = writeln!(
            text,
            "again with: SIM_SEED={seed} cargo test -p orchestration sim::"
        );
    }
    for line in &played.trace {
        let _ = writeln!(text, "{line}");
    }
    text
}
