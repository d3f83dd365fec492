//! Twilio's webhooks: the signature over the configured URL and all parameters, and the two forms. Pure.

use secrecy::SecretString;
use url::Url;

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

/// A decoded form: all parameters, untrimmed, repeated ones too. No `Debug`: it holds texts and numbers.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Decode `application/x-www-form-urlencoded`.
    pub fn parse(body: &[u8]) -> Self {
        todo!()
    }
    /// The first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        todo!()
    }
}

/// Check `X-Twilio-Signature` of a form POST. `url` is the one Twilio was given, byte for byte (from `PUBLIC_URL`).
pub fn verify_form(auth_token: &SecretString, url: &str, form: &Form, signature: Option<&str>) -> Result<(), Refused> {
    todo!()
}

/// Check `X-Twilio-Signature` of a request with another body, whose hash is in the URL's `bodySHA256`.
pub fn verify_body(auth_token: &SecretString, url: &str, body: &[u8], signature: Option<&str>) -> Result<(), Refused> {
    todo!()
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

impl TryFrom<&Form> for StatusUpdate {
    type Error = BadForm;
    fn try_from(form: &Form) -> Result<Self, BadForm> {
        todo!()
    }
}

impl TryFrom<&Form> for InboundSms {
    type Error = BadForm;
    fn try_from(form: &Form) -> Result<Self, BadForm> {
        todo!()
    }
}

/// The TwiML answer to an inbound SMS: `text/xml`; `None` for no reply.
pub fn twiml(reply: Option<&str>) -> String {
    todo!()
}

#[expect(unused, reason = "placeholder")]
fn _url(_: Url) {}
