//! Callbacks that overtake the answer of the gateway: they tell of a message that is not written down yet.
//!
//! Kept in memory, and only the newest: what is forgotten here is read back by the worker a little later.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// They are early by milliseconds: so many at the same time are more than a process sends in one.
const KEPT: usize = 256;

/// Messages that callbacks told of and nobody knew.
#[derive(Debug, Default)]
pub(crate) struct Early(Mutex<VecDeque<String>>);

impl Early {
    /// A callback came.
    pub(crate) fn note(&self, message: &str) {
        let mut early = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if early.len() >= KEPT {
            early.pop_front();
        }
        early.push_back(message.to_owned());
    }

    /// Whether one came since this was last asked.
    pub(crate) fn take(&self, message: &str) -> bool {
        let mut early = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = early.len();
        early.retain(|noted| noted != message);
        early.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_found_once_however_often_it_came() {
        let early = Early::default();
        early.note("SM1");
        early.note("SM2");
        early.note("SM1");
        assert!(early.take("SM1"));
        assert!(!early.take("SM1"));
        assert!(early.take("SM2"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let early = Early::default();
        for number in 0..=KEPT {
            early.note(&format!("SM{number}"));
        }
        assert!(!early.take("SM0"));
        assert!(early.take("SM1"));
    }
}
