//! The model: strict schemas, both endpoints, and the ways in which an answer is none.

use serde_json::{Value, json};
use simulators::World;
use simulators::openai::Scripted;

use crate::support::{client, read, world};

fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["category", "confidence", "affected_user"],
        "properties": {"category": {"type": "string", "enum": ["password_reset", "hardware", "other"]},
            "confidence": {"type": "number"}, "affected_user": {"type": ["string", "null"]}}})
}

fn question(world: &World, ticket: &str, schema: &Value) -> Value {
    json!({"model": world.openai_settings()["OPENAI_MODEL"], "temperature": 0, "store": false,
        "messages": [{"role": "system", "content": "You classify tickets."}, {"role": "user", "content": ticket}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "ticket", "strict": true, "schema": schema}}})
}

async fn post(world: &World, path: &str, body: &Value) -> (u16, Value) {
    let settings = world.openai_settings();
    let url = format!("{}{path}", settings["OPENAI_BASE_URL"]);
    let request = client()
        .post(url)
        .bearer_auth(&settings["OPENAI_API_KEY"])
        .json(body);
    read(request.send().await.unwrap()).await
}

async fn ask(world: &World, ticket: &str) -> (u16, Value) {
    post(world, "/chat/completions", &question(world, ticket, &schema())).await
}

fn answer(body: &Value) -> Value {
    serde_json::from_str(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_strict_question_gets_an_answer_in_its_schema() {
    let world = world().await;
    let (status, body) = ask(&world, "I can't log in since this morning").await;
    assert_eq!(
        (status, &body["choices"][0]["finish_reason"]),
        (200, &json!("stop"))
    );
    assert_eq!(answer(&body)["category"], "password_reset");
    assert!(answer(&body)["affected_user"].is_null());
    assert!(
        body["model"].as_str().unwrap().starts_with("gpt-4.1-mini-"),
        "a dated snapshot"
    );
    assert_eq!(
        answer(&ask(&world, "My laptop screen is broken").await.1)["category"],
        "hardware"
    );

    let input = json!({"model": world.openai_settings()["OPENAI_MODEL"], "input": "forgot my password", "store": false,
        "text": {"format": {"type": "json_schema", "name": "ticket", "strict": true, "schema": schema()}}});
    let (_, body) = post(&world, "/responses", &input).await;
    assert_eq!(
        (&body["status"], &body["output"][0]["type"]),
        (&json!("completed"), &json!("reasoning"))
    );
    assert!(
        body["output"][1]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("password_reset")
    );
    assert_eq!(world.openai().calls(), 3);
    world.shutdown().await;
}

#[tokio::test]
async fn a_loose_schema_a_wrong_key_and_an_unknown_model_are_refused() {
    let world = world().await;
    let mut loose = schema();
    loose["required"] = json!(["category"]);
    let (status, body) = post(&world, "/chat/completions", &question(&world, "x", &loose)).await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Invalid schema for response_format 'ticket'")
    );
    let mut other = question(&world, "x", &schema());
    other["model"] = json!("gpt-99");
    let (status, body) = post(&world, "/chat/completions", &other).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    let url = format!("{}/chat/completions", world.openai_settings()["OPENAI_BASE_URL"]);
    let bad = client()
        .post(url)
        .bearer_auth("sk-wrong")
        .json(&question(&world, "x", &schema()));
    let (status, body) = read(bad.send().await.unwrap()).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_api_key")));
    assert_eq!(world.openai().calls(), 0);
    world.shutdown().await;
}

#[tokio::test]
async fn scripted_answers_cover_every_way_to_fail() {
    let world = world().await;
    let next = async |scripted: Scripted| {
        world.openai().script(scripted);
        ask(&world, "forgot my password").await
    };
    let message = |body: &Value| body["choices"][0]["message"].clone();
    let (status, body) = next(Scripted::Refusal).await;
    assert!(status == 200 && message(&body)["content"].is_null() && message(&body)["refusal"].is_string());
    let (_, body) = next(Scripted::Length).await;
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert!(serde_json::from_str::<Value>(message(&body)["content"].as_str().unwrap()).is_err());
    assert_eq!(
        next(Scripted::ContentFilter).await.1["choices"][0]["finish_reason"],
        "content_filter"
    );
    let (_, body) = next(Scripted::Fenced(json!({"category": "other"}))).await;
    assert!(message(&body)["content"].as_str().unwrap().contains("```json"));
    assert!(message(&next(Scripted::Empty).await.1)["content"].is_null());
    assert_eq!(next(Scripted::NoChoices).await.1["choices"], json!([]));
    let (status, body) = next(Scripted::InsufficientQuota).await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (429, &json!("insufficient_quota"))
    );
    let (status, body) = next(Scripted::RateLimit).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (429, &json!("rate_limit_exceeded"))
    );
    let (status, body) = next(Scripted::NumericCode).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(400)));
    assert_eq!(
        next(Scripted::Content(json!({"category": "x"}))).await.1["choices"][0]["message"]["content"],
        r#"{"category":"x"}"#
    );
    assert_eq!(
        ask(&world, "forgot my password").await.0,
        200,
        "and then it answers again"
    );
    world.shutdown().await;
}
