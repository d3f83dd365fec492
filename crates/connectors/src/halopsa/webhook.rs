//! Inbound webhooks: who sent it, and which tickets it hints at. Pure; facts are read back from HaloPSA afterwards.
//!
//! Source: contract sections 8.2 and 8.3.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::TicketId;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::lenient::Fields;
use super::ticket::ticket_id;

/// How the signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Standard base64.
    Base64,
    /// Hexadecimal, either case.
    Hex,
}

/// How a webhook proves itself.
#[derive(Debug, Clone)]
pub enum WebhookAuth {
    /// HMAC-SHA256 over the raw body.
    Signature {
        /// Header that carries it, for instance `Token`.
        header: String,
        /// Text before the signature; may be empty.
        prefix: String,
        /// How it is written.
        encoding: Encoding,
        /// The shared secret, used as UTF-8.
        secret: SecretString,
    },
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// Password.
        secret: SecretString,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        secret: SecretString,
    },
}

/// The webhook does not prove itself; answer a bare 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No proof in it.
    #[error("the webhook carries no proof of its sender")]
    Missing,
    /// A wrong one.
    #[error("the webhook's proof of its sender is wrong")]
    Wrong,
}

impl Refused {
    /// Stable: of the audit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "proof_missing",
            Self::Wrong => "proof",
        }
    }
}

/// The body is not a webhook of HaloPSA; answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Not JSON.
    #[error("the body is no JSON")]
    NotJson,
    /// Neither an envelope nor a list of them, or one that names no ticket.
    #[error("the body is no ticket event")]
    NotAnEvent,
}

/// A hint that something happened to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketEvent {
    /// Delivery id (a GUID), where there is one.
    pub delivery: Option<String>,
    /// The event in lower case, `_` as space, single spaces: `new ticket logged`, `ticket status changed`, ...
    pub event: String,
    /// The ticket.
    pub ticket: TicketId,
    /// The agent who caused it, where it says so; ours for our own changes.
    pub agent_id: Option<i64>,
    /// When, where it says so.
    pub at: Option<OffsetDateTime>,
}

impl TicketEvent {
    /// The same change told twice has the same key: ticket, event, time; the delivery id where no time is given.
    pub fn deduplication_key(&self) -> String {
        let when = match (self.at, &self.delivery) {
            (Some(at), _) => at.unix_timestamp_nanos().to_string(),
            (None, Some(delivery)) => delivery.clone(),
            (None, None) => String::new(),
        };
        format!("{}/{}/{when}", self.ticket, self.event)
    }
}

impl WebhookAuth {
    /// Check the proof over the raw bytes, in constant time. Do this before reading the body.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
        let proven = match self {
            Self::Signature {
                header,
                prefix,
                encoding,
                secret,
            } => {
                let carried = carried(headers, header)?;
                let signature = carried.strip_prefix(prefix.as_str()).ok_or(Refused::Wrong)?;
                let digest = encoding.decode(signature.trim()).ok_or(Refused::Wrong)?;
                // HMAC takes keys of any length, so the error can't happen; it would refuse.
                Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
                    .is_ok_and(|mac| mac.chain_update(body).verify_slice(&digest).is_ok())
            }
            Self::Basic { username, secret } => {
                let carried = scheme(carried(headers, AUTHORIZATION.as_str())?, "basic")?;
                let carried = STANDARD.decode(carried).map_err(|_| Refused::Wrong)?;
                let expected = format!("{username}:{}", secret.expose_secret());
                same(&carried, expected.as_bytes())
            }
            Self::Bearer { secret } => {
                let carried = scheme(carried(headers, AUTHORIZATION.as_str())?, "bearer")?;
                same(carried.as_bytes(), secret.expose_secret().as_bytes())
            }
        };
        if proven { Ok(()) } else { Err(Refused::Wrong) }
    }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Base64 => STANDARD.decode(text).ok(),
            Self::Hex => hex::decode(text).ok(),
        }
    }
}

