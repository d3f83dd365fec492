//! What a decision was made of, kept with it: for people who ask why, and to decide again with something changed.
//!
//! Texts and names are personal data. They stand in one member of their own, which retention takes away; nothing here
//! goes into logs or the audit.

use common::explain::{Check, Checked, ConsideredView, Said, Scored, plain};
use common::methods::RecentChange;
use common::protection::Protection;
use common::{Person, UserId};
use playbook_lang::Occasion;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::classify::{About, Category, Classification, Refusal, Text};
use crate::decide::{Answer, Answers, blockers};
use crate::facts::{
    Admission, Candidate, Circumstances, Desk, Execution, Facts, Known, NotAsked, Reading, Requester,
    Triggered,
};

/// The form that this release writes. It reads others as far as it understands them.
pub const VERSION: u32 = 1;
/// Of a ticket's text so many characters are kept, in all.
pub const LONGEST_TEXT: usize = 4000;
/// What triggers look at that says who somebody is or what they wrote.
const PERSONAL: [&str; 5] = [
    "ticket.summary",
    "ticket.details",
    "requester.name",
    "requester.mail",
    "manager.name",
];

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Considered {
    /// As people may see it.
    #[serde(flatten)]
    pub view: ConsideredView,
    /// As it was found out.
    pub facts: Remembered,
    /// What retention takes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<Personal>,
}

/// The facts, without anything personal beyond object ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// How the help desk had it.
    pub desk: Desk,
    /// Who asked.
    pub requester: Asker,
    /// The active playbooks; not there where they could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbooks: Option<Vec<Candidate>>,
    /// What the classifier made of it.
    pub reading: Read,
    /// What was already being done.
    pub execution: Execution,
    /// What happened to the ticket, in the words of triggers.
    #[serde(default)]
    pub happened: Vec<String>,
    /// What triggers look at, by their names for it.
    #[serde(default)]
    pub properties: Map<String, Value>,
}

/// Who asked, as far as checks look at them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Asker {
    /// [`Requester::Nobody`].
    Nobody,
    /// [`Requester::NotAPerson`].
    NotAPerson,
    /// [`Requester::WithoutAddress`].
    WithoutAddress,
    /// [`Requester::Stranger`].
    Stranger,
    /// [`Requester::Ambiguous`].
    Ambiguous,
    /// [`Requester::Unread`].
    Unread,
    /// [`Requester::Known`].
    Known {
        /// Their object id.
        id: UserId,
        /// Their account is enabled.
        enabled: bool,
        /// It is a guest's.
        guest: bool,
        /// Why automation must not touch them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protection: Option<Protection>,
        /// A sign-in method that was too new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed: Option<RecentChange>,
    },
}

/// What the classifier made of a ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Read {
    /// It answered; which category it chose stands in the scores.
    Read {
        /// 0 to 1.
        confidence: f64,
        /// Whom the request is for.
        about: About,
        /// What no confidence outweighs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<Refusal>,
    },
    /// [`Reading::Declined`].
    Declined,
    /// [`Reading::Unread`].
    Unread,
    /// [`Reading::NotAsked`].
    NotAsked {
        /// Why not.
        why: NotAsked,
    },
}

/// Who and what, in their own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Personal {
    /// The ticket's text as the classifier was to read it.
    pub text: KeptText,
    /// What triggers look at, by their names for it.
    #[serde(default)]
    pub properties: Map<String, Value>,
}

/// A ticket's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptText {
    /// Subject line.
    pub summary: String,
    /// Opening text.
    pub details: String,
    /// There was more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl KeptText {
    /// As much of it as is kept.
    pub fn of(text: Text<'_>) -> Self {
        let summary = kept(text.summary, LONGEST_TEXT);
        let details = kept(text.details, LONGEST_TEXT - summary.chars().count());
        let cut =
            summary.len() < storable(text.summary).len() || details.len() < storable(text.details).len();
        Self {
            summary,
            details,
            cut,
        }
    }

    /// To be read again.
    pub fn text(&self) -> Text<'_> {
        Text {
            summary: &self.summary,
            details: &self.details,
        }
    }
}

/// Postgres keeps every sign in a document but this one.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}

fn kept(text: &str, longest: usize) -> String {
    storable(text).chars().take(longest).collect()
}

impl Considered {
    /// What `answers` were given to, from `text` and `offers`; `automated` says what came of them.
    pub fn new(
        facts: &Facts,
        text: Text<'_>,
        offers: &[Category],
        answers: Answers,
        threshold: f64,
        automated: bool,
    ) -> Self {
        let (model, prompt_version) = match &facts.reading {
            Reading::Read(read) => (read.model.clone(), read.prompt_version.clone()),
            Reading::Declined | Reading::Unread | Reading::NotAsked(_) => {
                ("none".to_owned(), "none".to_owned())
            }
        };
        let (personal, properties) = facts
            .circumstances
            .known
            .all()
            .map(|(name, value)| (name.to_owned(), trimmed(value)))
            .partition::<Map<_, _>, _>(|(name, _)| PERSONAL.contains(&name.as_str()));
        Self {
            view: ConsideredView {
                version: VERSION,
                mode: None,
                checks: checked(answers, automated),
                scores: scores(&facts.reading, offers),
                threshold,
                model,
                prompt_version,
            },
            facts: Remembered {
                desk: facts.desk,
                requester: Asker::of(&facts.requester),
                playbooks: match &facts.admission {
                    Admission::Unread => None,
                    Admission::Of(candidates) => Some(candidates.iter().map(short).collect()),
                },
                reading: Read::of(&facts.reading),
                execution: facts.execution,
                happened: facts
                    .circumstances
                    .happened
                    .iter()
                    .map(|happened| happened.as_str().to_owned())
                    .collect(),
                properties,
            },
            personal: Some(Personal {
                text: KeptText::of(text),
                properties: personal,
            }),
        }
    }

