//! As `store/operate.rs`.

use super::*;
use crate::store::{Operation, Reopened, Retried};
use crate::update::{Operated, Verb, automation_status};

/// Why a verb was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum NotDone {
    Unknown,
    Ended,
    Paused,
    Cancelled,
}

/// An execution that may be tried again, as it was left.
#[derive(Debug, Clone)]
pub(in super::super) struct Stopped {
    pub(in super::super) state: StoredState,
    pub(in super::super) ended: bool,
    pub(in super::super) cancelled: bool,
    pub(in super::super) in_hand: bool,
    fence: i64,
}

/// Who wants it.
pub(in super::super) const OPERATOR: &str = "Olga Operator";

impl Model {
    /// No step of it begins from now on.
    pub(in super::super) fn pause(&mut self, id: ExecutionId) -> Result<Operation, NotDone> {
        self.mark(id, true, Verb::Pause)
    }

    /// It goes on from where it stands.
    pub(in super::super) fn resume(&mut self, id: ExecutionId) -> Result<Operation, NotDone> {
        self.mark(id, false, Verb::Resume)
    }

    fn mark(&mut self, id: ExecutionId, paused: bool, verb: Verb) -> Result<Operation, NotDone> {
        let row = self.executions.get_mut(&id).ok_or(NotDone::Unknown)?;
        if row.ended_at.is_some() {
            return Err(NotDone::Ended);
        }
        if row.paused == paused {
            return Ok(Operation::Already);
        }
        if paused && row.cancelled.is_some() {
            return Err(NotDone::Cancelled);
        }
        row.paused = paused;
        self.put_on_record(id, verb);
        Ok(Operation::Done)
    }

    /// No further step of it begins, and what it did is taken back.
    pub(in super::super) fn cancel(&mut self, id: ExecutionId, words: &str) -> Result<Operation, NotDone> {
        let told = self.has(Guard::CancelCounts);
        let row = self.executions.get_mut(&id).ok_or(NotDone::Unknown)?;
        match (&row.cancelled, row.ended_at) {
            (Some(_), _) => return Ok(Operation::Already),
            (None, Some(_)) => return Err(NotDone::Ended),
            (None, None) => {}
        }
        row.paused = false;
        row.cancelled = Some(words.to_owned());
        if told {
            self.wake(id);
        }
        self.put_on_record(id, Verb::Cancel);
        Ok(Operation::Done)
    }

    /// An execution that is to be tried again, as it stands.
    pub(in super::super) fn stopped(&self, id: ExecutionId) -> Option<Stopped> {
        let row = self.executions.get(&id)?;
        Some(Stopped {
            state: row.state.clone(),
            ended: row.ended_at.is_some(),
            cancelled: row.cancelled.is_some(),
            in_hand: row.runner.is_some(),
            fence: row.fence,
        })
    }

    /// Let it begin again as `reopened`, unless somebody took it meanwhile.
    pub(in super::super) fn retry(
        &mut self,
        id: ExecutionId,
        stopped: &Stopped,
        reopened: &Reopened,
    ) -> Result<Retried, NotDone> {
        let (now, guarded) = (self.now, self.has(Guard::RetryFence));
        let row = self.executions.get(&id).ok_or(NotDone::Unknown)?;
        match (row.ended_at, &row.cancelled, row.paused) {
            (None, Some(_), _) => return Err(NotDone::Cancelled),
            (None, None, true) => return Err(NotDone::Paused),
            _ => {}
        }
        let as_found =
            row.fence == stopped.fence && row.runner.is_none() && row.ended_at.is_some() == stopped.ended;
        if guarded && !as_found {
            return Ok(Retried::Moved);
        }
        let ticket = row.new.request.ticket_id.clone();
        let other = |(other, row): (&ExecutionId, &Execution)| {
            *other != id && row.ended_at.is_none() && row.new.request.ticket_id == ticket
        };
        if self.executions.iter().any(other) {
            return Ok(Retried::OtherOpen);
        }
        if let Some(row) = self.executions.get_mut(&id) {
            row.state = reopened.state.clone();
            row.status = reopened.status;
            (row.reason, row.ended_at, row.wake_at) = (None, None, Some(now));
            row.fence += 1;
            (row.paused, row.cancelled, row.held, row.insisted) = (false, None, false, true);
        }
        self.put_on_record(id, Verb::Retry);
        if stopped.ended {
            let status = automation_status(reopened.status);
            self.enqueue(&ticket, vec![(id, Update::Status { status })], None);
        }
        Ok(Retried::Done)
    }

    fn put_on_record(&mut self, id: ExecutionId, verb: Verb) {
        let Some(row) = self.executions.get(&id) else {
            return;
        };
        let told = Update::Operated(Operated {
            verb,
            name: OPERATOR.to_owned(),
            reason: None,
        });
        let ticket = row.new.request.ticket_id.clone();
        self.enqueue(&ticket, vec![(id, told)], None);
    }
}
