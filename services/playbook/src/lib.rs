//! Playbooks: keeps every published version word for word, says which one new executions get, and publishes nothing that
//! could act on an unverified person. What a playbook means is `playbook-lang`'s affair; running one is orchestration's.

mod body;
mod earn;
mod http;
mod publish;
mod refused;
mod settings;
mod shelf;
mod shipped;
mod store;

use chassis::{Api, ServeError, Shell, StartError};
use common::Service;
use common::client::ClassifierClient;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use earn::Earning;
use publish::Library;
pub use settings::PlaybookSettings;

/// Run the service until `shutdown`.
///
/// It refuses to start where a shipped playbook has findings: better none than one that was not proven.
pub async fn serve(
    settings: PlaybookSettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shipped = match &settings.playbooks_dir {
        Some(directory) => shipped::read(directory, &settings.registry)
            .await
            .map_err(|refusal| StartError::Own(refusal.to_string()))?,
        None => Vec::new(),
    };
    let shell = Shell::start(Service::Playbook, &settings.base, shutdown).await?;
    let classifier = settings
        .classifier_url
        .map(|url| ClassifierClient(shell.peer(Service::Classifier.name(), url)));
    let library = Library::new(&shell, settings.registry, Earning(classifier));
    shell.spawn(shipped::load(shell.clone(), library.clone(), shipped));

    let api = Api::new(&shell).guarded(http::routes(library));
    shell.serve(api, listener).await
}