    /// The circumstances that triggers look at; without the personal part, what is in it is not known.
    pub fn circumstances(&self) -> Circumstances {
        let personal = self.personal.iter().flat_map(|personal| &personal.properties);
        let mut known = playbook_lang::Facts::default();
        for (name, value) in self.facts.properties.iter().chain(personal) {
            known.set(name.clone(), value.clone());
        }
        let happened = self.facts.happened.iter();
        let happened =
            happened.filter_map(|word| Occasion::ALL.into_iter().find(|known| known.as_str() == word));
        Circumstances {
            known,
            happened: happened.collect(),
        }
    }

    /// The reading that was recorded.
    pub fn reading(&self) -> Reading {
        match &self.facts.reading {
            Read::Declined => Reading::Declined,
            Read::Unread => Reading::Unread,
            Read::NotAsked { why } => Reading::NotAsked(*why),
            Read::Read {
                confidence,
                about,
                refusal,
            } => Reading::Read(Classification {
                choice: self.view.scores.iter().position(|scored| scored.chosen),
                confidence: *confidence,
                threshold: None,
                scores: self
                    .view
                    .scores
                    .iter()
                    .filter_map(|scored| scored.score)
                    .collect(),
                about: *about,
                refusal: refusal.clone(),
                reasoning: String::new(),
                model: self.view.model.clone(),
                prompt_version: self.view.prompt_version.clone(),
            }),
        }
    }
}

/// What a trigger wants may be long, and is the same for every ticket.
fn short(candidate: &Candidate) -> Candidate {
    let mut candidate = candidate.clone();
    if let Triggered::NotMet(words) = &mut candidate.trigger {
        *words = plain(words);
    }
    candidate
}

/// A long text is kept as far as the ticket's own is.
fn trimmed(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(kept(text, LONGEST_TEXT)),
        other => other.clone(),
    }
}

fn checked(answers: Answers, automated: bool) -> Vec<Checked> {
    let said = |check: Check, answer: Answer| match answer {
        Answer::Clear if !automated && matches!(check, Check::Switch | Check::Velocity) => Said::Moot {
            why: blockers::NOT_RECORDED.to_owned(),
        },
        Answer::Clear => Said::Clear,
        Answer::Against(blocker) => Said::Against {
            code: blocker.code,
            detail: storable(&blocker.detail),
        },
        Answer::Moot(why) => Said::Moot { why: why.to_owned() },
    };
    let all = answers.in_order().into_iter();
    all.map(|(check, answer)| Checked {
        check,
        said: said(check, answer),
    })
    .collect()
}

fn scores(reading: &Reading, offers: &[Category]) -> Vec<Scored> {
    let read = match reading {
        Reading::Read(read) => Some(read),
        Reading::Declined | Reading::Unread | Reading::NotAsked(_) => None,
    };
    let chosen = read.and_then(|read| read.choice);
    let score = |index: usize| {
        let told = read.and_then(|read| read.scores.get(index).copied());
        let of_choice = || read.filter(|_| chosen == Some(index)).map(|read| read.confidence);
        told.or_else(of_choice).filter(|score| score.is_finite())
    };
    let offers = offers.iter().enumerate();
    offers
        .map(|(index, offer)| Scored {
            category: offer.category.clone(),
            sub_category: offer.sub_category.clone(),
            score: score(index),
            chosen: chosen == Some(index),
        })
        .collect()
}

impl Asker {
    fn of(requester: &Requester) -> Self {
        match requester {
            Requester::Nobody => Self::Nobody,
            Requester::NotAPerson => Self::NotAPerson,
            Requester::WithoutAddress => Self::WithoutAddress,
            Requester::Stranger => Self::Stranger,
            Requester::Ambiguous => Self::Ambiguous,
            Requester::Unread => Self::Unread,
            Requester::Known(known) => Self::Known {
                id: known.person.id.clone(),
                enabled: known.person.account_enabled,
                guest: known.person.guest,
                protection: known.protection.clone(),
                changed: known.changed,
            },
        }
    }

    /// As checks look at them; what they do not look at is not known any more.
    pub fn requester(&self) -> Requester {
        match self {
            Self::Nobody => Requester::Nobody,
            Self::NotAPerson => Requester::NotAPerson,
            Self::WithoutAddress => Requester::WithoutAddress,
            Self::Stranger => Requester::Stranger,
            Self::Ambiguous => Requester::Ambiguous,
            Self::Unread => Requester::Unread,
            Self::Known {
                id,
                enabled,
                guest,
                protection,
                changed,
            } => Requester::Known(Box::new(Known {
                person: Person {
                    id: id.clone(),
                    user_principal_name: String::new(),
                    display_name: String::new(),
                    mail: None,
                    department: None,
                    job_title: None,
                    account_enabled: *enabled,
                    guest: *guest,
                    management_restricted: false,
                    mobile_phone: None,
                },
                protection: protection.clone(),
                changed: *changed,
                manager: None,
            })),
        }
    }
}

impl Read {
    fn of(reading: &Reading) -> Self {
        match reading {
            Reading::Read(read) => Self::Read {
                // What is no number is no confidence, and has no place in a document.
                confidence: if read.confidence.is_finite() {
                    read.confidence
                } else {
                    0.0
                },
                about: read.about,
                refusal: read.refusal.clone(),
            },
            Reading::Declined => Self::Declined,
            Reading::Unread => Self::Unread,
            Reading::NotAsked(why) => Self::NotAsked { why: *why },
        }
    }
}

#[cfg(test)]
mod tests;
