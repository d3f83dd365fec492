//! Which playbooks a ticket may come to, before anybody reads its text; and which one stands for what it was read as.
//! Pure.

use common::playbook::{PlaybookView, TriggerView};

use crate::classify::Category;
use crate::facts::{Admission, Candidate, Circumstances, Offered, Plan, Reading, Triggered};

/// Hold each active playbook's trigger against the ticket. Whatever goes wrong in one counts against its playbook.
pub fn admit(playbooks: &[PlaybookView], circumstances: &Circumstances) -> Admission {
    let candidates = playbooks.iter().map(|playbook| Candidate {
        offered: offered(playbook),
        trigger: playbook
            .trigger
            .as_ref()
            .map_or(Triggered::Admits, |trigger| held(trigger, circumstances)),
    });
    Admission::Of(candidates.collect())
}

/// All of them, as if none had a trigger: what kinds of ticket there are.
pub fn every(playbooks: &[PlaybookView]) -> Admission {
    let candidates = playbooks.iter().map(|playbook| Candidate {
        offered: offered(playbook),
        trigger: Triggered::Admits,
    });
    Admission::Of(candidates.collect())
}

fn offered(playbook: &PlaybookView) -> Offered {
    Offered {
        playbook: playbook.playbook.clone(),
        category: playbook.category.clone(),
        sub_category: playbook.sub_category.clone(),
    }
}

fn held(trigger: &TriggerView, circumstances: &Circumstances) -> Triggered {
    let Circumstances { known, happened } = circumstances;
    let admitted: Result<Vec<bool>, String> = happened
        .iter()
        .map(|happened| playbook_lang::admits(trigger, known, *happened))
        .collect();
    match (admitted, playbook_lang::in_words(trigger)) {
        (Ok(admitted), Some(_)) if admitted.contains(&true) => Triggered::Admits,
        (Ok(_), Some(words)) => Triggered::NotMet(words),
        (Err(_), _) | (_, None) => Triggered::Unreadable,
    }
}

impl Admission {
    /// Those that start on this ticket.
    pub fn admitted(&self) -> impl Iterator<Item = &Offered> {
        let candidates = match self {
            Self::Unread => &[],
            Self::Of(candidates) => candidates.as_slice(),
        };
        candidates
            .iter()
            .filter(|candidate| candidate.trigger == Triggered::Admits)
            .map(|candidate| &candidate.offered)
    }
}

/// What the classifier may choose from: the categories of the playbooks that start on this ticket, each once, in the order
/// of the playbooks, with all examples that were given for it.
pub fn categories(playbooks: &[PlaybookView], admission: &Admission) -> Vec<Category> {
    let mut categories: Vec<Category> = vec![];
    for offered in admission.admitted() {
        let document = playbooks.iter().find(|view| view.playbook == offered.playbook);
        let Some(PlaybookView {
            description,
            examples,
            privileged,
            ..
        }) = document
        else {
            continue;
        };
        let same =
            |known: &&mut Category| stands_for(offered, &known.category, known.sub_category.as_deref());
        if let Some(known) = categories.iter_mut().find(same) {
            known.examples.extend(examples.iter().cloned());
            known.privileged |= *privileged;
        } else {
            categories.push(Category {
                category: offered.category.clone(),
                sub_category: offered.sub_category.clone(),
                description: description.clone(),
                examples: examples.clone(),
                privileged: *privileged,
            });
        }
    }
    categories
}

fn stands_for(offered: &Offered, category: &str, sub_category: Option<&str>) -> bool {
    offered.category == category && offered.sub_category.as_deref() == sub_category
}

/// What could be done about a ticket that was read as this.
pub fn plan_of(reading: &Reading, offers: &[Category], admission: &Admission) -> Plan {
    match reading {
        Reading::Read(classification) => classification
            .choice
            .and_then(|choice| offers.get(choice))
            .map_or(Plan::Nothing, |chosen| {
                plan(&chosen.category, chosen.sub_category.as_deref(), admission)
            }),
        Reading::Declined | Reading::Unread | Reading::NotAsked(_) => Plan::NotSought,
    }
}

