//! A decision in words: what was looked at, what spoke against it, and what would have had to be different. Pure.
//!
//! Nothing that a ticket says is told here. What people and directories named stands inside a sentence, never as one.

mod otherwise;

use common::explain::{Check, Checked, ConsideredView, ExplainedDecision, Otherwise, Said, plain};
use common::{Blocker, Decision};

use crate::embedded::MODEL;

/// The decision with everything that is to be said about it.
pub fn explain(decision: Decision, considered: Option<ConsideredView>) -> ExplainedDecision {
    let otherwise: Vec<Otherwise> = standing(&decision, considered.as_ref())
        .into_iter()
        .map(|(check, blocker)| Otherwise {
            words: otherwise::words(check, &blocker, &decision, considered.as_ref()),
            code: blocker.code,
        })
        .collect();
    ExplainedDecision {
        explanation: sentences(&decision, considered.as_ref(), &otherwise),
        decision,
        considered,
        otherwise,
    }
}

/// The smallest set of blockers without which the ticket would have been automated, as far as checks were asked. A single
/// blocker is enough for a person, so it is every one of them, each once, with the check that it came from.
pub fn standing(decision: &Decision, considered: Option<&ConsideredView>) -> Vec<(Option<Check>, Blocker)> {
    let checks = considered
        .map(|considered| considered.checks.as_slice())
        .unwrap_or_default();
    let said = checks.iter().filter_map(|checked| match &checked.said {
        Said::Against { code, detail } => Some((Some(checked.check), code, detail)),
        Said::Clear | Said::Moot { .. } => None,
    });
    let recorded = decision.blockers.iter();
    let recorded = recorded.map(|blocker| (None, &blocker.code, &blocker.detail));
    let mut all: Vec<(Option<Check>, Blocker)> = vec![];
    for (check, code, detail) in said.chain(recorded) {
        if all.iter().all(|(_, known)| known.code != *code) {
            let (code, detail) = (code.clone(), detail.clone());
            all.push((check, Blocker { code, detail }));
        }
    }
    all
}

fn sentences(
    decision: &Decision,
    considered: Option<&ConsideredView>,
    otherwise: &[Otherwise],
) -> Vec<String> {
    let mut told = vec![verdict(decision), reading(decision, considered)];
    told.extend(because(decision));
    told.extend(standing(decision, considered).iter().map(|(_, blocker)| {
        format!(
            "Against it: {} ({}).",
            stopless(&blocker.detail),
            plain(&blocker.code)
        )
    }));
    if let Some(considered) = considered {
        told.extend(unasked(&considered.checks));
    } else {
        told.push("What else was looked at was not kept: it was decided before that was done.".to_owned());
    }
    told.extend(
        otherwise
            .iter()
            .enumerate()
            .map(|(index, each)| match otherwise.len() {
                1 => format!("What would have had to be different: {}.", each.words),
                all => format!(
                    "What would have had to be different, {} of {all}: {}.",
                    index + 1,
                    each.words
                ),
            }),
    );
    let unasked = considered.is_some_and(|considered| {
        let mut checks = considered.checks.iter();
        checks.any(|checked| matches!(checked.said, Said::Moot { .. }))
    });
    if unasked && !otherwise.is_empty() {
        told.push("Then what was not looked at would still have to say nothing against it.".to_owned());
    }
    told
}

/// The decision itself.
fn verdict(decision: &Decision) -> String {
    let ticket = plain(decision.ticket_id.as_str());
    let playbook = decision.playbook.as_ref().map(|playbook| {
        format!(
            "playbook {} {}",
            plain(playbook.name.as_str()),
            plain(playbook.version.as_str())
        )
    });
    match (decision.automated, playbook) {
        (true, Some(playbook)) => {
            format!("Ticket {ticket} was automated with {playbook}: nothing spoke against it.")
        }
        (true, None) => format!("Ticket {ticket} was automated: nothing spoke against it."),
        (false, playbook) => {
            let would = playbook.map_or(String::new(), |playbook| {
                format!(", and {playbook} was not started")
            });
            let count = match decision.blockers.len() {
                1 => "one thing speaks".to_owned(),
                count => format!("{count} things speak"),
            };
            format!("Ticket {ticket} was left to a person{would}: {count} against automating it.")
        }
    }
}

/// What the text was read as, and how sure that is.
fn reading(decision: &Decision, considered: Option<&ConsideredView>) -> String {
    let Some(considered) = considered.filter(|_| decision.model != "none") else {
        return if decision.model == "none" {
            "Its text was not classified.".to_owned()
        } else {
            format!(
                "It was read as {} with confidence {:.2} (by {}).",
                category(&decision.category, decision.sub_category.as_deref()),
                decision.confidence,
                plain(&decision.model)
            )
        };
    };
    let by = format!(
        "{}, {}",
        plain(&considered.model),
        plain(&considered.prompt_version)
    );
    let chosen = considered.scores.iter().find(|scored| scored.chosen);
    let (confidence, threshold) = told_apart(decision.confidence, considered.threshold);
    match chosen {
        None => format!(
            "It was read as none of the {} categories on offer (by {by}).",
            considered.scores.len()
        ),
        Some(scored) => format!(
            "It was read as {} with confidence {confidence}; {threshold} is needed (by {by}).",
            category(&scored.category, scored.sub_category.as_deref())
        ),
    }
}

/// Why it was read so, where the words for it are ours. A language model's may be anybody's.
fn because(decision: &Decision) -> Option<String> {
    let ours = decision.model == MODEL && !decision.reasoning.is_empty();
    ours.then(|| format!("In the classifier's words, it {}.", stopless(&decision.reasoning)))
}

/// `REQUEST / PASSWORD_RESET`.
pub(crate) fn category(category: &str, sub_category: Option<&str>) -> String {
    match sub_category {
        Some(sub_category) => format!("{} / {}", plain(category), plain(sub_category)),
        None => plain(category),
    }
}

/// Two numbers that differ look different.
pub fn told_apart(one: f64, other: f64) -> (String, String) {
    let short = (format!("{one:.2}"), format!("{other:.2}"));
    if short.0 == short.1 && one.to_bits() != other.to_bits() {
        (format!("{one:.4}"), format!("{other:.4}"))
    } else {
        short
    }
}

/// What nobody looked at, by the reason why.
fn unasked(checks: &[Checked]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = vec![];
    for checked in checks {
        let Said::Moot { why } = &checked.said else {
            continue;
        };
        let question = checked.check.question();
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, questions)) => questions.push(question),
            None => reasons.push((why, vec![question])),
        }
    }
    let told = reasons.into_iter();
    told.map(|(why, questions)| {
        format!(
            "Not looked at, because {}: {}",
            stopless(why),
            questions.join(" ")
        )
    })
    .collect()
}

/// Inside a sentence that goes on.
fn stopless(text: &str) -> String {
    plain(text).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
