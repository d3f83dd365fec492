//! Of tickets: how they end, and what is told of it.

use std::collections::BTreeSet;

use common::AutomationStatus;
use launcher::stage::STATUS_FIELD;
use simulators::Event;
use simulators::halo::TicketView;

use super::{Finding, Violation};
use crate::torture::records::{AuditLine, Records};

/// What the help desk's status is called for what was resolved.
const RESOLVED: &str = "Resolved";

/// Of so many tickets none is resolved only where the fleet does nothing.
const MANY: usize = 20;

/// How a ticket ended, by its custom field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Manual,
    Resolved,
    Escalated,
}

impl End {
    /// `None`: this is no end.
    fn named(value: &str) -> Option<Self> {
        [
            (AutomationStatus::Manual, Self::Manual),
            (AutomationStatus::Resolved, Self::Resolved),
            (AutomationStatus::Escalated, Self::Escalated),
        ]
        .into_iter()
        .find_map(|(status, end)| (status.as_str() == value).then_some(end))
    }

    /// `None`: it has not ended.
    pub(super) fn of(ticket: &TicketView) -> Option<Self> {
        Self::named(ticket.custom_fields.get(STATUS_FIELD)?)
    }
}

/// Each ticket ended as manual, resolved or escalated; it did so once, nothing came after, and the help desk's own status
/// says the same.
pub(super) fn every_ticket_ended_once(records: &Records) -> Finding {
    let violations = records
        .tickets
        .iter()
        .flat_map(|ticket| ended_once(records, ticket));
    Finding {
        invariant: "every ticket ended once",
        checked: records.tickets.len(),
        violations: violations.collect(),
    }
}

/// Of many tickets some are resolved. A fleet that leaves everything to people breaks no other promise.
pub(super) fn somebody_was_helped(records: &Records) -> Finding {
    let filed = records.tickets.len();
    let mut ends = records.tickets.iter().map(End::of);
    let idle = filed >= MANY && !ends.any(|end| end == Some(End::Resolved));
    Finding {
        invariant: "somebody was helped",
        checked: filed,
        violations: idle
            .then(|| Violation {
                ticket: None,
                what: format!("of {filed} tickets none was resolved: see in the logs why"),
            })
            .into_iter()
            .collect(),
    }
}

fn ended_once(records: &Records, ticket: &TicketView) -> Vec<Violation> {
    let states: Vec<&str> = records
        .events
        .iter()
        .filter_map(|event| match event {
            Event::CustomFieldChanged {
                ticket: of,
                field,
                value,
            } if *of == ticket.id && field == STATUS_FIELD => Some(value.as_str()),
            _ => None,
        })
        .collect();
    let closed = records
        .events
        .iter()
        .filter(|event| matches!(event, Event::StatusChanged { ticket: of, to, .. } if *of == ticket.id && to == RESOLVED))
        .count();
    let way = || states.join(", ");
    let Some(end) = End::of(ticket) else {
        return vec![Violation::of(
            ticket.id,
            format!("has not ended; its states were: {}", way()),
        )];
    };
    let ends = states.iter().filter(|value| End::named(value).is_some()).count();
    let mut violations = Vec::new();
    if ends != 1 || states.last().and_then(|value| End::named(value)) != Some(end) {
        violations.push(Violation::of(
            ticket.id,
            format!("ended {ends} times; its states were: {}", way()),
        ));
    }
    if (end == End::Resolved) != (ticket.status == RESOLVED) {
        let what = format!("is {end:?} by its field and `{}` by its status", ticket.status);
        violations.push(Violation::of(ticket.id, what));
    }
    if closed > 1 {
        violations.push(Violation::of(
            ticket.id,
            format!("became `{RESOLVED}` {closed} times"),
        ));
    }
    violations
}

/// A manual ticket has no note of ours, and nothing was sent for it.
pub(super) fn what_is_left_to_people_is_untouched(records: &Records) -> Finding {
    let manual: Vec<&TicketView> = records
        .tickets
        .iter()
        .filter(|ticket| End::of(ticket) == Some(End::Manual))
        .collect();
    let texted: BTreeSet<i64> = records.pass_texts().map(|text| text.ticket).collect();
    let touched = manual.iter().filter_map(|ticket| {
        let notes = ticket.notes.len();
        if notes > 0 {
            return Some(Violation::of(
                ticket.id,
                format!("is manual and has {notes} notes"),
            ));
        }
        texted
            .contains(&ticket.id)
            .then(|| Violation::of(ticket.id, "is manual, and a pass was sent for it"))
    });
    Finding {
        invariant: "what is left to people is untouched",
        checked: manual.len(),
        violations: touched.collect(),
    }
}

