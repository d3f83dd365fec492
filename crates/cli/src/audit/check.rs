//! Whether a file of evidence proves what it says: every seal, link and record, whose events they are, whether anybody
//! signed for them, and whether something is missing that others tell of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use time::{Duration, OffsetDateTime};
use trust::TrustedKeys;
use trust::audit::{Broken, Chain, Event, Hash, Holds, Place, Seal, Walk};
use uuid::Uuid;

use super::evidence::{At, Evidence, Stretch};
use super::records::{self, Content};
use super::{Flaw, SIGNED_WITHIN, is_refusal, witness};

/// How long a file may be checked in which the newest events are not signed yet. Whoever is later exports it again, and
/// they are signed. When it was exported is what the file says, and nobody signs for that.
const CHECKED_WITHIN: Duration = Duration::HOUR;

/// What to do about events that nobody signed for.
const REMEDY: &str = "see what `firstline audit verify` of the database says, and export the ticket again";

/// An event of the file, and whether anybody signed for it.
#[derive(Debug, Serialize)]
pub(super) struct Line<'e> {
    pub(super) event: &'e Event,
    pub(super) signed: bool,
    /// What it names by its digest only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) records: BTreeMap<Holds, &'e Content>,
}

/// The events in their order of time, or the first thing that is wrong.
pub(super) fn check<'e>(
    evidence: &'e Evidence,
    trusted: &TrustedKeys,
    now: OffsetDateTime,
) -> Result<Vec<Line<'e>>, Flaw> {
    let mut lines = whole(evidence, trusted).map_err(Flaw::Broken)?;
    if lines.iter().all(|line| !line.signed) {
        return Err(Flaw::Unproven(format!(
            "no service signed for any event of this file, so anybody may have written it: {REMEDY}"
        )));
    }
    let late = |line: &&Line<'_>| !line.signed && !may_be_unsigned(line.event.at, evidence.exported_at, now);
    if let Some(late) = lines.iter().find(late) {
        return Err(Flaw::Unproven(not_signed(late.event)));
    }
    lines.sort_by_key(|line| (line.event.at, line.event.id));
    Ok(lines)
}

/// Of the last seconds before the export, and the export of the last hour.
fn may_be_unsigned(at: OffsetDateTime, exported_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    (exported_at - at).abs() <= SIGNED_WITHIN
        && now - exported_at <= CHECKED_WITHIN
        && exported_at - now <= SIGNED_WITHIN
}

fn not_signed(event: &Event) -> String {
    format!(
        "{}: nobody signed for event {} (`{}`), so anybody may have written it. Services sign within seconds: this one did \
         not run, or the file was exported too early and is checked too late, or its seals were taken out: {REMEDY}",
        event.chain(),
        event.id,
        event.kind
    )
}

/// Everything but who signed for how much of it.
fn whole<'e>(evidence: &'e Evidence, trusted: &TrustedKeys) -> Result<Vec<Line<'e>>, String> {
    let signed = signed(evidence, trusted)?;
    let executions = executions(evidence);
    let mut ends = BTreeMap::new();
    let mut lines = vec![];
    for stretch in &evidence.stretches {
        belongs(evidence, stretch, &executions)?;
        let (followed, end) = follow(evidence, stretch, &signed)?;
        let chain = chain(evidence, stretch);
        // An execution's chain is there in one piece; of the others there may be several, each further on.
        let before = ends.insert(chain.clone(), end);
        let whole = ours(&chain, &executions);
        if before.is_some_and(|before| whole || before > stretch.after.seq) {
            return Err(format!("{chain}: a part of it is in the file twice"));
        }
        if whole && stretch.after.seq != 0 {
            return Err(format!(
                "{chain}: its first {} events were taken out of the file",
                stretch.after.seq
            ));
        }
        lines.extend(followed);
    }
    to_its_end(&signed, &executions, &ends)?;
    let events: Vec<&Event> = lines.iter().map(|line: &Line<'_>| line.event).collect();
    witness::complete(&events)?;
    for ((event, holds), content) in records::check(&events, &evidence.records)? {
        let line = lines.iter_mut().find(|line| line.event.id == event);
        line.map(|line| line.records.insert(holds, content));
    }
    Ok(lines)
}

