//! What is to be put down of an execution in our hands, and how it is left.

use common::Ending;
use playbook_lang::Phase;

use super::course::{Broken, Course, FRESH, Need};
use super::{Left, until};
use crate::store::{Hold, StoredState, Write};

impl Course<'_> {
    /// Look at what came since we knew of fewer.
    pub(super) fn look_at(&mut self, signals: i64) -> Need {
        self.signals = signals;
        Need::Signals
    }

    /// Ask and wait, or let it go.
    pub(super) fn wait(&self) -> Need {
        if self.over() || self.questions.is_empty() {
            return Need::Nothing(self.left());
        }
        Need::Answer
    }

    /// What happened is to be put down, before anything comes of it.
    pub(super) fn put_down(&mut self) -> Result<Need, Broken> {
        if self.is_to_tell_of_the_switch() {
            return Ok(Need::Switch);
        }
        self.written_or_known()
    }

    pub(super) fn written_or_known(&mut self) -> Result<Need, Broken> {
        let news = !self.chronicle.is_empty()
            || self.status != self.state.status()
            || !self.handled.is_empty()
            || !self.untold.may_linger(self.now());
        if self.hold() != Hold::Keep || news {
            return Ok(Need::Write(Box::new(self.written()?)));
        }
        // The same call again: what is stored already says so, and no commit says what came meanwhile.
        if self.now() - self.learned < FRESH {
            return Ok(self.wait());
        }
        Ok(Need::News)
    }

    /// What happened since the last time, taken to be committed.
    fn written(&mut self) -> Result<Write, Broken> {
        let (hold, now) = (self.hold(), self.now());
        let status = self.state.status();
        let mut chronicle = std::mem::take(&mut self.chronicle);
        chronicle.status(self.status, status);
        self.untold.add(chronicle.updates, now);
        let updates = if hold == Hold::Keep && self.untold.may_linger(now) {
            vec![]
        } else {
            self.untold.take()
        };
        let state = StoredState::of(&self.state, &self.untold)
            .map_err(|error| Broken(format!("the state cannot be stored: {error}")))?;
        let reason = match self.state.phase() {
            Phase::Ended {
                ending: Ending::Escalated { reason },
                ..
            } => Some(reason.clone()),
            _ => None,
        };
        self.status = status;
        Ok(Write {
            execution: self.claimed.id,
            ticket: self.claimed.ticket.clone(),
            runner: self.claimed.runner,
            fence: self.claimed.fence,
            state,
            status,
            reason,
            parked_since: self.memory.parked_since,
            parked_told: self.memory.parked_told,
            hold,
            held: self.standing.is_still() && hold != Hold::Ended,
            signals: self.signals,
            steps: chronicle.steps,
            renumbered: chronicle.renumbered,
            cut_off: chronicle.cut_off,
            handled: std::mem::take(&mut self.handled),
            arrival: None,
            audit: chronicle.audit,
            updates,
            now,
        })
    }

    /// Whether the execution stays with us: while a call is out, and nothing else.
    fn hold(&self) -> Hold {
        if self.over() {
            Hold::Ended
        } else if self.questions.is_empty() {
            Hold::Until(self.wakes_at().unwrap_or_else(|| self.now()))
        } else {
            Hold::Keep
        }
    }

    /// How it is left.
    fn left(&self) -> Left {
        match self.hold() {
            Hold::Until(at) => Left::Waiting(until(at, self.now())),
            Hold::Keep | Hold::Ended => Left::Otherwise,
        }
    }
}
