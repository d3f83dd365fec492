//! Every client against a server that keeps what it was sent: the requests are held against the vendors' own specs
//! (`tests/specs/`) or, where the vendor has none, against the contract's examples.

#![expect(clippy::unwrap_used, reason = "a test that can not go on should say where")]

mod entra;
mod halopsa;
mod hostile;
mod mfa;
mod openai;
mod openai_cost;
mod spec;
mod support;
mod teams;
mod twilio;
