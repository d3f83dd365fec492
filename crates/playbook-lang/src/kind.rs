//! Types of values: of parameters, outputs, inputs and facts. Each has its JSON Schema.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number within these bounds, both included.
    Whole {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(Vec<String>),
    /// A point in time, RFC 3339.
    Moment,
    /// A mapping of names to texts, numbers and flags.
    Fields,
    /// A sealed credential: not a value that anybody reads, but which one is meant.
    Credential,
}

impl Kind {
    /// A whole number without bounds.
    pub const WHOLE: Self = Self::Whole {
        least: i64::MIN,
        most: i64::MAX,
    };

    /// Whether `value` is one. A credential is never a value.
    pub fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Whole { least, most } => value.as_i64().is_some_and(|n| (*least..=*most).contains(&n)),
            Self::Flag => value.is_boolean(),
            Self::OneOf(words) => value
                .as_str()
                .is_some_and(|text| words.iter().any(|word| word == text)),
            Self::Moment => value.as_str().and_then(moment).is_some(),
            Self::Fields => value.as_object().is_some_and(|fields| {
                fields
                    .values()
                    .all(|value| value.is_string() || value.is_number() || value.is_boolean())
            }),
            Self::Credential => false,
        }
    }

    /// Whether every value of `other` is one of these; for text, whatever can be written as text.
    pub fn takes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text, Self::Fields | Self::Credential) => false,
            (Self::Text, _) => true,
            (
                Self::Whole { least, most },
                Self::Whole {
                    least: lower,
                    most: upper,
                },
            ) => least <= lower && upper <= most,
            (Self::OneOf(words), Self::OneOf(others)) => others.iter().all(|word| words.contains(word)),
            (own, other) => own == other,
        }
    }

    /// The JSON Schema (2020-12) of its values.
    pub fn schema(&self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Whole { least, most } => {
                let mut schema = json!({"type": "integer"});
                if let Some(fields) = schema.as_object_mut() {
                    if *least != i64::MIN {
                        fields.insert("minimum".to_owned(), json!(least));
                    }
                    if *most != i64::MAX {
                        fields.insert("maximum".to_owned(), json!(most));
                    }
                }
                schema
            }
            Self::Flag => json!({"type": "boolean"}),
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
            Self::Moment => json!({"type": "string", "format": "date-time"}),
            Self::Fields => {
                json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
            }
            Self::Credential => json!({"not": {}}),
        }
    }
}

/// A point in time as playbooks and services write it.
pub(crate) fn moment(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Whole {
                least: i64::MIN,
                most: i64::MAX,
            } => f.write_str("a whole number"),
            Self::Whole { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Flag => f.write_str("`true` or `false`"),
            Self::OneOf(words) => write!(f, "one of `{}`", words.join("`, `")),
            Self::Moment => f.write_str("a point in time such as `2026-11-30T08:00:00Z`"),
            Self::Fields => f.write_str("a mapping of names to texts, numbers and flags"),
            Self::Credential => {
                f.write_str("a credential such as `{{ steps.reset_password.output.credential }}`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_fits_where_all_its_values_do() {
        let small = Kind::Whole { least: 1, most: 5 };
        let large = Kind::Whole { least: 0, most: 9 };
        assert!(large.takes(&small) && !small.takes(&large) && Kind::Text.takes(&small));
        assert!(!small.takes(&Kind::Text) && !Kind::Text.takes(&Kind::Credential));
    }

    #[test]
    fn a_point_in_time_names_its_offset() {
        assert!(Kind::Moment.admits(&json!("2026-11-30T08:00:00+01:00")));
        assert!(!Kind::Moment.admits(&json!("2026-11-30 08:00")) && !Kind::Moment.admits(&json!(3)));
    }
}
