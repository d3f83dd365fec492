//! RSA keys that sign the tokens of Entra and of the Bot Framework, and their JSON Web Key Sets.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::core::Shared;

/// A key cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an RSA key")]
pub struct KeyError;

/// One signing key with its id.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pair: Arc<RsaKeyPair>,
}

/// Whose first key: made once per process and shared by all its worlds, as making one is slow.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signer {
    Entra,
    BotConnector,
}

static FIRST_PAIRS: [OnceLock<Arc<RsaKeyPair>>; 2] = [const { OnceLock::new() }; 2];

impl SigningKey {
    /// A new key. Takes a tenth of a second: off the runtime, please.
    pub(crate) fn generate(kid: String) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
        Ok(Self {
            kid,
            pair: Arc::new(pair),
        })
    }

    /// The first key of `signer` under this world's `kid`. Slow at most once.
    pub(crate) fn first(signer: Signer, kid: String) -> Result<Self, KeyError> {
        let place = &FIRST_PAIRS[signer as usize];
        if let Some(pair) = place.get() {
            return Ok(Self {
                kid,
                pair: Arc::clone(pair),
            });
        }
        let pair = Self::generate(String::new())?.pair;
        Ok(Self {
            kid,
            pair: Arc::clone(place.get_or_init(|| pair)),
        })
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, which JWS calls RS256.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .expect("a whole key signs into a buffer of its own size");
        signature
    }

    /// A JWT of `claims` under this key's id.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        let message = unsigned(&header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn jwk(&self) -> Value {
        let (modulus, exponent) =
            public_numbers(self.pair.public_key().as_ref()).expect("the library writes PKCS #1 public keys");
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "x5t": self.kid,
            "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent),
        })
    }
}

/// Header and claims, ready for a signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// The keys in use, the newest last: after a rotation the old one stays published.
#[derive(Debug)]
pub(crate) struct Keyring {
    keys: Shared<Vec<Arc<SigningKey>>>,
}

impl Keyring {
    pub(crate) fn new(first: SigningKey) -> Self {
        Self {
            keys: Shared::new(vec![Arc::new(first)]),
        }
    }

    /// The key that signs now.
    pub(crate) fn current(&self) -> Arc<SigningKey> {
        let keys = self.keys.lock();
        Arc::clone(
            keys.last()
                .expect("a ring starts with a key and never loses its last"),
        )
    }

    /// Sign with `next` from now on and forget all keys but the previous one.
    pub(crate) fn rotate(&self, next: SigningKey) {
        let mut keys = self.keys.lock();
        let previous = keys.len().saturating_sub(1);
        keys.drain(..previous);
        keys.push(Arc::new(next));
    }

    /// `{"keys": [...]}`, each with `extra` members.
    pub(crate) fn jwks(&self, extra: &Value) -> Value {
        let keys: Vec<Value> = self
            .keys
            .lock()
            .iter()
            .map(|key| {
                let mut jwk = key.jwk();
                if let (Some(jwk), Some(extra)) = (jwk.as_object_mut(), extra.as_object()) {
                    jwk.extend(extra.clone());
                }
                jwk
            })
            .collect();
        json!({ "keys": keys })
    }
}

/// Modulus and exponent of a DER `RSAPublicKey ::= SEQUENCE { INTEGER, INTEGER }`, without sign octets.
fn public_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    let unsigned = |number: &'_ [u8]| number.iter().position(|octet| *octet != 0);
    Some((
        modulus.get(unsigned(modulus)?..)?,
        exponent.get(unsigned(exponent)?..)?,
    ))
}

/// Content of the element with `tag` at the start of `der`, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        (
            octets
                .iter()
                .fold(0, |sum, octet| (sum << 8) | usize::from(*octet)),
            rest,
        )
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_verifies_against_the_published_key_and_a_rotated_key_stays_for_a_while() {
        let ring = Keyring::new(SigningKey::generate("one".into()).unwrap());
        let token = ring
            .current()
            .token(&json!({"aud": "us", "exp": 4_000_000_000_u64}));
        ring.rotate(SigningKey::generate("two".into()).unwrap());
        let set: jsonwebtoken::jwk::JwkSet =
            serde_json::from_value(ring.jwks(&json!({"endorsements": ["msteams"]}))).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.set_audience(&["us"]);
        let key = jsonwebtoken::DecodingKey::from_jwk(set.find("one").unwrap()).unwrap();
        jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        let other = jsonwebtoken::DecodingKey::from_jwk(set.find("two").unwrap()).unwrap();
        jsonwebtoken::decode::<Value>(&token, &other, &validation).unwrap_err();
        ring.rotate(SigningKey::generate("three".into()).unwrap());
        let kept = ring.jwks(&json!({}));
        assert_eq!(
            kept["keys"].as_array().unwrap().len(),
            2,
            "only the previous key is kept"
        );
    }
}
