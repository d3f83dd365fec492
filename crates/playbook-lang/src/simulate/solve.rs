//! Facts that make decisions go a certain way. No prover: for each name a handful of values that the conditions
//! themselves suggest, tried out.

use std::collections::{BTreeMap, HashMap};

use common::StepId;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::condition::{Condition, Test};
use crate::kind::{Kind, moment};
use crate::playbook::{Playbook, Step};
use crate::roots::{NAMES, Name};

/// So many values are tried for one name.
const MOST_VALUES: usize = 40;
/// So many conditions are evaluated before the search is given up.
const MOST_TRIALS: usize = 50_000;

/// Something that a scenario can lay down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Unknown {
    /// By its whole name.
    Fact(String),
    /// What a step answers on its `visit`th visit, counted from 0.
    Output {
        step: StepId,
        visit: usize,
        output: String,
    },
}

/// A condition that shall come out so.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) condition: Condition,
    pub(super) holds: bool,
    /// What its names mean at that point of the walk. What is missing here is absent.
    pub(super) meant: HashMap<Name, Unknown>,
}

/// A value for every unknown that needs one.
pub(super) type Solution = BTreeMap<Unknown, Value>;

struct Search<'s> {
    playbook: &'s Playbook,
    wishes: &'s [Wish],
    unknowns: Vec<(Unknown, Vec<Option<Value>>)>,
    /// After which unknown each wish can be judged; `None` before all.
    judged: Vec<Option<usize>>,
    trials: usize,
}

/// Values that grant all wishes; `None` where none were found.
pub(super) fn solve(playbook: &Playbook, wishes: &[Wish]) -> Option<Solution> {
    let mut order: Vec<&Unknown> = Vec::new();
    let mut judged = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let mut last = None;
        for name in wish.condition.names() {
            let Some(unknown) = wish.meant.get(name) else {
                continue;
            };
            let at = order
                .iter()
                .position(|known| *known == unknown)
                .unwrap_or_else(|| {
                    order.push(unknown);
                    order.len() - 1
                });
            last = last.max(Some(at));
        }
        judged.push(last);
    }
    let unknowns = order
        .into_iter()
        .map(|unknown| (unknown.clone(), values(playbook, unknown, wishes)))
        .collect();
    let mut search = Search {
        playbook,
        wishes,
        unknowns,
        judged,
        trials: 0,
    };
    let mut solution = Solution::new();
    (search.granted(None, &solution) && search.assign(0, &mut solution)).then_some(solution)
}

impl Search<'_> {
    fn assign(&mut self, index: usize, solution: &mut Solution) -> bool {
        let Some((unknown, values)) = self.unknowns.get(index).cloned() else {
            return true;
        };
        for value in values {
            match value {
                Some(value) => solution.insert(unknown.clone(), value),
                None => solution.remove(&unknown),
            };
            if self.granted(Some(index), solution) && self.assign(index + 1, solution) {
                return true;
            }
            if self.trials >= MOST_TRIALS {
                break;
            }
        }
        solution.remove(&unknown);
        false
    }

    /// Those wishes that can be judged from here on.
    fn granted(&mut self, index: Option<usize>, solution: &Solution) -> bool {
        self.wishes.iter().zip(&self.judged).all(|(wish, judged)| {
            if *judged != index {
                return true;
            }
            self.trials += 1;
            let held = wish.condition.holds(&|name| {
                let unknown = wish.meant.get(name)?;
                solution.get(unknown).or_else(|| fallback(self.playbook, name))
            });
            held == wish.holds
        })
    }
}

/// What an input is where the scenario says nothing.
fn fallback<'p>(playbook: &'p Playbook, name: &Name) -> Option<&'p Value> {
    match name {
        Name::Input(input) => playbook.inputs.get(input)?.default.as_ref(),
        _ => None,
    }
}

