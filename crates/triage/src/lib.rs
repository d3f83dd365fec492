//! What it takes to tell what a ticket asks for, and to know how well that is told.
//!
//! Pure: no I/O, no clock, no randomness, no panic on any text. It reads letters, weighs words, learns from labelled
//! tickets and measures; it decides nothing. The gate of the classifier decides.

pub mod bound;
mod kind;
pub mod labelled;
pub mod measure;
pub mod page;
pub mod text;
pub mod threshold;
mod words;

pub use kind::{Kind, NotAKind};
