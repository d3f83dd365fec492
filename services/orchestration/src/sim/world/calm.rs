//! After the storm nothing goes wrong any more: whatever was accepted must come to its end, without anybody's help.

use std::time::Duration;

use super::operator::Verb;
use super::{Answered, World};
use crate::sim::invariants;

/// By then everything has ended: all that people have, and all that is waited for, takes far less.
const LONGEST: Duration = Duration::from_hours(3);
/// More than any schedule needs.
const MOST: usize = 5_000;

impl World<'_> {
    /// Everybody is up, nothing is held, and no operator is there.
    pub(in super::super) fn calm_down(&mut self) {
        self.calm = true;
        self.retrying = None;
        self.say(|| "the storm is over".to_owned());
        for process in 0..self.processes.len() {
            if self.processes[process].down {
                self.restart(process);
            }
        }
        let paused: Vec<_> = self
            .model
            .executions
            .iter()
            .filter(|(_, row)| row.paused)
            .collect();
        for id in paused.into_iter().map(|(id, _)| *id).collect::<Vec<_>>() {
            self.operate(id, Verb::Resume);
        }
        if !self.model.off.is_empty() {
            self.switch(false);
        }
    }

    /// Until everything has ended and was told, or nobody will ever look again. One action at a time.
    pub(in super::super) fn settle(&mut self, mut check: impl FnMut(&mut Self) -> bool) {
        let until = self.model.now + LONGEST;
        for _ in 0..MOST {
            let mut actions = vec![];
            self.work(&mut actions);
            if let Some(action) = actions.first() {
                self.act(*action);
            } else if !self.routinely() {
                if self.is_over() {
                    return;
                }
                match self.next_due() {
                    Some(due) if due <= until => self.pass((due - self.model.now).unsigned_abs()),
                    due => {
                        self.violated(invariants::EVERY_TICKET_ENDS, || {
                            format!("not everything has ended, and the next that is due is {due:?}")
                        });
                        return;
                    }
                }
            }
            if check(self) {
                return;
            }
        }
        self.violated(invariants::EVERY_TICKET_ENDS, || {
            format!("{MOST} actions were not enough")
        });
    }

    /// What replicas do by the clock; `false` where that changed nothing.
    fn routinely(&mut self) -> bool {
        let mut actions = vec![];
        self.routine(&mut actions);
        if let Some(action) = actions.first() {
            self.act(*action);
            return true;
        }
        if self.model.wake_free() > 0 {
            return true;
        }
        for process in 0..self.processes.len() {
            self.beat(process);
        }
        let due = |world: &Self| world.model.next_due().is_some_and(|due| due <= world.model.now);
        self.look_after_others() > 0 || due(self)
    }

    fn is_over(&self) -> bool {
        let answered = self
            .answered
            .iter()
            .all(|answered| *answered != Answered::Nothing);
        let ended = self.model.executions.values().all(|row| row.ended_at.is_some());
        let told = self
            .model
            .outboxes
            .values()
            .all(|outbox| outbox.wake_at.is_none());
        answered && ended && told && self.desk.next().is_none()
    }

    fn next_due(&self) -> Option<time::OffsetDateTime> {
        let tickets = self.model.outboxes.values().filter_map(|outbox| outbox.wake_at);
        let drives = self.processes.iter().flat_map(|process| &process.drives);
        let timers = drives.flat_map(|drive| [drive.course.due(), drive.course.tells_by()]);
        // Who crashed silently is found out at the end of its lease.
        let leases = self
            .model
            .runners
            .values()
            .map(|runner| runner.leased_until + Duration::from_millis(1));
        let mut due: Vec<_> = tickets
            .chain(timers.flatten())
            .chain(leases)
            .chain(self.model.next_due())
            .chain(self.desk.next())
            .filter(|due| *due > self.model.now)
            .collect();
        due.sort();
        due.first().copied()
    }
}
