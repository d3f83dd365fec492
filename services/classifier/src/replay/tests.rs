//! Deciding again.

use common::playbook::PlaybookView;
use common::velocity::{Exceeded, Limited};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use proptest::prelude::*;
use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::classify::{About, Classification, Text};
use crate::facts::{Execution, Kind, NotAsked, Objection, Plan, Requester, Sender, Triggered};
use crate::samples::{candidate, classification, decided, good, known, offered};

/// Reads every text as the first category, this sure.
struct Sure(f64);

impl Classify for Sure {
    fn classify<'a>(
        &'a self,
        _: Text<'a>,
        categories: &'a [Category],
    ) -> BoxFuture<'a, Result<Classification, ClassifyError>> {
        let read = Classification {
            choice: (!categories.is_empty()).then_some(0),
            confidence: self.0,
            ..classification()
        };
        std::future::ready(Ok(read)).boxed()
    }
}

fn nothing() -> Change<'static> {
    Change {
        threshold: None,
        playbooks: None,
        reader: Reader::WhereOffersDiffer(&Sure(0.99)),
    }
}

fn view(trigger: Option<serde_json::Value>) -> PlaybookView {
    let offered = offered();
    PlaybookView {
        playbook: offered.playbook,
        active: true,
        activation: None,
        description: "Automated password reset".to_owned(),
        category: offered.category,
        sub_category: offered.sub_category,
        examples: vec!["I forgot my password".to_owned()],
        trigger: trigger.map(|trigger| serde_json::from_value(trigger).unwrap()),
        inputs_schema: serde_json::Value::Null,
        planned: vec![],
        privileged: true,
        calls: vec![],
        published_at: datetime!(2026-11-22 00:00 UTC),
        source: None,
    }
}

fn replayed(facts: &Facts, change: Change<'_>) -> Result<Outcome, Unrepeatable> {
    let (decision, considered) = decided(facts, None);
    again(&decision, &considered, &[view(None)], change)
        .now_or_never()
        .unwrap()
}

fn doubtful() -> Facts {
    let mut facts = good();
    facts.reading = Reading::Read(Classification {
        confidence: 0.71,
        ..classification()
    });
    facts
}

#[test]
fn a_lower_threshold_automates_what_was_doubtful_and_a_higher_one_the_other_way_round() {
    let lower = Change {
        threshold: Some(0.7),
        ..nothing()
    };
    let outcome = replayed(&doubtful(), lower).unwrap();
    assert!(outcome.automated && outcome.blockers.is_empty(), "{outcome:?}");
    let higher = Change {
        threshold: Some(0.99),
        ..nothing()
    };
    assert_eq!(replayed(&good(), higher).unwrap().codes(), ["below_threshold"]);
}

#[test]
fn another_classifier_reads_every_text_again() {
    let change = Change {
        reader: Reader::Every(&Sure(0.99)),
        ..nothing()
    };
    let outcome = replayed(&doubtful(), change).unwrap();
    assert!(outcome.automated && outcome.confidence > 0.9, "{outcome:?}");
}

#[test]
fn a_ticket_that_was_not_read_for_an_outage_is_not_read_again() {
    let mut facts = good();
    facts.execution = Execution::Unread;
    facts.reading = Reading::NotAsked(NotAsked::Unread);
    facts.plan = Plan::NotSought;
    let (decision, _) = decided(&facts, None);
    let change = Change {
        reader: Reader::Every(&Sure(0.99)),
        ..nothing()
    };
    let outcome = replayed(&facts, change).unwrap();
    assert!(!outcome.differs(&Outcome::recorded(&decision)), "{outcome:?}");
}

#[test]
fn a_trigger_that_is_new_keeps_tickets_out_and_their_text_is_not_read() {
    let playbooks = [view(Some(
        json!({"when": {"field": "ticket.type", "operator": "equals", "value": 4}}),
    ))];
    let change = Change {
        playbooks: Some(&playbooks),
        ..nothing()
    };
    let outcome = replayed(&good(), change).unwrap();
    assert_eq!(outcome.codes(), ["trigger_not_met"]);
    assert_eq!((outcome.category.as_str(), outcome.playbook), (OTHER, None));
}

#[test]
fn another_document_is_another_decision_and_is_read_by_whoever_read_it_then_or_by_nobody() {
    let mut other = view(None);
    other.playbook.version = "2".parse().unwrap();
    let playbooks = [other];
    let change = Change {
        playbooks: Some(&playbooks),
        ..nothing()
    };
    // It was read by a model that is not at hand.
    let refused = replayed(&good(), change).unwrap_err();
    assert!(
        matches!(&refused, Unrepeatable::OtherReader(model) if model == "m"),
        "{refused}"
    );
    let mut facts = good();
    facts.reading = Reading::Read(Classification {
        model: embedded::MODEL.to_owned(),
        ..classification()
    });
    let outcome = replayed(&facts, change).unwrap();
    assert_eq!(outcome.playbook.unwrap().version.as_str(), "2");
}

#[test]
fn the_same_playbooks_are_no_change_whoever_read_the_text() {
    let playbooks = [view(None)];
    let change = Change {
        playbooks: Some(&playbooks),
        ..nothing()
    };
    let (decision, _) = decided(&good(), None);
    assert!(
        !replayed(&good(), change)
            .unwrap()
            .differs(&Outcome::recorded(&decision))
    );
}

