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
mod operators;
mod outbox;
mod refused;
mod retention;
mod runner;
mod settings;
#[cfg(test)]
mod sim;
mod store;
mod story;
mod untold;
mod update;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Did, PATIENCE_WITH_POSTGRES, ServeError, Shell, StartError};
use common::client::{PlaybookClient, StepClient};
use common::{Service, clock};
use connectors::halopsa::Halo;
use playbook_lang::Rules;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use settings::{DeskSettings, OrchestrationSettings, RunnerSettings};

use crate::accept::Intake;
use crate::ask::StepServices;
use crate::breaker::Breakers;
use crate::committer::Committer;
use crate::desk::Desk;
use crate::drive::Driver;
use crate::library::Library;
use crate::operators::Operators;
use crate::outbox::{Hand, Sender};
use crate::runner::Runner;
use crate::store::{Store, StoreError};

/// Tickets that are told their news at the same time: the help desk's limit is far below what more could use.
const SENDERS: usize = 8;

/// How often executions that have become old are looked for.
const ARCHIVE_EVERY: Duration = Duration::from_mins(10);
/// Should the news of an operator be lost, whoever drives an execution asks this often; the next commit tells it anyway.
const RING_EVERY: Duration = Duration::from_mins(1);

/// Serve until `shutdown`; then give back every lease.
pub async fn serve(
    settings: OrchestrationSettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shell = Shell::start(Service::Orchestration, &settings.base, shutdown).await?;
    let store = Store::new(shell.pool().clone(), shell.tenant().clone());
    let library = Library::new(settings.registry.clone());
    let desk = Arc::new(help_desk(&shell, &settings)?);
    let hand = tell_the_help_desk(&shell, &desk, &store);
    let runner = drive_executions(&shell, &settings, &store, &library, &hand);
    wake_what_is_free(&shell, &store, settings.runner.look_for_free);
    let operators = Operators {
        store: store.clone(),
        library: library.clone(),
        rules: runner.rules(),
        desk,
    };
    let playbooks = PlaybookClient(shell.peer(Service::Playbook.name(), settings.playbook_url));
    let intake = Intake {
        store: store.clone(),
        library,
        playbooks,
        runner,
    };
    let api = http::api(&shell, intake, &operators, store);
    shell.serve(api, listener).await
}

fn help_desk(shell: &Shell, settings: &OrchestrationSettings) -> Result<Desk, StartError> {
    let outside = connectors::http_client().map_err(StartError::Http)?;
    let window = settings
        .halo
        .rate_per_5min
        .map(|limit| shell.rolling_window("halopsa", limit, connectors::WINDOW));
    let halo = Halo::new(settings.halo.clone(), outside, window);
    Ok(Desk::new(halo, settings.desk.clone()))
}

fn drive_executions(
    shell: &Shell,
    settings: &OrchestrationSettings,
    store: &Store,
    library: &Library,
    hand: &Hand,
) -> Arc<Runner> {
    let clients = settings.step_services.iter().map(|(name, url)| {
        let client = StepClient(shell.peer(name.clone(), url.clone()));
        (name.clone(), client)
    });
    let RunnerSettings {
        lease,
        max_in_flight,
        probe,
        note_after,
        longest,
        retention,
        look_for_free: _,
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
        committer: Committer::start(store, hand),
        library: library.clone(),
        services: StepServices::new(clients.collect()),
        breakers: Arc::new(Breakers::new(probe)),
        rules: Arc::new(Rules { longest, probe }),
        note_after,
        bell: hear_operators(shell),
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

/// Ring for whoever drives an execution when an operator did something, and say when it was heard.
fn hear_operators(shell: &Shell) -> watch::Receiver<OffsetDateTime> {
    let (ring, bell) = watch::channel(OffsetDateTime::UNIX_EPOCH);
    let ring = Arc::new(ring);
    let worker = shell.worker("bell", store::OPERATORS).slow_poll(RING_EVERY);
    worker.spawn(move || {
        ring.send_replace(clock::now());
        std::future::ready(Ok::<_, StoreError>(Did::Nothing))
    });
    bell
}

/// Wake what stood still and is held by nothing any more.
fn wake_what_is_free(shell: &Shell, store: &Store, look: Duration) {
    let worker = shell.worker("held", store::OPERATORS).slow_poll(look);
    let store = store.clone();
    worker.patience(PATIENCE_WITH_POSTGRES).spawn(move || {
        let store = store.clone();
        async move {
            match store.wake_free().await? {
                0 => Ok::<_, StoreError>(Did::Nothing),
                _ => Ok(Did::Work),
            }
        }
    });
}

fn tell_the_help_desk(shell: &Shell, desk: &Arc<Desk>, store: &Store) -> Hand {
    let sender = Arc::new(Sender::new(store.clone(), Arc::clone(desk)));
    let (introducing, introduced_to) = (Arc::clone(desk), shell.clone());
    shell.spawn(async move { introducing.introduce(&introduced_to).await });
    let searching = Arc::clone(&sender);
    let outbox = shell.worker("outbox", store::UPDATES).at_once(SENDERS);
    let search = outbox.spawn(move || {
        let sender = Arc::clone(&searching);
        async move { sender.step().await }
    });
    let (hand, taken) = Hand::new(search);
    let stopping = shell.stopping().clone();
    shell.spawn(sender.tell_taken(taken, SENDERS, stopping));
    hand
}
