//! What is written reads as what it was written from, and is written the same again.

pub(crate) mod documents;

use proptest::prelude::*;

use super::*;
use crate::check::properties::shipped;
use documents::documents;

fn read_back(source: &str) -> Option<Document> {
    let mut findings = Findings::default();
    let document = read::document(yaml::parse(source, &mut findings)?, &mut findings);
    (!findings.any_error()).then_some(document)
}

/// A document without its positions.
pub(crate) fn blind(document: &Document) -> String {
    let mut shown = String::new();
    let whole = format!("{document:#?}");
    let mut rest = whole.as_str();
    while let Some((before, after)) = rest.split_once("Position {") {
        shown.push_str(before);
        rest = after.split_once('}').unwrap().1;
    }
    shown + rest
}

fn holds(document: &Document) -> Result<(), TestCaseError> {
    let printed = print(document);
    let Some(again) = read_back(&printed) else {
        let mut findings = Findings::default();
        if let Some(root) = yaml::parse(&printed, &mut findings) {
            read::document(root, &mut findings);
        }
        return Err(TestCaseError::fail(format!(
            "{:?}\n{printed}",
            findings.in_order()
        )));
    };
    prop_assert_eq!(blind(&again), blind(document), "{}", printed);
    prop_assert_eq!(print(&again), printed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_document_reads_the_same_and_is_printed_the_same(document in documents()) {
        holds(&document)?;
    }
}

#[test]
fn every_shipped_playbook_survives_being_formatted() {
    for (name, source) in shipped() {
        let document = read_back(&source).unwrap();
        holds(&document).unwrap_or_else(|why| panic!("{name}: {why}"));
        let formatted = format(&source).unwrap();
        assert_eq!(format(&formatted).as_ref(), Some(&formatted), "{name}");
    }
}

#[test]
fn a_formatted_playbook_looks_like_one() {
    let source = r##"
version: 1.20
name: NAME
trigger: {on: created, when: {all: [{field: ticket.summary, operator: contains, value: vpn}, {not: {any: []}}]}}
steps:
# A question first.
- {type: ask, id: which, question: "  Which: \"a\" or\n b? ", choices: {office: At work, home: "# at home"}, timeout: 7200,
   outcomes: {home: both, office: both}, on_timeout: person}
- id: both
  type: parallel
  branches:
    left: [{id: note, service: ticket.note, with: {text: '{{ ticket.summary }}', visibility: internal}, retry: {max_attempts: 2},
            on_success: l, on_failure: l}, {id: l, type: terminal, status: RESOLVED}]
    right: [{id: w, type: wait, for: 90, on_success: r}, {id: r, type: terminal, status: RESOLVED}]
  on_success: done
  on_failure: person
- {id: done, type: terminal, status: RESOLVED}
- {id: person, type: escalation, reason: Somebody}
"##
    .replace("NAME", "t");
    insta::assert_snapshot!(format(&source).unwrap());
}

#[test]
fn what_cannot_be_read_is_not_formatted() {
    for source in ["", "name: [", "name: t\n", "name: t\nversion: 1\nsteps: []\n"] {
        assert_eq!(format(source), None, "{source:?}");
    }
    // What only a later check refuses is formatted all the same.
    assert!(format("name: t\nversion: 1\nsteps: [{id: a, service: no.where, on_success: b}]\n").is_some());
}

#[test]
fn a_condition_as_deep_as_may_be_is_printed_no_deeper() {
    let lists = |depth: usize| {
        format!(
            "name: t\nversion: 1\ntrigger: {{when: {}{}}}\nsteps: [{{id: d, type: terminal, status: RESOLVED}}]\n",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let deepest = (1..40)
        .filter(|depth| read_back(&lists(*depth)).is_some())
        .max()
        .unwrap();
    assert!(deepest > 20);
    assert!(read_back(&format(&lists(deepest)).unwrap()).is_some());
}
