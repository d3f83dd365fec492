//! A decision in words.

use chassis::switches::Off;
use common::operate::SwitchedOff;
use common::protection::Protection;
use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::classify::{About, Classification, Refusal};
use crate::considered::Considered;
use crate::decide::{Answer, Answers, Verdict, decide, weigh};
use crate::facts::{
    Admission, Execution, Facts, Kind, NotAsked, Objection, Plan, Reading, Requester, Sender, Triggered,
};
use crate::samples::{THRESHOLD, candidate, classification, decided, good, known};

fn told((decision, considered): (Decision, Considered)) -> String {
    explain(decision, Some(considered.view)).explanation.join("\n")
}

fn doubtful() -> Facts {
    let mut facts = good();
    let mut known = known();
    known.person.account_enabled = false;
    facts.requester = Requester::Known(Box::new(known));
    facts.reading = Reading::Read(Classification {
        confidence: 0.71,
        about: About::Unclear,
        ..classification()
    });
    facts
}

#[test]
fn an_automated_ticket_is_told_in_two_sentences() {
    insta::assert_snapshot!(told(decided(&good(), None)));
}

#[test]
fn each_thing_against_it_is_told_with_what_would_have_had_to_be_different() {
    insta::assert_snapshot!(told(decided(&doubtful(), None)));
}

#[test]
fn a_ticket_that_was_not_read_says_so_and_why() {
    let mut facts = good();
    facts.desk.over = true;
    facts.desk.kind = Kind::Other(Some(4));
    facts.requester = Requester::Stranger;
    facts.reading = Reading::NotAsked(NotAsked::Ruled);
    facts.plan = Plan::NotSought;
    insta::assert_snapshot!(told(decided(&facts, None)));
}

#[test]
fn a_decision_from_before_reasons_were_kept_is_told_as_far_as_it_is_known() {
    let (decision, _) = decided(&doubtful(), None);
    insta::assert_snapshot!(explain(decision, None).explanation.join("\n"));
}

/// The embedded classifier's words are ours; a language model's may be the ticket's.
#[test]
fn why_it_was_read_so_is_told_in_our_own_words_only() {
    let (mut decision, considered) = decided(&good(), None);
    decision.reasoning = "reads like the category, but it asks for somebody else".to_owned();
    let mut told = |model: &str| {
        decision.model = model.to_owned();
        explain(decision.clone(), Some(considered.view.clone())).explanation
    };
    let words = "In the classifier's words, it reads like the category, but it asks for somebody else.";
    assert_eq!(told(MODEL)[2], words);
    assert!(!told("gpt-5").join(" ").contains("somebody else"));
}

#[test]
fn a_confidence_just_below_the_threshold_looks_below_it() {
    let mut facts = good();
    facts.reading = Reading::Read(Classification {
        confidence: 0.8499,
        ..classification()
    });
    let (decision, considered) = decided(&facts, None);
    assert_eq!(
        decision.blockers[0].detail,
        "the confidence 0.8499 is below 0.8500"
    );
    let explained = explain(decision, Some(considered.view));
    assert_eq!(
        explained.otherwise[0].words,
        "the confidence would have had to be at least 0.8500 (it was 0.8499)"
    );
}

/// Every code that a check of ours can give has words of its own, and not only the blocker's.
#[test]
fn every_blocker_of_ours_has_its_counterfactual() {
    let off = Objection::SwitchedOff(Box::new(Off {
        switch: common::Switch::Tenant,
        off: SwitchedOff {
            name: "Grady".to_owned(),
            reason: "Look.".to_owned(),
            since: datetime!(2026-11-28 12:00 UTC),
        },
    }));
    let mut lines = std::collections::BTreeSet::new();
    for facts in spoiled().into_iter().chain([good()]) {
        let objection = (facts == good()).then_some(&off);
        let (decision, considered) = decided(&facts, objection);
        for otherwise in explain(decision, Some(considered.view)).otherwise {
            assert!(
                !otherwise.words.starts_with("this would have to be gone"),
                "{otherwise:?}"
            );
            lines.insert(format!("{}: {}", otherwise.code, otherwise.words));
        }
    }
    insta::assert_snapshot!(lines.into_iter().collect::<Vec<_>>().join("\n"));
}

