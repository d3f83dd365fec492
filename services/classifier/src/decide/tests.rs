//! The gate's table of verdicts, written by hand: each fact that speaks against automation, alone and together.

use chassis::switches::Off;
use common::methods::{MethodKind, RecentChange, SignInMethod, recent_change};
use common::operate::SwitchedOff;
use common::protection::Protection;
use common::velocity::{Exceeded, Limited};
use time::macros::datetime;

use super::*;
use crate::classify::{About, Classification, Refusal};
use crate::facts::{Execution, Kind, Known, Plan, Reading, Sender, Triggered};
use crate::samples::{candidate, classification, good, known};

const THRESHOLD: f64 = 0.85;

/// A rule spoke against the ticket, so it was not read.
fn unasked(change: impl FnOnce(&mut Facts)) -> Facts {
    with(|facts| {
        facts.reading = Reading::NotAsked(NotAsked::Ruled);
        facts.plan = Plan::NotSought;
        change(facts);
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
fn alone(table: impl IntoIterator<Item = (Facts, &'static str)>) {
    for (facts, code) in table {
        assert_eq!(codes(&facts), [code]);
    }
}

#[test]
fn each_rule_alone_leads_to_a_person_with_its_own_reason() {
    alone([
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
        (with(|facts| facts.desk.made_by_agent = true), "made_by_agent"),
        (
            with(|facts| facts.desk.kind = Kind::Other(Some(4))),
            "ticket_type_not_admitted",
        ),
        (
            with(|facts| facts.desk.kind = Kind::Other(None)),
            "ticket_type_not_admitted",
        ),
        (
            with(|facts| facts.desk.sender = Sender::Another),
            "sender_unverified",
        ),
        (
            with(|facts| facts.admission = Admission::Unread),
            "playbooks_unavailable",
        ),
        (
            with(|facts| facts.admission = Admission::Of(vec![])),
            "no_active_playbook",
        ),
    ]);
}

#[test]
fn each_blocker_alone_leads_to_a_person_with_its_own_reason() {
    alone([
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
            with(|facts| facts.reading = Reading::NotAsked(NotAsked::Unread)),
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
        (
            with_reading(|reading| reading.refusal = Some(Refusal::Text("it objects".to_owned()))),
            "text_objection",
        ),
        (
            with_reading(|reading| reading.refusal = Some(Refusal::SecondReader(triage::Kind::Printer))),
            "second_reader",
        ),
        (with(|facts| facts.plan = Plan::Several), "several_playbooks"),
        (with(|facts| facts.plan = Plan::Nothing), "no_active_playbook"),
        (with(|facts| facts.execution = Execution::Open), "execution_open"),
        (
            with(|facts| facts.execution = Execution::Ended),
            "already_automated",
        ),
        (
            with(|facts| facts.execution = Execution::Unread),
            "executions_unavailable",
        ),
    ]);
}

fn admission_of(triggers: &[Triggered]) -> Facts {
    let names = ["a", "b", "c", "d", "e"];
    let candidates = names.iter().zip(triggers);
    let candidates = candidates.map(|(name, trigger)| candidate(name, trigger.clone()));
    unasked(|facts| facts.admission = Admission::Of(candidates.collect()))
}

fn details(facts: &Facts) -> String {
    let lines = in_words(facts)
        .into_iter()
        .map(|(code, detail)| format!("{code}: {detail}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn in_words(facts: &Facts) -> Vec<(String, String)> {
    match decide(weigh(facts, THRESHOLD, None)) {
        Verdict::Automate => vec![],
        Verdict::Manual { against } => against.into_iter().map(|b| (b.code, b.detail)).collect(),
    }
}

#[test]
fn where_no_trigger_holds_the_ticket_goes_to_a_person_who_reads_what_they_want() {
    let not = |words: &str| Triggered::NotMet(words.to_owned());
    let facts = [
        admission_of(&[not("ticket.type is 4")]),
        admission_of(&[Triggered::Unreadable]),
        admission_of(&[not("ticket.type is 4"), Triggered::Unreadable]),
        admission_of(&[Triggered::Unreadable, Triggered::Unreadable]),
        admission_of(&["1", "2", "3", "4", "5"].map(not)),
    ];
    insta::assert_snapshot!(facts.iter().map(details).collect::<Vec<_>>().join("\n"));
}

#[test]
fn one_playbook_that_starts_on_the_ticket_is_enough() {
    let mut facts = good();
    facts.admission = Admission::Of(vec![
        candidate("a", Triggered::Unreadable),
        candidate("b", Triggered::Admits),
    ]);
    assert!(codes(&facts).is_empty());
}

/// The classifier may cost money and sees the text: each of these tickets is left to a person without it.
#[test]
fn no_text_is_read_where_a_rule_or_every_trigger_says_no() {
    let worth = |facts: &Facts| worth_reading(facts.desk, &facts.requester, &facts.admission);
    assert_eq!(worth(&good()), Ok(()));
    let ruled: [fn(&mut Facts); 9] = [
        |facts| facts.desk.over = true,
        |facts| facts.desk.made_by_agent = true,
        |facts| facts.desk.touched = true,
        |facts| facts.desk.kind = Kind::Other(Some(4)),
        |facts| facts.desk.sender = Sender::Another,
        |facts| facts.requester = Requester::Nobody,
        |facts| facts.requester = Requester::Stranger,
        |facts| facts.requester = Requester::Ambiguous,
        |facts| facts.requester = Requester::Unread,
    ];
    for spoil in ruled {
        assert_eq!(worth(&with(spoil)), Err(NotAsked::Ruled));
    }
    for admission in [
        Admission::Unread,
        Admission::Of(vec![]),
        Admission::Of(vec![candidate("a", Triggered::Unreadable)]),
        Admission::Of(vec![candidate("a", Triggered::NotMet(String::new()))]),
    ] {
        assert_eq!(
            worth(&with(|facts| facts.admission = admission)),
            Err(NotAsked::NothingOffered)
        );
    }
    // A person who may not be automated is told what their ticket was about all the same.
    let disabled = with_known(|known| known.person.account_enabled = false);
    assert_eq!(worth(&disabled), Ok(()));
}

#[test]
fn what_was_not_asked_is_moot_for_a_reason_and_adds_no_blocker() {
    let facts = unasked(|facts| facts.desk.over = true);
    assert_eq!(codes(&facts), ["ticket_over"]);
    let answers = weigh(&facts, THRESHOLD, None);
    for answer in [
        &answers.reading,
        &answers.confidence,
        &answers.affected,
        &answers.text,
        &answers.plan,
    ] {
        assert!(
            matches!(answer, Answer::Moot(why) if !why.is_empty()),
            "{answer:?}"
        );
    }
    let nobody = unasked(|facts| {
        facts.requester = Requester::Nobody;
        facts.admission = Admission::Of(vec![candidate("a", Triggered::NotMet(String::new()))]);
    });
    let unsaid = with(|facts| {
        facts.desk.sender = Sender::Unsaid;
        facts.requester = Requester::Stranger;
    });
    assert!(matches!(weigh(&unsaid, THRESHOLD, None).sender, Answer::Moot(_)));
    assert_eq!(
        codes(&nobody),
        ["no_requester"],
        "what a trigger says of nobody means nothing"
    );
}

#[test]
fn every_check_stands_in_the_order_once() {
    let order: Vec<Check> = weigh(&good(), THRESHOLD, None)
        .in_order()
        .into_iter()
        .map(|(check, _)| check)
        .collect();
    assert_eq!(order, Check::ALL);
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
fn no_confidence_and_no_threshold_outweighs_what_the_text_or_a_second_reader_says() {
    for refusal in [
        Refusal::Text("it objects".to_owned()),
        Refusal::SecondReader(triage::Kind::MfaReset),
    ] {
        let facts = with_reading(|reading| {
            reading.confidence = 1.0;
            reading.refusal = Some(refusal.clone());
        });
        assert!(matches!(decide(weigh(&facts, 0.0, None)), Verdict::Manual { .. }));
    }
}

#[test]
fn the_threshold_itself_is_enough() {
    assert!(codes(&with_reading(|reading| reading.confidence = THRESHOLD)).is_empty());
}

#[test]
fn a_check_that_nobody_answered_is_a_no() {
    let mut answers = weigh(&good(), THRESHOLD, None);
    answers.guest = Answer::Moot("nobody looked");
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
