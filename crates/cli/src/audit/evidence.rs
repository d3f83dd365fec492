//! A file of evidence: everything that was written down about one ticket, and what proves it with public keys alone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use common::{Service, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use trust::TrustedKeys;
use trust::audit::{Broken, Chain, Event, Hash, Holds, Place, Seal, Walk};
use uuid::Uuid;

use super::records::{self, Content, Record};
use crate::exit::{BadInput, Ending};
use crate::terminal;

/// The form that this program writes and reads.
pub(super) const VERSION: u32 = 2;

/// The whole file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    pub(super) version: u32,
    pub(super) tenant: TenantId,
    pub(super) ticket: String,
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

/// An event of the file, and whether anybody signed for it.
#[derive(Debug, Serialize)]
struct Line<'e> {
    event: &'e Event,
    signed: bool,
    /// What it names by its digest only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    records: BTreeMap<Holds, &'e Content>,
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
    let checked = check(&evidence, trusted);
    if as_json {
        let told = match &checked {
            Ok(lines) => json!({"ok": true, "ticket": evidence.ticket, "lines": lines}),
            Err(broken) => json!({"ok": false, "ticket": evidence.ticket, "broken": broken}),
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

/// The events in their order of time, or the first thing that is wrong.
fn check<'e>(evidence: &'e Evidence, trusted: &TrustedKeys) -> Result<Vec<Line<'e>>, String> {
    let signed = signed(evidence, trusted)?;
    let mut lines = vec![];
    for stretch in &evidence.stretches {
        lines.extend(follow(evidence, stretch, &signed)?);
    }
    lines.sort_by_key(|line| (line.event.at, line.event.id));
    let events: Vec<&Event> = lines.iter().map(|line| line.event).collect();
    for ((event, holds), content) in records::check(&events, &evidence.records)? {
        let line = lines.iter_mut().find(|line| line.event.id == event);
        line.map(|line| line.records.insert(holds, content));
    }
    Ok(lines)
}

type Signed = HashMap<Chain, BTreeMap<u64, Hash>>;

fn signed(evidence: &Evidence, trusted: &TrustedKeys) -> Result<Signed, String> {
    let mut signed = Signed::new();
    for (nth, text) in (1..).zip(&evidence.seals) {
        let seal = Seal::open(text, trusted).map_err(|broken| format!("seal {nth} of the file: {broken}"))?;
        for (chain, place) in seal.ends() {
            signed.entry(chain).or_default().insert(place.seq, place.link);
        }
    }
    Ok(signed)
}

fn follow<'e>(
    evidence: &'e Evidence,
    stretch: &'e Stretch,
    signed: &Signed,
) -> Result<Vec<Line<'e>>, String> {
    let chain = Chain {
        tenant: evidence.tenant.clone(),
        service: stretch.service,
        execution: stretch.execution,
    };
    let nothing = BTreeMap::new();
    let signed = signed.get(&chain).unwrap_or(&nothing);
    let At { seq, link } = stretch.after;
    let known = (seq == 0 && link == Hash::NONE) || signed.get(&seq) == Some(&link);
    if !known {
        return Err(format!(
            "{chain}: nobody signed for its event {seq}, where this part of it begins"
        ));
    }
    let name = chain.to_string();
    let mut walk = Walk::from(chain, Place { seq, link });
    let mut until = seq;
    for entry in &stretch.entries {
        let told = |broken: Broken| format!("{name}: {broken}");
        match &entry.event {
            Some(event) => walk
                .stored(entry.seq, event, entry.digest, entry.link)
                .map_err(told)?,
            None => walk.pass(entry.seq, entry.digest, entry.link).map_err(told)?,
        }
        if let Some(link) = signed.get(&entry.seq) {
            let place = Place {
                seq: entry.seq,
                link: *link,
            };
            walk.is_signed(place).map_err(told)?;
            until = entry.seq;
        }
    }
    let lines = stretch.entries.iter().filter_map(|entry| {
        Some(Line {
            event: entry.event.as_ref()?,
            signed: entry.seq <= until,
            records: BTreeMap::new(),
        })
    });
    Ok(lines.collect())
}

fn tell(evidence: &Evidence, checked: Result<&[Line<'_>], &String>) {
    match checked {
        Err(broken) => terminal::line(&format!("BROKEN  {broken}")),
        Ok(lines) => {
            let unsigned = lines.iter().filter(|line| !line.signed).count();
            terminal::line(&format!(
                "ticket {} ({}): {} events, {} of them signed for",
                evidence.ticket,
                evidence.tenant,
                lines.len(),
                lines.len() - unsigned
            ));
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
