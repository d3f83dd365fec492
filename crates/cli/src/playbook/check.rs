//! `firstline playbook check`: what is wrong, where, and how to mend it; the plain cases it mends itself.

use std::path::Path;

use common::{Finding, StepId};
use playbook_lang::{fix, scenarios};
use serde_json::{Value, json};

use super::documents::{Document, Documents, holds_scenarios};
use super::tell;
use crate::exit::Ending;
use crate::terminal;

/// How to tell, and whether to mend.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    pub(super) json: bool,
    pub(super) fix: bool,
}

/// One file, checked.
struct Checked {
    ok: bool,
    findings: Vec<Finding>,
    /// The steps that were added.
    added: Vec<StepId>,
    /// As it is now.
    source: String,
}

pub(super) fn run(documents: &Documents, how: How) -> anyhow::Result<Ending> {
    let mut ending = Ending::Well;
    let mut told = Vec::new();
    for document in &documents.list {
        let file = document.file.as_path();
        match checked(documents, document, how) {
            Ok(checked) => {
                if !checked.ok {
                    ending = ending.max(Ending::Findings);
                }
                if how.json {
                    told.push(as_json(file, &checked));
                } else {
                    tell_people(file, &checked);
                }
            }
            Err(why) => {
                ending = Ending::Unreadable;
                if how.json {
                    told.push(json!({"file": file.display().to_string(), "ok": false, "findings": [], "error": why}));
                } else {
                    terminal::complain(&format!("firstline: {why}"));
                }
            }
        }
    }
    if how.json {
        terminal::line(&serde_json::to_string_pretty(&told)?);
    }
    Ok(ending)
}

/// Check a file, and mend it first where that is wanted and possible.
fn checked(documents: &Documents, document: &Document, how: How) -> Result<Checked, String> {
    let source = document.source.as_ref().map_err(Clone::clone)?;
    if holds_scenarios(&document.file) {
        let findings = scenarios(source).err().unwrap_or_default();
        return Ok(Checked {
            ok: findings.is_empty(),
            findings,
            added: Vec::new(),
            source: source.clone(),
        });
    }
    let fixed = how
        .fix
        .then(|| fix(source, &documents.registry, &documents.shelf))
        .flatten();
    let (source, added) = match fixed {
        Some(fixed) => {
            std::fs::write(&document.file, &fixed.source)
                .map_err(|error| format!("cannot write {}: {error}", document.file.display()))?;
            (fixed.source, fixed.added)
        }
        None => (source.clone(), Vec::new()),
    };
    let report = documents.check(&source);
    Ok(Checked {
        ok: report.ok(),
        findings: report.findings,
        added,
        source,
    })
}

fn as_json(file: &Path, checked: &Checked) -> Value {
    let file = file.display().to_string();
    let findings: Vec<Value> = checked
        .findings
        .iter()
        .map(|finding| {
            let mut finding = json!(finding);
            finding["file"] = json!(file);
            finding
        })
        .collect();
    let mut told = json!({"file": file, "ok": checked.ok, "findings": findings});
    if !checked.added.is_empty() {
        told["added"] = json!(checked.added);
    }
    told
}

fn tell_people(file: &Path, checked: &Checked) {
    for step in &checked.added {
        terminal::line(&format!("{}: added the escalation step `{step}`", file.display()));
    }
    tell::findings(file, &checked.source, &checked.findings);
    if checked.ok {
        let good = if holds_scenarios(file) {
            "well written"
        } else {
            "good to publish"
        };
        terminal::line(&format!("{}: {good}", file.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Actions;

    const TELL: How = How {
        json: false,
        fix: false,
    };
    const CLEAN: &str = "name: p\nversion: \"1\"\nsteps:\n  - {id: note, service: ticket.note, with: {text: t}, on_success: done, on_failure: person}\n  - {id: done, type: terminal, status: RESOLVED}\n";
    const PERSON: &str = "  - {id: person, type: escalation, reason: r}\n";

    /// Files in a folder of their own, read as the command line reads them.
    fn documents(folder: &Path, files: &[(&str, &str)]) -> Documents {
        let paths: Vec<_> = files
            .iter()
            .map(|(name, source)| {
                let path = folder.join(name);
                if !source.is_empty() {
                    std::fs::write(&path, source).unwrap();
                }
                path
            })
            .collect();
        Documents::read(&paths, &Actions { actions: None }).unwrap()
    }

    #[test]
    fn the_worst_file_decides_how_it_ends_and_no_file_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let clean = format!("{CLEAN}{PERSON}");
        let ends = |files: &[(&str, &str)]| run(&documents(folder.path(), files), TELL).unwrap();
        assert_eq!(ends(&[("clean.yml", &clean)]), Ending::Well);
        assert_eq!(
            ends(&[("bad.yml", CLEAN), ("clean.yml", &clean)]),
            Ending::Findings
        );
        assert_eq!(ends(&[("gone.yml", ""), ("bad.yml", CLEAN)]), Ending::Unreadable);
        assert_eq!(
            ends(&[("p.scenarios.yml", "playbook: p\nscenarios: []\n")]),
            Ending::Well
        );
        assert_eq!(
            ends(&[("q.scenarios.yml", "playbook: q\nscenario: []\n")]),
            Ending::Findings
        );
    }

    #[test]
    fn json_names_the_file_of_every_finding() {
        let folder = tempfile::tempdir().unwrap();
        let documents = documents(folder.path(), &[("bad.yml", CLEAN)]);
        let document = &documents.list[0];
        let told = as_json(&document.file, &checked(&documents, document, TELL).unwrap());
        assert_eq!(told["ok"], false);
        assert_eq!(told["findings"][0]["code"], "undefined-step");
        assert_eq!(told["findings"][0]["file"], told["file"]);
        assert_eq!(told.get("added"), None);
    }

    #[test]
    fn a_playbook_beside_may_be_called() {
        let folder = tempfile::tempdir().unwrap();
        let beside = format!("{CLEAN}{PERSON}");
        std::fs::write(folder.path().join("p.yml"), beside).unwrap();
        let caller = "name: c\nversion: \"1\"\nsteps:\n  - {id: p, type: call, playbook: p, version: \"1\", on_success: done}\n  - {id: done, type: terminal, status: RESOLVED}\n";
        let documents = documents(folder.path(), &[("c.yml", caller)]);
        assert_eq!(run(&documents, TELL).unwrap(), Ending::Well);
    }

    #[test]
    fn mending_writes_the_file_and_says_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let documents = documents(folder.path(), &[("bad.yml", CLEAN)]);
        let document = &documents.list[0];
        let mended = checked(
            &documents,
            document,
            How {
                json: false,
                fix: true,
            },
        )
        .unwrap();
        assert!(mended.ok && mended.added.iter().map(StepId::as_str).eq(["person"]));
        let written = std::fs::read_to_string(&document.file).unwrap();
        assert!(written.starts_with(CLEAN) && written == mended.source);
    }
}