fn spoiled() -> Vec<Facts> {
    let of = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        facts
    };
    let mut all = vec![
        of(&|facts| facts.desk.over = true),
        of(&|facts| facts.desk.made_by_agent = true),
        of(&|facts| facts.desk.touched = true),
        of(&|facts| facts.desk.kind = Kind::Other(None)),
        of(&|facts| facts.desk.sender = Sender::Another),
        of(&|facts| facts.admission = Admission::Unread),
        of(&|facts| facts.admission = Admission::Of(vec![])),
        of(&|facts| {
            facts.admission = Admission::Of(vec![candidate("a", Triggered::NotMet("x is 1".to_owned()))]);
        }),
        of(&|facts| facts.admission = Admission::Of(vec![candidate("a", Triggered::Unreadable)])),
        of(&|facts| facts.reading = Reading::Declined),
        of(&|facts| facts.reading = Reading::Unread),
        of(&|facts| facts.plan = Plan::Several),
        of(&|facts| facts.plan = Plan::Nothing),
    ];
    for requester in [
        Requester::Nobody,
        Requester::NotAPerson,
        Requester::WithoutAddress,
        Requester::Stranger,
        Requester::Ambiguous,
        Requester::Unread,
    ] {
        all.push(of(&|facts| facts.requester = requester.clone()));
    }
    for execution in [Execution::Open, Execution::Ended, Execution::Unread] {
        all.push(of(&|facts| facts.execution = execution));
    }
    for about in [About::SomebodyElse, About::Unclear] {
        all.push(of(&|facts| {
            facts.reading = Reading::Read(Classification {
                about,
                confidence: 0.5,
                ..classification()
            });
        }));
    }
    for refusal in [
        Refusal::Text("it objects".to_owned()),
        Refusal::SecondReader(triage::Kind::Printer),
    ] {
        all.push(of(&|facts| {
            facts.reading = Reading::Read(Classification {
                refusal: Some(refusal.clone()),
                ..classification()
            });
        }));
    }
    let mut person = known();
    person.person.account_enabled = false;
    person.person.guest = true;
    person.protection = Some(Protection::Role("Global Administrator".to_owned()));
    all.push(of(&|facts| {
        facts.requester = Requester::Known(Box::new(person.clone()));
    }));
    all
}

/// Text from people: lines, marks and signs that turn the direction of others.
fn hostile() -> impl Strategy<Value = String> {
    let sign = prop_oneof![
        any::<char>(),
        Just('\n'),
        Just('\r'),
        Just('\u{2028}'),
        Just('\u{202e}'),
        Just('\u{1b}'),
        Just('✓'),
        Just('.')
    ];
    proptest::collection::vec(sign, 0..600).prop_map(|signs| signs.into_iter().collect())
}

/// Any answers at all: each check clear, against or moot.
fn answers() -> impl Strategy<Value = Answers> {
    proptest::collection::vec(0_u8..3, Check::ALL.len()).prop_map(|draws| {
        let mut answers = weigh(&good(), THRESHOLD, None);
        let all = every(&mut answers);
        for (number, (answer, draw)) in all.into_iter().zip(draws).enumerate() {
            *answer = match draw {
                0 => Answer::Clear,
                1 => Answer::Moot("nobody looked"),
                _ => Answer::Against(Blocker {
                    code: format!("code_{number}"),
                    detail: format!("reason {number}"),
                }),
            };
        }
        answers
    })
}

fn every(answers: &mut Answers) -> [&mut Answer; Check::ALL.len()] {
    [
        &mut answers.open,
        &mut answers.made,
        &mut answers.untouched,
        &mut answers.kind,
        &mut answers.requester,
        &mut answers.sender,
        &mut answers.trigger,
        &mut answers.reading,
        &mut answers.confidence,
        &mut answers.affected,
        &mut answers.text,
        &mut answers.plan,
        &mut answers.account,
        &mut answers.guest,
        &mut answers.protection,
        &mut answers.methods,
        &mut answers.execution,
        &mut answers.switch,
        &mut answers.velocity,
    ]
}

