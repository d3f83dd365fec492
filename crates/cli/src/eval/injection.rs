//! `firstline eval injection`: whether words in a ticket that are meant to steer the automation do.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde::Serialize;
use triage::Kind;
use triage::labelled::{self, Attack};
use triage::measure::Unanswered;

use super::fleet::{self, Done};
use super::judge::{self, Judge, Judged, NoAnswer};
use crate::arguments::{Attacks, Judging, Reader};
use crate::exit::{BadInput, Ending};
use crate::terminal;

/// So many attacks that got through are listed one by one.
const LISTED: usize = 20;

pub(super) async fn run(command: &Attacks) -> anyhow::Result<Ending> {
    if command.fleet && judge::reader(&command.judging, &judge::telling()?) == Reader::Openai {
        return Err(BadInput(two_classifiers(&command.judging).to_owned()).into());
    }
    let judge = Judge::of(&command.judging)?;
    let bytes = super::bytes(&command.file)?;
    let name = command.file.display().to_string();
    let attacks = labelled::read_attacks(labelled::File {
        name: &name,
        bytes: &bytes,
    })
    .map_err(|refused| BadInput(refused.to_string()))?;
    if attacks.is_empty() {
        return Err(BadInput(format!("{name}: holds no ticket: write one object a line")).into());
    }
    let outcomes: Vec<Outcome> = futures::stream::iter(&attacks)
        .map(|attack| outcome(&judge, attack))
        .buffered(judge.at_once())
        .collect()
        .await;
    let done = if command.fleet {
        Some(fleet::done_for(&attacks).await?)
    } else {
        None
    };
    let findings = Findings::of(&judge, &attacks, &outcomes, done);
    if command.json {
        terminal::line(&serde_json::to_string_pretty(&findings)?);
    } else {
        findings.tell();
    }
    let harm = findings.automated > 0 || findings.done.as_ref().is_some_and(Done::any);
    Ok(if harm { Ending::Findings } else { Ending::Well })
}

/// What a fleet did would stand beside what another classifier says.
fn two_classifiers(judging: &Judging) -> &'static str {
    match judging.classifier {
        Some(_) => "the fleet decides with the embedded classifier: leave --fleet or --classifier openai out",
        None => {
            "OPENAI_API_KEY is set, so that a language model would judge, and the fleet decides with the embedded classifier: \
             say --classifier embedded, or leave --fleet out"
        }
    }
}

/// What was made of an attack, and where its words are known of the ticket without them.
struct Outcome {
    with: Result<Judged, NoAnswer>,
    without: Option<Result<Judged, NoAnswer>>,
}

impl Outcome {
    fn automated(&self) -> bool {
        self.with.is_ok_and(|judged| judged.automated)
    }

    /// Whether the attack made a difference to what is done with the ticket; `None` where that cannot be told.
    fn changed(&self) -> Option<bool> {
        let decision = |judged: Judged| (judged.kind, judged.automated);
        match (self.with, self.without?) {
            (Ok(with), Ok(without)) => Some(decision(with) != decision(without)),
            _ => None,
        }
    }
}

async fn outcome(judge: &Judge, attack: &Attack) -> Outcome {
    let with = judge.judge(&attack.subject, &attack.body).await;
    let without = match attack.cut_out() {
        Some((subject, body)) => Some(judge.judge(&subject, &body).await),
        None => None,
    };
    Outcome { with, without }
}

/// What is reported.
#[derive(Debug, Serialize)]
struct Findings {
    classifier: String,
    attacks: usize,
    /// Those whose words could be cut out, with an answer to both.
    compared: usize,
    /// Those of them in which category or automation differ with the attack.
    changed: usize,
    /// Those that would be automated, attack and all.
    automated: usize,
    unanswered: Unanswered,
    /// By the sort of attack.
    sorts: BTreeMap<String, OfSort>,
    /// The first that would be automated.
    got_through: Vec<GotThrough>,
    /// What a fleet did for them, where one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Done>,
}

#[derive(Debug, Default, Serialize)]
struct OfSort {
    attacks: usize,
    compared: usize,
    changed: usize,
    automated: usize,
}

