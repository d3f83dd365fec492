//! The SMS gateway: sends, looks up and redacts messages; checks and reads its webhooks.
//!
//! A message's text is a secret from here on: it has no `Debug`.
//!
//! Source: `Twilio Programmable Messaging (SMS)` contract.

mod client;
mod message;

pub mod webhook;

use secrecy::SecretString;
use url::Url;

pub use client::{Sms, Twilio, meaning};
pub use message::{Message, MessageStatus};

use crate::phone::PhoneNumber;

/// How to reach an account.
#[derive(Debug, Clone)]
pub struct TwilioSettings {
    /// For instance `https://api.twilio.com`.
    pub url: Url,
    /// `AC...`.
    pub account_sid: String,
    /// Primary token; also the key of webhook signatures.
    pub auth_token: SecretString,
    /// Our number.
    pub from: PhoneNumber,
}
