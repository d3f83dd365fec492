//! Conditions: data, not code. A field, an operator, a value; joined by `all`, `any` and `not`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::kind::moment;
use crate::roots::Name;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Every one holds; none at all is true.
    All(Vec<Condition>),
    /// At least one holds; none at all is false.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// One comparison.
    Test {
        /// What is looked at.
        field: Name,
        /// How it is compared, and with what.
        test: Test,
    },
}

/// How a value is compared. Texts are compared without regard to case, as people write them.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is this.
    Equals(Value),
    /// It is not this; an absent value is not.
    NotEquals(Value),
    /// It is one of these.
    In(Vec<Value>),
    /// The text holds this one.
    Contains(String),
    /// The text matches this pattern somewhere.
    Matches(Pattern),
    /// The number, or the point in time, is greater.
    Greater(Value),
    /// The number, or the point in time, is less.
    Less(Value),
    /// There is a value, or there is none.
    Exists(bool),
}

impl Test {
    /// The operators as playbooks write them.
    pub const OPERATORS: &'static [&'static str] = &[
        "equals",
        "not_equals",
        "in",
        "contains",
        "matches",
        "greater",
        "less",
        "exists",
    ];

    /// As playbooks write it.
    pub const fn operator(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::NotEquals(_) => "not_equals",
            Self::In(_) => "in",
            Self::Contains(_) => "contains",
            Self::Matches(_) => "matches",
            Self::Greater(_) => "greater",
            Self::Less(_) => "less",
            Self::Exists(_) => "exists",
        }
    }

    /// What is compared with, as playbooks write it.
    pub fn value(&self) -> Value {
        match self {
            Self::Equals(value) | Self::NotEquals(value) | Self::Greater(value) | Self::Less(value) => {
                value.clone()
            }
            Self::In(values) => Value::Array(values.clone()),
            Self::Contains(text) => Value::from(text.as_str()),
            Self::Matches(pattern) => Value::from(pattern.as_str()),
            Self::Exists(wanted) => Value::from(*wanted),
        }
    }

    /// Whether `value` passes.
    pub fn passes(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(wanted), value) => value.is_some() == *wanted,
            (Self::NotEquals(other), value) => value.is_none_or(|value| !same(value, other)),
            (_, None) => false,
            (Self::Equals(other), Some(value)) => same(value, other),
            (Self::In(others), Some(value)) => others.iter().any(|other| same(value, other)),
            (Self::Contains(part), Some(value)) => value
                .as_str()
                .is_some_and(|text| text.to_lowercase().contains(&part.to_lowercase())),
            (Self::Matches(pattern), Some(value)) => {
                value.as_str().is_some_and(|text| pattern.0.is_match(text))
            }
            (Self::Greater(other), Some(value)) => order(value, other) == Some(std::cmp::Ordering::Greater),
            (Self::Less(other), Some(value)) => order(value, other) == Some(std::cmp::Ordering::Less),
        }
    }
}

/// A regular expression; its matching time is linear in the text, whatever the pattern.
#[derive(Debug, Clone)]
pub struct Pattern(regex::Regex);

/// A compiled pattern takes no more memory than this; a counted repetition of a repetition would.
const LARGEST_PATTERN: usize = 64 * 1024;

impl Pattern {
    /// Compile `pattern`; what is wrong with it otherwise.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if let Some(known) = known(pattern) {
            return Ok(Self(known));
        }
        regex::RegexBuilder::new(pattern)
            .case_insensitive(true)
            .size_limit(LARGEST_PATTERN)
            .build()
            .map(|compiled| {
                remember(pattern, &compiled);
                Self(compiled)
            })
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the pattern is too large; make it simpler".to_owned(),
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or("it is no pattern")
                    .trim_start_matches("error: ")
                    .to_owned(),
            })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Compiling takes longer than all the rest of checking a step, and an editor checks the same document at every
/// keystroke. A pattern means the same whoever compiled it, so nobody can tell whether it was remembered.
static KNOWN: Mutex<BTreeMap<String, regex::Regex>> = Mutex::new(BTreeMap::new());
/// No more patterns are remembered: with [`LARGEST_PATTERN`] a few megabytes.
const MOST_KNOWN: usize = 128;