/// The executions of the ticket. What somebody was refused says only what they asked for.
fn executions(evidence: &Evidence) -> BTreeSet<Uuid> {
    let entries = evidence.stretches.iter().flat_map(|stretch| &stretch.entries);
    entries
        .filter_map(|entry| entry.event.as_ref())
        .filter(|event| event.ticket.as_ref() == Some(&evidence.ticket) && !is_refusal(&event.kind))
        .filter_map(|event| event.execution)
        .collect()
}

fn ours(chain: &Chain, executions: &BTreeSet<Uuid>) -> bool {
    chain
        .execution
        .is_some_and(|execution| executions.contains(&execution))
}

/// Every event that is shown is this ticket's.
fn belongs(evidence: &Evidence, stretch: &Stretch, executions: &BTreeSet<Uuid>) -> Result<(), String> {
    let chain = chain(evidence, stretch);
    let whole = ours(&chain, executions);
    for event in stretch.entries.iter().filter_map(|entry| entry.event.as_ref()) {
        let belongs = match &event.ticket {
            Some(ticket) => *ticket == evidence.ticket || (whole && is_refusal(&event.kind)),
            None => whole,
        };
        if !belongs {
            let whose = event
                .ticket
                .as_ref()
                .map_or_else(|| "no ticket".to_owned(), |ticket| format!("ticket {ticket}"));
            return Err(format!(
                "{chain}: event {} (`{}`) is of {whose}, and the file is said to be of ticket {}",
                event.id, event.kind, evidence.ticket
            ));
        }
    }
    // All of it is shown, or a digest could stand for what somebody does not want to be seen.
    let hidden = stretch.entries.iter().find(|entry| entry.event.is_none());
    match hidden.filter(|_| whole) {
        Some(hidden) => Err(format!("{chain}: event {} was taken out of the file", hidden.seq)),
        None => Ok(()),
    }
}

/// What was signed of the ticket's executions is there up to its last event.
fn to_its_end(
    signed: &Signed,
    executions: &BTreeSet<Uuid>,
    ends: &BTreeMap<Chain, u64>,
) -> Result<(), String> {
    for (chain, places) in signed.iter().filter(|(chain, _)| ours(chain, executions)) {
        let Some(found) = ends.get(chain) else {
            return Err(format!(
                "{chain} is missing, and a seal of the file says that there is one"
            ));
        };
        if let Some((expected, _)) = places.last_key_value().filter(|(expected, _)| *expected > found) {
            let (expected, found) = (*expected, *found);
            return Err(format!("{chain}: {}", Broken::Truncated { expected, found }));
        }
    }
    Ok(())
}

type Signed = BTreeMap<Chain, BTreeMap<u64, Hash>>;

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

fn chain(evidence: &Evidence, stretch: &Stretch) -> Chain {
    Chain {
        tenant: evidence.tenant.clone(),
        service: stretch.service,
        execution: stretch.execution,
    }
}

/// The events of a stretch, and where it ends.
fn follow<'e>(
    evidence: &Evidence,
    stretch: &'e Stretch,
    signed: &Signed,
) -> Result<(Vec<Line<'e>>, u64), String> {
    let chain = chain(evidence, stretch);
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
    Ok((lines.collect(), walk.place().seq))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn only_the_last_minute_before_an_export_of_the_last_hour_may_be_unsigned() {
        let exported_at = datetime!(2026-03-02 09:15 UTC);
        for (before, since, may_be) in [
            (Duration::seconds(5), Duration::seconds(5), true),
            (Duration::seconds(60), Duration::minutes(60), true),
            (Duration::seconds(61), Duration::seconds(5), false),
            (Duration::seconds(-61), Duration::seconds(5), false),
            (Duration::seconds(5), Duration::minutes(61), false),
            // An export of tomorrow keeps nothing fresh.
            (Duration::seconds(5), Duration::hours(-24), false),
        ] {
            assert_eq!(
                may_be_unsigned(exported_at - before, exported_at, exported_at + since),
                may_be,
                "{before} before, looked at after {since}"
            );
        }
    }
}
