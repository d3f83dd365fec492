//! Writing the scenarios that are missing: for each edge that nobody followed and each bound that nobody reached, a way
//! there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use common::{Outcome, StepId};

use super::coverage::{Bound, Coverage, Edge, coverage};
use super::plan::Plan;
use super::walks::{Leg, Walks};
use super::{End, Expectation, Run, Scenario, drive, write};
use crate::playbook::{Join, Parallel, Playbook, Step, StepKind};

/// So many ways to one edge are tried out.
const MOST_WAYS: usize = 24;

/// Further scenarios, as items of the list in a file of scenarios, that follow what `covered` did not. What they expect
/// is what comes of them today: read it before believing it. An edge that no way was found to is named in a comment.
pub fn generate(playbook: &Playbook, covered: &[Run]) -> String {
    let mut author = Author {
        playbook,
        walks: HashMap::new(),
    };
    let Coverage {
        mut missing,
        unreached: mut bounds,
        ..
    } = coverage(playbook, covered);
    missing.reverse();
    bounds.reverse();
    let mut text = String::new();
    let mut unreached = Vec::new();
    let mut names: Vec<String> = covered.iter().map(|run| run.name.clone()).collect();
    while let Some(edge) = missing.pop() {
        let Some((mut scenario, run)) = author.scenario(&edge) else {
            unreached.push(edge);
            continue;
        };
        missing.retain(|edge| !run.edges.contains(edge));
        unreached.retain(|edge| !run.edges.contains(edge));
        bounds.retain(|bound| !bound.reached(playbook, &run));
        scenario.name = fresh(format!("{} ends in {}", edge.from, edge.outcome), &names);
        names.push(scenario.name.clone());
        write::scenario(&scenario, &mut text);
    }
    let mut nowhere: Vec<String> = unreached.iter().map(Edge::to_string).collect();
    while let Some(bound) = bounds.pop() {
        let Some((mut scenario, run)) = author.beyond(&bound) else {
            nowhere.push(bound.to_string());
            continue;
        };
        bounds.retain(|bound| !bound.reached(playbook, &run));
        scenario.name = fresh(format!("{} once more than allowed", bound.step), &names);
        names.push(scenario.name.clone());
        write::scenario(&scenario, &mut text);
    }
    for place in nowhere {
        let shown: String = place.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(text, "  # no way was found to: {shown}");
    }
    text
}

/// A name that no other scenario has.
fn fresh(name: String, names: &[String]) -> String {
    if !names.contains(&name) {
        return name;
    }
    let other = |nth: usize| format!("{name} ({nth})");
    (2..=names.len() + 1)
        .map(other)
        .find(|name| !names.contains(name))
        .unwrap_or(name)
}

struct Author<'p> {
    playbook: &'p Playbook,
    /// By the step that they begin at.
    walks: HashMap<&'p StepId, Rc<Walks<'p>>>,
}

impl<'p> Author<'p> {
    /// A scenario that follows this edge, and what comes of it.
    fn scenario(&mut self, edge: &Edge) -> Option<(Scenario, Run)> {
        let step = self.playbook.steps.get(&edge.from)?;
        let mut ways = self.ways(step);
        let last = self.last(step, &edge.outcome);
        for way in &mut ways {
            way.extend(last.iter().cloned());
        }
        self.tried(&ways, |run| run.edges.contains(edge))
    }

    /// A scenario that goes round until the step may not be entered again, and what comes of it.
    fn beyond(&mut self, bound: &Bound) -> Option<(Scenario, Run)> {
        let step = self.playbook.steps.get(&bound.step)?;
        let round = self.round(step)?;
        let mut ways = self.ways(step);
        for way in &mut ways {
            for _ in 0..bound.most {
                way.extend(round.iter().cloned());
            }
        }
        let playbook = self.playbook;
        self.tried(&ways, |run| bound.reached(playbook, run))
    }

