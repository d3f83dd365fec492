//! Which calls of the help desk tell what is due: as few as keep every note complete and in order.
//!
//! Pure. The help desk allows some 300 calls in five minutes for everybody, so updates of one kind that pile up become one
//! note, notes that follow each other travel in one call, and of several values for the custom field only the last is written.

use std::collections::HashMap;

use common::{AutomationStatus, Ending, ExecutionId};

use crate::story::{self, Story};
use crate::update::{Due, Marker, SetFields, Update};

/// No note grows past this many updates.
const MOST_PARTS: usize = 20;
/// No call carries more notes: each is some kilobytes, and after one that failed all of them are looked for.
const MOST_NOTES: usize = 8;

/// The stories of executions that have ended, by execution.
pub(crate) type Stories = HashMap<ExecutionId, Story>;

/// One call of the help desk, and which updates are settled once it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// Notes in their order, each of which may change the ticket as well.
    Notes(Vec<Note>),
    /// The custom field, and whatever else must hold of the ticket by then.
    Fields {
        /// Positions settled by it.
        covers: Vec<i64>,
        /// The last value.
        status: AutomationStatus,
    },
    /// Custom fields that a playbook sets.
    Set {
        /// Settled by it.
        position: i64,
        /// Whose they are.
        execution: ExecutionId,
        /// Which, and their values.
        fields: SetFields,
    },
}

/// The custom field of the automation, for the record.
pub(crate) const STATUS: &str = "automation status";
/// A playbook's custom fields, for the record.
pub(crate) const CUSTOM_FIELDS: &str = "custom fields";

impl Dispatch {
    /// What it tells, for the record.
    pub(crate) fn told(&self) -> Vec<Told<'_>> {
        match self {
            Self::Notes(notes) => notes.iter().map(Note::told).collect(),
            Self::Fields { covers, .. } => vec![Told { what: STATUS, covers }],
            Self::Set { position, .. } => vec![Told {
                what: CUSTOM_FIELDS,
                covers: std::slice::from_ref(position),
            }],
        }
    }
}

/// A note made of one or more updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Positions settled by it.
    pub(crate) covers: Vec<i64>,
    /// What it says, piece by piece.
    pub(crate) parts: Vec<Part>,
    /// Not for the requester.
    pub(crate) private: bool,
}

/// One update in a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(super) marker: Marker,
    pub(super) text: String,
    pub(super) change: Option<Change>,
}

/// What a note does to its ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The status for resolved tickets.
    Resolve,
    /// Unassigned, and the status for escalated tickets where one is set.
    Escalate,
}

/// What a call told, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    /// In a few words.
    pub(crate) what: &'static str,
    /// Positions settled by it.
    pub(crate) covers: &'a [i64],
}

impl Note {
    /// What it tells, for the record.
    pub(crate) fn told(&self) -> Told<'_> {
        let what = if self.private {
            "private note"
        } else {
            "public note"
        };
        Told {
            what,
            covers: &self.covers,
        }
    }

    /// Everything it says, and the marker that the help desk's client adds to it. A note of several parts carries the
    /// markers of the others within.
    pub(crate) fn text(&self) -> Option<(String, &Marker)> {
        let (last, before) = self.parts.split_last()?;
        let marked = before
            .iter()
            .map(|part| format!("{}\n[{}]", part.text, part.marker.as_str()));
        let pieces: Vec<String> = marked.chain([last.text.clone()]).collect();
        Some((pieces.join("\n\n"), &last.marker))
    }

    /// What it does to the ticket.
    pub(crate) fn change(&self) -> Option<Change> {
        self.parts.iter().find_map(|part| part.change)
    }

    /// Leave out what already stands on the ticket, and with it what that did to the ticket.
    pub(crate) fn without(mut self, standing: impl Fn(&Marker) -> bool) -> Self {
        self.parts.retain(|part| !standing(&part.marker));
        self
    }

    /// Say the same and leave the ticket as it is.
    pub(crate) fn without_change(mut self) -> Self {
        for part in &mut self.parts {
            part.change = None;
        }
        self
    }

    fn takes(&self, private: bool, change: Option<Change>) -> bool {
        self.private == private
            && (self.change().is_none() || change.is_none())
            && self.parts.len() < MOST_PARTS
    }
}

