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

use std::sync::Arc;

use chassis::{Api, ServeError, Shell, StartError};
use common::Service;
use common::client::OrchestrationClient;
use connectors::twilio::Twilio;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SealKey;

pub use settings::DeliverySettings;

/// Run the service until `shutdown`.
pub async fn serve(
    settings: DeliverySettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shell = Shell::start(Service::Delivery, &settings.base, shutdown).await?;
    let seal_key = Arc::new(seal_key(&settings).await?);
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
    let statuses = http::Statuses::new(follow, &settings);
    let api = Api::new(&shell)
        .guarded(http::routes(send, store))
        .webhooks(http::webhooks(statuses));
    shell.serve(api, listener).await
}

async fn seal_key(settings: &DeliverySettings) -> Result<SealKey, StartError> {
    let path = &settings.seal_key_file;
    let file = tokio::fs::read(path).await.map_err(|source| StartError::File {
        path: path.clone(),
        source,
    })?;
    let file = zeroize::Zeroizing::new(file);
    SealKey::from_pem(&file).map_err(|source| StartError::Key {
        path: path.clone(),
        source,
    })
}
