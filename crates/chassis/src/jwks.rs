//! Keys of a token issuer: discovery document, then its JWKS, cached; RS256 and nothing else.
//!
//! Used for the tokens of people (OpenID Connect) and of the Bot Framework.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::Url;

/// How long keys are believed, as Microsoft's guidance says.
const KEEP: Duration = Duration::from_hours(24);
/// An unknown `kid` makes us look again, but a stream of made-up ones must not become a stream of calls.
const UNKNOWN_KID_PAUSE: Duration = Duration::from_hours(1);
/// Clocks of the world are allowed to differ by this much.
const LEEWAY_S: u64 = 60;
/// Longest answer read from an issuer.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is malformed, expired, for somebody else, by somebody else, or its signature is wrong.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// The issuer cannot be asked for its keys at the moment. Not the caller's fault: ask again later.
    #[error("the issuer's keys cannot be read: {0}")]
    IssuerAway(String),
}

/// What a believable token says of itself.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// Allowed `iss`; where empty, the one of the discovery document.
    pub issuers: &'a [&'a str],
    /// Our `aud`.
    pub audience: &'a str,
}

/// A token that was believed.
#[derive(Debug, Clone)]
pub struct Verified<C> {
    /// Its claims.
    pub claims: C,
    /// `endorsements` of the key that signed it (Bot Framework); empty where the issuer has none.
    pub endorsements: Vec<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: Url,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    kid: Option<String>,
    kty: String,
    n: Option<String>,
    e: Option<String>,
    #[serde(default)]
    endorsements: Vec<String>,
}

struct Key {
    decoding: DecodingKey,
    endorsements: Vec<String>,
}

struct Keys {
    issuer: String,
    by_kid: HashMap<String, Arc<Key>>,
    read_at: Instant,
}

/// Keys of one issuer. Share it in an `Arc`.
pub struct Cache {
    http: reqwest::Client,
    discovery: Url,
    unknown_kid_pause: Duration,
    keys: Mutex<Option<Keys>>,
}

impl Cache {
    /// Keys of the issuer whose discovery document lies at `discovery`. Nothing is read yet.
    pub fn new(http: reqwest::Client, discovery: Url) -> Self {
        Self {
            http,
            discovery,
            unknown_kid_pause: UNKNOWN_KID_PAUSE,
            keys: Mutex::new(None),
        }
    }

    /// Look again for unknown keys after `pause` (an hour where nothing is said).
    pub fn unknown_kid_pause(mut self, pause: Duration) -> Self {
        self.unknown_kid_pause = pause;
        self
    }

    /// Check signature, `iss`, `aud`, `exp` and `nbf` of `token`, all of which must be there but `nbf`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<Verified<C>, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(invalid)?;
        if header.alg != Algorithm::RS256 {
            return Err(TokenError::Invalid(format!(
                "{:?} is not allowed, only RS256",
                header.alg
            )));
        }
        let kid = header
            .kid
            .ok_or_else(|| TokenError::Invalid("it names no key (`kid`)".into()))?;
        let (key, issuer) = self.key(&kid).await?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_audience(&[expected.audience]);
        if expected.issuers.is_empty() {
            validation.set_issuer(&[issuer]);
        } else {
            validation.set_issuer(expected.issuers);
        }
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let data = jsonwebtoken::decode::<C>(token, &key.decoding, &validation).map_err(invalid)?;
        Ok(Verified {
            claims: data.claims,
            endorsements: key.endorsements.clone(),
        })
    }

    async fn key(&self, kid: &str) -> Result<(Arc<Key>, String), TokenError> {
        // Held across the read on purpose: a burst of callers asks the issuer once.
        let mut keys = self.keys.lock().await;
        if let Some(known) = keys.as_ref() {
            let age = known.read_at.elapsed();
            match known.by_kid.get(kid) {
                Some(key) if age < KEEP => return Ok((Arc::clone(key), known.issuer.clone())),
                None if age < self.unknown_kid_pause => return Err(unknown_kid()),
                _ => {}
            }
        }
        let read = self.read().await?;
        let found = read
            .by_kid
            .get(kid)
            .map(|key| (Arc::clone(key), read.issuer.clone()));
        *keys = Some(read);
        found.ok_or_else(unknown_kid)
    }

    async fn read(&self) -> Result<Keys, TokenError> {
        let discovery: Discovery = self.document(self.discovery.clone()).await?;
        let set: KeySet = self.document(discovery.jwks_uri).await?;
        let by_kid = set.keys.into_iter().filter_map(usable).collect();
        Ok(Keys {
            issuer: discovery.issuer,
            by_kid,
            read_at: Instant::now(),
        })
    }

    async fn document<T: DeserializeOwned>(&self, url: Url) -> Result<T, TokenError> {
        let away = |detail: String| TokenError::IssuerAway(format!("{url}: {detail}"));
        let response = self.http.get(url.clone()).send().await;
        let mut response = response
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| away(crate::chain(&error.without_url())))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| away(error.to_string()))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_DOCUMENT_BYTES {
                return Err(away("the document is too long".into()));
            }
        }
        serde_json::from_slice(&body).map_err(|error| away(error.to_string()))
    }
}

fn invalid(error: jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid(error.to_string())
}

fn unknown_kid() -> TokenError {
    TokenError::Invalid("it is signed by a key that the issuer does not publish".into())
}

fn usable(raw: RawKey) -> Option<(String, Arc<Key>)> {
    let RawKey {
        kid: Some(kid),
        kty,
        n: Some(n),
        e: Some(e),
        endorsements,
    } = raw
    else {
        return None;
    };
    if kty != "RSA" {
        return None;
    }
    let decoding = DecodingKey::from_rsa_components(&n, &e).ok()?;
    Some((
        kid,
        Arc::new(Key {
            decoding,
            endorsements,
        }),
    ))
}
