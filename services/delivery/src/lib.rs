//! Delivery: brings a credential to its owner. The only one who opens what the executor sealed; sends it once, forgets
//! it, and tells how far it got. It chooses no destination: that lies inside the seal.

mod callbacks;
mod follow;
mod http;
mod refusal;
mod send;
mod settings;
mod store;
mod text;
mod verdict;

use chassis::{Api, KeyFile, ServeError, Shell, StartError, Watched};
use common::Service;
use common::client::OrchestrationClient;
use connectors::twilio::Twilio;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SealKey;
use zeroize::Zeroizing;

pub use settings::DeliverySettings;

/// Run the service until `shutdown`.
pub async fn serve(
    settings: DeliverySettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shell = Shell::start(Service::Delivery, &settings.base, shutdown).await?;
    let seal_key = seal_key(&shell, &settings).await?;
    let outside = connectors::http_client().map_err(StartError::Http)?;
    let twilio = Twilio::new(settings.twilio.clone(), outside);
    let store = store::Store::new(&shell);
    let orchestration = OrchestrationClient(shell.peer("orchestration", settings.orchestration_url.clone()));

    let follow = follow::Follow::new(&shell, store.clone(), twilio.clone(), orchestration);
    let following = follow.clone();
    let wake = shell
        .worker("deliveries", store::CHANNEL)
        .at_once(4)
        .spawn(move || {
            let follow = following.clone();
            async move { follow.step().await }
        });
    follow.woken_by(wake);

    let send = send::Sender::new(&shell, store.clone(), twilio, seal_key, follow.clone(), &settings);
    let statuses = http::Statuses::new(follow, &settings, shell.refusals().clone());
    let api = Api::new(&shell)
        .guarded(http::routes(send, store))
        .webhooks(http::webhooks(statuses));
    shell.serve(api, listener).await
}

async fn seal_key(shell: &Shell, settings: &DeliverySettings) -> Result<Watched<SealKey>, StartError> {
    let path = settings.seal_key_file.clone();
    let files = vec![KeyFile::secret(&path)];
    let parse = move |contents: &[Zeroizing<Vec<u8>>]| {
        let file = contents.first().map_or(&[][..], |file| file);
        SealKey::from_pem(file).map_err(StartError::unfit(&path))
    };
    shell.watch("seal_key", files, parse).await
}
