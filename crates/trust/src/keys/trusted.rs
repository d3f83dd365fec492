//! Whom the fleet trusts: `trusted.json`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Service;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{KeyError, KeyId, VerifyingKey};

/// What the fleet still does with a key that it once trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Its owner signs with it, or is about to.
    Active,
    /// Its owner signs with another one since then; what it signed before is still on its way and still believed.
    Replaced {
        /// Since when.
        at: OffsetDateTime,
    },
    /// Nothing that it signs is believed. Only the record of what happened before is still read with it.
    Retired {
        /// Since when.
        at: OffsetDateTime,
    },
}

impl KeyState {
    /// Of what two entries of one key say, what believes it less: a file that was put together by hand may hold it twice,
    /// and retiring it must hold.
    fn less_believed(self, other: Self) -> Self {
        match (self, other) {
            (Self::Active, state) | (state, Self::Active) => state,
            (Self::Replaced { .. }, retired @ Self::Retired { .. })
            | (retired @ Self::Retired { .. }, Self::Replaced { .. }) => retired,
            (Self::Replaced { at }, Self::Replaced { at: other }) => Self::Replaced { at: at.min(other) },
            (Self::Retired { at }, Self::Retired { at: other }) => Self::Retired { at: at.min(other) },
        }
    }
}

/// A public key of a service, and how it stands.
#[derive(Debug, Clone)]
pub struct ListedKey {
    key: VerifyingKey,
    since: Option<OffsetDateTime>,
    state: KeyState,
}

impl ListedKey {
    /// The key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Its name.
    pub fn kid(&self) -> &KeyId {
        &self.key.kid
    }

    /// When it was listed, where that was written down.
    pub fn since(&self) -> Option<OffsetDateTime> {
        self.since
    }

    /// What it is still good for.
    pub fn state(&self) -> KeyState {
        self.state
    }

    fn speaks(&self) -> bool {
        !matches!(self.state, KeyState::Retired { .. })
    }
}

/// Which public keys speak for which service. Several per service, so that keys rotate by overlapping: first every
/// service learns the new key, then its owner signs with it, then the old one is retired ([`crate::rotation`]).
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    services: BTreeMap<Service, Vec<ListedKey>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustedFile {
    services: BTreeMap<Service, Vec<TrustedEntry>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustedEntry {
    kid: KeyId,
    /// base64url without padding of the 32 bytes.
    public_key: String,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    since: Option<OffsetDateTime>,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    replaced: Option<OffsetDateTime>,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    retired: Option<OffsetDateTime>,
}

impl TrustedEntry {
    fn of(listed: &ListedKey) -> Self {
        let (replaced, retired) = match listed.state {
            KeyState::Active => (None, None),
            KeyState::Replaced { at } => (Some(at), None),
            KeyState::Retired { at } => (None, Some(at)),
        };
        Self {
            kid: listed.key.kid.clone(),
            public_key: URL_SAFE_NO_PAD.encode(&listed.key.bytes),
            since: listed.since,
            replaced,
            retired,
        }
    }

    fn read(self) -> Result<ListedKey, KeyError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(&self.public_key)
            .map_err(|_| KeyError::WrongKind("public Ed25519"))?;
        let key = VerifyingKey::from_bytes(&bytes)?;
        if key.kid != self.kid {
            return Err(KeyError::Misnamed(self.kid));
        }
        let state = match (self.replaced, self.retired) {
            (_, Some(at)) => KeyState::Retired { at },
            (Some(at), None) => KeyState::Replaced { at },
            (None, None) => KeyState::Active,
        };
        Ok(ListedKey {
            key,
            since: self.since,
            state,
        })
    }
}

