//! Sealed credentials: what the executor made, readable by delivery alone, in one execution alone, until it expires.
//!
//! HPKE (RFC 9180, base mode: DHKEM X25519, HKDF-SHA256, ChaCha20-Poly1305) to delivery's key, then signed by the
//! executor: encryption to a public key alone would let anybody who can reach delivery text anything to anyone.

use common::{Digest, ExecutionId, SealedCredential, Service, TenantId, TicketId, UserId};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use rand::CryptoRng;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::jws::{self, JwsError};
use crate::keys::{
    Identity, KeyError, KeyId, PRIVATE_KEY, PUBLIC_KEY, TrustedKeys, read_all_pem, read_pem, write_pem,
};

type Kem = X25519HkdfSha256;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

const TYP: &str = "firstline-sealed+jws";
/// Separates this use of HPKE from any other of the same key.
const INFO: &[u8] = b"firstline sealed credential 1";
/// A pass has at most 48 characters; the rest is overhead.
const LONGEST_BYTES: usize = 8192;
/// A pass lives 30 days at most (Graph's `lifetimeInMinutes`, 43,200); a date beyond that is a fault.
pub const LONGEST_LIFE: Duration = Duration::days(31);
/// An encapsulated X25519 key.
const ENCAPPED_BYTES: usize = 32;

// RFC 8410: everything of an X25519 key in DER but its 32 bytes, which come last.
const PKCS8_X25519: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
];
const SPKI_X25519: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00,
];

/// Delivery's private key: what opens. While it is being replaced it holds the old one too, and opens what was sealed
/// to either. Has no `Debug`, `Display`, `Serialize` or `Clone`; wiped when dropped.
pub struct SealKey {
    newest: Pair,
    older: Vec<Pair>,
}

struct Pair {
    private: PrivateKey,
    public: PublicKey,
}

impl Pair {
    fn of(private: PrivateKey) -> Self {
        let public = Kem::sk_to_pk(&private);
        Self { private, public }
    }

    fn read(der: &[u8]) -> Result<Self, KeyError> {
        der.strip_prefix(PKCS8_X25519)
            .and_then(|bytes| PrivateKey::from_bytes(bytes).ok())
            .map(Self::of)
            .ok_or(KeyError::WrongKind("X25519"))
    }

    fn to_pem(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        self.private.write_exact(bytes.as_mut());
        let der = Zeroizing::new([PKCS8_X25519, bytes.as_ref()].concat());
        write_pem(PRIVATE_KEY, &der)
    }
}

impl SealKey {
    /// A fresh key pair.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let (private, _) = Kem::gen_keypair_with_rng(rng);
        Self {
            newest: Pair::of(private),
            older: vec![],
        }
    }

    /// A fresh key pair, beside those that `self` holds.
    #[must_use]
    pub fn succeeded(self, rng: &mut impl CryptoRng) -> Self {
        let mut older = self.older;
        older.insert(0, self.newest);
        Self {
            older,
            ..Self::generate(rng)
        }
    }

    /// The newest alone: what was sealed to the older ones stays shut from now on.
    #[must_use]
    pub fn without_older(self) -> Self {
        Self {
            newest: self.newest,
            older: vec![],
        }
    }

    /// Read unencrypted PKCS#8 PEM blocks, as `to_pem` or `openssl genpkey -algorithm X25519` writes them, the newest
    /// first.
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let mut blocks = read_all_pem(file, PRIVATE_KEY)?.into_iter();
        let newest = blocks.next().ok_or(KeyError::NotPem(PRIVATE_KEY))?;
        Ok(Self {
            newest: Pair::read(&newest)?,
            older: blocks.map(|block| Pair::read(&block)).collect::<Result<_, _>>()?,
        })
    }

    /// The file's contents: PKCS#8 in PEM, the newest first.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let blocks: Vec<_> = self.pairs().map(Pair::to_pem).collect();
        let mut text = Zeroizing::new(String::with_capacity(
            blocks.iter().map(|block| block.len()).sum(),
        ));
        for block in &blocks {
            text.push_str(block);
        }
        text
    }

    /// The half of the newest that the executor gets.
    pub fn public(&self) -> SealPublicKey {
        SealPublicKey(self.newest.public.clone())
    }

    /// The halves of all, the newest first: what is still opened.
    pub fn publics(&self) -> impl Iterator<Item = SealPublicKey> {
        self.pairs().map(|pair| SealPublicKey(pair.public.clone()))
    }

    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