    /// The shortest way from a step back to it.
    fn round(&mut self, step: &'p Step) -> Option<Vec<Leg<'p>>> {
        let walks = self.walks(&step.id);
        let round = walks.to(&step.id).find(|walk| !walk.is_empty())?;
        let legs = round.into_iter();
        Some(legs.flat_map(|leg| self.last(leg.step, &leg.outcome)).collect())
    }

    /// The first of `ways` that a scenario can go and that comes to what is wanted.
    fn tried(&self, ways: &[Vec<Leg<'p>>], wanted: impl Fn(&Run) -> bool) -> Option<(Scenario, Run)> {
        ways.iter().find_map(|way| {
            let mut scenario = Plan::of(self.playbook, way).scenario()?;
            let run = drive::play(self.playbook, &scenario);
            if !run.complaints.is_empty() || !wanted(&run) {
                return None;
            }
            scenario.answers.retain(|step, _| run.path.contains(step));
            scenario.expect = Expectation {
                path: Some(run.path.clone()),
                end: End::from(&run.ending),
                undone: run.undone.clone(),
            };
            Some((scenario, run))
        })
    }

    fn walks(&mut self, from: &'p StepId) -> Rc<Walks<'p>> {
        let playbook = self.playbook;
        let walks = self.walks.entry(from);
        Rc::clone(walks.or_insert_with(|| Rc::new(Walks::from(playbook, from))))
    }

    /// Walks to `step`: down through the branches that it stands in, level by level.
    fn ways(&mut self, step: &'p Step) -> Vec<Vec<Leg<'p>>> {
        let mut levels: Vec<(&'p Step, &'p Parallel, &'p str)> = Vec::new();
        let mut inner = step;
        while let Some(within) = &inner.within {
            let outer = self.playbook.steps.get(&within.parallel);
            let Some((outer, parallel)) = outer.and_then(|outer| Some((outer, parallel(outer)?))) else {
                return Vec::new();
            };
            if levels.len() > self.playbook.steps.len() {
                return Vec::new();
            }
            levels.push((outer, parallel, &within.branch));
            inner = outer;
        }
        let mut ways = vec![Vec::new()];
        let mut first = &self.playbook.start;
        for (outer, parallel, branch) in levels.into_iter().rev() {
            ways = self.extended(&ways, first, outer);
            let others = self.held_back(parallel, branch);
            for way in &mut ways {
                way.extend(others.iter().cloned());
            }
            let Some(next) = parallel.branches.get(branch) else {
                return Vec::new();
            };
            first = next;
        }
        self.extended(&ways, first, step)
    }

    /// Each way, extended by each walk from `first` to `to`; the shortest first.
    fn extended(&mut self, ways: &[Vec<Leg<'p>>], first: &'p StepId, to: &Step) -> Vec<Vec<Leg<'p>>> {
        let walks = self.walks(first);
        let mut extended = Vec::new();
        for walk in walks.to(&to.id) {
            let walk: Vec<Leg<'p>> = walk
                .into_iter()
                .flat_map(|leg| self.last(leg.step, &leg.outcome))
                .collect();
            for way in ways {
                if extended.len() < MOST_WAYS {
                    extended.push(way.iter().chain(&walk).cloned().collect());
                }
            }
        }
        extended
    }

    /// One leg; of a parallel step, with what its branches must do for it before.
    fn last(&mut self, step: &'p Step, outcome: &Outcome) -> Vec<Leg<'p>> {
        let mut legs = match parallel(step) {
            Some(parallel) => self.branches(parallel, *outcome == Outcome::Success),
            None => Vec::new(),
        };
        legs.push(Leg {
            step,
            outcome: outcome.clone(),
        });
        legs
    }

    /// What the branches do where the parallel step ends well, or ill.
    fn branches(&mut self, parallel: &'p Parallel, well: bool) -> Vec<Leg<'p>> {
        // Where all must do it, all do; else one that can.
        let all = well == (parallel.join == Join::All);
        let mut legs = Vec::new();
        let mut done = false;
        for first in parallel.branches.values() {
            let as_wanted = if all || !done {
                self.branch(first, well)
            } else {
                None
            };
            match as_wanted {
                Some(walk) => {
                    legs.extend(walk);
                    done = true;
                }
                None => legs.extend(self.branch(first, !well).unwrap_or_default()),
            }
        }
        legs
    }

    /// The other branches must not be done before this one where the first one decides.
    fn held_back(&mut self, parallel: &'p Parallel, branch: &str) -> Vec<Leg<'p>> {
        if parallel.join == Join::All {
            return Vec::new();
        }
        let others = parallel.branches.iter().filter(|(name, _)| *name != branch);
        others
            .flat_map(|(_, first)| self.branch(first, false).unwrap_or_default())
            .collect()
    }

    /// The shortest way for a branch to end well, or ill.
    fn branch(&mut self, first: &'p StepId, well: bool) -> Option<Vec<Leg<'p>>> {
        let walks = self.walks(first);
        let walk = walks.to_any(|step| match step.kind {
            StepKind::Terminal => well,
            StepKind::Escalation { .. } => !well,
            _ => false,
        })?;
        Some(
            walk.into_iter()
                .flat_map(|leg| self.last(leg.step, &leg.outcome))
                .collect(),
        )
    }
}

fn parallel(step: &Step) -> Option<&Parallel> {
    match &step.kind {
        StepKind::Parallel(parallel) => Some(parallel),
        _ => None,
    }
}
