//! Logs to stderr and traces to a collector; W3C trace context in and out, so that one ticket is one trace.
//!
//! Installed once per process, however many services run in it.

use std::collections::HashMap;
use std::future::Future;
use std::io::IsTerminal as _;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};
use url::Url;

use crate::settings::{LogFormat, TelemetrySettings};

/// Longest wait for the last traces at the end of a process.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for a collector to take one batch.
const EXPORT_LIMIT: Duration = Duration::from_secs(10);

static INSTALLED: OnceLock<()> = OnceLock::new();

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is no filter.
    #[error("RUST_LOG is no log filter")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// The exporter refused its settings.
    #[error("cannot export traces")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The HTTP client of the exporter could not be made.
    #[error("cannot build the exporter's http client")]
    Client(#[source] reqwest::Error),
}

/// Keeps the exporter; flush it before the process ends.
#[derive(Debug)]
#[must_use = "traces that are not flushed are lost"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Send what is still held back. Blocks for at most a few seconds.
    pub fn flush(self) {
        if let Some(provider) = self.provider {
            // The collector may be away; the process ends all the same.
            let _ = provider.shutdown_with_timeout(FLUSH_LIMIT);
        }
    }
}

/// Install logs and traces for this process. Later calls change nothing and answer an empty handle, so several
/// services of one process may each call it. Needs a running tokio runtime where traces are exported.
///
/// # Errors
/// The filter or the exporter's settings are bad.
pub fn install(settings: &TelemetrySettings, process: &str) -> Result<Telemetry, TelemetryError> {
    let colours = std::io::stderr().is_terminal();
    install_to(settings, process, BoxMakeWriter::new(std::io::stderr), colours)
}

/// The same, with the log lines going to `lines`, in colours or not.
///
/// # Errors
/// The filter or the exporter's settings are bad.
pub fn install_to(
    settings: &TelemetrySettings,
    process: &str,
    lines: BoxMakeWriter,
    colours: bool,
) -> Result<Telemetry, TelemetryError> {
    let mut outcome = Ok(Telemetry { provider: None });
    INSTALLED.get_or_init(|| outcome = build(settings, process, lines, colours));
    outcome
}

/// Trace context without any log output, for tests that look at `traceparent`.
pub fn install_quiet() {
    INSTALLED.get_or_init(|| {
        let provider = SdkTracerProvider::builder().build();
        let traces = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("firstline"))
            .with_filter(in_traces());
        let _ = tracing::subscriber::set_global_default(Registry::default().with(traces));
    });
}

/// Which spans become part of a trace: not a worker's idle looking around, which tells no ticket's story.
fn in_traces() -> FilterFn {
    FilterFn::new(|metadata| *metadata.level() <= Level::INFO && metadata.target() != crate::worker::TARGET)
}

fn build(
    settings: &TelemetrySettings,
    process: &str,
    lines: BoxMakeWriter,
    colours: bool,
) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(TelemetryError::Filter)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(lines)
        .with_ansi(colours);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Human => lines.with_target(false).with_filter(filter).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_filter(filter)
            .boxed(),
    };
    let provider = provider(settings.otlp_endpoint.as_ref(), process)?;
    // Spans carry the trace context even where no collector is set: the ids still travel and join the logs.
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("firstline"))
        // A span is entered with every poll of what it spans, and asked for by itself: nobody needs it to be the current
        // one of OpenTelemetry too, nor to know how long it was busy, or on which thread.
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_threads(false)
        .with_location(false)
        .with_filter(in_traces());
    let subscriber = Registry::default().with(lines).with(traces);
    // A test harness may have set its own first; then that one stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(Telemetry {
        provider: Some(provider),
    })
}

fn provider(endpoint: Option<&Url>, process: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let resource = Resource::builder()
        .with_service_name(process.to_owned())
        .with_attribute(KeyValue::new("service.namespace", "firstline"))
        .build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = endpoint else {
        return Ok(builder.build());
    };
    let client = common::client::http_client(EXPORT_LIMIT).map_err(TelemetryError::Client)?;
    let traces = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(OnRuntime {
            runtime: tokio::runtime::Handle::current(),
            client,
        })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces)
        .with_timeout(EXPORT_LIMIT)
        .build()
        .map_err(TelemetryError::Exporter)?;
    Ok(builder.with_batch_exporter(exporter).build())
}

/// The exporter works on a plain thread of its own, and reqwest needs a reactor: so its calls run on our runtime.
#[derive(Debug)]
struct OnRuntime {
    runtime: tokio::runtime::Handle,
    client: reqwest::Client,
}

impl HttpClient for OnRuntime {
    fn send_bytes<'life, 'async_trait>(
        &'life self,
        request: http::Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life: 'async_trait,
        Self: 'async_trait,
    {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?;
            let mut answer = http::Response::builder().status(response.status());
            if let Some(headers) = answer.headers_mut() {
                headers.clone_from(response.headers());
            }
            Ok::<_, HttpError>(answer.body(response.bytes().await?)?)
        });
        Box::pin(async move { sending.await? })
    }
}

struct InHeaders<'a>(&'a HeaderMap);

impl Extractor for InHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct OutHeaders<'a>(&'a mut HeaderMap);

impl Injector for OutHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<http::HeaderName>(), value.parse()) {
            self.0.insert(name, value);
        }
    }
}

/// Make `span` a child of the caller's, as its headers say.
pub(crate) fn continue_remote(span: &Span, headers: &HeaderMap) {
    adopt_context(span, TraceContextPropagator::new().extract(&InHeaders(headers)));
}

/// Put the current span's context on an outgoing request.
pub(crate) fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut OutHeaders(headers));
}

/// The current span's `traceparent`, to be stored in a row; `None` outside any trace.
pub fn trace_context() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove("traceparent")
}

/// Continue, in `span`, the trace whose `traceparent` a row has kept. Call it before the span is entered; nothing
/// happens where there is none or it is broken.
pub fn adopt(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    adopt_context(span, TraceContextPropagator::new().extract(&carrier));
}

/// Write the trace's id into the span's field `trace.id`, so that log lines and traces can be joined.
pub(crate) fn name_trace(span: &Span) {
    let context = span.context();
    let context = context.span().span_context().clone();
    if context.is_valid() {
        span.record("trace.id", context.trace_id().to_string());
    }
}

fn adopt_context(span: &Span, context: Context) {
    if context.span().span_context().is_valid() {
        // Fails where the span is disabled or no trace layer is installed; then there is nothing to join.
        let _ = span.set_parent(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_stored_traceparent_is_continued_in_the_same_trace() {
        install_quiet();
        let span = tracing::info_span!("work");
        adopt(&span, Some(PARENT));
        let inside = span.in_scope(trace_context).expect("a trace context");
        assert!(
            inside.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
            "{inside}"
        );
        assert_ne!(inside, PARENT, "the span is its own");
    }

    #[test]
    fn a_broken_traceparent_begins_a_new_trace() {
        install_quiet();
        let span = tracing::info_span!("work");
        adopt(&span, Some("rubbish"));
        assert!(span.in_scope(trace_context).is_some());
    }
}
