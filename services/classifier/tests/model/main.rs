//! The language model as classifier, over the wire, against a simulated vendor: what it is asked, and what of its answers
//! is believed.

#![expect(clippy::unwrap_used, reason = "a test that can not go on should say where")]

use std::time::{Duration, Instant};

use classifier::classify::{
    About, Category, Classification, Classify as _, ClassifyError, LanguageModel, Text,
};
use connectors::http_client;
use connectors::openai::{Chat, ChatSettings, Kind, Prices};
use serde_json::json;
use simulators::faults::{Fault, FaultKind};
use simulators::openai::{Scripted, Untaken};
use simulators::{System, World, WorldSettings};

async fn world() -> World {
    World::start(WorldSettings::default()).await.unwrap()
}

fn settings(world: &World) -> ChatSettings {
    let given = world.openai_settings();
    ChatSettings {
        kind: Kind::OpenAi,
        base_url: given["OPENAI_BASE_URL"].parse().unwrap(),
        api_version: None,
        api_key: given["OPENAI_API_KEY"].as_str().into(),
        model: given["OPENAI_MODEL"].clone(),
        timeout: Duration::from_secs(20),
        prices: Prices::default(),
    }
}

fn model(settings: ChatSettings) -> LanguageModel {
    LanguageModel::new(Chat::new(settings, http_client().unwrap()))
}

fn reset() -> Vec<Category> {
    vec![Category {
        category: "REQUEST".to_owned(),
        sub_category: Some("PASSWORD_RESET".to_owned()),
        description: "Password reset for who cannot log in".to_owned(),
        examples: vec!["I forgot my password".to_owned()],
        privileged: true,
    }]
}

async fn ask(model: &LanguageModel) -> Result<Classification, ClassifyError> {
    let text = Text {
        summary: "I forgot my password",
        details: "and I can't log in",
    };
    model.classify(text, &reset()).await
}

fn is_reset(answer: &Result<Classification, ClassifyError>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|answer| answer.choice == Some(0) && answer.about == About::Requester)
}

#[tokio::test]
async fn an_answer_tells_model_and_version_of_the_prompt() {
    let world = world().await;
    let answer = ask(&model(settings(&world))).await;
    assert!(is_reset(&answer), "{answer:?}");
    let answer = answer.unwrap();
    assert!(answer.model.starts_with("gpt-4.1-mini"));
    assert_eq!(answer.prompt_version, LanguageModel::PROMPT_VERSION);
    world.shutdown().await;
}

#[tokio::test]
async fn whatever_a_model_does_not_take_it_classifies_all_the_same() {
    let world = world().await;
    let model = model(settings(&world));
    for untaken in [
        Untaken::Temperature,
        Untaken::Seed,
        Untaken::Store,
        Untaken::JsonSchema,
        Untaken::MaxCompletionTokens,
    ] {
        world.openai().refuse(untaken);
        let answer = ask(&model).await;
        assert!(is_reset(&answer), "{untaken:?}: {answer:?}");
    }
    // Each was refused once, and then known.
    assert_eq!((world.openai().refused(), world.openai().calls()), (5, 5));
    // Nothing is left to leave out.
    world.openai().refuse(Untaken::MaxTokens);
    assert!(matches!(ask(&model).await, Err(ClassifyError::Away(error)) if error.code().is_some()));
    assert_eq!(world.openai().refused(), 6);
    world.shutdown().await;
}

