//! The machine's state as its column has it: text, written once for each step and read by whoever drives the execution.

use playbook_lang::State;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::types::Json;

/// A machine's state, written and not read. What is stored by an older version may not be readable: who needs it finds out.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct StoredState(Json<Box<RawValue>>);

impl StoredState {
    /// Write it.
    ///
    /// # Errors
    /// It has no form as JSON.
    pub(crate) fn of(state: &State) -> serde_json::Result<Self> {
        Ok(Self(Json(to_raw_value(state)?)))
    }

    /// Read it.
    ///
    /// # Errors
    /// It is no state that this version knows.
    pub(crate) fn read(&self) -> serde_json::Result<State> {
        serde_json::from_str(self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl StoredState {
        /// Whatever a test wants to store in its place.
        pub(crate) fn of_value(value: &serde_json::Value) -> Self {
            Self(Json(to_raw_value(value).expect("a value can be written")))
        }

        /// What it says.
        pub(crate) fn value(&self) -> serde_json::Value {
            serde_json::from_str(self.0.get()).expect("it was written as JSON")
        }
    }

    /// The database keeps no order of names and no spaces.
    impl PartialEq for StoredState {
        fn eq(&self, other: &Self) -> bool {
            self.0.get() == other.0.get() || self.value() == other.value()
        }
    }
}
