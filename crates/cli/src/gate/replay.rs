//! `firstline gate replay`: the decisions of then, made again with something changed. Nothing is written.

mod database;
mod tell;

use std::path::Path;

use classifier::classify::{Classify, Embedded, LanguageModel, Seconded};
use classifier::replay::{Change, Outcome, Reader, Unrepeatable, again};
use common::playbook::{PlaybookView, TriggerView};
use connectors::openai::Chat;
use futures::TryStreamExt;
use playbook_lang::Playbook;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use crate::arguments::{Actions, Model, Replay};
use crate::exit::{BadInput, Ending};
use crate::migrate::owner;
use crate::playbook::documents::enabled_in;
use crate::record::Database;
use crate::terminal;
use database::{Kept, Row};
use tell::{Differing, Told};

/// Texts that are read at the same time, where a language model reads them.
const AT_ONCE: usize = 4;

pub(super) async fn run(replay: &Replay) -> anyhow::Result<Ending> {
    let since = super::since::moment(&replay.since, OffsetDateTime::now_utc())?;
    let threshold = threshold(replay.threshold)?;
    let playbooks = replay
        .playbooks
        .as_deref()
        .map(|folder| active(folder, &replay.actions))
        .transpose()?;
    let embedded = embedded(replay.head.as_deref())?;
    let reader = reader(replay.model, &embedded)?;
    let change = Change {
        threshold,
        playbooks: playbooks.as_deref(),
        reader: match &reader {
            Some(reader) => Reader::Every(&**reader),
            None => Reader::WhereOffersDiffer(&embedded),
        },
    };
    let database = Database::of(&replay.home, replay.database_url.as_deref()).await?;
    let mut connection = PgConnection::connect_with(&owner(&database.url)?)
        .await
        .map_err(|error| anyhow::Error::new(error).context("the database does not answer"))?;
    database::only_look(&mut connection).await?;
    let documents = database::documents(&mut connection, &replay.tenant).await?;
    let mut told = Told::new(since);
    let rows = database::decisions(&mut connection, &replay.tenant, since);
    let decided = rows.map_ok(|row| decide(row, &documents, change));
    let mut decided = decided.try_buffered(AT_ONCE);
    while let Some((row, ended)) = decided.try_next().await? {
        told.add(&row, ended);
    }
    if replay.json {
        terminal::line(&serde_json::to_string_pretty(&told)?);
    } else {
        told.lines().iter().for_each(|line| terminal::line(line));
    }
    let changed = !told.differ.is_empty() || told.unread > 0;
    Ok(if replay.fail_on_change && changed {
        Ending::Findings
    } else {
        Ending::Well
    })
}

/// What became of making a decision again.
enum Ended {
    Same,
    Differs(Box<Differing>),
    Not(NotRepeated),
}

