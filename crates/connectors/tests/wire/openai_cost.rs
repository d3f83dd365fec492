//! What questions to a model cost, as metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connectors::http_client;
use connectors::openai::{Chat, ChatSettings, Kind, Prices, Question};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use crate::support::{answer, on, once};

/// Keeps what is counted, by name and labels.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counts {
    fn of(&self, name: &str) -> u64 {
        let counts = self.0.lock().unwrap();
        counts.get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(name).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

async fn ask(chat: &Chat) {
    let schema = json!({ "type": "object" });
    let question = Question {
        system: "You classify.",
        user: "ticket",
        schema_name: "s",
        schema: &schema,
        max_tokens: 10,
    };
    // What becomes of the answer is another test's: it costs the same.
    drop(chat.ask_json(&question).await);
}

fn completion(finish: &str, usage: &Value) -> ResponseTemplate {
    let choice = json!({ "finish_reason": finish, "message": { "content": "{}" } });
    answer(200, &json!({ "choices": [choice], "usage": usage }))
}

#[tokio::test]
async fn every_token_counts_and_so_does_a_model_that_never_answers() {
    let counts = Counts::default();
    let guard = metrics::set_default_local_recorder(&counts);
    let at = "/v1/chat/completions";
    let server = MockServer::start().await;
    let chat = Chat::new(
        ChatSettings {
            kind: Kind::OpenAi,
            base_url: format!("{}/v1", server.uri()).parse().unwrap(),
            api_version: None,
            api_key: "our-key".into(),
            model: "m".to_owned(),
            timeout: Duration::from_millis(1_500),
            prices: Prices {
                prompt: 0.5,
                completion: 2.0,
            },
        },
        http_client().unwrap(),
    );
    // Cut off, then whole; then one that does not say; then none at all.
    once(
        &server,
        "POST",
        at,
        completion(
            "length",
            &json!({ "prompt_tokens": 200, "completion_tokens": 10 }),
        ),
    )
    .await;
    once(
        &server,
        "POST",
        at,
        completion("stop", &json!({ "prompt_tokens": 200, "completion_tokens": 30 })),
    )
    .await;
    once(&server, "POST", at, completion("stop", &Value::Null)).await;
    on(
        &server,
        "POST",
        at,
        completion("stop", &Value::Null).set_delay(Duration::from_mins(1)),
    )
    .await;
    ask(&chat).await;
    ask(&chat).await;
    assert_eq!(counts.of("firstline_outside_calls_total openai unanswered"), 0);
    ask(&chat).await;
    drop(guard);
    assert_eq!(counts.of("firstline_model_tokens_total prompt"), 400);
    assert_eq!(counts.of("firstline_model_tokens_total completion"), 40);
    assert_eq!(counts.of("firstline_model_cost_micros_total prompt"), 200);
    assert_eq!(counts.of("firstline_model_cost_micros_total completion"), 80);
    assert_eq!(counts.of("firstline_outside_calls_total openai ok"), 3);
    assert_eq!(counts.of("firstline_outside_calls_total openai unanswered"), 1);
}
