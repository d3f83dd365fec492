//! What some models and servers refuse of a request that others take, each in the words of one that does.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::ModelError;

/// A member of requests that some models or servers refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untaken {
    /// `temperature` other than 1: reasoning models.
    Temperature,
    /// `seed`, refused in words alone, as by Azure's older models.
    Seed,
    /// `max_tokens`: reasoning models.
    MaxTokens,
    /// `max_completion_tokens`, refused as an unknown member: older vLLM.
    MaxCompletionTokens,
    /// `store`, refused as an unknown member.
    Store,
    /// `response_format` of the type `json_schema`: models before structured outputs.
    JsonSchema,
}

impl Untaken {
    /// What the vendor says to a request that has it, each in the words of one that does refuse it.
    pub(super) fn refusal(self, request: &Map<String, Value>) -> Option<ModelError> {
        let invalid = |message: &str, param| Some(ModelError::invalid(message, param));
        match self {
            Self::Temperature if request.get("temperature").is_some_and(|given| *given != json!(1)) => {
                invalid(
                    "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is \
                 supported.",
                    Some("temperature"),
                )
            }
            Self::Seed if request.contains_key("seed") => {
                invalid("Unrecognized request argument supplied: seed", None)
            }
            Self::MaxTokens if request.contains_key("max_tokens") => invalid(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' \
                 instead.",
                Some("max_tokens"),
            ),
            Self::MaxCompletionTokens if request.contains_key("max_completion_tokens") => {
                invalid("max_completion_tokens: Extra inputs are not permitted", None)
            }
            Self::Store if request.contains_key("store") => {
                invalid("store: Extra inputs are not permitted", None)
            }
            Self::JsonSchema
                if request
                    .get("response_format")
                    .is_some_and(|format| format["type"] == "json_schema") =>
            {
                invalid(
                    "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
                    Some("response_format"),
                )
            }
            _ => None,
        }
    }
}
