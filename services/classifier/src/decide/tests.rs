//! The gate's table of verdicts, written by hand: each fact that speaks against automation, alone and together.

use chassis::switches::Off;
use common::methods::{MethodKind, RecentChange, SignInMethod, recent_change};
use common::operate::SwitchedOff;
use common::playbook::TriggerView;
use common::protection::Protection;
use common::velocity::{Exceeded, Limited};
use common::{Digest, Person, PlaybookRef};
use playbook_lang::Occasion;
use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::facts::Offered;

const THRESHOLD: f64 = 0.85;

fn known() -> Known {
    Known {
        person: Person {
            id: "o-1".parse().unwrap(),
            user_principal_name: "adele@contoso.example".to_owned(),
            display_name: "Adele Vance".to_owned(),
            mail: Some("adele@contoso.example".to_owned()),
            department: None,
            job_title: None,
            account_enabled: true,
            guest: false,
            management_restricted: false,
            mobile_phone: None,
        },
        protection: None,
        changed: None,
        manager: None,
    }
}

fn classification() -> Classification {
    Classification {
        choice: Some(0),
        confidence: 0.93,
        about: About::Requester,
        reasoning: "because".to_owned(),
        model: "m".to_owned(),
        prompt_version: "p".to_owned(),
    }
}

/// Facts against which nothing speaks.
fn good() -> Facts {
    Facts {
        desk: Desk {
            over: false,
            touched: false,
        },
        requester: Requester::Known(Box::new(known())),
        reading: Reading::Read(classification()),
        plan: Plan::Fits(Box::new(Offered {
            playbook: PlaybookRef {
                name: "password_reset".parse().unwrap(),
                version: "1.2".parse().unwrap(),
                digest: Digest::of("yaml"),
            },
            category: "REQUEST".to_owned(),
            sub_category: Some("PASSWORD_RESET".to_owned()),
            trigger: None,
        })),
        execution: Execution::None,
        circumstances: Circumstances {
            known: playbook_lang::Facts::default().with("ticket.type", json!(3)),
            happened: vec![Occasion::Created],
        },
    }
}

fn with_trigger(trigger: serde_json::Value) -> Facts {
    let trigger: TriggerView = serde_json::from_value(trigger).unwrap();
    with(|facts| {
        if let Plan::Fits(offered) = &mut facts.plan {
            offered.trigger = Some(trigger);
        }
    })
}

fn codes(facts: &Facts) -> Vec<String> {
    match decide(weigh(facts, THRESHOLD, None)) {
        Verdict::Automate => vec![],
        Verdict::Manual { against } => against.into_iter().map(|blocker| blocker.code).collect(),
    }
}

fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = good();
    change(&mut facts);
    facts
}

fn with_known(change: impl FnOnce(&mut Known)) -> Facts {
    let mut known = known();
    change(&mut known);
    with(|facts| facts.requester = Requester::Known(Box::new(known)))
}

fn with_reading(change: impl FnOnce(&mut Classification)) -> Facts {
    let mut classification = classification();
    change(&mut classification);
    with(|facts| facts.reading = Reading::Read(classification))
}

fn new_phone() -> Option<RecentChange> {
    let now = datetime!(2026-11-28 12:00 UTC);
    let phone = SignInMethod {
        kind: MethodKind::Phone,
        created: Some(now),
    };
    recent_change(&[phone], 7, now)
}

