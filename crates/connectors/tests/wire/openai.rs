//! Chat completions, against the vendor's own document.

use std::time::{Duration, Instant};

use connectors::http_client;
use connectors::openai::{Chat, ChatError, ChatSettings, Kind, Prices, Question};
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use crate::spec::Spec;
use crate::support::{answer, arrived, header, on, once, only, query};

const AT: &str = "/v1/chat/completions";

fn spec() -> Spec {
    Spec::new(include_str!("../specs/openai-chat-and-responses.json"), "/v1")
}

fn settings(server: &MockServer) -> ChatSettings {
    ChatSettings {
        kind: Kind::OpenAi,
        base_url: format!("{}/v1", server.uri()).parse().unwrap(),
        api_version: None,
        api_key: "our-key".into(),
        model: "gpt-4.1-mini".to_owned(),
        timeout: Duration::from_secs(10),
        prices: Prices::default(),
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
    assert_eq!((&body["temperature"], body["seed"].is_i64()), (&json!(0), true));
    assert_eq!(body["max_completion_tokens"], 600);
    assert_eq!(body["messages"][1]["content"], "<ticket>I can't log in</ticket>");
}

fn body(request: &wiremock::Request) -> Value {
    request.body_json().unwrap()
}

/// A refusal in a server's words, what is left out after it, and what stands instead.
type Refusal = (Value, &'static str, Option<(&'static str, Value)>);

fn refusals() -> [Refusal; 6] {
    let invalid = |message: &str, param: Value| json!({ "message": message, "type": "invalid_request_error", "param": param, "code": null });
    [
        (
            invalid(
                "Unsupported value: 'temperature' does not support 0 with this model.",
                json!("temperature"),
            ),
            "temperature",
            None,
        ),
        (
            invalid("Unrecognized request argument supplied: seed", Value::Null),
            "seed",
            None,
        ),
        (
            invalid(
                "Unsupported parameter: 'max_completion_tokens' is not supported.",
                json!("max_completion_tokens"),
            ),
            "max_completion_tokens",
            Some(("max_tokens", json!(600))),
        ),
        (
            json!({ "message": "max_completion_tokens: Extra inputs are not permitted", "type": "BadRequestError", "code": 400 }),
            "max_completion_tokens",
            Some(("max_tokens", json!(600))),
        ),
        (
            invalid("Unknown parameter: 'store'.", json!("store")),
            "store",
            None,
        ),
        (
            invalid(
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
                json!("response_format"),
            ),
            "json_schema",
            Some(("response_format", json!({ "type": "json_object" }))),
        ),
    ]
}

#[tokio::test]
async fn what_a_model_does_not_take_is_left_out_at_once_and_from_then_on() {
    for (refusal, untaken, instead) in refusals() {
        let (server, chat) = start().await;
        once(&server, "POST", AT, refused(400, &refusal)).await;
        on(&server, "POST", AT, completion("stop", "{}")).await;
        ask(&chat).await.unwrap();
        // A clone has learned it too.
        ask(&chat.clone()).await.unwrap();
        let requests = arrived(&server).await;
        assert_eq!(requests.len(), 3, "{untaken}");
        let spec = spec();
        for (nth, request) in requests.iter().enumerate() {
            spec.check(request);
            let body = body(request);
            assert_eq!(
                body.to_string().contains(&format!("\"{untaken}\"")),
                nth == 0,
                "{untaken}: {body}"
            );
            if let Some((name, value)) = instead.as_ref().filter(|_| nth > 0) {
                assert_eq!(body[name], *value);
            }
        }
    }
}

#[tokio::test]
async fn a_schema_that_cannot_be_a_member_is_said_in_words() {
    let (server, chat) = start().await;
    let refusal = json!({ "message": "response_format json_schema is not supported", "type": "BadRequestError", "code": 400 });
    once(&server, "POST", AT, refused(400, &refusal)).await;
    on(&server, "POST", AT, completion("stop", "{}")).await;
    ask(&chat).await.unwrap();
    let words = body(&arrived(&server).await[1])["messages"][0]["content"].clone();
    let words = words.as_str().unwrap();
    assert!(words.starts_with("You classify IT-support tickets.") && words.ends_with(&schema().to_string()));
}