/// Delivery's public key: what seals.
#[derive(Clone, PartialEq, Eq)]
pub struct SealPublicKey(PublicKey);

impl SealPublicKey {
    /// Read a PEM, as `to_pem` or `openssl pkey -pubout` writes it.
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let der = read_pem(file, PUBLIC_KEY)?;
        der.strip_prefix(SPKI_X25519)
            .and_then(|bytes| PublicKey::from_bytes(bytes).ok())
            .map(Self)
            .ok_or(KeyError::WrongKind("public X25519"))
    }

    /// Its name, in the manner of [`KeyId`].
    pub fn kid(&self) -> KeyId {
        KeyId::of(self.0.to_bytes().as_slice())
    }

    /// The file's contents.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let der = [SPKI_X25519, self.0.to_bytes().as_slice()].concat();
        write_pem(PUBLIC_KEY, &der)
    }
}

/// A credential that was just made, and where it must go. Has no `Debug` or `Serialize`.
pub struct Credential {
    /// What lets its holder in.
    pub secret: SecretString,
    /// E.164, from the directory and nowhere else.
    pub destination: SecretString,
    /// When it stops letting anybody in.
    pub expires: OffsetDateTime,
}

/// What a sealed credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A Temporary Access Pass for its owner.
    TemporaryAccessPass,
}

/// Whose credential it is, in which execution and for which ticket: moved elsewhere, it is unreadable.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Binding<'a> {
    /// Whose fleet.
    pub tenant: &'a TenantId,
    /// In which execution.
    pub execution: ExecutionId,
    /// For which ticket.
    pub ticket: &'a TicketId,
    /// Whose credential.
    pub subject: &'a UserId,
    /// What for.
    pub purpose: Purpose,
}

impl Binding<'_> {
    /// The associated data: JSON, so that no two bindings share their bytes.
    fn associated_data(&self) -> Result<Vec<u8>, SealError> {
        serde_json::to_vec(self).map_err(|_| SealError::NotSealed)
    }
}

/// A credential that was opened. Private fields, wiped when dropped; no `Debug`, `Display`, `Serialize` or `Clone`.
pub struct OpenedCredential {
    secret: SecretString,
    destination: SecretString,
    expires: OffsetDateTime,
}

impl OpenedCredential {
    /// What to deliver.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Where to: E.164.
    pub fn destination(&self) -> &SecretString {
        &self.destination
    }

    /// Until when it is of any use.
    pub fn expires(&self) -> OffsetDateTime {
        self.expires
    }
}

/// Why a sealed credential stays shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not one of ours.
    #[error("the sealed credential is malformed")]
    Malformed,
    /// Not made by the executor.
    #[error("the sealed credential does not come from the executor")]
    WrongIssuer,
    /// Altered, sealed to another key, or for another tenant, execution, ticket, subject or purpose. On purpose one answer.
    #[error("the sealed credential cannot be opened here")]
    Unreadable,
    /// Of no use any more.
    #[error("the sealed credential has expired")]
    Expired,
    /// The library refused; nothing was sealed.
    #[error("the credential could not be sealed")]
    NotSealed,
}

impl SealError {
    /// Stable, for problems and for the audit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "sealed_malformed",
            Self::WrongIssuer => "sealed_issuer",
            Self::Unreadable => "sealed_unreadable",
            Self::Expired => "sealed_expired",
            Self::NotSealed => "sealed_not_made",
        }
    }
}

impl From<JwsError> for SealError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLong | JwsError::Malformed | JwsError::WrongType | JwsError::WrongAlgorithm => {
                Self::Malformed
            }
            JwsError::UnknownKey => Self::WrongIssuer,
            JwsError::BadSignature => Self::Unreadable,
        }
    }
}

