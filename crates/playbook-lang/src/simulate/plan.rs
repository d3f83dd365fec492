//! From a walk to a scenario that goes it.

use std::collections::{BTreeMap, HashMap};

use common::{Outcome, StepId, Values};

use super::solve::{Unknown, Wish, kind, samples, solve};
use super::walks::Leg;
use super::{Answer, Scenario};
use crate::condition::{Condition, Test};
use crate::playbook::{ActionStep, Pause, Playbook, Step, StepKind};
use crate::roots::Name;
use crate::template::{Piece, is_template, pieces};

/// What a walk asks of services and facts.
pub(super) struct Plan<'p> {
    playbook: &'p Playbook,
    /// How each visit of each step ends.
    visits: BTreeMap<&'p StepId, Vec<Outcome>>,
    wishes: Vec<Wish>,
}

impl<'p> Plan<'p> {
    pub(super) fn of(playbook: &'p Playbook, walk: &[Leg<'p>]) -> Self {
        let mut plan = Self {
            playbook,
            visits: BTreeMap::new(),
            wishes: Vec::new(),
        };
        for leg in walk {
            plan.follow(leg);
        }
        plan
    }

    fn follow(&mut self, leg: &Leg<'p>) {
        match &leg.step.kind {
            StepKind::Action(_) => {
                self.visits
                    .entry(&leg.step.id)
                    .or_default()
                    .push(leg.outcome.clone());
            }
            StepKind::Decision(cases) => {
                for case in cases {
                    let taken = leg.outcome.as_str() == case.name;
                    self.wish(case.when.clone(), taken);
                    if taken {
                        break;
                    }
                }
            }
            StepKind::Wait(Pause::Until(value)) => {
                for name in value.as_str().map(names).unwrap_or_default() {
                    let test = Test::Exists(true);
                    self.wish(Condition::Test { field: name, test }, true);
                }
            }
            StepKind::Wait(Pause::For(_))
            | StepKind::Parallel(_)
            | StepKind::Terminal
            | StepKind::Escalation { .. } => {}
        }
    }

    fn wish(&mut self, condition: Condition, holds: bool) {
        let meant: HashMap<Name, Unknown> = condition
            .names()
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.meant(name)?)))
            .collect();
        self.wishes.push(Wish {
            condition,
            holds,
            meant,
        });
    }

    /// What a name means at this point of the walk.
    fn meant(&self, name: &Name) -> Option<Unknown> {
        kind(self.playbook, name)?;
        match name {
            Name::Fixed(_) | Name::Input(_) => Some(Unknown::Fact(name.to_string())),
            Name::Output { step, output } => {
                let answered = |outcome: &Outcome| matches!(outcome, Outcome::Success | Outcome::Word(_));
                Some(Unknown::Output {
                    step: step.clone(),
                    visit: self.visits.get(step)?.iter().rposition(answered)?,
                    output: output.clone(),
                })
            }
        }
    }

    /// The scenario; `None` where no facts were found that lead there.
    pub(super) fn scenario(self) -> Option<Scenario> {
        let solution = solve(self.playbook, &self.wishes)?;
        let mut scenario = Scenario::default();
        for (name, input) in &self.playbook.inputs {
            if let (true, Some(sample)) = (input.required(), samples(&input.kind).into_iter().next()) {
                scenario.inputs.insert(name.clone(), sample);
            }
        }
        let mut outputs: BTreeMap<(StepId, usize), Values> = BTreeMap::new();
        for (unknown, value) in solution {
            match unknown {
                Unknown::Fact(name) => match name.strip_prefix("inputs.") {
                    Some(input) => {
                        scenario.inputs.insert(input.to_owned(), value);
                    }
                    None => scenario.facts.set(name, value),
                },
                Unknown::Output { step, visit, output } => {
                    outputs.entry((step, visit)).or_default().insert(output, value);
                }
            }
        }
        for step in self.playbook.steps() {
            if let Some(action) = step.action() {
                let answers = self.answers(step, action, &mut outputs);
                if !answers.is_empty() {
                    scenario.answers.insert(step.id.clone(), answers);
                }
            }
        }
        Some(scenario)
    }

    /// Call after call; nothing where what a step does by itself will do.
    fn answers(
        &self,
        step: &Step,
        action: &ActionStep,
        outputs: &mut BTreeMap<(StepId, usize), Values>,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (visit, outcome) in self.visits.get(&step.id).into_iter().flatten().enumerate() {
            let answer = Answer {
                outcome: outcome.clone(),
                output: outputs.remove(&(step.id.clone(), visit)).unwrap_or_default(),
            };
            // A failure is tried again as often as the step says.
            let calls = match outcome {
                Outcome::Failure | Outcome::Timeout => action.retry.max_attempts,
                _ => 1,
            };
            answers.extend((0..calls).map(|_| answer.clone()));
        }
        if answers.is_empty() && !action.action.answers(&Outcome::Success) {
            let word = action.action.words().next().cloned();
            return vec![word.unwrap_or(Outcome::Failure).into()];
        }
        let success = Answer::from(Outcome::Success);
        if answers.iter().all(|answer| *answer == success) {
            return Vec::new();
        }
        // The last one repeats.
        while let [.., before, last] = answers.as_slice()
            && before == last
        {
            answers.pop();
        }
        answers
    }
}

/// The names in a template.
fn names(text: &str) -> Vec<Name> {
    if !is_template(text) {
        return Vec::new();
    }
    let pieces = pieces(text).unwrap_or_default();
    pieces
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Name(name) => Some(name),
            Piece::Text(_) => None,
        })
        .collect()
}
