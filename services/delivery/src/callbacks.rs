//! Callbacks of this moment: those whose message is being looked at, and those that overtake the answer of the gateway and
//! tell of a message that is not written down yet.
//!
//! Kept in memory, and of the early ones only the newest: what is forgotten here is read back by the worker a little later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// They are early by milliseconds: so many at the same time are more than a process sends in one.
const KEPT: usize = 256;

/// What callbacks told.
#[derive(Debug, Default)]
pub(crate) struct Callbacks(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Of messages that nobody knew.
    early: VecDeque<String>,
    /// Messages that are looked at, and whether there was news since the look began.
    looks: HashMap<String, bool>,
}

impl Callbacks {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One came of a message that may not be written down yet.
    pub(crate) fn note_early(&self, message: &str) {
        let mut told = self.told();
        if told.early.len() >= KEPT {
            told.early.pop_front();
        }
        told.early.push_back(message.to_owned());
    }

    /// Whether one came early since this was last asked.
    pub(crate) fn came_early(&self, message: &str) -> bool {
        let mut told = self.told();
        let before = told.early.len();
        told.early.retain(|noted| noted != message);
        told.early.len() < before
    }

    /// A message is to be looked at. `false`: somebody is at it, and looks once more for this one.
    pub(crate) fn look(&self, message: &str) -> bool {
        let mut told = self.told();
        if let Some(news) = told.looks.get_mut(message) {
            *news = true;
            return false;
        }
        told.looks.insert(message.to_owned(), false);
        true
    }

    /// It was looked at. `true`: there was news meanwhile, so once more.
    pub(crate) fn looked(&self, message: &str) -> bool {
        let mut told = self.told();
        if let Some(news @ true) = told.looks.get_mut(message) {
            *news = false;
            return true;
        }
        told.looks.remove(message);
        false
    }

    /// Nobody is at it any more.
    pub(crate) fn leave(&self, message: &str) {
        self.told().looks.remove(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_callback_is_found_once_however_often_it_came() {
        let callbacks = Callbacks::default();
        callbacks.note_early("SM1");
        callbacks.note_early("SM2");
        callbacks.note_early("SM1");
        assert!(callbacks.came_early("SM1"));
        assert!(!callbacks.came_early("SM1"));
        assert!(callbacks.came_early("SM2"));
    }

    #[test]
    fn the_oldest_early_ones_are_forgotten() {
        let callbacks = Callbacks::default();
        for number in 0..=KEPT {
            callbacks.note_early(&format!("SM{number}"));
        }
        assert!(!callbacks.came_early("SM0"));
        assert!(callbacks.came_early("SM1"));
    }

    #[test]
    fn callbacks_that_come_during_a_look_are_one_more_look() {
        let callbacks = Callbacks::default();
        assert!(callbacks.look("SM1"));
        assert!(!callbacks.look("SM1") && !callbacks.look("SM1"));
        assert!(callbacks.look("SM2"), "another message is another look");
        assert!(callbacks.looked("SM1"));
        assert!(!callbacks.looked("SM1"));
        assert!(callbacks.look("SM1"), "it is over");
    }
}
