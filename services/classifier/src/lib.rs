//! The classifier: takes in what the help desk tells of its tickets, and decides for each whether it may be automated.
//!
//! It acts on nothing but the ticket's custom fields, and it never decides in favour where anything is unknown.

pub mod admission;
pub mod classify;
pub mod considered;
pub mod decide;
pub mod embedded;
pub mod explain;
pub mod facts;
mod gate;
mod gather;
mod http;
mod intake;
mod mark;
pub mod modes;
mod poll;
pub mod replay;
mod retention;
#[cfg(test)]
mod samples;
mod settings;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::{ServeError, Settings as _, Shell, StartError};
use common::Service;
use common::client::{OrchestrationClient, PlaybookClient};
use connectors::entra::Entra;
use connectors::halopsa::Halo;
use connectors::openai::Chat;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use triage::stated::ModelCalibration;

use crate::classify::{Classify, LanguageModel, Seconded};
use crate::embedded::Embedded;
use crate::gate::Gate;
use crate::gather::Sources;
use crate::intake::Intake;
use crate::mark::Marker;
use crate::modes::Modes;
use crate::modes::approver::Approvers;
use crate::modes::offer::Offers;
use crate::modes::truth::Truth;
use crate::poll::Poller;
pub use crate::settings::{ClassifierSettings, Model, Telling};
use crate::store::Store;

/// Tickets judged at the same time, of those claimed: each waits for others most of its time.
const AT_ONCE: usize = 16;
/// Safety net, should a notification get lost.
const SLOW_POLL: Duration = Duration::from_secs(5);
/// Who reads texts: the embedded classifier, or a language model with it beside, and what the model's number is worth.
fn reader(embedded: Embedded, model: Option<(Chat, Option<Arc<ModelCalibration>>)>) -> Arc<dyn Classify> {
    match model {
        Some((chat, calibration)) => {
            let first = LanguageModel::new(chat);
            Arc::new(Seconded::new(first, embedded, calibration))
        }
        None => Arc::new(embedded),
    }
}

/// How often old events are looked for.
const ARCHIVE_EVERY: Duration = Duration::from_mins(10);

/// Run the service until `shutdown`.
///
/// # Errors
/// It cannot start, or its listener failed.
pub async fn serve(
    settings: ClassifierSettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shell = Shell::start(Service::Classifier, settings.base(), shutdown).await?;
    let http = connectors::http_client().map_err(StartError::Http)?;
    let window = settings
        .halo
        .rate_per_5min
        .map(|limit| shell.rolling_window("halopsa", limit, connectors::WINDOW));
    let halo = Halo::new(settings.halo.clone(), http.clone(), window);
    let store = Store::new(&shell, settings.tripwires);
    let marker = Marker::new(halo.clone(), settings.fields.clone());
    let model = settings.model.as_ref().map(|model| {
        let chat = Chat::new(model.chat.clone(), http.clone());
        (chat, model.calibration.clone())
    });
    let classifier = reader(settings.embedded.clone(), model);
    let sources = Sources {
        halo: halo.clone(),
        entra: Entra::new(settings.entra.clone(), http),
        classifier,
        playbooks: PlaybookClient(shell.peer(Service::Playbook.name(), settings.playbook_url.clone())),
        executions: OrchestrationClient(
            shell.peer(Service::Orchestration.name(), settings.orchestration_url.clone()),
        ),
        own_agent: settings.own_agent,
        ticket_types: settings.ticket_types.clone().into(),
        tenant: shell.tenant().clone(),
        caution: Arc::new(settings.caution.clone()),
    };
    let modes = Modes::new(
        store.clone(),
        settings.default_mode,
        settings.public_url.is_some(),
    );
    let offers = Offers {
        store: store.clone(),
        halo: halo.clone(),
        outcome: settings.outcome_note.clone(),
        public_url: settings.public_url.clone(),
    };
    let truth = Truth {
        store: store.clone(),
        halo: halo.clone(),
        playbooks: sources.playbooks.clone(),
        reader: Arc::new(settings.embedded.clone()),
        own_agent: settings.own_agent,
        modes: modes.clone(),
    };
    let playbooks = sources.playbooks.clone();
    let gate = Gate::new(
        store.clone(),
        sources,
        marker.clone(),
        (modes.clone(), offers),
        settings.threshold,
        settings.patience,
        &shell,
    );
    // Beside the start: until it is done, tickets wait the half second that it takes.
    let _warming = tokio::task::spawn_blocking(warm_up);
    shell.spawn(mark::check_fields(
        marker,
        shell.readiness().clone(),
        shell.stopping().clone(),
    ));
    run_gate(&shell, &gate);
    run_truth(&shell, truth);
    run_poller(&shell, Poller::new(store.clone(), halo, settings.poll_interval));
    if let Some(age) = settings.retention {
        run_retention(&shell, store.clone(), age);
    }
    let (auth, refusals) = (settings.webhook.clone(), shell.refusals().clone());
    let intake = Intake::new(store.clone(), gate.clone(), auth, refusals, settings.own_agent);
    let approvers = Approvers {
        shell: shell.clone(),
        wanted: settings.approver,
    };
    let api = http::api(&shell, gate, intake, store, modes, playbooks, approvers);
    shell.serve(api, listener).await
}

/// Load the embedded classifier, and say how long that took.
fn warm_up() {
    let began = Instant::now();
    embedded::warm_up();
    tracing::info!(
        took_s = began.elapsed().as_secs_f64(),
        "the embedded classifier is loaded"
    );
}

fn run_gate(shell: &Shell, gate: &Gate) {
    let worker = shell
        .worker("gate", store::CHANNEL)
        .slow_poll(SLOW_POLL)
        .at_once(AT_ONCE);
    let working = gate.clone();
    let wake = worker.spawn(move || {
        let gate = working.clone();
        async move { gate.step().await }
    });
    gate.woken_by(wake);
}

fn run_truth(shell: &Shell, truth: Truth) {
    shell
        .worker("truth", store::WATCH_CHANNEL)
        .slow_poll(SLOW_POLL)
        .spawn(move || {
            let truth = truth.clone();
            async move { truth.step().await }
        });
}

fn run_poller(shell: &Shell, poller: Poller) {
    shell
        .worker("poll", store::POLL_CHANNEL)
        .slow_poll(SLOW_POLL)
        .spawn(move || {
            let poller = poller.clone();
            async move { poller.step().await }
        });
}

fn run_retention(shell: &Shell, store: Store, age: Duration) {
    shell
        .worker("retention", store::ARCHIVE_CHANNEL)
        .slow_poll(ARCHIVE_EVERY)
        .spawn(move || {
            let store = store.clone();
            async move { retention::step(&store, age).await }
        });
}
