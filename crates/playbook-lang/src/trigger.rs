//! Triggers on their way: as plain data for whoever decides which tickets may start a playbook, and what they mean there.

use common::playbook::{ConditionView, TriggerView};

use crate::condition::Condition;
use crate::playbook::{Occasion, Trigger};
use crate::read::compared;
use crate::roots::{Facts, Name};
use crate::yaml::{At, Position};

/// The one help desk there is.
const HELP_DESK: &str = "halopsa";

impl From<&Trigger> for TriggerView {
    fn from(trigger: &Trigger) -> Self {
        Self {
            source: trigger.source.clone(),
            on: trigger.on.iter().map(|on| on.as_str().to_owned()).collect(),
            when: ConditionView::from(&trigger.when),
        }
    }
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        let parts = |parts: &[Condition]| parts.iter().map(Self::from).collect();
        match condition {
            Condition::All(all) => Self::All { all: parts(all) },
            Condition::Any(any) => Self::Any { any: parts(any) },
            Condition::Not(not) => Self::Not {
                not: Box::new(Self::from(&**not)),
            },
            Condition::Test { field, test } => Self::Test {
                field: field.to_string(),
                operator: test.operator().to_owned(),
                value: test.value(),
            },
        }
    }
}

impl TryFrom<&ConditionView> for Condition {
    type Error = String;

    /// What cannot be read is no condition: a condition that lost a part means something else.
    fn try_from(view: &ConditionView) -> Result<Self, String> {
        let parts = |parts: &[ConditionView]| -> Result<Vec<Self>, String> {
            parts.iter().map(Self::try_from).collect()
        };
        match view {
            ConditionView::All { all } => parts(all).map(Self::All),
            ConditionView::Any { any } => parts(any).map(Self::Any),
            ConditionView::Not { not } => Self::try_from(&**not).map(|not| Self::Not(Box::new(not))),
            ConditionView::Test {
                field,
                operator,
                value,
            } => {
                let name = Name::read(field).map_err(|why| why.message(field))?;
                let operator = At::new(operator.clone(), Position::START);
                let value = Some((Position::START, value.clone()));
                let test = compared(&operator, value, Position::START).map_err(|(_, message)| message)?;
                Ok(Self::Test { field: name, test })
            }
        }
    }
}

/// Whether a ticket of which these `facts` are known, and to which this happened, may start the playbook. What cannot be
/// read counts for nothing: the caller must take it as a no.
pub fn admits(trigger: &TriggerView, facts: &Facts, happened: Occasion) -> Result<bool, String> {
    let TriggerView { source, on, when } = trigger;
    let known = |word: &String| Occasion::ALL.iter().any(|known| known.as_str() == word);
    if let Some(unknown) = on.iter().find(|word| !known(word)) {
        let unknown: String = unknown.chars().take(40).collect();
        return Err(format!("`{unknown}` does not happen to tickets"));
    }
    let condition = Condition::try_from(when)?;
    let here = source
        .as_ref()
        .is_none_or(|source| source.eq_ignore_ascii_case(HELP_DESK));
    let now = on.is_empty() || on.iter().any(|word| word == happened.as_str());
    Ok(here && now && condition.holds(&|name| facts.named(name)))
}

/// The trigger in words, for people. `None` where it cannot be read.
pub fn in_words(trigger: &TriggerView) -> Option<String> {
    let TriggerView { source, on, when } = trigger;
    let condition = Condition::try_from(when).ok()?;
    let mut words = Vec::new();
    words.extend(
        source
            .as_ref()
            .map(|source| format!("the help desk is `{source}`")),
    );
    if !on.is_empty() {
        words.push(format!("the ticket was {}", on.join(" or ").replace('_', " ")));
    }
    if condition != Condition::All(Vec::new()) {
        words.push(condition.to_string());
    }
    Some(words.join(", and "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "callers write it out with `json!`")]
    fn trigger(when: serde_json::Value, on: &[&str]) -> TriggerView {
        serde_json::from_value(json!({"source": "HaloPSA", "on": on, "when": when})).unwrap()
    }

    fn vpn() -> Facts {
        Facts::default()
            .with("ticket.summary", json!("VPN error 809"))
            .with("ticket.type", json!(3))
    }

    #[test]
    fn a_trigger_means_the_same_on_the_other_side() {
        let when = json!({"all": [
            {"any": [
                {"field": "ticket.summary", "operator": "contains", "value": "vpn"},
                {"field": "ticket.summary", "operator": "matches", "value": "err(or)? \\d+"},
            ]},
            {"not": {"field": "ticket.type", "operator": "in", "value": [1, 2]}},
            {"field": "ticket.team", "operator": "exists", "value": false},
            {"field": "ticket.type", "operator": "greater", "value": 2},
        ]});
        let view = trigger(when.clone(), &["created"]);
        let condition = Condition::try_from(&view.when).unwrap();
        assert_eq!(ConditionView::from(&condition), view.when);
        assert_eq!(serde_json::to_value(&view.when).unwrap(), when);
        assert_eq!(admits(&view, &vpn(), Occasion::Created), Ok(true));
        assert_eq!(admits(&view, &vpn(), Occasion::Updated), Ok(false));
        assert_eq!(admits(&view, &Facts::default(), Occasion::Created), Ok(false));
        let words = in_words(&view).unwrap();
        assert!(
            words.contains("the ticket was created") && words.contains("ticket.summary contains \"vpn\""),
            "{words}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_a_yes() {
        let unreadable = [
            json!({"field": "ticket.summary", "operator": "sounds_like", "value": "x"}),
            json!({"field": "ticket.secret", "operator": "equals", "value": "x"}),
            json!({"field": "ticket.summary", "operator": "matches", "value": "("}),
            json!({"not": {"field": "x", "operator": "equals", "value": 1}}),
        ];
        for when in unreadable {
            assert!(
                admits(&trigger(when.clone(), &[]), &vpn(), Occasion::Created).is_err(),
                "{when}"
            );
        }
        let always = json!({"all": []});
        assert!(admits(&trigger(always.clone(), &["deleted"]), &vpn(), Occasion::Created).is_err());
        let elsewhere = TriggerView {
            source: Some("jira".to_owned()),
            ..trigger(always, &[])
        };
        assert_eq!(admits(&elsewhere, &vpn(), Occasion::Created), Ok(false));
    }
}
