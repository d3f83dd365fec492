//! Of notes: each story is told once, whole, and in order.

use std::collections::BTreeSet;

use simulators::halo::TicketView;

use super::tickets::End;
use super::{Finding, Violation};
use crate::torture::records::Records;

/// What stands in every note of ours, before 16 digits.
const MARKER: &str = "fl-";
/// How the complete record begins.
const RECORD: &str = "Automation record";
/// How the note to whoever takes over begins.
const ESCALATED: &str = "Automation stopped";
/// What the requester reads.
const DONE: &str = "your request was completed automatically";

/// An automated ticket has its complete record once; every step of the record was told in a note of its own, once, in the
/// order of the record; the closing note is there, once; and no note was written twice.
pub(super) fn notes_are_complete_and_in_order(records: &Records) -> Finding {
    let mut checked = 0;
    let mut violations = Vec::new();
    for ticket in &records.tickets {
        let Some(end @ (End::Resolved | End::Escalated)) = End::of(ticket) else {
            continue;
        };
        checked += ticket.notes.len();
        violations.extend(
            missing(ticket, end)
                .into_iter()
                .map(|what| Violation::of(ticket.id, what)),
        );
    }
    Finding {
        invariant: "notes are complete and in order",
        checked,
        violations,
    }
}

fn missing(ticket: &TicketView, end: End) -> Vec<String> {
    let text: String = ticket
        .notes
        .iter()
        .map(|note| note.text.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    let mut what = Vec::new();
    let closing = if end == End::Resolved { DONE } else { ESCALATED };
    for (once, called) in [(RECORD, "the complete record"), (closing, "the closing note")] {
        let times = text.matches(once).count();
        if times != 1 {
            what.push(format!("has {called} {times} times"));
        }
    }
    let mut seen = BTreeSet::new();
    for marker in markers(&text) {
        if !seen.insert(marker) {
            what.push(format!("has the note {marker} twice"));
        }
    }
    // They may share a note: what piles up while the help desk is away travels together.
    let Some((told, record)) = text.split_once(RECORD) else {
        return what;
    };
    let told: Vec<&str> = told.lines().map(str::trim).collect();
    let mut last = None;
    for step in steps(record) {
        let places: Vec<usize> = (0..told.len())
            .filter(|place| told.get(*place).is_some_and(|line| tells(line, &step)))
            .collect();
        match places.as_slice() {
            [place] if last.is_none_or(|last| last < *place) => last = Some(*place),
            [_] => what.push(format!("tells of `{step}` out of order")),
            places => what.push(format!(
                "tells {} times, before its record, how `{step}` ended",
                places.len()
            )),
        }
    }
    what
}

/// Whether `line` is the heading of a note on how `step` ended; that it waits comes in a note before.
fn tells(line: &str, step: &str) -> bool {
    line.strip_prefix(step)
        .and_then(|rest| rest.strip_prefix(": "))
        .is_some_and(|outcome| outcome != "waiting.")
}

/// The steps in a record that somebody was called for, oldest first: `2. 2026-11-22 02:30:07 Reset Password (attempt 2) by
/// executor.reset_password`.
fn steps(record: &str) -> Vec<String> {
    let step = |line: &str| {
        let (number, rest) = line.trim().split_once(". ")?;
        number.parse::<u32>().ok()?;
        let mut words = rest.splitn(3, ' ');
        let (_date, _time, rest) = (words.next()?, words.next()?, words.next()?);
        let (name, by) = rest.rsplit_once(" by ")?;
        (by != "orchestration").then(|| name.to_owned())
    };
    record.lines().filter_map(step).collect()
}

fn markers(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(MARKER).filter_map(|(at, _)| {
        let marker = text.get(at..at + MARKER.len() + 16)?;
        let digits = marker.strip_prefix(MARKER)?;
        digits
            .chars()
            .all(|sign| sign.is_ascii_hexdigit())
            .then_some(marker)
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn whats(records: &Records) -> String {
        let finding = notes_are_complete_and_in_order(records);
        let whats = finding.violations.iter().map(|violation| violation.what.as_str());
        whats.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_note_that_was_never_written_is_found() {
        for (missing, what) in [
            (
                0,
                "tells 0 times, before its record, how `Verify User via MFA` ended",
            ),
            (2, "has the closing note 0 times"),
            (3, "has the complete record 0 times"),
        ] {
            let mut records = sample::records();
            sample::ticket(&mut records, sample::RESOLVED)
                .notes
                .remove(missing);
            assert!(
                whats(&records).contains(what),
                "without {missing}: {}",
                whats(&records)
            );
        }
    }

    #[test]
    fn a_note_that_was_written_twice_is_found() {
        let mut records = sample::records();
        let notes = &mut sample::ticket(&mut records, sample::RESOLVED).notes;
        notes.push(notes[3].clone());
        let what = whats(&records);
        assert!(what.contains("the complete record 2 times"), "{what}");
        assert!(what.contains("has the note fl-0000000000000004 twice"), "{what}");
    }

    #[test]
    fn notes_that_changed_places_are_found() {
        let mut records = sample::records();
        sample::ticket(&mut records, sample::RESOLVED).notes.swap(0, 1);
        assert!(
            whats(&records).contains("`Reset Password (attempt 2)` out of order"),
            "{}",
            whats(&records)
        );
    }
}
