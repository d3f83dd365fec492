//! Answers that a model may also give.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A prepared answer for one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scripted {
    /// This content as JSON, whether or not the schema allows it.
    Content(Value),
    /// This content, as it is.
    Text(String),
    /// The model refuses, politely.
    Refusal,
    /// Half of the answer, cut off by the limit.
    Length,
    /// Filtered away.
    ContentFilter,
    /// This content within code fences and some prose.
    Fenced(Value),
    /// No content at all.
    Empty,
    /// No choices at all.
    NoChoices,
    /// `stop`, but the JSON ends in the middle.
    HalfJson,
    /// A finish reason that nobody knows, with members that nobody knows.
    Unknown,
    /// 429 by rate, with `Retry-After`.
    RateLimit,
    /// 429 as Azure sends it: its code is the status, and it says in milliseconds how long to wait.
    AzureRateLimit(u64),
    /// 429 by money: never to be repeated.
    InsufficientQuota,
    /// 400 with a number for its code, as compatible servers send.
    NumericCode,
    /// 400 without the `error` wrapper.
    BareError,
    /// 400 with this code, such as `context_length_exceeded`.
    Refused(String),
}
