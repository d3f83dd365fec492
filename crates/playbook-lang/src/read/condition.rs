//! Conditions as written: `{field, operator, value}`, or `all`, `any`, `not` over them. A list means all of it.

use serde_json::Value;

use super::fields::Fields;
use super::values;
use crate::condition::{Condition, Pattern, Test};
use crate::document::ConditionDocument;
use crate::findings::{Findings, MOST_PATTERNS, code, quoted};
use crate::roots::Name;
use crate::yaml::{At, Node, Position, Shape};

const FIELDS: &[&str] = &["field", "operator", "value", "all", "any", "not"];

/// The condition, or `None` where a part of it could not be read: a condition that lost a part means something else.
pub(super) fn read(node: Node, owner: &Fields, findings: &mut Findings) -> Option<ConditionDocument> {
    let mut names = Vec::new();
    let condition = one(node, owner, &mut names, findings)?;
    Some(ConditionDocument { condition, names })
}

fn one(node: Node, owner: &Fields, names: &mut Vec<At<Name>>, findings: &mut Findings) -> Option<Condition> {
    let at = node.at;
    if let Shape::List(items) = node.value {
        return all_of(items, owner, names, findings).map(Condition::All);
    }
    let mut fields = Fields::of(node, "a condition", owner.step.clone(), findings)?;
    let joined = ["all", "any", "not"]
        .into_iter()
        .find_map(|word| Some((word, fields.take(word)?.1)));
    let condition = match joined {
        Some(("not", inner)) => {
            one(inner, owner, names, findings).map(|inner| Condition::Not(Box::new(inner)))
        }
        Some((word, inner)) => {
            let items = fields.value(word, inner, values::list, findings)?;
            let parts = all_of(items.value, owner, names, findings)?;
            Some(match word {
                "all" => Condition::All(parts),
                _ => Condition::Any(parts),
            })
        }
        None => test(&mut fields, at, names, findings),
    };
    // Beside `all`, a `field` would be ignored: whatever is left is unknown.
    fields.nothing_else(FIELDS, &[], findings);
    condition
}

fn all_of(
    items: Vec<Node>,
    owner: &Fields,
    names: &mut Vec<At<Name>>,
    findings: &mut Findings,
) -> Option<Vec<Condition>> {
    // Every part is read, so that every finding is made.
    let parts: Vec<Option<Condition>> = items
        .into_iter()
        .map(|item| one(item, owner, names, findings))
        .collect();
    parts.into_iter().collect()
}

fn test(
    fields: &mut Fields,
    at: Position,
    names: &mut Vec<At<Name>>,
    findings: &mut Findings,
) -> Option<Condition> {
    let field = fields.required("field", values::word, findings);
    let operator = fields.required("operator", values::word, findings);
    let value = fields
        .take("value")
        .map(|(_, node)| (node.at, values::json(node)));
    let field = field.and_then(|field| match Name::read(&field.value) {
        Ok(name) => {
            names.push(At::new(name.clone(), field.at));
            Some(name)
        }
        Err(why) => {
            fields.wrong(code::BAD_CONDITION, field.at, why.message(&field.value), findings);
            None
        }
    });
    let operator = operator?;
    if operator.value == "matches" && !findings.another_pattern() {
        let message = format!("a playbook has at most {MOST_PATTERNS} patterns; compare otherwise");
        fields.wrong(code::BAD_CONDITION, operator.at, message, findings);
        return None;
    }
    let test = compared(&operator, value, at).map_err(|(at, message)| {
        fields.wrong(code::BAD_CONDITION, at, message, findings);
    });
    Some(Condition::Test {
        field: field?,
        test: test.ok()?,
    })
}

/// An operator with its value, or where and why they do not go together.
pub(crate) fn compared(
    operator: &At<String>,
    value: Option<(Position, Value)>,
    at: Position,
) -> Result<Test, (Position, String)> {
    let word = operator.value.as_str();
    if word == "exists" {
        return match value {
            None => Ok(Test::Exists(true)),
            Some((_, Value::Bool(wanted))) => Ok(Test::Exists(wanted)),
            Some((at, _)) => Err((at, "`exists` takes `true` or `false`".to_owned())),
        };
    }
    if !Test::OPERATORS.contains(&word) {
        let message = format!(
            "{} is not an operator: `{}`",
            quoted(word),
            Test::OPERATORS.join("`, `")
        );
        return Err((operator.at, message));
    }
    let Some((value_at, value)) = value else {
        return Err((at, format!("`{word}` needs a `value:` to compare with")));
    };
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        _ => Err((
            value_at,
            format!("`{word}` compares with a text; put it in quotes"),
        )),
    };
    let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    match word {
        "in" => match value {
            Value::Array(items) if !items.is_empty() && items.iter().all(scalar) => Ok(Test::In(items)),
            _ => Err((value_at, "`in` takes a list of texts or numbers".to_owned())),
        },
        "contains" => text(value).map(Test::Contains),
        "matches" => {
            let pattern = text(value)?;
            Pattern::new(&pattern)
                .map(Test::Matches)
                .map_err(|why| (value_at, format!("the pattern cannot be read: {why}")))
        }
        "equals" | "not_equals" if !scalar(&value) => Err((
            value_at,
            format!("`{word}` compares with a text, a number, `true` or `false`"),
        )),
        "equals" => Ok(Test::Equals(value)),
        "not_equals" => Ok(Test::NotEquals(value)),
        _ if !(value.is_number() || value.as_str().and_then(crate::kind::moment).is_some()) => Err((
            value_at,
            format!("`{word}` compares with a number or a point in time such as `2026-11-30T08:00:00Z`"),
        )),
        "greater" => Ok(Test::Greater(value)),
        _ => Ok(Test::Less(value)),
    }
}