fn carried<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refused> {
    let value = headers.get(name).ok_or(Refused::Missing)?;
    value.to_str().map_err(|_| Refused::Wrong)
}

/// What follows the scheme, whose case does not matter.
fn scheme<'a>(carried: &'a str, expected: &str) -> Result<&'a str, Refused> {
    match carried.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(expected) => Ok(rest.trim()),
        _ => Err(Refused::Wrong),
    }
}

/// Equal, in a time that does not tell where they differ. Hashed first, so that it does not tell the length either.
fn same(one: &[u8], other: &[u8]) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

/// Read one event or a batch of them. The ticket's own members are not read: they may be old, forged or display texts.
pub fn parse(body: &[u8]) -> Result<Vec<TicketEvent>, BadBody> {
    let body: Value = serde_json::from_slice(body).map_err(|_| BadBody::NotJson)?;
    let envelopes = match &body {
        Value::Array(envelopes) => envelopes.as_slice(),
        one => std::slice::from_ref(one),
    };
    if envelopes.is_empty() {
        return Err(BadBody::NotAnEvent);
    }
    envelopes
        .iter()
        .map(|envelope| event(envelope).ok_or(BadBody::NotAnEvent))
        .collect()
}

fn event(envelope: &Value) -> Option<TicketEvent> {
    let fields = Fields::of(envelope)?;
    // The top-level `id` is the delivery's. In a payload without envelope it is the ticket's, and a number.
    let bare = || {
        fields
            .value(&["summary", "status_id"])
            .and_then(|_| ticket_id(fields, &["id"]))
    };
    let nested = || ticket_id(Fields::of(fields.value(&["ticket"])?)?, &["id"]);
    let ticket = ticket_id(fields, &["object_id"]).or_else(nested).or_else(bare)?;
    let event = fields
        .text(&["event"])
        .unwrap_or_default()
        .replace('_', " ")
        .to_lowercase();
    Some(TicketEvent {
        delivery: fields.text(&["id"]),
        event: event.split_whitespace().collect::<Vec<_>>().join(" "),
        ticket,
        agent_id: fields.id(&["agent_id"]),
        at: fields.moment(&["timestamp"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &[u8] = include_bytes!("../../tests/data/halo-new-ticket.json");
    const UPDATED: &[u8] = include_bytes!("../../tests/data/halo-ticket-updated.json");
    const STATUS: &[u8] = include_bytes!("../../tests/data/halo-status-changed.json");
    const EVENT_ONLY: &[u8] = include_bytes!("../../tests/data/halo-event-only.json");
    const BATCH: &[u8] = include_bytes!("../../tests/data/halo-batched-guess.json");
    const DISPLAY: &[u8] = include_bytes!("../../tests/data/halo-display-values-guess.json");

    fn tickets(body: &[u8]) -> Vec<(String, String)> {
        let events = parse(body).unwrap();
        events
            .into_iter()
            .map(|event| (event.ticket.to_string(), event.event))
            .collect()
    }

    fn pair(ticket: &str, event: &str) -> (String, String) {
        (ticket.to_owned(), event.to_owned())
    }

    #[test]
    fn every_sample_names_its_ticket_and_event() {
        assert_eq!(tickets(NEW), [pair("4242", "new ticket logged")]);
        assert_eq!(tickets(UPDATED), [pair("4242", "ticket updated by user")]);
        assert_eq!(tickets(STATUS), [pair("4242", "ticket status changed")]);
        assert_eq!(tickets(EVENT_ONLY), [pair("4243", "new ticket logged")]);
        assert_eq!(tickets(DISPLAY), [pair("4246", "new ticket logged")]);
        assert_eq!(
            tickets(BATCH),
            [
                pair("4244", "new ticket logged"),
                pair("4245", "new ticket logged")
            ]
        );
    }

    #[test]
    fn the_envelope_tells_delivery_agent_and_time() {
        let event = parse(STATUS).unwrap().remove(0);
        assert_eq!(
            event.delivery.as_deref(),
            Some("8e25bc7b-e07e-4102-9398-5d6647e1e79d")
        );
        assert_eq!(event.agent_id, Some(3));
        assert_eq!(
            event.at,
            Some(time::macros::datetime!(2026-09-25 06:41:08.7895915 UTC))
        );
        let again = parse(STATUS).unwrap().remove(0);
        assert_eq!(event.deduplication_key(), again.deduplication_key());
    }

    #[test]
    fn a_bare_ticket_is_a_hint_too_and_nonsense_is_refused() {
        assert_eq!(
            tickets(br#"{"id": 7, "summary": "x", "status_id": 1}"#),
            [pair("7", "")]
        );
        assert_eq!(
            tickets(br#"{"event": "New_Ticket  Logged", "ticket": {"id": "9"}}"#),
            [pair("9", "new ticket logged")]
        );
        assert_eq!(parse(b"{"), Err(BadBody::NotJson));
        for body in [
            "[]",
            "1",
            "{}",
            r#"{"id": "8e25bc7b"}"#,
            r#"[{"object_id": 1}, 3]"#,
            r#"{"object_id": "4.5"}"#,
        ] {
            assert_eq!(parse(body.as_bytes()), Err(BadBody::NotAnEvent), "{body}");
        }
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    fn signature(prefix: &str, encoding: Encoding) -> WebhookAuth {
        WebhookAuth::Signature {
            header: "Token".to_owned(),
            prefix: prefix.to_owned(),
            encoding,
            secret: "test-shared-secret".into(),
        }
    }

    #[test]
    fn the_official_signature_vector_is_accepted_and_nothing_near_it() {
        let vector: Value =
            serde_json::from_str(include_str!("../../tests/data/halo-signature-vector.json")).unwrap();
        let text = |name: &str| vector[name].as_str().unwrap().to_owned();
        let body = text("raw_body").into_bytes();
        let (base64, hex) = (text("expected_header_value_base64"), text("same_digest_hex"));

        assert_eq!(
            signature("", Encoding::Base64).verify(&headers("token", &base64), &body),
            Ok(())
        );
        assert_eq!(
            signature("", Encoding::Hex).verify(&headers("token", &hex), &body),
            Ok(())
        );
        let prefixed = headers("token", &format!("sha256={hex}"));
        assert_eq!(
            signature("sha256=", Encoding::Hex).verify(&prefixed, &body),
            Ok(())
        );

        let auth = signature("", Encoding::Base64);
        let mut tampered = body.clone();
        tampered.push(b' ');
        assert_eq!(
            auth.verify(&headers("token", &base64), &tampered),
            Err(Refused::Wrong)
        );
        assert_eq!(auth.verify(&headers("token", &hex), &body), Err(Refused::Wrong));
        assert_eq!(auth.verify(&headers("token", ""), &body), Err(Refused::Wrong));
        assert_eq!(
            auth.verify(&headers("x-token", &base64), &body),
            Err(Refused::Missing)
        );
    }

    #[test]
    fn basic_and_bearer_are_exact() {
        let basic = WebhookAuth::Basic {
            username: "halo".to_owned(),
            secret: "s3cret".into(),
        };
        let right = format!("Basic {}", STANDARD.encode("halo:s3cret"));
        assert_eq!(basic.verify(&headers("authorization", &right), b""), Ok(()));
        let wrong = format!("Basic {}", STANDARD.encode("halo:s3cre"));
        assert_eq!(
            basic.verify(&headers("authorization", &wrong), b""),
            Err(Refused::Wrong)
        );
        assert_eq!(basic.verify(&HeaderMap::new(), b""), Err(Refused::Missing));

        let bearer = WebhookAuth::Bearer {
            secret: "s3cret".into(),
        };
        assert_eq!(
            bearer.verify(&headers("authorization", "bearer s3cret"), b""),
            Ok(())
        );
        assert_eq!(
            bearer.verify(&headers("authorization", &right), b""),
            Err(Refused::Wrong)
        );
    }
}