impl TrustedKeys {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Read `trusted.json`: `{"services": {"executor": [{"kid": "..", "public_key": "<base64url>"}]}}`. Beside those an
    /// entry may say `since`, and `replaced` or `retired` (RFC 3339), see [`KeyState`].
    pub fn from_json(file: &[u8]) -> Result<Self, KeyError> {
        let file: TrustedFile =
            serde_json::from_slice(file).map_err(|error| KeyError::NotTrustedKeys(error.to_string()))?;
        let mut trusted = Self::new();
        for (service, entries) in file.services {
            for entry in entries {
                trusted.list(service, entry.read()?)?;
            }
        }
        Ok(trusted)
    }

    /// The contents of `trusted.json`.
    pub fn to_json(&self) -> String {
        let services = self
            .services
            .iter()
            .map(|(service, keys)| (*service, keys.iter().map(TrustedEntry::of).collect()))
            .collect();
        // String keys and strings only: this cannot fail, and an empty file would be refused by every reader.
        serde_json::to_string_pretty(&TrustedFile { services }).unwrap_or_default()
    }

    /// A name of this list, for telling whether two services have read the same one: 16 hex digits of the SHA-256 over
    /// what it says, however that was written down.
    pub fn fingerprint(&self) -> String {
        KeyId::of(self.to_json().as_bytes()).0
    }

    /// Believe `key` when it speaks for `service`.
    pub fn trust(&mut self, service: Service, key: VerifyingKey) -> Result<(), KeyError> {
        self.list(
            service,
            ListedKey {
                key,
                since: None,
                state: KeyState::Active,
            },
        )
    }

    /// The same, and say since when.
    pub fn trust_from(
        &mut self,
        service: Service,
        key: VerifyingKey,
        since: OffsetDateTime,
    ) -> Result<(), KeyError> {
        self.list(
            service,
            ListedKey {
                key,
                since: Some(since),
                state: KeyState::Active,
            },
        )
    }

    fn list(&mut self, service: Service, listed: ListedKey) -> Result<(), KeyError> {
        match self.listed(listed.key.kid.as_str()) {
            Some((owner, _)) if owner == service => {
                for (kid, state) in self.of_mut(service) {
                    if *kid == listed.key.kid {
                        *state = state.less_believed(listed.state);
                    }
                }
                Ok(())
            }
            Some((owner, _)) => Err(KeyError::Shared {
                kid: listed.key.kid,
                first: owner,
                second: service,
            }),
            None => {
                self.services.entry(service).or_default().push(listed);
                Ok(())
            }
        }
    }