#[tokio::test]
async fn azure_is_asked_at_both_of_its_addresses() {
    let world = world().await;
    let name = settings(&world).model;
    let root = world.openai_settings()["OPENAI_BASE_URL"]
        .trim_end_matches("v1")
        .to_owned();
    for (path, version) in [
        (
            format!("openai/deployments/{name}"),
            Some("2024-10-21".to_owned()),
        ),
        ("openai/v1".to_owned(), None),
    ] {
        let azure = ChatSettings {
            kind: Kind::Azure,
            base_url: format!("{root}{path}").parse().unwrap(),
            api_version: version,
            ..settings(&world)
        };
        world.openai().script(Scripted::AzureRateLimit(20));
        let answer = ask(&model(azure.clone())).await;
        assert!(is_reset(&answer), "{path}: {answer:?}");
        // A Bearer token is Entra's there, not a key.
        let wrong = ChatSettings {
            kind: Kind::OpenAi,
            ..azure
        };
        assert!(matches!(
            ask(&model(wrong)).await,
            Err(ClassifyError::Away(error)) if error.is_refused("invalid_api_key")
        ));
    }
    world.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_is_not_as_agreed_is_not_believed() {
    let world = world().await;
    let model = model(settings(&world));
    let none = |confidence: serde_json::Value| json!({"category": "none", "confidence": confidence, "about": "requester", "reasoning": "because"});
    let sure = none(json!(0.9));
    let missing = json!({"category": "none", "about": "requester", "reasoning": "because"});
    let named =
        json!({"category": "PASSWORD_RESET", "confidence": 0.9, "about": "requester", "reasoning": ""});
    let twice =
        r#"{"category":"none","category":"none","confidence":0.9,"about":"requester","reasoning":""}"#;
    let endless = r#"{"category":"none","confidence":1e999,"about":"requester","reasoning":""}"#;
    for scripted in [
        Scripted::Text("This ticket is about a password, so I would reset it.".to_owned()),
        Scripted::Fenced(sure.clone()),
        Scripted::Text(format!("```json\n{sure}\n```")),
        Scripted::Text(format!("{sure}\nI hope this helps.")),
        Scripted::Text(twice.to_owned()),
        Scripted::Text(sure.to_string().replace("0.9", "NaN")),
        Scripted::Text(endless.to_owned()),
        Scripted::Content(named),
        Scripted::Content(none(json!(7))),
        Scripted::Content(none(json!("high"))),
        Scripted::Content(none(json!(null))),
        Scripted::Content(missing),
        Scripted::Content(json!([sure])),
        Scripted::HalfJson,
        Scripted::Empty,
        Scripted::NoChoices,
        Scripted::Unknown,
    ] {
        world.openai().script(scripted.clone());
        let answer = ask(&model).await;
        assert!(
            matches!(answer, Err(ClassifyError::Malformed(_))),
            "{scripted:?}: {answer:?}"
        );
    }
    world.openai().script(Scripted::Content(sure));
    assert_eq!(ask(&model).await.unwrap().choice, None);
    world.shutdown().await;
}

#[tokio::test]
async fn a_model_that_will_not_answer_is_not_asked_again() {
    let world = world().await;
    let model = model(settings(&world));
    for refusal in [Scripted::Refusal, Scripted::ContentFilter] {
        world.openai().script(refusal);
        assert!(matches!(ask(&model).await, Err(ClassifyError::Declined(_))));
    }
    assert_eq!(world.openai().calls(), 2);
    // Cut off: once more with more room, and then no more.
    for _ in 0..2 {
        world.openai().script(Scripted::Length);
    }
    assert!(matches!(ask(&model).await, Err(ClassifyError::Declined(_))));
    assert_eq!(world.openai().calls(), 4);
    world.shutdown().await;
}

#[tokio::test]
async fn an_enormous_answer_is_not_read() {
    let world = world().await;
    for _ in 0..3 {
        world.openai().script(Scripted::Text(" ".repeat(3 * 1024 * 1024)));
    }
    let answer = ask(&model(settings(&world))).await;
    assert!(matches!(answer, Err(ClassifyError::Away(error)) if error.is_busy()));
    world.shutdown().await;
}

#[tokio::test]
async fn a_model_that_answers_too_late_is_away() {
    let world = world().await;
    let late = FaultKind::Latency(Duration::from_mins(1));
    world.faults(System::OpenAi).inject(Fault::new(late));
    let hasty = ChatSettings {
        timeout: Duration::from_millis(300),
        ..settings(&world)
    };
    let begun = Instant::now();
    let answer = ask(&model(hasty)).await;
    assert!(matches!(answer, Err(ClassifyError::Away(error)) if error.is_busy()));
    assert!(begun.elapsed() < Duration::from_secs(10));
    world.shutdown().await;
}
