//! One type per kind of id, so that a ticket can never be passed where a person is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a {kind}: {reason}")]
pub struct InvalidId {
    kind: &'static str,
    value: String,
    reason: &'static str,
}

/// What is wrong with an id that the outside hands us: text, trimmed of nothing, 1 to 256 characters, none of control.
fn text(value: &str) -> Option<&'static str> {
    if value.is_empty() {
        Some("it is empty")
    } else if value.chars().count() > 256 {
        Some("it is longer than 256 characters")
    } else if value.chars().any(char::is_control) {
        Some("it contains a control character")
    } else {
        None
    }
}

/// The same of the number of a ticket. It stands in text messages beside a pass, so that it must hold neither words nor a
/// link, whoever made it up: `4242`, `INC0010001`, `IT-42`, `#42`.
fn ticket_number(value: &str) -> Option<&'static str> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "#_-".contains(character);
    if value.is_empty() {
        Some("it is empty")
    } else if value.len() > 40 {
        Some("it is longer than 40 characters")
    } else if !value.chars().all(allowed) {
        Some("it contains something else than letters, digits, `#`, `_` and `-`")
    } else {
        None
    }
}

fn checked(
    kind: &'static str,
    value: &str,
    wrong: fn(&str) -> Option<&'static str>,
) -> Result<Arc<str>, InvalidId> {
    match wrong(value) {
        None => Ok(value.into()),
        Some(reason) => Err(InvalidId {
            kind,
            value: value.chars().take(40).collect(),
            reason,
        }),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $wrong:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
        #[schema(value_type = String)]
        // Shared: ids are copied with every record and every call, and never changed.
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text, as the outside writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                checked($kind, value, $wrong).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                value.parse()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! deserialize_text_id {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_id!(
    /// The customer whose fleet, directory and help desk are meant. Leads every key in the database.
    TenantId, "tenant id", text
);
text_id!(
    /// A ticket as its help desk numbers it (`4242` in HaloPSA): 1 to 40 letters, digits, `#`, `_`, `-`. Reads a JSON number
    /// as well as a string.
    TicketId, "ticket id", ticket_number
);
text_id!(
    /// A person in the directory, by object id (a GUID in Entra). Never an e-mail address or a name.
    UserId, "directory object id", text
);
text_id!(
    /// The `name` of a playbook; also its id in URLs.
    PlaybookName, "playbook name", text
);
text_id!(
    /// The `version` of a playbook, an author's label such as `1.2`. Immutable once published.
    PlaybookVersion, "playbook version", text
);
text_id!(
    /// The `id` of a step within its playbook.
    StepId, "step id", text
);
text_id!(
    /// `service.action` as a playbook writes it, for instance `verification.mfa`.
    ActionName, "action name", text
);

deserialize_text_id!(
    TenantId,
    UserId,
    PlaybookName,
    PlaybookVersion,
    StepId,
    ActionName
);

impl<'de> Deserialize<'de> for TicketId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NumberOrText {
            Number(u64),
            Text(String),
        }
        let text = match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl ActionName {
    /// The part before the first dot: the service that offers the action.
    pub fn service(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(service, _)| service)
    }

    /// The part after the first dot; empty where there is none.
    pub fn action(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, action)| action)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id that sorts by time (UUID version 7).
            pub fn fresh() -> Self {
                Self(crate::clock::fresh_id())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(value: &str) -> Result<Self, uuid::Error> {
                value.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One run of one playbook for one ticket.
    ExecutionId
);
uuid_id!(
    /// One verdict of the gate on one ticket.
    DecisionId
);
uuid_id!(
    /// Something a service has begun and a person or an outside system will finish: a push, a card, an SMS.
    OperationId
);
uuid_id!(
    /// The single-use id of a permit (`jti`).
    PermitId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_id_reads_a_number_and_a_string_and_writes_a_string() {
        let number: TicketId = serde_json::from_str("4242").unwrap();
        let text: TicketId = serde_json::from_str("\"4242\"").unwrap();
        assert_eq!(number, text);
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"4242\"");
    }

    #[test]
    fn an_id_is_never_empty_endless_or_unprintable() {
        assert!("".parse::<TenantId>().is_err());
        assert!("a\nb".parse::<TenantId>().is_err());
        assert!("x".repeat(257).parse::<TenantId>().is_err());
        assert!(serde_json::from_str::<UserId>("\"\"").is_err());
    }

    #[test]
    fn the_number_of_a_ticket_holds_neither_words_nor_a_link() {
        for sound in ["4242", "INC0010001", "IT-42", "#42", "a_1", &"9".repeat(40)] {
            assert!(sound.parse::<TicketId>().is_ok(), "{sound}");
        }
        for foul in [
            "",
            "https://evil.example",
            "evil.example/x",
            "42: call +44 7700 900999",
            "42\u{202e}",
            "４２",
            &"9".repeat(41),
        ] {
            assert!(foul.parse::<TicketId>().is_err(), "{foul}");
            let json = serde_json::to_string(foul).unwrap();
            assert!(serde_json::from_str::<TicketId>(&json).is_err(), "{foul}");
        }
    }

    #[test]
    fn an_action_name_splits_at_its_first_dot() {
        let name: ActionName = "verification.mfa".parse().unwrap();
        assert_eq!((name.service(), name.action()), ("verification", "mfa"));
        let bare: ActionName = "verification".parse().unwrap();
        assert_eq!((bare.service(), bare.action()), ("verification", ""));
    }
}
