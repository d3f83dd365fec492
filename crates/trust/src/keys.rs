//! The Ed25519 keys of the services; below them, the list of whom the fleet trusts, and who a process is by both. Reading and
//! writing files is the caller's.

mod identity;
mod trusted;

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use common::Service;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use identity::Identity;
pub use trusted::{KeyState, ListedKey, TrustedKeys};

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
}
