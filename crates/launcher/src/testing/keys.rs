//! The keys of a fleet for one test, and calls in the name of its services. The files are the ones that
//! `firstline keys init` writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::Service;
use common::client::Outbound;
use http::header::{AUTHORIZATION, HeaderMap};
use tempfile::TempDir;
use time::OffsetDateTime;
use trust::{Identity, SigningKey, TrustedKeys};
use uuid::Uuid;

use super::TestDatabase;
use crate::keys::init;

/// Key files of a fleet of this test's own. Dropped, they are gone.
pub struct TestKeys {
    directory: TempDir,
    trusted: TrustedKeys,
}

impl TestKeys {
    /// Fresh keys for all six services.
    ///
    /// # Panics
    /// There is no temporary directory to write them to.
    pub fn fresh() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        init(directory.path()).expect("keys in an empty directory");
        let trusted = std::fs::read(directory.path().join("trusted.json")).expect("a file just written");
        let trusted = TrustedKeys::from_json(&trusted).expect("trusted keys just made");
        Self { directory, trusted }
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// One of them: `{service}.key`, `trusted.json`, `seal.key` or `seal.pub`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Its contents.
    ///
    /// # Panics
    /// There is no such file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.file(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()))
    }

    /// Whose signatures this fleet believes.
    pub fn trusted(&self) -> &TrustedKeys {
        &self.trusted
    }

    /// Who `service` is, to sign as it would.
    ///
    /// # Panics
    /// Its key file was changed.
    pub fn identity(&self, service: Service) -> Identity {
        let key = SigningKey::from_pem(&self.read(&format!("{service}.key"))).expect("a key");
        Identity::new(service, key, self.trusted.clone()).expect("a key that is trusted")
    }

    /// Calls in the name of `service`.
    ///
    /// # Panics
    /// Its key file was changed.
    pub fn stamp(&self, service: Service) -> Stamp {
        Stamp(self.identity(service))
    }

    /// The settings that every service needs, for `service` on `database` with these keys.
    pub fn settings(&self, service: Service, database: &TestDatabase) -> BTreeMap<String, String> {
        let file = |name: &str| self.file(name).display().to_string();
        let settings = [
            ("DATABASE_URL", database.url(service).to_string()),
            ("REDIS_URL", database.redis_url().to_string()),
            ("SERVICE_KEY_FILE", file(&format!("{service}.key"))),
            ("TRUSTED_KEYS_FILE", file("trusted.json")),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Puts a service token on a call, for exactly its callee and body, and nothing else.
pub struct Stamp(Identity);

impl Stamp {
    /// A token for a call of `callee` with `body`, from now on.
    ///
    /// # Panics
    /// The key cannot sign.
    pub fn token(&self, callee: &str, body: &[u8]) -> String {
        let now = OffsetDateTime::now_utc();
        trust::token::issue(&self.0, callee, body, now, Uuid::now_v7()).expect("a key that signs")
    }
}

impl Outbound for Stamp {
    fn decorate(&self, callee: &str, body: &[u8], headers: &mut HeaderMap) {
        let bearer = format!("Bearer {}", self.token(callee, body));
        headers.insert(AUTHORIZATION, bearer.parse().expect("a token is ASCII"));
    }
}
