//! OpenID Connect for people: discovery, keys, and the tokens that a sign-in would give.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::EntraSim;
use crate::company::Person;
use crate::settings::oidc_issuer;

/// A person's token lives an hour.
const LIFE_S: i64 = 3600;

impl EntraSim {
    fn own_tenant(&self, tenant: &str) -> Result<(), StatusCode> {
        if tenant == self.core.secrets.entra_tenant_id {
            Ok(())
        } else {
            Err(StatusCode::BAD_REQUEST)
        }
    }

    /// The claims that `person` would get with these app roles.
    pub(crate) fn claims(&self, person: &Person, roles: &[&str]) -> Value {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let secrets = &self.core.secrets;
        let mut claims = json!({
            "iss": oidc_issuer(&self.core.urls, secrets), "aud": secrets.oidc_audience, "ver": "2.0",
            "iat": now, "nbf": now, "exp": now + LIFE_S,
            "oid": person.id, "sub": self.core.seed.uuid(&format!("sub/{}", person.email)),
            "tid": secrets.entra_tenant_id, "name": person.name, "preferred_username": person.upn,
        });
        if !roles.is_empty() {
            claims["roles"] = json!(roles);
        }
        claims
    }

    /// A token as `email` would get it at sign-in, with these app roles. `None`: nobody has that address.
    pub fn token_for(&self, email: &str, roles: &[&str]) -> Option<String> {
        let person = self.core.directory.by_email(email)?;
        Some(self.sign(&self.claims(&person, roles)))
    }

    /// Sign any claims with the current key: for tokens that must be refused.
    pub fn sign(&self, claims: &Value) -> String {
        self.core.entra_keys.current().token(claims)
    }
}

pub(crate) async fn discovery(
    State(entra): State<EntraSim>,
    Path(tenant): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    entra.own_tenant(&tenant)?;
    let base = &entra.core.urls.entra;
    Ok(Json(json!({
        "issuer": oidc_issuer(&entra.core.urls, &entra.core.secrets),
        "jwks_uri": format!("{base}{tenant}/discovery/v2.0/keys"),
        "token_endpoint": format!("{base}{tenant}/oauth2/v2.0/token"),
        "authorization_endpoint": format!("{base}{tenant}/oauth2/v2.0/authorize"),
        "response_types_supported": ["code", "id_token"], "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid", "profile"],
    })))
}

pub(crate) async fn keys(
    State(entra): State<EntraSim>,
    Path(tenant): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    entra.own_tenant(&tenant)?;
    Ok(Json(entra.core.entra_keys.jwks(&json!({}))))
}
