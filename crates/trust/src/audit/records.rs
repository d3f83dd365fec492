//! What events name by its digest only, because the words belong elsewhere: into a table that may forget them, not into
//! the record that may not. Whoever has such a record and its event can tell whether a single sign of it was changed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Event, Hash};

/// What such a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// What a note on the ticket said.
    Note,
    /// Why the classifier answered what it answered, in its own words.
    Reasoning,
    /// What the directory said before it was asked to change anything.
    StateBefore,
    /// What it said afterwards.
    StateAfter,
}

impl Holds {
    /// In a few words, for a sentence.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Note => "the words of the note",
            Self::Reasoning => "the reasoning",
            Self::StateBefore => "the state before",
            Self::StateAfter => "the state after",
        }
    }
}

/// Which member of which event names a record of which kind. An event that lacks the member, or has `null` there, names
/// none: it told nothing, or was written before such records were kept.
const NAMED: [(&str, &str, Holds); 6] = [
    ("decision.recorded", "reasoning", Holds::Reasoning),
    ("suggestion.offered", "text", Holds::Note),
    ("ticket_update.sent", "text", Holds::Note),
    ("effect.intended", "before", Holds::StateBefore),
    ("effect.done", "after", Holds::StateAfter),
    ("effect.failed", "after", Holds::StateAfter),
];

/// A record that an event names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub holds: Holds,
    /// What [`record_digest`] makes of it.
    pub digest: Hash,
}

impl Event {
    /// The records that it names.
    pub fn records(&self) -> impl Iterator<Item = Named> {
        let named = NAMED.iter().filter(|(kind, ..)| *kind == self.kind);
        named.filter_map(|(_, member, holds)| {
            let digest = serde_json::from_value(self.detail.get(member)?.clone()).ok()?;
            Some(Named {
                holds: *holds,
                digest,
            })
        })
    }
}

/// Of a text, SHA-256 over its bytes in UTF-8; of anything else, over its canonical form (RFC 8785). `None` where it has
/// none: numbers that JSON cannot write.
pub fn record_digest(content: &Value) -> Option<Hash> {
    match content {
        Value::String(text) => Some(Hash::of(text.as_bytes())),
        other => serde_json_canonicalizer::to_vec(other)
            .ok()
            .map(|canonical| Hash::of(&canonical)),
    }
}

#[cfg(test)]
mod tests {
    use common::{Digest, Service};
    use proptest::prelude::*;
    use serde_json::json;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn event(kind: &str, detail: Value) -> Event {
        Event {
            tenant: "default".parse().unwrap(),
            service: Service::Orchestration,
            id: Uuid::from_u128(7),
            ticket: Some("4242".to_owned()),
            execution: None,
            kind: kind.to_owned(),
            actor: "service:orchestration".to_owned(),
            detail,
            at: datetime!(2026-03-02 09:15 UTC),
        }
    }

    #[test]
    fn an_event_names_what_its_kind_names_and_nothing_else() {
        let digest = Digest::of("Adele was asked.");
        let named: Vec<Named> = event("ticket_update.sent", json!({"text": digest}))
            .records()
            .collect();
        let expected = Named {
            holds: Holds::Note,
            digest: Hash::of(b"Adele was asked."),
        };
        assert_eq!(named, [expected]);
        for (kind, detail) in [
            ("ticket_update.sent", json!({"text": null})),
            ("ticket_update.sent", json!({"text": "Adele was asked."})),
            ("ticket_update.sent", json!({})),
            ("ticket_update.refused", json!({"text": digest})),
            ("effect.intended", json!({"after": digest})),
        ] {
            assert_eq!(
                event(kind, detail.clone()).records().count(),
                0,
                "{kind} {detail}"
            );
        }
    }

    #[test]
    fn the_digest_of_a_state_does_not_depend_on_how_it_is_written() {
        let (one, other) = (
            json!({"b": [1, "ö"], "a": null}),
            json!({"a": null, "b": [1.0, "ö"]}),
        );
        assert_eq!(record_digest(&one), record_digest(&other));
        assert_eq!(
            record_digest(&one),
            Some(Hash::of("{\"a\":null,\"b\":[1,\"ö\"]}".as_bytes()))
        );
    }

    proptest! {
        #[test]
        fn a_changed_text_has_another_digest(text in ".*", other in ".*") {
            prop_assume!(text != other);
            prop_assert_ne!(record_digest(&json!(text)), record_digest(&json!(other)));
        }
    }
}
