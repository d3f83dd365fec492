//! Halo's token endpoint (client credentials), and who may call what: scopes, expiry, the rolling rate window.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::HaloSim;
use super::refusal::Refusal;
use crate::text::{bearer, is_form, pairs, value};
use crate::tokens::{Audience, Grant};

/// Halo's rolling window.
const WINDOW: Duration = Duration::from_mins(5);

/// A program with a live token.
pub(crate) struct Caller(Grant);

impl Caller {
    /// `kind` is `read` or `edit`, `what` a resource such as `tickets`. Editing includes reading.
    pub(crate) fn may(&self, kind: &str, what: &str) -> Result<(), Refusal> {
        let allowed = self.0.rights.iter().any(|right| {
            right == "all" || *right == format!("{kind}:{what}") || *right == format!("edit:{what}")
        });
        if allowed { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// The application, as actions name it.
    pub(crate) fn application(&self) -> &str {
        &self.0.client
    }
}

impl FromRequestParts<HaloSim> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, halo: &HaloSim) -> Result<Self, Refusal> {
        halo.count_request()?;
        let grant = halo
            .desk
            .core
            .tokens
            .check(bearer(&parts.headers), Audience::Halo);
        grant.map(Self).ok_or(Refusal::Unauthorised)
    }
}

impl HaloSim {
    /// Count this request into the rolling window, or refuse it.
    fn count_request(&self) -> Result<(), Refusal> {
        let options = self.desk.options.lock().clone();
        let Some(limit) = options.rate_per_5min else {
            return Ok(());
        };
        let mut window = self.desk.window.lock();
        let now = Instant::now();
        while window.front().is_some_and(|at| now.duration_since(*at) > WINDOW) {
            window.pop_front();
        }
        if window.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(Refusal::Throttled {
                retry_after: options.retry_after,
            });
        }
        window.push_back(now);
        Ok(())
    }
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    (
        status,
        Json(json!({ "error": error, "error_description": description })),
    )
        .into_response()
}

/// `POST /auth/token?tenant=...`
pub(crate) async fn token(
    State(halo): State<HaloSim>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refusal) = halo.count_request() {
        return refusal.into_response();
    }
    if !is_form(&headers) {
        return refused(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "The content type is not supported.",
        );
    }
    let secrets = &halo.desk.core.secrets;
    let query = pairs(query.unwrap_or_default().as_bytes());
    if value(&query, "tenant") != Some(secrets.halo_tenant.as_str()) {
        return refused(
            StatusCode::BAD_REQUEST,
            "invalid_tenant",
            "The tenant is missing or unknown.",
        );
    }
    let form = pairs(&body);
    if value(&form, "grant_type") != Some("client_credentials") {
        return refused(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "The grant type is not supported.",
        );
    }
    let same = |name: &str, secret: &str| {
        value(&form, name).is_some_and(|given| bool::from(given.as_bytes().ct_eq(secret.as_bytes())))
    };
    if !same("client_id", &secrets.halo_client_id) || !same("client_secret", &secrets.halo_client_secret) {
        return refused(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "The client credentials are invalid.",
        );
    }
    let scope = value(&form, "scope").unwrap_or_default().to_owned();
    if scope.trim().is_empty() {
        return refused(StatusCode::BAD_REQUEST, "invalid_scope", "The scope is missing.");
    }
    let life = halo.desk.options.lock().token_life;
    let token = format!("halo.{}", halo.desk.core.fresh_hex("halo/token"));
    let rights = scope.split_whitespace().map(str::to_owned).collect();
    halo.desk
        .core
        .tokens
        .grant(&token, Audience::Halo, &secrets.halo_client_id, rights, life);
    Json(json!({
        "scope": scope, "token_type": "Bearer", "access_token": token,
        // What it says is not what it holds: an early end shows as a 401, as in life.
        "expires_in": 3600, "refresh_token": halo.desk.core.fresh_hex("halo/refresh"),
    }))
    .into_response()
}
