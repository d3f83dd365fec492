//! What a model takes. Servers differ in what they refuse, models behind one server too; what was refused once is left out
//! from then on. What makes an answer trustworthy is none of these: it is checked whatever was asked.

use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};

use super::Question;

/// The same every time, so that the same ticket gets the same answer where a server honours it.
const SEED: i64 = 1;

/// A member of a request that not every model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    /// Reasoning models have a temperature of their own.
    Temperature,
    /// Deprecated at OpenAI, unknown to some servers.
    Seed,
    /// `max_completion_tokens`: newer than some servers, and the only name that reasoning models take.
    MaxCompletionTokens,
    /// `max_tokens`.
    MaxTokens,
    /// Only OpenAI's own keeps answers; some servers refuse members that they don't know.
    Store,
    /// `response_format` with a schema.
    Schema,
}

impl Parameter {
    const NAMES: [(&str, Self); 6] = [
        ("temperature", Self::Temperature),
        ("seed", Self::Seed),
        ("max_completion_tokens", Self::MaxCompletionTokens),
        ("max_tokens", Self::MaxTokens),
        ("store", Self::Store),
        ("response_format", Self::Schema),
    ];

    /// The parameter that a refusal names: in `param`, or quoted in its words by servers without that member.
    pub(super) fn named(param: Option<&str>, message: &str) -> Option<Self> {
        const COMPLAINTS: [&str; 7] = [
            "unsupported",
            "not supported",
            "unrecognized",
            "unknown",
            "not permitted",
            "not allowed",
            "does not support",
        ];
        // A schema of ours that is wrong stays wrong without being asked for.
        if message.starts_with("Invalid schema") {
            return None;
        }
        let of = |name: &str| {
            Self::NAMES
                .into_iter()
                .find(|(known, _)| *known == name)
                .map(|(_, it)| it)
        };
        if let Some(param) = param.filter(|param| !param.is_empty()) {
            return of(param.split('.').next().unwrap_or_default());
        }
        let message = message.to_lowercase();
        let complains = COMPLAINTS.iter().any(|complaint| message.contains(complaint));
        // The refused one comes first: "Use 'max_completion_tokens' instead" comes after.
        let mut words = message.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.find_map(of).filter(|_| complains)
    }
}

/// What is left out of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Habits(u8);

impl Habits {
    const NO_TEMPERATURE: u8 = 1;
    const NO_SEED: u8 = 2;
    const OLD_LIMIT: u8 = 4;
    const NO_STORE: u8 = 8;
    const NO_SCHEMA: u8 = 16;

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// How to ask a model that refuses `parameter`; nothing where that is not in use, so that no two refusals chase each
    /// other.
    pub(super) const fn without(self, parameter: Parameter) -> Option<Self> {
        let bit = match parameter {
            Parameter::Temperature => Self::NO_TEMPERATURE,
            Parameter::Seed => Self::NO_SEED,
            Parameter::MaxCompletionTokens => Self::OLD_LIMIT,
            // Never sent before the other name was refused.
            Parameter::MaxTokens => return None,
            Parameter::Store => Self::NO_STORE,
            Parameter::Schema => Self::NO_SCHEMA,
        };
        if self.has(bit) {
            None
        } else {
            Some(Self(self.0 | bit))
        }
    }

    pub(super) fn request(self, model: &str, question: &Question<'_>) -> Value {
        let mut request = json!({
            "model": model,
            "messages": [
                { "role": "system", "content": question.system },
                { "role": "user", "content": question.user },
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": { "name": question.schema_name, "strict": true, "schema": question.schema },
            },
        });
        if self.has(Self::NO_SCHEMA) {
            // The schema is said instead. Whether the answer fits it is checked in either case.
            request["response_format"] = json!({ "type": "json_object" });
            request["messages"][0]["content"] = format!(
                "{}\n\nAnswer with one JSON object in this JSON schema: {}",
                question.system, question.schema
            )
            .into();
        }
        let limit = if self.has(Self::OLD_LIMIT) {
            "max_tokens"
        } else {
            "max_completion_tokens"
        };
        request[limit] = question.max_tokens.into();
        for (bit, name, value) in [
            (Self::NO_TEMPERATURE, "temperature", json!(0)),
            (Self::NO_SEED, "seed", json!(SEED)),
            (Self::NO_STORE, "store", json!(false)),
        ] {
            if !self.has(bit) {
                request[name] = value;
            }
        }
        request
    }
}

/// What was learned of one model, by whoever asked it.
#[derive(Debug, Default)]
pub(super) struct Remembered(AtomicU8);

impl Remembered {
    pub(super) fn known(&self) -> Habits {
        Habits(self.0.load(Ordering::Relaxed))
    }

    /// Two that learn at once learn both.
    pub(super) fn learn(&self, habits: Habits) {
        self.0.fetch_or(habits.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_parameter_in_its_member_or_in_its_words() {
        for (param, message, named) in [
            (
                Some("temperature"),
                "Unsupported value",
                Some(Parameter::Temperature),
            ),
            (
                Some("max_tokens"),
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                Some(Parameter::MaxTokens),
            ),
            (
                None,
                "Unrecognized request argument supplied: seed",
                Some(Parameter::Seed),
            ),
            (
                None,
                "max_completion_tokens: Extra inputs are not permitted",
                Some(Parameter::MaxCompletionTokens),
            ),
            (
                Some("response_format.type"),
                "Invalid parameter",
                Some(Parameter::Schema),
            ),
            (
                None,
                "response_format json_schema is not supported",
                Some(Parameter::Schema),
            ),
            (
                Some("response_format"),
                "Invalid schema for response_format 'x': ...",
                None,
            ),
            (Some("messages"), "seed is not supported", None),
            (None, "the temperature of the room is pleasant", None),
            (None, "the request is not supported", None),
            (Some(""), "", None),
        ] {
            assert_eq!(Parameter::named(param, message), named, "{message}");
        }
    }

    #[test]
    fn each_parameter_is_given_up_once() {
        let mut habits = Habits::default();
        for parameter in [
            Parameter::Temperature,
            Parameter::Seed,
            Parameter::MaxCompletionTokens,
            Parameter::Store,
            Parameter::Schema,
        ] {
            habits = habits.without(parameter).unwrap();
            assert_eq!(habits.without(parameter), None);
        }
        assert_eq!(habits.without(Parameter::MaxTokens), None);
        let remembered = Remembered::default();
        remembered.learn(habits);
        assert_eq!(remembered.known(), habits);
    }
}
