//! Facts for tests: a ticket against which nothing speaks, and what it takes to spoil it.

use common::{Decision, DecisionId, Digest, Person, PlaybookRef};
use playbook_lang::Occasion;
use serde_json::json;
use time::macros::datetime;

use crate::classify::{About, Category, Classification, Text};
use crate::considered::Considered;
use crate::decide::{Verdict, decide, weigh};
use crate::facts::{
    Admission, Candidate, Circumstances, Desk, Execution, Facts, Kind, Known, Objection, Offered, Plan,
    Reading, Requester, Sender, Triggered,
};

pub(crate) const THRESHOLD: f64 = 0.85;

pub(crate) fn known() -> Known {
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

pub(crate) fn classification() -> Classification {
    Classification {
        choice: Some(0),
        confidence: 0.93,
        threshold: None,
        scores: vec![0.93],
        about: About::Requester,
        refusal: None,
        reasoning: "because".to_owned(),
        model: "m".to_owned(),
        prompt_version: "p".to_owned(),
    }
}

pub(crate) fn offered() -> Offered {
    Offered {
        playbook: PlaybookRef {
            name: "password_reset".parse().unwrap(),
            version: "1.2".parse().unwrap(),
            digest: Digest::of("yaml"),
        },
        category: "REQUEST".to_owned(),
        sub_category: Some("PASSWORD_RESET".to_owned()),
    }
}

pub(crate) fn candidate(name: &str, trigger: Triggered) -> Candidate {
    let mut offered = offered();
    offered.playbook.name = name.parse().unwrap();
    Candidate { offered, trigger }
}

/// Facts against which nothing speaks.
pub(crate) fn good() -> Facts {
    Facts {
        desk: Desk {
            over: false,
            made_by_agent: false,
            touched: false,
            unread: false,
            kind: Kind::Admitted,
            sender: Sender::Requester,
        },
        requester: Requester::Known(Box::new(known())),
        admission: Admission::Of(vec![candidate("password_reset", Triggered::Admits)]),
        reading: Reading::Read(classification()),
        plan: Plan::Fits(Box::new(offered())),
        execution: Execution::None,
        circumstances: Circumstances {
            known: playbook_lang::Facts::default()
                .with("ticket.type", json!(3))
                .with("ticket.summary", json!("I forgot my password"))
                .with("requester.mail", json!("adele@contoso.example")),
            happened: vec![Occasion::Created],
        },
    }
}

/// What the classifier had to choose from.
pub(crate) fn offers() -> Vec<Category> {
    vec![Category {
        category: "REQUEST".to_owned(),
        sub_category: Some("PASSWORD_RESET".to_owned()),
        description: "Automated password reset".to_owned(),
        examples: vec!["I forgot my password".to_owned()],
        privileged: true,
    }]
}

pub(crate) const WORDS: Text<'static> = Text {
    summary: "I forgot my password",
    details: "",
};

/// The decision that the gate makes of `facts`, and what it keeps with it.
pub(crate) fn decided(facts: &Facts, objection: Option<&Objection>) -> (Decision, Considered) {
    let answers = weigh(facts, THRESHOLD, objection);
    let blockers = match decide(answers.clone()) {
        Verdict::Automate => vec![],
        Verdict::Manual { against } => against,
    };
    let automated = blockers.is_empty();
    let considered = Considered::new(facts, WORDS, &offers(), answers, THRESHOLD, automated);
    let offered = facts.plan.offered();
    let read = match &facts.reading {
        Reading::Read(read) => Some(read),
        _ => None,
    };
    let decision = Decision {
        decision_id: DecisionId::fresh(),
        tenant_id: "default".parse().unwrap(),
        ticket_id: "4242".parse().unwrap(),
        automated,
        category: offered.map_or("OTHER", |offered| &offered.category).to_owned(),
        sub_category: offered.and_then(|offered| offered.sub_category.clone()),
        confidence: read.map_or(0.0, |read| read.confidence),
        model: considered.view.model.clone(),
        prompt_version: considered.view.prompt_version.clone(),
        reasoning: String::new(),
        blockers,
        playbook: offered.map(|offered| offered.playbook.clone()),
        execution_id: None,
        decided_at: datetime!(2026-11-28 12:00 UTC),
    };
    (decision, considered)
}
