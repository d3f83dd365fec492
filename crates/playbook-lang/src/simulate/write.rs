//! Scenarios as people would write them.

use std::fmt::Write as _;

use common::{StepId, Values};
use serde_json::Value;

use super::{Answer, Scenario};

/// One item of the list of scenarios.
pub(super) fn scenario(scenario: &Scenario, into: &mut String) {
    let _ = writeln!(into, "  - name: {}", text(&scenario.name));
    given(scenario, into);
    if !scenario.answers.is_empty() {
        let _ = writeln!(into, "    answers:");
        for (step, answers) in &scenario.answers {
            let written: Vec<String> = answers.iter().map(answer).collect();
            let written = match written.as_slice() {
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            let _ = writeln!(into, "      {}: {written}", word(step.as_str()));
        }
    }
    let _ = writeln!(into, "    expect:");
    if let Some(path) = &scenario.expect.path {
        let _ = writeln!(into, "      path: {}", steps(path));
    }
    let _ = writeln!(into, "      end: {}", scenario.expect.end.as_str());
    if !scenario.expect.undone.is_empty() {
        let _ = writeln!(into, "      undone: {}", steps(&scenario.expect.undone));
    }
}

fn given(scenario: &Scenario, into: &mut String) {
    let roots = ["ticket", "requester", "manager", "tenant"].map(|root| {
        let under: Values = scenario
            .facts
            .under(root)
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        (root, under)
    });
    let inputs = ("inputs", scenario.inputs.clone());
    let mut given = roots
        .into_iter()
        .chain([inputs])
        .filter(|(_, values)| !values.is_empty())
        .peekable();
    if given.peek().is_some() {
        let _ = writeln!(into, "    given:");
    }
    for (root, values) in given {
        let _ = writeln!(into, "      {root}: {}", mapping(&values));
    }
}

fn answer(answer: &Answer) -> String {
    let outcome = word(answer.outcome.as_str());
    if answer.output.is_empty() {
        outcome
    } else {
        format!("{{outcome: {outcome}, output: {}}}", mapping(&answer.output))
    }
}

fn steps(steps: &[StepId]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| word(step.as_str())).collect();
    format!("[{}]", steps.join(", "))
}

fn mapping(values: &Values) -> String {
    let fields: Vec<String> = values
        .iter()
        .map(|(name, value)| format!("{}: {}", word(name), self::value(value)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

fn value(value: &Value) -> String {
    match value {
        Value::Object(fields) => mapping(fields),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => self::text(text),
        plain => plain.to_string(),
    }
}

/// In quotes, as JSON and YAML agree on.
fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// Without quotes where it is a plain word.
fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if word.chars().all(plain) && word.starts_with(letter) {
        word.to_owned()
    } else {
        text(word)
    }
}
