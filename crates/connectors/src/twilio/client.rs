//! The client.

use std::time::Duration;

use secrecy::SecretString;
use time::OffsetDateTime;
use url::Url;

use super::{Message, TwilioSettings};
use crate::call::CallError;
use crate::phone::PhoneNumber;

/// A message to send.
#[derive(Debug, Clone)]
pub struct Sms {
    /// To whom.
    pub to: PhoneNumber,
    /// Text, at most 1600 characters.
    pub body: SecretString,
    /// Where Twilio tells how far it got.
    pub status_callback: Option<Url>,
    /// How long it may wait in Twilio's queue; clamped to 5 s to 10 h.
    pub validity: Duration,
}

/// An account. Cheap to clone.
#[derive(Clone)]
pub struct Twilio {}

impl Twilio {
    /// A client; nothing is sent yet.
    pub fn new(settings: TwilioSettings, http: reqwest::Client) -> Self {
        todo!()
    }
    /// Send. Not repeatable: after [`CallError::Unknown`], [`Self::find_sent`] tells whether it was created.
    ///
    /// Refused with Twilio's number as code (`21211` no such number, `21610` opted out, ...).
    pub async fn send(&self, sms: &Sms) -> Result<Message, CallError> {
        todo!()
    }
    /// A message as it stands; `None` where Twilio does not know it.
    pub async fn fetch(&self, sid: &str) -> Result<Option<Message>, CallError> {
        todo!()
    }
    /// The newest message that we sent to `to` since then and whose text contains `marker`.
    pub async fn find_sent(&self, to: &PhoneNumber, since: OffsetDateTime, marker: &SecretString) -> Result<Option<Message>, CallError> {
        todo!()
    }
    /// Remove a message's text at Twilio. Safe to repeat. Refused while it is not finished.
    pub async fn redact(&self, sid: &str) -> Result<(), CallError> {
        todo!()
    }
    /// Delete a message at Twilio. Safe to repeat: one that is gone is deleted.
    pub async fn delete(&self, sid: &str) -> Result<(), CallError> {
        todo!()
    }
}
