//! Chat completions, against the vendor's own document.

use std::time::{Duration, Instant};

use connectors::http_client;
use connectors::openai::{Chat, ChatError, ChatSettings, LimitField, Question};
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use crate::spec::Spec;
use crate::support::{answer, arrived, header, on, once, only};

const AT: &str = "/v1/chat/completions";

fn spec() -> Spec {
    Spec::new(include_str!("../specs/openai-chat-and-responses.json"), "/v1")
}

fn settings(server: &MockServer) -> ChatSettings {
    ChatSettings {
        base_url: format!("{}/v1", server.uri()).parse().unwrap(),
        api_key: "our-key".into(),
        model: "gpt-4.1-mini".to_owned(),
        limit_field: LimitField::MaxCompletionTokens,
        temperature: Some(0.0),
        timeout: Duration::from_secs(10),
    }
}

async fn start() -> (MockServer, Chat) {
    let server = MockServer::start().await;
    let chat = Chat::new(settings(&server), http_client().unwrap());
    (server, chat)
}

fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["category"],
        "properties": { "category": { "type": "string", "enum": ["password_reset", "other"] } },
    })
}

async fn ask(chat: &Chat) -> Result<connectors::openai::ChatAnswer, ChatError> {
    let schema = schema();
    let question = Question {
        system: "You classify IT-support tickets.",
        user: "<ticket>I can't log in</ticket>",
        schema_name: "ticket_classification",
        schema: &schema,
        max_tokens: 600,
    };
    chat.ask_json(&question).await
}

fn completion(finish: &str, content: &str) -> ResponseTemplate {
    let body = json!({
        "id": "chatcmpl-9aZ0", "object": "chat.completion", "created": 1_772_443_267, "model": "gpt-4.1-mini-2025-04-14",
        "choices": [{ "index": 0, "finish_reason": finish, "message": { "role": "assistant", "content": content } }],
        "usage": { "prompt_tokens": 214, "completion_tokens": 58, "total_tokens": 272 },
        "kv_transfer_params": null,
    });
    answer(200, &body)
}

fn refused(status: u16, error: &Value) -> ResponseTemplate {
    answer(status, &json!({ "error": error }))
}

fn code(result: Result<connectors::openai::ChatAnswer, ChatError>) -> String {
    match result.unwrap_err() {
        ChatError::Call(error) if error.is_busy() => "busy".to_owned(),
        ChatError::Call(error) => error.code().unwrap_or("unknown").to_owned(),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn a_question_is_what_the_vendor_documents_and_its_answer_is_read() {
    let (server, chat) = start().await;
    on(
        &server,
        "POST",
        AT,
        completion("stop", r#"{"category":"password_reset"}"#),
    )
    .await;
    let answer = ask(&chat).await.unwrap();
    assert_eq!(answer.content, json!({ "category": "password_reset" }));
    assert_eq!(answer.model, "gpt-4.1-mini-2025-04-14");
    assert_eq!(answer.usage.unwrap().prompt_tokens, 214);

    let request = only(&server).await;
    spec().check(&request);
    assert_eq!(header(&request, "authorization"), "Bearer our-key");
    let body: Value = request.body_json().unwrap();
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
    assert_eq!(body["store"], false);
    assert_eq!(body["max_completion_tokens"], 600);
    assert_eq!(body["messages"][1]["content"], "<ticket>I can't log in</ticket>");
}

#[tokio::test]
async fn an_older_server_gets_its_own_name_for_the_limit() {
    let server = MockServer::start().await;
    let older = ChatSettings {
        limit_field: LimitField::MaxTokens,
        temperature: None,
        ..settings(&server)
    };
    let chat = Chat::new(older, http_client().unwrap());
    on(&server, "POST", AT, completion("stop", "{}")).await;
    ask(&chat).await.unwrap();
    let request = only(&server).await;
    spec().check(&request);
    let body: Value = request.body_json().unwrap();
    assert_eq!(
        (&body["max_tokens"], body.get("temperature")),
        (&json!(600), None)
    );
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_asked_for_once_more_with_more_room() {
    let (server, chat) = start().await;
    once(&server, "POST", AT, completion("length", "{\"cat")).await;
    on(&server, "POST", AT, completion("stop", "{}")).await;
    ask(&chat).await.unwrap();
    let second: Value = arrived(&server).await[1].body_json().unwrap();
    assert_eq!(second["max_completion_tokens"], 1200);

    let (server, chat) = start().await;
    on(&server, "POST", AT, completion("length", "{\"cat")).await;
    assert!(matches!(ask(&chat).await, Err(ChatError::CutOff)));
    assert_eq!(arrived(&server).await.len(), 2);
}

#[tokio::test]
async fn a_throttled_or_failing_server_is_asked_again_and_a_lack_of_money_is_final() {
    let (server, chat) = start().await;
    let throttled = refused(
        429,
        &json!({ "message": "slow", "type": "tokens", "param": null, "code": "rate_limit_exceeded" }),
    );
    once(&server, "POST", AT, throttled.insert_header("retry-after", "1")).await;
    once(
        &server,
        "POST",
        AT,
        ResponseTemplate::new(502).set_body_string("<html>"),
    )
    .await;
    on(&server, "POST", AT, completion("stop", "{}")).await;
    ask(&chat).await.unwrap();

    let (server, chat) = start().await;
    on(
        &server,
        "POST",
        AT,
        refused(
            429,
            &json!({ "message": "pay", "type": "insufficient_quota", "code": "insufficient_quota" }),
        ),
    )
    .await;
    assert_eq!(code(ask(&chat).await), "insufficient_quota");
    assert_eq!(arrived(&server).await.len(), 1);
}

#[tokio::test]
async fn refusals_keep_their_meaning_whatever_their_shape() {
    let cases = [
        (
            refused(
                400,
                &json!({ "code": 400, "message": "secret words", "type": "invalid_request_error" }),
            ),
            "invalid_request_error",
        ),
        (
            refused(
                401,
                &json!({ "code": "invalid_api_key", "message": "our-key", "type": "invalid_request_error" }),
            ),
            "invalid_api_key",
        ),
        (
            answer(404, &json!({ "object": "error", "message": "m", "code": 404 })),
            "http_404",
        ),
        (
            refused(400, &json!({ "code": "content_filter", "message": "m" })),
            "question or answer was filtered",
        ),
        (ResponseTemplate::new(500), "busy"),
        (ResponseTemplate::new(200).set_body_string("<html>"), "busy"),
        (
            completion("stop", "I would rather not."),
            "the answer was no JSON object",
        ),
        (
            completion("content_filter", ""),
            "question or answer was filtered",
        ),
    ];
    for (case, expected) in cases {
        let (server, chat) = start().await;
        on(&server, "POST", AT, case).await;
        let result = ask(&chat).await;
        let shown = format!("{result:?}");
        assert!(
            !shown.contains("secret words") && !shown.contains("our-key"),
            "{shown}"
        );
        assert_eq!(code(result), expected);
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_the_setting_says() {
    let server = MockServer::start().await;
    let hasty = ChatSettings {
        timeout: Duration::from_millis(300),
        ..settings(&server)
    };
    let chat = Chat::new(hasty, http_client().unwrap());
    on(
        &server,
        "POST",
        AT,
        completion("stop", "{}").set_delay(Duration::from_secs(30)),
    )
    .await;
    let begun = Instant::now();
    assert_eq!(code(ask(&chat).await), "busy");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