/// What a name may hold; `None` where it never holds anything.
pub(super) fn kind<'p>(playbook: &'p Playbook, name: &Name) -> Option<&'p Kind> {
    match name {
        Name::Fixed(name) => NAMES
            .iter()
            .find(|(known, ..)| known == name)
            .map(|(_, kind, _)| kind),
        Name::Input(input) => playbook.inputs.get(input).map(|input| &input.kind),
        Name::Output { step, output } => {
            let action = playbook.step(step).and_then(Step::action)?;
            action.action.outputs.get(output).map(|output| &output.kind)
        }
    }
}

/// Absent first, so that scenarios say no more than they must.
fn values(playbook: &Playbook, unknown: &Unknown, wishes: &[Wish]) -> Vec<Option<Value>> {
    let mut suggested: Vec<Value> = Vec::new();
    let mut kinds = None;
    let mut required = false;
    for wish in wishes {
        for (name, test) in tests(&wish.condition) {
            if wish.meant.get(name) == Some(unknown) {
                kinds = kind(playbook, name);
                required |= matches!(name, Name::Input(input) if playbook.inputs.get(input).is_some_and(crate::Input::required));
                suggest(test, &mut suggested);
            }
        }
    }
    let texts: Vec<&str> = suggested.iter().filter_map(Value::as_str).collect();
    let all_texts = json!(texts.join(" "));
    suggested.push(all_texts);
    suggested.extend(kinds.map(samples).unwrap_or_default());
    let mut values: Vec<Option<Value>> = Vec::new();
    if !required {
        values.push(None);
    }
    for value in suggested {
        if kinds.is_some_and(|kind| kind.admits(&value)) && !values.contains(&Some(value.clone())) {
            values.push(Some(value));
        }
    }
    values.truncate(MOST_VALUES);
    values
}

/// Every comparison of a condition.
fn tests(condition: &Condition) -> Vec<(&Name, &Test)> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().flat_map(tests).collect(),
        Condition::Not(part) => tests(part),
        Condition::Test { field, test } => vec![(field, test)],
    }
}

/// Values on either side of a comparison.
fn suggest(test: &Test, values: &mut Vec<Value>) {
    match test {
        Test::Equals(value) | Test::NotEquals(value) => values.push(value.clone()),
        Test::In(several) => values.extend(several.iter().cloned()),
        Test::Contains(part) => values.push(json!(part)),
        Test::Matches(pattern) => {
            // Good for patterns that are nearly plain text.
            let plain = pattern.as_str().replace("\\b", "");
            let plain: String = plain.chars().filter(|c| !"^$\\()[]{}?*+|".contains(*c)).collect();
            values.push(json!(plain));
            values.extend(pattern.as_str().split('|').map(|part| json!(part)));
        }
        Test::Greater(value) | Test::Less(value) => values.extend(around(value)),
        Test::Exists(_) => {}
    }
}

/// A little less, the same, and a little more.
fn around(value: &Value) -> Vec<Value> {
    if let Some(whole) = value.as_i64() {
        return [whole.saturating_sub(1), whole, whole.saturating_add(1)]
            .into_iter()
            .map(|n| json!(n))
            .collect();
    }
    if let Some(number) = value.as_f64() {
        return vec![json!(number - 1.0), value.clone(), json!(number + 1.0)];
    }
    let Some(middle) = value.as_str().and_then(moment) else {
        return Vec::new();
    };
    [-time::Duration::DAY, time::Duration::ZERO, time::Duration::DAY]
        .into_iter()
        .filter_map(|by| middle.checked_add(by)?.format(&Rfc3339).ok())
        .map(|text| json!(text))
        .collect()
}

/// Some values of a kind.
pub(super) fn samples(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Text => vec![json!("something else")],
        Kind::Whole { least, most } => vec![json!(1_i64.clamp(*least, *most)), json!(least), json!(most)],
        Kind::Flag => vec![json!(true), json!(false)],
        Kind::OneOf(words) => words.iter().map(|word| json!(word)).collect(),
        // Shortly after scenarios begin.
        Kind::Moment => vec![json!("2026-01-05T10:00:00Z")],
        Kind::Fields => vec![json!({})],
        Kind::Credential => Vec::new(),
    }
}