/// The playbook for a category, of those that start on this ticket.
pub fn plan(category: &str, sub_category: Option<&str>, admission: &Admission) -> Plan {
    let mut fitting = admission
        .admitted()
        .filter(|offered| stands_for(offered, category, sub_category));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Plan::Fits(Box::new(only.clone())),
        (Some(_), Some(_)) => Plan::Several,
        (None, _) => Plan::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use common::{Digest, PlaybookRef};
    use playbook_lang::Occasion;
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;

    fn playbook(name: &str, sub_category: &str, trigger: Option<serde_json::Value>) -> PlaybookView {
        PlaybookView {
            playbook: PlaybookRef {
                name: name.parse().unwrap(),
                version: "1".parse().unwrap(),
                digest: Digest::of(name),
            },
            active: true,
            activation: None,
            description: format!("{name} does it"),
            category: "REQUEST".to_owned(),
            sub_category: Some(sub_category.to_owned()),
            examples: vec![format!("example of {name}")],
            trigger: trigger.map(|trigger| serde_json::from_value(trigger).unwrap()),
            inputs_schema: serde_json::Value::Null,
            planned: vec![],
            privileged: name != "harmless",
            calls: vec![],
            published_at: OffsetDateTime::UNIX_EPOCH,
            source: None,
        }
    }

    fn ticket(happened: &[Occasion]) -> Circumstances {
        Circumstances {
            known: playbook_lang::Facts::default().with("ticket.type", json!(3)),
            happened: happened.to_vec(),
        }
    }

    fn three() -> [PlaybookView; 3] {
        [
            playbook("a", "RESET", None),
            playbook("b", "UNLOCK", None),
            playbook("c", "RESET", None),
        ]
    }

    fn triggered(trigger: serde_json::Value, happened: &[Occasion]) -> Triggered {
        let playbooks = [playbook("a", "RESET", Some(trigger))];
        match admit(&playbooks, &ticket(happened)) {
            Admission::Of(candidates) => candidates.into_iter().next().unwrap().trigger,
            Admission::Unread => panic!("they were read"),
        }
    }

    #[test]
    fn a_category_is_offered_once_with_the_examples_of_all_its_playbooks() {
        let playbooks = three();
        let admission = admit(&playbooks, &ticket(&[Occasion::Created]));
        let categories = categories(&playbooks, &admission);
        assert_eq!(categories.len(), 2);
        assert_eq!(categories[0].examples, ["example of a", "example of c"]);
    }

    #[test]
    fn a_category_is_privileged_where_any_of_its_playbooks_is() {
        let playbooks = [
            playbook("harmless", "TONER", None),
            playbook("harmless", "KEYS", None),
            playbook("b", "KEYS", None),
        ];
        let admission = admit(&playbooks[..1], &ticket(&[Occasion::Created]));
        assert!(!categories(&playbooks[..1], &admission)[0].is_privileged());
        let admission = admit(&playbooks[1..], &ticket(&[Occasion::Created]));
        assert!(categories(&playbooks[1..], &admission)[0].is_privileged());
    }

    #[test]
    fn a_category_with_two_playbooks_is_nobodys() {
        let admission = admit(&three(), &ticket(&[Occasion::Created]));
        assert_eq!(plan("REQUEST", Some("RESET"), &admission), Plan::Several);
        assert_eq!(plan("REQUEST", None, &admission), Plan::Nothing);
        let Plan::Fits(offered) = plan("REQUEST", Some("UNLOCK"), &admission) else {
            panic!("one playbook fits");
        };
        assert_eq!(offered.playbook.name.as_str(), "b");
    }

    #[test]
    fn only_playbooks_that_start_on_the_ticket_are_offered() {
        let when = |kind: i64| json!({"when": {"field": "ticket.type", "operator": "equals", "value": kind}});
        let playbooks = [
            playbook("a", "RESET", Some(when(4))),
            playbook("b", "UNLOCK", None),
            playbook("c", "RESET", Some(when(3))),
        ];
        let admission = admit(&playbooks, &ticket(&[Occasion::Created]));
        let categories = categories(&playbooks, &admission);
        assert_eq!(categories[0].sub_category.as_deref(), Some("UNLOCK"));
        assert_eq!(categories[1].examples, ["example of c"]);
        assert!(
            matches!(plan("REQUEST", Some("RESET"), &admission), Plan::Fits(only) if only.playbook.name.as_str() == "c")
        );
    }

    #[test]
    fn a_trigger_admits_says_what_it_wants_or_cannot_be_read() {
        let created = [Occasion::Created];
        let three = json!({"field": "ticket.type", "operator": "equals", "value": 3});
        let holds = json!({"on": ["created"], "when": three});
        assert_eq!(triggered(holds.clone(), &created), Triggered::Admits);
        assert_eq!(
            triggered(holds.clone(), &[Occasion::Updated, Occasion::Created]),
            Triggered::Admits
        );
        for (trigger, happened) in [
            (holds.clone(), [].as_slice()),
            (holds, &[Occasion::Updated]),
            (json!({"when": {"not": three}}), &created),
            (json!({"source": "jira", "when": {"all": []}}), &created),
        ] {
            assert!(
                matches!(triggered(trigger.clone(), happened), Triggered::NotMet(_)),
                "{trigger}"
            );
        }
        for trigger in [
            json!({"when": {"field": "ticket.type", "operator": "resembles", "value": 3}}),
            json!({"on": ["eaten"], "when": {"all": []}}),
        ] {
            assert_eq!(triggered(trigger, &created), Triggered::Unreadable);
        }
    }
}
