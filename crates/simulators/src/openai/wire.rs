//! The two endpoints, their validation, and the shapes in which they answer.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use super::answer::Reader;
use super::error::ModelError;
use super::schema::fault;
use super::{OpenAiSim, Scripted};
use crate::journal::Event;
use crate::text::{bearer, media_type};

/// A question, whichever endpoint it came by.
struct Question {
    model: String,
    text: String,
    /// What the system's messages say of the offered answers.
    guide: String,
    schema: Option<Value>,
}

/// What the model does with it.
struct Reply {
    content: Option<String>,
    refusal: Option<&'static str>,
    finish: &'static str,
    choices: bool,
}

impl Reply {
    fn stop(content: String) -> Self {
        Self {
            content: Some(content),
            refusal: None,
            finish: "stop",
            choices: true,
        }
    }

    fn cut(content: &str, finish: &'static str) -> Self {
        let half = content.chars().take(content.chars().count() / 2).collect();
        Self {
            finish,
            ..Self::stop(half)
        }
    }
}

impl OpenAiSim {
    fn enter(&self, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ModelError> {
        self.known(bearer(headers).unwrap_or_default())?;
        self.taken(headers, body)
    }

    pub(super) fn taken(&self, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ModelError> {
        let request = self.request(headers, body)?;
        let untaken = self.state.lock().untaken.clone();
        if let Some(refusal) = untaken.into_iter().find_map(|untaken| untaken.refusal(&request)) {
            self.state.lock().refused += 1;
            return Err(refusal);
        }
        Ok(request)
    }

    pub(super) fn known(&self, given: &str) -> Result<(), ModelError> {
        let key = &self.core.secrets.openai_api_key;
        if !bool::from(given.as_bytes().ct_eq(key.as_bytes())) {
            let message = "Incorrect API key provided.";
            let status = StatusCode::UNAUTHORIZED;
            return Err(ModelError::new(
                status,
                "invalid_request_error",
                Some("invalid_api_key"),
                message,
            ));
        }
        Ok(())
    }

    fn request(&self, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ModelError> {
        if media_type(headers) != "application/json" {
            return Err(ModelError::invalid(
                "The content type must be application/json.",
                None,
            ));
        }
        let Ok(Value::Object(request)) = serde_json::from_slice(body) else {
            return Err(ModelError::invalid(
                "We could not parse the JSON body of your request.",
                None,
            ));
        };
        let model = request.get("model").and_then(Value::as_str).unwrap_or_default();
        if model.is_empty() {
            return Err(ModelError::invalid(
                "you must provide a model parameter",
                Some("model"),
            ));
        }
        if model != self.core.secrets.openai_model {
            let message = format!("The model `{model}` does not exist or you do not have access to it.");
            let status = StatusCode::NOT_FOUND;
            return Err(ModelError::new(
                status,
                "invalid_request_error",
                Some("model_not_found"),
                &message,
            ));
        }
        if request.get("stream") == Some(&Value::Bool(true)) {
            return Err(ModelError::invalid(
                "Streaming is not supported here.",
                Some("stream"),
            ));
        }
        Ok(request)
    }

    /// What the model says, or the failure that was prepared for it.
    fn reply(&self, question: &Question) -> Result<Reply, Box<Response>> {
        let (scripted, bent) = {
            let mut state = self.state.lock();
            state.calls += 1;
            (state.scripted.pop_front(), state.bent.clone())
        };
        if let Some(failure) = scripted.as_ref().and_then(failure) {
            return Err(Box::new(failure));
        }
        let natural = || match &question.schema {
            Some(schema) => Reader::of(bent.as_deref().unwrap_or(&question.text), &question.guide)
                .fill(schema, schema, "")
                .to_string(),
            None => "I can only fill in schemas.".to_owned(),
        };
        let reply = match scripted {
            Some(Scripted::Content(value)) => Reply::stop(value.to_string()),
            Some(Scripted::Text(text)) => Reply::stop(text),
            Some(Scripted::Fenced(value)) => Reply::stop(format!("Here you are:\n```json\n{value}\n```\n")),
            Some(Scripted::Refusal) => {
                let refusal = Some("I can't help with that.");
                Reply {
                    content: None,
                    refusal,
                    finish: "stop",
                    choices: true,
                }
            }
            Some(Scripted::Length) => Reply::cut(&natural(), "length"),
            Some(Scripted::HalfJson) => Reply::cut(&natural(), "stop"),
            Some(Scripted::ContentFilter) => Reply {
                finish: "content_filter",
                ..Reply::stop(String::new())
            },
            Some(Scripted::Empty) => Reply {
                content: None,
                ..Reply::stop(String::new())
            },
            Some(Scripted::NoChoices) => Reply {
                choices: false,
                ..Reply::stop(String::new())
            },
            Some(Scripted::Unknown) => Reply {
                finish: "abort",
                ..Reply::stop(natural())
            },
            _ => Reply::stop(natural()),
        };
        let told = reply
            .content
            .clone()
            .or(reply.refusal.map(str::to_owned))
            .unwrap_or_default();
        self.core.journal.record(Event::ModelAsked {
            model: question.model.clone(),
            answer: told,
        });
        Ok(reply)
    }
}

/// The failures among the prepared answers.
fn failure(scripted: &Scripted) -> Option<Response> {
    let bad = |body: Value| (StatusCode::BAD_REQUEST, Json(body)).into_response();
    let answer = match scripted {
        Scripted::RateLimit => ModelError::rate_limit().after(1).into_response(),
        Scripted::AzureRateLimit(millis) => {
            let body =
                json!({ "error": { "code": "429", "message": "Requests have exceeded the rate limit." } });
            let wait = [
                ("retry-after-ms", millis.to_string()),
                ("retry-after", millis.div_ceil(1000).to_string()),
            ];
            (StatusCode::TOO_MANY_REQUESTS, wait, Json(body)).into_response()
        }
        Scripted::InsufficientQuota => {
            let message = "You exceeded your current quota, please check your plan and billing details.";
            let quota = "insufficient_quota";
            ModelError::new(StatusCode::TOO_MANY_REQUESTS, quota, Some(quota), message).into_response()
        }
        Scripted::NumericCode => bad(json!({ "error": {
            "code": 400, "message": "failed to parse grammar", "type": "invalid_request_error",
        } })),
        Scripted::BareError => bad(json!({
            "object": "error", "message": "bad request", "type": "BadRequestError", "code": 400,
        })),
        Scripted::Refused(code) => {
            let kind = "invalid_request_error";
            let message = "The request is not possible.";
            ModelError::new(StatusCode::BAD_REQUEST, kind, Some(code), message).into_response()
        }
        _ => return None,
    };
    Some(answer)
}

/// A strict format, checked as the vendor does: its name and its schema.
fn format_schema(format: &Value, param: &'static str) -> Result<Value, ModelError> {
    let name = format["name"].as_str().unwrap_or_default();
    let named = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'_' || octet == b'-');
    if !named {
        return Err(ModelError::invalid(
            "Invalid or missing name of the response format.",
            Some(param),
        ));
    }
    let schema = format["schema"].clone();
    if format["strict"] == true
        && let Some(fault) = fault(&schema)
    {
        let message = format!("Invalid schema for response_format '{name}': {fault}");
        return Err(ModelError::invalid(&message, Some(param)));
    }
    Ok(schema)
}

/// A message's content: a string, or parts with text.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

fn chat_question(request: &Map<String, Value>) -> Result<Question, ModelError> {
    let messages = request
        .get("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty());
    let messages = messages
        .ok_or_else(|| ModelError::invalid("Missing required parameter: 'messages'.", Some("messages")))?;
    let roles = ["system", "developer", "user", "assistant", "tool"];
    if !messages
        .iter()
        .all(|message| message["role"].as_str().is_some_and(|role| roles.contains(&role)))
    {
        return Err(ModelError::invalid(
            "Invalid value for 'messages[].role'.",
            Some("messages"),
        ));
    }
    let said = messages
        .iter()
        .filter(|message| message["role"] == "user")
        .map(|message| content(&message["content"]));
    let text = said.collect::<Vec<_>>().join("\n");
    let told = messages
        .iter()
        .filter(|message| message["role"] == "system" || message["role"] == "developer");
    let guide = told
        .map(|message| content(&message["content"]))
        .collect::<Vec<_>>()
        .join("\n");
    let format = request.get("response_format").unwrap_or(&Value::Null);
    let schema = match format["type"].as_str() {
        None | Some("text") => None,
        Some("json_schema") => Some(format_schema(&format["json_schema"], "response_format")?),
        Some("json_object") => {
            let all = messages
                .iter()
                .map(|message| content(&message["content"]))
                .collect::<String>();
            if !all.contains("JSON") && !all.contains("json") {
                let message = "'messages' must contain the word 'json' in some form.";
                return Err(ModelError::invalid(message, Some("messages")));
            }
            // A model does as the words ask: a schema in them is kept to.
            let told = all
                .rfind("JSON schema: ")
                .and_then(|at| all.get(at..)?.split_once(": "));
            let schema = told.and_then(|(_, words)| {
                serde_json::Deserializer::from_str(words)
                    .into_iter::<Value>()
                    .next()?
                    .ok()
            });
            Some(schema.unwrap_or_else(|| json!({ "type": "object", "properties": {} })))
        }
        Some(_) => {
            return Err(ModelError::invalid(
                "Invalid value for 'response_format.type'.",
                Some("response_format"),
            ));
        }
    };
    let model = request
        .get("model")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok(Question {
        model,
        text,
        guide,
        schema,
    })
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

pub(crate) async fn chat(State(sim): State<OpenAiSim>, headers: HeaderMap, body: Bytes) -> Response {
    let entered = sim.enter(&headers, &body);
    completion(&sim, entered)
}

pub(super) fn completion(sim: &OpenAiSim, entered: Result<Map<String, Value>, ModelError>) -> Response {
    let question = match entered.and_then(|request| chat_question(&request)) {
        Ok(question) => question,
        Err(error) => return error.into_response(),
    };
    let reply = match sim.reply(&question) {
        Ok(reply) => reply,
        Err(failure) => return *failure,
    };
    let message = json!({
        "role": "assistant", "content": reply.content, "refusal": reply.refusal, "annotations": [],
    });
    let choice = json!({ "index": 0, "finish_reason": reply.finish, "logprobs": null, "message": message });
    let choices: Vec<Value> = reply.choices.then_some(choice).into_iter().collect();
    let (asked, answered) = (
        question.text.len() / 4,
        reply.content.map_or(0, |content| content.len() / 4),
    );
    Json(json!({
        "id": format!("chatcmpl-{}", sim.core.fresh_hex("openai/chat")), "object": "chat.completion",
        // A dated snapshot of what was asked for, as in life.
        "created": now(), "model": format!("{}-2025-04-14", question.model), "choices": choices,
        "usage": { "prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered,
            "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0 } },
        "service_tier": "default", "system_fingerprint": "fp_simulator",
    }))
    .into_response()
}

fn response_question(request: &Map<String, Value>) -> Result<Question, ModelError> {
    let text = match request.get("input") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .filter(|item| item["role"] == "user")
            .map(|item| content(&item["content"]))
            .collect(),
        _ => {
            return Err(ModelError::invalid(
                "Missing required parameter: 'input'.",
                Some("input"),
            ));
        }
    };
    let format = request.get("text").map_or(&Value::Null, |text| &text["format"]);
    let schema = match format["type"].as_str() {
        Some("json_schema") => Some(format_schema(format, "text.format")?),
        _ => None,
    };
    let model = request
        .get("model")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let guide = request.get("instructions").map(content).unwrap_or_default();
    Ok(Question {
        model,
        text,
        guide,
        schema,
    })
}

pub(crate) async fn responses(State(sim): State<OpenAiSim>, headers: HeaderMap, body: Bytes) -> Response {
    let question = match sim
        .enter(&headers, &body)
        .and_then(|request| response_question(&request))
    {
        Ok(question) => question,
        Err(error) => return error.into_response(),
    };
    let reply = match sim.reply(&question) {
        Ok(reply) => reply,
        Err(failure) => return *failure,
    };
    let part = match reply.refusal {
        Some(refusal) => json!({ "type": "refusal", "refusal": refusal }),
        None => json!({ "type": "output_text", "text": reply.content, "annotations": [], "logprobs": [] }),
    };
    let incomplete = match reply.finish {
        "length" => Some("max_output_tokens"),
        "content_filter" => Some("content_filter"),
        _ => None,
    };
    let id = sim.core.fresh_hex("openai/response");
    Json(json!({
        "id": format!("resp_{id}"), "object": "response", "created_at": now(),
        "status": if incomplete.is_some() { "incomplete" } else { "completed" }, "error": null,
        "incomplete_details": incomplete.map(|reason| json!({ "reason": reason })),
        "model": format!("{}-2025-04-14", question.model),
        // The message is not always the first item.
        "output": [
            { "type": "reasoning", "id": format!("rs_{id}"), "summary": [] },
            { "type": "message", "id": format!("msg_{id}"), "status": "completed", "role": "assistant", "content": [part] },
        ],
        "parallel_tool_calls": true, "tools": [], "tool_choice": "auto", "metadata": {},
        "usage": { "input_tokens": 100, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 20,
            "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 120 },
    }))
    .into_response()
}

pub(crate) async fn models(State(sim): State<OpenAiSim>, headers: HeaderMap) -> Response {
    if bearer(&headers) != Some(sim.core.secrets.openai_api_key.as_str()) {
        return ModelError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        )
        .into_response();
    }
    let model = json!({ "id": sim.core.secrets.openai_model, "object": "model", "created": 1_772_443_267, "owned_by": "simulators" });
    Json(json!({ "object": "list", "data": [model] })).into_response()
}
