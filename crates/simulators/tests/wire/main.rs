//! The simulators as a client sees them: over HTTP, on their own ports, refusing what the vendors refuse.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]
#![expect(
    clippy::too_many_lines,
    reason = "the formatter breaks long requests into many short lines"
)]

mod entra;
mod faults;
mod halo;
mod mfa;
mod openai;
mod openai_servers;
mod support;
mod teams;
mod twilio;