#[test]
fn what_recording_it_ran_into_leads_to_a_person_who_reads_until_when() {
    let exceeded = Exceeded {
        limited: Limited::Requester,
        limit: "3/86400".parse().unwrap(),
        free_at: datetime!(2026-11-29 12:00 UTC),
    };
    let off = Off {
        switch: common::Switch::Tenant,
        off: SwitchedOff {
            name: "service:verification".to_owned(),
            reason: "Possible attack.".to_owned(),
            since: datetime!(2026-11-28 12:00 UTC),
        },
    };
    let table = [Objection::Limit(exceeded), Objection::SwitchedOff(Box::new(off))];
    let words = table.map(
        |objection| match decide(weigh(&good(), THRESHOLD, Some(&objection))) {
            Verdict::Manual { against } if against.len() == 1 => {
                format!("{}: {}", against[0].code, against[0].detail)
            }
            other => panic!("{other:?}"),
        },
    );
    insta::assert_snapshot!(words.join("\n"), @r"
    velocity_requester: there were already 3 automated requests of this person in 24 hours, which is the limit; the next is possible from 2026-11-29 12:00 UTC
    switched_off: the tenant's switch has been off since 2026-11-28 12:00 UTC (service:verification: Possible attack)
    ");
}

#[test]
fn a_ticket_against_which_nothing_speaks_is_automated() {
    assert_eq!(decide(weigh(&good(), THRESHOLD, None)), Verdict::Automate);
}

/// The whole table, by hand: each fact alone leads to a person, with its own reason and no other.
#[test]
fn each_fact_alone_leads_to_a_person_with_its_own_reason() {
    let table = [
        (with(|facts| facts.desk.over = true), "ticket_over"),
        (with(|facts| facts.desk.touched = true), "touched_by_agent"),
        (with(|facts| facts.requester = Requester::Nobody), "no_requester"),
        (
            with(|facts| facts.requester = Requester::NotAPerson),
            "requester_not_active",
        ),
        (
            with(|facts| facts.requester = Requester::WithoutAddress),
            "requester_without_address",
        ),
        (
            with(|facts| facts.requester = Requester::Stranger),
            "requester_not_in_directory",
        ),
        (
            with(|facts| facts.requester = Requester::Ambiguous),
            "requester_ambiguous",
        ),
        (
            with(|facts| facts.requester = Requester::Unread),
            "directory_unavailable",
        ),
        (
            with_known(|known| known.person.account_enabled = false),
            "account_disabled",
        ),
        (with_known(|known| known.person.guest = true), "guest_account"),
        (
            with_known(|known| known.protection = Some(Protection::Vip)),
            "protected_vip",
        ),
        (with_known(|known| known.changed = new_phone()), "method_changed"),
        (
            with(|facts| facts.reading = Reading::Declined),
            "classifier_declined",
        ),
        (
            with(|facts| facts.reading = Reading::Unread),
            "classifier_unavailable",
        ),
        (
            with(|facts| facts.reading = Reading::NotAsked),
            "check_unanswered",
        ),
        (with(|facts| facts.plan = Plan::NotSought), "check_unanswered"),
        (
            with_reading(|reading| reading.confidence = 0.8499),
            "below_threshold",
        ),
        (
            with_reading(|reading| reading.confidence = f64::NAN),
            "below_threshold",
        ),
        (
            with_reading(|reading| reading.about = About::SomebodyElse),
            "about_somebody_else",
        ),
        (
            with_reading(|reading| reading.about = About::Unclear),
            "about_unclear",
        ),
        (with(|facts| facts.plan = Plan::Several), "several_playbooks"),
        (with(|facts| facts.plan = Plan::Nothing), "no_active_playbook"),
        (with(|facts| facts.plan = Plan::Unread), "playbooks_unavailable"),
        (with(|facts| facts.execution = Execution::Open), "execution_open"),
        (
            with(|facts| facts.execution = Execution::Ended),
            "already_automated",
        ),
        (
            with(|facts| facts.execution = Execution::Unread),
            "executions_unavailable",
        ),
    ];
    for (facts, code) in table {
        assert_eq!(codes(&facts), [code]);
    }
}

#[test]
fn a_trigger_alone_leads_to_a_person() {
    let test =
        |operator: &str, value: i64| json!({"field": "ticket.type", "operator": operator, "value": value});
    let table = [
        (json!({"when": test("equals", 4)}), "trigger_not_met"),
        (
            json!({"on": ["status_changed"], "when": {"all": []}}),
            "trigger_not_met",
        ),
        (json!({"source": "jira", "when": {"all": []}}), "trigger_not_met"),
        (json!({"when": test("resembles", 3)}), "trigger_unreadable"),
        (
            json!({"on": ["eaten"], "when": {"all": []}}),
            "trigger_unreadable",
        ),
    ];
    for (trigger, code) in table {
        assert_eq!(codes(&with_trigger(trigger)), [code]);
    }
    let mut unheard_of = with_trigger(json!({"when": test("equals", 3)}));
    unheard_of.circumstances.happened.clear();
    assert_eq!(codes(&unheard_of), ["trigger_not_met"]);
}

#[test]
fn a_trigger_that_holds_speaks_against_nothing_and_one_that_does_not_is_named() {
    let holds =
        json!({"on": ["created"], "when": {"field": "ticket.type", "operator": "equals", "value": 3}});
    assert!(codes(&with_trigger(holds)).is_empty());
    let not =
        with_trigger(json!({"when": {"field": "ticket.team", "operator": "equals", "value": "1st Line"}}));
    let Verdict::Manual { against } = decide(weigh(&not, THRESHOLD, None)) else {
        panic!("automated against its trigger");
    };
    assert_eq!(
        against[0].detail,
        "the playbook starts only where ticket.team is \"1st Line\""
    );
}

#[test]
fn every_reason_is_given_and_not_only_the_first() {
    let mut facts = with_known(|known| {
        known.person.account_enabled = false;
        known.protection = Some(Protection::Role("Global Administrator".to_owned()));
    });
    facts.desk.touched = true;
    facts.execution = Execution::Open;
    assert_eq!(
        codes(&facts),
        [
            "touched_by_agent",
            "account_disabled",
            "protected_role",
            "execution_open"
        ]
    );
}

#[test]
fn the_threshold_itself_is_enough() {
    assert!(codes(&with_reading(|reading| reading.confidence = THRESHOLD)).is_empty());
}

#[test]
fn a_check_that_nobody_answered_is_a_no() {
    let mut answers = weigh(&good(), THRESHOLD, None);
    answers.guest = Answer::Moot;
    let Verdict::Manual { against } = decide(answers) else {
        panic!("automated without an answer");
    };
    assert_eq!(against[0].code, "check_unanswered");
}

#[test]
fn a_ticket_of_no_category_needs_no_confidence() {
    let facts = with(|facts| {
        facts.plan = Plan::Nothing;
        facts.reading = Reading::Read(Classification {
            choice: None,
            confidence: 0.2,
            ..classification()
        });
    });
    assert_eq!(codes(&facts), ["no_active_playbook"]);
}
