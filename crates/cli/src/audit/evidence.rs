//! A file of evidence: everything that was written down about one ticket, and what proves it with public keys alone.

use std::path::Path;

use common::{Service, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::TrustedKeys;
use trust::audit::{Event, Hash};
use uuid::Uuid;

use super::Flaw;
use super::check::{Line, check};
use super::records::{self, Content, Record};
use crate::exit::{BadInput, Ending};
use crate::terminal;

/// The form that this program writes and reads.
pub(super) const VERSION: u32 = 3;

/// The whole file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    pub(super) version: u32,
    pub(super) tenant: TenantId,
    pub(super) ticket: String,
    /// By the database's clock: events of the seconds before it may not be signed yet.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) exported_at: OffsetDateTime,
    /// Parts of chains, from one signed place to another.
    pub(super) stretches: Vec<Stretch>,
    /// The seals that sign those places (JWS).
    pub(super) seals: Vec<String>,
    /// What events name by its digest only, as far as it was still there.
    pub(super) records: Vec<Record>,
}

/// A part of a chain.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    pub(super) service: Service,
    pub(super) execution: Option<Uuid>,
    /// What stands before it: the start of the chain, or a signed place.
    pub(super) after: At,
    pub(super) entries: Vec<Entry>,
}

/// A place in a chain.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    pub(super) seq: u64,
    pub(super) link: Hash,
}

/// One event, or, where it is none of this ticket's business, its digest only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) digest: Hash,
    pub(super) link: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<Event>,
}

pub(super) fn verify(file: &Path, trusted: &TrustedKeys, as_json: bool) -> anyhow::Result<Ending> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| BadInput(format!("`{name}` cannot be read: {error}")))?;
    let evidence: Evidence = serde_json::from_slice(&text)
        .map_err(|error| BadInput(format!("`{name}` is no file of evidence: {error}")))?;
    if evidence.version != VERSION {
        let text = format!(
            "`{name}` is of version {}, this program reads {VERSION}: export it again, or check it with the release that wrote it",
            evidence.version
        );
        return Err(BadInput(text).into());
    }
    let checked = check(&evidence, trusted, OffsetDateTime::now_utc());
    if as_json {
        let told = match &checked {
            Ok(lines) => json!({"ok": true, "ticket": evidence.ticket, "lines": lines}),
            Err(flaw) => flaw.told(json!({"ok": false, "ticket": evidence.ticket})),
        };
        terminal::line(&told.to_string());
    } else {
        tell(&evidence, checked.as_deref());
    }
    Ok(if checked.is_ok() {
        Ending::Well
    } else {
        Ending::Findings
    })
}

fn tell(evidence: &Evidence, checked: Result<&[Line<'_>], &Flaw>) {
    match checked {
        Err(flaw) => terminal::line(&flaw.to_string()),
        Ok(lines) => {
            let unsigned = lines.iter().filter(|line| !line.signed).count();
            terminal::line(&format!(
                "ticket {} ({}): {} events, {} of them signed for",
                evidence.ticket,
                evidence.tenant,
                lines.len(),
                lines.len() - unsigned
            ));
            if unsigned > 0 {
                terminal::line(&format!(
                    "{unsigned} of its events were written in the last minute before this was exported and are not signed \
                     yet: they prove nothing until it is exported again, which is to be within the hour"
                ));
            }
            let gone = lines.iter().flat_map(|line| line.records.values());
            let gone = gone
                .filter(|content| matches!(content, Content::NotKept(_)))
                .count();
            if gone > 0 {
                terminal::line(&format!(
                    "{gone} of their records were erased before this was exported: each is named where it belongs"
                ));
            }
            for line in lines {
                let Event {
                    at,
                    service,
                    kind,
                    actor,
                    detail,
                    ..
                } = line.event;
                // As the file has it.
                let at = at.format(&Rfc3339).unwrap_or_default();
                let mark = if line.signed { "signed" } else { "not signed yet" };
                terminal::line(&format!("{at}  {mark}  {service}  {kind}  by {actor}  {detail}"));
                for (holds, content) in &line.records {
                    terminal::line(&format!("    {}:", holds.in_words()));
                    for text in records::shown(content) {
                        terminal::line(&format!("    | {text}"));
                    }
                }
            }
        }
    }
}
