//! What people read while it lasts: one line for each thing, with its time.

use launcher::stage::has_ended;
use simulators::World;
use tokio::time::Instant;

use crate::terminal;

/// Tells, with the seconds since the beginning.
pub(super) struct Teller {
    began: Instant,
}

impl Teller {
    /// From now on.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// A line.
    pub(super) fn tell(&self, what: &str) {
        terminal::line(&format!("{:7.1} s  {what}", self.began.elapsed().as_secs_f64()));
    }

    /// How many tickets there are, and how many of them have ended.
    pub(super) fn count(&self, world: &World) {
        let tickets = world.halo().tickets();
        let ended = tickets.iter().filter(|ticket| has_ended(ticket)).count();
        self.tell(&format!("tickets: {} filed, {ended} ended", tickets.len()));
    }
}
