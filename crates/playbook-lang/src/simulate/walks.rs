//! Walks over the graph: the shortest ways from one step to every other of the same level, whatever stands in the way.

use std::collections::{HashMap, VecDeque};

use common::{Outcome, StepId};

use super::coverage::outcomes;
use crate::playbook::{Playbook, Step};

/// So many ways to each step are looked at. The first one may ask for a fact that contradicts another one.
const WAYS: usize = 6;

/// One step of a walk, and how it ends.
#[derive(Debug, Clone)]
pub(super) struct Leg<'p> {
    pub(super) step: &'p Step,
    pub(super) outcome: Outcome,
}

struct Place<'p> {
    step: &'p Step,
    /// The place before, and how the step there ended.
    before: Option<(usize, Outcome)>,
}

/// All walks from one step.
pub(super) struct Walks<'p> {
    places: Vec<Place<'p>>,
    of: HashMap<&'p StepId, Vec<usize>>,
}

impl<'p> Walks<'p> {
    /// Breadth first, so that shorter walks come first.
    pub(super) fn from(playbook: &'p Playbook, first: &StepId) -> Self {
        let mut walks = Self {
            places: Vec::new(),
            of: HashMap::new(),
        };
        let mut queue = VecDeque::new();
        if let Some(step) = playbook.step(first) {
            queue.extend(walks.reach(step, None));
        }
        while let Some((here, step)) = queue.pop_front() {
            for outcome in outcomes(playbook, step) {
                if let Some(next) = step.edge(&outcome).and_then(|next| playbook.step(next)) {
                    queue.extend(walks.reach(next, Some((here, outcome))));
                }
            }
        }
        walks
    }

    fn reach(&mut self, step: &'p Step, before: Option<(usize, Outcome)>) -> Option<(usize, &'p Step)> {
        let ways = self.of.entry(&step.id).or_default();
        if ways.len() >= WAYS {
            return None;
        }
        let here = self.places.len();
        ways.push(here);
        self.places.push(Place { step, before });
        let Some(most) = step.max_visits else {
            // It lies on no loop.
            return Some((here, step));
        };
        let visits = self.back(here).filter(|place| place.step.id == step.id).count();
        if u32::try_from(visits).is_ok_and(|visits| visits <= most) {
            return Some((here, step));
        }
        self.places.pop();
        self.of.get_mut(&step.id)?.pop();
        None
    }

    fn back(&self, from: usize) -> impl Iterator<Item = &Place<'p>> {
        std::iter::successors(self.places.get(from), |place| {
            place
                .before
                .as_ref()
                .and_then(|(before, _)| self.places.get(*before))
        })
    }

    /// The ways to a step, the shortest first.
    pub(super) fn to(&self, step: &StepId) -> impl Iterator<Item = Vec<Leg<'p>>> {
        let ways = self.of.get(step).map_or(&[][..], Vec::as_slice);
        ways.iter().map(|way| self.legs(*way))
    }

    /// The shortest way to a step like this.
    pub(super) fn to_any(&self, wanted: impl Fn(&Step) -> bool) -> Option<Vec<Leg<'p>>> {
        let place = self.places.iter().position(|place| wanted(place.step))?;
        Some(self.legs(place))
    }

    fn legs(&self, to: usize) -> Vec<Leg<'p>> {
        let mut legs: Vec<Leg<'p>> = self
            .back(to)
            .filter_map(|place| {
                let (before, outcome) = place.before.as_ref()?;
                Some(Leg {
                    step: self.places.get(*before)?.step,
                    outcome: outcome.clone(),
                })
            })
            .collect();
        legs.reverse();
        legs
    }
}
