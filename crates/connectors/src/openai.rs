//! A language model behind any endpoint that speaks OpenAI's chat completions. Answers in a given JSON schema or not at
//! all; what it answers is data, never an instruction.
//!
//! Source: `OpenAI API (and compatible servers)` contract.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::call::CallError;

/// How a server wants the limit of the answer's length named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitField {
    /// `max_completion_tokens`: OpenAI and most.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`: older servers, Ollama.
    MaxTokens,
}

/// How to reach a model.
#[derive(Debug, Clone)]
pub struct ChatSettings {
    /// For instance `https://api.openai.com/v1`.
    pub base_url: Url,
    /// Key; any text for servers that want none.
    pub api_key: SecretString,
    /// Model, or deployment.
    pub model: String,
    /// How the length limit is named.
    pub limit_field: LimitField,
    /// `Some(0.0)` for repeatable answers; `None` for models that refuse the field.
    pub temperature: Option<f32>,
    /// For one question, retries included.
    pub timeout: Duration,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What to do.
    pub system: &'a str,
    /// The data to do it with.
    pub user: &'a str,
    /// Name of the schema: letters, digits, `_`, `-`, at most 64.
    pub schema_name: &'a str,
    /// Strict: every property required, `additionalProperties: false` throughout.
    pub schema: &'a Value,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

/// A whole answer that is JSON; whether it fits the schema, the caller checks again.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatAnswer {
    /// The JSON.
    pub content: Value,
    /// The model's name as it reports it.
    pub model: String,
    /// What it cost, where it says so.
    pub usage: Option<Usage>,
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Read.
    pub prompt_tokens: u64,
    /// Written.
    pub completion_tokens: u64,
}

/// Why there is no answer to use. None of these carries the question or the answer.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The endpoint could not be asked, or refused. `insufficient_quota` is a refusal: asking again costs nothing and brings nothing.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The model declined to answer.
    #[error("the model declined to answer")]
    Declined,
    /// The answer was cut off at the limit.
    #[error("the answer was cut off at its length limit")]
    CutOff,
    /// Question or answer was filtered.
    #[error("question or answer was filtered")]
    Filtered,
    /// There was no content.
    #[error("the answer was empty")]
    Empty,
    /// There was content, and it was no JSON object.
    #[error("the answer was no JSON object")]
    NotJson,
    /// The server ended the answer for a reason that we don't know.
    #[error("the answer ended unexpectedly (`{0}`)")]
    Ended(String),
}

/// A model.
#[derive(Clone)]
pub struct Chat {}

impl Chat {
    /// A client; nothing is sent yet.
    pub fn new(settings: ChatSettings, http: reqwest::Client) -> Self {
        todo!()
    }
    /// Ask for a JSON object in the given schema.
    pub async fn ask_json(&self, question: &Question<'_>) -> Result<ChatAnswer, ChatError> {
        todo!()
    }
}
