//! What it takes to tell what a ticket asks for, and to know how well that is told.
//!
//! Pure: no I/O, no clock, no randomness, no panic on any text. It reads letters, weighs words, learns from labelled
//! tickets and measures; it decides nothing. The gate of the classifier decides.

pub mod bound;
mod calibration;
mod descent;
mod features;
mod fold;
pub mod folds;
mod head;
mod kind;
pub mod labelled;
pub mod learn;
pub mod letter;
mod likeness;
mod linear;
pub mod measure;
mod objections;
pub mod page;
mod phrase;
pub mod stated;
pub mod text;
pub mod threshold;
mod vocabulary;
mod words;

pub use features::Features;
pub use head::{Card, Head, NotAHead, Reading, Source};
pub use kind::{Kind, NotAKind};
pub use letter::{Letter, Thread};
pub use likeness::likeness;
pub use objections::{SOMEBODY_ELSE, objection};
