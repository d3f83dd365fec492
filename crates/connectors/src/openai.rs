//! A language model behind any endpoint that speaks OpenAI's chat completions. Answers in a given JSON schema or not at
//! all; what it answers is data, never an instruction.
//!
//! Source: `OpenAI API (and compatible servers)` contract.

mod answer;
mod habits;
mod strict;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use self::habits::{Habits, Remembered};
use self::transport::{Failure, Transport};
use crate::call::{CallError, Caller, System};

/// How much more room an answer gets that was cut off. Asked for only then: servers count the room against their limits.
pub const MORE_ROOM: u32 = 4;

/// Whose way to show the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// `Authorization: Bearer`: OpenAI, vLLM, llama.cpp, Ollama and most gateways.
    #[default]
    OpenAi,
    /// `api-key`: Azure OpenAI.
    Azure,
}

/// What tokens cost, in any currency.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// Of a million tokens read.
    pub prompt: f64,
    /// Of a million tokens written.
    pub completion: f64,
}

/// How to reach a model.
#[derive(Debug, Clone)]
pub struct ChatSettings {
    /// Whose way to show the key.
    pub kind: Kind,
    /// For instance `https://api.openai.com/v1`; `/chat/completions` is added.
    pub base_url: Url,
    /// `api-version` of the query: Azure's addresses of deployments want one.
    pub api_version: Option<String>,
    /// Key; any text for servers that want none.
    pub api_key: SecretString,
    /// Model, or deployment.
    pub model: String,
    /// For one question, retries included.
    pub timeout: Duration,
    /// What its tokens cost.
    pub prices: Prices,
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

/// A model. Cheap to clone; clones share what was learned of it.
#[derive(Clone)]
pub struct Chat {
    client: Client<OpenAIConfig>,
    settings: Arc<ChatSettings>,
    habits: Arc<Remembered>,
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
            azure_key: (settings.kind == Kind::Azure).then(|| settings.api_key.clone()),
            api_version: settings.api_version.as_deref().map(Arc::from),
        };
        describe_metrics();
        Self {
            client: Client::with_config(config)
                .with_http_client(http)
                .with_http_service(transport),
            settings: Arc::new(settings),
            habits: Arc::default(),
        }
    }

    /// Ask for a JSON object in the given schema. An answer that is cut off is asked for once more with
    /// [`MORE_ROOM`] times the room: reasoning models think before they write.
    pub async fn ask_json(&self, question: &Question<'_>) -> Result<ChatAnswer, ChatError> {
        let asked = async {
            match self.ask(question).await {
                Err(ChatError::CutOff) => {
                    let max_tokens = question.max_tokens.saturating_mul(MORE_ROOM);
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
                // The call under way was dropped before it could count itself.
                self.caller_gave_up();
                Err(ChatError::Call(CallError::Busy {
                    system: System::OpenAi,
                    detail: "no answer in time".to_owned(),
                    retry_after: None,
                }))
            })
    }

    fn caller_gave_up(&self) {
        tracing::debug!(timeout = ?self.settings.timeout, "the model gave no answer in time");
        let labels = [("system", System::OpenAi.label()), ("outcome", "unanswered")];
        metrics::counter!("firstline_outside_calls_total", &labels).increment(1);
    }

    /// Ask, without what this model refused before; what it refuses now is left out and remembered.
    async fn ask(&self, question: &Question<'_>) -> Result<ChatAnswer, ChatError> {
        let mut habits = self.habits.known();
        loop {
            let failure = match self.send(question, habits).await {
                Ok(completion) => return answer::read(&completion),
                Err(failure) => failure,
            };
            let Some(other) = failure.untaken.and_then(|parameter| habits.without(parameter)) else {
                return Err(failure.error);
            };
            tracing::info!(parameter = ?failure.untaken, "the model refuses a parameter; asked without from now on");
            habits = other;
            self.habits.learn(habits);
        }
    }

    async fn send(&self, question: &Question<'_>, habits: Habits) -> Result<Value, Failure> {
        let request = habits.request(&self.settings.model, question);
        let answered: Result<Value, OpenAIError> = self.client.chat().create_byot(request).await;
        match answered {
            Ok(completion) => {
                self.settings.prices.count(answer::usage(&completion));
                Ok(completion)
            }
            Err(OpenAIError::Boxed(cause)) => Err(match cause.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(other) => Failure::of(CallError::unknown(System::OpenAi, other)),
            }),
            // The crate's own faults (it could not build the request, ...); its words might hold the request.
            Err(_) => Err(Failure::of(CallError::refused(
                System::OpenAi,
                "not_sendable",
                "the request can't be sent",
            ))),
        }
    }
}

impl Prices {
    /// Count tokens and what they cost, whether or not their answer was of use.
    fn count(self, usage: Option<Usage>) {
        let Some(usage) = usage else { return };
        for (kind, tokens, price) in [
            ("prompt", usage.prompt_tokens, self.prompt),
            ("completion", usage.completion_tokens, self.completion),
        ] {
            metrics::counter!("firstline_model_tokens_total", "kind" => kind).increment(tokens);
            metrics::counter!("firstline_model_cost_micros_total", "kind" => kind)
                .increment(micros(tokens, price));
        }
    }
}

/// A price for a million tokens is the price of one in millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "tokens of one answer are few, and the conversion saturates: no price and no count is negative"
)]
fn micros(tokens: u64, price_per_million: f64) -> u64 {
    (tokens as f64 * price_per_million).round() as u64
}

fn describe_metrics() {
    metrics::describe_counter!(
        "firstline_model_tokens_total",
        "Tokens that the language model read (prompt) and wrote (completion), answers of no use included"
    );
    metrics::describe_counter!(
        "firstline_model_cost_micros_total",
        "What these tokens cost by the prices that are set, in millionths of their currency"
    );
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn a_price_is_for_a_million() {
        assert_eq!(micros(1_000_000, 2.5), 2_500_000);
        assert_eq!(micros(214, 0.4), 86);
        assert_eq!((micros(0, 2.0), micros(5, 0.0)), (0, 0));
        assert_eq!(micros(u64::MAX, f64::MAX), u64::MAX);
    }
}
