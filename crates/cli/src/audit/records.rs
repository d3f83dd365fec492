//! The records of a file of evidence that events name by their digest only: what notes said, why the classifier answered
//! what it did, how the directory was before and after. Held against those events, none is missing and none is changed.

use std::collections::BTreeMap;

use common::explain::plain;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trust::audit::{Event, Holds, Named, record_digest};
use uuid::Uuid;

/// A record, and the event that names it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) event: Uuid,
    pub(super) holds: Holds,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// What there is of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    /// All of it: a text as a string, a state as an object.
    Content(Value),
    /// Nothing, and why. Its event still says what its digest was.
    NotKept(NotKept),
}

/// Why the database has it no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NotKept {
    /// Its row is there and the record is not: it was erased, or its service did not keep such records yet.
    Erased,
    /// Its row is gone too: retention, or somebody with the owner's rights, took all of it.
    RowGone,
}

impl NotKept {
    /// For whoever reads the evidence.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Erased => {
                "not in the database any more when this was exported: erased, or never kept. Its digest still stands in the event"
            }
            Self::RowGone => {
                "not in the database any more when this was exported: its whole row is gone. Its digest still stands in the event"
            }
        }
    }
}

/// Records by the event and the name under which it knows them.
pub(super) type ByEvent<'r> = BTreeMap<(Uuid, Holds), &'r Content>;

/// Records that are all what `events` say they are: or the first that is changed, missing or nobody's.
pub(super) fn check<'r>(events: &[&Event], records: &'r [Record]) -> Result<ByEvent<'r>, String> {
    let mut known = ByEvent::new();
    for Record {
        event,
        holds,
        content,
    } in records
    {
        if known.insert((*event, *holds), content).is_some() {
            return Err(format!(
                "{} of event {event} is in the file twice",
                holds.in_words()
            ));
        }
    }
    let mut named = 0;
    for event in events {
        for Named { holds, digest } in event.records() {
            named += 1;
            let whose = || format!("{} of event {} (`{}`)", holds.in_words(), event.id, event.kind);
            match known.get(&(event.id, holds)) {
                None => return Err(format!("{} was taken out of the file", whose())),
                Some(Content::NotKept(_)) => {}
                Some(Content::Content(content)) if record_digest(content) == Some(digest) => {}
                Some(Content::Content(_)) => {
                    return Err(format!("{} was changed after it was written down", whose()));
                }
            }
        }
    }
    if named == known.len() {
        return Ok(known);
    }
    let named: Vec<(Uuid, Holds)> = events
        .iter()
        .flat_map(|event| event.records().map(|named| (event.id, named.holds)))
        .collect();
    let strange = known.into_keys().find(|key| !named.contains(key));
    Err(strange.map_or_else(
        || "an event is in the file twice".to_owned(),
        |(event, holds)| {
            format!(
                "{} of event {event} was put into the file: no event names it",
                holds.in_words()
            )
        },
    ))
}

/// Lines for people, of signs that show: a note is other people's words.
pub(super) fn shown(content: &Content) -> Vec<String> {
    match content {
        Content::NotKept(why) => vec![format!("({})", why.in_words())],
        Content::Content(Value::String(text)) => text.lines().map(plain).collect(),
        Content::Content(Value::Object(state)) => state
            .iter()
            .map(|(what, it_is)| plain(&format!("{what}: {it_is}")))
            .collect(),
        Content::Content(other) => vec![plain(&other.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use common::Service;
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn event(id: u128, kind: &str, detail: Value) -> Event {
        Event {
            tenant: "default".parse().unwrap(),
            service: Service::Orchestration,
            id: Uuid::from_u128(id),
            ticket: Some("4242".to_owned()),
            execution: None,
            kind: kind.to_owned(),
            actor: "service:orchestration".to_owned(),
            detail,
            at: datetime!(2026-03-02 09:15 UTC),
        }
    }

    fn record(id: u128, holds: Holds, content: Value) -> Record {
        Record {
            event: Uuid::from_u128(id),
            holds,
            content: Content::Content(content),
        }
    }

    /// A note, a reset and what they name.
    fn sound() -> ([Event; 2], [Record; 2]) {
        let (words, state) = (json!("Adele was asked."), json!({"pass": null}));
        let events = [
            event(1, "ticket_update.sent", json!({"text": record_digest(&words)})),
            event(2, "effect.failed", json!({"after": record_digest(&state)})),
        ];
        let records = [record(1, Holds::Note, words), record(2, Holds::StateAfter, state)];
        (events, records)
    }

    fn checked(events: &[Event], records: &[Record]) -> Result<usize, String> {
        let events: Vec<&Event> = events.iter().collect();
        check(&events, records).map(|known| known.len())
    }

    #[test]
    fn what_is_as_it_was_passes_and_what_retention_erased_passes_too() {
        let (events, mut records) = sound();
        assert_eq!(checked(&events, &records), Ok(2));
        records[0].content = Content::NotKept(NotKept::Erased);
        assert_eq!(checked(&events, &records), Ok(2));
        assert_eq!(
            shown(&records[0].content),
            [
                "(not in the database any more when this was exported: erased, or never kept. Its digest still stands in the event)"
            ]
        );
    }

    #[test]
    fn whatever_was_done_to_a_record_is_named() {
        let (events, records) = sound();
        let changed = [
            record(1, Holds::Note, json!("Alex was asked.")),
            record(2, Holds::StateAfter, json!({"pass": null})),
        ];
        assert_eq!(
            checked(&events, &changed).unwrap_err(),
            "the words of the note of event 00000000-0000-0000-0000-000000000001 (`ticket_update.sent`) was changed after \
             it was written down"
        );
        let twice = [
            record(1, Holds::Note, json!("a")),
            record(1, Holds::Note, json!("b")),
        ];
        assert!(
            checked(&events, &twice)
                .unwrap_err()
                .ends_with("is in the file twice")
        );
        assert!(
            checked(&events, &records[1..])
                .unwrap_err()
                .ends_with("was taken out of the file")
        );
        assert!(
            checked(&events[1..], &records)
                .unwrap_err()
                .ends_with("no event names it")
        );
    }

    #[test]
    fn the_words_of_others_show_nothing_that_is_not_there() {
        let content = Content::Content(json!("one\u{1b}[31m\ntwo\u{202e}"));
        assert_eq!(shown(&content), ["one [31m", "two"]);
    }
}
