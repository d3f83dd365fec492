//! People: who an OpenID Connect token says they are, and which roles it gives them.

use std::collections::BTreeSet;

use common::Role;
use serde::Deserialize;
use url::Url;

use crate::jwks::{Cache, Expected, LEEWAY, TokenError};
use crate::settings::OidcSettings;

/// A person whose token was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonCaller {
    /// The directory's object id (`oid`), else the token's `sub`.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// From the claim `roles`; words that are no role of ours are ignored.
    pub roles: BTreeSet<Role>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    oid: Option<String>,
    name: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Checks the tokens of people.
pub(crate) struct People {
    keys: Cache,
    issuer: String,
    audience: String,
}

impl People {
    /// Nothing is read until the first token comes.
    pub(crate) fn new(http: reqwest::Client, settings: &OidcSettings) -> Self {
        // Entra writes its issuer without the trailing slash that `Url` gives to a bare host.
        let issuer = settings.issuer.as_str().trim_end_matches('/').to_owned();
        let discovery = format!("{issuer}/.well-known/openid-configuration");
        let discovery = Url::parse(&discovery).unwrap_or_else(|_| settings.issuer.clone());
        Self {
            keys: Cache::new(http, discovery),
            issuer,
            audience: settings.audience.clone(),
        }
    }

    pub(crate) async fn authenticate(&self, token: &str) -> Result<PersonCaller, TokenError> {
        let with_slash = format!("{}/", self.issuer);
        let expected = Expected {
            issuers: &[&self.issuer, &with_slash],
            audience: &self.audience,
            leeway: LEEWAY,
        };
        let claims: Claims = self.keys.verify(token, &expected).await?.claims;
        let id = claims.oid.unwrap_or(claims.sub);
        Ok(PersonCaller {
            name: claims.name.unwrap_or_else(|| id.clone()),
            roles: claims.roles.iter().filter_map(|word| role(word)).collect(),
            id,
        })
    }
}

fn role(word: &str) -> Option<Role> {
    match word {
        "admin" => Some(Role::Admin),
        "operator" => Some(Role::Operator),
        "auditor" => Some(Role::Auditor),
        "user" => Some(Role::User),
        _ => None,
    }
}
