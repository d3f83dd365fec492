//! Keys of a token issuer: discovery document, then its JWKS, cached; RS256 and nothing else.
//!
//! Used for the tokens of people (OpenID Connect) and of the Bot Framework.

mod flaw;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use common::clock;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use url::Url;

pub use flaw::Flaw;

/// How long keys are believed, as Microsoft's guidance says.
const KEEP: Duration = Duration::from_hours(24);
/// An unknown `kid` makes us look again, but a stream of made-up ones must not become a stream of calls.
const UNKNOWN_KID_PAUSE: Duration = Duration::from_hours(1);
/// An issuer that did not answer is left alone for this long.
const AWAY_PAUSE: Duration = Duration::from_secs(5);
/// Clocks of the world may differ by this much, where an issuer does not say otherwise.
pub const LEEWAY: Duration = Duration::from_mins(1);
/// Entra's tokens with 200 groups in them have some 10 KB, and proxies take no more than 16.
const LONGEST_BYTES: usize = 16 * 1024;
/// Longest answer read from an issuer.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is malformed, expired, for somebody else, by somebody else, or its signature is wrong.
    #[error("the token is not valid: {0}")]
    Invalid(Flaw),
    /// The issuer cannot be asked for its keys at the moment. Not the caller's fault: ask again later.
    #[error("the issuer's keys cannot be read: {0}")]
    IssuerAway(String),
}

/// What a believable token says of itself.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// Allowed `iss`; where empty, the one of the discovery document.
    pub issuers: &'a [&'a str],
    /// Our `aud`, compared without case: Microsoft writes GUIDs either way.
    pub audience: &'a str,
    /// How far the issuer's clock may be off, both ways; see [`LEEWAY`].
    pub leeway: Duration,
}

/// A token that was believed.
#[derive(Debug, Clone)]
pub struct Verified<C> {
    /// Its claims.
    pub claims: C,
    /// The key that signed it.
    pub kid: String,
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
    keys: RwLock<Option<Keys>>,
    /// Held while the issuer is asked, so that a burst of callers asks once. When and why it did not answer last.
    reading: Mutex<Option<(Instant, String)>>,
}

impl Cache {
    /// Keys of the issuer whose discovery document lies at `discovery`. Nothing is read yet.
    pub fn new(http: reqwest::Client, discovery: Url) -> Self {
        Self {
            http,
            discovery,
            keys: RwLock::default(),
            reading: Mutex::default(),
        }
    }

