//! How every service runs: settings, telemetry, the HTTP shell, Postgres, Redis idempotency, access, health, workers,
//! graceful shutdown.
//!
//! It does not know what a ticket is, and a service never builds its own server, pool or middleware.

pub mod access;
mod api;
pub mod audit;
mod body;
mod clock;
mod crowd;
mod describe;
mod docs;
mod extract;
pub mod group_commit;
pub mod health;
pub mod idempotency;
pub mod jwks;
pub mod key_files;
pub mod lease;
mod metrics;
mod observe;
mod oidc;
mod outbound;
mod problem;
mod process;
pub mod refused;
pub mod request_id;
mod rows;
mod serving;
mod sessions;
pub mod settings;
mod shell;
pub mod switches;
pub mod telemetry;
pub mod tripwires;
mod window;
pub mod worker;

pub use access::{Caller, PersonCaller, signed_in};
pub use api::Api;
pub use audit::{AuditEvent, AuditLog};
pub use extract::{Json, Path, Query};
pub use key_files::{KeyFile, Watched};
pub use problem::{ApiError, chain};
pub use process::main;
pub use refused::{Refusal, Refusals, SentBy};
pub use sessions::{Session, Sessions, Transaction};
pub use settings::{BaseSettings, Reader, Settings, SettingsErrors, from_map};
pub use shell::{ServeError, Shell, StartError};
pub use worker::{Did, PATIENCE_WITH_POSTGRES, Wake};

/// Of every process that runs a service, the command line included: reading a playbook and serving a request are many
/// small allocations, which this one makes in half the time of the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