    /// The keys of one service, retired ones among them, the oldest first.
    pub fn of(&self, service: Service) -> &[ListedKey] {
        self.services.get(&service).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of_mut(&mut self, service: Service) -> impl Iterator<Item = (&KeyId, &mut KeyState)> {
        self.services
            .get_mut(&service)
            .into_iter()
            .flatten()
            .map(|listed| (&listed.key.kid, &mut listed.state))
    }

    fn listed(&self, kid: &str) -> Option<(Service, &ListedKey)> {
        self.services.iter().find_map(|(service, keys)| {
            let listed = keys.iter().find(|listed| listed.key.kid.as_str() == kid)?;
            Some((*service, listed))
        })
    }

    /// Whose key is named `kid`, where what it signs is believed now. A retired key is nobody's.
    pub fn find(&self, kid: &str) -> Option<(Service, &VerifyingKey)> {
        let (service, listed) = self.listed(kid)?;
        listed.speaks().then_some((service, &listed.key))
    }

    /// Whose key `kid` was at the time `at`, for reading the record of the past: what a retired key signed before it
    /// was retired stays true. Never for deciding whom to believe now: whoever holds a retired key can write any time.
    pub fn find_for_record(&self, kid: &str, at: OffsetDateTime) -> Option<(Service, &VerifyingKey)> {
        let (service, listed) = self.listed(kid)?;
        let known = match listed.state {
            KeyState::Active | KeyState::Replaced { .. } => true,
            KeyState::Retired { at: retired } => at <= retired,
        };
        known.then_some((service, &listed.key))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, SigningKey};
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    fn key() -> SigningKey {
        SigningKey::generate(&mut rand::rng()).unwrap()
    }

    #[test]
    fn the_list_of_trusted_keys_survives_its_file_with_overlapping_keys() {
        let (old, new) = (key(), key());
        let mut trusted = TrustedKeys::new();
        trusted
            .trust(Service::Executor, old.verifying_key().unwrap())
            .unwrap();
        trusted
            .trust(Service::Executor, new.verifying_key().unwrap())
            .unwrap();
        let read = TrustedKeys::from_json(trusted.to_json().as_bytes()).unwrap();
        assert_eq!(read.of(Service::Executor).len(), 2);
        let found = read.find(new.kid().as_str()).unwrap();
        assert_eq!((found.0, found.1.kid()), (Service::Executor, new.kid()));
        assert!(read.of(Service::Delivery).is_empty());
    }

    #[test]
    fn a_retired_key_speaks_for_nobody_and_still_tells_what_it_signed_in_its_time() {
        let (old, new) = (key(), key());
        let retired = datetime!(2026-03-02 09:15 UTC);
        let mut trusted = TrustedKeys::new();
        for key in [&old, &new] {
            let key = key.verifying_key().unwrap();
            trusted
                .trust_from(Service::Executor, key, retired - Duration::days(90))
                .unwrap();
        }
        for (kid, state) in trusted.of_mut(Service::Executor) {
            if kid == old.kid() {
                *state = KeyState::Retired { at: retired };
            }
        }
        let read = TrustedKeys::from_json(trusted.to_json().as_bytes()).unwrap();
        assert_eq!(read.to_json(), trusted.to_json());
        assert!(read.find(old.kid().as_str()).is_none());
        assert!(read.find(new.kid().as_str()).is_some());
        let then = |at| {
            read.find_for_record(old.kid().as_str(), at)
                .map(|(owner, _)| owner)
        };
        assert_eq!(then(retired), Some(Service::Executor));
        assert_eq!(then(retired + Duration::seconds(1)), None);
        let identity = Identity::unchecked(Service::Executor, old, read);
        assert!(matches!(identity.believed(), Err(KeyError::NotListed { .. })));
    }

    #[test]
    fn of_a_key_that_is_listed_twice_the_entry_that_retires_it_counts() {
        let key = key();
        let name = key.kid().as_str();
        let list = |retired: bool| {
            let mut trusted = TrustedKeys::new();
            trusted
                .trust(Service::Executor, key.verifying_key().unwrap())
                .unwrap();
            for (_, state) in trusted.of_mut(Service::Executor) {
                if retired {
                    let at = datetime!(2026-03-02 09:15 UTC);
                    *state = KeyState::Retired { at };
                }
            }
            serde_json::from_str::<serde_json::Value>(&trusted.to_json()).unwrap()
        };
        for order in [[false, true], [true, false]] {
            let [mut file, other] = order.map(list);
            let entries = other["services"]["executor"].as_array().unwrap().clone();
            file["services"]["executor"]
                .as_array_mut()
                .unwrap()
                .extend(entries);
            let read = TrustedKeys::from_json(file.to_string().as_bytes()).unwrap();
            assert_eq!(read.of(Service::Executor).len(), 1, "{file}");
            assert!(read.find(name).is_none(), "{file}");
        }
    }

    #[test]
    fn one_key_for_two_services_or_under_a_borrowed_name_is_refused() {
        let key = key();
        let mut trusted = TrustedKeys::new();
        trusted
            .trust(Service::Verification, key.verifying_key().unwrap())
            .unwrap();
        let shared = trusted.trust(Service::Orchestration, key.verifying_key().unwrap());
        assert!(matches!(shared, Err(KeyError::Shared { .. })));
        let borrowed = trusted.to_json().replace(key.kid().as_str(), "0123456789abcdef");
        assert!(matches!(
            TrustedKeys::from_json(borrowed.as_bytes()),
            Err(KeyError::Misnamed(_))
        ));
    }
}
