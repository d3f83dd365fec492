//! Clients of the outside world: one module per vendor, typed in our words; the vendors' shapes stay private.
//!
//! Every call has a time limit and an answer-size limit, follows no redirect, honours `Retry-After` within bounds, and
//! is repeated only where repeating is harmless. What went wrong comes back as a [`CallError`], which says what the
//! caller may do next. Nothing here knows a table, a state machine or a setting's name.

pub mod call;
pub mod entra;
pub mod halopsa;
pub mod openai;
pub mod phone;
pub mod teams;
pub mod twilio;

pub use call::{CallError, System, WINDOW, http_client};
pub use phone::PhoneNumber;
