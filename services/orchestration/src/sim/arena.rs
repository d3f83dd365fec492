//! What lives as long as a schedule.

use std::cell::OnceCell;

/// Things that stay where they were put.
#[derive(Debug)]
pub(super) struct Arena<T> {
    thing: OnceCell<T>,
    next: OnceCell<Box<Arena<T>>>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self {
            thing: OnceCell::new(),
            next: OnceCell::new(),
        }
    }
}

impl<T> Arena<T> {
    /// Keep it.
    pub(super) fn put(&self, thing: T) -> &T {
        let mut place = self;
        while place.thing.get().is_some() {
            place = place.next.get_or_init(Box::default);
        }
        place.thing.get_or_init(|| thing)
    }
}