#[tokio::test]
async fn a_reasoning_model_is_asked_as_it_wants_after_one_refusal_each() {
    let (server, chat) = start().await;
    for param in ["temperature", "seed"] {
        let refusal = json!({ "message": "Unsupported", "type": "invalid_request_error", "param": param, "code": "unsupported_parameter" });
        once(&server, "POST", AT, refused(400, &refusal)).await;
    }
    on(&server, "POST", AT, completion("stop", "{}")).await;
    ask(&chat).await.unwrap();
    let last = body(&arrived(&server).await[2]);
    assert_eq!((last.get("temperature"), last.get("seed")), (None, None));
    assert_eq!(last["max_completion_tokens"], 600);
}

#[tokio::test]
async fn a_server_that_refuses_for_ever_is_asked_as_often_as_there_is_something_to_leave_out() {
    let (server, chat) = start().await;
    let refusal = json!({ "message": "no", "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value" });
    on(&server, "POST", AT, refused(400, &refusal)).await;
    assert_eq!(code(ask(&chat).await), "unsupported_value");
    assert_eq!(arrived(&server).await.len(), 2);
    // A schema of ours that is wrong is no habit of the model.
    let (server, chat) = start().await;
    let refusal = json!({ "message": "Invalid schema for response_format 'x': ...", "type": "invalid_request_error", "param": "response_format", "code": null });
    on(&server, "POST", AT, refused(400, &refusal)).await;
    assert_eq!(code(ask(&chat).await), "invalid_request_error");
    assert_eq!(arrived(&server).await.len(), 1);
}

#[tokio::test]
async fn azure_gets_the_key_in_its_header_and_the_version_in_the_query() {
    let server = MockServer::start().await;
    for (path, version) in [
        ("/openai/deployments/mini", Some("2024-10-21")),
        ("/openai/v1", None),
    ] {
        let azure = ChatSettings {
            kind: Kind::Azure,
            base_url: format!("{}{path}", server.uri()).parse().unwrap(),
            api_version: version.map(str::to_owned),
            ..settings(&server)
        };
        let at = format!("{path}/chat/completions");
        let throttled = refused(429, &json!({ "code": "429", "message": "slow" }));
        let throttled = throttled
            .insert_header("retry-after", "60")
            .insert_header("retry-after-ms", "20");
        once(&server, "POST", &at, throttled).await;
        on(&server, "POST", &at, completion("stop", "{}")).await;
        let begun = Instant::now();
        ask(&Chat::new(azure, http_client().unwrap())).await.unwrap();
        // The seconds alone would have been too long to wait here.
        assert!(begun.elapsed() < Duration::from_secs(5));
        let requests = arrived(&server).await;
        let request = requests.last().unwrap();
        assert_eq!(header(request, "api-key"), "our-key");
        assert!(request.headers.get("authorization").is_none());
        let versions: Vec<(String, String)> = query(request);
        let expected = version.map(|version| ("api-version".to_owned(), version.to_owned()));
        assert_eq!(versions, expected.into_iter().collect::<Vec<_>>());
        // The version is Azure's own; all else is as OpenAI documents.
        let mut plain = request.clone();
        plain.url.set_query(None);
        Spec::new(include_str!("../specs/openai-chat-and-responses.json"), path).check(&plain);
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_asked_for_once_more_with_more_room() {
    let (server, chat) = start().await;
    once(&server, "POST", AT, completion("length", "{\"cat")).await;
    on(&server, "POST", AT, completion("stop", "{}")).await;
    ask(&chat).await.unwrap();
    let second: Value = arrived(&server).await[1].body_json().unwrap();
    assert_eq!(second["max_completion_tokens"], 2400);

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
            completion("stop", "```json\n{\"category\":\"other\"}\n```"),
            "the answer was no JSON object",
        ),
        (
            completion("stop", "{\"category\":\"other\"} as you asked"),
            "the answer was no JSON object",
        ),
        (
            completion("stop", r#"{"category":"other","category":"password_reset"}"#),
            "the answer was no JSON object",
        ),
        (
            completion("stop", r#"{"category":"other","confidence":NaN}"#),
            "the answer was no JSON object",
        ),
        (answer(200, &json!({ "choices": [] })), "the answer was empty"),
        (completion("stop", &" ".repeat(2 * 1024 * 1024)), "busy"),
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
