//! The verification service: proves who is asking, by a push to their phone or by their manager's word, and signs a
//! permit for what that allows. It also asks the requester what a playbook wants to know, which proves nothing.
//!
//! Settings -> state -> router -> serve. It acts on nothing in the directory.

pub mod approval;
pub mod approver;
pub mod ask;
pub mod card;
pub mod decide;
pub mod ended;
pub mod facts;
pub mod http;
pub mod inquiry;
pub mod mfa;
pub mod operation;
pub mod patience;
pub mod permit;
pub mod posting;
pub mod press;
pub mod question;
pub mod record;
pub mod renew;
pub mod reply;
mod retention;
pub mod settings;
pub mod sms;
pub mod store;
#[cfg(test)]
mod tests;
pub mod words;
mod work;

use std::sync::Arc;
use std::time::Duration;

use chassis::tripwires::Caution;
use chassis::{ServeError, Shell, StartError, Watched, jwks};
use common::client::OrchestrationClient;
use common::{Service, TenantId};
use connectors::entra::{Entra, mfa::Mfa};
use connectors::teams::Teams;
use connectors::twilio::Twilio;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use trust::Identity;

use settings::Limits;
pub use settings::VerificationSettings;
use sms::Hasher;
use store::{Committer, Queue, Store};

/// Pushes that may be on phones at the same time, of those begun here and of those claimed: each holds a place until the
/// person answers.
const PUSHES_AT_ONCE: usize = 256;
/// Everything else takes a second at most.
const DUTIES_AT_ONCE: usize = 16;
/// How long a service that has stopped tries to take its secret back: it ends by itself half a day later.
const RETIRE_LIMIT: Duration = Duration::from_secs(5);

/// What is known of the bot's callers.
struct Bot {
    app_id: String,
    directory: String,
    keys: jwks::Cache,
}

/// How Twilio's webhooks prove themselves.
struct TwilioWebhook {
    url: String,
    account: String,
    token: SecretString,
}

/// The service: everything its doors and workers stand on. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    tenant: TenantId,
    store: Store,
    committer: Committer,
    entra: Entra,
    mfa: Mfa,
    teams: Teams,
    twilio: Twilio,
    orchestration: OrchestrationClient,
    keys: Watched<Identity>,
    hasher: Hasher,
    limits: Limits,
    caution: Arc<Caution>,
    bot: Arc<Bot>,
    twilio_webhook: Arc<TwilioWebhook>,
    /// Of pushes that are asked at once, without a claim.
    places: Arc<Semaphore>,
    shell: Shell,
    stopping: CancellationToken,
}

impl Verifier {
    fn new(settings: VerificationSettings, shell: &Shell) -> Result<Self, StartError> {
        let outside = connectors::http_client().map_err(StartError::Http)?;
        let tenant = shell.tenant().clone();
        let entra = Entra::new(settings.entra.clone(), outside.clone());
        let webhook = http::twilio::PATH;
        let store = Store::new(
            shell.pool().clone(),
            shell.audit(),
            tenant.clone(),
            settings.tripwires,
        );
        Ok(Self {
            committer: Committer::start(&store),
            store,
            mfa: Mfa::new(&settings.mfa_url, &settings.entra, entra.clone(), outside.clone()),
            entra,
            orchestration: OrchestrationClient(
                shell.peer(Service::Orchestration.name(), settings.orchestration_url),
            ),
            keys: shell.keys().clone(),
            // The token never leaves memory, and a new one only outdates codes that live for minutes.
            hasher: Hasher::new(settings.twilio.auth_token.clone(), tenant.clone()),
            limits: settings.limits,
            caution: Arc::new(settings.caution),
            bot: Arc::new(Bot {
                app_id: settings.teams.app_id.clone(),
                directory: settings.teams.directory_tenant_id.clone(),
                keys: jwks::Cache::new(shell.http().clone(), settings.teams_openid_url),
            }),
            twilio_webhook: Arc::new(TwilioWebhook {
                url: format!("{}{webhook}", settings.public_url.as_str().trim_end_matches('/')),
                account: settings.twilio.account_sid.clone(),
                token: settings.twilio.auth_token.clone(),
            }),
            teams: Teams::new(settings.teams, outside.clone()),
            twilio: Twilio::new(settings.twilio, outside),
            tenant,
            places: Arc::new(Semaphore::new(PUSHES_AT_ONCE)),
            shell: shell.clone(),
            stopping: shell.stopping().clone(),
        })
    }

    fn work(&self, shell: &Shell) {
        for (name, queue, at_once) in [
            ("pushes", Queue::Pushes, PUSHES_AT_ONCE),
            ("duties", Queue::Rest, DUTIES_AT_ONCE),
        ] {
            let verifier = self.clone();
            shell
                .worker(name, store::CHANNEL)
                .at_once(at_once)
                .spawn(move || {
                    let verifier = verifier.clone();
                    async move { verifier.step(queue).await }
                });
        }
    }
}

impl Verifier {
    /// Take the secret of the MFA connector back, once nobody pushes any more.
    async fn retire(&self) {
        match tokio::time::timeout(RETIRE_LIMIT, self.mfa.retire()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %chassis::chain(&error), "the secret of the MFA connector was not removed");
            }
            Err(_) => tracing::warn!("the secret of the MFA connector was not removed in time"),
        }
    }
}

/// Run the service until `shutdown`.
///
/// # Errors
/// A setting that no waiting would mend, or the listener failed.
pub async fn serve(
    settings: VerificationSettings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let shell = Shell::start(Service::Verification, &settings.base, shutdown).await?;
    let age = settings.retention;
    let verifier = Verifier::new(settings, &shell)?;
    verifier.work(&shell);
    if let Some(age) = age {
        retention::keep(&shell, verifier.store.clone(), age);
    }
    let api = http::api(&shell, &verifier);
    shell.serve(api, listener).await?;
    verifier.retire().await;
    Ok(())
}
