//! The one signed form of the fleet: a compact JWS (RFC 7515) with EdDSA over Ed25519, and nothing else.
//!
//! A general JWT library negotiates: algorithms, optional headers, the system clock. This reads exactly what `sign`
//! writes, so there is nothing to negotiate: one algorithm, one set of headers, one encoding of each byte string.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Service;
use serde::{Deserialize, Serialize};

use crate::keys::{SigningFailed, SigningKey, TrustedKeys, VerifyingKey};

/// Why a text is not a signed message of a trusted service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwsError {
    TooLong,
    Malformed,
    WrongAlgorithm,
    WrongType,
    UnknownKey,
    BadSignature,
}

/// What was signed, and by whom.
pub(crate) struct Signed {
    pub(crate) by: Service,
    pub(crate) payload: Vec<u8>,
}

// Duplicate and unknown members are errors: `deny_unknown_fields` and serde's derived structs see to both.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

const ALGORITHM: &str = "EdDSA";

/// `typ` keeps one kind of message from passing for another that the same key signs.
pub(crate) fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, SigningFailed> {
    let header = Header {
        alg: ALGORITHM,
        typ,
        kid: key.kid().as_str(),
    };
    let header = serde_json::to_vec(&header).map_err(|_| SigningFailed)?;
    let mut text = URL_SAFE_NO_PAD.encode(header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    let signature = key.sign(text.as_bytes())?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(text)
}

/// Check `text`, which may be hostile and of any length.
pub(crate) fn verify(
    text: &str,
    typ: &str,
    trusted: &TrustedKeys,
    longest_bytes: usize,
) -> Result<Signed, JwsError> {
    verify_by(text, typ, longest_bytes, |kid, _| trusted.find(kid))
}

/// The same by keys of one's own choosing: by the key's name, and what was signed with it.
pub(crate) fn verify_by<'k>(
    text: &str,
    typ: &str,
    longest_bytes: usize,
    find: impl FnOnce(&str, &[u8]) -> Option<(Service, &'k VerifyingKey)>,
) -> Result<Signed, JwsError> {
    if text.len() > longest_bytes {
        return Err(JwsError::TooLong);
    }
    let (message, signature) = text.rsplit_once('.').ok_or(JwsError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(JwsError::Malformed)?;
    let header_json = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&header_json).map_err(|_| {
        // `none` tokens often come without a `kid`: name the worse fault.
        match algorithm(&header_json) {
            Some(algorithm) if algorithm != ALGORITHM => JwsError::WrongAlgorithm,
            _ => JwsError::Malformed,
        }
    })?;
    if header.alg != ALGORITHM {
        return Err(JwsError::WrongAlgorithm);
    }
    if header.typ != typ {
        return Err(JwsError::WrongType);
    }
    let payload = decode(payload)?;
    let signature = decode(signature)?;
    let (by, key) = find(header.kid, &payload).ok_or(JwsError::UnknownKey)?;
    if key.accepts(message.as_bytes(), &signature) {
        Ok(Signed { by, payload })
    } else {
        Err(JwsError::BadSignature)
    }
}

fn algorithm(header: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Alg {
        alg: String,
    }
    serde_json::from_slice::<Alg>(header)
        .ok()
        .map(|header| header.alg)
}

fn decode(part: &str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYP: &str = "test";

    fn trusted(key: &SigningKey) -> TrustedKeys {
        let mut trusted = TrustedKeys::new();
        trusted
            .trust(Service::Verification, key.verifying_key().unwrap())
            .unwrap();
        trusted
    }

    fn key() -> SigningKey {
        SigningKey::generate(&mut rand::rng()).unwrap()
    }

    fn forged(header: &str, payload: &[u8], signature: &[u8]) -> String {
        let parts = [header.as_bytes(), payload, signature];
        parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn what_was_signed_comes_back_with_its_signer() {
        let key = key();
        let text = sign(&key, TYP, b"payload").unwrap();
        let signed = verify(&text, TYP, &trusted(&key), 1000).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(
            (signed.by, signed.payload.as_slice()),
            (Service::Verification, b"payload".as_slice())
        );
    }

    #[test]
    fn another_algorithm_is_refused_whatever_it_signs_with() {
        let key = key();
        let kid = key.kid();
        for alg in ["none", "None", "HS256", "RS256", "ES256", "eddsa", ""] {
            let header = format!(r#"{{"alg":"{alg}","typ":"{TYP}","kid":"{kid}"}}"#);
            for signature in [b"".as_slice(), b"anything"] {
                let text = forged(&header, b"{}", signature);
                assert_eq!(
                    verify(&text, TYP, &trusted(&key), 1000).err(),
                    Some(JwsError::WrongAlgorithm),
                    "{alg}"
                );
            }
        }
        let bare = forged(r#"{"alg":"none"}"#, b"{}", b"");
        assert_eq!(
            verify(&bare, TYP, &trusted(&key), 1000).err(),
            Some(JwsError::WrongAlgorithm)
        );
    }

    #[test]
    fn headers_that_we_never_write_are_refused_even_when_signed() {
        let key = key();
        let kid = key.kid();
        let signed = |header: &str| {
            let message = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header),
                URL_SAFE_NO_PAD.encode("{}")
            );
            let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap());
            format!("{message}.{signature}")
        };
        let honest = format!(r#"{{"alg":"EdDSA","typ":"{TYP}","kid":"{kid}"}}"#);
        assert!(verify(&signed(&honest), TYP, &trusted(&key), 1000).is_ok());
        for header in [
            format!(r#"{{"alg":"EdDSA","alg":"EdDSA","typ":"{TYP}","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"{TYP}","kid":"{kid}","jwk":{{}}}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"{TYP}","kid":"{kid}","crit":["b64"],"b64":false}}"#),
            format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
            "[]".to_owned(),
            String::new(),
        ] {
            assert_eq!(
                verify(&signed(&header), TYP, &trusted(&key), 1000).err(),
                Some(JwsError::Malformed),
                "{header}"
            );
        }
    }

    #[test]
    fn one_kind_of_message_does_not_pass_for_another() {
        let key = key();
        let text = sign(&key, "other", b"{}").unwrap();
        assert_eq!(
            verify(&text, TYP, &trusted(&key), 1000).err(),
            Some(JwsError::WrongType)
        );
    }

    #[test]
    fn a_stranger_s_signature_and_endless_or_empty_texts_are_refused() {
        let (key, stranger) = (key(), key());
        let text = sign(&stranger, TYP, b"{}").unwrap();
        assert_eq!(
            verify(&text, TYP, &trusted(&key), 1000).err(),
            Some(JwsError::UnknownKey)
        );
        let borrowed = text.replacen(
            text.split('.').next().unwrap(),
            sign(&key, TYP, b"{}").unwrap().split('.').next().unwrap(),
            1,
        );
        assert_eq!(
            verify(&borrowed, TYP, &trusted(&key), 1000).err(),
            Some(JwsError::BadSignature)
        );
        assert_eq!(
            verify(&"a".repeat(1001), TYP, &trusted(&key), 1000).err(),
            Some(JwsError::TooLong)
        );
        for text in ["", ".", "..", "...", "a.b", "a.b.c.d", "é.é.é"] {
            assert!(verify(text, TYP, &trusted(&key), 1000).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_changed_character_survives(at in 0_usize..2000, with in "[A-Za-z0-9_.=-]") {
            let key = key();
            let text = sign(&key, TYP, b"{\"a\":1}").unwrap();
            let at = at % text.len();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assume!(changed != text);
            prop_assert!(verify(&changed, TYP, &trusted(&key), 1000).is_err());
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in ".{0,300}") {
            let key = key();
            prop_assert!(verify(&text, TYP, &trusted(&key), 1000).is_err());
        }
    }
}
