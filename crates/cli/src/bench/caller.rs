//! Calls in the name of services of the fleet, with their keys.

use std::path::Path;

use anyhow::Context;
use common::Service;
use common::client::Outbound;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use time::OffsetDateTime;
use trust::{Identity, SigningKey, TrustedKeys};
use uuid::Uuid;

/// Puts the token of one service on every call.
pub(super) struct Caller(Identity);

impl Caller {
    /// `service`, by its key in `keys`.
    pub(super) fn new(service: Service, keys: &Path) -> anyhow::Result<Self> {
        let key = read(&keys.join(format!("{service}.key")))?;
        let key = SigningKey::from_pem(&key)?;
        Ok(Self(Identity::new(service, key, trusted(keys)?)?))
    }
}

/// Whose signatures the fleet believes.
pub(super) fn trusted(keys: &Path) -> anyhow::Result<TrustedKeys> {
    Ok(TrustedKeys::from_json(&read(&keys.join("trusted.json"))?)?)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

impl Outbound for Caller {
    fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap) {
        let token = trust::token::issue(&self.0, callee, body, OffsetDateTime::now_utc(), Uuid::now_v7());
        // Without a token the callee answers 401, which fails the measurement and says why.
        let bearer = token
            .ok()
            .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, bearer);
        }
    }
}
