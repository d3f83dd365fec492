//! Walking several branches at once: splitting, telling each strand what is meant for it, joining.
//!
//! Proof, permits, credentials, visits and outputs belong to the execution, so all strands share them.

use common::{Outcome, StepId};

use super::edges::Arrival;
use super::state::{Phase, Strand};
use super::turn::{Leads, Led, Turn, only_call};
use super::words::{Event, IllegalEvent, Record};
use crate::playbook::{Join, Parallel, Step, StepKind};

impl<'m> Turn<'m> {
    /// Enter the first step of every branch. None begins before somebody takes the execution up: to the outside the
    /// parallel step is one step.
    pub(super) fn split(&mut self, step: &'m Step, parallel: &'m Parallel, visit: u32) -> Arrival<'m> {
        let commanded = self.commands.len();
        let mut strands = Vec::with_capacity(parallel.branches.len());
        for (branch, first) in &parallel.branches {
            match self.enter(first, Some(&step.id)) {
                Leads::To(phase) => strands.push(Strand {
                    branch: branch.clone(),
                    phase,
                }),
                end @ Leads::End { .. } => {
                    self.drop_all(&strands);
                    return Arrival::Stays(end);
                }
            }
        }
        self.join(step, parallel.join, visit, strands, commanded)
    }

    /// Tell the strands: an answer the one that asked, what is nobody's answer all of them.
    pub(super) fn route(&mut self, id: &StepId, visit: u32, mut strands: Vec<Strand>, event: Event) -> Led {
        let Some((step, parallel)) = self.parallel(id) else {
            return Err(self.illegal(format!("step `{id}` of the playbook has no branches")));
        };
        let commanded = self.commands.len();
        let end = match event {
            Event::Claimed | Event::TimerFired | Event::OutsideBack | Event::LetGo => {
                self.tell_all(&mut strands, parallel.join, &event)?
            }
            event => match strands.iter_mut().find(|strand| strand.phase.awaits(&event)) {
                Some(strand) => self.tell(strand, event)?,
                None => None,
            },
        };
        if let Some(end) = end {
            self.drop_all(&strands);
            return Ok(end);
        }
        let arrival = self.join(step, parallel.join, visit, strands, commanded);
        Ok(self.go_on(step, arrival))
    }

    fn parallel(&self, id: &StepId) -> Option<(&'m Step, &'m Parallel)> {
        let step = self.playbook().step(id)?;
        match &step.kind {
            StepKind::Parallel(parallel) => Some((step, parallel)),
            _ => None,
        }
    }

    /// `Some` where the execution ends.
    fn tell_all(
        &mut self,
        strands: &mut [Strand],
        join: Join,
        event: &Event,
    ) -> Result<Option<Leads>, IllegalEvent> {
        for index in 0..strands.len() {
            // Nothing new begins once the outcome is known.
            if outcome(join, strands).is_some() {
                break;
            }
            let Some(strand) = strands.get_mut(index) else {
                break;
            };
            if let Some(end) = self.tell(strand, event.clone())? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// A strand goes on by itself: where a step follows, it begins at once, and nobody need take the execution up while
    /// the calls of other strands are out.
    fn tell(&mut self, strand: &mut Strand, event: Event) -> Result<Option<Leads>, IllegalEvent> {
        let before = strand.phase.take();
        // Not begun yet: that is for whoever takes the execution up.
        let begun = !before.has_ready();
        let leads = match self.advance(before, event)? {
            Leads::To(phase) if begun => self.take_up(phase)?,
            leads => leads,
        };
        Ok(put(strand, leads))
    }

    /// Begin what was entered and not begun.
    pub(super) fn take_up(&mut self, phase: Phase) -> Led {
        match phase {
            Phase::Ready { step, visit } => self.begin_step(step, visit),
            Phase::Parallel {
                step,
                visit,
                mut strands,
            } => {
                for index in 0..strands.len() {
                    let Some(strand) = strands.get_mut(index) else {
                        break;
                    };
                    let leads = self.take_up(strand.phase.take())?;
                    if let Some(end) = put(strand, leads) {
                        self.drop_all(&strands);
                        return Ok(end);
                    }
                }
                Ok(Leads::To(Phase::Parallel { step, visit, strands }))
            }
            phase => Ok(Leads::To(phase)),
        }
    }

    /// Leave the step where its outcome is known. `commanded` counts the commands that are not of these strands.
    fn join(
        &mut self,
        step: &'m Step,
        join: Join,
        visit: u32,
        strands: Vec<Strand>,
        commanded: usize,
    ) -> Arrival<'m> {
        let Some(outcome) = outcome(join, &strands) else {
            return Arrival::Stays(Leads::To(Phase::Parallel {
                step: step.id.clone(),
                visit,
                strands,
            }));
        };
        // What a dropped strand wants done in this very turn is not done.
        self.commands.truncate(commanded);
        self.drop_all(&strands);
        let explanation = explained(join, &outcome, &strands);
        self.pass(step, visit, outcome, explanation)
    }

    /// Nobody waits for these any more. What they have asked for may happen all the same.
    pub(super) fn drop_all(&mut self, strands: &[Strand]) {
        for strand in strands {
            self.drop_phase(&strand.phase);
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn drop_phase(&mut self, phase: &Phase) {
        match phase {
            Phase::Parallel { strands, .. } => self.drop_all(strands),
            Phase::Pausing { step, visit, .. } => {
                let call = only_call(step, *visit);
                self.story.push(Record::Dropped { call });
            }
            Phase::Calling { attempt, .. }
            | Phase::Waiting { attempt, .. }
            | Phase::Asking { attempt, .. }
            | Phase::Backoff { attempt, .. }
            | Phase::Parked { attempt, .. } => {
                self.may_have_happened(&attempt.call);
                let call = attempt.call.clone();
                self.story.push(Record::Dropped { call });
            }
            Phase::Ready { .. } | Phase::Joined { .. } | Phase::Ended { .. } => {}
        }
    }
}

/// Where the strand stands now; `Some` where the execution ends instead.
fn put(strand: &mut Strand, leads: Leads) -> Option<Leads> {
    match leads {
        Leads::To(phase) => {
            strand.phase = phase;
            None
        }
        end @ Leads::End { .. } => Some(end),
    }
}

/// How the step ends; `None` while that depends on strands that are still under way.
fn outcome(join: Join, strands: &[Strand]) -> Option<Outcome> {
    let ended = |wanted: Option<Outcome>| {
        strands.iter().all(|strand| match &strand.phase {
            Phase::Joined { outcome } => wanted.as_ref().is_none_or(|wanted| wanted == outcome),
            _ => false,
        })
    };
    let one_well = || strands.iter().any(Strand::ended_well);
    match join {
        Join::All if ended(Some(Outcome::Success)) => Some(Outcome::Success),
        Join::Any if one_well() => Some(Outcome::Success),
        Join::All | Join::Any if ended(None) => Some(Outcome::Failure),
        Join::All | Join::Any => None,
    }
}

/// One sentence for people.
fn explained(join: Join, outcome: &Outcome, strands: &[Strand]) -> String {
    let named = |well: bool| {
        let names: Vec<&str> = strands
            .iter()
            .filter(|strand| strand.ended_well() == well)
            .map(|strand| strand.branch.as_str())
            .collect();
        names.join("`, `")
    };
    match (outcome, join) {
        (Outcome::Success, Join::All) => "Every branch ended well.".to_owned(),
        (Outcome::Success, Join::Any) => format!("One branch ended well: `{}`.", named(true)),
        (_, Join::All) => format!("Not every branch ended well: `{}` did not.", named(false)),
        (_, Join::Any) => "No branch ended well.".to_owned(),
    }
}
