//! Reading answers and refusals of any server that claims to speak the protocol: every member optional, codes as text or
//! number, errors with or without their wrapper.

use serde::Deserialize;
use serde_json::Value;

use super::habits::Parameter;
use super::transport::Failure;
use super::{ChatAnswer, ChatError, Usage, strict};
use crate::call::{Answer, CallError, System, one_line};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Completion {
    model: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    finish_reason: Option<String>,
    message: Message,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// What an answer cost, where it says so.
pub(super) fn usage(completion: &Value) -> Option<Usage> {
    let tokens = Tokens::deserialize(completion.get("usage")?).ok()?;
    Some(Usage {
        prompt_tokens: tokens.prompt_tokens,
        completion_tokens: tokens.completion_tokens,
    })
}

/// Only `stop` with a JSON object and nothing else is an answer. A server that wraps it in words or fences did not keep to
/// the schema, and the words around it may be the ticket's.
pub(super) fn read(completion: &Value) -> Result<ChatAnswer, ChatError> {
    let usage = usage(completion);
    let completion = Completion::deserialize(completion).map_err(|_| ChatError::NotJson)?;
    let choice = completion.choices.into_iter().next().ok_or(ChatError::Empty)?;
    if choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(ChatError::Declined);
    }
    match choice.finish_reason.as_deref() {
        Some("stop") => {}
        Some("length") => return Err(ChatError::CutOff),
        Some("content_filter") => return Err(ChatError::Filtered),
        other => return Err(ChatError::Ended(one_line(other.unwrap_or("no reason given")))),
    }
    let content = choice
        .message
        .content
        .filter(|content| !content.trim().is_empty());
    Ok(ChatAnswer {
        content: strict::object(&content.ok_or(ChatError::Empty)?).ok_or(ChatError::NotJson)?,
        model: completion.model.as_deref().map(one_line).unwrap_or_default(),
        usage,
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    r#type: Option<String>,
    code: Value,
    param: Option<String>,
    message: Option<String>,
}

fn said(body: &[u8]) -> Said {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body
        .get("error")
        .filter(|error| error.is_object())
        .unwrap_or(&body);
    Said::deserialize(error).unwrap_or_default()
}

impl Said {
    fn code(&self) -> Option<&str> {
        self.code.as_str()
    }

    /// No money, no answer: asking again brings nothing.
    fn no_money(&self) -> bool {
        const CODES: [&str; 5] = [
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        ];
        self.r#type.as_deref() == Some("insufficient_quota")
            || self.code().is_some_and(|code| CODES.contains(&code))
    }
}

/// A 429 that is about money.
pub(super) fn is_hopeless(body: &[u8]) -> bool {
    said(body).no_money()
}

/// The refusal in an answer that is no success, and the parameter that it is about. Its words are left out: they may quote
/// the question or the key.
pub(super) fn refusal(answer: &Answer) -> Failure {
    let said = said(&answer.body);
    let about_request = matches!(answer.status.as_u16(), 400 | 422);
    Failure {
        untaken: about_request
            .then(|| Parameter::named(said.param.as_deref(), said.message.as_deref().unwrap_or_default()))
            .flatten(),
        error: meaning(answer, &said),
    }
}

fn meaning(answer: &Answer, said: &Said) -> ChatError {
    let status = answer.status.as_u16();
    if said.code() == Some("content_filter") {
        return ChatError::Filtered;
    }
    if matches!(status, 408 | 409) {
        return ChatError::Call(CallError::Busy {
            system: System::OpenAi,
            detail: answer.status.to_string(),
            retry_after: None,
        });
    }
    let (code, detail) = if said.no_money() {
        ("insufficient_quota".to_owned(), "the account has no quota left")
    } else {
        let code = said.code().or(said.r#type.as_deref()).map(one_line);
        let detail = match status {
            401 => "it does not accept our key",
            403 => "it does not permit this",
            404 => "it does not know the model or the address",
            _ => "it does not accept the request",
        };
        (
            code.filter(|code| !code.is_empty())
                .unwrap_or_else(|| format!("http_{status}")),
            detail,
        )
    };
    CallError::refused(System::OpenAi, code, format!("{detail} ({status})")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};
    use serde_json::json;
    use zeroize::Zeroizing;

    fn completion(finish: &str, message: &Value) -> Result<ChatAnswer, ChatError> {
        read(&json!({"choices": [{"finish_reason": finish, "message": message}]}))
    }

    #[test]
    fn only_stop_with_a_json_object_is_an_answer() {
        let answer = completion("stop", &json!({"content": "{\"a\":1}", "refusal": null})).unwrap();
        assert_eq!(answer.content, json!({"a": 1}));
        assert!(matches!(
            completion("stop", &json!({"content": null, "refusal": "no"})),
            Err(ChatError::Declined)
        ));
        assert!(matches!(
            completion("length", &json!({"content": "{\"a\""})),
            Err(ChatError::CutOff)
        ));
        assert!(matches!(
            completion("length", &json!({"content": "{}"})),
            Err(ChatError::CutOff)
        ));
        assert!(matches!(
            completion("content_filter", &json!({"content": "{}"})),
            Err(ChatError::Filtered)
        ));
        assert!(matches!(
            completion("abort", &json!({"content": "{}"})),
            Err(ChatError::Ended(_))
        ));
        assert!(matches!(
            completion("tool_calls", &json!({"content": "{}"})),
            Err(ChatError::Ended(_))
        ));
        assert!(matches!(
            completion("stop", &json!({"content": " "})),
            Err(ChatError::Empty)
        ));
        assert!(matches!(
            completion("stop", &json!({"content": "[1]"})),
            Err(ChatError::NotJson)
        ));
        assert!(matches!(
            completion("stop", &json!({"content": "sure!"})),
            Err(ChatError::NotJson)
        ));
        assert!(matches!(read(&json!({"choices": []})), Err(ChatError::Empty)));
        assert!(matches!(read(&json!("no")), Err(ChatError::NotJson)));
    }

    #[test]
    fn an_object_in_fences_or_words_or_twice_is_no_answer() {
        for content in [
            "Here:\n```json\n{\"a\": {\"b\": 2}}\n```",
            "```json\n{\"a\":1}\n```",
            "{\"a\":1} I hope this helps",
            "{\"a\":1,\"a\":2}",
        ] {
            let answer = completion("stop", &json!({ "content": content }));
            assert!(matches!(answer, Err(ChatError::NotJson)), "{content}");
        }
    }

    #[test]
    fn tokens_are_counted_whatever_became_of_the_answer() {
        let cut = json!({"choices": [{"finish_reason": "length"}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}});
        let usage = usage(&cut).unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (7, 3));
        assert!(super::usage(&json!({"choices": []})).is_none());
        assert!(super::usage(&json!({"usage": {"prompt_tokens": -1}})).is_none());
        assert!(super::usage(&json!({"usage": null})).is_none());
    }

    fn refused(status: u16, body: &str) -> String {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        match refusal(&answer).error {
            ChatError::Call(CallError::Refused { code, .. }) => code,
            other => other.to_string(),
        }
    }

    #[test]
    fn errors_are_understood_wrapped_or_bare_with_text_or_number() {
        assert_eq!(
            refused(
                400,
                r#"{"error":{"code":400,"message":"m","type":"invalid_request_error"}}"#
            ),
            "invalid_request_error"
        );
        assert_eq!(
            refused(
                404,
                r#"{"object":"error","message":"m","type":"NotFoundError","code":404}"#
            ),
            "NotFoundError"
        );
        assert_eq!(
            refused(
                401,
                r#"{"error":{"code":"invalid_api_key","type":"invalid_request_error"}}"#
            ),
            "invalid_api_key"
        );
        assert_eq!(
            refused(429, r#"{"error":{"type":"insufficient_quota","code":null}}"#),
            "insufficient_quota"
        );
        assert_eq!(
            refused(400, r#"{"error":{"code":"content_filter"}}"#),
            "question or answer was filtered"
        );
        assert_eq!(refused(418, "<html>"), "http_418");
    }
}
