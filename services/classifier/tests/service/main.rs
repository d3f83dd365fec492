//! The classifier through its doors: on a real database, against the simulated help desk and directory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: what fails here fails the test"
)]

mod considered;
mod gate;
mod intake;
mod modes;
mod outages;
mod story;
mod tripwires;
