//! Which decisions would differ, and why. Pure.

use std::collections::BTreeMap;

use classifier::explain::told_apart;
use classifier::replay::{Outcome, Unrepeatable};
use common::explain::plain;
use common::{Decision, DecisionId, TicketId};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::database::Row;
use super::{Ended, NotRepeated};

/// What a replay found.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    decisions: usize,
    same: usize,
    totals: Totals,
    pub(super) differ: Vec<Differing>,
    not_repeated: Vec<Left>,
    /// Of those, the ones about which the classifier gave no answer.
    pub(super) unread: usize,
}

/// How many differ in which way.
#[derive(Debug, Default, Serialize)]
struct Totals {
    would_be_automated: usize,
    would_be_left_to_a_person: usize,
    would_start_another_playbook: usize,
    would_have_other_reasons: usize,
}

/// A decision that would differ.
#[derive(Debug, Serialize)]
pub(super) struct Differing {
    ticket_id: TicketId,
    decision_id: DecisionId,
    #[serde(with = "time::serde::rfc3339")]
    decided_at: OffsetDateTime,
    before: Outcome,
    after: Outcome,
    why: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Left {
    ticket_id: TicketId,
    decision_id: DecisionId,
    why: String,
}

impl Differing {
    pub(super) fn of(decision: &Decision, before: Outcome, after: Outcome) -> Self {
        Self {
            ticket_id: decision.ticket_id.clone(),
            decision_id: decision.decision_id,
            decided_at: decision.decided_at,
            why: why(&before, &after),
            before,
            after,
        }
    }

    /// What was read now is not all that was read then.
    pub(super) fn text_is_cut(&mut self) {
        self.why.push(
            "its text is longer than what is kept of it, so it may only read differently for that".to_owned(),
        );
    }
}

impl Told {
    pub(super) fn new(since: OffsetDateTime) -> Self {
        Self {
            since,
            decisions: 0,
            same: 0,
            totals: Totals::default(),
            differ: vec![],
            not_repeated: vec![],
            unread: 0,
        }
    }

