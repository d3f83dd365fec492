//! The same model as other servers offer it: behind Azure's addresses, and with less that it takes.

use serde_json::{Value, json};
use simulators::World;
use simulators::openai::{Scripted, Untaken};

use crate::support::{client, read, world};

fn question(world: &World) -> Value {
    json!({"model": world.openai_settings()["OPENAI_MODEL"], "temperature": 0, "seed": 1, "store": false,
        "max_completion_tokens": 10,
        "messages": [{"role": "user", "content": "forgot my password"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "ticket", "strict": true, "schema":
            {"type": "object", "additionalProperties": false, "required": ["category"],
                "properties": {"category": {"type": "string", "enum": ["password_reset", "other"]}}}}}})
}

async fn azure(world: &World, path: &str, header: &str) -> (u16, Value) {
    let settings = world.openai_settings();
    let base = settings["OPENAI_BASE_URL"].trim_end_matches("v1").to_owned();
    let request = client()
        .post(format!("{base}openai/{path}"))
        .header(header, &settings["OPENAI_API_KEY"])
        .json(&question(world));
    read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn azure_wants_its_own_header_a_deployment_and_a_version() {
    let world = world().await;
    let deployment = &world.openai_settings()["OPENAI_MODEL"];
    let classic = format!("deployments/{deployment}/chat/completions");
    let versioned = format!("{classic}?api-version=2024-10-21");
    for path in [versioned.as_str(), "v1/chat/completions"] {
        assert_eq!(azure(&world, path, "api-key").await.0, 200, "{path}");
        assert_eq!(azure(&world, path, "x-api-key").await.0, 401, "{path}");
    }
    assert_eq!(azure(&world, &classic, "api-key").await.0, 404);
    let other = "deployments/other/chat/completions?api-version=2024-10-21";
    let (status, body) = azure(&world, other, "api-key").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (404, &json!("DeploymentNotFound"))
    );
    world.openai().script(Scripted::AzureRateLimit(250));
    let (status, body) = azure(&world, &versioned, "api-key").await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("429")));
    world.shutdown().await;
}

#[tokio::test]
async fn what_a_model_does_not_take_is_refused_by_name() {
    let world = world().await;
    let settings = world.openai_settings();
    let ask = async |question: &Value| {
        let request = client()
            .post(format!("{}/chat/completions", settings["OPENAI_BASE_URL"]))
            .bearer_auth(&settings["OPENAI_API_KEY"])
            .json(question);
        read(request.send().await.unwrap()).await
    };
    let mut question = question(&world);
    for (untaken, member) in [
        (Untaken::Temperature, "temperature"),
        (Untaken::Seed, "seed"),
        (Untaken::Store, "store"),
        (Untaken::JsonSchema, "response_format"),
        (Untaken::MaxCompletionTokens, "max_completion_tokens"),
    ] {
        world.openai().refuse(untaken);
        let (status, body) = ask(&question).await;
        assert_eq!(status, 400);
        assert!(
            body["error"]["message"].as_str().unwrap().contains(member),
            "{body}"
        );
        question.as_object_mut().unwrap().remove(member);
        assert_eq!(ask(&question).await.0, 200, "without {member}");
    }
    assert_eq!(world.openai().refused(), 5);
    world.shutdown().await;
}
