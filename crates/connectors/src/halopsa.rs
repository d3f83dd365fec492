//! The help desk: reads tickets, users and lookups, writes notes, custom fields and statuses of one HaloPSA tenant.
//!
//! Never deletes anything, and says `hiddenfromuser` and `dont_do_rules` on every write.
//!
//! Source: `HaloPSA / HaloITSM REST API` contract, sections 1 to 5.

mod client;
mod lenient;
mod lookups;
mod ticket;
mod wire;
mod write;

pub mod webhook;

use secrecy::SecretString;
use url::Url;

pub use client::Halo;
pub use lookups::{HaloUser, Status};
pub use ticket::{Action, Changes, CustomField, Seen, Ticket, TicketRef, TicketStub};
pub use write::{Agent, NewNote, Outcome, TicketFields, TicketNotes};

/// The agent number that means "nobody".
pub const UNASSIGNED: i64 = 1;

/// How to reach a tenant of HaloPSA. None of the addresses is derived from another.
#[derive(Debug, Clone)]
pub struct HaloSettings {
    /// Resource server, for instance `https://acme.halopsa.com/api`.
    pub resource_url: Url,
    /// Authorisation server, for instance `https://acme.halopsa.com/auth`.
    pub auth_url: Url,
    /// Tenant name for a shared authorisation server; `None` for self-hosted ones.
    pub tenant: Option<String>,
    /// Client id of the API application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Most requests in any five minutes from this process; beyond it calls answer `Busy`. `None`: no limit of our own.
    pub rate_per_5min: Option<u32>,
}
