//! Reading scenarios: which fields there are, and what they may hold.

use std::collections::{BTreeMap, HashSet};

use common::{Finding, Outcome, StepId};

use super::{Answer, End, Expectation, Scenario, Scenarios};
use crate::findings::{Findings, code, quoted};
use crate::read::fields::Fields;
use crate::read::values;
use crate::roots::{Facts, NAMES};
use crate::yaml::{self, At, Node, Shape};

const FILE_FIELDS: &[&str] = &["playbook", "scenarios"];
const SCENARIO_FIELDS: &[&str] = &["name", "given", "answers", "expect"];
const GIVEN_FIELDS: &[&str] = &["ticket", "requester", "manager", "tenant", "inputs"];
const ANSWER_FIELDS: &[&str] = &["outcome", "output"];
const EXPECT_FIELDS: &[&str] = &["path", "end", "undone"];

/// Read a file of scenarios; what is wrong with it, and where, otherwise. Whether its steps are those of the playbook is
/// seen when they are played.
pub fn scenarios(source: &str) -> Result<Scenarios, Vec<Finding>> {
    let mut findings = Findings::default();
    let read = yaml::parse(source, &mut findings).and_then(|root| file(root, &mut findings));
    match read {
        Some(scenarios) if !findings.any_error() => Ok(scenarios),
        _ => Err(findings.in_order()),
    }
}

fn file(root: Node, findings: &mut Findings) -> Option<Scenarios> {
    let mut fields = Fields::of(root, "a file of scenarios", None, findings)?;
    let playbook = fields.required("playbook", values::name, findings);
    let items = fields.required("scenarios", values::list, findings);
    fields.nothing_else(FILE_FIELDS, &[], findings);
    let mut names = HashSet::new();
    let mut list = Vec::new();
    for item in items?.value {
        let at = item.at;
        let Some(scenario) = scenario(item, findings) else {
            continue;
        };
        if !names.insert(scenario.name.clone()) {
            let message = format!("another scenario is called {} already", quoted(&scenario.name));
            findings.error(code::BAD_VALUE, at, message);
        }
        list.push(scenario);
    }
    Some(Scenarios {
        playbook: playbook?.value,
        list,
    })
}

fn scenario(item: Node, findings: &mut Findings) -> Option<Scenario> {
    let mut fields = Fields::of(item, "a scenario", None, findings)?;
    let name = fields.required("name", values::text, findings);
    let mut scenario = Scenario::default();
    if let Some((_, node)) = fields.take("given") {
        given(node, &mut scenario, findings);
    }
    if let Some((_, node)) = fields.take("answers") {
        scenario.answers = fields
            .mapping("answers", node, findings)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(step, node)| Some((step_id(&step, findings)?, answers(node, findings))))
            .collect::<BTreeMap<_, _>>();
    }
    let expected = fields.required("expect", Ok, findings);
    fields.nothing_else(SCENARIO_FIELDS, &[], findings);
    scenario.expect = expectation(expected?, findings)?;
    scenario.name = name?;
    Some(scenario)
}

fn given(node: Node, scenario: &mut Scenario, findings: &mut Findings) {
    let Some(mut fields) = Fields::of(node, "`given`", None, findings) else {
        return;
    };
    for root in ["ticket", "requester", "manager", "tenant"] {
        let Some((_, node)) = fields.take(root) else {
            continue;
        };
        for (key, node) in fields.mapping(root, node, findings).unwrap_or_default() {
            fact(root, &key, node, &mut scenario.facts, findings);
        }
    }
    if let Some((_, node)) = fields.take("inputs") {
        for (name, node) in fields.mapping("inputs", node, findings).unwrap_or_default() {
            scenario.inputs.insert(name.value, values::json(node));
        }
    }
    fields.nothing_else(GIVEN_FIELDS, &[], findings);
}

fn fact(root: &str, key: &At<String>, node: Node, facts: &mut Facts, findings: &mut Findings) {
    let name = format!("{root}.{}", key.value);
    let Some((_, kind, _)) = NAMES.iter().find(|(known, ..)| *known == name) else {
        let near = findings.did_you_mean(&name, NAMES.iter().map(|(known, ..)| *known));
        let message = format!("there is no fact {}{near}", quoted(&name));
        findings.error(code::UNKNOWN_FIELD, key.at, message);
        return;
    };
    let at = node.at;
    let value = values::json(node);
    if kind.admits(&value) {
        facts.set(name, value);
    } else {
        findings.error(code::BAD_VALUE, at, format!("{} must be {kind}", quoted(&name)));
    }
}

/// One answer, or a list of them.
fn answers(node: Node, findings: &mut Findings) -> Vec<Answer> {
    match node.value {
        Shape::List(items) => {
            if items.is_empty() {
                findings.error(code::BAD_VALUE, node.at, "a list of answers has at least one");
            }
            items
                .into_iter()
                .filter_map(|item| answer(item, findings))
                .collect()
        }
        value => answer(At::new(value, node.at), findings).into_iter().collect(),
    }
}

/// A word, or `{outcome: success, output: {answer: "home"}}`.
fn answer(node: Node, findings: &mut Findings) -> Option<Answer> {
    if let Shape::Scalar { text, .. } = &node.value {
        if text.is_empty() {
            findings.error(
                code::BAD_VALUE,
                node.at,
                "an answer is an outcome, such as `success`",
            );
            return None;
        }
        return Some(Outcome::from(text.as_str()).into());
    }
    let mut fields = Fields::of(node, "an answer", None, findings)?;
    let outcome = fields.required("outcome", values::word, findings);
    let output = fields
        .take("output")
        .and_then(|(_, node)| fields.mapping("output", node, findings));
    fields.nothing_else(ANSWER_FIELDS, &[], findings);
    Some(Answer {
        outcome: Outcome::from(outcome?.value),
        output: output
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name.value, values::json(value)))
            .collect(),
    })
}

fn expectation(node: Node, findings: &mut Findings) -> Option<Expectation> {
    let mut fields = Fields::of(node, "`expect`", None, findings)?;
    let path = step_ids(&mut fields, "path", findings);
    let undone = step_ids(&mut fields, "undone", findings);
    let end = fields.required("end", end, findings);
    fields.nothing_else(EXPECT_FIELDS, &[], findings);
    Some(Expectation {
        path,
        end: end?,
        undone: undone.unwrap_or_default(),
    })
}

fn end(node: Node) -> Result<End, String> {
    match values::word(node)?.value.as_str() {
        "resolved" => Ok(End::Resolved),
        "escalated" => Ok(End::Escalated),
        _ => Err("`resolved` or `escalated`".to_owned()),
    }
}

fn step_ids(fields: &mut Fields, field: &str, findings: &mut Findings) -> Option<Vec<StepId>> {
    let items = fields.optional(field, values::list, findings)?;
    let ids = items.value.into_iter().filter_map(|item| {
        let at = item.at;
        match values::word(item) {
            Ok(word) => step_id(&word, findings),
            Err(expected) => {
                let message = format!("a step of `{field}` must be {expected}");
                findings.error(code::BAD_VALUE, at, message);
                None
            }
        }
    });
    Some(ids.collect())
}

/// Also `verify.mfa`, a step of a playbook that is called, and `reset_password.undo`.
fn step_id(word: &At<String>, findings: &mut Findings) -> Option<StepId> {
    let id = word.value.parse().ok();
    if id.is_none() {
        let message = format!("{} is not the id of a step", quoted(&word.value));
        findings.error(code::BAD_VALUE, word.at, message);
    }
    id
}