    pub(super) fn add(&mut self, row: &Row, ended: Ended) {
        self.decisions += 1;
        match ended {
            Ended::Same => self.same += 1,
            Ended::Differs(differing) => {
                let totals = &mut self.totals;
                let count = match (differing.before.automated, differing.after.automated) {
                    (false, true) => &mut totals.would_be_automated,
                    (true, false) => &mut totals.would_be_left_to_a_person,
                    (true, true) => &mut totals.would_start_another_playbook,
                    (false, false) => &mut totals.would_have_other_reasons,
                };
                *count += 1;
                self.differ.push(*differing);
            }
            Ended::Not(why) => {
                let no_answer = matches!(why, NotRepeated::Unrepeatable(Unrepeatable::Unread(_)));
                self.unread += usize::from(no_answer);
                self.not_repeated.push(Left {
                    ticket_id: row.decision.ticket_id.clone(),
                    decision_id: row.decision.decision_id,
                    why: why.to_string(),
                });
            }
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.differ.iter().flat_map(differing).collect();
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(self.summary());
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for left in &self.not_repeated {
            reasons
                .entry(&left.why)
                .or_default()
                .push(left.ticket_id.as_str());
        }
        for (why, tickets) in reasons {
            let example = tickets.first().copied().unwrap_or_default();
            let count = tickets.len();
            lines.push(format!(
                "{count} could not be decided again: {} (ticket {example})",
                plain(why)
            ));
        }
        if self.totals.would_be_automated > 0 {
            lines.push(
                "Modes, switches and limits are asked only where a ticket is about to be automated: they may still speak against those."
                    .to_owned(),
            );
        }
        lines.push("Nothing was written.".to_owned());
        lines
    }

    fn summary(&self) -> String {
        let Totals {
            would_be_automated,
            would_be_left_to_a_person,
            would_start_another_playbook,
            would_have_other_reasons,
        } = self.totals;
        let parts = [
            (would_be_automated, "would be automated"),
            (would_be_left_to_a_person, "would be left to a person"),
            (would_start_another_playbook, "would start another playbook"),
            (
                would_have_other_reasons,
                "would be left to a person for other reasons",
            ),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let parts = if parts.is_empty() {
            String::new()
        } else {
            format!(" ({})", parts.join(", "))
        };
        format!(
            "{} since {}: {} the same, {} would differ{parts}.",
            match self.decisions {
                1 => "1 decision".to_owned(),
                count => format!("{count} decisions"),
            },
            minute(self.since),
            self.same,
            self.differ.len()
        )
    }
}

fn differing(differing: &Differing) -> Vec<String> {
    let head = format!(
        "ticket {} ({}): {} -> {}",
        differing.ticket_id,
        minute(differing.decided_at),
        verdict(&differing.before),
        verdict(&differing.after)
    );
    std::iter::once(head)
        .chain(differing.why.iter().map(|why| format!("    {why}")))
        .collect()
}

fn verdict(outcome: &Outcome) -> String {
    match (&outcome.playbook, outcome.automated) {
        (Some(playbook), true) => format!("automated with {} {}", playbook.name, playbook.version),
        (None, true) => "automated".to_owned(),
        (_, false) => "left to a person".to_owned(),
    }
}

/// What is there in one and not in the other, in words.
fn why(before: &Outcome, after: &Outcome) -> Vec<String> {
    let only_in = |one: &Outcome, other: &Outcome, what: &str| {
        let other = other.codes().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let gone = one
            .blockers
            .iter()
            .filter(|blocker| !other.contains(&blocker.code));
        gone.map(|blocker| format!("{what}: {} [{}]", plain(&blocker.detail), plain(&blocker.code)))
            .collect::<Vec<_>>()
    };
    let mut told = only_in(before, after, "no longer against it");
    told.extend(only_in(after, before, "now against it"));
    let named = |outcome: &Outcome| match &outcome.sub_category {
        Some(sub_category) => format!("{} / {}", plain(&outcome.category), plain(sub_category)),
        None => plain(&outcome.category),
    };
    if named(before) != named(after) {
        told.push(format!("category: {} -> {}", named(before), named(after)));
    }
    if before.confidence.to_bits() != after.confidence.to_bits() {
        let (before, after) = told_apart(before.confidence, after.confidence);
        told.push(format!("confidence: {before} -> {after}"));
    }
    if let (Some(one), Some(other)) = (&before.playbook, &after.playbook)
        && one != other
    {
        told.push(format!(
            "playbook: {} {} -> {} {}",
            one.name, one.version, other.name, other.version
        ));
        if (&one.name, &one.version) == (&other.name, &other.version) {
            told.push("the document is another one under the same version".to_owned());
        }
    }
    told
}

fn minute(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use common::{Blocker, Digest, PlaybookRef};
    use serde_json::json;
    use time::macros::datetime;

    use super::super::database::Kept;
    use super::*;

    fn row(ticket: &str) -> Row {
        let decision = json!({
            "decision_id": "019ad000-0000-7000-8000-000000000000", "tenant_id": "default", "ticket_id": ticket,
            "automated": false, "category": "REQUEST", "confidence": 0.71, "model": "m", "prompt_version": "p",
            "reasoning": "", "blockers": [], "decided_at": "2026-11-28T12:00:00Z",
        });
        Row {
            decision: serde_json::from_value(decision).unwrap(),
            kept: Kept::Nothing,
        }
    }

    fn outcome(confidence: f64, version: &str, blockers: &[(&str, &str)]) -> Outcome {
        let blocker = |(code, detail): &(&str, &str)| Blocker {
            code: (*code).to_owned(),
            detail: (*detail).to_owned(),
        };
        Outcome {
            automated: blockers.is_empty(),
            category: "REQUEST".to_owned(),
            sub_category: Some("PASSWORD_RESET".to_owned()),
            confidence,
            playbook: Some(PlaybookRef {
                name: "password_reset".parse().unwrap(),
                version: version.parse().unwrap(),
                digest: Digest::of(version),
            }),
            blockers: blockers.iter().map(blocker).collect(),
        }
    }

    const DOUBTFUL: (&str, &str) = ("below_threshold", "the confidence 0.71 is below 0.85");
    const DISABLED: (&str, &str) = ("account_disabled", "the requester's\naccount is disabled");

    fn told() -> Told {
        let mut told = Told::new(datetime!(2026-10-29 12:00 UTC));
        let pairs = [
            (outcome(0.71, "1", &[DOUBTFUL]), outcome(0.71, "1", &[])),
            (outcome(0.93, "1", &[]), outcome(0.61, "1", &[DOUBTFUL, DISABLED])),
            (outcome(0.93, "1", &[]), outcome(0.93, "2", &[])),
            (
                outcome(0.71, "1", &[DOUBTFUL, DISABLED]),
                outcome(0.71, "1", &[DISABLED]),
            ),
        ];
        for (number, (before, after)) in pairs.into_iter().enumerate() {
            let row = row(&number.to_string());
            let differing = Differing::of(&row.decision, before, after);
            told.add(&row, Ended::Differs(Box::new(differing)));
        }
        told.add(&row("4"), Ended::Same);
        told.add(&row("5"), Ended::Not(NotRepeated::NothingKept));
        told.add(&row("6"), Ended::Not(Unrepeatable::Erased.into()));
        told.add(&row("7"), Ended::Not(Unrepeatable::Erased.into()));
        told
    }

    #[test]
    fn what_would_differ_is_told_with_the_reason_and_totals() {
        insta::assert_snapshot!(told().lines().join("\n"));
    }

    #[test]
    fn the_same_is_one_object_for_programs() {
        insta::assert_json_snapshot!(told());
    }

    #[test]
    fn where_nothing_differs_that_is_said() {
        let mut told = Told::new(datetime!(2026-10-29 12:00 UTC));
        told.add(&row("1"), Ended::Same);
        assert_eq!(
            told.lines(),
            [
                "1 decision since 2026-10-29 12:00 UTC: 1 the same, 0 would differ.",
                "Nothing was written."
            ]
        );
    }
}