fn known(pattern: &str) -> Option<regex::Regex> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.get(pattern).cloned()
}

fn remember(pattern: &str, compiled: &regex::Regex) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(pattern.to_owned(), compiled.clone());
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => {
            one == other || one.to_lowercase() == other.to_lowercase()
        }
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

fn order(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
        },
        (Value::String(one), Value::String(other)) => Some(moment(one)?.cmp(&moment(other)?)),
        _ => None,
    }
}

impl Condition {
    /// Whether it holds; `value` looks a name up.
    pub fn holds<'v>(&self, value: &impl Fn(&Name) -> Option<&'v Value>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(value)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(value)),
            Self::Not(part) => !part.holds(value),
            Self::Test { field, test } => test.passes(value(field)),
        }
    }

    /// Every name that it looks at.
    pub fn names(&self) -> Vec<&Name> {
        self.tests().into_iter().map(|(field, _)| field).collect()
    }

    /// Every test and what it looks at, in the order in which they are written.
    pub(crate) fn tests(&self) -> Vec<(&Name, &Test)> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::tests).collect(),
            Self::Not(part) => part.tests(),
            Self::Test { field, test } => vec![(field, test)],
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let joined = |f: &mut std::fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Self::All(_) | Self::Any(_) if parts.len() > 1 => write!(f, "({part})")?,
                    other => write!(f, "{other}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::All(parts) => joined(f, parts, "and"),
            Self::Any(parts) => joined(f, parts, "or"),
            Self::Not(part) => write!(f, "not ({part})"),
            Self::Test { field, test } => match test {
                Test::Equals(value) => write!(f, "{field} is {value}"),
                Test::NotEquals(value) => write!(f, "{field} is not {value}"),
                Test::In(values) => write!(f, "{field} is one of {}", Value::Array(values.clone())),
                Test::Contains(text) => write!(f, "{field} contains {text:?}"),
                Test::Matches(pattern) => write!(f, "{field} matches {:?}", pattern.as_str()),
                Test::Greater(value) => write!(f, "{field} is greater than {value}"),
                Test::Less(value) => write!(f, "{field} is less than {value}"),
                Test::Exists(true) => write!(f, "{field} is there"),
                Test::Exists(false) => write!(f, "{field} is not there"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_compared_as_people_write_them() {
        assert!(Test::Equals(json!("VPN")).passes(Some(&json!("vpn"))));
        assert!(Test::Contains("error 809".into()).passes(Some(&json!("I get ERROR 809 again"))));
        assert!(
            Test::Matches(Pattern::new(r"\berr(or)?\s*\d{3}\b").unwrap()).passes(Some(&json!("Err 809")))
        );
        assert!(!Test::Equals(json!("3")).passes(Some(&json!(3))));
    }

    #[test]
    fn what_is_not_there_passes_only_where_that_is_asked() {
        assert!(Test::NotEquals(json!("x")).passes(None) && Test::Exists(false).passes(None));
        for test in [
            Test::Equals(json!("x")),
            Test::In(vec![json!("x")]),
            Test::Contains(String::new()),
            Test::Greater(json!(0)),
            Test::Less(json!(0)),
            Test::Exists(true),
        ] {
            assert!(!test.passes(None), "{test:?}");
        }
    }

    #[test]
    fn numbers_and_points_in_time_have_an_order_and_texts_have_none() {
        assert!(
            Test::Greater(json!(2)).passes(Some(&json!(3)))
                && !Test::Greater(json!(3)).passes(Some(&json!(3)))
        );
        let later = json!("2026-11-30T08:00:00+01:00");
        assert!(Test::Less(json!("2026-11-30T08:00:00Z")).passes(Some(&later)));
        assert!(!Test::Less(json!("b")).passes(Some(&json!("a"))));
    }

    #[test]
    fn a_pattern_that_would_eat_memory_is_refused() {
        assert!(Pattern::new("((((a{99}){99}){99}){99})").is_err());
        assert!(Pattern::new("(").is_err());
    }
}
