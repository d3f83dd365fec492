//! The directory: people, managers, roles, phone methods and Temporary Access Passes by Microsoft Graph; MFA pushes by
//! the connector ([`mfa`]).
//!
//! Never follows a link to another host than the configured one, and never sets a password.
//!
//! Source: `Microsoft Graph and the Entra MFA connector` contract.

pub(crate) mod client;
mod pass;
mod people;

pub mod mfa;

use secrecy::SecretString;
use url::Url;

pub use client::Entra;
pub use pass::{Pass, PassInfo, PassPolicy};
pub use people::LookupError;

/// How to reach a directory.
#[derive(Debug, Clone)]
pub struct EntraSettings {
    /// For instance `https://login.microsoftonline.com`.
    pub login_url: Url,
    /// For instance `https://graph.microsoft.com/v1.0`.
    pub graph_url: Url,
    /// Directory id or a verified domain of the customer's tenant.
    pub tenant_id: String,
    /// App id of our registration.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
}
