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
