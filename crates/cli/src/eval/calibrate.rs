//! `firstline eval FILE --calibrate OUT`: what a language model's own confidence is worth, found out on labelled tickets.
//!
//! It is asked as the gate asks it, with the second reader beside it, and only its number is left as it is: so the thresholds are
//! chosen among the very tickets for which the number would decide.

use std::collections::BTreeSet;
use std::path::Path;

use classifier::Model;
use classifier::classify::{About, Classification, LanguageModel, Seconded, Text};
use connectors::openai::Chat;
use futures::StreamExt;
use triage::Kind;
use triage::labelled::Labelled;
use triage::stated::{Answered, Asked, ModelCalibration, source};

use super::judge::{self, MODEL_AT_ONCE, NoAnswer};
use super::train::{RISK, carried, written};
use super::{kinds, read};
use crate::arguments::{Reader, Tickets};
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(super) async fn run(command: &Tickets, out: &Path) -> anyhow::Result<Ending> {
    let telling = judge::telling()?;
    if command.judging.classifier == Some(Reader::Embedded) {
        let what = "the embedded classifier's head has its calibration in it (`firstline eval train`): leave --calibrate or \
                    --classifier embedded out";
        return Err(BadInput(what.to_owned()).into());
    }
    let Model { chat, .. } = judge::model(telling.model)?;
    let tickets = read(&command.files)?;
    let model = chat.model.clone();
    let first = LanguageModel::new(Chat::new(chat, connectors::http_client()?));
    let head = judge::head(command.judging.head.as_deref())?;
    let answers = answers(&Seconded::as_stated(first, head), &tickets).await?;
    let asked = Asked {
        model,
        answered_by: answers.by,
        prompt_version: LanguageModel::PROMPT_VERSION.to_owned(),
        tickets: source(&tickets),
    };
    let calibration = ModelCalibration::fit(asked, &answers.answered, RISK)
        .map_err(|error| BadInput(format!("{error}{}", silent(answers.without))))?;
    let json = calibration.to_json();
    written(out, json.as_bytes())?;
    if command.json {
        terminal::line(json.trim_end());
    } else {
        terminal::line(&told(&calibration, answers.without, out));
    }
    Ok(Ending::Well)
}

/// What was answered.
#[derive(Default)]
struct Answers {
    answered: Vec<Answered>,
    by: BTreeSet<String>,
    /// Tickets without an answer: they would go to a person.
    without: usize,
}

async fn answers(model: &Seconded<LanguageModel>, tickets: &[Labelled]) -> anyhow::Result<Answers> {
    let (kinds, categories): (Vec<Kind>, Vec<_>) = kinds::offered()?.into_iter().unzip();
    let said: Vec<Result<Classification, NoAnswer>> = futures::stream::iter(tickets)
        .map(|ticket| {
            let text = Text {
                summary: &ticket.subject,
                details: &ticket.body,
            };
            judge::asked(model, text, &categories)
        })
        .buffered(MODEL_AT_ONCE)
        .collect()
        .await;
    let mut answers = Answers::default();
    for (said, ticket) in said.into_iter().zip(tickets) {
        let Ok(said) = said else {
            answers.without += 1;
            continue;
        };
        let kind = said.choice.and_then(|choice| kinds.get(choice).copied());
        // Of a ticket that is none of the kinds, nothing is ever automated.
        answers
            .answered
            .extend(kind.map(|kind| answered(kind, &said, ticket)));
        answers.by.insert(said.model);
    }
    Ok(answers)
}

fn answered(kind: Kind, said: &Classification, ticket: &Labelled) -> Answered {
    Answered {
        said: kind,
        stated: said.confidence,
        truth: ticket.kind,
        fit: ticket.automatable.unwrap_or(!ticket.kind.is_privileged()),
        open: said.refusal.is_none() && said.about == About::Requester,
    }
}

fn silent(without: usize) -> String {
    match without {
        0 => String::new(),
        without => format!(" ({without} tickets got no answer)"),
    }
}

fn told(calibration: &ModelCalibration, without: usize, out: &Path) -> String {
    let mut lines = vec![format!(
        "Fitted to {} answers{}. Where the model says 0.90, 0.95 and 0.99, it is right {:.2}, {:.2} and {:.2} of the time. Written \
         to {}.",
        calibration.answers(),
        silent(without),
        calibration.probability(0.90),
        calibration.probability(0.95),
        calibration.probability(0.99),
        out.display()
    )];
    lines.push(String::new());
    lines.push(format!(
        "{:18} {:>9}  what the tickets carry",
        "category", "threshold"
    ));
    for (kind, threshold) in calibration.thresholds() {
        let (from, why) = carried(threshold);
        lines.push(format!("{:18} {from:>9}  {why}", kind.name()));
    }
    lines.join("\n")
}