/// The calls for `due`, oldest update first. `stories` holds every execution that ended.
pub(crate) fn plan(due: &[Due], stories: &Stories) -> Vec<Dispatch> {
    let mut calls: Vec<Dispatch> = Vec::new();
    let mut fields: Option<(Vec<i64>, AutomationStatus)> = None;
    for (
        index,
        Due {
            position,
            execution,
            marker,
            update,
        },
    ) in due.iter().enumerate()
    {
        if let Update::Status { status } = update {
            let (covers, last) = fields.get_or_insert((vec![], *status));
            covers.push(*position);
            *last = *status;
            continue;
        }
        if let Update::Fields(fields) = update {
            calls.push(Dispatch::Set {
                position: *position,
                execution: *execution,
                fields: fields.clone(),
            });
            continue;
        }
        let superseded = due
            .iter()
            .skip(index)
            .any(|later| answers(later, *execution, update));
        let (private, change) = manner(update);
        let room = matches!(calls.last(), Some(Dispatch::Notes(notes))
            if notes.iter().all(|note| note.takes(private, change)));
        if !room {
            calls.push(Dispatch::Notes(vec![Note {
                covers: vec![],
                parts: vec![],
                private,
            }]));
        }
        if let Some(Dispatch::Notes(notes)) = calls.last_mut()
            && let Some(note) = notes.last_mut()
        {
            note.covers.push(*position);
            if !superseded && let Some(text) = render(update, stories.get(execution)) {
                note.parts.push(Part {
                    marker: marker.clone(),
                    text,
                    change,
                });
            }
        }
    }
    calls.extend(fields.map(|(covers, status)| Dispatch::Fields { covers, status }));
    together(calls)
}

/// Notes that follow each other in one call.
fn together(calls: Vec<Dispatch>) -> Vec<Dispatch> {
    let mut merged: Vec<Dispatch> = Vec::with_capacity(calls.len());
    for mut call in calls {
        if let (Some(Dispatch::Notes(before)), Dispatch::Notes(notes)) = (merged.last_mut(), &mut call)
            && before.len() + notes.len() <= MOST_NOTES
        {
            before.append(notes);
        } else {
            merged.push(call);
        }
    }
    merged
}

/// `later` tells the answer to the question that `update` tells of, and the question with it.
fn answers(later: &Due, execution: ExecutionId, update: &Update) -> bool {
    let Update::Asked(asked) = update else {
        return false;
    };
    let ended = match &later.update {
        Update::Progress(progress) => std::slice::from_ref(progress),
        Update::Steps { steps } => steps,
        _ => return false,
    };
    later.execution == execution
        && ended
            .iter()
            .any(|progress| progress.call == asked.call && progress.asked.is_some())
}

/// Whether it is private, and what it does to the ticket.
const fn manner(update: &Update) -> (bool, Option<Change>) {
    match update {
        Update::Resolved => (false, Some(Change::Resolve)),
        Update::Escalated => (true, Some(Change::Escalate)),
        Update::Note(note) => (!note.public, None),
        Update::Status { .. }
        | Update::Asked(_)
        | Update::Progress(_)
        | Update::Steps { .. }
        | Update::Story
        | Update::Fields(_)
        | Update::Operated(_)
        | Update::Held(_) => (true, None),
    }
}

