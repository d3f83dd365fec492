//! What it takes to tell what a ticket asks for, and to know how well that is told.
//!
//! Pure: no I/O, no clock, no randomness, no panic on any text. It reads letters, weighs words, learns from labelled
//! tickets and measures; it decides nothing. The gate of the classifier decides.

pub mod bound;
mod kind;
pub mod labelled;
pub mod threshold;

pub use kind::{Kind, NotAKind};
