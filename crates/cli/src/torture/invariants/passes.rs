//! Of passes and texts: what was made, for whom, by whose leave, and what they got.

use std::collections::{BTreeMap, BTreeSet};

use simulators::Event;
use simulators::entra::PushAnswer;

use super::tickets::End;
use super::{Finding, Violation};
use crate::torture::records::{Holder, Records};

/// Each person has at most one pass that works, and it is one that they received; who had a ticket resolved received one
/// for it, and has one that works unless a later ticket of theirs took it back and says so by its escalation.
pub(super) fn the_live_pass_is_one_that_was_delivered(records: &Records) -> Finding {
    let mut violations: Vec<Violation> = records
        .people
        .iter()
        .filter_map(|person| {
            Some(Violation {
                ticket: None,
                what: undelivered(records, person)?,
            })
        })
        .collect();
    let resolved = records
        .tickets
        .iter()
        .filter(|ticket| End::of(ticket) == Some(End::Resolved));
    let mut checked = records.people.len();
    for ticket in resolved {
        checked += 1;
        let number = records
            .people
            .iter()
            .find(|person| person.email == ticket.from)
            .and_then(|person| person.number.as_deref());
        let received = records
            .pass_texts()
            .filter(|text| text.ticket == ticket.id && Some(text.to) == number)
            .count();
        if received != 1 {
            let what = format!(
                "is resolved, and {} received {received} passes for it",
                ticket.from
            );
            violations.push(Violation::of(ticket.id, what));
        }
    }
    Finding {
        invariant: "the one pass that works was delivered",
        checked,
        violations,
    }
}

fn undelivered(records: &Records, person: &Holder) -> Option<String> {
    let Holder {
        email,
        number,
        passes,
        ..
    } = person;
    let received: Vec<&str> = records
        .pass_texts()
        .filter(|text| Some(text.to) == number.as_deref())
        .map(|text| text.pass)
        .collect();
    match passes.as_slice() {
        [pass] if received.contains(&pass.as_str()) => None,
        [_] => Some(format!("{email} has a pass that works and was never delivered")),
        [] if received.is_empty() || escalated(records, email) => None,
        [] => Some(format!(
            "{email} received a pass, and none works though no ticket of theirs was escalated"
        )),
        several => Some(format!("{email} has {} passes that work", several.len())),
    }
}

fn escalated(records: &Records, email: &str) -> bool {
    let theirs = records.tickets.iter().filter(|ticket| ticket.from == email);
    theirs
        .into_iter()
        .any(|ticket| End::of(ticket) == Some(End::Escalated))
}

/// Whenever a pass was made, its person had approved a push before, or their manager had said yes; and no more tickets of
/// theirs led to a pass than there were approvals.
pub(super) fn nobody_got_a_pass_without_an_approval(records: &Records) -> Finding {
    let managers: BTreeMap<&str, &str> = records
        .people
        .iter()
        .filter_map(|person| Some((person.email.as_str(), person.manager.as_deref()?)))
        .collect();
    let numbers: BTreeMap<&str, &str> = records
        .people
        .iter()
        .filter_map(|person| Some((person.number.as_deref()?, person.email.as_str())))
        .collect();
    let mut approvals: BTreeMap<&str, usize> = BTreeMap::new();
    let mut checked = 0;
    let mut violations = Vec::new();
    for event in &records.events {
        if let Some(by) = approved_by(event, &numbers) {
            *approvals.entry(by).or_default() += 1;
        }
        let Event::PassCreated { email, .. } = event else {
            continue;
        };
        checked += 1;
        if leave(&approvals, &managers, email) == 0 {
            let what =
                format!("a pass was made for {email}, and neither they nor their manager had approved");
            violations.push(Violation { ticket: None, what });
        }
    }
    for person in &records.people {
        let to = person.number.as_deref();
        let tickets: BTreeSet<i64> = records
            .pass_texts()
            .filter(|text| Some(text.to) == to)
            .map(|text| text.ticket)
            .collect();
        let approved = leave(&approvals, &managers, &person.email);
        if tickets.len() > approved {
            let what = format!(
                "{} got passes on {} tickets with {approved} approvals",
                person.email,
                tickets.len()
            );
            violations.push(Violation { ticket: None, what });
        }
    }
    Finding {
        invariant: "nobody got a pass without an approval",
        checked,
        violations,
    }
}

/// Who said yes.
fn approved_by<'a>(event: &'a Event, numbers: &BTreeMap<&str, &'a str>) -> Option<&'a str> {
    match event {
        Event::PushAnswered {
            email,
            answer: PushAnswer::Approve,
        }
        | Event::ButtonPressed {
            email, status: 200, ..
        } => Some(email),
        Event::SmsReplied { from, body, .. } if body.starts_with("YES ") => {
            numbers.get(from.as_str()).copied()
        }
        _ => None,
    }
}

fn leave(approvals: &BTreeMap<&str, usize>, managers: &BTreeMap<&str, &str>, email: &str) -> usize {
    let by = |email: &str| approvals.get(email).copied().unwrap_or_default();
    by(email) + managers.get(email).map_or(0, |manager| by(manager))
}

/// How often a manager may be asked by text on one ticket. Where both the carrier's answer and the look at its list were
/// lost, verification asks once more, with a fresh code; a pass is never sent on such a guess.
const QUESTIONS: usize = 2;

