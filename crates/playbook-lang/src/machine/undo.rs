//! Taking back: what an execution did is undone, newest first, before it is handed to a person.

use std::time::Duration;

use common::{Ending, Outcome, StepCall, StepId, StepResult, Values};
use serde_json::json;

use super::Machine;
use super::calls::later;
use super::state::{Closing, Done, Phase, State};
use super::turn::{Leads, Turn};
use super::words::{Command, Record};
use crate::playbook::Step;

/// How long one step may take to be taken back. Long enough to sit out a restart or a short outage; a person who could
/// do it by hand learns of it in the same hour.
const LONGEST: Duration = Duration::from_hours(1);

impl Machine<'_> {
    /// How often the step of this call was entered. What takes a step back counts as that step: it runs once for a visit.
    pub(super) fn visits(&self, state: &State, call: &StepCall) -> u32 {
        let entered = |step: &StepId| state.visits.get(step).copied().unwrap_or_default();
        if !self.playbook.undos.contains_key(&call.id) {
            return entered(&call.id);
        }
        if state.closing.is_none() && !matches!(state.phase, Phase::Ended { .. }) {
            return 0;
        }
        self.playbook
            .steps()
            .find(|step| undo_of(step) == Some(&call.id))
            .map_or(0, |step| entered(&step.id))
    }
}

/// What takes the step back.
fn undo_of(step: &Step) -> Option<&StepId> {
    step.action()?.undo.as_ref()
}

impl Turn<'_> {
    /// The step was done; should a person have to take over, it is taken back.
    pub(super) fn was_done(&mut self, step: &Step, visit: u32) {
        if undo_of(step).is_some() {
            self.state.done.push(Done {
                step: step.id.clone(),
                visit,
            });
        }
    }

    /// The call went out and nobody will hear its answer.
    pub(super) fn may_have_happened(&mut self, call: &StepCall) {
        if let Some(step) = self.playbook().step(&call.id) {
            self.was_done(step, call.visit);
            self.doubt(step);
        }
    }

    /// The visit did not end well, and one of its calls may have done what it should all the same.
    pub(super) fn nobody_knows(&mut self, call: &StepCall) {
        self.may_have_happened(call);
        if let Some(step) = self.playbook().step(&call.id)
            && (undo_of(step).is_some() || step.action().is_some_and(|action| action.action.privileged()))
            && !self.state.unknown.contains(&step.id)
        {
            self.state.unknown.push(step.id.clone());
        }
    }

    /// Whoever takes over reads what nobody knows: what could be taken back is, but not everything can.
    fn as_known(&mut self, ending: Ending) -> Ending {
        let unknown = std::mem::take(&mut self.state.unknown);
        let Ending::Escalated { mut reason } = ending else {
            return ending;
        };
        for step in unknown.iter().filter_map(|step| self.playbook().step(step)) {
            let more = format!(
                " Whether `{}` was done by an earlier attempt is not known.",
                step.name
            );
            reason.push_str(&more);
        }
        Ending::Escalated { reason }
    }

    /// The end, or the first step of taking back before it. What was at hand is dropped: neither an ended execution nor
    /// one that takes back holds a permit or a credential.
    pub(super) fn end(&mut self, step: Option<StepId>, ending: Ending) -> Phase {
        // Whatever else this turn wanted done would now be done for nobody.
        self.commands.clear();
        let (step, ending) = self.as_cancelled(step, ending);
        let ending = self.as_known(ending);
        if let Some(failed) = &mut self.state.failed {
            failed.bereft |= !self.state.permits.is_empty() || !self.state.credentials.is_empty();
        }
        self.state.permits.clear();
        self.state.credentials.clear();
        if matches!(ending, Ending::Escalated { .. })
            && let Some(undo) = self.next_undo()
        {
            self.state.taken_back = true;
            self.state.closing = Some(Closing {
                step,
                ending,
                until: later(self.moment.now, LONGEST),
            });
            return undo;
        }
        self.state.done.clear();
        self.story.push(Record::Reached {
            step: step.clone(),
            ending: ending.clone(),
        });
        self.commands.push(Command::Ended(ending.clone()));
        Phase::Ended {
            step,
            ending,
            at: self.moment.now,
        }
    }

    /// The newest step that was done and not taken back yet is the last of `done`.
    fn next_undo(&mut self) -> Option<Phase> {
        while let Some(Done { step, visit }) = self.state.done.last() {
            if let Some(undo) = self.playbook().step(step).and_then(undo_of) {
                return Some(Phase::Ready {
                    step: undo.clone(),
                    visit: *visit,
                });
            }
            self.state.done.pop();
        }
        None
    }

    /// Each step has its own time to be taken back, from the moment that somebody begins with it, or could.
    pub(super) fn begin_undo(&mut self) {
        let until = later(self.moment.now, LONGEST);
        if let Some(closing) = &mut self.state.closing {
            closing.until = until;
        }
    }

    /// One step was taken back, or could not be: on with the next one, then to the end that was put off.
    pub(super) fn undone(&mut self, call: StepCall, result: StepResult) -> Leads {
        let undone = self.state.done.pop();
        let original = undone.and_then(|done| self.playbook().step(&done.step));
        if result.outcome != Outcome::Success
            && let Some(Closing {
                ending: Ending::Escalated { reason },
                ..
            }) = &mut self.state.closing
        {
            let name = original.map_or(call.id.as_str(), |step| step.name.as_str());
            let why = result.explanation.trim_end_matches('.');
            let more = format!(" Undoing `{name}` did not succeed ({why}); a person must do it.");
            reason.push_str(&more);
        }
        let next = self.next_undo();
        let following = match &next {
            Some(Phase::Ready { step, .. }) => Some(step.clone()),
            _ => self
                .state
                .closing
                .as_ref()
                .and_then(|closing| closing.step.clone()),
        };
        self.story.push(Record::Finished {
            call,
            outcome: result.outcome,
            explanation: result.explanation,
            output: result.output,
            next: following,
        });
        match (next, self.state.closing.take()) {
            (Some(phase), closing) => {
                self.state.closing = closing;
                self.begin_undo();
                Leads::To(phase)
            }
            (None, Some(Closing { step, ending, .. })) => Leads::End { step, ending },
            // Nothing is taken back but while closing.
            (None, None) => Leads::escalated("The execution ended while taking back.".to_owned()),
        }
    }

    /// To what takes a step back: which step, and which visit of it.
    pub(super) fn name_the_undone(&self, parameters: &mut Values) {
        if let Some(Done { step, visit }) = self.state.done.last() {
            parameters.insert("step".to_owned(), json!(step));
            parameters.insert("visit".to_owned(), json!(visit));
        }
    }
}
