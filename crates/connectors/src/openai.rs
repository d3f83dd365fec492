//! A language model behind any endpoint that speaks OpenAI's chat completions. Answers in a given JSON schema or not at
//! all; what it answers is data, never an instruction.
//!
//! Source: `OpenAI API (and compatible servers)` contract.

mod answer;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use self::transport::Transport;
use crate::call::{CallError, Caller, System};

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

/// A model. Cheap to clone.
#[derive(Clone)]
pub struct Chat {
    client: Client<OpenAIConfig>,
    settings: Arc<ChatSettings>,
}

impl Chat {
    /// A client; nothing is sent yet.
    pub fn new(settings: ChatSettings, http: reqwest::Client) -> Self {
        let config = OpenAIConfig::new()
            .with_api_base(settings.base_url.as_str().trim_end_matches('/'))
            .with_api_key(settings.api_key.expose_secret());
        let transport = Transport {
            caller: Caller::new(System::OpenAi, http.clone()),
            timeout: settings.timeout,
        };
        Self {
            client: Client::with_config(config)
                .with_http_client(http)
                .with_http_service(transport),
            settings: Arc::new(settings),
        }
    }

    /// Ask for a JSON object in the given schema. An answer that is cut off is asked for once more with twice the room.
    pub async fn ask_json(&self, question: &Question<'_>) -> Result<ChatAnswer, ChatError> {
        let asked = async {
            match self.ask(question).await {
                Err(ChatError::CutOff) => {
                    let max_tokens = question.max_tokens.saturating_mul(2);
                    self.ask(&Question {
                        max_tokens,
                        ..*question
                    })
                    .await
                }
                answered => answered,
            }
        };
        // Asking changes nothing, so that a question without answer may be asked again.
        tokio::time::timeout(self.settings.timeout, asked)
            .await
            .unwrap_or_else(|_| {
                Err(ChatError::Call(CallError::Busy {
                    system: System::OpenAi,
                    detail: "no answer in time".to_owned(),
                    retry_after: None,
                }))
            })
    }

    async fn ask(&self, question: &Question<'_>) -> Result<ChatAnswer, ChatError> {
        let request = self.settings.request(question);
        let answered: Result<Value, OpenAIError> = self.client.chat().create_byot(request).await;
        match answered {
            Ok(completion) => answer::read(completion),
            Err(OpenAIError::Boxed(cause)) => match cause.downcast::<ChatError>() {
                Ok(error) => Err(*error),
                Err(other) => Err(CallError::unknown(System::OpenAi, other).into()),
            },
            // The crate's own faults (it could not build the request, ...); its words might hold the request.
            Err(_) => {
                Err(CallError::refused(System::OpenAi, "not_sendable", "the request can't be sent").into())
            }
        }
    }
}

impl ChatSettings {
    fn request(&self, question: &Question<'_>) -> Value {
        let mut request = json!({
            "model": self.model,
            "store": false,
            "messages": [
                { "role": "system", "content": question.system },
                { "role": "user", "content": question.user },
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": { "name": question.schema_name, "strict": true, "schema": question.schema },
            },
        });
        let limit = match self.limit_field {
            LimitField::MaxCompletionTokens => "max_completion_tokens",
            LimitField::MaxTokens => "max_tokens",
        };
        request[limit] = question.max_tokens.into();
        if let Some(temperature) = self.temperature {
            request["temperature"] = json!(temperature);
        }
        request
    }
}
