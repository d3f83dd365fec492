//! An operator, who pauses, resumes, cancels, tries again and switches, at the worst of times.

use common::{ExecutionId, Switch};
use playbook_lang::{Facts, Machine, Moment};

use super::World;
use super::process::short;
use crate::sim::invariants;
use crate::sim::model::Stopped;
use crate::store::{Operation, Reopened, Retried, Stand, StoredState};

/// What an operator may do to one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Verb {
    Pause,
    Resume,
    Cancel,
    /// Look at it, to try again what is seen.
    LookAt,
}

/// An execution that an operator wants tried again, as it was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) id: ExecutionId,
    stopped: Stopped,
}

impl World<'_> {
    /// A verb of an operator.
    pub(super) fn operate(&mut self, id: ExecutionId, verb: Verb) {
        let done = match verb {
            Verb::Pause => format!("{:?}", self.model.pause(id)),
            Verb::Resume => format!("{:?}", self.model.resume(id)),
            Verb::Cancel => {
                let cancelled = self.model.cancel(id, "Cancelled by Olga.");
                if cancelled == Ok(Operation::Done) {
                    self.cancelled.insert(id);
                }
                format!("{cancelled:?}")
            }
            Verb::LookAt => {
                let stopped = self.model.stopped(id);
                self.retrying = stopped
                    .filter(|stopped| !stopped.in_hand)
                    .map(|stopped| Seen { id, stopped });
                "seen".to_owned()
            }
        };
        self.say(|| format!("the operator: {verb:?} {}: {done}", short(id)));
    }

    /// What was seen is tried again, unless somebody took it meanwhile.
    pub(super) fn retry(&mut self) {
        let Some(Seen { id, stopped }) = self.retrying.take() else {
            return;
        };
        let row = &self.model.executions[&id];
        let playbook = self.cast.playbook(row.new.request.playbook.name.as_str());
        let Stand { state, untold } = stopped.state.read().expect("it was stored by us");
        let facts = Facts::default();
        let machine = Machine::new(playbook, &self.cast.rules, &facts);
        let retried = match machine.retry(state, Moment::at(self.model.now)) {
            Ok(retried) => retried,
            Err(why) => {
                self.say(|| format!("the operator may not retry {}: {why}", short(id)));
                return;
            }
        };
        let reopened = Reopened {
            status: retried.state.status(),
            state: StoredState::of(&retried.state, &untold).expect("a state can be stored"),
        };
        let before = (row.state.clone(), row.ended_at.is_some());
        let retried = self.model.retry(id, &stopped, &reopened);
        self.say(|| format!("the operator retries {}: {retried:?}", short(id)));
        if retried != Ok(Retried::Done) {
            return;
        }
        if before != (stopped.state.clone(), stopped.ended) {
            self.violated(invariants::OVERSLEPT, || {
                format!("{} was tried again as it was long ago", short(id))
            });
        }
        *self.ghosts.versions.entry(id).or_default() += 1;
        self.ghosts.ended.remove(&id);
        if stopped.ended {
            self.cancelled.remove(&id);
        }
    }

    /// All playbooks of the tenant stand still, or go on.
    pub(super) fn switch(&mut self, off: bool) {
        self.say(|| format!("the operator switches {}", if off { "off" } else { "on" }));
        self.model.set_switch(&Switch::Tenant, off);
    }
}
