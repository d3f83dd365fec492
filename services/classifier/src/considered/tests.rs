//! What is kept of a decision, and that it is read back as it was.

use common::explain::Said;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::facts::{NotAsked, Plan};
use crate::samples::{WORDS, candidate, classification, decided, good, known};

fn kept(considered: &Considered) -> Considered {
    serde_json::from_value(serde_json::to_value(considered).unwrap()).unwrap()
}

#[test]
fn what_is_kept_is_a_document_that_people_can_read() {
    let (_, considered) = decided(&good(), None);
    insta::assert_json_snapshot!(considered);
}

#[test]
fn facts_come_back_as_checks_look_at_them() {
    let facts = good();
    let (_, considered) = decided(&facts, None);
    let considered = kept(&considered);
    assert_eq!(considered.circumstances(), facts.circumstances);
    assert_eq!(considered.facts.desk, facts.desk);
    let Requester::Known(back) = considered.facts.requester.requester() else {
        panic!("they were known");
    };
    assert_eq!(back.person.id, known().person.id);
    assert!(back.person.account_enabled && !back.person.guest);
    let Reading::Read(read) = considered.reading() else {
        panic!("it was read");
    };
    assert_eq!(read.choice, classification().choice);
    assert_eq!(read.confidence.to_bits(), classification().confidence.to_bits());
}

#[test]
fn a_phone_number_or_a_sign_in_name_is_not_kept() {
    let mut facts = good();
    let mut known = known();
    known.person.mobile_phone = Some("+1 206 555 0100".to_owned());
    facts.requester = Requester::Known(Box::new(known.clone()));
    let (_, considered) = decided(&facts, None);
    let mut text = serde_json::to_string(&considered).unwrap();
    assert!(!text.contains("555"));
    // Only in what retention takes away.
    assert!(text.contains("adele@contoso.example"));
    text = serde_json::to_string(&Considered {
        personal: None,
        ..considered
    })
    .unwrap();
    for personal in ["adele@", "Adele", "forgot my password"] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
}

#[test]
fn a_switch_that_nobody_looked_at_is_not_called_clear() {
    let mut facts = good();
    facts.desk.over = true;
    facts.reading = Reading::NotAsked(NotAsked::Ruled);
    facts.plan = Plan::NotSought;
    let (_, considered) = decided(&facts, None);
    let said = |check: Check| {
        let mut checks = considered.view.checks.iter();
        checks
            .find(|checked| checked.check == check)
            .unwrap()
            .said
            .clone()
    };
    assert!(matches!(said(Check::Switch), Said::Moot { .. }));
    assert!(matches!(said(Check::Confidence), Said::Moot { .. }));
    assert_eq!(said(Check::Account), Said::Clear);
}

#[test]
fn what_is_no_number_is_kept_as_none() {
    let mut facts = good();
    facts.reading = Reading::Read(Classification {
        confidence: f64::NAN,
        threshold: None,
        scores: vec![f64::NAN],
        ..classification()
    });
    let (_, considered) = decided(&facts, None);
    let considered = kept(&considered);
    assert_eq!(considered.view.scores[0].score, None);
    assert!(
        matches!(considered.facts.reading, Read::Read { confidence, .. } if confidence.abs() < f64::EPSILON)
    );
}

#[test]
fn the_document_of_another_release_is_read_as_far_as_it_is_understood() {
    let (_, considered) = decided(&good(), None);
    let mut document = serde_json::to_value(&considered).unwrap();
    document["version"] = json!(2);
    document["weather"] = json!("fair");
    document["facts"]["moon"] = json!("full");
    document["checks"][0]["check"] = json!("moon");
    document.as_object_mut().unwrap().remove("scores");
    document.as_object_mut().unwrap().remove("personal");
    let read: Considered = serde_json::from_value(document).unwrap();
    assert_eq!(read.view.version, 2);
    assert_eq!(read.view.checks[0].check, Check::Later);
    assert!(read.personal.is_none() && read.view.scores.is_empty());
}

#[test]
fn playbooks_that_could_not_be_read_are_not_kept_as_none() {
    let mut facts = good();
    facts.admission = Admission::Unread;
    assert_eq!(kept(&decided(&facts, None).1).facts.playbooks, None);
    facts.admission = Admission::Of(vec![candidate("a", Triggered::NotMet("x is 1 or ".repeat(500)))]);
    let playbooks = kept(&decided(&facts, None).1).facts.playbooks.unwrap();
    // A long condition is told in short: it stands in the document itself.
    assert!(
        matches!(&playbooks[..], [Candidate { trigger: Triggered::NotMet(words), .. }] if words.chars().count() < 400)
    );
}

/// Short and long texts, with signs that Postgres refuses among them.
fn long() -> impl Strategy<Value = String> {
    let sign = prop_oneof![4 => any::<char>(), 1 => Just('\0'), 1 => Just('\n')];
    proptest::collection::vec(sign, 0..300).prop_flat_map(|signs| {
        let text: String = signs.into_iter().collect();
        (1_usize..20).prop_map(move |times| text.repeat(times))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Postgres takes every document of ours, and none is longer than it may be.
    #[test]
    fn a_text_is_kept_up_to_its_limit_and_without_what_postgres_refuses(summary in long(), details in long()) {
        let text = KeptText::of(Text { summary: &summary, details: &details });
        prop_assert!(text.summary.chars().count() + text.details.chars().count() <= LONGEST_TEXT);
        prop_assert!(!text.summary.contains('\0') && !text.details.contains('\0'));
        let signs = |text: &str| text.chars().filter(|sign| *sign != '\0').count();
        prop_assert_eq!(text.cut, signs(&summary) + signs(&details) > LONGEST_TEXT);
    }
}

#[test]
fn a_short_text_is_kept_whole() {
    let text = KeptText::of(WORDS);
    assert_eq!(
        (text.summary.as_str(), text.details.as_str(), text.cut),
        ("I forgot my password", "", false)
    );
}
