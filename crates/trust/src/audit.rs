//! The chains of the audit: what the digest of an event is over, how links follow each other, and how their heads are
//! signed. Whoever has the events, the seals and the public keys can check all of it anywhere.
//!
//! `digest = SHA-256(JCS(event))` (RFC 8785), `link[n] = SHA-256(link[n-1] || digest[n])` with 32 zero bytes before the
//! first. A seal is a JWS over heads, with the digest of the seal before it.

mod records;
mod walk;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Service, TenantId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use crate::jws::{self, JwsError};
use crate::keys::{Identity, SigningFailed, TrustedKeys};

pub use records::{Holds, Named, record_digest};
pub use walk::{Broken, Place, Walk};

const TYP: &str = "firstline-audit-seal";
/// Heads in one seal: what one signature proves, and what an exported proof has to carry along.
pub const HEADS_IN_SEAL: usize = 256;
/// Far above the longest seal that is ever made.
const LONGEST_BYTES: usize = 256 * 1024;

/// 32 bytes, written as 64 lower-case hex digits: a digest of an event or a seal, or a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands before the first event of a chain, and before the first seal.
    pub const NONE: Self = Self([0; 32]);

    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// As a column holds it; `None` where it is not 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The link after this one, of an event with this digest.
    pub fn then(self, digest: Self) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(digest.0);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).ok().and_then(|bytes| Self::from_bytes(&bytes));
        bytes.ok_or_else(|| serde::de::Error::custom("64 hex digits expected"))
    }
}

/// Which chain: of a service, for one execution or for what belongs to none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose events.
    pub service: Service,
    /// The execution, if it is one's.
    pub execution: Option<Uuid>,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tenant,
            service,
            execution,
        } = self;
        match execution {
            Some(execution) => write!(f, "{service}'s chain of execution {execution} ({tenant})"),
            None => write!(f, "{service}'s chain of what belongs to no execution ({tenant})"),
        }
    }
}

/// An event, as its digest is over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The tenant.
    pub tenant: TenantId,
    /// Who wrote it down.
    pub service: Service,
    /// Version 7.
    pub id: Uuid,
    /// The ticket it belongs to.
    pub ticket: Option<String>,
    /// The execution it belongs to.
    pub execution: Option<Uuid>,
    /// What happened.
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// Ids, codes, digests.
    pub detail: serde_json::Value,
    /// When, to the microsecond.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Event {
    /// The chain it stands in.
    pub fn chain(&self) -> Chain {
        Chain {
            tenant: self.tenant.clone(),
            service: self.service,
            execution: self.execution,
        }
    }

    /// SHA-256 over its canonical form: an object with the nine members, RFC 8785, `at` with exactly six decimals in UTC.
    /// `None` where `at` is not in the calendar of RFC 3339.
    pub fn digest(&self) -> Option<Hash> {
        digest(&EventRef {
            tenant: self.tenant.as_str(),
            service: self.service.name(),
            id: self.id,
            ticket: self.ticket.as_deref(),
            execution: self.execution,
            kind: &self.kind,
            actor: &self.actor,
            detail: &self.detail,
            at: self.at,
        })
    }
}

/// The same, borrowed from wherever it is about to be written down from.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as of `Event`")]
pub struct EventRef<'e> {
    pub tenant: &'e str,
    pub service: &'e str,
    pub id: Uuid,
    pub ticket: Option<&'e str>,
    pub execution: Option<Uuid>,
    pub kind: &'e str,
    pub actor: &'e str,
    pub detail: &'e serde_json::Value,
    pub at: OffsetDateTime,
}

/// What the digest is over, borrowed: one is made for every event that is written down.
#[derive(Serialize)]
struct Canonical<'e> {
    actor: &'e str,
    at: &'e str,
    detail: &'e serde_json::Value,
    execution: Option<Uuid>,
    id: Uuid,
    kind: &'e str,
    service: &'e str,
    tenant: &'e str,
    ticket: Option<&'e str>,
}

/// Every whole number up to here is a double (RFC 7493, section 2.2).
const EXACT_AS_DOUBLE: u64 = (1 << 53) - 1;

/// See [`Event::digest`].
pub fn digest(event: &EventRef<'_>) -> Option<Hash> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let at = event.at.to_offset(time::UtcOffset::UTC).format(&format).ok()?;
    let event = Canonical {
        actor: event.actor,
        at: &at,
        detail: event.detail,
        execution: event.execution,
        id: event.id,
        kind: event.kind,
        service: event.service,
        tenant: event.tenant,
        ticket: event.ticket,
    };
    let canonical = if is_plain(event.detail) {
        serde_json::to_vec(&event)
    } else {
        serde_json_canonicalizer::to_vec(&event)
    };
    canonical.ok().map(|canonical| Hash::of(&canonical))
}

