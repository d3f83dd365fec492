//! Actions declared in a file: those of a customer's own service, and those that the fleet plans.

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Assurance, Finding, Outcome};

use super::{Action, Credential, Output, Parameter};
use crate::findings::{Findings, code, quoted};
use crate::kind::Kind;
use crate::read::fields::Fields;
use crate::read::values;
use crate::trust::{Role, Trust};
use crate::yaml::{self, At, Node, Position};

const ACTION_FIELDS: &[&str] = &[
    "name",
    "path",
    "outcomes",
    "parameters",
    "outputs",
    "requires",
    "grants",
    "credential",
    "undoes",
    "planned",
    "timeout",
];
const PARAMETER_FIELDS: &[&str] = &["type", "least", "most", "words", "required", "role", "meaning"];
const OUTPUT_FIELDS: &[&str] = &["type", "least", "most", "words", "trust", "meaning"];
const KINDS: &[&str] = &[
    "text",
    "whole",
    "flag",
    "one_of",
    "moment",
    "fields",
    "credential",
];
/// The time-out of an action that names none.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Every action of the file with its place, or what is wrong with it.
pub(super) fn read(source: &str) -> Result<Vec<(Action, Position)>, Vec<Finding>> {
    let mut findings = Findings::default();
    let mut actions = Vec::new();
    if let Some(root) = yaml::parse(source, &mut findings)
        && let Some(mut fields) = Fields::of(root, "a file of actions", None, &mut findings)
    {
        let items = fields.required("actions", values::list, &mut findings);
        fields.nothing_else(&["actions"], &[], &mut findings);
        for item in items.map(|items| items.value).unwrap_or_default() {
            let at = item.at;
            actions.extend(action(item, &mut findings).map(|action| (action, at)));
        }
    }
    if findings.any_error() {
        Err(findings.in_order())
    } else {
        Ok(actions)
    }
}

fn action(item: Node, findings: &mut Findings) -> Option<Action> {
    let mut fields = Fields::of(item, "an action", None, findings)?;
    let name = fields.required("name", values::action_name, findings);
    let path = fields.required("path", values::text, findings);
    let outcomes = fields.optional("outcomes", values::texts, findings).map_or_else(
        || vec![Outcome::Success],
        |words| words.iter().map(|word| Outcome::from(word.as_str())).collect(),
    );
    let parameters = named(&mut fields, "parameters", findings, parameter);
    let outputs = named(&mut fields, "outputs", findings, output);
    let assurance = [Assurance::Low, Assurance::Substantial, Assurance::High];
    let requires = one_of(&mut fields, "requires", &assurance, Assurance::as_str, findings);
    let grants = one_of(&mut fields, "grants", &assurance, Assurance::as_str, findings);
    let parts = [Credential::None, Credential::Yields, Credential::Needs];
    let credential = one_of(&mut fields, "credential", &parts, Credential::as_str, findings);
    let undoes = fields.optional("undoes", values::action_name, findings);
    let planned = fields.optional("planned", values::flag, findings);
    let timeout = fields.optional("timeout", values::duration, findings);
    fields.nothing_else(ACTION_FIELDS, &[], findings);
    Some(Action {
        name: name?.value,
        path: path?,
        outcomes,
        parameters,
        requires,
        grants,
        outputs,
        credential: credential.unwrap_or_default(),
        undoes: undoes.map(|name| name.value),
        planned: planned.unwrap_or(false),
        timeout: timeout.unwrap_or(TIMEOUT),
    })
}

fn named<T>(
    fields: &mut Fields,
    field: &'static str,
    findings: &mut Findings,
    read: fn(Node, &mut Findings) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some((_, node)) = fields.take(field) else {
        return BTreeMap::new();
    };
    fields
        .mapping(field, node, findings)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, node)| Some((name.value, read(node, findings)?)))
        .collect()
}

fn parameter(node: Node, findings: &mut Findings) -> Option<Parameter> {
    let mut fields = Fields::of(node, "a parameter", None, findings)?;
    let kind = kind(&mut fields, findings);
    let parameter = Parameter {
        kind: kind?,
        required: fields
            .optional("required", values::flag, findings)
            .unwrap_or(false),
        role: one_of(&mut fields, "role", &Role::ALL, Role::as_str, findings).unwrap_or_default(),
        meaning: fields
            .optional("meaning", values::text, findings)
            .unwrap_or_default(),
    };
    fields.nothing_else(PARAMETER_FIELDS, &[], findings);
    Some(parameter)
}

