//! A whole fleet on one machine: a private Postgres and Redis, migrations, the six services and the simulated outside
//! world. `firstline up`, `firstline demo` and all tests with a database stand on it. No service may depend on it.

pub mod keys;
pub mod migrate;
pub mod servers;
pub mod testing;
mod tripwires;

#[cfg(feature = "fleet")]
pub mod database;
#[cfg(feature = "fleet")]
pub mod fleet;
#[cfg(feature = "fleet")]
pub mod people;
#[cfg(feature = "fleet")]
pub mod processes;
#[cfg(feature = "fleet")]
pub mod stage;

#[cfg(feature = "fleet")]
pub use database::Database;
#[cfg(feature = "fleet")]
pub use fleet::{Fleet, FleetError, FleetSettings, Ports, SettingsMap};
pub use migrate::migrate;
#[cfg(feature = "fleet")]
pub use processes::Processes;
pub use servers::{Servers, ServersError};
#[cfg(feature = "fleet")]
pub use stage::{Stage, StageError, StageSettings};
pub use tripwires::NO_TRIPWIRES;
