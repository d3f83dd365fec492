//! The shell through its HTTP door: first where nothing else is there, then on real Postgres and Redis.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what fails here fails the test"
)]

mod commits;
mod doors;
mod idempotent;
mod keys;
mod people;
mod running;
mod sessions;
mod tokens;
mod window;
mod working;
mod world;