    /// Check signature, `iss`, `aud`, `exp`, `nbf` and `iat` of `token`, all of which must be there but the last two.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<Verified<C>, TokenError> {
        self.verify_at(token, expected, Instant::now()).await
    }

    /// `now` is about how old our keys are; the token's times are held against the fleet's clock.
    async fn verify_at<C: DeserializeOwned>(
        &self,
        token: &str,
        expected: &Expected<'_>,
        now: Instant,
    ) -> Result<Verified<C>, TokenError> {
        if token.len() > LONGEST_BYTES {
            return Err(TokenError::Invalid(Flaw::TooLong));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid(Flaw::Malformed))?;
        if header.alg != Algorithm::RS256 {
            return Err(TokenError::Invalid(Flaw::Algorithm));
        }
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11: whoever does not understand an extension that counts must refuse.
            return Err(TokenError::Invalid(Flaw::Extensions));
        }
        let kid = header.kid.ok_or(TokenError::Invalid(Flaw::NoKey))?;
        let (key, issuer) = self.key(&kid, now).await?;
        let mut validation = Validation::new(Algorithm::RS256);
        // Done below, by the fleet's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false; // done below, without case
        if expected.issuers.is_empty() {
            validation.set_issuer(&[issuer]);
        } else {
            validation.set_issuer(expected.issuers);
        }
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let data = jsonwebtoken::decode::<UniqueClaims>(token, &key.decoding, &validation)
            .map_err(|error| TokenError::Invalid(Flaw::of(&error)))?;
        let claims = Value::Object(data.claims.0);
        in_time(&claims, clock::now(), expected.leeway)?;
        if !is_for(expected.audience, &claims) {
            return Err(TokenError::Invalid(Flaw::Audience));
        }
        let claims = serde_json::from_value(claims)
            .map_err(|error| TokenError::Invalid(Flaw::Claims(error.to_string())))?;
        Ok(Verified {
            claims,
            kid,
            endorsements: key.endorsements.clone(),
        })
    }

    /// Whoever shows a key that we know waits for nobody, and least of all for an issuer that is asked about a made-up one.
    async fn key(&self, kid: &str, now: Instant) -> Result<(Arc<Key>, String), TokenError> {
        if let Some(answer) = self.known(kid, now) {
            return answer;
        }
        let mut reading = self.reading.lock().await;
        if let Some(answer) = self.known(kid, now) {
            return answer;
        }
        if let Some((since, why)) = &*reading
            && now.saturating_duration_since(*since) < AWAY_PAUSE
        {
            return Err(TokenError::IssuerAway(why.clone()));
        }
        match self.read(now).await {
            Ok(read) => {
                *reading = None;
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(read);
                self.known(kid, now).unwrap_or_else(|| Err(unknown_kid()))
            }
            Err(error) => {
                if let TokenError::IssuerAway(why) = &error {
                    *reading = Some((now, why.clone()));
                }
                Err(error)
            }
        }
    }

    /// What there is to say without asking the issuer.
    fn known(&self, kid: &str, now: Instant) -> Option<Result<(Arc<Key>, String), TokenError>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let known = keys.as_ref()?;
        let age = now.saturating_duration_since(known.read_at);
        match known.by_kid.get(kid) {
            Some(key) if age < KEEP => Some(Ok((Arc::clone(key), known.issuer.clone()))),
            None if age < UNKNOWN_KID_PAUSE => Some(Err(unknown_kid())),
            _ => None,
        }
    }

    async fn read(&self, now: Instant) -> Result<Keys, TokenError> {
        let discovery: Discovery = self.document(self.discovery.clone()).await?;
        // Whoever answers for the issuer once must not be able to send us anywhere: we go to configured hosts only.
        if discovery.jwks_uri.origin() != self.discovery.origin() {
            let (here, there) = (self.discovery.origin(), discovery.jwks_uri.origin());
            let detail = format!(
                "its keys lie on another host, {} instead of {}",
                there.ascii_serialization(),
                here.ascii_serialization()
            );
            return Err(TokenError::IssuerAway(detail));
        }
        let set: KeySet = self.document(discovery.jwks_uri).await?;
        let by_kid = set.keys.into_iter().filter_map(usable).collect();
        Ok(Keys {
            issuer: discovery.issuer,
            by_kid,
            read_at: now,
        })
    }

    async fn document<T: DeserializeOwned>(&self, url: Url) -> Result<T, TokenError> {
        let away = |detail: String| TokenError::IssuerAway(format!("{url}: {detail}"));
        let response = self.http.get(url.clone()).send().await;
        let mut response = response
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| away(crate::chain(&error.without_url())))?;
        // A redirect is no error to the client, and no document either.
        if !response.status().is_success() {
            return Err(away(format!("it answered {}", response.status())));
        }
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

/// The claims, each once: of two with one name, one reader believes the first and another the last (RFC 7519, section 4).
struct UniqueClaims(serde_json::Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Claims;

        impl<'de> Visitor<'de> for Claims {
            type Value = UniqueClaims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueClaims, A::Error> {
                let mut claims = serde_json::Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if claims.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("the claim `{name}` comes twice")));
                    }
                    claims.insert(name, value);
                }
                Ok(UniqueClaims(claims))
            }
        }

        deserializer.deserialize_map(Claims)
    }
}

/// `exp`, `nbf` and `iat` are seconds since 1970, perhaps with a fraction (RFC 7519, section 2).
fn in_time(claims: &Value, now: OffsetDateTime, leeway: Duration) -> Result<(), TokenError> {
    let at = |name: &str| {
        let seconds = claims.get(name).map(|at| at.as_f64().ok_or(name));
        seconds
            .transpose()
            .map_err(|name| TokenError::Invalid(Flaw::Claims(format!("its `{name}` is no time"))))
    };
    let (now, leeway) = (
        Duration::try_from(now - OffsetDateTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64(),
        leeway.as_secs_f64(),
    );
    if at("exp")?.is_none_or(|exp| exp < now - leeway) {
        return Err(TokenError::Invalid(Flaw::Expired));
    }
    if at("nbf")?.is_some_and(|nbf| nbf > now + leeway) {
        return Err(TokenError::Invalid(Flaw::NotYetValid));
    }
    if at("iat")?.is_some_and(|iat| iat > now + leeway) {
        return Err(TokenError::Invalid(Flaw::FromTheFuture));
    }
    Ok(())
}

/// `aud` is one text or a list (RFC 7519, section 4.1.3).
fn is_for(audience: &str, claims: &Value) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one.eq_ignore_ascii_case(audience),
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .any(|one| one.eq_ignore_ascii_case(audience)),
        _ => false,
    }
}

fn unknown_kid() -> TokenError {
    TokenError::Invalid(Flaw::UnknownKey)
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
