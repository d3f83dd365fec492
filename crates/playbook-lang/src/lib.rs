//! The playbook language: read, check, prove, run.
//!
//! Pure: no I/O, no clock, no randomness, no panic. Time and chance come in as a [`Moment`], commands go out as values;
//! orchestration performs them and stores the [`State`]. A [`Playbook`] can only be had from [`check`], so whoever holds
//! one holds a document in which no path acts on an unverified person.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod check;
mod document;
mod findings;
mod machine;
mod playbook;
mod proof;
mod read;
mod registry;
mod retry;
mod template;
mod yaml;

pub use check::{Report, check};
pub use findings::code;
pub use machine::{
    Attempt, Call, Command, Event, HeldCredential, HeldPermit, IllegalEvent, Machine, Moment, Phase, Record,
    Rules, State, Transition,
};
pub use playbook::{ActionStep, Playbook, Step, StepKind};
pub use proof::Proof;
pub use registry::{Action, Credential, Kind, Parameter, Registry, RegistryError};
pub use retry::{Backoff, Retry};
pub use template::{Facts, fill};
pub use yaml::MAX_BYTES;