/// The trail of each automated ticket tells one beginning and one end, with every step between them, and no permit is
/// spent that was not issued, or twice.
pub(super) fn the_audit_trail_is_unbroken(records: &Records) -> Finding {
    let automated = records
        .tickets
        .iter()
        .filter(|ticket| matches!(End::of(ticket), Some(End::Resolved | End::Escalated)));
    let mut checked = 0;
    let mut violations = Vec::new();
    for ticket in automated {
        let trail: Vec<&AuditLine> = records
            .audit
            .iter()
            .filter(|line| line.ticket == ticket.id)
            .collect();
        checked += trail.len();
        violations.extend(
            broken(&trail)
                .into_iter()
                .map(|what| Violation::of(ticket.id, what)),
        );
    }
    Finding {
        invariant: "the audit trail is unbroken",
        checked,
        violations,
    }
}

fn broken(trail: &[&AuditLine]) -> Vec<String> {
    let of = |kind: &'static str| trail.iter().filter(move |line| line.kind == kind);
    let mut what: Vec<String> = ["decision.recorded", "execution.accepted", "execution.ended"]
        .into_iter()
        .filter_map(|kind| {
            let times = of(kind).count();
            (times != 1).then(|| format!("its audit trail tells `{kind}` {times} times"))
        })
        .collect();
    let mut issued = BTreeSet::new();
    let mut spent = BTreeSet::new();
    for line in trail {
        let Some(permit) = &line.permit else { continue };
        if line.kind == "permit.issued" {
            issued.insert(permit);
        } else if line.kind == "permit.spent" {
            if !issued.contains(permit) {
                what.push(format!(
                    "its audit trail tells of permit {permit} spent and not of it issued"
                ));
            }
            if !spent.insert(permit) {
                what.push(format!("its audit trail tells twice of permit {permit} spent"));
            }
        }
    }
    what
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn whats(finding: &Finding) -> String {
        let whats = finding.violations.iter().map(|violation| violation.what.as_str());
        whats.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_sound_record_is_without_violation() {
        let findings = super::super::all(&sample::records());
        for finding in findings {
            assert_eq!(finding.violations, [], "{}", finding.invariant);
            assert!(finding.checked > 0, "{} looked at nothing", finding.invariant);
        }
    }

    #[test]
    fn a_fleet_that_helps_nobody_is_found_once_there_were_many() {
        let mut records = sample::records();
        let manual = sample::ticket(&mut records, sample::MANUAL).clone();
        records.tickets = vec![manual.clone(); MANY - 1];
        assert_eq!(somebody_was_helped(&records).violations, []);
        records.tickets.push(manual);
        assert!(whats(&somebody_was_helped(&records)).contains("none was resolved"));
    }

    #[test]
    fn a_ticket_that_is_still_waiting_is_found() {
        let mut records = sample::records();
        sample::ticket(&mut records, sample::RESOLVED)
            .custom_fields
            .insert(STATUS_FIELD.to_owned(), "waiting".to_owned());
        assert!(whats(&every_ticket_ended_once(&records)).contains("has not ended"));
    }

    #[test]
    fn a_ticket_that_moved_on_after_its_end_is_found() {
        let mut records = sample::records();
        let state = |value: &str| sample::state(sample::RESOLVED, value);
        records.events.extend([state("running"), state("resolved")]);
        assert!(whats(&every_ticket_ended_once(&records)).contains("ended 2 times"));
    }

    #[test]
    fn a_resolved_ticket_that_the_help_desk_holds_open_is_found() {
        let mut records = sample::records();
        "New".clone_into(&mut sample::ticket(&mut records, sample::RESOLVED).status);
        assert!(whats(&every_ticket_ended_once(&records)).contains("`New` by its status"));
    }

    #[test]
    fn a_note_on_a_manual_ticket_is_found() {
        let mut records = sample::records();
        let note = sample::note("Automation stopped", true);
        sample::ticket(&mut records, sample::MANUAL).notes.push(note);
        assert!(whats(&what_is_left_to_people_is_untouched(&records)).contains("1 notes"));
    }

    #[test]
    fn a_pass_for_a_manual_ticket_is_found() {
        let mut records = sample::records();
        records.events.push(sample::pass_text(sample::MANUAL, "Xy9#bbbb"));
        assert!(whats(&what_is_left_to_people_is_untouched(&records)).contains("a pass was sent"));
    }

    #[test]
    fn an_audit_trail_without_an_end_is_found() {
        let mut records = sample::records();
        records.audit.retain(|line| line.kind != "execution.ended");
        assert!(whats(&the_audit_trail_is_unbroken(&records)).contains("`execution.ended` 0 times"));
    }

    #[test]
    fn a_permit_out_of_nowhere_is_found_and_so_is_one_spent_twice() {
        let mut records = sample::records();
        let spent = |permit: &str| sample::audit(sample::RESOLVED, "permit.spent", Some(permit));
        records.audit.extend([spent("p-2"), spent("p-1")]);
        let what = whats(&the_audit_trail_is_unbroken(&records));
        assert!(what.contains("p-2 spent and not of it issued"), "{what}");
        assert!(what.contains("twice of permit p-1"), "{what}");
    }
}
