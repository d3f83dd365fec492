//! The executor: acts on the directory, given proof. It decides nothing, asks nobody and sends nothing: it checks the
//! permit, writes what it is about to do, does it once, and hands the result on sealed. What it did it can take back.

mod act;
mod eligibility;
mod http;
mod leftovers;
mod observed;
mod refusal;
mod reset;
mod settings;
mod store;
mod undo;

use chassis::{Api, KeyFile, ServeError, Shell, StartError, Watched};
use common::Service;
use connectors::entra::Entra;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SealPublicKey;
use zeroize::Zeroizing;

pub use settings::ExecutorSettings;

/// Run the service until `shutdown`.
pub async fn serve(
    settings: ExecutorSettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shell = Shell::start(Service::Executor, &settings.base, shutdown).await?;
    let seal_to = seal_key(&shell, &settings).await?;
    let outside = connectors::http_client().map_err(StartError::Http)?;
    let limits = store::Limits::new(settings.tripwires, settings.entra.client_secret.clone());
    let entra = Entra::new(settings.entra, outside);
    let store = store::Store::new(
        shell.pool().clone(),
        shell.tenant().clone(),
        shell.audit(),
        limits,
    );
    let deletion = undo::PassDeletion::new(&shell, store.clone(), entra.clone());
    let reset = reset::Reset::new(&shell, store, entra, seal_to, settings.caution);
    let api = Api::new(&shell).guarded(http::routes(reset, deletion));
    shell.serve(api, listener).await
}

async fn seal_key(shell: &Shell, settings: &ExecutorSettings) -> Result<Watched<SealPublicKey>, StartError> {
    let path = settings.seal_public_key_file.clone();
    let files = vec![KeyFile::public(&path)];
    let parse = move |contents: &[Zeroizing<Vec<u8>>]| {
        let file = contents.first().map_or(&[][..], |file| file);
        SealPublicKey::from_pem(file).map_err(StartError::unfit(&path))
    };
    shell.watch("seal_key", files, parse).await
}
