//! Where the services' logs go while a person watches something else: into a file, or beside it on stderr.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use chassis::settings::{LogFormat, TelemetrySettings};
use chassis::telemetry::{self, Telemetry};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// What is logged where `RUST_LOG` says nothing.
const FILTER: &str = "info";

/// Send the logs of everything in this process to `file`, or to stderr where none is given.
pub(crate) fn install(file: Option<&Path>) -> anyhow::Result<Telemetry> {
    let settings = TelemetrySettings {
        filter: std::env::var("RUST_LOG").unwrap_or_else(|_| FILTER.to_owned()),
        format: LogFormat::Human,
        otlp_endpoint: std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT")
            .ok()
            .and_then(|url| url.parse().ok()),
    };
    let writer = match file {
        Some(path) => {
            // What an earlier run wrote may be just what somebody is looking for.
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            BoxMakeWriter::new(Arc::new(file))
        }
        None => BoxMakeWriter::new(std::io::stderr),
    };
    Ok(telemetry::install_to(&settings, "firstline", writer, false)?)
}

/// A new file for logs among the temporary ones; whoever asked for it removes it.
pub(crate) fn temporary_file() -> anyhow::Result<PathBuf> {
    let (_, path) = tempfile::Builder::new()
        .prefix("firstline-demo-")
        .suffix(".log")
        .tempfile()
        .and_then(|file| file.keep().map_err(|error| error.error))
        .context("cannot make a file for the logs")?;
    Ok(path)
}