/// No number got the same text twice, no ticket sent two passes, and no ticket asked a number more often than it may.
pub(super) fn no_text_came_twice(records: &Records) -> Finding {
    let mut checked = 0;
    let mut violations = Vec::new();
    let mut seen: BTreeMap<(&str, &str, Option<i64>), usize> = BTreeMap::new();
    let mut bodies = BTreeSet::new();
    for (to, body) in records.texts() {
        checked += 1;
        let ticket = ticket_in(body);
        let (about, most) = subject(body);
        let times = seen.entry((to, about, ticket)).or_default();
        *times += 1;
        if !bodies.insert((to, body)) {
            let what = format!("the same text came twice to {}", masked(to));
            violations.push(Violation { ticket, what });
        } else if *times > most {
            let what = format!("{about} came {times} times to {}", masked(to));
            violations.push(Violation { ticket, what });
        }
    }
    Finding {
        invariant: "no text came twice",
        checked,
        violations,
    }
}

/// What a text is, and how often that may come for one ticket.
fn subject(body: &str) -> (&'static str, usize) {
    if body.contains("one-time sign-in pass") {
        ("a pass", 1)
    } else if body.contains("Reply YES ") {
        ("a question", QUESTIONS)
    } else {
        ("another text", usize::MAX)
    }
}

fn ticket_in(body: &str) -> Option<i64> {
    let (_, rest) = body.split_once("icket ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The last digits of a number, for people.
fn masked(number: &str) -> String {
    let from = number.len().saturating_sub(3);
    format!("•••{}", number.get(from..).unwrap_or_default())
}

/// No pass that was ever delivered, or works, stands in a note.
pub(super) fn no_pass_stands_on_a_ticket(records: &Records) -> Finding {
    let delivered = records.pass_texts().map(|text| text.pass);
    let live = records
        .people
        .iter()
        .flat_map(|person| person.passes.iter().map(String::as_str));
    let passes: BTreeSet<&str> = delivered.chain(live).collect();
    let mut checked = 0;
    let mut violations = Vec::new();
    for ticket in &records.tickets {
        for note in &ticket.notes {
            checked += 1;
            if passes.iter().any(|pass| note.text.contains(pass)) {
                violations.push(Violation::of(ticket.id, "has a pass in one of its notes"));
            }
        }
    }
    Finding {
        invariant: "no pass stands on a ticket",
        checked,
        violations,
    }
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
    fn a_live_pass_that_nobody_received_is_found() {
        let mut records = sample::records();
        records.people[0].passes = vec!["Zz0#zzzz".to_owned()];
        assert!(whats(&the_live_pass_is_one_that_was_delivered(&records)).contains("never delivered"));
    }

    #[test]
    fn a_second_live_pass_is_found() {
        let mut records = sample::records();
        records.people[0].passes.push("Zz0#zzzz".to_owned());
        assert!(whats(&the_live_pass_is_one_that_was_delivered(&records)).contains("2 passes that work"));
    }

    #[test]
    fn a_delivered_pass_that_no_longer_works_is_found() {
        let mut records = sample::records();
        records.people[0].passes.clear();
        assert!(whats(&the_live_pass_is_one_that_was_delivered(&records)).contains("none works"));
    }

    #[test]
    fn a_resolved_ticket_without_its_text_is_found() {
        let mut records = sample::records();
        records
            .events
            .retain(|event| !matches!(event, Event::SmsReceived { .. }));
        records.people[0].passes.clear();
        assert!(whats(&the_live_pass_is_one_that_was_delivered(&records)).contains("received 0 passes"));
    }

    #[test]
    fn a_pass_without_a_yes_is_found() {
        let mut records = sample::records();
        records
            .events
            .retain(|event| !matches!(event, Event::PushAnswered { .. }));
        let what = whats(&nobody_got_a_pass_without_an_approval(&records));
        assert!(
            what.contains("neither they nor their manager had approved"),
            "{what}"
        );
        assert!(what.contains("1 tickets with 0 approvals"), "{what}");
    }

    #[test]
    fn a_managers_yes_by_text_is_leave_enough() {
        let mut records = sample::records();
        for event in &mut records.events {
            if matches!(event, Event::PushAnswered { .. }) {
                *event = sample::yes_by_text();
            }
        }
        assert_eq!(whats(&nobody_got_a_pass_without_an_approval(&records)), "");
    }

    #[test]
    fn two_passes_for_one_ticket_are_found_though_the_texts_differ() {
        let mut records = sample::records();
        records
            .events
            .push(sample::pass_text(sample::RESOLVED, "Zz0#zzzz"));
        assert!(whats(&no_text_came_twice(&records)).contains("a pass came 2 times"));
    }

    #[test]
    fn the_same_text_twice_is_found() {
        let mut records = sample::records();
        records
            .events
            .push(sample::pass_text(sample::RESOLVED, sample::PASS));
        assert!(whats(&no_text_came_twice(&records)).contains("the same text came twice"));
    }

    #[test]
    fn a_third_question_on_one_ticket_is_found_and_a_second_with_another_code_is_not() {
        let mut records = sample::records();
        records
            .events
            .extend([sample::question("4821"), sample::question("9384")]);
        assert_eq!(whats(&no_text_came_twice(&records)), "");
        records.events.push(sample::question("0110"));
        assert!(whats(&no_text_came_twice(&records)).contains("a question came 3 times"));
    }

    #[test]
    fn a_pass_in_a_note_is_found() {
        let mut records = sample::records();
        let note = sample::note(&format!("Result: {} was made", sample::PASS), true);
        sample::ticket(&mut records, sample::RESOLVED).notes.push(note);
        assert!(whats(&no_pass_stands_on_a_ticket(&records)).contains("has a pass"));
    }
}
