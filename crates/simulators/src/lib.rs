//! The outside world in a box: HaloPSA, Entra (login, Graph, MFA connector), OpenAI, Teams and Twilio, each on its
//! own port, speaking the vendors' wire protocols as `contracts/` tells them.
//!
//! Written from the vendors' documentation and never from our clients: a request that the vendor would refuse is
//! refused here. It keeps state, pushes webhooks signed as the vendor signs them, and can be scripted to be slow,
//! down, late, or to answer twice, by typed handles or over HTTP under `/_sim/`. It holds nothing that is real.

mod clock;
mod control;
mod core;
mod gateway;
mod keys;
mod text;
mod tokens;
mod wire;

pub mod company;
pub mod entra;
pub mod faults;
pub mod halo;
pub mod journal;
pub mod openai;
pub mod settings;
pub mod teams;
pub mod twilio;
pub mod world;

pub use gateway::Targets;
pub use journal::{Entry, Event, Journal, NotSeen};
pub use keys::KeyError;
pub use settings::{Listen, Secrets, Urls, WorldSettings};
pub use wire::LoggedRequest;
pub use world::{StartError, World};

use serde::{Deserialize, Serialize};

/// One of the five simulated systems, each with a port, a request log and faults of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// The help desk.
    Halo,
    /// Entra login, Microsoft Graph, the MFA connector, people's tokens.
    Entra,
    /// An OpenAI-compatible model.
    OpenAi,
    /// Teams and the Bot Framework.
    Teams,
    /// Text messages.
    Twilio,
}