fn render(update: &Update, story: Option<&Story>) -> Option<String> {
    match update {
        Update::Status { .. } | Update::Fields(_) => None,
        Update::Note(note) => Some(story::playbook_note(note)),
        Update::Asked(asked) => Some(story::asked_note(asked)),
        Update::Progress(progress) => Some(story::progress_note(progress)),
        Update::Steps { steps } => Some(story::steps_note(steps)),
        Update::Resolved => story.map(story::resolved_note),
        Update::Escalated => story.map(|story| match &story.ending {
            Ending::Escalated { reason } => story::escalated_note(story, reason),
            Ending::Resolved => story::story_note(story),
        }),
        Update::Story => story.map(story::story_note),
        Update::Operated(operated) => Some(story::operated_note(operated)),
        Update::Held(held) => Some(story::held_note(held)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::{Asked, PlaybookNote, Progress};
    use common::{Outcome, PlaybookRef, StepCall, Values};
    use time::macros::datetime;

    const ONE: &str = "0199a7c0-0000-7000-8000-000000000001";

    fn due(updates: Vec<Update>) -> Vec<Due> {
        let numbered = updates.into_iter().zip(1_i64..);
        numbered
            .map(|(update, position)| Due {
                position,
                execution: ONE.parse().unwrap(),
                marker: Marker::stored(format!("fl-{position}")),
                update,
            })
            .collect()
    }

    fn call(step: &str) -> StepCall {
        StepCall {
            id: step.parse().unwrap(),
            visit: 1,
            attempt: 1,
        }
    }

    fn asked(step: &str) -> Update {
        Update::Asked(Asked {
            call: call(step),
            name: step.to_owned(),
            asked: "Adele was asked.".to_owned(),
        })
    }

    fn progress(step: &str) -> Update {
        Update::Progress(Progress {
            call: call(step),
            name: step.to_owned(),
            action: None,
            asked: Some("Adele was asked.".to_owned()),
            outcome: Outcome::Success,
            explanation: "She agreed.".to_owned(),
            next: None,
        })
    }

    fn public_note() -> Update {
        Update::Note(PlaybookNote {
            call: call("say"),
            name: "say".to_owned(),
            text: "Wait.".to_owned(),
            public: true,
        })
    }

    fn status(status: AutomationStatus) -> Update {
        Update::Status { status }
    }

    fn stories(ending: Ending) -> Stories {
        let story = Story {
            execution: ONE.parse().unwrap(),
            decision: ONE.parse().unwrap(),
            playbook: PlaybookRef {
                name: "p".parse().unwrap(),
                version: "1".parse().unwrap(),
                digest: common::Digest::of("p"),
            },
            requester_name: "Adele".to_owned(),
            ending,
            started_at: datetime!(2026-11-22 02:30:00 UTC),
            ended_at: datetime!(2026-11-22 02:31:00 UTC),
            chapters: vec![],
        };
        Stories::from([(story.execution, story)])
    }

    fn shape(dispatches: &[Dispatch]) -> Vec<String> {
        let note = |note: &Note| {
            let who = if note.private { "private" } else { "public" };
            let markers: Vec<_> = note.parts.iter().map(|part| part.marker.as_str()).collect();
            let markers = markers.join("+");
            format!("{who} {markers} {:?} {:?}", note.change(), note.covers)
        };
        let shape = |dispatch: &Dispatch| match dispatch {
            Dispatch::Fields { covers, status } => format!("fields {status} {covers:?}"),
            Dispatch::Set { position, fields, .. } => format!("set {:?} [{position}]", fields.fields),
            Dispatch::Notes(notes) => notes.iter().map(note).collect::<Vec<_>>().join("; "),
        };
        dispatches.iter().map(shape).collect()
    }

    fn first_note(dispatches: &[Dispatch]) -> &Note {
        match dispatches.first() {
            Some(Dispatch::Notes(notes)) => &notes[0],
            other => panic!("no note: {other:?}"),
        }
    }

    #[test]
    fn a_run_that_was_over_in_a_moment_costs_one_call_of_three_notes_and_one_field() {
        let due = due(vec![
            status(AutomationStatus::Running),
            asked("verify"),
            status(AutomationStatus::Waiting),
            progress("verify"),
            status(AutomationStatus::Running),
            progress("reset"),
            Update::Resolved,
            Update::Story,
            status(AutomationStatus::Resolved),
        ]);
        let calls = plan(&due, &stories(Ending::Resolved));
        let expected = [
            "private fl-4+fl-6 None [2, 4, 6]; public fl-7 Some(Resolve) [7]; private fl-8 None [8]",
            "fields resolved [1, 3, 5, 9]",
        ];
        assert_eq!(shape(&calls), expected);
    }

    #[test]
    fn an_escalation_needs_one_note_because_all_of_it_is_private() {
        let due = due(vec![progress("verify"), Update::Escalated, Update::Story]);
        let calls = plan(
            &due,
            &stories(Ending::Escalated {
                reason: "Denied".to_owned(),
            }),
        );
        assert_eq!(shape(&calls), ["private fl-1+fl-2+fl-3 Some(Escalate) [1, 2, 3]"]);
    }

    #[test]
    fn what_a_playbook_writes_keeps_its_place_among_the_rest() {
        let note = |step: &str, public: bool| {
            Update::Note(PlaybookNote {
                call: call(step),
                name: step.to_owned(),
                text: "Ending: resolved\nDone.".to_owned(),
                public,
            })
        };
        let set = Update::Fields(SetFields {
            call: call("tag"),
            name: "tag".to_owned(),
            fields: Values::from_iter([("CFurgent".to_owned(), true.into())]),
        });
        let due = due(vec![
            progress("a"),
            note("b", false),
            set,
            note("c", true),
            progress("d"),
        ]);
        let calls = plan(&due, &Stories::new());
        let expected = [
            "private fl-1+fl-2 None [1, 2]",
            "set {\"CFurgent\": Bool(true)} [3]",
            "public fl-4 None [4]; private fl-5 None [5]",
        ];
        assert_eq!(shape(&calls), expected);
        let (text, _) = first_note(&calls).text().unwrap();
        assert!(
            text.contains("\n> Ending: resolved\n> Done."),
            "no line of ours: {text}"
        );
    }

    #[test]
    fn a_question_is_told_with_its_answer_among_steps_that_ended_together() {
        let ended = |update: Update| match update {
            Update::Progress(progress) => progress,
            other => panic!("{other:?}"),
        };
        let steps = ["verify", "reset"].map(|step| ended(progress(step))).to_vec();
        let due = due(vec![asked("verify"), asked("other"), Update::Steps { steps }]);
        let calls = plan(&due, &Stories::new());
        assert_eq!(shape(&calls), ["private fl-2+fl-3 None [1, 2, 3]"]);
        let (text, _) = first_note(&calls).text().unwrap();
        let places = ["verify: ", "reset: "].map(|heading| text.find(heading));
        assert!(places[0].is_some() && places.is_sorted(), "{text}");
    }

    #[test]
    fn a_question_without_its_answer_is_told_by_itself() {
        let calls = plan(&due(vec![asked("verify"), progress("other")]), &Stories::new());
        assert_eq!(shape(&calls), ["private fl-1+fl-2 None [1, 2]"]);
    }

    #[test]
    fn what_already_stands_on_the_ticket_is_not_said_again() {
        let due = due(vec![progress("verify"), Update::Escalated]);
        let calls = plan(
            &due,
            &stories(Ending::Escalated {
                reason: "Denied".to_owned(),
            }),
        );
        let note = first_note(&calls).clone();
        let first_stands = note.clone().without(|marker| marker.as_str() == "fl-1");
        assert_eq!(
            (first_stands.parts.len(), first_stands.change()),
            (1, Some(Change::Escalate))
        );
        let (text, marker) = note.text().expect("two parts");
        assert_eq!(
            (text.contains("fl-1"), marker.as_str()),
            (true, "fl-2"),
            "every marker can be found again"
        );
        let all_stands = note.without(|_| true);
        assert_eq!((all_stands.parts.len(), all_stands.change()), (0, None));
        assert_eq!(all_stands.covers, [1, 2], "and still all of it is settled");
    }

    #[test]
    fn no_call_carries_notes_without_end() {
        let turns = (0..10).flat_map(|step| [progress(&format!("s{step}")), public_note()]);
        let calls = plan(&due(turns.collect()), &Stories::new());
        let sizes: Vec<usize> = calls
            .iter()
            .map(|call| match call {
                Dispatch::Notes(notes) => notes.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [8, 8, 4]);
    }

    #[test]
    fn no_note_grows_without_end_and_none_is_lost_or_out_of_order() {
        let due = due((0..45).map(|step| progress(&format!("s{step}"))).collect());
        let calls = plan(&due, &Stories::new());
        let [Dispatch::Notes(notes)] = &calls[..] else {
            panic!("{calls:?}")
        };
        let told: Vec<i64> = notes.iter().flat_map(|note| note.covers.clone()).collect();
        assert_eq!(notes.len(), 3);
        assert_eq!(told, (1..=45).collect::<Vec<i64>>());
    }
}