/// What is inside, on the way in: borrows the secrets where they are.
#[derive(Serialize)]
struct Inside<'a> {
    secret: &'a str,
    destination: &'a str,
    expires: i64,
}

/// What is inside, on the way out: straight into types that wipe themselves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outside {
    secret: SecretString,
    destination: SecretString,
    expires: i64,
}

/// Seal `credential` to delivery, in the executor's name.
///
/// # Errors
/// [`SealError::WrongIssuer`] where `from` is not the executor's, [`SealError::NotSealed`] where the library refuses.
pub fn seal(
    credential: &Credential,
    binding: &Binding<'_>,
    to: &SealPublicKey,
    from: &Identity,
    rng: &mut impl CryptoRng,
) -> Result<SealedCredential, SealError> {
    if from.service() != Service::Executor {
        return Err(SealError::WrongIssuer);
    }
    let inside = Inside {
        secret: credential.secret.expose_secret(),
        destination: credential.destination.expose_secret(),
        expires: credential.expires.unix_timestamp(),
    };
    // Room from the start: a buffer that grows leaves copies behind that nobody wipes.
    let mut clear = Zeroizing::new(Vec::with_capacity(1024));
    serde_json::to_writer(&mut *clear, &inside).map_err(|_| SealError::NotSealed)?;
    let (encapped, mut context) =
        hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeS::Base, &to.0, INFO, rng)
            .map_err(|_| SealError::NotSealed)?;
    let sealed = context
        .seal(&clear, &binding.associated_data()?)
        .map_err(|_| SealError::NotSealed)?;
    let payload = [encapped.to_bytes().as_slice(), &sealed].concat();
    let text = jws::sign(from.signing_key(), TYP, &payload).map_err(|_| SealError::NotSealed)?;
    if text.len() > LONGEST_BYTES {
        return Err(SealError::NotSealed);
    }
    Ok(SealedCredential::from_text(text))
}

/// Open what the executor sealed for exactly this binding.
pub fn open(
    sealed: &SealedCredential,
    binding: &Binding<'_>,
    key: &SealKey,
    trusted: &TrustedKeys,
    now: OffsetDateTime,
) -> Result<OpenedCredential, SealError> {
    let signed = jws::verify(sealed.as_text(), TYP, trusted, LONGEST_BYTES)?;
    if signed.by != Service::Executor {
        return Err(SealError::WrongIssuer);
    }
    let (encapped, sealed) = signed
        .payload
        .split_at_checked(ENCAPPED_BYTES)
        .ok_or(SealError::Malformed)?;
    let encapped = EncappedKey::from_bytes(encapped).map_err(|_| SealError::Malformed)?;
    let associated = binding.associated_data()?;
    // Nothing says to which of delivery's keys it was sealed, and there are two at most for as long as they overlap.
    let clear = key
        .pairs()
        .find_map(|pair| unseal(pair, &encapped, sealed, &associated))
        .ok_or(SealError::Unreadable)?;
    let outside: Outside = serde_json::from_slice(&clear).map_err(|_| SealError::Malformed)?;
    let expires = OffsetDateTime::from_unix_timestamp(outside.expires).map_err(|_| SealError::Malformed)?;
    if expires > now + LONGEST_LIFE {
        return Err(SealError::Malformed);
    }
    if expires <= now {
        return Err(SealError::Expired);
    }
    Ok(OpenedCredential {
        secret: outside.secret,
        destination: outside.destination,
        expires,
    })
}

fn unseal(
    pair: &Pair,
    encapped: &EncappedKey,
    sealed: &[u8],
    associated: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeR::Base,
        &pair.private,
        encapped,
        INFO,
    )
    .ok()?;
    context.open(sealed, associated).map(Zeroizing::new).ok()
}

/// The name of one sealing, for telling two apart without opening either.
pub fn fingerprint(sealed: &SealedCredential) -> Digest {
    Digest::of(sealed.as_text())
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