fn judged(answers: Answers) -> (Decision, Considered) {
    let (mut decision, _) = decided(&good(), None);
    if let Verdict::Manual { against } = decide(answers.clone()) {
        decision.blockers = against;
        decision.automated = false;
    }
    let offers = crate::samples::offers();
    let considered = Considered::new(
        &good(),
        crate::samples::WORDS,
        &offers,
        answers,
        THRESHOLD,
        decision.automated,
    );
    (decision, considered)
}

proptest! {
    #[test]
    fn every_blocker_is_named_and_each_has_its_counterfactual(answers in answers()) {
        let (decision, considered) = judged(answers);
        let explained = explain(decision.clone(), Some(considered.view));
        for blocker in &decision.blockers {
            let naming = format!("Against it: {} ({}).", blocker.detail, blocker.code);
            prop_assert!(explained.explanation.contains(&naming), "{naming}: {:?}", explained.explanation);
        }
        let codes: Vec<&str> = explained.otherwise.iter().map(|otherwise| otherwise.code.as_str()).collect();
        let expected: Vec<&str> = decision.blockers.iter().map(|blocker| blocker.code.as_str()).collect();
        prop_assert_eq!(codes, expected);
    }

    /// What would have had to be different is enough, and nothing less is: with every blocker of it gone, and what was not
    /// asked clear, the ticket is automated; with any of them left it is not.
    #[test]
    fn the_set_of_what_would_have_had_to_be_different_is_enough_and_minimal(answers in answers(), left in any::<prop::sample::Index>()) {
        let (decision, considered) = judged(answers.clone());
        let set = standing(&decision, Some(&considered.view));
        let without = |kept: Option<&str>| {
            let mut answers = answers.clone();
            for answer in every(&mut answers) {
                let stays = matches!(answer, Answer::Against(blocker) if Some(blocker.code.as_str()) == kept);
                if !stays {
                    *answer = Answer::Clear;
                }
            }
            decide(answers)
        };
        prop_assert_eq!(without(None), Verdict::Automate);
        let ours: Vec<&str> = set.iter().filter(|(check, _)| check.is_some()).map(|(_, blocker)| blocker.code.as_str()).collect();
        if !ours.is_empty() {
            let kept = ours[left.index(ours.len())];
            let still = matches!(without(Some(kept)), Verdict::Manual { .. });
            prop_assert!(still, "{}", kept);
        }
    }

    /// Whatever people wrote into names, reasons and conditions: the same sentences in the same order, each one line.
    #[test]
    fn no_text_changes_the_structure_of_an_explanation(text in hostile()) {
        let shape = |text: &str| {
            let (mut decision, mut considered) = decided(&doubtful(), None);
            for blocker in &mut decision.blockers {
                blocker.detail = text.to_owned();
            }
            decision.category = text.to_owned();
            decision.model = text.to_owned();
            decision.reasoning = text.to_owned();
            considered.view.model = text.to_owned();
            considered.view.scores[0].category = text.to_owned();
            for checked in &mut considered.view.checks {
                if let Said::Against { detail, .. } = &mut checked.said {
                    *detail = text.to_owned();
                }
            }
            explain(decision, Some(considered.view)).explanation
        };
        let (plain, hostile) = (shape("x"), shape(&text));
        prop_assert_eq!(plain.len(), hostile.len());
        for (plain, hostile) in plain.iter().zip(&hostile) {
            let beginning = |sentence: &str| sentence.split(['x', ' ']).next().unwrap_or_default().to_owned();
            prop_assert_eq!(beginning(plain), beginning(hostile));
            prop_assert!(!hostile.chars().any(|sign| sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}' | '\u{202e}')), "{hostile:?}");
        }
    }
}
