//! `firstline playbook draw`: a playbook as a picture, with the way an execution took where one is named.

use std::path::Path;

use playbook_lang::{Playbook, Taken, mermaid, svg};

use super::documents::Documents;
use crate::arguments::{Actions, Fleet, Format};
use crate::connect::Connection;
use crate::execution::Asked;
use crate::exit::{BadInput, Ending};
use crate::terminal;

/// A file as a picture.
pub(super) fn of_file(file: Option<&Path>, actions: &Actions, format: Format) -> anyhow::Result<String> {
    let file = file.ok_or_else(|| BadInput("name a file, or an execution".to_owned()))?;
    let playbook = Documents::playbook(file, actions)?;
    Ok(drawn(&playbook, None, format))
}

/// The playbook of an execution with the way that it took. `file` stands for the document where it is given.
pub(super) async fn of_execution(
    file: Option<&Path>,
    execution: &str,
    actions: &Actions,
    fleet: &Fleet,
    format: Format,
) -> anyhow::Result<String> {
    let asked = Asked::from(execution)?;
    let view = asked.find(&Connection::to(fleet).await?.orchestration()?).await?;
    let playbook = if let Some(file) = file {
        Documents::playbook(file, actions)?
    } else {
        let playbooks = Connection::to(fleet).await?.playbooks()?;
        super::documents::published(&playbooks, &view.playbook, actions).await?
    };
    let taken = Taken::of(
        view.steps
            .iter()
            .map(|step| (step.call.id.clone(), step.outcome.clone())),
    );
    Ok(drawn(&playbook, Some(&taken), format))
}

fn drawn(playbook: &Playbook, taken: Option<&Taken>, format: Format) -> String {
    match format {
        Format::Svg => svg(playbook, taken),
        Format::Mermaid => mermaid(playbook, taken),
    }
}

/// To the file, or to the terminal.
pub(super) fn deliver(drawing: &str, output: Option<&Path>) -> anyhow::Result<Ending> {
    match output {
        None => terminal::line(drawing.trim_end()),
        Some(file) => {
            std::fs::write(file, drawing)
                .map_err(|error| BadInput(format!("cannot write {}: {error}", file.display())))?;
            terminal::line(&format!("{} is drawn", file.display()));
        }
    }
    Ok(Ending::Well)
}
