//! Twilio's webhooks: the signature over the configured URL and all parameters, and the two forms. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::MessageStatus;
use crate::phone::PhoneNumber;

/// The request is not from Twilio; answer a bare 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No signature.
    #[error("the request carries no signature")]
    Missing,
    /// A wrong one.
    #[error("the request's signature is wrong")]
    Wrong,
}

impl Refused {
    /// Stable: of the audit.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Wrong => "signature",
        }
    }
}

/// A decoded form: all parameters, untrimmed, repeated ones too. No `Debug`: it holds texts and numbers.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Decode `application/x-www-form-urlencoded`.
    pub fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Names in order, for each its distinct values in order, everything joined without separators.
    fn signed(&self) -> String {
        let sorted: BTreeSet<&(String, String)> = self.0.iter().collect();
        sorted
            .into_iter()
            .flat_map(|(name, value)| [name.as_str(), value.as_str()])
            .collect()
    }
}

/// Check `X-Twilio-Signature` of a form POST. `url` is the one Twilio was given, byte for byte (from `PUBLIC_URL`), not
/// what a proxy forwards.
///
/// Source: contract, section 6.
pub fn verify_form(
    auth_token: &SecretString,
    url: &str,
    form: &Form,
    signature: Option<&str>,
) -> Result<(), Refused> {
    verify(auth_token, url, &form.signed(), signature)
}

/// Check `X-Twilio-Signature` of a request with another body, whose hash is in the URL's `bodySHA256`.
pub fn verify_body(
    auth_token: &SecretString,
    url: &str,
    body: &[u8],
    signature: Option<&str>,
) -> Result<(), Refused> {
    let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, claimed) = pairs
        .find(|(name, _)| name == "bodySHA256")
        .ok_or(Refused::Missing)?;
    let actual = hex::encode(Sha256::digest(body));
    // The hash is no secret; the signature below proves that it is Twilio's.
    if *claimed != *actual {
        return Err(Refused::Wrong);
    }
    verify(auth_token, url, "", signature)
}

fn verify(
    auth_token: &SecretString,
    url: &str,
    parameters: &str,
    signature: Option<&str>,
) -> Result<(), Refused> {
    let signature = signature.ok_or(Refused::Missing)?;
    let signature = STANDARD.decode(signature.trim()).map_err(|_| Refused::Wrong)?;
    let keyed = Hmac::<Sha1>::new_from_slice(auth_token.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    // Every variant is tried, whichever matches, so that the time does not tell which.
    let matching = variants(url).into_iter().fold(false, |matching, url| {
        let mut mac = keyed.clone();
        mac.update(url.as_bytes());
        mac.update(parameters.as_bytes());
        mac.verify_slice(&signature).is_ok() | matching
    });
    if matching { Ok(()) } else { Err(Refused::Wrong) }
}

/// The forms of the URL that Twilio's signers use: without a port and with one, and each with its query in the legacy
/// encoding. An apostrophe in a query is signed as it was configured, or as browsers write it.
fn variants(url: &str) -> Vec<String> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let written = [url.to_owned(), quoted_query(url), legacy_query(url)];
    let ports = |url: &String| <[String; 2]>::from(ports(url));
    written.iter().flat_map(ports).collect()
}

fn quoted_query(url: &str) -> String {
    url.split_once('?').map_or_else(
        || url.to_owned(),
        |(path, query)| format!("{path}?{}", query.replace('\'', "%27")),
    )
}

/// Cut by hand: a URL library would normalise what must stay as it was configured.
fn ports(url: &str) -> (String, String) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), url.to_owned());
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (credentials, host) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (format!("{credentials}@"), host),
        None => (String::new(), authority),
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port)
        }
        _ => (
            host,
            if scheme.eq_ignore_ascii_case("https") {
                "443"
            } else {
                "80"
            },
        ),
    };
    (
        format!("{scheme}://{credentials}{host}{path}"),
        format!("{scheme}://{credentials}{host}:{port}{path}"),
    )
}

/// The query as JavaScript's `querystring` writes it: the apostrophe and `!()*` as they are, a space as `%20`.
fn legacy_query(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let written = |text: &str| {
        let mut written = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => written.push(char::from(byte)),
                b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => {
                    written.push(char::from(byte));
                }
                other => {
                    // Writing into a `String` can't fail.
                    let _ = write!(written, "%{other:02X}");
                }
            }
        }
        written
    };
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", written(&name), written(&value)))
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

/// How far a message got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// `SM...`.
    pub sid: String,
    /// Must be ours.
    pub account_sid: String,
    /// How far.
    pub status: MessageStatus,
    /// Why it failed, where it did.
    pub error_code: Option<u32>,
}

/// An SMS to our number.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundSms {
    /// `SM...`; the same one twice is the same message.
    pub sid: String,
    /// Must be ours.
    pub account_sid: String,
    /// The number it claims to be from.
    pub from: PhoneNumber,
    /// Our number.
    pub to: PhoneNumber,
    /// Its text, trimmed. Untrusted.
    pub body: String,
}

/// The form lacks what it must have; answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the form lacks `{0}`, or it makes no sense")]
pub struct BadForm(pub &'static str);

fn present<'a>(form: &'a Form, name: &'static str) -> Result<&'a str, BadForm> {
    form.first(name)
        .filter(|value| !value.is_empty())
        .ok_or(BadForm(name))
}

impl TryFrom<&Form> for StatusUpdate {
    type Error = BadForm;
    fn try_from(form: &Form) -> Result<Self, BadForm> {
        Ok(Self {
            sid: present(form, "MessageSid")?.to_owned(),
            account_sid: present(form, "AccountSid")?.to_owned(),
            status: MessageStatus::from_wire(present(form, "MessageStatus")?),
            error_code: form.first("ErrorCode").and_then(|code| code.parse().ok()),
        })
    }
}

impl TryFrom<&Form> for InboundSms {
    type Error = BadForm;
    fn try_from(form: &Form) -> Result<Self, BadForm> {
        let number = |name| present(form, name)?.parse().map_err(|_| BadForm(name));
        Ok(Self {
            sid: present(form, "MessageSid")?.to_owned(),
            account_sid: present(form, "AccountSid")?.to_owned(),
            from: number("From")?,
            to: number("To")?,
            body: form.first("Body").unwrap_or_default().trim().to_owned(),
        })
    }
}

/// The TwiML answer to an inbound SMS, for `text/xml`; `None` for no reply.
pub fn twiml(reply: Option<&str>) -> String {
    let message = reply.map(|text| format!("<Message>{}</Message>", quick_xml::escape::escape(text)));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{}</Response>",
        message.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
