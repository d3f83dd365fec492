//! What the directory said of a person before it was asked to change anything, and what was there afterwards: for whoever
//! asks later what an effect changed. Facts that were read anyway, no call is made for it. No secret, no whole number.

use std::time::Duration;

use common::methods::{MethodKind, SignInMethod};
use connectors::PhoneNumber;
use connectors::entra::{Pass, PassPolicy};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::eligibility::Facts;

/// Before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Before {
    account_enabled: bool,
    guest: bool,
    /// `None` where their age does not matter and they were not asked for.
    sign_in_methods: Option<Vec<Method>>,
    /// Where the credential goes, most of it hidden.
    mobile: Option<String>,
    passes: Policy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Method {
    kind: MethodKind,
    #[serde(with = "time::serde::rfc3339::option")]
    created: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Policy {
    allowed: bool,
    shortest_minutes: u64,
    longest_minutes: u64,
    one_time_only: bool,
}

impl Before {
    /// Of what was read; `None` where there is no such person.
    pub(crate) fn of(facts: &Facts) -> Option<Self> {
        let person = facts.person.as_ref()?;
        Some(Self {
            account_enabled: person.account_enabled,
            guest: person.guest,
            sign_in_methods: facts
                .methods
                .as_ref()
                .map(|methods| methods.iter().map(Method::of).collect()),
            mobile: facts.mobile.as_ref().map(PhoneNumber::to_string),
            passes: Policy::of(&facts.policy),
        })
    }
}

impl Method {
    fn of(method: &SignInMethod) -> Self {
        Self {
            kind: method.kind,
            created: method.created,
        }
    }
}

impl Policy {
    fn of(policy: &PassPolicy) -> Self {
        Self {
            allowed: policy.enabled,
            shortest_minutes: minutes(policy.shortest),
            longest_minutes: minutes(policy.longest),
            one_time_only: policy.one_time_only,
        }
    }
}

/// Afterwards: what is there now that was not before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct After {
    pass: Option<Made>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Made {
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    starts: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires: OffsetDateTime,
    lifetime_minutes: u64,
    /// As the directory says it.
    usability: String,
}

impl After {
    /// Nothing is: it was not done, or what was made was deleted again.
    pub(crate) const NOTHING: Self = Self { pass: None };

    /// This pass is, its value aside.
    pub(crate) fn made(pass: &Pass) -> Self {
        Self {
            pass: Some(Made {
                id: pass.id.clone(),
                created: pass.created,
                starts: pass.start,
                expires: pass.expires(),
                lifetime_minutes: minutes(pass.lifetime),
                usability: pass.usability.clone(),
            }),
        }
    }
}

/// As it is kept, and the digest by which the audit names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) state: Value,
    pub(crate) digest: Value,
}

impl Kept {
    pub(crate) fn of(state: &impl Serialize) -> Self {
        let state = json!(state);
        let digest = json!(trust::audit::record_digest(&state));
        Self { state, digest }
    }
}

const fn minutes(duration: Duration) -> u64 {
    duration.as_secs() / 60
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_was_made_is_told_without_its_value() {
        let pass = Pass {
            id: "one".to_owned(),
            secret: SecretString::from("Tc5?vA9k"),
            created: datetime!(2026-11-28 12:00 UTC),
            start: datetime!(2026-11-28 12:00 UTC),
            lifetime: Duration::from_hours(1),
            usable: true,
            usability: "EnabledByPolicy".to_owned(),
        };
        let kept = Kept::of(&After::made(&pass));
        insta::assert_snapshot!(kept.state, @r#"{"pass":{"created":"2026-11-28T12:00:00Z","expires":"2026-11-28T13:00:00Z","id":"one","lifetime_minutes":60,"starts":"2026-11-28T12:00:00Z","usability":"EnabledByPolicy"}}"#);
        assert_ne!(kept.digest, Kept::of(&After::NOTHING).digest);
    }
}