/// An attack that would be automated. Its text stays in its file.
#[derive(Debug, Serialize)]
struct GotThrough {
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    category: Kind,
    confidence: f64,
}

impl Findings {
    fn of(judge: &Judge, attacks: &[Attack], outcomes: &[Outcome], done: Option<Done>) -> Self {
        let mut findings = Self {
            classifier: judge.name().to_owned(),
            attacks: attacks.len(),
            compared: 0,
            changed: 0,
            automated: 0,
            unanswered: Unanswered::default(),
            sorts: BTreeMap::new(),
            got_through: vec![],
            done,
        };
        for (attack, outcome) in attacks.iter().zip(outcomes) {
            findings.count(attack, outcome);
        }
        findings
    }

    fn count(&mut self, attack: &Attack, outcome: &Outcome) {
        let compared = usize::from(outcome.changed().is_some());
        let changed = usize::from(outcome.changed() == Some(true));
        let automated = usize::from(outcome.automated());
        self.compared += compared;
        self.changed += changed;
        self.automated += automated;
        let sort = attack.sort.clone().unwrap_or_else(|| "not said".to_owned());
        let of_sort = self.sorts.entry(sort).or_default();
        of_sort.attacks += 1;
        of_sort.compared += compared;
        of_sort.changed += changed;
        of_sort.automated += automated;
        match outcome.with {
            Ok(judged) if judged.automated && self.got_through.len() < LISTED => {
                self.got_through.push(GotThrough {
                    row: attack.row,
                    id: attack.id.clone(),
                    category: judged.kind,
                    confidence: judged.confidence,
                });
            }
            Ok(_) => {}
            Err(NoAnswer::Declined) => self.unanswered.declined += 1,
            Err(NoAnswer::Malformed) => self.unanswered.malformed += 1,
            Err(NoAnswer::Away) => self.unanswered.away += 1,
        }
    }

    fn tell(&self) {
        for line in self.lines() {
            terminal::line(&line);
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{} attacks, classifier {}", self.attacks, self.classifier),
            format!(
                "{} would be automated; {} of {} that could be compared with the ticket without the attack are decided \
                 otherwise",
                self.automated, self.changed, self.compared
            ),
        ];
        if self.unanswered.all() > 0 {
            lines.push(format!(
                "{} without an answer: they would go to a person",
                self.unanswered.all()
            ));
        }
        lines.push(String::new());
        let mut rows = vec![
            ["attack", "tickets", "compared", "changed", "automated"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(self.sorts.iter().map(|(sort, of)| {
            let counts = [of.attacks, of.compared, of.changed, of.automated];
            let mut row = vec![printable(sort)];
            row.extend(counts.map(|count| count.to_string()));
            row
        }));
        lines.extend(terminal::columns(&rows));
        for through in &self.got_through {
            let id = through.id.as_deref().map(printable).unwrap_or_default();
            lines.push(format!(
                "line {} {id}: would be automated as {} ({:.2})",
                through.row, through.category, through.confidence
            ));
        }
        lines.extend(self.done.iter().flat_map(Done::lines));
        lines
    }
}

/// A name from a file of attacks on a terminal: short, and nothing that moves it.
fn printable(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, automated: bool) -> Judged {
        Judged {
            kind,
            confidence: 0.9,
            automated,
        }
    }

    #[test]
    fn a_decision_has_changed_where_category_or_automation_differ() {
        let outcome = |with, without: Option<_>| Outcome { with, without };
        let reset = Ok(judged(Kind::PasswordReset, true));
        let other = Ok(judged(Kind::Other, false));
        assert_eq!(outcome(reset, Some(other)).changed(), Some(true));
        assert_eq!(outcome(other, Some(other)).changed(), Some(false));
        let unsure = Ok(judged(Kind::PasswordReset, false));
        assert_eq!(outcome(unsure, Some(reset)).changed(), Some(true));
        assert_eq!(outcome(reset, None).changed(), None);
        assert_eq!(outcome(reset, Some(Err(NoAnswer::Away))).changed(), None);
        assert!(outcome(reset, None).automated());
        assert!(!outcome(Err(NoAnswer::Declined), None).automated());
    }
}
