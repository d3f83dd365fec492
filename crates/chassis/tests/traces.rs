//! Traces reach a collector. Alone in its process, because telemetry is installed once per process.

use chassis::settings::{LogFormat, TelemetrySettings};
use chassis::telemetry;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

#[tokio::test]
async fn spans_are_sent_as_protobuf_and_the_last_ones_before_the_process_ends() {
    let collector = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/traces"))
        .and(header("content-type", "application/x-protobuf"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&collector)
        .await;
    let settings = TelemetrySettings {
        filter: "off".to_owned(),
        format: LogFormat::Json,
        otlp_endpoint: Some(collector.uri().parse().expect("an address")),
    };
    let handle = telemetry::install(&settings, "executor").expect("settings are good");
    tracing::info_span!("reset the password").in_scope(|| assert!(telemetry::trace_context().is_some()));
    tokio::task::spawn_blocking(move || handle.flush())
        .await
        .expect("flushing does not panic");
    let batches = collector
        .received_requests()
        .await
        .expect("requests are recorded");
    let told = |needle: &[u8]| {
        batches
            .iter()
            .any(|batch| batch.body.windows(needle.len()).any(|part| part == needle))
    };
    assert!(
        told(b"reset the password") && told(b"executor"),
        "{} batches",
        batches.len()
    );
}
