//! Access tokens that were handed out: to whom, for what, until when. Unknown or expired is 401 everywhere.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::Shared;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Halo,
    Graph,
    MfaConnector,
    BotConnector,
}

/// A token's other half.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) audience: Audience,
    pub(crate) client: String,
    /// Scopes (HaloPSA) or application permissions (Graph).
    pub(crate) rights: Vec<String>,
    expires: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    grants: Shared<HashMap<String, Grant>>,
}

impl Tokens {
    pub(crate) fn grant(
        &self,
        token: &str,
        audience: Audience,
        client: &str,
        rights: Vec<String>,
        life: Duration,
    ) {
        let grant = Grant {
            audience,
            client: client.to_owned(),
            rights,
            expires: Instant::now() + life,
        };
        self.grants.lock().insert(token.to_owned(), grant);
    }

    /// The live grant behind `token`, if it is for `audience`.
    pub(crate) fn check(&self, token: Option<&str>, audience: Audience) -> Option<Grant> {
        let grants = self.grants.lock();
        let grant = grants.get(token?)?;
        (grant.audience == audience && grant.expires > Instant::now()).then(|| grant.clone())
    }

    /// Every token for `audience` stops working, long before it says so.
    pub(crate) fn revoke(&self, audience: Audience) {
        self.grants.lock().retain(|_, grant| grant.audience != audience);
    }
}
