//! What operators did to an execution in our hands: it stands still, goes on, or ends.

use std::time::Duration;

use common::Switch;
use common::operate::SwitchedOff;
use playbook_lang::Event;
use serde_json::json;
use time::OffsetDateTime;

use super::course::{Broken, Course};
use crate::chronicle::parked;
use crate::store::Standing;
use crate::update::{Held, Update};

/// A ticket whose execution is parked for much longer than this beyond the time of its note is told then; else the next
/// look at what is away tells it. Woken in between, it waits a little longer than it was to.
const NEXT_LOOK: Duration = Duration::from_mins(1);

impl Course<'_> {
    /// Whether steps may begin, as we have just learned. `true` where that changed something: what was about to be asked
    /// for is not, or goes on, and is to be written.
    pub(super) fn stand(&mut self, standing: Standing) -> Result<bool, Broken> {
        let before = std::mem::replace(&mut self.standing, standing);
        self.learned = self.now();
        if self.over() {
            return Ok(false);
        }
        if standing.is_still() {
            return self.hold_back();
        }
        if !before.is_still() {
            return Ok(false);
        }
        self.is_let_go();
        self.turn(Event::LetGo, None)?;
        self.go_on()?;
        Ok(true)
    }

    /// Nothing keeps it from going on any more.
    pub(super) fn is_let_go(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.memory.let_go(held);
    }

    /// An operator wants it to end.
    pub(super) fn cancel(&mut self, reason: String) -> Result<(), Broken> {
        self.turn(Event::Cancelled { reason }, None)?;
        self.hold_back()?;
        Ok(())
    }

    /// Calls that the machine wants made and that did not go out yet do not go out.
    fn hold_back(&mut self) -> Result<bool, Broken> {
        let calls = self.questions.give_back();
        let any = !calls.is_empty();
        for call in calls {
            self.chronicle
                .audit
                .push(self.about().event("step.held_back", json!({"step": call})));
            self.turn(Event::HeldBack { call }, None)?;
        }
        if any {
            self.go_on()?;
        }
        Ok(any)
    }

    /// When somebody must look at it again: also to tell the ticket, once, why nothing moves.
    pub(super) fn wakes_at(&self) -> Option<OffsetDateTime> {
        let due = self.due_at()?;
        let tells = match self.standing {
            Standing::SwitchedOff => self.tells_at(),
            // It is tried once more then, and what comes of it is told. Once it was: whatever came of it counts.
            Standing::Free if parked(self.state.phase()).is_some() => self
                .tells_at()
                .filter(|tells| *tells > self.now() && *tells + NEXT_LOOK < due),
            Standing::Free | Standing::Paused => None,
        };
        Some(tells.map_or(due, |tells| tells.min(due)))
    }

    /// When the ticket is told what keeps it; `None` where it has been, or needs not.
    fn tells_at(&self) -> Option<OffsetDateTime> {
        if self.over() || self.memory.parked_told {
            return None;
        }
        let after = time::Duration::try_from(self.note_after).ok()?;
        // So late that there is no such time: never.
        self.memory.parked_since?.checked_add(after)
    }

    /// Before it is let go of: since when it stands still. `true` where the ticket is to be told, after a while, why.
    pub(super) fn is_to_tell_of_the_switch(&mut self) -> bool {
        let now = self.now();
        if self.standing != Standing::SwitchedOff || self.over() {
            return false;
        }
        // What it missed before, if anything, is another story, and may have been told.
        let held = std::mem::replace(&mut self.held, true);
        if !held || self.memory.parked_since.is_none() {
            (self.memory.parked_since, self.memory.parked_told) = (Some(now), false);
            let event = self.about().event("execution.held", json!({}));
            self.chronicle.audit.push(event);
        }
        self.tells_at().is_some_and(|tells| tells <= now)
    }

    /// The ticket is told which switch holds it.
    pub(super) fn tell_of(&mut self, switch: Switch, off: SwitchedOff) {
        self.memory.parked_told = true;
        self.chronicle.updates.push(Update::Held(Held { switch, off }));
    }
}
