//! Orchestration: drives playbooks to their end, durably, and tells the help desk what happened.
//!
//! It performs no step itself, opens no sealed credential and judges no permit: a wholly hostile orchestrator could reset
//! nothing. What a playbook means is `playbook-lang`'s affair.

mod accept;
mod ask;
mod breaker;
mod chronicle;
mod committer;
mod desk;
mod drive;
mod facts;
mod house;
mod http;
mod library;
mod manners;
mod outbox;
mod retention;
mod runner;
mod settings;
mod store;
mod story;
mod update;

use std::sync::Arc;
use std::time::Duration;

use chassis::{ServeError, Shell, StartError, Wake};
use common::Service;
use common::client::{PlaybookClient, StepClient};
use connectors::halopsa::Halo;
use playbook_lang::Rules;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use settings::{DeskSettings, OrchestrationSettings, RunnerSettings};

use crate::accept::Intake;
use crate::ask::StepServices;
use crate::breaker::Breakers;
use crate::committer::Committer;
use crate::desk::Desk;
use crate::drive::Driver;
use crate::library::Library;
use crate::outbox::Sender;
use crate::runner::Runner;
use crate::store::Store;

/// Tickets that are told their news at the same time: the help desk's limit is far below what more could use.
const SENDERS: usize = 8;

/// How often executions that have become old are looked for.
const ARCHIVE_EVERY: Duration = Duration::from_mins(10);

/// Serve until `shutdown`; then give back every lease.
pub async fn serve(
    settings: OrchestrationSettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shell = Shell::start(Service::Orchestration, &settings.base, shutdown).await?;
    let store = Store::new(shell.pool().clone(), shell.tenant().clone());
    let library = Library::new(settings.registry.clone());
    let outbox = tell_the_help_desk(&shell, &settings, &store)?;
    let runner = drive_executions(&shell, &settings, &store, &library, &outbox);
    let playbooks = PlaybookClient(shell.peer(Service::Playbook.name(), settings.playbook_url));
    let intake = Intake {
        store: store.clone(),
        library,
        playbooks,
        runner,
    };
    let api = http::api(&shell, intake, store);
    shell.serve(api, listener).await
}

fn drive_executions(
    shell: &Shell,
    settings: &OrchestrationSettings,
    store: &Store,
    library: &Library,
    outbox: &Wake,
) -> Arc<Runner> {
    let clients = settings.step_services.iter().map(|(name, url)| {
        let client = StepClient(shell.peer(name.clone(), url.clone()));
        (name.clone(), client)
    });
    let RunnerSettings {
        lease,
        max_in_flight,
        probe,
        longest,
        retention,
    } = settings.runner.clone();
    if let Some(age) = retention {
        let store = store.clone();
        let worker = shell.worker("retention", store::ARCHIVE).slow_poll(ARCHIVE_EVERY);
        worker.spawn(move || {
            let store = store.clone();
            async move { retention::step(&store, age).await }
        });
    }
    let driver = Driver {
        store: store.clone(),
        committer: Committer::start(store, outbox),
        library: library.clone(),
        services: StepServices::new(clients.collect()),
        breakers: Arc::new(Breakers::new(probe)),
        rules: Arc::new(Rules { longest, probe }),
        abandon: CancellationToken::new(),
    };
    let runner = Arc::new(Runner::new(shell, driver, max_in_flight, lease));
    let (living, stepping) = (Arc::clone(&runner), Arc::clone(&runner));
    shell.spawn(async move { living.live().await });
    let wake = shell.worker("runner", store::EXECUTIONS).spawn(move || {
        let runner = Arc::clone(&stepping);
        async move { runner.step().await }
    });
    runner.woken_by(wake);
    runner
}

fn tell_the_help_desk(
    shell: &Shell,
    settings: &OrchestrationSettings,
    store: &Store,
) -> Result<Wake, StartError> {
    let outside = connectors::http_client().map_err(StartError::Http)?;
    let window = settings
        .halo
        .rate_per_5min
        .map(|limit| shell.rolling_window("halopsa", limit, connectors::WINDOW));
    let halo = Halo::new(settings.halo.clone(), outside, window);
    let desk = Desk::new(halo, settings.desk.clone());
    let sender = Arc::new(Sender::new(store.clone(), desk));
    let (introducing, introduced_to) = (Arc::clone(&sender), shell.clone());
    shell.spawn(async move { introducing.desk().introduce(&introduced_to).await });
    let outbox = shell.worker("outbox", store::UPDATES).at_once(SENDERS);
    Ok(outbox.spawn(move || {
        let sender = Arc::clone(&sender);
        async move { sender.step().await }
    }))
}
