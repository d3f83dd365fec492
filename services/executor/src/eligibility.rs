//! Who may be given a pass by a program, as a table of facts read from the directory a moment ago. Silence is a no.

use std::time::Duration;

use common::Person;
use common::methods::{RecentChange, SignInMethod};
use common::protection::Protection;
use connectors::PhoneNumber;
use connectors::entra::PassPolicy;
use time::Date;

use crate::observed::Before;

/// What the directory said.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) person: Option<Person>,
    pub(crate) protection: Option<Protection>,
    /// By what they sign in; `None` where that was not asked for.
    pub(crate) methods: Option<Vec<SignInMethod>>,
    /// A sign-in method that is too new to be believed.
    pub(crate) changed: Option<RecentChange>,
    pub(crate) mobile: Option<PhoneNumber>,
    pub(crate) policy: PassPolicy,
}

/// What will be done, for whom.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) person: Person,
    pub(crate) destination: PhoneNumber,
    pub(crate) lifetime: Duration,
    /// How it was before.
    pub(crate) before: Before,
}

/// Why a person must see to it. A sentence in the past tense: it becomes a note on the ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ineligible {
    #[error("The directory no longer knows the person, so nothing was reset.")]
    Unknown,
    #[error("The account of {0} is disabled, so nothing was reset.")]
    Disabled(String),
    #[error("{0} is a guest in this directory; guests sign in at home, so nothing was reset.")]
    Guest(String),
    #[error("{name} is protected from automation ({why}), so nothing was reset.")]
    Protected { name: String, why: Protection },
    #[error(
        "{name} has {change}, so nothing was reset: a proof by it may be an attacker's. Confirm in another way that it is \
         theirs."
    )]
    MethodChanged { name: String, change: RecentChange },
    #[error("{0} has no mobile phone method in the directory, so a reset could not be automated.")]
    NoMobile(String),
    #[error("The directory does not allow Temporary Access Passes, so nothing was reset.")]
    PassesDisabled,
    #[error(
        "The reset was begun on {0} and not finished within a day, so it was given up: whoever asked must prove again who \
         they are."
    )]
    BegunLongAgo(Date),
}

impl Ineligible {
    /// Stable, for problems and the audit.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "subject_unknown",
            Self::Disabled(_) => "subject_disabled",
            Self::Guest(_) => "subject_guest",
            Self::Protected { .. } => "subject_protected",
            Self::MethodChanged { .. } => "subject_method_changed",
            Self::NoMobile(_) => "subject_has_no_mobile",
            Self::PassesDisabled => "passes_disabled",
            Self::BegunLongAgo(_) => "begun_long_ago",
        }
    }
}

/// Weigh the facts; the first objection counts.
pub(crate) fn decide(facts: Facts, wanted: Duration) -> Result<Plan, Ineligible> {
    let before = Before::of(&facts).ok_or(Ineligible::Unknown)?;
    // Destructured on purpose: a new fact does not compile until it is weighed here.
    let Facts {
        person,
        protection,
        // Weighed in `changed`.
        methods: _,
        changed,
        mobile,
        policy,
    } = facts;
    let person = person.ok_or(Ineligible::Unknown)?;
    let name = || person.display_name.clone();
    if !person.account_enabled {
        return Err(Ineligible::Disabled(name()));
    }
    if person.guest {
        return Err(Ineligible::Guest(name()));
    }
    if let Some(why) = protection {
        return Err(Ineligible::Protected { name: name(), why });
    }
    if let Some(change) = changed {
        return Err(Ineligible::MethodChanged { name: name(), change });
    }
    let destination = mobile.ok_or_else(|| Ineligible::NoMobile(name()))?;
    if !policy.enabled {
        return Err(Ineligible::PassesDisabled);
    }
    Ok(Plan {
        lifetime: policy.clamp(wanted),
        person,
        destination,
        before,
    })
}

#[cfg(test)]
mod tests {
    use common::methods::{MethodKind, SignInMethod, recent_change};
    use time::macros::datetime;

    use super::*;

    fn facts() -> Facts {
        Facts {
            person: Some(Person {
                id: "a".parse().unwrap(),
                user_principal_name: "adele@contoso.example".to_owned(),
                display_name: "Adele Vance".to_owned(),
                mail: None,
                department: None,
                job_title: None,
                account_enabled: true,
                guest: false,
                management_restricted: false,
                mobile_phone: None,
            }),
            protection: None,
            methods: None,
            changed: None,
            mobile: Some("+447700900123".parse().unwrap()),
            policy: PassPolicy {
                enabled: true,
                shortest: Duration::from_hours(1),
                longest: Duration::from_hours(8),
                one_time_only: false,
            },
        }
    }

    fn objection(change: impl FnOnce(&mut Facts)) -> &'static str {
        let mut facts = facts();
        change(&mut facts);
        decide(facts, Duration::from_hours(1)).unwrap_err().code()
    }

    #[test]
    fn an_ordinary_person_gets_a_pass_within_the_tenant_s_policy() {
        for (wanted, given) in [(15, 60), (60, 60), (90, 90), (43_200, 480)] {
            let plan = decide(facts(), Duration::from_mins(wanted)).unwrap();
            assert_eq!(plan.lifetime, Duration::from_mins(given));
            assert_eq!(plan.destination.as_e164(), "+447700900123");
        }
    }

    #[test]
    fn every_single_fact_can_stop_it() {
        let person =
            |change: fn(&mut Person)| move |facts: &mut Facts| change(facts.person.as_mut().unwrap());
        assert_eq!(objection(|facts| facts.person = None), "subject_unknown");
        assert_eq!(
            objection(person(|person| person.account_enabled = false)),
            "subject_disabled"
        );
        assert_eq!(objection(person(|person| person.guest = true)), "subject_guest");
        assert_eq!(objection(|facts| facts.mobile = None), "subject_has_no_mobile");
        assert_eq!(objection(|facts| facts.policy.enabled = false), "passes_disabled");
        assert_eq!(
            objection(|facts| facts.protection = Some(Protection::Listed)),
            "subject_protected"
        );
        assert_eq!(
            objection(|facts| facts.changed = change()),
            "subject_method_changed"
        );
    }

    fn change() -> Option<RecentChange> {
        let now = datetime!(2026-11-28 12:00 UTC);
        let phone = SignInMethod {
            kind: MethodKind::Phone,
            created: Some(now - time::Duration::days(2)),
        };
        recent_change(&[phone], 7, now)
    }

    #[test]
    fn whoever_takes_over_reads_what_is_the_matter() {
        let mut protected = facts();
        protected.protection = Some(Protection::Role("Global Administrator".to_owned()));
        let mut changed = facts();
        changed.changed = change();
        let words =
            [protected, changed].map(|facts| decide(facts, Duration::from_hours(1)).unwrap_err().to_string());
        insta::assert_snapshot!(words.join("\n"), @r"
        Adele Vance is protected from automation (directory role Global Administrator), so nothing was reset.
        Adele Vance has a phone number that was registered only on 2026-11-26, so nothing was reset: a proof by it may be an attacker's. Confirm in another way that it is theirs.
        ");
    }
}