/// Why it was not made again.
#[derive(Debug, thiserror::Error)]
enum NotRepeated {
    #[error("it was decided before what decisions are made of was kept")]
    NothingKept,
    #[error("what it was made of is in a form that this program cannot read")]
    Unreadable,
    #[error(transparent)]
    Unrepeatable(#[from] Unrepeatable),
}

async fn decide(row: Row, documents: &[PlaybookView], change: Change<'_>) -> anyhow::Result<(Row, Ended)> {
    let considered = match &row.kept {
        Kept::Nothing => return Ok((row, Ended::Not(NotRepeated::NothingKept))),
        Kept::Unreadable => return Ok((row, Ended::Not(NotRepeated::Unreadable))),
        Kept::Considered(considered) => considered,
    };
    let before = Outcome::recorded(&row.decision);
    let ended = match again(&row.decision, considered, documents, change).await {
        Ok(after) if after.differs(&before) => {
            let cut = considered
                .personal
                .as_ref()
                .is_some_and(|personal| personal.text.cut);
            let mut differing = Differing::of(&row.decision, before, after);
            if cut && matches!(change.reader, Reader::Every(_)) {
                differing.text_is_cut();
            }
            Ended::Differs(Box::new(differing))
        }
        Ok(_) => Ended::Same,
        Err(why) => Ended::Not(why.into()),
    };
    Ok((row, ended))
}

fn threshold(asked: Option<f64>) -> Result<Option<f64>, BadInput> {
    match asked {
        Some(threshold) if !(0.0..=1.0).contains(&threshold) => Err(BadInput(format!(
            "--threshold is `{threshold}`: a confidence is between 0 and 1, for instance 0.85"
        ))),
        asked => Ok(asked),
    }
}

/// The embedded classifier with the head of a file, or the release's own.
fn embedded(head: Option<&Path>) -> Result<Embedded, BadInput> {
    let Some(file) = head else {
        return Ok(Embedded::shipped());
    };
    let bytes =
        std::fs::read(file).map_err(|error| BadInput(format!("--head {}: {error}", file.display())))?;
    Embedded::with_head(&bytes).map_err(|error| BadInput(format!("--head {}: {error}", file.display())))
}

/// Who reads every text again; `None`: what was read then counts.
fn reader(model: Option<Model>, embedded: &Embedded) -> anyhow::Result<Option<Box<dyn Classify>>> {
    Ok(match model {
        None => None,
        Some(Model::Embedded) => Some(Box::new(embedded.clone())),
        Some(Model::Openai) => {
            let model = classifier::Telling::from_environment()
                .map(|telling| telling.model)
                .map_err(|errors| BadInput(errors.to_string()))?;
            let model = model.ok_or_else(|| {
                BadInput("--model openai needs a model: set OPENAI_API_KEY, and OPENAI_BASE_URL and OPENAI_MODEL where they are not OpenAI's own".to_owned())
            })?;
            let http = connectors::http_client()?;
            let first = LanguageModel::new(Chat::new(model.chat, http));
            Some(Box::new(Seconded::new(
                first,
                Embedded::shipped(),
                model.calibration,
            )))
        }
    })
}

/// The playbooks of a folder as the gate would be offered them.
fn active(folder: &Path, actions: &Actions) -> Result<Vec<PlaybookView>, BadInput> {
    let enabled = enabled_in(folder, actions)?;
    if enabled.is_empty() {
        return Err(BadInput(format!(
            "no playbook in `{}` is enabled, so every ticket would go to a person: set `enabled: true` in those that would be active",
            folder.display()
        )));
    }
    Ok(enabled.iter().map(view).collect())
}

fn view(playbook: &Playbook) -> PlaybookView {
    PlaybookView {
        playbook: playbook.reference().clone(),
        active: true,
        activation: None,
        description: playbook.description().to_owned(),
        category: playbook.category().to_owned(),
        sub_category: playbook.sub_category().map(str::to_owned),
        examples: playbook.examples().to_vec(),
        trigger: playbook.trigger().map(TriggerView::from),
        inputs_schema: serde_json::Value::Null,
        planned: vec![],
        privileged: playbook.is_privileged(),
        calls: vec![],
        published_at: OffsetDateTime::UNIX_EPOCH,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_confidence() {
        assert_eq!(threshold(None).unwrap(), None);
        assert_eq!(threshold(Some(0.9)).unwrap(), Some(0.9));
        for slip in [85.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(
                threshold(Some(slip)).unwrap_err().0.contains("between 0 and 1"),
                "{slip}"
            );
        }
    }

    #[test]
    fn a_head_that_is_none_is_a_slip() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no head").unwrap();
        let error = embedded(Some(file.path())).unwrap_err();
        assert!(error.0.starts_with("--head /"), "{error}");
        assert!(embedded(None).is_ok());
    }

    #[test]
    fn a_folder_without_enabled_playbooks_is_a_slip() {
        let folder = tempfile::tempdir().unwrap();
        let none = Actions { actions: None };
        let error = active(folder.path(), &none).unwrap_err();
        assert!(error.0.contains("no folder with playbooks"), "{error}");
    }
}
