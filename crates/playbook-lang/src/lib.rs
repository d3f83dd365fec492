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
        clippy::indexing_slicing,
        clippy::format_collect,
        clippy::format_push_string
    )
)]

mod check;
mod condition;
mod diff;
mod document;
mod draw;
mod findings;
mod fix;
mod kind;
mod machine;
mod playbook;
mod print;
mod proof;
mod read;
mod registry;
mod retry;
mod roots;
mod simulate;
mod template;
mod trigger;
mod trust;
mod visits;
mod yaml;

pub use check::{Report, Shelf, calls, check, check_bytes, check_calling};
pub use condition::{Condition, Pattern, Test};
pub use diff::{Change, ChangeKind, Weight, diff};
pub use draw::{Taken, mermaid, svg};
pub use findings::code;
pub use fix::{Fixed, fix};
pub use kind::Kind;
pub use machine::{
    Attempt, Call, Closing, Command, Done, Event, Failed, HeldCredential, HeldPermit, IllegalEvent, Machine,
    Moment, NoRetry, Phase, Record, Rules, State, Strand, Transition,
};
pub use playbook::{
    ActionStep, Case, Input, Join, OTHERWISE, Occasion, Parallel, Pause, Playbook, Step, StepKind, Trigger,
    Within,
};
pub use print::format;
pub use proof::Proof;
pub use registry::{Action, Credential, Output, Parameter, Registry, RegistryError};
pub use retry::{Backoff, Retry};
pub use roots::{Facts, Name};
pub use simulate::{
    Answer, Bound, Coverage, Edge, End, Expectation, Run, Scenario, Scenarios, bounds, coverage, edges,
    generate, scenarios, simulate,
};
pub use trigger::{admits, in_words};
pub use trust::{Role, Trust};
pub use yaml::MAX_BYTES;
