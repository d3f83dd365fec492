//! The life of a service's process: settings, telemetry, listener, signals, flush.

use std::io::Write as _;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::settings::{self, Settings};
use crate::shell::ServeError;
use crate::{chain, telemetry};

/// Exit code for settings or arguments that are bad.
const BAD_USAGE: u8 = 2;

/// Run `serve` as this process: `--help` and `--version` answer and end; bad settings are all named on stderr (exit
/// code 2, as for files that they name and that are not fit for use); SIGTERM and SIGINT stop it gracefully.
pub fn main<S, F, Fut>(serve: F) -> ExitCode
where
    S: Settings,
    F: FnOnce(S, TcpListener, CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), ServeError>>,
{
    if let Some(code) = answer_arguments::<S>() {
        return code;
    }
    let settings = match settings::from_environment::<S>() {
        Ok(settings) => settings,
        Err(errors) => {
            complain(&format!("{}: bad settings (see --help)\n{errors}\n", S::SERVICE));
            return ExitCode::from(BAD_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail::<S>(&error),
    };
    runtime.block_on(run(settings, serve))
}

async fn run<S, F, Fut>(settings: S, serve: F) -> ExitCode
where
    S: Settings,
    F: FnOnce(S, TcpListener, CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), ServeError>>,
{
    let telemetry = match telemetry::install(&settings.base().telemetry, S::SERVICE.name()) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail::<S>(&error),
    };
    let shutdown = CancellationToken::new();
    let code = match (
        TcpListener::bind(settings.base().listen_addr).await,
        signals(&shutdown),
    ) {
        (Ok(listener), Ok(())) => match serve(settings, listener, shutdown).await {
            Ok(()) => ExitCode::SUCCESS,
            // What a setting names is not fit for use: nothing gets better by starting again.
            Err(error @ ServeError::Start(_)) => {
                fail::<S>(&error);
                ExitCode::from(BAD_USAGE)
            }
            Err(error @ ServeError::Listener(_)) => fail::<S>(&error),
        },
        (Err(error), _) | (_, Err(error)) => fail::<S>(&error),
    };
    // Blocking, and on purpose the very last thing.
    let _ = tokio::task::spawn_blocking(move || telemetry.flush()).await;
    code
}

fn signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop; finishing what is under way");
        shutdown.cancel();
    });
    Ok(())
}

fn answer_arguments<S: Settings>() -> Option<ExitCode> {
    let argument = std::env::args().nth(1)?;
    let answer = match argument.as_str() {
        "--help" | "-h" => settings::help::<S>(),
        "--version" | "-V" => format!("{} {}\n", S::SERVICE, env!("CARGO_PKG_VERSION")),
        other => {
            complain(&format!(
                "{}: `{other}` is not known; settings come from the environment, see --help\n",
                S::SERVICE
            ));
            return Some(ExitCode::from(BAD_USAGE));
        }
    };
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().write_all(answer.as_bytes());
    Some(ExitCode::SUCCESS)
}

fn fail<S: Settings>(error: &dyn std::error::Error) -> ExitCode {
    complain(&format!("{}: {}\n", S::SERVICE, chain(error)));
    ExitCode::FAILURE
}

fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
