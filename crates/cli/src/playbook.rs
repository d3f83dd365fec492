//! `firstline playbook`: check, simulate, draw and compare without a fleet; publish, activate and look with one.

mod check;
mod diff;
pub(crate) mod documents;
mod draw;
mod simulate;
mod tell;

use std::path::Path;

use common::client::{PeerError, PlaybookClient};
use common::playbook::{ActivatePlaybook, PlaybookView};
use common::{Digest, Finding, PlaybookName, PlaybookRef, PlaybookVersion};

use crate::arguments::Playbook;
use crate::connect::Connection;
use crate::exit::{BadInput, Ending};
use crate::terminal;
use documents::Documents;

#[expect(clippy::too_many_lines, reason = "one arm for each verb")]
pub(crate) async fn run(command: &Playbook) -> anyhow::Result<Ending> {
    match command {
        Playbook::Check {
            files,
            json,
            fix,
            actions,
        } => {
            let documents = Documents::read(files, actions)?;
            let how = check::How {
                json: *json,
                fix: *fix,
            };
            check::run(&documents, how)
        }
        Playbook::Simulate {
            files,
            min_coverage,
            generate,
            json,
            actions,
        } => {
            let documents = Documents::read(files, actions)?;
            let how = simulate::How {
                least: min_coverage.map(f64::from),
                generate: *generate,
                json: *json,
            };
            simulate::run(&documents, &how)
        }
        Playbook::Draw {
            file,
            execution,
            format,
            output,
            actions,
            fleet,
        } => {
            let drawing = match execution {
                Some(execution) => {
                    draw::of_execution(file.as_deref(), execution, actions, fleet, *format).await?
                }
                None => draw::of_file(file.as_deref(), actions, *format)?,
            };
            draw::deliver(&drawing, output.as_deref())
        }
        Playbook::Diff { old, new, actions } => diff::run(old, new, actions),
        Playbook::Publish { file, fleet } => {
            let source = read(file)?;
            let playbooks = Connection::to(fleet).await?.playbooks()?;
            // The same document twice is the same request.
            let key = format!("publish/{}", Digest::of(source.as_bytes()));
            publish(file, playbooks.publish(&source, &key).await)
        }
        Playbook::Activate {
            name,
            version,
            terms,
            fleet,
        } => {
            let wanted = ActivatePlaybook {
                version: versioned(version)?,
                mode: terms.mode,
                bar: terms.bar,
                override_reason: terms.override_reason.clone(),
            };
            let playbooks = Connection::to(fleet).await?.playbooks()?;
            activated(playbooks.activate_as(&named(name)?, &wanted).await)
        }
        Playbook::Deactivate { name, fleet } => {
            let name = named(name)?;
            Connection::to(fleet)
                .await?
                .playbooks()?
                .deactivate(&name)
                .await?;
            terminal::line(&format!(
                "no version of {name} is active: new tickets get none, running executions go on"
            ));
            Ok(Ending::Well)
        }
        Playbook::List { fleet } => {
            list(&Connection::to(fleet).await?.playbooks()?.list().await?);
            Ok(Ending::Well)
        }
        Playbook::Show { name, version, fleet } => {
            let name = named(name)?;
            let version = version.as_deref().map(versioned).transpose()?;
            let playbooks = Connection::to(fleet).await?.playbooks()?;
            show(&playbooks, &name, version.as_ref()).await
        }
    }
}

fn activated(activated: Result<PlaybookView, PeerError>) -> anyhow::Result<Ending> {
    match activated {
        Ok(view) => {
            let mode = view.activation.and_then(|activation| activation.mode);
            let mode = mode.map_or_else(String::new, |mode| format!(", mode {mode}"));
            let PlaybookRef { name, version, .. } = view.playbook;
            terminal::line(&format!("{name} {version} is active{mode}"));
            Ok(Ending::Well)
        }
        Err(PeerError::Refused { problem, .. }) if problem.code == "mode_not_earned" => {
            terminal::complain(&format!("{} ({})", problem.detail, problem.code));
            Ok(Ending::Findings)
        }
        Err(error) => Err(error.into()),
    }
}

async fn show(
    playbooks: &PlaybookClient,
    name: &PlaybookName,
    version: Option<&PlaybookVersion>,
) -> anyhow::Result<Ending> {
    let versions = playbooks.versions(name).await?;
    for known in &versions {
        let mode = known.activation.as_ref().and_then(|activation| activation.mode);
        let active = match (known.active, mode) {
            (true, Some(mode)) => format!(" (active, mode {mode})"),
            (true, None) => " (active)".to_owned(),
            (false, _) => String::new(),
        };
        terminal::line(&format!(
            "# {name} {}{active} sha256 {}",
            known.playbook.version, known.playbook.digest
        ));
    }
    if version.is_none() && versions.iter().all(|known| !known.active) {
        terminal::line("# none of them is active");
        if let Some(newest) = versions.first() {
            let newest = &newest.playbook.version;
            terminal::line(&format!(
                "# read it:     firstline playbook show {name} --version {newest}"
            ));
            terminal::line(&format!(
                "# activate it: firstline playbook activate {name} {newest}"
            ));
        }
        return Ok(Ending::Well);
    }
    let view = playbooks.playbook(name, version).await?;
    terminal::line(view.source.as_deref().unwrap_or_default().trim_end());
    Ok(Ending::Well)
}

fn publish(file: &Path, published: Result<PlaybookRef, PeerError>) -> anyhow::Result<Ending> {
    match published {
        Ok(playbook) => {
            terminal::line(&format!(
                "{} {} is published, sha256 {}",
                playbook.name, playbook.version, playbook.digest
            ));
            terminal::line(&format!(
                "new executions get it after: firstline playbook activate {} {}",
                playbook.name, playbook.version
            ));
            Ok(Ending::Well)
        }
        Err(PeerError::Refused { problem, .. }) if problem.extra.contains_key("findings") => {
            let findings = problem.extra.get("findings").cloned().unwrap_or_default();
            let findings: Vec<Finding> = serde_json::from_value(findings)?;
            tell::findings(file, &read(file)?, &findings);
            Ok(Ending::Findings)
        }
        Err(error) => Err(error.into()),
    }
}

fn list(playbooks: &[PlaybookView]) {
    if playbooks.is_empty() {
        terminal::line("no playbook is active");
        return;
    }
    let mut rows = vec![
        ["NAME", "VERSION", "CATEGORY", "WHAT IT DOES"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(playbooks.iter().map(|view| {
        let sub_category = view
            .sub_category
            .as_deref()
            .map(|sub| format!("/{sub}"))
            .unwrap_or_default();
        vec![
            view.playbook.name.to_string(),
            view.playbook.version.to_string(),
            format!("{}{sub_category}", view.category),
            view.description.clone(),
        ]
    }));
    terminal::table(&rows);
}

fn read(file: &Path) -> Result<String, BadInput> {
    std::fs::read_to_string(file)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", file.display())))
}

fn named(name: &str) -> Result<PlaybookName, BadInput> {
    name.parse().map_err(|error| BadInput(format!("{error}")))
}

fn versioned(version: &str) -> Result<PlaybookVersion, BadInput> {
    version.parse().map_err(|error| BadInput(format!("{error}")))
}