fn output(node: Node, findings: &mut Findings) -> Option<Output> {
    let mut fields = Fields::of(node, "an output", None, findings)?;
    let kind = kind(&mut fields, findings);
    let output = Output {
        kind: kind?,
        // What nobody vouches for is untrusted.
        trust: one_of(&mut fields, "trust", &Trust::ALL, Trust::as_str, findings).unwrap_or(Trust::Untrusted),
        meaning: fields
            .optional("meaning", values::text, findings)
            .unwrap_or_default(),
    };
    fields.nothing_else(OUTPUT_FIELDS, &[], findings);
    Some(output)
}

/// `type`, with `least` and `most` of a number and the `words` to choose from.
pub(crate) fn kind(fields: &mut Fields, findings: &mut Findings) -> Option<Kind> {
    let word: At<String> = fields.required("type", values::word, findings)?;
    let least = fields.optional("least", values::whole, findings);
    let most = fields.optional("most", values::whole, findings);
    let words = fields.optional("words", values::texts, findings);
    match word.value.as_str() {
        "text" => Some(Kind::Text),
        "whole" => Some(Kind::Whole {
            least: least.unwrap_or(i64::MIN),
            most: most.unwrap_or(i64::MAX),
        }),
        "flag" => Some(Kind::Flag),
        "one_of" => {
            let words = words.unwrap_or_default();
            if words.is_empty() {
                fields.wrong(
                    code::MISSING_FIELD,
                    word.at,
                    "`type: one_of` needs `words:`",
                    findings,
                );
            }
            Some(Kind::OneOf(words))
        }
        "moment" => Some(Kind::Moment),
        "fields" => Some(Kind::Fields),
        "credential" => Some(Kind::Credential),
        other => {
            let near = findings.did_you_mean(other, KINDS.iter().copied());
            let message = format!("{} is not a type: `{}`{near}", quoted(other), KINDS.join("`, `"));
            fields.wrong(code::BAD_VALUE, word.at, message, findings);
            None
        }
    }
}

/// A field that holds the word of one of `all`.
pub(crate) fn one_of<T: Copy>(
    fields: &mut Fields,
    field: &'static str,
    all: &[T],
    word_of: fn(T) -> &'static str,
    findings: &mut Findings,
) -> Option<T> {
    let word = fields.optional(field, values::word, findings)?;
    let found = all.iter().copied().find(|one| word_of(*one) == word.value);
    if found.is_none() {
        let words: Vec<&str> = all.iter().copied().map(word_of).collect();
        let near = findings.did_you_mean(&word.value, words.iter().copied());
        let message = format!("`{field}` must be one of `{}`{near}", words.join("`, `"));
        fields.wrong(code::BAD_VALUE, word.at, message, findings);
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::{Registry, code};

    #[test]
    fn a_file_declares_actions_or_says_where_it_is_wrong() {
        let mut registry = Registry::builtin();
        registry
            .declare_file("actions:\n- {name: cmdb.look_up, path: /look_up, outcomes: [found, missing]}\n")
            .unwrap();
        assert!(registry.action(&"cmdb.look_up".parse().unwrap()).is_some());
        let wrong = registry
            .declare_file("actions:\n- {name: door.open, path: /open, grants: high}\n- {name: a.b, pth: /}\n")
            .unwrap_err();
        let wrong: Vec<_> = wrong
            .iter()
            .map(|finding| (finding.code.as_str(), finding.line))
            .collect();
        assert_eq!(wrong, [(code::MISSING_FIELD, 3), (code::UNKNOWN_FIELD, 3)]);
        let foreign = "actions:\n- {name: door.open, path: /open, grants: high}\n";
        assert_eq!(
            registry.declare_file(foreign).unwrap_err()[0].code,
            code::BAD_VALUE
        );
        assert!(registry.action(&"door.open".parse().unwrap()).is_none());
    }
}
