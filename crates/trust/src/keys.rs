//! The Ed25519 keys of the services, and the list of whom the fleet trusts. Reading and writing files is the caller's.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Service;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";
pub(crate) const PUBLIC_KEY: &str = "PUBLIC KEY";

/// Why a key is not one. Never carries key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the expected PEM block.
    #[error("this is not a PEM file with a `{0}` block")]
    NotPem(&'static str),
    /// A PEM block of another kind of key.
    #[error("this is not an unencrypted PKCS#8 {0} key")]
    WrongKind(&'static str),
    /// The list of trusted keys cannot be read.
    #[error("this is not a list of trusted keys: {0}")]
    NotTrustedKeys(String),
    /// Its name does not follow from the key.
    #[error("the key `{0}` in the list of trusted keys is not named after its own bytes")]
    Misnamed(KeyId),
    /// One key for two services would let one act as the other.
    #[error("the key `{kid}` is listed for `{first}` and for `{second}`")]
    Shared {
        /// The key.
        kid: KeyId,
        /// One owner.
        first: Service,
        /// The other.
        second: Service,
    },
    /// A service whose own key nobody would accept.
    #[error("the key `{kid}` is not listed for `{service}` in the trusted keys, so nobody would believe it")]
    NotListed {
        /// The service that was starting.
        service: Service,
        /// Its key.
        kid: KeyId,
    },
    /// The library refused to make a key.
    #[error("no key could be made")]
    NotMade,
}

/// The library could not sign. Nothing was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signing failed")]
pub struct SigningFailed;

/// The name of a public key: the first 16 hex digits of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    pub(crate) fn of(public: &[u8]) -> Self {
        let mut name = hex::encode(Sha256::digest(public));
        name.truncate(16);
        Self(name)
    }

    /// The 16 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service's private key. Has no `Debug`, `Display`, `Serialize` or `Clone` to leak through.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    kid: KeyId,
}

impl SigningKey {
    fn of(pair: Ed25519KeyPair) -> Self {
        let kid = KeyId::of(pair.public_key().as_ref());
        Self { pair, kid }
    }

    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(seed.as_mut());
        Ed25519KeyPair::from_seed_unchecked(seed.as_ref())
            .map(Self::of)
            .map_err(|_| KeyError::NotMade)
    }

    /// Read an unencrypted PKCS#8 PEM, as `to_pem` or `openssl genpkey -algorithm ED25519` writes it.
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let der = read_pem(file, PRIVATE_KEY)?;
        Ed25519KeyPair::from_pkcs8(&der)
            .map(Self::of)
            .map_err(|_| KeyError::WrongKind("Ed25519"))
    }

    /// The file's contents: PKCS#8 in PEM.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| KeyError::NotMade)?;
        Ok(write_pem(PRIVATE_KEY, der.as_ref()))
    }

    /// The public half.
    pub fn verifying_key(&self) -> Result<VerifyingKey, KeyError> {
        VerifyingKey::from_bytes(self.pair.public_key().as_ref())
    }

    /// The public half's name.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let signature = self.pair.try_sign(message).map_err(|_| SigningFailed)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// A service's public key, parsed once.
#[derive(Clone)]
pub struct VerifyingKey {
    bytes: Vec<u8>,
    parsed: ParsedPublicKey,
    kid: KeyId,
}

impl VerifyingKey {
    /// From the 32 bytes of RFC 8032.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let wrong = || KeyError::WrongKind("public Ed25519");
        // The library would also take the longer SPKI form; one form, one name.
        if bytes.len() != 32 {
            return Err(wrong());
        }
        let parsed = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| wrong())?;
        Ok(Self {
            bytes: bytes.to_vec(),
            parsed,
            kid: KeyId::of(bytes),
        })
    }

    /// Its name.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    pub(crate) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.kid)
    }
}

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
            Some((owner, _)) if owner == service => Ok(()),
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

/// Who this process is, and whom it believes.
pub struct Identity {
    service: Service,
    key: SigningKey,
    trusted: TrustedKeys,
}