/// Whether `serde_json` writes it as RFC 8785 does, a tenth of the work: strings are written alike by both; names are in
/// their order, and in ASCII, where the order of UTF-16 is that of bytes; numbers are whole and exact as doubles.
fn is_plain(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number
            .as_i64()
            .is_some_and(|number| number.unsigned_abs() <= EXACT_AS_DOUBLE),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(members) => {
            members.keys().is_sorted()
                && members
                    .iter()
                    .all(|(name, value)| name.is_ascii() && is_plain(value))
        }
    }
}

/// The last link of a chain when it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The execution of the chain, if it is one's.
    pub execution: Option<Uuid>,
    /// How many events it has.
    pub seq: u64,
    /// The link of the last.
    pub link: Hash,
}

/// What a seal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Who signs: its own chains.
    pub iss: Service,
    /// The tenant.
    pub tenant: TenantId,
    /// When, seconds since 1970.
    pub iat: i64,
    /// The digest of the seal before it, of the same service and tenant.
    pub before: Hash,
    /// At most [`HEADS_IN_SEAL`].
    pub heads: Vec<Head>,
}

/// Why a text is no seal of a service of this fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealBroken {
    /// It was changed, or signed by nobody we know.
    #[error("it is not signed by a key of this fleet")]
    Signature,
    /// It is none.
    #[error("it is no seal")]
    Malformed,
    /// Signed by one service in the name of another.
    #[error("it is signed in the name of another service")]
    WrongIssuer,
}