#[test]
fn an_erased_text_is_not_read_again_and_its_recorded_reading_still_counts() {
    let (decision, mut considered) = decided(&doubtful(), None);
    considered.personal = None;
    let lower = Change {
        threshold: Some(0.7),
        ..nothing()
    };
    let outcome = again(&decision, &considered, &[], lower)
        .now_or_never()
        .unwrap()
        .unwrap();
    assert!(outcome.automated);
    let reread = Change {
        reader: Reader::Every(&Sure(0.99)),
        ..nothing()
    };
    let refused = again(&decision, &considered, &[view(None)], reread)
        .now_or_never()
        .unwrap();
    assert!(matches!(refused, Err(Unrepeatable::Erased)), "{refused:?}");
}

#[test]
fn a_document_that_is_gone_is_named() {
    let (decision, considered) = decided(&good(), None);
    let reread = Change {
        reader: Reader::Every(&Sure(0.99)),
        ..nothing()
    };
    let refused = again(&decision, &considered, &[], reread)
        .now_or_never()
        .unwrap()
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "playbook password_reset 1.2 of then is not there any more"
    );
}

#[test]
fn what_recording_ran_into_and_what_was_no_checks_answer_stand_as_they_stood() {
    let exceeded = Objection::Limit(Exceeded {
        limited: Limited::Requester,
        limit: "3/86400".parse().unwrap(),
        free_at: datetime!(2026-11-29 12:00 UTC),
    });
    let (mut decision, considered) = decided(&good(), Some(&exceeded));
    let outcome = again(&decision, &considered, &[], nothing())
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(outcome.codes(), ["velocity_requester"]);
    decision.blockers.push(Blocker {
        code: "shadow_mode".to_owned(),
        detail: "the playbook only watches".to_owned(),
    });
    let outcome = again(&decision, &considered, &[], nothing())
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(outcome.codes(), ["shadow_mode", "velocity_requester"]);
}

fn facts() -> impl Strategy<Value = Facts> {
    let reading = prop_oneof![
        Just(Reading::Declined),
        Just(Reading::Unread),
        Just(Reading::NotAsked(NotAsked::Unread)),
        (0.0..=1.0_f64, any::<bool>(), 0_u8..3).prop_map(|(confidence, chosen, about)| {
            Reading::Read(Classification {
                choice: chosen.then_some(0),
                confidence,
                about: [About::Requester, About::SomebodyElse, About::Unclear][usize::from(about)],
                ..classification()
            })
        }),
    ];
    let triggers = proptest::collection::vec(0_u8..4, 0..4);
    let flags = proptest::collection::vec(any::<bool>(), 6);
    (reading, triggers, flags, 0_u8..7, 0_u8..4).prop_map(|(reading, triggers, flags, who, execution)| {
        let mut facts = good();
        let names = ["password_reset", "b", "c", "d"];
        let candidates = names.iter().zip(triggers).map(|(name, draw)| {
            let trigger = match draw {
                0 => Triggered::NotMet("x is 1".to_owned()),
                1 => Triggered::Unreadable,
                _ => Triggered::Admits,
            };
            candidate(name, trigger)
        });
        facts.admission = Admission::Of(candidates.collect());
        facts.desk.over = flags[0] && flags[1];
        facts.desk.touched = flags[1] && flags[2];
        facts.desk.kind = if flags[2] && flags[3] {
            Kind::Other(Some(4))
        } else {
            Kind::Admitted
        };
        facts.desk.sender = if flags[3] && flags[4] {
            Sender::Another
        } else {
            Sender::Requester
        };
        facts.requester = match who {
            0 => Requester::Nobody,
            1 => Requester::Unread,
            _ => {
                let mut known = known();
                known.person.account_enabled = who > 2;
                known.person.guest = flags[5];
                Requester::Known(Box::new(known))
            }
        };
        facts.execution = [
            Execution::None,
            Execution::Open,
            Execution::Ended,
            Execution::Unread,
        ][usize::from(execution)];
        // As the gate goes about it.
        facts.reading = match worth_reading(facts.desk, &facts.requester, &facts.admission) {
            Ok(()) if facts.execution == Execution::Unread => Reading::NotAsked(NotAsked::Unread),
            Ok(()) => reading,
            Err(why) => Reading::NotAsked(why),
        };
        facts.plan = admission::plan_of(&facts.reading, &crate::samples::offers(), &facts.admission);
        if matches!(facts.reading, Reading::NotAsked(_)) {
            facts.plan = Plan::NotSought;
        }
        facts
    })
}

proptest! {
    #[test]
    fn with_nothing_changed_nothing_differs(facts in facts()) {
        let (decision, considered) = decided(&facts, None);
        let text = serde_json::to_value(&considered).unwrap();
        let kept: Considered = serde_json::from_value(text).unwrap();
        let outcome = again(&decision, &kept, &[], nothing()).now_or_never().unwrap().unwrap();
        prop_assert!(!outcome.differs(&Outcome::recorded(&decision)), "{:?} became {:?}", decision, outcome);
    }
}
