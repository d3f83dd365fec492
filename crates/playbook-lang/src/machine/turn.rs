//! One event being worked on: what has come of it so far.

use common::{Ending, StepCall, StepId};
use serde_json::Value;
use time::OffsetDateTime;

use super::Machine;
use super::state::{Phase, State};
use super::words::{Command, IllegalEvent, Moment, Record, Transition};
use crate::playbook::{ActionStep, Playbook, Step, Within};
use crate::roots::Name;

/// A turn of the machine. While it lasts, the phase is out of the state and in the hands of the table.
pub(crate) struct Turn<'m> {
    pub(super) machine: Machine<'m>,
    pub(super) moment: Moment,
    /// The state that this turn leads to.
    pub(crate) state: State,
    /// What to do next.
    pub(crate) commands: Vec<Command>,
    /// What happened.
    pub(crate) story: Vec<Record>,
    /// The steps that were entered, in order; not those that take others back.
    pub(crate) entered: Vec<StepId>,
    /// What to say of the event where it turns out to be illegal: the phase, and its own name.
    met: (&'static str, &'static str),
}

/// Where a turn leads.
#[derive(Debug)]
pub(super) enum Leads {
    /// Here, or where it was before.
    To(Phase),
    /// To the end of the execution, also out of a branch.
    End {
        /// The ending step, where it reached one.
        step: Option<StepId>,
        ending: Ending,
    },
}

pub(super) type Led = Result<Leads, IllegalEvent>;

impl Leads {
    /// The execution ends by itself, with a person.
    pub(super) fn escalated(reason: String) -> Self {
        Self::End {
            step: None,
            ending: Ending::Escalated { reason },
        }
    }
}

impl<'m> Turn<'m> {
    /// The turn, and the phase that it begins in.
    pub(super) fn begin(
        machine: Machine<'m>,
        mut state: State,
        event: &'static str,
        moment: Moment,
    ) -> (Self, Phase) {
        let phase = state.phase.take();
        let turn = Self {
            machine,
            moment,
            state,
            commands: Vec::new(),
            story: Vec::new(),
            entered: Vec::new(),
            met: (phase.name(), event),
        };
        (turn, phase)
    }

    pub(super) const fn playbook(&self) -> &'m Playbook {
        self.machine.playbook
    }

    /// Nothing happened; it is still waiting.
    pub(super) fn wait(&mut self, phase: Phase, until: OffsetDateTime) -> Leads {
        self.commands.push(Command::WakeAt(until));
        Leads::To(phase)
    }

    /// The step as a call; what stands at a step that calls nothing is no state of this playbook.
    pub(super) fn action_of(&self, step: &StepId) -> Result<(&'m Step, &'m ActionStep), IllegalEvent> {
        self.playbook()
            .step(step)
            .and_then(|step| Some((step, step.action()?)))
            .ok_or_else(|| self.illegal(format!("step `{step}` of the playbook calls nothing")))
    }

    pub(super) fn illegal(&self, reason: String) -> IllegalEvent {
        let (phase, event) = self.met;
        IllegalEvent::new(phase, event, reason)
    }

    pub(super) fn budget_end(&self) -> OffsetDateTime {
        self.machine.budget_end(&self.state)
    }

    /// When the call of a step must have ended.
    pub(super) fn bound(&self) -> OffsetDateTime {
        self.machine.bound(&self.state)
    }

    /// What `name` means to `step`.
    pub(super) fn value(&self, step: &Step, name: &Name) -> Option<&Value> {
        match name {
            Name::Output { step: from, output } if self.sees(step, from) => {
                self.state.outputs.get(from)?.get(output)
            }
            Name::Output { .. } => None,
            fact => self.machine.facts.named(fact),
        }
    }

    /// Branches see nothing of each other until they have joined. So whatever a call was filled with stays the same while
    /// it is out.
    pub(super) fn sees(&self, step: &Step, from: &StepId) -> bool {
        if step.within.is_none() {
            return true;
        }
        let Some(from) = self.playbook().step(from) else {
            return true;
        };
        self.places(step).all(|own| {
            self.places(from)
                .all(|other| own.parallel != other.parallel || own.branch == other.branch)
        })
    }

    /// The branches that the step stands in, the innermost first.
    fn places<'s>(&self, step: &'s Step) -> impl Iterator<Item = &'s Within>
    where
        'm: 's,
    {
        let playbook = self.playbook();
        std::iter::successors(step.within.as_ref(), |within| {
            playbook.step(&within.parallel)?.within.as_ref()
        })
        // A playbook that the check has not seen may go round.
        .take(playbook.steps.len())
    }
}

/// The step that is entered for the `visit`th time and calls nobody.
pub(super) fn only_call(step: &StepId, visit: u32) -> StepCall {
    StepCall {
        id: step.clone(),
        visit,
        attempt: 1,
    }
}

impl From<Turn<'_>> for Transition {
    fn from(turn: Turn<'_>) -> Self {
        Self {
            state: turn.state,
            commands: turn.commands,
            story: turn.story,
        }
    }
}