impl Seal {
    /// The signed text.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, identity: &Identity) -> Result<String, SigningFailed> {
        let payload = serde_json::to_vec(self).map_err(|_| SigningFailed)?;
        jws::sign(identity.signing_key(), TYP, &payload)
    }

    /// Read `text`, which may be hostile. What a key signed before it was retired stays signed.
    ///
    /// # Errors
    /// It is no seal of a trusted service.
    pub fn open(text: &str, trusted: &TrustedKeys) -> Result<Self, SealBroken> {
        let of_its_time = |kid: &str, payload: &[u8]| {
            let seal: Self = serde_json::from_slice(payload).ok()?;
            trusted.find_for_record(kid, OffsetDateTime::from_unix_timestamp(seal.iat).ok()?)
        };
        let signed = jws::verify_by(text, TYP, LONGEST_BYTES, of_its_time).map_err(|error| match error {
            JwsError::UnknownKey | JwsError::BadSignature | JwsError::WrongAlgorithm => SealBroken::Signature,
            JwsError::TooLong | JwsError::Malformed | JwsError::WrongType => SealBroken::Malformed,
        })?;
        let seal: Self = serde_json::from_slice(&signed.payload).map_err(|_| SealBroken::Malformed)?;
        if seal.iss != signed.by {
            return Err(SealBroken::WrongIssuer);
        }
        Ok(seal)
    }

    /// The heads that `text` says it is over, whoever signed it: to find the seal that is then to be opened.
    pub fn heads_unverified(text: &str) -> Vec<Head> {
        let payload = text
            .split('.')
            .nth(1)
            .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        let seal = payload.and_then(|payload| serde_json::from_slice::<Self>(&payload).ok());
        seal.map(|seal| seal.heads).unwrap_or_default()
    }

    /// The ends of chains that it signs.
    pub fn ends(self) -> impl Iterator<Item = (Chain, Place)> {
        let Self {
            iss, tenant, heads, ..
        } = self;
        heads.into_iter().map(move |head| {
            let chain = Chain {
                tenant: tenant.clone(),
                service: iss,
                execution: head.execution,
            };
            let place = Place {
                seq: head.seq,
                link: head.link,
            };
            (chain, place)
        })
    }

    /// What the seal after the one with this text names.
    pub fn digest(text: &str) -> Hash {
        Hash::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::FleetKeys;
    use proptest::prelude::*;
    use serde_json::json;
    use time::macros::datetime;

    fn event() -> Event {
        Event {
            tenant: "default".parse().unwrap(),
            service: Service::Executor,
            id: Uuid::from_u128(7),
            ticket: Some("4242".to_owned()),
            execution: Some(Uuid::from_u128(1)),
            kind: "effect.done".to_owned(),
            actor: "service:executor".to_owned(),
            detail: json!({"b": 1.0, "a": "ö"}),
            at: datetime!(2026-03-02 09:15:00.123456 UTC),
        }
    }

    #[test]
    fn the_digest_is_over_the_written_form_and_nothing_else() {
        let canonical = "{\"actor\":\"service:executor\",\"at\":\"2026-03-02T09:15:00.123456Z\",\
            \"detail\":{\"a\":\"ö\",\"b\":1},\"execution\":\"00000000-0000-0000-0000-000000000001\",\
            \"id\":\"00000000-0000-0000-0000-000000000007\",\"kind\":\"effect.done\",\"service\":\"executor\",\
            \"tenant\":\"default\",\"ticket\":\"4242\"}";
        assert_eq!(event().digest(), Some(Hash::of(canonical.as_bytes())));
    }

    #[test]
    fn every_member_counts() {
        let sound = event().digest();
        let changes: [fn(&mut Event); 9] = [
            |event| event.tenant = "other".parse().unwrap(),
            |event| event.service = Service::Delivery,
            |event| event.id = Uuid::from_u128(8),
            |event| event.ticket = None,
            |event| event.execution = None,
            |event| event.kind.push('x'),
            |event| event.actor.push('x'),
            |event| event.detail = json!({}),
            |event| event.at += time::Duration::MICROSECOND,
        ];
        for (nth, change) in changes.iter().enumerate() {
            let mut changed = event();
            change(&mut changed);
            assert_ne!(changed.digest(), sound, "change {nth}");
        }
    }

    fn seal() -> Seal {
        Seal {
            iss: Service::Executor,
            tenant: "default".parse().unwrap(),
            iat: 1_800_000_000,
            before: Hash::NONE,
            heads: vec![Head {
                execution: None,
                seq: 3,
                link: Hash::of(b"x"),
            }],
        }
    }

    #[test]
    fn a_seal_is_believed_of_its_own_service_only() {
        let keys = FleetKeys::generate(&mut rand::rng()).unwrap();
        let trusted = keys.trusted().unwrap();
        let identity = keys.into_identity(Service::Executor).unwrap();
        let text = seal().sign(&identity).unwrap();
        assert_eq!(Seal::open(&text, &trusted), Ok(seal()));
        let mut borrowed = seal();
        borrowed.iss = Service::Delivery;
        let borrowed = borrowed.sign(&identity).unwrap();
        assert_eq!(Seal::open(&borrowed, &trusted), Err(SealBroken::WrongIssuer));
        let strangers = FleetKeys::generate(&mut rand::rng()).unwrap().trusted().unwrap();
        assert_eq!(Seal::open(&text, &strangers), Err(SealBroken::Signature));
        assert_eq!(Seal::open("", &trusted), Err(SealBroken::Malformed));
    }

    fn detail() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|flag| json!(flag)),
            any::<i64>().prop_map(|whole| json!(whole)),
            (-9_007_199_254_740_993_i64..=9_007_199_254_740_993).prop_map(|whole| json!(whole)),
            (-1e21..1e21).prop_map(|number: f64| json!(number)),
            any::<String>().prop_map(|text| json!(text)),
            "[\\x00-\\x1f\"\\\\/\u{7f}\u{2028}]{0,4}".prop_map(|text| json!(text)),
        ];
        let name = || prop_oneof!["[a-z_]{1,6}", any::<String>(), "[\u{ff5e}\u{1f600}]"];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map(name(), inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    #[test]
    fn what_is_written_the_short_way_is_what_most_events_have() {
        assert!(is_plain(
            &json!({"step": "a", "visit": 1, "positions": [1, 2], "text": null, "why": "\u{e9}\n"})
        ));
        for canonical_only in [
            json!(1.0),
            json!(1_u64 << 53),
            json!(u64::MAX),
            json!({"\u{e9}": 1}),
            json!([{"\u{1f600}": 1}]),
        ] {
            assert!(!is_plain(&canonical_only), "{canonical_only}");
        }
    }

    proptest! {
        #[test]
        fn what_is_plain_is_written_as_rfc_8785_has_it(detail in detail()) {
            if is_plain(&detail) {
                let canonical = serde_json_canonicalizer::to_vec(&detail).unwrap();
                prop_assert_eq!(serde_json::to_vec(&detail).unwrap(), canonical);
            }
        }

        #[test]
        fn numbers_that_went_through_text_have_the_same_digest(bits in any::<u64>(), whole in any::<i64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let mut written = event();
            written.detail = json!({"float": number, "whole": whole});
            let mut read = written.clone();
            read.detail = serde_json::from_str(&written.detail.to_string()).unwrap();
            prop_assert_eq!(written.digest(), read.digest());
        }

        #[test]
        fn links_depend_on_every_event_and_on_their_order(
            digests in proptest::collection::vec(any::<[u8; 32]>(), 2..20),
            at in any::<prop::sample::Index>(),
        ) {
            let fold = |digests: &[[u8; 32]]| digests.iter().fold(Hash::NONE, |link, digest| link.then(Hash(*digest)));
            let sound = fold(&digests);
            let at = at.index(digests.len() - 1);
            let mut swapped = digests.clone();
            swapped.swap(at, at + 1);
            prop_assume!(swapped != digests);
            prop_assert_ne!(fold(&swapped), sound);
            let mut less = digests.clone();
            less.remove(at);
            prop_assert_ne!(fold(&less), sound);
            let mut changed = digests;
            changed[at][0] ^= 1;
            prop_assert_ne!(fold(&changed), sound);
        }
    }
}
