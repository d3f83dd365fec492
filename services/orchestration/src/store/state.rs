//! How an execution stands as its column has it: text, written once for each step and read by whoever drives the execution.

use playbook_lang::State;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::types::Json;

use crate::untold::Untold;

/// How an execution stands: what whoever drives it goes on from.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    /// The machine's state.
    pub(crate) state: State,
    /// What its ticket is still to be told.
    pub(crate) untold: Untold,
}

impl From<State> for Stand {
    fn from(state: State) -> Self {
        Self {
            state,
            untold: Untold::default(),
        }
    }
}

/// A [`Stand`], written and not read. What is stored by an older version may not be readable: who needs it finds out.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct StoredState(Json<Box<RawValue>>);

impl StoredState {
    /// Write it.
    ///
    /// # Errors
    /// It has no form as JSON.
    pub(crate) fn of(state: &State, untold: &Untold) -> serde_json::Result<Self> {
        Ok(Self(Json(to_raw_value(&Written { state, untold })?)))
    }

    /// The same when its ticket was told everything; as it is where it makes no sense.
    pub(crate) fn told(&self) -> Self {
        let told = self
            .read()
            .and_then(|stand| Self::of(&stand.state, &Untold::default()));
        told.unwrap_or_else(|_| self.clone())
    }

    /// Read it.
    ///
    /// # Errors
    /// It is no state that this version knows, or its news is none.
    pub(crate) fn read(&self) -> serde_json::Result<Stand> {
        let text = self.0.get();
        let News { untold } = serde_json::from_str(text)?;
        let state = serde_json::from_str(text)?;
        Ok(Stand { state, untold })
    }
}

/// The state with the news beside its own fields: versions that know of none read the state all the same.
#[derive(Serialize)]
struct Written<'w> {
    #[serde(flatten)]
    state: &'w State,
    #[serde(skip_serializing_if = "Untold::is_empty")]
    untold: &'w Untold,
}

/// Read by itself: what is flattened is read by way of a copy.
#[derive(Deserialize)]
struct News {
    #[serde(default)]
    untold: Untold,
}

#[cfg(test)]
mod tests {
    use common::AutomationStatus;
    use playbook_lang::{Registry, check};
    use time::macros::datetime;

    use super::*;
    use crate::update::Update;

    #[test]
    fn news_stands_beside_the_state_and_is_read_with_it() {
        let source = include_str!("../../../../playbooks/password_reset.yml");
        let playbook = check(source, &Registry::builtin()).playbook.unwrap();
        let now = datetime!(2026-11-22 02:30:00 UTC);
        let state = State::begin(&playbook, now).unwrap();
        let nothing = StoredState::of(&state, &Untold::default()).unwrap();
        assert_eq!(nothing.value(), serde_json::to_value(&state).unwrap());
        assert!(nothing.read().unwrap().untold.is_empty());

        let mut untold = Untold::default();
        let status = AutomationStatus::Running;
        untold.add(vec![Update::Status { status }], now);
        let stored = StoredState::of(&state, &untold).unwrap();
        let stand = stored.read().unwrap();
        assert_eq!((&stand.state, stand.untold), (&state, untold));
        let older: State = serde_json::from_value(stored.value()).unwrap();
        assert_eq!(older, state, "who knows of no news reads the state");
        assert_eq!(stored.told(), nothing);
    }

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
