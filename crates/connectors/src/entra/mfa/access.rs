//! The connector's secret and token: how we come to hold them, and how they go away again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::clock;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;
use url::Url;

use crate::call::{CallError, Caller, Grant, System, TokenCache, grant, malformed};
use crate::entra::Entra;
use crate::entra::client::{Request, read, refusal};

/// App id of the connector, the same in every tenant.
const CONNECTOR: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";
/// The resource that its tokens are for, the same for every address of the connector.
const RESOURCE: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";
/// How long a secret of ours may be used: half a day, so that one process leaves few of them behind.
const SECRET_LIFE: time::Duration = time::Duration::hours(12);
/// A secret that ends sooner than this is replaced.
const SECRET_EARLY: time::Duration = time::Duration::minutes(30);
/// A fresh secret takes seconds to be known everywhere: once a second, at most this often.
const PROPAGATION_TRIES: u32 = 20;
const PROPAGATION_PAUSE: Duration = Duration::from_secs(1);
/// After this, "invalid client" no longer means "not known yet".
const PROPAGATION: Duration = Duration::from_mins(2);

struct Credential {
    principal: String,
    key_id: String,
    secret: SecretString,
    made: Instant,
    ends: OffsetDateTime,
}

/// Holds the secret, and the token that it buys.
pub(super) struct Access {
    entra: Entra,
    issuer: Caller,
    token_url: Url,
    tokens: TokenCache,
    credential: Mutex<Option<Credential>>,
}

impl Access {
    pub(super) fn new(token_url: Url, entra: Entra, issuer: Caller) -> Self {
        Self {
            entra,
            issuer,
            token_url,
            tokens: TokenCache::new(Duration::from_mins(5)),
            credential: Mutex::new(None),
        }
    }

    /// The token for the connector.
    pub(super) async fn token(&self) -> Result<Arc<SecretString>, CallError> {
        let fetched = self.tokens.token(self.fetch()).await;
        // Nobody has been asked yet, so whatever went wrong here, nothing happened to the person.
        fetched.map_err(|error| match error {
            CallError::Unknown { system, source } => CallError::Busy {
                system,
                detail: source.to_string(),
                retry_after: None,
            },
            other => other,
        })
    }

    pub(super) async fn forget(&self, token: &Arc<SecretString>) {
        self.tokens.forget(token).await;
    }

    pub(super) async fn retire(&self) -> Result<(), CallError> {
        let credential = self.credential.lock().await.take();
        match credential {
            Some(credential) => self.remove(&credential).await,
            None => Ok(()),
        }
    }

    async fn fetch(&self) -> Result<Grant, CallError> {
        let mut credential = self.credential.lock().await;
        let soon = clock::now() + SECRET_EARLY;
        if credential
            .as_ref()
            .is_none_or(|credential| credential.ends <= soon)
        {
            self.replace(&mut credential).await?;
        }
        match self.buy(credential.as_ref()).await {
            // An old secret that is not accepted any more was taken away by somebody: one new one.
            Err(error) if error.is_refused("invalid_client") => {
                let old = credential
                    .as_ref()
                    .is_some_and(|held| held.made.elapsed() > PROPAGATION);
                if !old {
                    return Err(error);
                }
                self.replace(&mut credential).await?;
                self.buy(credential.as_ref()).await
            }
            bought => bought,
        }
    }

    /// Buy a token with the secret, patiently while the secret is fresh.
    async fn buy(&self, credential: Option<&Credential>) -> Result<Grant, CallError> {
        let Some(credential) = credential else {
            return Err(CallError::refused(
                System::Mfa,
                "mfa_setup",
                "there is no secret for the MFA connector",
            ));
        };
        let form = [
            ("resource", RESOURCE),
            ("client_id", CONNECTOR),
            ("client_secret", credential.secret.expose_secret()),
            ("grant_type", "client_credentials"),
            ("scope", "openid"),
        ];
        let mut tries = 1;
        loop {
            match grant(&self.issuer, &self.token_url, &form).await {
                Err(error)
                    if error.is_refused("invalid_client")
                        && tries < PROPAGATION_TRIES
                        && credential.made.elapsed() < PROPAGATION =>
                {
                    tries += 1;
                    tokio::time::sleep(PROPAGATION_PAUSE).await;
                }
                granted => return granted,
            }
        }
    }

    async fn replace(&self, held: &mut Option<Credential>) -> Result<(), CallError> {
        let principal = self.principal().await?;
        let old = held.replace(self.add(principal).await?);
        if let Some(old) = old
            && let Err(error) = self.remove(&old).await
        {
            tracing::warn!(%error, "an old secret of the MFA connector could not be removed; it ends by itself");
        }
        Ok(())
    }

    /// Object id of the connector's service principal in the tenant, made where it is missing.
    async fn principal(&self) -> Result<String, CallError> {
        let filter = format!("appId eq '{CONNECTOR}'");
        let query = [("$filter", filter.as_str()), ("$select", "id,appId")];
        let request = Request::get("connector", &["servicePrincipals"]).with(&query);
        let found: Option<Vec<Principal>> = self.entra.graph().list(request, 1).await?;
        let found = found
            .unwrap_or_default()
            .into_iter()
            .find(|principal| principal.app_id == CONNECTOR);
        if let Some(principal) = found {
            return Ok(principal.id);
        }
        let body = json!({ "appId": CONNECTOR });
        let answer = self
            .entra
            .graph()
            .send(Request::post("add_connector", &["servicePrincipals"], &body))
            .await?;
        read::<Principal>(&answer).map(|principal| principal.id)
    }

    async fn add(&self, principal: String) -> Result<Credential, CallError> {
        let now = clock::now();
        let ends = now + SECRET_LIFE;
        let text = |at: OffsetDateTime| {
            at.replace_nanosecond(0)
                .unwrap_or(at)
                .format(&Rfc3339)
                .unwrap_or_default()
        };
        let body = json!({ "passwordCredential": {
            "displayName": "firstline mfa push",
            // Clocks differ: a start in the past is valid everywhere.
            "startDateTime": text(now - time::Duration::minutes(5)),
            "endDateTime": text(ends),
        }});
        let path = ["servicePrincipals", principal.as_str(), "addPassword"];
        let answer = self
            .entra
            .graph()
            .send(Request::post("add_secret", &path, &body))
            .await?;
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) {
            let detail =
                "the tenant's app management policy, or a missing permission, forbids the connector's secret";
            return Err(CallError::refused(System::Mfa, "mfa_setup", detail));
        }
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        let added: Added = answer.json().map_err(|error| malformed(System::Entra, error))?;
        Ok(Credential {
            principal,
            key_id: added.key_id,
            secret: added.secret_text,
            made: Instant::now(),
            ends,
        })
    }

    async fn remove(&self, credential: &Credential) -> Result<(), CallError> {
        let path = [
            "servicePrincipals",
            credential.principal.as_str(),
            "removePassword",
        ];
        let body = json!({ "keyId": credential.key_id });
        let answer = self
            .entra
            .graph()
            .send(Request::post("remove_secret", &path, &body))
            .await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            Ok(())
        } else {
            Err(refusal(&answer))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Principal {
    id: String,
    #[serde(default)]
    app_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    key_id: String,
    secret_text: SecretString,
}
