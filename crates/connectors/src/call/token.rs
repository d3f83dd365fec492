//! Access tokens: got once, kept until shortly before their end, renewed by one caller at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;
use url::Url;

use super::send::{Answer, Call, Caller, Repeat};
use super::wire::unreadable;
use super::{CallError, System};

/// The longest that a token is kept, whatever its issuer says.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// How long an issuer that did not answer is not asked again.
const AWAY: Duration = Duration::from_secs(1);

/// A token and how long it lives.
pub(crate) struct Grant {
    pub(crate) token: SecretString,
    pub(crate) life: Duration,
}

struct Held {
    token: Arc<SecretString>,
    renew_at: Instant,
    ends_at: Instant,
}

/// The issuer did not answer a moment ago.
struct Away {
    until: Instant,
    system: System,
    detail: String,
    retry_after: Option<Duration>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    away: Option<Away>,
}

impl State {
    /// What can be said without asking the issuer.
    fn known(&self, now: Instant) -> Option<Result<Arc<SecretString>, CallError>> {
        let away = self.away.as_ref().filter(|away| now < away.until);
        match (&self.held, away) {
            (Some(held), _) if now < held.renew_at => Some(Ok(Arc::clone(&held.token))),
            // Renewed early exactly for this: the old one serves while its issuer is away.
            (Some(held), Some(_)) if now < held.ends_at => Some(Ok(Arc::clone(&held.token))),
            // Whoever queued behind a failed renewal would only fail as slowly.
            (_, Some(away)) => Some(Err(CallError::Busy {
                system: away.system,
                detail: away.detail.clone(),
                retry_after: away.retry_after,
            })),
            (_, None) => None,
        }
    }
}

/// One cached token. The lock is held while renewing, on purpose: where a new token invalidates the one before, two
/// callers that renew at once would keep locking each other out.
pub(crate) struct TokenCache {
    early: Duration,
    state: Mutex<State>,
}

impl TokenCache {
    /// `early`: how long before its end a token is renewed (at most half its life).
    pub(crate) fn new(early: Duration) -> Self {
        Self {
            early,
            state: Mutex::default(),
        }
    }

    /// The cached token, or the one that `fetch` brings.
    pub(crate) async fn token(
        &self,
        fetch: impl Future<Output = Result<Grant, CallError>>,
    ) -> Result<Arc<SecretString>, CallError> {
        let mut state = self.state.lock().await;
        if let Some(known) = state.known(Instant::now()) {
            return known;
        }
        let fetched = fetch.await;
        let now = Instant::now();
        match fetched {
            Ok(grant) => {
                let token = Arc::new(grant.token);
                // A life beyond a day is renewed daily all the same: no clock overflows on what an issuer claims.
                let life = grant.life.min(LONGEST_LIFE);
                state.away = None;
                state.held = Some(Held {
                    token: Arc::clone(&token),
                    renew_at: now + life.saturating_sub(self.early.min(life / 2)),
                    ends_at: now + life,
                });
                Ok(token)
            }
            Err(CallError::Busy {
                system,
                detail,
                retry_after,
            }) => {
                let error = CallError::Busy {
                    system,
                    detail: detail.clone(),
                    retry_after,
                };
                state.away = Some(Away {
                    until: now + AWAY,
                    system,
                    detail,
                    retry_after,
                });
                state.known(now).unwrap_or(Err(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Drop `token`, unless somebody has renewed it already.
    pub(crate) async fn forget(&self, token: &Arc<SecretString>) {
        let mut state = self.state.lock().await;
        if state
            .held
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(&held.token, token))
        {
            state.held = None;
        }
    }
}

/// A client that gets its tokens by OAuth 2.0 client credentials and sends calls with them.
pub(crate) struct Authorized {
    pub(crate) caller: Caller,
    issuer: Caller,
    token_url: Url,
    form: Vec<(&'static str, SecretString)>,
    cache: TokenCache,
}

impl Authorized {
    /// `form` is the token request, secret included; `issuer` is who answers it.
    pub(crate) fn new(
        caller: Caller,
        issuer: System,
        token_url: Url,
        form: Vec<(&'static str, SecretString)>,
        early: Duration,
    ) -> Self {
        Self {
            issuer: Caller::new(issuer, caller.http.clone()),
            caller,
            token_url,
            form,
            cache: TokenCache::new(early),
        }
    }

    async fn fetch(&self) -> Result<Grant, CallError> {
        let form: Vec<(&str, &str)> = self
            .form
            .iter()
            .map(|(name, value)| (*name, value.expose_secret()))
            .collect();
        grant(&self.issuer, &self.token_url, &form).await
    }

    /// Send with a token; on 401 once more with a new one. A second 401 is a fault of the set-up.
    pub(crate) async fn call(&self, make: impl Fn() -> Call) -> Result<Answer, CallError> {
        let token = self.cache.token(self.fetch()).await?;
        let answer = self.caller.call(make().bearer(&token)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.cache.forget(&token).await;
        let token = self.cache.token(self.fetch()).await?;
        let answer = self.caller.call(make().bearer(&token)).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let detail = "it does not accept the token that it was given for us";
            return Err(CallError::refused(self.caller.system, "unauthorized", detail));
        }
        Ok(answer)
    }
}

/// Ask for a token. Only ever [`CallError::Refused`] or [`CallError::Busy`]: asking changes nothing.
pub(crate) async fn grant(issuer: &Caller, url: &Url, form: &[(&str, &str)]) -> Result<Grant, CallError> {
    let builder = issuer
        .http
        .post(url.clone())
        .header(http::header::ACCEPT, "application/json")
        .form(form);
    let call = Call::new("token", Repeat::Safe, builder).within(Duration::from_secs(8));
    let answer = issuer.call(call).await?;
    if !answer.status.is_success() {
        return Err(token_refused(issuer.system, &answer));
    }
    let granted: Granted = answer
        .json()
        .map_err(|malformed| unreadable(issuer.system, malformed))?;
    Ok(Grant {
        token: granted.access_token,
        life: Duration::from_secs(granted.expires_in),
    })
}

fn token_refused(system: System, answer: &Answer) -> CallError {
    let body: OAuthError = answer.json().unwrap_or_default();
    let code = body
        .error
        .unwrap_or_else(|| format!("http_{}", answer.status.as_u16()));
    let numbers: Vec<String> = body
        .error_codes
        .iter()
        .map(|number| format!("AADSTS{number}"))
        .collect();
    let detail = if numbers.is_empty() {
        "no token was given: check client id, secret and tenant".to_owned()
    } else {
        format!("no token was given: {}", numbers.join(", "))
    };
    CallError::refused(system, code, detail)
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    /// Seconds; Entra's v1 endpoint writes a string.
    #[serde(deserialize_with = "number_or_text")]
    expires_in: u64,
}

#[derive(Deserialize, Default)]
struct OAuthError {
    error: Option<String>,
    #[serde(default)]
    error_codes: Vec<i64>,
}

fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}