impl Identity {
    /// Put the three together.
    ///
    /// # Errors
    /// [`KeyError::NotListed`] where the fleet would not believe this key: better said at start than as 401s later.
    pub fn new(service: Service, key: SigningKey, trusted: TrustedKeys) -> Result<Self, KeyError> {
        let identity = Self::unchecked(service, key, trusted);
        identity.believed().map(|()| identity)
    }

    /// The same, whether or not the fleet would believe it: for a service that already runs, whose list of others must
    /// be heeded even where it lacks the service itself. Ask [`believed`](Self::believed).
    pub fn unchecked(service: Service, key: SigningKey, trusted: TrustedKeys) -> Self {
        Self {
            service,
            key,
            trusted,
        }
    }

    /// Whether the fleet believes what it signs.
    ///
    /// # Errors
    /// [`KeyError::NotListed`].
    pub fn believed(&self) -> Result<(), KeyError> {
        match self.trusted.find(self.key.kid.as_str()) {
            Some((owner, _)) if owner == self.service => Ok(()),
            _ => Err(KeyError::NotListed {
                service: self.service,
                kid: self.key.kid.clone(),
            }),
        }
    }

    /// Who.
    pub fn service(&self) -> Service {
        self.service
    }

    /// What it signs with.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// Whom it believes.
    pub fn trusted(&self) -> &TrustedKeys {
        &self.trusted
    }
}

pub(crate) fn read_pem(file: &[u8], tag: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match pem::parse(file) {
        Ok(block) if block.tag() == tag => Ok(Zeroizing::new(block.into_contents())),
        _ => Err(KeyError::NotPem(tag)),
    }
}

/// Every block of a file, all of which must be of the one kind.
pub(crate) fn read_all_pem(file: &[u8], tag: &'static str) -> Result<Vec<Zeroizing<Vec<u8>>>, KeyError> {
    let blocks = pem::parse_many(file).map_err(|_| KeyError::NotPem(tag))?;
    let mut contents = Vec::with_capacity(blocks.len());
    for block in blocks {
        if block.tag() != tag {
            return Err(KeyError::NotPem(tag));
        }
        contents.push(Zeroizing::new(block.into_contents()));
    }
    Ok(contents)
}

pub(crate) fn write_pem(tag: &str, der: &[u8]) -> Zeroizing<String> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Zeroizing::new(pem::encode_config(&pem::Pem::new(tag, der), config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    fn key() -> SigningKey {
        SigningKey::generate(&mut rand::rng()).unwrap()
    }

    #[test]
    fn a_key_survives_its_file_and_keeps_its_name() {
        let key = key();
        let file = key.to_pem().unwrap();
        assert!(file.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let read = SigningKey::from_pem(file.as_bytes()).unwrap();
        assert_eq!(read.kid(), key.kid());
        let signature = read.sign(b"message").unwrap();
        assert!(key.verifying_key().unwrap().accepts(b"message", &signature));
        assert!(!key.verifying_key().unwrap().accepts(b"massage", &signature));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_without_showing_it() {
        let not_pem = SigningKey::from_pem(b"hunter2").err().unwrap();
        assert_eq!(not_pem, KeyError::NotPem(PRIVATE_KEY));
        let garbage = write_pem(PRIVATE_KEY, b"garbage");
        assert_eq!(
            SigningKey::from_pem(garbage.as_bytes()).err().unwrap(),
            KeyError::WrongKind("Ed25519")
        );
        let public = write_pem(PUBLIC_KEY, b"garbage");
        assert!(SigningKey::from_pem(public.as_bytes()).is_err());
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

    #[test]
    fn a_service_whose_key_nobody_trusts_does_not_start() {
        let key = key();
        let mut trusted = TrustedKeys::new();
        trusted
            .trust(Service::Delivery, key.verifying_key().unwrap())
            .unwrap();
        let identity = Identity::new(Service::Executor, key, trusted);
        assert!(matches!(identity, Err(KeyError::NotListed { .. })));
    }
}
